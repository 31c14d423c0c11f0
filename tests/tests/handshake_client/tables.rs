//! Answers, and what the client makes of each.

use ws_proto::handshake::{HandshakeError as E, LooksLike, SingleField};
use ws_tests::Edit::{self, Add, AddBytes, Before, Set, Start, Without};

use super::Verdict::{self, Failed, Open, Refused};

/// The expected outcome, the ids of the requirements and what is special, and how the answer differs.
pub(super) type Case = (Verdict, &'static str, &'static [Edit]);

pub(super) const STATUS: &[Case] = &[
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

pub(super) const UPGRADE: &[Case] = &[
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

pub(super) const ACCEPT: &[Case] = &[
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

pub(super) const NEGOTIATION: &[Case] = &[
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

pub(super) const SYNTAX: &[Case] = &[
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

pub(super) const INTERIM: &[Case] = &[
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

pub(super) const TABLES: [&[Case]; 6] = [STATUS, UPGRADE, ACCEPT, NEGOTIATION, SYNTAX, INTERIM];
