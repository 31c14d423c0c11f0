//! Frame throughput of ws-proto: `cargo bench -p ws-benches`.

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ws_benches::{Content, client_frames};
use ws_proto::{
    Client, Config, Endpoint, EntropyError, Event, Instant, Message, MessageBuffer, Server,
    endpoint::Negotiated,
    mask::{Mask, MaskingKey},
    server,
};

const SIZES: [usize; 5] = [16, 125, 1 << 10, 16 << 10, 256 << 10];
/// A read of a busy server's.
const READ_LEN: usize = 64 << 10;

/// One read full of frames, until the last message is lent.
fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for content in [Content::Binary, Content::Ascii, Content::Multilingual] {
        for len in SIZES {
            let count = (READ_LEN / (len + 14)).max(1);
            let frames = client_frames(content, len, count);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::new(format!("{content:?}"), len), |bencher| {
                let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
                let mut buffer = MessageBuffer::new(Vec::new());
                bencher.iter_batched_ref(
                    || frames.clone(),
                    |frames| {
                        let mut input = &mut frames[..];
                        while let Ok(Some(Event::Data(message))) =
                            buffer.next_in(&mut endpoint, Instant::ZERO, &mut input)
                        {
                            black_box(message.as_bytes());
                        }
                    },
                    BatchSize::LargeInput,
                );
            });
        }
    }
}

/// One message to a buffer that is there already.
fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    let mut out = vec![0; (256 << 10) + 14];
    for len in SIZES {
        let payload = Content::Binary.payload(len);
        let message = Message::Binary(&payload);
        group.throughput(Throughput::Bytes(len as u64));
        let mut server = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
        group.bench_function(BenchmarkId::new("server", len), |bencher| {
            bencher.iter(|| server.write(black_box(message), &mut out));
        });
        let mut word = 0_u32;
        let keys = move |bytes: &mut [u8]| -> Result<(), EntropyError> {
            word = word.wrapping_add(0x9E37_79B9);
            bytes.chunks_mut(4).for_each(|key| key.copy_from_slice(&word.to_ne_bytes()[..key.len()]));
            Ok(())
        };
        let mut client =
            Endpoint::new(Client::new(keys), &Config::default(), Negotiated::default(), Instant::ZERO);
        group.bench_function(BenchmarkId::new("client", len), |bencher| {
            bencher.iter(|| client.write(black_box(message), &mut out));
        });
    }
}

fn mask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for len in [8, 64, 1 << 10, 16 << 10, 1 << 20] {
        let mut payload = Content::Binary.payload(len);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |bencher| {
            bencher.iter(|| Mask::new(MaskingKey::new([1, 2, 3, 4])).apply(black_box(&mut payload)));
        });
    }
}

/// A browser's request, answered.
fn handshake(criterion: &mut Criterion) {
    const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\n\
        Host: server.example.com\r\n\
        Connection: Upgrade\r\n\
        Pragma: no-cache\r\n\
        Cache-Control: no-cache\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0\r\n\
        Upgrade: websocket\r\n\
        Origin: http://server.example.com\r\n\
        Sec-WebSocket-Version: 13\r\n\
        Accept-Encoding: gzip, deflate\r\n\
        Accept-Language: en-US,en;q=0.9\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    criterion.bench_function("handshake/server", |bencher| {
        let config = Config::default();
        let mut out = [0; 512];
        bencher.iter(|| {
            let mut handshake = server::Handshake::new(Instant::ZERO, &config);
            let len = handshake.poll_head(Instant::ZERO, black_box(REQUEST)).ok().flatten()?;
            let head = REQUEST.get(..len)?;
            let server::Head::Upgrade(request) =
                server::Request::parse(head, server::OriginPolicy::SameHost).ok()?
            else {
                return None;
            };
            request.upgrade().accept(&server::Accept::new(), &config, Instant::ZERO, &mut out).ok()
        });
    });
}

criterion_group! {
    name = protocol;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = decode, encode, mask, handshake
}
criterion_main!(protocol);
