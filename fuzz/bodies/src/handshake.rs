//! Oracles of the opening handshake: what any accepted head must have, found by splitting it into lines.

use std::{
    string::{String, ToString},
    vec,
    vec::Vec,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};

use ws_proto::{
    Client, Config, Instant,
    client::{self, Answer},
    handshake::{HandshakeError, MAX_INTERIM_RESPONSES},
    server::{self, Accept, Head, OriginPolicy},
};

use super::choices::{Choices, Keys};

const NOW: Instant = Instant::ZERO;
const NONCE: [u8; 16] = *b"the sample nonce";
const SUBPROTOCOLS: [&str; 2] = ["chat.v2", "chat"];

/// A server's handshake: found alike at any split, refused without reflecting, accepted only in good order.
pub fn request_head(data: &[u8]) {
    let (mut choices, wire) = Choices::split(data);
    let config = Config::new();
    let mode = choices.take();
    if mode & 0x80 != 0 {
        return written_request(wire);
    }
    let policy = match mode % 3 {
        0 => OriginPolicy::SameHost,
        1 => OriginPolicy::AllowAny,
        _ => OriginPolicy::allow(&["https://example.com", "*.example.com", "null"]).expect("valid entries"),
    };
    let found = server::Handshake::new(NOW, &config).poll_head(NOW, wire);
    let mut handshake = server::Handshake::new(NOW, &config);
    assert_eq!(drip(&mut choices, wire, |received| handshake.poll_head(NOW, received)), found);
    let len = match found {
        Ok(Some(len)) => len,
        Ok(None) => return,
        Err(error) => return check_refusal(error, wire),
    };
    let head = &wire[..len];
    assert!(len <= config.max_head_len && head.ends_with(b"\r\n\r\n"));
    match server::Request::parse(head, policy) {
        Ok(Head::Upgrade(request)) => {
            check_request(&request, head, policy);
            // The bytes after the head do not matter.
            let Ok(Head::Upgrade(same)) = server::Request::parse(wire, policy) else { panic!("a tail matters") };
            assert_eq!(same.upgrade(), request.upgrade());
        }
        Ok(Head::Plain(request)) => {
            assert!(Lines::of(head).list("upgrade").iter().all(|protocol| protocol != "websocket"));
            assert!(request.target().bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(request.target().contains(request.path()));
            assert_eq!(request.headers().count(), Lines::of(head).fields.len());
        }
        Err(error) => {
            check_refusal(error, wire);
            let line = server::OriginMismatch::of_head(wire).to_string();
            assert!(line.len() < 1_000 && line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
            assert_eq!(server::Request::parse(wire, policy).err(), Some(error));
        }
    }
}

/// Polls with more and more of `wire` until there is an answer, which more bytes must not change.
fn drip(
    choices: &mut Choices<'_>,
    wire: &[u8],
    mut poll: impl FnMut(&[u8]) -> Result<Option<usize>, HandshakeError>,
) -> Result<Option<usize>, HandshakeError> {
    let mut found = poll(&[]);
    for piece in choices.pieces(wire.len()) {
        if found != Ok(None) {
            assert_eq!(poll(&wire[..piece.end]), found, "another answer than before");
        }
        found = poll(&wire[..piece.end]);
    }
    found
}

/// The response is complete, has the status, and is the same for every request.
fn check_refusal(error: HandshakeError, wire: &[u8]) {
    let mut out = [0; HandshakeError::MAX_RESPONSE_LEN];
    let len = error.write_response(wire, &mut out).expect("enough for every refusal");
    let response = str(&out[..len]);
    let (head, body) = response.split_once("\r\n\r\n").expect("an end");
    assert!(head.starts_with(&format!("HTTP/1.1 {} ", error.status())));
    let text = format!("{error}\n");
    assert!(head.ends_with(&format!("\r\nContent-Length: {}", text.len())));
    let is_head = wire.strip_prefix(b"\r\n").unwrap_or(wire).starts_with(b"HEAD ");
    assert_eq!(body, if is_head { "" } else { &text });
    assert!(head.contains("\r\nConnection: close\r\n") || head.contains("\r\nConnection: Upgrade, close\r\n"));
    // Bytes that no fixed text has are not in it.
    assert!(response.is_ascii());
    let fixed: &[u8] = b"\r\n -:,/.();_`";
    assert!(response.bytes().all(|byte| byte.is_ascii_alphanumeric() || fixed.contains(&byte)), "{wire:02x?}");
    for short in 0..len {
        assert!(error.write_response(wire, &mut out[..short]).is_err());
    }
}

fn str(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).expect("text")
}

/// A head by lines, the slow way.
struct Lines {
    start: String,
    fields: Vec<(String, Vec<u8>)>,
}

impl Lines {
    fn of(head: &[u8]) -> Self {
        let head = head.strip_prefix(b"\r\n").unwrap_or(head);
        // Each byte becomes one character, and back.
        let text: String = head.iter().copied().map(char::from).collect();
        let mut lines = text.strip_suffix("\r\n\r\n").expect("the end of a head").split("\r\n");
        let start = lines.next().expect("a start line").into();
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(':').expect("a field without a colon");
            let token = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
            assert!(!name.is_empty() && name.chars().all(token), "a name that is no token");
            let value: Vec<u8> = value.trim_matches([' ', '\t']).chars().map(|char| char as u8).collect();
            assert!(value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control()), "a control in a value");
            (name.to_ascii_lowercase(), value)
        });
        let this = Self { start, fields: fields.collect() };
        assert!(this.fields.len() <= Config::new().max_header_fields);
        this
    }

    fn all(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter(|(found, _)| found == name).map(|(_, value)| &value[..]).collect()
    }

    /// The value of a field that comes once.
    fn one(&self, name: &str) -> &[u8] {
        let [value] = self.all(name)[..] else { panic!("{name} does not come once") };
        value
    }

    /// The elements of a list that may be spread over lines, in small letters.
    fn list(&self, name: &str) -> Vec<String> {
        let elements = self.all(name).into_iter().flat_map(|value| value.split(|&byte| byte == b','));
        elements.map(|element| String::from_utf8_lossy(element.trim_ascii()).to_ascii_lowercase()).collect()
    }
}

/// Checks that a request has all that it needs to be accepted (section 4.2.1), and that accepting it works.
fn check_request(request: &server::Request<'_>, head: &[u8], policy: OriginPolicy<'_>) {
    let lines = Lines::of(head);
    let parts: Vec<&str> = lines.start.split(' ').collect();
    assert_eq!(parts, ["GET", request.target(), "HTTP/1.1"]);
    assert!(request.path().starts_with('/'));
    assert!(request.target().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    let host = lines.one("host");
    assert!(!host.is_empty());
    if request.target().starts_with('/') {
        assert_eq!(request.host().as_bytes(), host);
    } else {
        let (scheme, rest) = request.target().split_once("://").expect("absolute form");
        // In whatever case (RFC 3986 section 3.1).
        let scheme = scheme.to_ascii_lowercase();
        assert!(scheme == "http" || scheme == "https", "{scheme}");
        assert!(rest.starts_with(request.host()));
    }
    assert!(lines.list("upgrade").iter().any(|protocol| protocol == "websocket"));
    assert!(lines.list("connection").iter().any(|option| option == "upgrade"));
    assert_eq!(lines.one("sec-websocket-version"), b"13");
    let key = lines.one("sec-websocket-key");
    assert!(key.len() == 24 && key.ends_with(b"=="));
    assert!(lines.all("transfer-encoding").is_empty());
    assert!(lines.all("content-length").iter().all(|len| len.iter().all(|&byte| byte == b'0')));
    let origins: Vec<_> = lines.all("origin");
    assert_eq!(origins, request.origin().map(str::as_bytes).into_iter().collect::<Vec<_>>());
    if let (OriginPolicy::SameHost, Some(origin)) = (policy, request.origin()) {
        let (_, host) = origin.split_once("://").expect("an origin without a host");
        let named = request.host().to_ascii_lowercase();
        let host = host.to_ascii_lowercase();
        assert!(named.starts_with(&host) || host.starts_with(&named), "{origin} is not {named}");
    }
    let headers: Vec<_> = request.headers().map(|(n, v)| (n.to_ascii_lowercase(), v.to_vec())).collect();
    assert_eq!(headers, lines.fields);
    let offered: Vec<String> = request.subprotocols().map(str::to_ascii_lowercase).collect();
    let listed: Vec<String> = lines.list("sec-websocket-protocol").into_iter().filter(|p| !p.is_empty()).collect();
    assert_eq!(offered, listed);
    check_accept(request, str(key));
}

/// The response is one that a client accepts.
fn check_accept(request: &server::Request<'_>, key: &str) {
    let selected = request.select(&SUBPROTOCOLS);
    let answer = Accept::new().subprotocol(selected).headers(&[("Server", "fuzz")]);
    let mut out = [0; 512];
    let (len, endpoint) = request.upgrade().accept(&answer, &Config::new(), NOW, &mut out).expect("room");
    assert_eq!(endpoint.state(), ws_proto::State::Open);
    let response = Lines::of(&out[..len]);
    assert_eq!(response.start, "HTTP/1.1 101 Switching Protocols");
    assert_eq!(response.one("upgrade"), b"websocket");
    assert_eq!(response.one("connection"), b"Upgrade");
    assert_eq!(response.one("sec-websocket-accept"), &accept_key(key)[..]);
    assert_eq!(response.all("sec-websocket-protocol").first().copied(), selected.map(|s| s.as_str().as_bytes()));
    assert_eq!(request.upgrade().accept_key(), &accept_key(key));
}

/// Section 4.2.2, step by step.
fn accept_key(key: &str) -> [u8; 28] {
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let mut accept = [0; 28];
    STANDARD.encode_slice(digest, &mut accept).expect("20 bytes are 28 characters");
    accept
}

/// A client's request of any parts is refused, or a server takes it for what it is.
fn written_request(parts: &[u8]) {
    let Ok(text) = core::str::from_utf8(parts) else { return };
    let mut parts = text.split('\n');
    let mut part = || parts.next().unwrap_or_default();
    let (host, resource, origin, subprotocol, name, value) = (part(), part(), part(), part(), part(), part());
    let (subprotocols, headers) = ([subprotocol], [(name, value)]);
    let mut request = client::Request::new(host, resource);
    if !origin.is_empty() {
        request = request.origin(origin);
    }
    if !subprotocol.is_empty() {
        request = request.subprotocols(&subprotocols);
    }
    if !name.is_empty() {
        request = request.headers(&headers);
    }
    let Ok(handshake) = client::Handshake::new(request, NONCE, NOW, &Config::new()) else { return };
    let mut out = vec![0; text.len() + 512];
    let len = handshake.write_request(&mut out).expect("room");
    let head = &out[..len];
    let found = server::Handshake::new(NOW, &Config::new()).poll_head(NOW, head);
    assert_eq!(found, Ok(Some(len)), "one head");
    let Ok(Head::Upgrade(parsed)) = server::Request::parse(head, OriginPolicy::AllowAny) else {
        panic!("a server refuses what a client writes: {}", String::from_utf8_lossy(head));
    };
    assert_eq!((parsed.host(), parsed.target()), (host, resource));
    assert_eq!(parsed.origin().unwrap_or_default(), origin);
    assert!(parsed.subprotocols().eq([subprotocol].into_iter().filter(|name| !name.is_empty())));
    assert_eq!(parsed.headers().filter(|(found, _)| *found == name).count(), usize::from(!name.is_empty()));
    assert_eq!(
        parsed.header(name).map(<[u8]>::trim_ascii),
        Some(value.as_bytes().trim_ascii()).filter(|_| !name.is_empty())
    );
    check_request(&parsed, head, OriginPolicy::AllowAny);
}

/// A client's handshake: found alike at any split, opened only by an answer in good order.
pub fn response_head(data: &[u8]) {
    let (mut choices, wire) = Choices::split(data);
    let config = Config::new();
    let request = client::Request::new("example.com", "/chat").subprotocols(&SUBPROTOCOLS);
    let mut whole = client::Handshake::new(request, NONCE, NOW, &config).expect("a valid request");
    let mut handshake = whole.clone();
    let found = whole.poll_head(NOW, wire);
    assert_eq!(drip(&mut choices, wire, |received| handshake.poll_head(NOW, received)), found);
    let Ok(Some(len)) = found else { return };
    assert!(len <= (MAX_INTERIM_RESPONSES + 1) * config.max_head_len && wire[..len].ends_with(b"\r\n\r\n"));
    let final_head = final_head(&wire[..len]);
    let (answer, with_tail) = (whole.answer(&wire[..len]), handshake.answer(wire));
    assert_eq!(answer.as_ref().err(), with_tail.as_ref().err());
    match answer {
        Ok(Answer::Open(response)) => {
            check_response(&response, &Lines::of(final_head));
            let endpoint = response.open(Client::new(Keys::new(0)), &config, NOW);
            assert_eq!(endpoint.state(), ws_proto::State::Open);
        }
        Ok(Answer::Refused(refusal)) => {
            let lines = Lines::of(final_head);
            let status = format!(" {}", refusal.status());
            assert!(lines.start["HTTP/1.x".len()..].starts_with(&status));
            assert!((200..1000).contains(&refusal.status()));
            assert_eq!(refusal.headers().count(), lines.fields.len());
        }
        Err(_) => {}
    }
}

/// The head that follows the interim ones.
fn final_head(heads: &[u8]) -> &[u8] {
    let end = heads.len() - 4;
    let start = (4..=end).rev().find(|&at| heads[..at].ends_with(b"\r\n\r\n"));
    &heads[start.unwrap_or_default()..]
}

/// Checks that a response has all that it needs to open a connection (section 4.1).
fn check_response(response: &client::Response<'_, '_>, lines: &Lines) {
    assert!(lines.start.starts_with("HTTP/1.1 101"));
    assert!(lines.one("upgrade").eq_ignore_ascii_case(b"websocket"));
    assert!(lines.list("connection").iter().any(|option| option == "upgrade"));
    assert_eq!(lines.one("sec-websocket-accept"), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(lines.all("sec-websocket-extensions").is_empty());
    let chosen: Vec<_> = lines.all("sec-websocket-protocol");
    assert_eq!(chosen, response.subprotocol().map(str::as_bytes).into_iter().collect::<Vec<_>>());
    assert!(response.subprotocol().is_none_or(|name| SUBPROTOCOLS.contains(&name)));
    assert_eq!(response.headers().count(), lines.fields.len());
}
