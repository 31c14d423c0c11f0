//! Answers that accept or refuse.

use ws_proto::{
    Config, Instant,
    handshake::{HandshakeError, LooksLike, SingleField, WriteError},
    server::{self, Accept, OriginPolicy, Reject, Request},
};
use ws_tests::Edit::{Add, Set, Start};

use super::{FORBIDDEN, bytes, check_refusal, open, parsed, refuse, str};

#[test]
fn the_server_prefers_among_what_the_client_offers() {
    // R4.2.2-6, R11.3.4-1
    let head = bytes(&[Add("Sec-WebSocket-Protocol: a, B"), Add("Sec-WebSocket-Protocol: c")]);
    let request = parsed(&head);
    assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["a", "B", "c"]);
    let select = |ours: &[&'static str]| request.select(ours).map(|subprotocol| subprotocol.as_str());
    assert_eq!(select(&["c", "a"]), Some("c"));
    assert_eq!(select(&["x", "B"]), Some("B"));
    assert_eq!(select(&["b", "", "a, B", "x"]), None, "names are case-sensitive and whole");
    assert_eq!(select(&[]), None);
    let mut out = [0; 256];
    for (ours, expected) in [(&["c"][..], "\r\nSec-WebSocket-Protocol: c\r\n\r\n"), (&["x"], "xOo=\r\n\r\n")] {
        let answer = Accept::new().subprotocol(request.select(ours));
        let len = request.upgrade().write_response(&answer, &mut out).unwrap();
        assert!(str(&out[..len]).ends_with(expected));
    }
}

#[test]
fn what_accepts_outlives_the_head() {
    let upgrade = parsed(&bytes(&[])).upgrade();
    assert_eq!(open(upgrade), 101);
}

#[test]
fn further_fields_follow_in_their_order() {
    let upgrade = parsed(&bytes(&[])).upgrade();
    let mut out = [0; 256];
    let headers = [("set-cookie", "a=b"), ("X-Empty", ""), ("Set-Cookie", "ü\t")];
    let len = upgrade.write_response(&Accept::new().headers(&headers), &mut out).unwrap();
    assert!(str(&out[..len]).ends_with("xOo=\r\nset-cookie: a=b\r\nX-Empty: \r\nSet-Cookie: ü\t\r\n\r\n"));
}

#[test]
fn no_field_can_be_injected_into_a_response() {
    // R9110-3, R9-1
    let upgrade = parsed(&bytes(&[])).upgrade();
    let mut out = [0; 512];
    for header in FORBIDDEN {
        let headers = [("ok", "1"), header];
        let answer = Accept::new().headers(&headers);
        let accepted = upgrade.accept(&answer, &Config::default(), Instant::ZERO, &mut out);
        assert_eq!(accepted.map(|(len, _)| len), Err(WriteError::InvalidHeader), "{header:?}");
        assert_eq!(
            reject(&Reject::new(401).headers(&headers), &mut out),
            Err(WriteError::InvalidHeader),
            "{header:?}"
        );
    }
    let described = [("Content-Type", "text/html")];
    assert_eq!(reject(&Reject::new(401).headers(&described), &mut out), Err(WriteError::InvalidHeader));
    let injected = Reject::new(401).body("text/html\r\nX: y", b"");
    assert_eq!(reject(&injected, &mut out), Err(WriteError::InvalidHeader));
}

#[test]
fn an_output_too_small_tells_what_it_takes_and_can_be_tried_again() {
    let upgrade = parsed(&bytes(&[])).upgrade();
    let small = upgrade.accept(&Accept::new(), &Config::default(), Instant::ZERO, &mut [0; 128]);
    assert_eq!(small.map(|(len, _)| len), Err(WriteError::BufferTooSmall { needed: 129 }));
    assert_eq!(open(upgrade), 101);
    let needed = HandshakeError::Host.write_response(b"", &mut []);
    let Err(WriteError::BufferTooSmall { needed }) = needed else { panic!("{needed:?}") };
    assert_eq!(HandshakeError::Host.write_response(b"", &mut vec![0; needed]), Ok(needed));
}

#[test]
fn the_application_refuses_with_any_status() {
    // R4.2.2-2, R4.2.2-5, R7.2.2-1
    let mut out = [0; 512];
    for status in (300..=599).filter(|&status| status != 304) {
        let len = reject(&Reject::new(status), &mut out).unwrap();
        let (_, body) = str(&out[..len]).split_once("\r\n\r\n").unwrap();
        check_refusal(str(&out[..len]), status, body.len());
    }
    for status in [0, 100, 101, 200, 299, 304, 600, u16::MAX] {
        assert_eq!(reject(&Reject::new(status), &mut out), Err(WriteError::InvalidStatus));
    }
    let len = reject(&Reject::new(302).headers(&[("Location", "https://example.com/")]), &mut out).unwrap();
    assert!(str(&out[..len]).contains("\r\nLocation: https://example.com/\r\n"));
    let len = reject(&Reject::new(405).headers(&[("allow", "GET, HEAD")]), &mut out).unwrap();
    assert!(!str(&out[..len]).contains("\r\nAllow: "), "the application's own takes its place");
}

/// A refusal of a GET.
fn reject(answer: &Reject<'_>, out: &mut [u8]) -> Result<usize, WriteError> {
    server::reject(answer, &bytes(&[]), out)
}

#[test]
fn a_refusal_has_the_body_of_the_application() {
    let body = vec![b'x'; 1_234];
    let answer = Reject::new(403).body("text/html; charset=utf-8", &body);
    let mut out = vec![0; 2_048];
    let len = reject(&answer, &mut out).unwrap();
    assert_eq!(check_refusal(str(&out[..len]), 403, body.len()).as_bytes(), body);
    assert!(str(&out[..len]).contains("\r\nContent-Type: text/html; charset=utf-8\r\n"));
}

#[test]
fn no_answer_to_head_has_a_body() {
    // R9110-9
    let own = Reject::new(404).body("text/html", b"<p>not here");
    for received in [&b"HEAD / HTTP/1.1\r\n"[..], b"\r\nHEAD / HTTP/1.0\r\nHost: a\r\n\r\n", b"HEAD "] {
        let mut out = [0; 512];
        for answer in [Reject::new(503), own] {
            let len = server::reject(&answer, received, &mut out).unwrap();
            assert!(out[..len].ends_with(b"\r\n\r\n") && !str(&out[..len]).contains("Content-Length: 0"));
        }
        let len = HandshakeError::UpgradeRequired.write_response(received, &mut out).unwrap();
        assert!(out[..len].ends_with(b"\r\n\r\n"));
    }
    for received in [&b""[..], b"HEAD", b"HEADS / HTTP/1.1", b"head / HTTP/1.1"] {
        let mut out = [0; 512];
        let len = server::reject(&own, received, &mut out).unwrap();
        assert!(out[..len].ends_with(b"<p>not here"), "{received:?}");
    }
}

#[test]
fn an_upgrade_over_http_1_0_is_told_the_usual_cause() {
    let error = Request::parse(&bytes(&[Start("GET / HTTP/1.0")]), OriginPolicy::SameHost).unwrap_err();
    assert_eq!(error, HandshakeError::Http10);
    let mut out = [0; HandshakeError::MAX_RESPONSE_LEN];
    let len = error.write_response(b"GET / HTTP/1.0\r\n", &mut out).unwrap();
    let (_, body) = str(&out[..len]).split_once("\r\n\r\n").unwrap();
    assert!(body.contains("HTTP/1.1") && body.contains("proxy_http_version 1.1"), "{body}");
}

#[test]
fn every_refusal_fits_its_bound_and_names_its_section() {
    let errors = [
        HandshakeError::Timeout,
        HandshakeError::HeadTooLong,
        HandshakeError::LineTooLong,
        HandshakeError::TooManyFields,
        HandshakeError::TargetTooLong,
        HandshakeError::Syntax,
        HandshakeError::Http10,
        HandshakeError::HttpVersion,
        HandshakeError::UnknownMethod,
        HandshakeError::MethodNotAllowed,
        HandshakeError::Target,
        HandshakeError::Host,
        HandshakeError::DuplicateField(SingleField::Host),
        HandshakeError::DuplicateField(SingleField::ContentLength),
        HandshakeError::DuplicateField(SingleField::Upgrade),
        HandshakeError::DuplicateField(SingleField::Key),
        HandshakeError::DuplicateField(SingleField::Version),
        HandshakeError::DuplicateField(SingleField::Accept),
        HandshakeError::DuplicateField(SingleField::Subprotocol),
        HandshakeError::Body,
        HandshakeError::UpgradeRequired,
        HandshakeError::Upgrade,
        HandshakeError::Connection,
        HandshakeError::Version,
        HandshakeError::UnsupportedVersion,
        HandshakeError::Key,
        HandshakeError::Extensions,
        HandshakeError::Subprotocol,
        HandshakeError::Origin,
        HandshakeError::Status,
        HandshakeError::TooManyInterimResponses,
        HandshakeError::Accept,
        HandshakeError::NotHttp(LooksLike::Ssh),
        HandshakeError::NotHttp(LooksLike::Greeting),
        HandshakeError::NotHttp(LooksLike::Tls),
        HandshakeError::NotHttp(LooksLike::Http2),
        HandshakeError::NotHttp(LooksLike::HttpRequest),
        HandshakeError::NotHttp(LooksLike::Unknown),
    ];
    for error in errors {
        refuse(error, b"");
        let text = error.to_string();
        assert!(text.contains("(RFC ") && text.contains(" section ") && text.ends_with(')'), "{text}");
    }
    assert_eq!(HandshakeError::Accept.field(), Some("Sec-WebSocket-Accept"));
    assert_eq!(HandshakeError::Syntax.field(), None);
}

#[test]
fn nothing_of_a_request_is_reflected() {
    for edits in [
        &[Start("EVIL / HTTP/1.1")][..],
        &[Start("GET /evil#evil HTTP/1.1")],
        &[Set("Host: evil/evil")],
        &[Set("Sec-WebSocket-Version: 66")],
        &[Add("Origin: https://evil.example")],
    ] {
        let error = Request::parse(&bytes(edits), OriginPolicy::SameHost).unwrap_err();
        let mut out = [0; HandshakeError::MAX_RESPONSE_LEN];
        let len = error.write_response(&bytes(edits), &mut out).unwrap();
        let response = str(&out[..len]).to_ascii_lowercase();
        assert!(!response.contains("evil") && !response.contains("66"), "{response}");
    }
}
