//! The client's side of the opening handshake: what it sends, which answers it takes and which it does not.
//!
//! Each answer is run with its bytes at once, byte by byte, and with frame bytes after the head.

mod answer;
mod offer;
mod request;
mod tables;

use ws_proto::{
    Client, Config, EntropyError, Instant, State,
    client::{Answer, Handshake, Request},
    handshake::{HandshakeError, WriteError},
};
use ws_tests::{Edit, edited_head, poll_head_in_steps};

const NONCE: [u8; 16] = *b"the sample nonce";
/// The subprotocols that the client of all cases offers.
const OFFERED: [&str; 2] = ["chat.v2", "chat.v1"];
/// The lines of a valid answer.
const BASE: [&str; 4] = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
];
/// Frame bytes that look like anything but a head.
const FRAMES: &[u8] = b"\x81\x00HTTP/1.1\r\n\r\n\xFF";

/// The result of an answer for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Open(Option<&'static str>),
    Refused(u16),
    Failed(HandshakeError),
}
use Verdict::{Failed, Open, Refused};

fn bytes(edits: &[Edit]) -> Vec<u8> {
    edited_head(&BASE, edits)
}

fn handshake() -> Handshake<'static> {
    Handshake::new(request(), NONCE, Instant::ZERO, &Config::default()).unwrap()
}

/// The length of the heads and what was made of them, with the bytes coming `step` at a time.
fn run(received: &[u8], step: usize) -> (Option<usize>, Verdict) {
    try_run(received, step).expect("the head ends")
}

/// [`run`]; `None` if the head does not end.
fn try_run(received: &[u8], step: usize) -> Option<(Option<usize>, Verdict)> {
    let mut handshake = handshake();
    let head_len = match poll_head_in_steps(received, step, |start| handshake.poll_head(Instant::ZERO, start))? {
        Ok(head_len) => head_len,
        Err(error) => {
            assert_eq!(handshake.poll_head(Instant::ZERO, received), Err(error), "an error stays");
            return Some((None, Failed(error)));
        }
    };
    let verdict = judge(&handshake, &received[..head_len]);
    assert_eq!(judge(&handshake, received), verdict, "what follows the head does not matter");
    Some((Some(head_len), verdict))
}

fn judge(handshake: &Handshake<'static>, received: &[u8]) -> Verdict {
    match handshake.answer(received) {
        Ok(Answer::Open(response)) => {
            let entropy = |_: &mut [u8]| Err(EntropyError);
            let endpoint = response.open(Client::new(entropy), &Config::default(), Instant::ZERO);
            assert_eq!(endpoint.state(), State::Open);
            Open(response.subprotocol())
        }
        Ok(Answer::Refused(refusal)) => Refused(refusal.status()),
        Err(error) => Failed(error),
    }
}

fn request() -> Request<'static> {
    Request::new("example.com", "/chat").subprotocols(&OFFERED)
}

fn written(request: Request<'_>) -> Result<String, WriteError> {
    let handshake = Handshake::new(request, NONCE, Instant::ZERO, &Config::default())?;
    let mut out = [0; 1024];
    let len = handshake.write_request(&mut out)?;
    Ok(String::from_utf8(out[..len].to_vec()).unwrap())
}
