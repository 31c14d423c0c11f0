//! Negotiation for an HTTP library, which has the fields of a request and writes the answer.

use ws_proto::{
    Config, Instant, State,
    handshake::{HandshakeError, WriteError},
    server::{self, Accept, HttpVersion, OriginPolicy},
};

use super::{BASE, FORBIDDEN};

/// The fields of [`BASE`] as an HTTP library has them, but for those called `without`, and `more`.
fn library_fields<'h>(
    without: &'h [&str],
    more: &'h [(&'h str, &'h str)],
) -> impl Iterator<Item = (&'h str, &'h [u8])> {
    let base = BASE.iter().skip(1).map(|line| line.split_once(": ").unwrap());
    let fields = base.filter(|(name, _)| !without.contains(name)).chain(more.iter().copied());
    fields.map(|(name, value)| (name, value.as_bytes()))
}

/// The answer that a library is to send: status, fields, body.
type Answer = (u16, Vec<(String, String)>, &'static str);

fn rejected(rejection: server::Rejection) -> Answer {
    (rejection.status(), owned(rejection.fields()), rejection.body())
}

fn owned<'f>(fields: impl Iterator<Item = (&'f str, &'f str)>) -> Vec<(String, String)> {
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The answer to a request of a library, accepted with a subprotocol if "b" is offered.
fn negotiated(version: HttpVersion, method: &str, without: &[&str], more: &[(&str, &str)]) -> Answer {
    let fields = || library_fields(without, more);
    match server::negotiate(version, method, None, fields, OriginPolicy::SameHost) {
        Ok(offer) => {
            let accept = Accept::new().subprotocol(offer.select(&["b"])).headers(&[("X-Own", "1")]);
            let acceptance = offer.accept(&accept).unwrap();
            assert_eq!(acceptance.open(&Config::default(), Instant::ZERO).state(), State::Open);
            (acceptance.status(), owned(acceptance.fields()), "")
        }
        Err(rejection) => rejected(rejection),
    }
}

#[test]
fn a_library_is_given_all_fields_that_accept() {
    // R4.2.2-8, R4.2.2-6
    let accept = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let base = [("upgrade", "websocket"), ("connection", "Upgrade"), accept];
    let with = |more: &[(&'static str, &'static str)]| owned([&base[..], more].concat().into_iter());
    let get = |more| negotiated(HttpVersion::Http11, "GET", &[], more);
    assert_eq!(get(&[]), (101, with(&[("X-Own", "1")]), ""));
    let chosen = [("sec-websocket-protocol", "b"), ("X-Own", "1")];
    assert_eq!(get(&[("sec-websocket-protocol", "a,b")]), (101, with(&chosen), ""));

    let offer =
        server::negotiate(HttpVersion::Http11, "GET", None, || library_fields(&[], &[]), OriginPolicy::SameHost);
    for header in FORBIDDEN {
        let error = offer.as_ref().unwrap().accept(&Accept::new().headers(&[header])).unwrap_err();
        assert_eq!(error, WriteError::InvalidHeader, "{header:?}");
    }
}

#[test]
fn a_library_is_given_all_fields_that_refuse() {
    // R9110-6, R4.2.2-4, R4.2.1-1
    let text = ("content-type", "text/plain");
    let close = ("connection", "close");
    let upgrade =
        [("connection", "Upgrade, close"), ("upgrade", "websocket"), ("sec-websocket-version", "13"), text];
    let (allow, plain) = ([close, ("allow", "GET"), text], [close, text]);
    let old_version = [("sec-websocket-version", "8")];
    for (version, method, without, more, error, fields) in [
        (HttpVersion::Http11, "POST", &[][..], &[][..], HandshakeError::MethodNotAllowed, &allow[..]),
        (HttpVersion::Http11, "OPTIONS", &["Upgrade"], &[], HandshakeError::MethodNotAllowed, &allow),
        (HttpVersion::Http11, "BREW", &[], &[], HandshakeError::UnknownMethod, &plain),
        (HttpVersion::Http11, "GET", &["Host"], &[], HandshakeError::Host, &plain),
        (HttpVersion::Http11, "GET", &["Upgrade"], &[], HandshakeError::UpgradeRequired, &upgrade),
        (
            HttpVersion::Http11,
            "GET",
            &["Sec-WebSocket-Version"],
            &old_version,
            HandshakeError::UnsupportedVersion,
            &upgrade,
        ),
        (HttpVersion::Http11, "GET", &["Connection"], &[], HandshakeError::Connection, &plain),
        (HttpVersion::Http11, "GET", &[], &[("content-length", "5")], HandshakeError::Body, &plain),
        (
            HttpVersion::Http11,
            "GET",
            &[],
            &[("origin", "https://evil.example")],
            HandshakeError::Origin,
            &plain,
        ),
        (
            HttpVersion::Http11,
            "GET",
            &[],
            &[("sec-websocket-extensions", ";")],
            HandshakeError::Extensions,
            &plain,
        ),
        (HttpVersion::Http10, "GET", &[], &[], HandshakeError::Http10, &plain),
        (HttpVersion::Http10, "GET", &["Upgrade"], &[], HandshakeError::Http10, &plain),
        // RFC 9113 §8.2.2: HTTP/2 has no fields about connections.
        (HttpVersion::Other, "GET", &[], &[], HandshakeError::HttpVersion, &[text]),
    ] {
        let text = error.to_string();
        let expected = (error.status(), with_length(fields, &text), &*text);
        assert_eq!(negotiated(version, method, without, more), expected, "{error}");
    }
    let all = ["Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version"];
    let (status, fields, body) = negotiated(HttpVersion::Http11, "HEAD", &all, &[]);
    let text = HandshakeError::UpgradeRequired.to_string();
    assert_eq!((status, fields, body), (426, with_length(&upgrade, &text), ""), "R9110-9");
}

/// These fields, and the length of the body that answers all but HEAD.
fn with_length(fields: &[(&str, &str)], body: &str) -> Vec<(String, String)> {
    let len = body.len().to_string();
    owned(fields.iter().copied().chain([("content-length", &*len)]))
}

#[test]
fn the_authority_of_a_library_is_that_of_the_target() {
    let origin = [("origin", "https://other.example")];
    let negotiate = |authority| {
        let fields = || library_fields(&[], &origin);
        server::negotiate(HttpVersion::Http11, "GET", authority, fields, OriginPolicy::SameHost)
            .map(|offer| offer.origin())
            .map_err(|rejection| rejection.error())
    };
    assert_eq!(negotiate(Some("other.example")), Ok(Some("https://other.example")));
    assert_eq!(negotiate(None), Err(HandshakeError::Origin));
    assert_eq!(negotiate(Some("a b")), Err(HandshakeError::Host));
}

#[test]
fn an_extended_connect_has_neither_key_nor_upgrade() {
    // R8441-5
    let absent = ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key"];
    let negotiate = |authority, without, more| {
        let fields = || library_fields(without, more);
        match server::negotiate_extended_connect(authority, fields, OriginPolicy::SameHost) {
            Ok(offer) => {
                let acceptance = offer.accept(&Accept::new().subprotocol(offer.select(&["chat"]))).unwrap();
                (acceptance.status(), owned(acceptance.fields()), "")
            }
            Err(rejection) => rejected(rejection),
        }
    };
    let chat = [("sec-websocket-protocol", "chat"), ("origin", "https://example.com")];
    let fields = |fields: &[(&str, &str)]| owned(fields.iter().copied());
    assert_eq!(negotiate("example.com", &absent, &chat), (200, fields(&chat[..1]), ""));
    assert_eq!(negotiate("example.com", &absent, &chat[1..]), (200, Vec::new(), ""));
    let text = [("content-type", "text/plain")];
    assert_eq!(negotiate("other.example", &absent, &chat).0, 403);
    let (status, sent, body) = negotiate("example.com:x", &absent, &chat);
    let expected = HandshakeError::Host.to_string();
    assert_eq!((status, sent, body), (400, with_length(&text, &expected), &*expected));
    let versionless = ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"];
    assert_eq!(negotiate("example.com", &versionless, &chat).0, 400);
    let (status, sent, _) = negotiate("example.com", &versionless, &[("sec-websocket-version", "8")]);
    let expected = HandshakeError::UnsupportedVersion.to_string();
    assert_eq!((status, sent), (426, with_length(&[("sec-websocket-version", "13"), text[0]], &expected)));
}
