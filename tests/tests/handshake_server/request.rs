//! The parts of a request, and arbitrary bytes.

use proptest::{collection::vec, prelude::*, sample};
use ws_proto::{
    handshake::{HandshakeError, SingleField},
    server::{Head, OriginPolicy, Request},
};
use ws_tests::Edit::{Add, AddBytes, Start};

use super::{bytes, padded, parsed, try_run};

#[test]
fn a_request_shows_its_parts() {
    let head = bytes(&[
        Start("GET http://[::1]:81/a?b=c HTTP/1.1"),
        Add("Origin: http://[::1]:81"),
        AddBytes(b"X-One: \xFF\xFE"),
        Add("x-one: second"),
    ]);
    let request = parsed(&head);
    assert_eq!(request.target(), "http://[::1]:81/a?b=c");
    assert_eq!((request.path(), request.query()), ("/a", Some("b=c")));
    assert_eq!(request.host(), "[::1]:81");
    assert_eq!(request.origin(), Some("http://[::1]:81"));
    assert_eq!(request.header("X-ONE"), Some(&b"\xFF\xFE"[..]));
    assert_eq!(request.header("x-two"), None);
    assert_eq!(request.headers().count(), 8);
    assert_eq!(request.headers().last(), Some(("x-one", &b"second"[..])));
}

#[test]
fn a_plain_request_shows_its_parts() {
    let head = b"HEAD /page?x HTTP/1.1\r\nHost: a:1\r\nAccept: */*\r\n\r\n";
    let Ok(Head::Plain(request)) = Request::parse(head, OriginPolicy::SameHost) else {
        panic!("not a plain request");
    };
    assert_eq!((request.method(), request.target(), request.host()), ("HEAD", "/page?x", "a:1"));
    assert_eq!((request.path(), request.query()), ("/page", Some("x")));
    assert_eq!(request.header("accept"), Some(&b"*/*"[..]));
    assert_eq!(request.headers().count(), 2);
}

#[test]
fn debug_output_keeps_secrets() {
    let head = bytes(&[Start("GET /?token=31 HTTP/1.1"), Add("Cookie: session=31")]);
    assert!(!format!("{:?}", parsed(&head)).contains("31"));
}

#[test]
fn a_field_that_is_repeated_is_named() {
    for (more, field) in [
        ("Host: example.com", SingleField::Host),
        ("Content-Length: 0\r\nContent-Length: 0", SingleField::ContentLength),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", SingleField::Key),
        ("Sec-WebSocket-Version: 13", SingleField::Version),
    ] {
        let head = padded(&format!("{more}\r\n"));
        let error = Request::parse(&head, OriginPolicy::SameHost).unwrap_err();
        assert_eq!(error, HandshakeError::DuplicateField(field));
        assert_eq!(error.field(), more.split(':').next());
    }
}

/// A request in which some bytes are others.
fn altered() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), sample::select(&b"\r\n \t:,;=\"/\0\x7F\x80"[..])];
    vec((any::<sample::Index>(), byte), 0..6).prop_map(|changes| {
        let mut request = bytes(&[
            Add("Origin: https://example.com"),
            Add("Sec-WebSocket-Protocol: a, b"),
            Add("Sec-WebSocket-Extensions: a; b=\"c\", d"),
        ]);
        for (index, byte) in changes {
            let index = index.index(request.len());
            request[index] = byte;
        }
        request
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_any_bytes_has_the_same_outcome(request in altered(), step in 1_usize..50) {
        let at_once = try_run(&request, request.len(), OriginPolicy::SameHost);
        prop_assert_eq!(try_run(&request, step, OriginPolicy::SameHost), at_once);
        prop_assert_eq!(try_run(&request, 1, OriginPolicy::SameHost), at_once);
    }
}

#[test]
fn a_head_that_is_not_complete_is_not_parsed() {
    let request = bytes(&[]);
    for len in 0..request.len() {
        let error = Request::parse(&request[..len], OriginPolicy::SameHost).unwrap_err();
        assert_eq!(error, HandshakeError::Syntax);
    }
}
