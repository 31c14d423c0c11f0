//! The client's side of the opening handshake: what it sends, which answers it takes and which it does not.
//!
//! Each answer is run with its bytes at once, byte by byte, and with frame bytes behind the head.

use proptest::{collection::vec, prelude::*, sample};
use ws_proto::{
    Client, Config, EntropyError, HandshakeError, Instant, Negotiated, State,
    client::{Answer, Handshake, HttpVersion, Offer, Request},
    handshake::{LooksLike, MAX_INTERIM_RESPONSES, SingleField, WriteError},
};
use ws_tests::{
    Edit::{self, Add, AddBytes, Before, Set, Start, Without},
    edited_head,
};

const NONCE: [u8; 16] = *b"the sample nonce";
/// What the client of all cases offers.
const OFFERED: [&str; 2] = ["chat.v2", "chat.v1"];
/// What a valid answer has.
const BASE: [&str; 4] = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
];
/// Frame bytes that look like anything but a head.
const FRAMES: &[u8] = b"\x81\x00HTTP/1.1\r\n\r\n\xFF";

/// What the client makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Open(Option<&'static str>),
    Refused(u16),
    Failed(HandshakeError),
}
use HandshakeError as E;
use Verdict::{Failed, Open, Refused};

/// The expected outcome, the ids of the requirements and what is special, and how the answer differs.
type Case = (Verdict, &'static str, &'static [Edit]);

const STATUS: &[Case] = &[
    (Open(None), "R1.3-2: 101", &[]),
    (Open(None), "other words", &[Start("HTTP/1.1 101 Web Socket Protocol Handshake")]),
    (Open(None), "no words", &[Start("HTTP/1.1 101 ")]),
    (Open(None), "neither words nor the space before", &[Start("HTTP/1.1 101")]),
    (Open(None), "words that are not ASCII", &[Start("HTTP/1.1 101 Protokoll geändert")]),
    (Refused(200), "R1.3-2, R4.1-16: 200, with everything else right", &[Start("HTTP/1.1 200 OK")]),
    (Refused(204), "R4.1-16: 204", &[Start("HTTP/1.1 204 No Content")]),
    (Refused(301), "R4.1-16: redirect", &[Start("HTTP/1.1 301 Moved"), Add("Location: /chat2")]),
    (
        Refused(401),
        "R4.1-16: login",
        &[Start("HTTP/1.1 401 No"), Add("WWW-Authenticate: Basic realm=\"a\"")],
    ),
    (Refused(403), "R4.1-16: with a body", &[Start("HTTP/1.1 403 Forbidden"), Add("Content-Length: 6")]),
    (
        Refused(403),
        "R4.1-16: with a chunked body",
        &[Start("HTTP/1.1 403 No"), Add("Transfer-Encoding: chunked")],
    ),
    (
        Refused(426),
        "R4.1-16: upgrade required",
        &[Start("HTTP/1.1 426 No"), Add("Sec-WebSocket-Version: 13, 8")],
    ),
    (Refused(502), "R4.1-16: HTTP/1.0 from a proxy", &[Start("HTTP/1.0 502 Bad Gateway")]),
    (Refused(599), "R4.1-16: unknown status", &[Start("HTTP/1.1 599 ")]),
    (Refused(999), "R4.1-16: status that HTTP does not have", &[Start("HTTP/1.1 999 Denied")]),
    (Failed(E::Status), "status below 100", &[Start("HTTP/1.1 099 Low")]),
    (Failed(E::Http10), "R4.1-22: 101 of HTTP/1.0", &[Start("HTTP/1.0 101 Switching Protocols")]),
    (Failed(E::Status), "interim response of HTTP/1.0", &[Start("HTTP/1.0 100 Continue")]),
    (Failed(E::HttpVersion), "R4.1-22: HTTP/1.2", &[Start("HTTP/1.2 101 Switching Protocols")]),
    (Failed(E::HttpVersion), "R4.1-22: HTTP/2.0", &[Start("HTTP/2.0 101 Switching Protocols")]),
    (
        Failed(E::NotHttp(LooksLike::Unknown)),
        "R9112-9: small letters",
        &[Start("http/1.1 101 Switching Protocols")],
    ),
    (Failed(E::Syntax), "R9112-10: status of two digits", &[Start("HTTP/1.1 10 Switching")]),
    (Failed(E::Syntax), "R9112-10: status of four digits", &[Start("HTTP/1.1 1010 Switching")]),
    (Failed(E::Syntax), "R9112-10: status of letters", &[Start("HTTP/1.1 1O1 Switching")]),
    (Failed(E::Syntax), "R9112-10: no status", &[Start("HTTP/1.1")]),
    (Failed(E::Syntax), "R9112-10: two spaces", &[Start("HTTP/1.1  101 Switching")]),
    (Failed(E::NotHttp(LooksLike::Ssh)), "R9112-10: SSH", &[Before("SSH-2.0-OpenSSH_9.9\r\n")]),
    (Failed(E::NotHttp(LooksLike::Greeting)), "R9112-10: SMTP", &[Before("220 mail.example ESMTP\r\n")]),
    (
        Failed(E::NotHttp(LooksLike::Tls)),
        "R9112-10: an alert of TLS",
        &[Before("\x15\x03\x01\0\x02\x02\x46")],
    ),
    (
        Failed(E::NotHttp(LooksLike::Http2)),
        "R9112-10: SETTINGS of HTTP/2",
        &[Before("\0\0\x12\x04\0\0\0\0\0")],
    ),
    (Failed(E::NotHttp(LooksLike::HttpRequest)), "R9112-10: a request", &[Start("GET / HTTP/1.1")]),
];

const UPGRADE: &[Case] = &[
    (Open(None), "R4.1-17: case does not matter", &[Set("Upgrade: WebSocket")]),
    (Open(None), "R9110-1, R9110-2: name in capitals, white space", &[Set("UPGRADE:\t websocket \t")]),
    (Failed(E::Upgrade), "R4.1-17: missing", &[Without("Upgrade")]),
    (Failed(E::Upgrade), "R4.1-17: empty", &[Set("Upgrade:")]),
    (Failed(E::Upgrade), "R4.1-17: another protocol", &[Set("Upgrade: h2c")]),
    (Failed(E::Upgrade), "R4.1-17: list", &[Set("Upgrade: websocket, h2c")]),
    (Failed(E::Upgrade), "R4.1-17: list of one", &[Set("Upgrade: websocket,")]),
    (Failed(E::Upgrade), "R4.1-17: version", &[Set("Upgrade: websocket/13")]),
    (Failed(E::Upgrade), "R4.1-17: quoted", &[Set("Upgrade: \"websocket\"")]),
    (Failed(E::DuplicateField(SingleField::Upgrade)), "R4.1-17: twice", &[Add("Upgrade: websocket")]),
    (Open(None), "R4.1-18: case does not matter", &[Set("Connection: UPGRADE")]),
    (Open(None), "R4.1-18: list", &[Set("Connection: keep-alive, Upgrade")]),
    (Open(None), "R4.1-18: empty elements", &[Set("Connection: ,,Upgrade,")]),
    (Open(None), "R4.1-18: several lines", &[Add("Connection: keep-alive")]),
    (
        Open(None),
        "R4.1-18: in the second line",
        &[Set("Connection: keep-alive"), Add("connection: upgrade")],
    ),
    (Failed(E::Connection), "R4.1-18: missing", &[Without("Connection")]),
    (Failed(E::Connection), "R4.1-18: empty", &[Set("Connection:")]),
    (Failed(E::Connection), "R4.1-18: only other options", &[Set("Connection: keep-alive, close")]),
    (Failed(E::Connection), "R4.1-18: part of a word", &[Set("Connection: upgraded")]),
    (Failed(E::Connection), "R4.1-22: no tokens", &[Set("Connection: Upgrade; now")]),
];

const ACCEPT: &[Case] = &[
    (
        Open(None),
        "R4.1-19: white space around it",
        &[Set("Sec-WebSocket-Accept: \t s3pPLMBiTxaQ9kYGzzhZRbK+xOo= ")],
    ),
    (
        Open(None),
        "R9110-1: name in small letters",
        &[Set("sec-websocket-accept:s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")],
    ),
    (Failed(E::Accept), "R4.1-19: missing", &[Without("Sec-WebSocket-Accept")]),
    (Failed(E::Accept), "R4.1-19: empty", &[Set("Sec-WebSocket-Accept:")]),
    (
        Failed(E::Accept),
        "R4.1-19: of another key",
        &[Set("Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=")],
    ),
    (
        Failed(E::Accept),
        "R4.1-19: first byte",
        &[Set("Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=")],
    ),
    (
        Failed(E::Accept),
        "R4.1-19: last byte",
        &[Set("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=")],
    ),
    (
        Failed(E::Accept),
        "R4.1-19: without padding",
        &[Set("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo")],
    ),
    (
        Failed(E::Accept),
        "R4.1-19: more behind it",
        &[Set("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo==")],
    ),
    (Failed(E::Accept), "R4.1-19: case", &[Set("Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=")]),
    (
        Failed(E::Accept),
        "R4.1-19: the key itself",
        &[Set("Sec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ==")],
    ),
    (
        Failed(E::Accept),
        "R4.1-19: quoted",
        &[Set("Sec-WebSocket-Accept: \"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\"")],
    ),
    (
        Failed(E::DuplicateField(SingleField::Accept)),
        "R11.3.3-1: twice",
        &[Add("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")],
    ),
    (
        Failed(E::DuplicateField(SingleField::Accept)),
        "R11.3.3-1: and a wrong one",
        &[Add("Sec-WebSocket-Accept: x")],
    ),
    (
        Failed(E::Key),
        "R11.3.1-1: key in a response",
        &[Add("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")],
    ),
];

const NEGOTIATION: &[Case] = &[
    (Open(Some("chat.v1")), "R4.1-21: offered second", &[Add("Sec-WebSocket-Protocol: chat.v1")]),
    (Open(Some("chat.v2")), "R4.1-21: offered first", &[Add("SEC-WEBSOCKET-PROTOCOL:chat.v2 ")]),
    (Failed(E::Subprotocol), "R4.1-21: not offered", &[Add("Sec-WebSocket-Protocol: chat.v3")]),
    (Failed(E::Subprotocol), "R4.1-21: case", &[Add("Sec-WebSocket-Protocol: Chat.v1")]),
    (Failed(E::Subprotocol), "R4.1-21: begin of an offered one", &[Add("Sec-WebSocket-Protocol: chat")]),
    (
        Failed(E::Subprotocol),
        "R4.1-21: the whole offer",
        &[Add("Sec-WebSocket-Protocol: chat.v2, chat.v1")],
    ),
    (Failed(E::Subprotocol), "R4.1-22, R4.3-1: empty", &[Add("Sec-WebSocket-Protocol:")]),
    (Failed(E::Subprotocol), "R8.1-1: not ASCII", &[AddBytes(b"Sec-WebSocket-Protocol: chat.v1\xFF")]),
    (
        Failed(E::DuplicateField(SingleField::Subprotocol)),
        "R11.3.4-1: two lines",
        &[Add("Sec-WebSocket-Protocol: chat.v1"), Add("Sec-WebSocket-Protocol: chat.v1")],
    ),
    (
        Failed(E::Extensions),
        "R4.1-20, R9.1-2: not offered",
        &[Add("Sec-WebSocket-Extensions: permessage-deflate")],
    ),
    (Failed(E::Extensions), "R9.1-1: empty", &[Add("Sec-WebSocket-Extensions:")]),
    (Failed(E::Extensions), "R9.1-1: malformed", &[Add("Sec-WebSocket-Extensions: ;")]),
    (
        Failed(E::Extensions),
        "R11.3.2-1: two lines, each of what was not offered",
        &[Add("sec-websocket-extensions: a"), Add("sec-websocket-extensions: a")],
    ),
];

const SYNTAX: &[Case] = &[
    (
        Open(None),
        "R4.2.1-8: unknown fields",
        &[Add("Server: x"), Add("Date: Thu, 01 Jan 1970 00:00:00 GMT")],
    ),
    (Open(None), "version in a 101", &[Add("Sec-WebSocket-Version: 13")]),
    (Open(None), "R9110-4: opaque bytes", &[AddBytes(b"X: \x80\xFF\xC0\x80")]),
    (Open(None), "R9110-3: tab inside a value", &[Add("X: a\tb")]),
    (Open(None), "R9112-12: Content-Length 0 means what is so anyway", &[Add("Content-Length: 0")]),
    (Open(None), "R9112-12: Content-Length", &[Add("Content-Length: 5")]),
    (Open(None), "R9112-12: Content-Length that is no number", &[Add("Content-Length: x")]),
    (Open(None), "R9112-12: Transfer-Encoding", &[Add("Transfer-Encoding: chunked")]),
    (Open(None), "R9112-12: Content-Length twice", &[Add("Content-Length: 0"), Add("Content-Length: 0")]),
    (Failed(E::Syntax), "R9112-1: folded line", &[Add("X: a\r\n b")]),
    (Failed(E::Syntax), "R9112-7: space before the first field", &[Start("HTTP/1.1 101 x\r\n X: a")]),
    (Failed(E::Syntax), "R9112-2: bare CR", &[Add("X: a\rb")]),
    (Failed(E::Syntax), "R9112-3: bare LF", &[Add("X: a\nY: b")]),
    (Failed(E::Syntax), "R9112-3: bare LF behind the status line", &[Start("HTTP/1.1 101 x\nX: a")]),
    (Failed(E::Syntax), "R9110-3: NUL", &[Add("X: a\0")]),
    (Failed(E::Syntax), "R9110-3: DEL", &[Add("X: \x7F")]),
    (Failed(E::Syntax), "R9110-3: control in the words", &[Start("HTTP/1.1 101 \x1B[31m")]),
    (Failed(E::Syntax), "R9112-5: space before the colon", &[Add("X : a")]),
    (Failed(E::Syntax), "R9112-10: no colon", &[Add("X")]),
    (Failed(E::Syntax), "R9112-10: no name", &[Add(": a")]),
    (Failed(E::Syntax), "R9112-10: name that is no token", &[Add("X(Y): a")]),
    (Failed(E::Syntax), "R9112-10: malformed refusal", &[Start("HTTP/1.1 403 No"), Add("X")]),
    (Failed(E::NotHttp(LooksLike::Unknown)), "R9112-10: empty line before", &[Before("\r\n")]),
    (Failed(E::NotHttp(LooksLike::Unknown)), "R9112-10: space before", &[Before(" ")]),
];

const INTERIM: &[Case] = &[
    (Open(None), "R9110-5: one", &[Before("HTTP/1.1 100 Continue\r\n\r\n")]),
    (
        Open(None),
        "R9110-5: with fields",
        &[Before("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nUpgrade: h2c\r\n\r\n")],
    ),
    (Open(None), "R9110-5: two", &[Before("HTTP/1.1 100 \r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")]),
    (Open(None), "R9110-5: unknown", &[Before("HTTP/1.1 199 x\r\n\r\n")]),
    (
        Open(None),
        "R9112-12: ends at the empty line",
        &[Before("HTTP/1.1 100 x\r\nContent-Length: 5\r\n\r\n")],
    ),
    (
        Open(None),
        "R9112-12: whatever its fields say",
        &[Before("HTTP/1.1 103 x\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n")],
    ),
    (
        Refused(403),
        "R9110-5: before a refusal",
        &[Before("HTTP/1.1 100 \r\n\r\n"), Start("HTTP/1.1 403 No")],
    ),
    (
        Failed(E::Accept),
        "R9110-5: it does not count for the answer",
        &[
            Before("HTTP/1.1 100 x\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
            Without("Sec-WebSocket-Accept"),
        ],
    ),
    (Failed(E::Syntax), "R9112-10: malformed", &[Before("HTTP/1.1 100 x\r\nX\r\n\r\n")]),
    (Failed(E::Syntax), "R9112-10: status of two digits", &[Before("HTTP/1.1 10\r\n\r\n")]),
    (
        Failed(E::NotHttp(LooksLike::Unknown)),
        "empty line behind it",
        &[Before("HTTP/1.1 100 x\r\n\r\n\r\n")],
    ),
];

const TABLES: [&[Case]; 6] = [STATUS, UPGRADE, ACCEPT, NEGOTIATION, SYNTAX, INTERIM];

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
    let mut len = 0;
    let head_len = loop {
        match handshake.poll_head(Instant::ZERO, &received[..len]) {
            Ok(Some(head_len)) => break head_len,
            Ok(None) if len == received.len() => return None,
            Ok(None) => len = received.len().min(len + step),
            Err(error) => {
                assert_eq!(handshake.poll_head(Instant::ZERO, received), Err(error), "an error stays");
                return Some((None, Failed(error)));
            }
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

fn check(table: &[Case]) {
    for &(expected, what, edits) in table {
        let answer = bytes(edits);
        let at_once = run(&answer, answer.len());
        assert_eq!(at_once.1, expected, "{what}");
        assert_eq!(run(&answer, 1), at_once, "{what}, byte by byte");
        // R9110-8: what follows the head is neither looked at nor lost.
        let followed = [&answer[..], FRAMES].concat();
        assert_eq!(run(&followed, followed.len()), at_once, "{what}, with frames behind it");
        assert_eq!(run(&followed, 1), at_once, "{what}, byte by byte with frames behind it");
        if let Open(_) | Refused(_) = expected {
            assert_eq!(at_once.0, Some(answer.len()), "{what}");
        }
    }
}

/// What an offer makes of the fields of an answer that another library has parsed.
fn check_fields(offer: &Offer<'static>, version: HttpVersion, status: u16, fields: &[(&str, &[u8])]) -> Verdict {
    match offer.check(version, status, || fields.iter().copied()) {
        Ok(Some(acceptance)) => {
            let entropy = |_: &mut [u8]| Err(EntropyError);
            let endpoint = acceptance.open(Client::new(entropy), &Config::default(), Instant::ZERO);
            assert_eq!((endpoint.state(), acceptance.negotiated()), (State::Open, Negotiated::default()));
            Open(acceptance.subprotocol())
        }
        Ok(None) => Refused(status),
        Err(error) => Failed(error),
    }
}

/// The version, the status and the fields of a head that an HTTP library would take.
fn parsed(head: &[u8]) -> (HttpVersion, u16, Vec<(&str, &[u8])>) {
    let mut lines = head.strip_suffix(b"\r\n\r\n").unwrap().split(|&byte| byte == b'\n').map(trim);
    let start = String::from_utf8_lossy(lines.next().unwrap()).into_owned();
    let mut words = start.split(' ');
    let version = match words.next() {
        Some("HTTP/1.0") => HttpVersion::Http10,
        Some("HTTP/1.1") => HttpVersion::Http11,
        _ => HttpVersion::Other,
    };
    let status = words.next().unwrap().parse().unwrap();
    let fields = lines.map(|line| {
        let colon = line.iter().position(|&byte| byte == b':').unwrap();
        (std::str::from_utf8(&line[..colon]).unwrap(), trim(&line[colon + 1..]))
    });
    (version, status, fields.collect())
}

fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

fn request() -> Request<'static> {
    Request::new("example.com", "/chat").subprotocols(&OFFERED)
}

#[test]
fn fields_are_judged_as_the_bytes_that_they_come_from() {
    let offer = Offer::new(request(), NONCE).unwrap();
    let mut compared = 0;
    for (expected, what, edits) in TABLES.concat() {
        // An HTTP library refuses these itself, or passes over them.
        let its_own = matches!(expected, Failed(E::Syntax | E::NotHttp(_)));
        if its_own || edits.iter().any(|edit| matches!(edit, Before(_))) {
            continue;
        }
        let answer = bytes(edits);
        let (version, status, fields) = parsed(&answer);
        assert_eq!(check_fields(&offer, version, status, &fields), expected, "{what}");
        compared += 1;
    }
    assert!(compared >= 70, "{compared}");
}

#[test]
fn an_extended_connect_is_answered_by_what_was_offered() {
    // R8441-5
    let offer = Offer::extended_connect(request()).unwrap();
    for &(expected, what, edits) in NEGOTIATION {
        let answer = bytes(edits);
        let (.., fields) = parsed(&answer);
        // Upgrade, Connection and the answer to a key mean nothing here.
        for fields in [&fields[..], &fields[BASE.len() - 1..]] {
            assert_eq!(check_fields(&offer, HttpVersion::Other, 200, fields), expected, "{what}");
        }
    }
    let check = |version, status| check_fields(&offer, version, status, &[]);
    for (status, expected) in [
        (200, Open(None)),
        (204, Open(None)),
        (299, Open(None)),
        (300, Refused(300)),
        (403, Refused(403)),
        (999, Refused(999)),
        (99, Failed(E::Status)),
        (101, Failed(E::Status)),
        (103, Failed(E::Status)),
        (1_000, Failed(E::Status)),
    ] {
        assert_eq!(check(HttpVersion::Other, status), expected, "{status}");
    }
    for version in [HttpVersion::Http10, HttpVersion::Http11] {
        assert_eq!(check(version, 200), Failed(E::HttpVersion));
    }
}

#[test]
fn an_offer_has_the_fields_of_the_request_that_is_written() {
    let headers = [("x-Second", "2"), ("Authorization", "Basic ü")];
    let request = request().origin("https://example.com").headers(&headers);
    let fields = |offer: &Offer<'_>| -> Vec<(String, String)> {
        offer.fields().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    let upgrade = fields(&Offer::new(request, NONCE).unwrap());
    let text = written(request).unwrap();
    let (_, lines) = text.split_once("\r\nHost: example.com\r\n").unwrap();
    let lines: Vec<_> = lines.trim_end().lines().map(|line| line.split_once(": ").unwrap()).collect();
    assert_eq!(upgrade.len(), lines.len());
    for ((name, value), line) in upgrade.iter().zip(&lines) {
        assert!(name.eq_ignore_ascii_case(line.0) && value == line.1, "{name}: {value} is not {line:?}");
        assert!(headers.iter().any(|(own, _)| own == name) || *name == name.to_lowercase(), "{name}");
    }
    // R8441-5
    assert_eq!(fields(&Offer::extended_connect(request).unwrap()), upgrade[3..], "no upgrade and no key");
}

#[test]
fn an_offer_that_can_not_be_sent_is_refused() {
    let resource_is_not_looked_at = Request::new("", "no path");
    for offer in
        [|request| Offer::new(request, NONCE).map(drop), |request| Offer::extended_connect(request).map(drop)]
    {
        assert_eq!(offer(resource_is_not_looked_at), Ok(()));
        assert_eq!(offer(request().origin("a b")), Err(WriteError::InvalidOrigin));
        assert_eq!(offer(request().subprotocols(&["a", "a"])), Err(WriteError::InvalidSubprotocol));
        assert_eq!(offer(request().headers(&[("Upgrade", "h2c")])), Err(WriteError::InvalidHeader));
    }
}

#[test]
fn status_lines() {
    check(STATUS);
}

#[test]
fn upgrade_and_connection() {
    check(UPGRADE);
}

#[test]
fn accept_keys() {
    check(ACCEPT);
}

#[test]
fn subprotocols_and_extensions() {
    check(NEGOTIATION);
}

#[test]
fn syntax() {
    check(SYNTAX);
}

#[test]
fn interim_responses() {
    check(INTERIM);
}

#[test]
fn the_tables_have_80_cases() {
    assert!(TABLES.iter().map(|table| table.len()).sum::<usize>() >= 80);
}

#[test]
fn interim_responses_are_counted() {
    // R9110-5, R9110-7
    let answer = |count| [&b"HTTP/1.1 102 \r\n\r\n".repeat(count)[..], &bytes(&[])].concat();
    let most = answer(MAX_INTERIM_RESPONSES);
    assert_eq!(run(&most, 1), (Some(most.len()), Open(None)));
    let more = answer(MAX_INTERIM_RESPONSES + 1);
    assert_eq!(run(&more, 1), (None, Failed(E::TooManyInterimResponses)));
    assert_eq!(run(&more, more.len()), (None, Failed(E::TooManyInterimResponses)));
}

#[test]
fn limits_are_exact_at_any_split() {
    // R9110-7 K-limits K-interim
    let padded = |filler: &str| {
        let mut answer = bytes(&[]);
        answer.truncate(answer.len() - 2);
        answer.extend_from_slice(filler.as_bytes());
        answer.extend_from_slice(b"\r\n");
        answer
    };
    let with_line = |len: usize| padded(&format!("X: {}\r\n", "a".repeat(len - 3)));
    let room = 16_384 - padded("").len() - 2;
    for (what, answer, expected) in [
        ("cookies of 8.7 KB", padded(&format!("Set-Cookie: {}\r\n", "c".repeat(8_700))), Open(None)),
        ("a line that fills the head", with_line(room), Open(None)),
        ("a line over it", with_line(room + 1), Failed(E::HeadTooLong)),
        ("fields at the limit", padded(&"X: a\r\n".repeat(97)), Open(None)),
        ("fields over it", padded(&"X: a\r\n".repeat(98)), Failed(E::TooManyFields)),
    ] {
        assert_eq!(run(&answer, answer.len()).1, expected, "{what}");
        assert_eq!(run(&answer, 1).1, expected, "{what}, byte by byte");
        // R9110-5: each head has the limits for itself.
        let interim = format!("HTTP/1.1 103 \r\n{}X: {}\r\n\r\n", "X: a\r\n".repeat(99), "b".repeat(15_000));
        let followed = [interim.as_bytes(), &answer].concat();
        assert_eq!(run(&followed, followed.len()).1, expected, "{what}, after an interim response");
    }
    let mut config = Config::default();
    config.max_line_len = Some(100);
    let long = with_line(101);
    let mut handshake = Handshake::new(Request::new("a", "/"), NONCE, Instant::ZERO, &config).unwrap();
    assert_eq!(handshake.poll_head(Instant::ZERO, &long), Err(E::LineTooLong));
}

#[test]
fn bytes_that_have_been_looked_at_are_not_looked_at_again() {
    let answer = bytes(&[]);
    let mut handshake = handshake();
    let mut received = Vec::new();
    for (index, &byte) in answer.iter().enumerate() {
        received.push(byte);
        let complete = index + 1 == answer.len();
        let expected = Ok(complete.then_some(answer.len()));
        assert_eq!(handshake.poll_head(Instant::ZERO, &received), expected);
        // But for the status line, which tells whether this head is the last.
        if index >= BASE[0].len() {
            received[index] = b'\n';
        }
    }
}

#[test]
fn an_answer_is_judged_only_when_it_is_complete() {
    // R4.1-15: nothing but an answer makes an endpoint to send with.
    let answer = bytes(&[]);
    for len in 0..answer.len() {
        assert_eq!(judge(&handshake(), &answer[..len]), Failed(E::Syntax));
    }
}

#[test]
fn one_deadline_holds_for_the_whole_handshake() {
    let config = Config::default();
    let answer = bytes(&[Before("HTTP/1.1 100 \r\n\r\n")]);
    let (early, late) = (Instant::from_millis(9_999), Instant::from_millis(10_000));
    let mut handshake = handshake();
    assert_eq!(handshake.poll_timeout(), Some(late));
    assert_eq!(handshake.poll_head(early, &answer[..40]), Ok(None));
    assert_eq!(handshake.poll_timeout(), Some(late), "an interim response does not prolong it");
    assert_eq!(handshake.handle_timeout(early), Ok(()));
    assert_eq!(handshake.clone().handle_timeout(late), Err(E::Timeout));
    assert_eq!(handshake.clone().poll_head(late, &answer), Err(E::Timeout));
    assert_eq!(handshake.poll_head(early, &answer), Ok(Some(answer.len())));
    assert_eq!(handshake.poll_timeout(), None);
    assert_eq!(handshake.handle_timeout(late), Ok(()));
    assert!(config.handshake_timeout.is_some());
}

#[test]
fn a_refusal_shows_its_parts() {
    // R4.1-16
    let answer =
        bytes(&[Start("HTTP/1.1 401 Who are you?"), Add("WWW-Authenticate: Basic"), AddBytes(b"X: \xFF")]);
    let mut handshake = handshake();
    let len = handshake.poll_head(Instant::ZERO, &answer).unwrap().unwrap();
    let Ok(Answer::Refused(refusal)) = handshake.answer(&answer[..len]) else { panic!("not refused") };
    assert_eq!((refusal.status(), refusal.reason()), (401, &b"Who are you?"[..]));
    assert_eq!(refusal.header("www-authenticate"), Some(&b"Basic"[..]));
    assert_eq!(refusal.headers().last(), Some(("X", &b"\xFF"[..])));
}

#[test]
fn a_response_shows_its_fields() {
    let answer = bytes(&[Add("Set-Cookie: a"), Add("Set-Cookie: b")]);
    let mut handshake = handshake();
    assert_eq!(handshake.answer(&answer).err(), Some(HandshakeError::Syntax), "nothing has been found yet");
    assert_eq!(handshake.poll_head(Instant::ZERO, &answer), Ok(Some(answer.len())));
    let Ok(Answer::Open(response)) = handshake.answer(&answer) else { panic!("not open") };
    assert_eq!(response.header("SET-COOKIE"), Some(&b"a"[..]));
    assert_eq!(response.header("cookie"), None);
    assert_eq!(response.headers().count(), 5);
}

/// An answer in which some bytes are others.
fn altered() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), sample::select(&b"\r\n \t:,01\0\x7F\x80"[..])];
    vec((any::<sample::Index>(), byte), 0..6).prop_map(|changes| {
        let mut answer = bytes(&[Before("HTTP/1.1 100 \r\nA: b\r\n\r\n"), Add("Sec-WebSocket-Protocol: chat.v1")]);
        for (index, byte) in changes {
            let index = index.index(answer.len());
            answer[index] = byte;
        }
        answer
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_any_bytes_has_the_same_outcome(answer in altered(), step in 1_usize..50) {
        let at_once = try_run(&answer, answer.len());
        prop_assert_eq!(try_run(&answer, step), at_once);
        prop_assert_eq!(try_run(&answer, 1), at_once);
    }
}

fn written(request: Request<'_>) -> Result<String, WriteError> {
    let handshake = Handshake::new(request, NONCE, Instant::ZERO, &Config::default())?;
    let mut out = [0; 1024];
    let len = handshake.write_request(&mut out)?;
    Ok(String::from_utf8(out[..len].to_vec()).unwrap())
}

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
