//! Workloads of our own crate whose instructions callgrind counts: unlike times, they do not move.

use ws_proto::role::Side;

use crate::{
    Content, client_frames,
    contender::{self, Decode, Run, Sending},
    fragments, ours,
    transport::{READ_LEN, Transport},
};

/// How many messages a pass of each workload has, or fragments of one.
pub const MESSAGES: usize = 64;

/// Makes the workload of a name.
pub type Make = fn(&str) -> Result<Run, String>;

/// The workloads' names and what makes them.
///
/// Each includes the harness's own work, a copy of the bytes for the read or the write.
#[must_use]
pub fn workloads() -> Vec<(String, Make)> {
    let mut workloads: Vec<(String, Make)> = Vec::new();
    for len in [16, 125, 1024] {
        for content in ["binary", "ascii"] {
            workloads.push((format!("decode-{content}-{len}"), decode));
        }
        for side in ["server", "client"] {
            workloads.push((format!("encode-{side}-{len}"), encode));
            workloads.push((format!("encode-one-{side}-{len}"), encode));
        }
    }
    workloads.push(("decode-multilingual-16".into(), decode));
    workloads.push(("fragments-binary-64".into(), decode_fragments));
    for content in ["binary", "ascii"] {
        workloads.push((format!("cut-{content}-125"), decode_cut));
        workloads.push((format!("cut-own-{content}-125"), decode_cut));
        workloads.push((format!("drip-{content}-125"), decode_cut));
        workloads.push((format!("drip-own-{content}-125"), decode_cut));
    }
    workloads.push(("echo-binary-16".into(), echo));
    workloads.push(("handshake".into(), |_| contender::handshake::<ours::Accept>(contender::REQUEST)));
    workloads
}

/// The workload of this name.
///
/// # Errors
///
/// There is none, or it does not work.
pub fn workload(name: &str) -> Result<Run, String> {
    let found = workloads().into_iter().find(|(known, _)| known == name);
    let (_, make) = found.ok_or_else(|| format!("no workload '{name}'"))?;
    make(name)
}

/// A read that holds a pass.
const LONGEST_READ: usize = 128 << 10;

fn decode(name: &str) -> Result<Run, String> {
    read::<ours::Shared>(name, LONGEST_READ)
}

/// Messages that come in reads of at most so many bytes.
fn read<D: Decode + 'static>(name: &str, longest_read: usize) -> Result<Run, String> {
    let content = if name.contains("ascii") {
        Content::Ascii
    } else if name.contains("multilingual") {
        Content::Multilingual
    } else {
        Content::Binary
    };
    let (len, count) = (len(name), MESSAGES);
    let transport = Transport::new(client_frames(content, len, count), longest_read);
    contender::decode::<D>(transport, &[content.payload(len)], count)
}

/// One message in as many fragments as others have messages.
fn decode_fragments(name: &str) -> Result<Run, String> {
    let fragment_len = len(name);
    let total = fragment_len * MESSAGES;
    let transport = Transport::new(fragments(Content::Binary, total, fragment_len), LONGEST_READ);
    contender::decode::<ours::Shared>(transport, &[Content::Binary.payload(total)], 1)
}

/// Messages in reads that cut them, as segments of TCP do, or that bring a byte each.
fn decode_cut(name: &str) -> Result<Run, String> {
    let longest_read = if name.starts_with("drip") { 1 } else { 1460 };
    if name.contains("own") {
        read::<ours::Own>(name, longest_read)
    } else {
        read::<ours::Shared>(name, longest_read)
    }
}

/// Messages that a server's session receives and sends back, as in an event loop.
fn echo(name: &str) -> Result<Run, String> {
    let (payload, count) = (Content::Binary.payload(len(name)), MESSAGES);
    let transport = Transport::new(client_frames(Content::Binary, payload.len(), count), READ_LEN);
    let mut session = ours::Echo::new(transport.clone());
    for _ in 0..2 {
        session.echo();
        contender::check_frames(&transport.output(), Side::Server, &payload, count)?;
    }
    Ok(Box::new(move |passes| (0..passes).for_each(|_| session.echo())))
}

fn encode(name: &str) -> Result<Run, String> {
    let sending = if name.contains("one") { Sending::OneByOne } else { Sending::Batch };
    let payload = Vec::leak(Content::Binary.payload(len(name)));
    if name.contains("client") {
        contender::encode::<ours::ClientSender<{ usize::MAX }, ours::Keys>>(
            Side::Client,
            sending,
            payload,
            MESSAGES,
        )
    } else {
        contender::encode::<ours::ServerSender>(Side::Server, sending, payload, MESSAGES)
    }
}

/// The length that a workload's name ends in.
fn len(name: &str) -> usize {
    name.rsplit('-').next().and_then(|len| len.parse().ok()).unwrap_or(0)
}
