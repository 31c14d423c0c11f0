//! Requests that the client writes.

use ws_proto::{
    Config, Instant,
    client::{Handshake, Request},
    handshake::WriteError,
};

use super::{NONCE, OFFERED, Verdict::Open, handshake, run, written};

#[test]
fn a_request_has_what_a_server_asks_for() {
    // R4.1-5, R4.1-6, R4.1-7, R4.1-8, R4.1-9, R4.1-10, R4.1-12, R11.3.1-1, R11.3.5-1
    let expected = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    assert_eq!(written(Request::new("example.com", "/chat")).as_deref(), Ok(expected));
}

#[test]
fn a_request_has_what_the_caller_adds_in_order_and_case() {
    // R4.1-11, R4.1-13
    let request = Request::new("[::1]:9001", "/?a=b%23")
        .origin("https://example.com")
        .subprotocols(&OFFERED)
        .headers(&[("x-Second", "2"), ("Authorization", "Basic ü"), ("x-second", "")]);
    let text = written(request).unwrap();
    assert!(text.starts_with("GET /?a=b%23 HTTP/1.1\r\nHost: [::1]:9001\r\n"));
    assert!(text.ends_with(
        "\r\nSec-WebSocket-Protocol: chat.v2, chat.v1\r\nOrigin: https://example.com\r\n\
         x-Second: 2\r\nAuthorization: Basic ü\r\nx-second: \r\n\r\n"
    ));
}

#[test]
fn our_server_accepts_what_our_client_sends() {
    use ws_proto::server::{Accept, Head, OriginPolicy, Request as Received};

    let text = written(Request::new("example.com", "/chat").subprotocols(&OFFERED)).unwrap();
    let Ok(Head::Upgrade(request)) = Received::parse(text.as_bytes(), OriginPolicy::SameHost) else {
        panic!("not accepted")
    };
    let mut out = [0; 256];
    let answer = Accept::new().subprotocol(request.select(&["chat.v1"]));
    let len = request.upgrade().write_response(&answer, &mut out).unwrap();
    assert_eq!(run(&out[..len], 1), (Some(len), Open(Some("chat.v1"))));
}

#[test]
fn a_request_that_can_not_be_sent_is_refused() {
    // R3-1, R3-3, R4.1-1, R4.1-13, R4.1-14
    let base = Request::new("example.com", "/");
    for host in ["", "a b", "a/b", "u@a", "a:65536", "::1", "a\r\nX: y", "ä.example", "a#b"] {
        assert_eq!(written(Request::new(host, "/")), Err(WriteError::InvalidHost), "{host}");
    }
    for resource in ["", "a", "?a", "/ b", "/#a", "/\r\nX: y", "/ä", "/\0", "http://a/", "*", "/\"", "/a HTTP/1.1"]
    {
        assert_eq!(written(Request::new("a", resource)), Err(WriteError::InvalidResource), "{resource}");
    }
    for origin in ["", "a b", "https://a\r\nX: y", "https://ä"] {
        assert_eq!(written(base.origin(origin)), Err(WriteError::InvalidOrigin), "{origin}");
    }
    for subprotocols in
        [&[""][..], &["a", "b", "a"], &["a b"], &["a,b"], &["a\r\nX: y"], &["ä"], &["a/b"], &["\"a\""]]
    {
        assert_eq!(
            written(base.subprotocols(subprotocols)),
            Err(WriteError::InvalidSubprotocol),
            "{subprotocols:?}"
        );
    }
    for header in [
        ("", "a"),
        ("X Y", "a"),
        ("X:", "a"),
        ("X\r\nY", "a"),
        ("X", "a\r\nY: b"),
        ("X", "a\nb"),
        ("X", "\0"),
        ("ä", "a"),
        ("host", "a"),
        ("Upgrade", "websocket"),
        ("CONNECTION", "Upgrade"),
        ("Origin", "https://a"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
        ("Sec-WebSocket-Protocol", "a"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
    ] {
        assert_eq!(written(base.headers(&[header])), Err(WriteError::InvalidHeader), "{header:?}");
    }
}

#[test]
fn an_output_too_small_tells_what_it_takes_and_can_be_tried_again() {
    let handshake = handshake();
    let Err(WriteError::BufferTooSmall { needed }) = handshake.write_request(&mut []) else { panic!() };
    let mut out = vec![0; needed];
    let small = handshake.write_request(&mut out[..needed - 1]);
    assert_eq!(small, Err(WriteError::BufferTooSmall { needed }));
    assert_eq!(handshake.write_request(&mut out), Ok(needed));
}

#[test]
fn debug_output_keeps_secrets() {
    let request = Request::new("a", "/?token=31").headers(&[("Authorization", "Bearer 31")]);
    let handshake = Handshake::new(request, NONCE, Instant::ZERO, &Config::default()).unwrap();
    assert!(!format!("{handshake:?}{request:?}").contains("31"));
}

#[test]
fn every_write_error_names_its_section() {
    for error in [
        WriteError::BufferTooSmall { needed: 1 },
        WriteError::InvalidHost,
        WriteError::InvalidResource,
        WriteError::InvalidOrigin,
        WriteError::InvalidSubprotocol,
        WriteError::InvalidHeader,
        WriteError::InvalidStatus,
    ] {
        let text = error.to_string();
        assert!(text.contains("(RFC ") && text.contains(" section ") && text.ends_with(')'), "{text}");
    }
}
