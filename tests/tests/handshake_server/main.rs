//! The server's side of the opening handshake: what it accepts and what it refuses, with which status.
//!
//! Each case is run with its bytes at once, byte by byte, and with frame bytes after the head.

mod answer;
mod library;
mod limits;
mod outcomes;
mod request;
mod tables;

use ws_proto::{
    Config, Instant, State,
    handshake::HandshakeError,
    server::{Accept, Handshake, Head, OriginPolicy, Request, Upgrade},
};
use ws_tests::{Edit, edited_head, poll_head_in_steps};

/// The lines of a valid request.
const BASE: [&str; 6] = [
    "GET /chat?room=1 HTTP/1.1",
    "Host: example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];
const ACCEPT_KEY: &[u8; 28] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// Frame bytes that look like anything but a head.
const FRAMES: &[u8] = b"\x81\x80\0\0\r\n\r\n\xFF";

fn bytes(edits: &[Edit]) -> Vec<u8> {
    edited_head(&BASE, edits)
}

/// The length of the head and what was decided, with the bytes coming `step` at a time.
fn run(received: &[u8], step: usize, policy: OriginPolicy<'_>) -> (Option<usize>, u16) {
    try_run(received, step, policy).expect("the head ends")
}

/// [`run`]; `None` if the head does not end.
fn try_run(received: &[u8], step: usize, policy: OriginPolicy<'_>) -> Option<(Option<usize>, u16)> {
    let mut handshake = Handshake::new(Instant::ZERO, &Config::default());
    let head_len = match poll_head_in_steps(received, step, |start| handshake.poll_head(Instant::ZERO, start))? {
        Ok(head_len) => head_len,
        Err(error) => {
            // Parsing does not depend on having been here.
            assert_eq!(Request::parse(received, policy).unwrap_err(), error);
            return Some((None, refuse(error, received)));
        }
    };
    let status = match Request::parse(&received[..head_len], policy) {
        Ok(Head::Upgrade(request)) => open(request.upgrade()),
        Ok(Head::Plain(_)) => 200,
        Err(error) => refuse(error, received),
    };
    Some((Some(head_len), status))
}

/// The status of the response, which has to be the one that accepts (R4.2.2-7, R4.2.2-8, R9-1, R1.3-1, R11.3.3-1).
fn open(upgrade: Upgrade) -> u16 {
    let mut out = [0; 129];
    let (len, endpoint) = upgrade.accept(&Accept::new(), &Config::default(), Instant::ZERO, &mut out).unwrap();
    assert_eq!(endpoint.state(), State::Open);
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: ";
    assert_eq!(str(&out[..len]), [expected, str(upgrade.accept_key()), "\r\n\r\n"].concat());
    101
}

/// The status of the response, which has to be a complete refusal (R4.2.1-9, R10.7-1, R9110-6).
fn refuse(error: HandshakeError, received: &[u8]) -> u16 {
    let mut out = [0; HandshakeError::MAX_RESPONSE_LEN];
    let len = error.write_response(received, &mut out).unwrap();
    let text = format!("{error}\n");
    let body = check_refusal(str(&out[..len]), error.status(), text.len());
    // R9110-9
    assert_eq!(body, if received.trim_ascii_start().starts_with(b"HEAD ") { "" } else { &text });
    error.status()
}

/// The body of a complete refusal that announces `body_len` bytes of it.
fn check_refusal(response: &str, status: u16, body_len: usize) -> &str {
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    assert!(lines.next().unwrap().starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    let fields: Vec<_> = lines.map(|line| line.split_once(": ").unwrap()).collect();
    let value = |name: &str| fields.iter().find(|field| field.0 == name).map(|field| field.1);
    assert_eq!(value("Content-Length"), Some(&*body_len.to_string()));
    // R9110-6, R4.2.2-4, R4.4-1
    let upgrade = (status == 426).then_some(("websocket", "13"));
    assert_eq!(value("Upgrade").zip(value("Sec-WebSocket-Version")), upgrade);
    assert_eq!(value("Connection"), Some(if status == 426 { "Upgrade, close" } else { "close" }));
    assert_eq!(value("Allow"), (status == 405).then_some("GET"));
    body
}

fn str(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap()
}

/// A request with `filler` put at its end.
fn padded(filler: &str) -> Vec<u8> {
    let mut request = bytes(&[]);
    request.truncate(request.len() - 2);
    request.extend_from_slice(filler.as_bytes());
    request.extend_from_slice(b"\r\n");
    request
}

/// The request, which has to be one for a WebSocket.
fn parsed(head: &[u8]) -> Request<'_> {
    match Request::parse(head, OriginPolicy::SameHost) {
        Ok(Head::Upgrade(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// Fields that a response may not get from the application.
const FORBIDDEN: [(&str, &str); 14] = [
    ("X", "a\r\nSet-Cookie: b"),
    ("X", "a\nb"),
    ("X", "a\rb"),
    ("X", "a\0"),
    ("X\r\nY", "a"),
    ("X Y", "a"),
    ("X:", "a"),
    ("", "a"),
    ("ä", "a"),
    ("connection", "close"),
    ("UPGRADE", "h2c"),
    ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ("Content-Length", "1"),
    ("Transfer-Encoding", "chunked"),
];
