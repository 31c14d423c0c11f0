//! The server's side of the opening handshake: what it accepts and what it refuses, with which status.
//!
//! Each case is run with its bytes at once, byte by byte, and with frame bytes behind the head.

use core::time::Duration;

use proptest::{collection::vec, prelude::*, sample};
use ws_proto::{
    Config, HandshakeError, Instant, State,
    handshake::{LooksLike, SingleField, WriteError},
    server::{self, Accept, Handshake, Head, HttpVersion, OriginPolicy, Reject, Request, Upgrade},
};
use ws_tests::{
    Edit::{self, Add, AddBytes, Raw, Set, Start, Without},
    edited_head,
};

/// What a valid request has.
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

/// The expected outcome (101 accepted, 200 a plain request, else the status of the refusal), the ids of the
/// requirements and what is special, and how the request differs.
type Case = (u16, &'static str, &'static [Edit]);

const REQUEST_LINE: &[Case] = &[
    (101, "R4.2.1-1: GET over HTTP/1.1", &[]),
    (400, "R4.2.1-1: HTTP/1.0 has no upgrade", &[Start("GET / HTTP/1.0")]),
    (505, "R4.2.1-1: HTTP/1.2", &[Start("GET / HTTP/1.2")]),
    (505, "R4.2.1-1: HTTP/2.0", &[Start("GET / HTTP/2.0")]),
    (505, "R4.2.1-1: HTTP/0.9", &[Start("GET / HTTP/0.9")]),
    (505, "the preface of HTTP/2", &[Raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]),
    (400, "R9112-9: name of HTTP in small letters", &[Start("GET / http/1.1")]),
    (400, "R9112-9: two digits in the version", &[Start("GET / HTTP/11.1")]),
    (400, "R9112-9: two digits behind the dot", &[Start("GET / HTTP/1.10")]),
    (400, "R9112-9: version without a dot", &[Start("GET / HTTP/11")]),
    (400, "R9112-9: version without a minor number", &[Start("GET / HTTP/1.")]),
    (400, "R9112-9: version of letters", &[Start("GET / HTTP/x.y")]),
    (400, "R9112-10: no version", &[Start("GET /")]),
    (400, "R9112-10: no target", &[Start("GET HTTP/1.1")]),
    (400, "R9112-10: only a method", &[Start("GET")]),
    (400, "R9112-10: space before the method", &[Start(" GET / HTTP/1.1")]),
    (400, "R9112-10: space behind the version", &[Start("GET / HTTP/1.1 ")]),
    (400, "R9112-10: two spaces", &[Start("GET  / HTTP/1.1")]),
    (400, "R9112-10: two spaces before the version", &[Start("GET /  HTTP/1.1")]),
    (400, "R9112-10: tabs for spaces", &[Start("GET\t/\tHTTP/1.1")]),
    (400, "R9112-10: method that is no token", &[Start("G(T / HTTP/1.1")]),
    (400, "R9112-10: a response", &[Start("HTTP/1.1 101 Switching Protocols")]),
    (400, "R9112-10: TLS on a plain port", &[Raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03")]),
    (405, "R9110-6: POST", &[Start("POST / HTTP/1.1")]),
    (405, "R9110-6: HEAD", &[Start("HEAD / HTTP/1.1")]),
    (405, "R9110-6: OPTIONS", &[Start("OPTIONS / HTTP/1.1")]),
    (405, "R9110-6: OPTIONS of the server", &[Start("OPTIONS * HTTP/1.1")]),
    (405, "R9110-6: CONNECT", &[Start("CONNECT example.com:80 HTTP/1.1")]),
    (501, "R9110-6: unknown method", &[Start("BREW / HTTP/1.1")]),
    (501, "R9110-6: methods are case-sensitive", &[Start("get / HTTP/1.1")]),
];

const TARGET: &[Case] = &[
    (101, "R3-2: path and query", &[Start("GET /a/b.c;d=e?f=g&h HTTP/1.1")]),
    (101, "empty query", &[Start("GET /? HTTP/1.1")]),
    (101, "what browsers leave as it is", &[Start("GET /a|b^c%zz{}[]`?'\\ HTTP/1.1")]),
    (101, "path with two slashes is no host", &[Start("GET //evil.example/ HTTP/1.1")]),
    (101, "R4.2.1-10, R9112-8: absolute form", &[Start("GET http://example.com/chat HTTP/1.1")]),
    (101, "R4.2.1-10: absolute form of https", &[Start("GET https://example.com:8443/chat HTTP/1.1")]),
    (101, "R4.2.1-10: absolute form without a path", &[Start("GET http://example.com HTTP/1.1")]),
    (101, "R4.2.1-10: scheme in capitals", &[Start("GET HTTP://example.com?q HTTP/1.1")]),
    (101, "R9112-8: absolute form overrides Host", &[Start("GET http://other.example/ HTTP/1.1")]),
    (400, "R4.2.1-10: absolute form of ws", &[Start("GET ws://example.com/ HTTP/1.1")]),
    (400, "R4.2.1-10: absolute form of ftp", &[Start("GET ftp://example.com/ HTTP/1.1")]),
    (400, "R4.2.1-10: absolute form without a host", &[Start("GET http:///chat HTTP/1.1")]),
    (400, "R4.2.1-10: absolute form with a user", &[Start("GET http://me@example.com/ HTTP/1.1")]),
    (
        400,
        "R4.2.1-10: absolute form with a port too big",
        &[Start("GET http://example.com:65536/ HTTP/1.1")],
    ),
    (
        400,
        "R9112-6: absolute form without Host",
        &[Start("GET http://example.com/ HTTP/1.1"), Without("Host")],
    ),
    (400, "R3-1: fragment", &[Start("GET /chat#top HTTP/1.1")]),
    (101, "R3-1: number sign percent-encoded", &[Start("GET /chat%23top HTTP/1.1")]),
    (400, "authority form with GET", &[Start("GET example.com:80 HTTP/1.1")]),
    (400, "asterisk form with GET", &[Start("GET * HTTP/1.1")]),
    (400, "relative path", &[Start("GET chat HTTP/1.1")]),
    (400, "R8.1-1: target with UTF-8", &[Start("GET /räume HTTP/1.1")]),
    (400, "R8.1-1, R9110-4: target that is not UTF-8", &[Raw(b"GET /\xFF HTTP/1.1\r\nHost: a\r\n\r\n")]),
    (400, "quotation mark in the target", &[Start("GET /\"x\" HTTP/1.1")]),
    (400, "markup in the target", &[Start("GET /<script> HTTP/1.1")]),
];

const HOST: &[Case] = &[
    (101, "R4.2.1-2: name and port", &[Set("Host: example.com:8080")]),
    (101, "R4.2.1-2: IPv4 address", &[Set("Host: 127.0.0.1:9001")]),
    (101, "R4.2.1-2: IPv6 address", &[Set("Host: [::1]")]),
    (101, "R4.2.1-2: IPv6 address and port", &[Set("Host: [2001:db8::1]:65535")]),
    (101, "R4.2.1-2: empty port", &[Set("Host: example.com:")]),
    (101, "R4.2.1-2: trailing dot", &[Set("Host: example.com.")]),
    (101, "R4.2.1-2: underscore and percent-encoding", &[Set("Host: my_host%2Dx")]),
    (400, "R4.2.1-2, R9112-6: missing", &[Without("Host")]),
    (400, "R9112-6: twice", &[Add("Host: example.com")]),
    (400, "R9112-6: twice, in another case", &[Add("HOST: other.example")]),
    (400, "R9112-6: empty", &[Set("Host:")]),
    (400, "R9112-6: only a port", &[Set("Host: :80")]),
    (400, "R9112-6: port too big", &[Set("Host: example.com:65536")]),
    (400, "R9112-6: port with a sign", &[Set("Host: example.com:+80")]),
    (400, "R9112-6: port of letters", &[Set("Host: example.com:http")]),
    (400, "R9112-6: two ports", &[Set("Host: example.com:80:80")]),
    (400, "R9112-6: list", &[Set("Host: example.com, other.example")]),
    (400, "R9112-6: two names", &[Set("Host: example.com other.example")]),
    (400, "R9112-6: URL", &[Set("Host: http://example.com")]),
    (400, "R9112-6: path", &[Set("Host: example.com/chat")]),
    (400, "R9112-6: user", &[Set("Host: me@example.com")]),
    (400, "R9112-6: IPv6 address without brackets", &[Set("Host: 2001:db8::1")]),
    (400, "R9112-6: bracket that is not closed", &[Set("Host: [::1")]),
    (400, "R9112-6: brackets around a name", &[Set("Host: [example.com]")]),
    (400, "R9112-6: zone", &[Set("Host: [fe80::1%25eth0]")]),
    (400, "R9112-6: percent-encoding cut short", &[Set("Host: example%2")]),
    (400, "R9112-6, R8.1-1: not ASCII", &[Set("Host: exämple.com")]),
    (400, "R9112-6: not UTF-8", &[AddBytes(b"Host: ex\xFFmple.com"), Without("Host")]),
];

const UPGRADE: &[Case] = &[
    (101, "R4.2.1-3: case does not matter", &[Set("Upgrade: WebSocket")]),
    (101, "R4.2.1-3: in a list", &[Set("Upgrade: h2c, websocket")]),
    (101, "R4.2.1-3: in a list with versions", &[Set("Upgrade: TLS/1.3, websocket")]),
    (101, "R9110-2: in a second line", &[Set("Upgrade: h2c"), Add("Upgrade: websocket")]),
    (101, "R9110-2: twice", &[Add("upgrade: websocket")]),
    (101, "R9110-2: empty elements", &[Set("Upgrade: , ,websocket ,")]),
    (
        101,
        "R9110-2: no white space, and much",
        &[Set("Upgrade:websocket"), Set("Connection: \t Upgrade \t ")],
    ),
    (426, "R4.2.1-3: missing", &[Without("Upgrade")]),
    (426, "R4.2.1-3: empty", &[Set("Upgrade:")]),
    (426, "R4.2.1-3: another protocol", &[Set("Upgrade: h2c")]),
    (426, "R4.2.1-3: a longer word", &[Set("Upgrade: websockets")]),
    (426, "R4.2.1-3: a version of websocket", &[Set("Upgrade: websocket/13")]),
    (400, "R4.2.1-9: no token", &[Set("Upgrade: web socket")]),
    (400, "R4.2.1-9: quoted", &[Set("Upgrade: \"websocket\"")]),
    (400, "R4.2.1-9: no version behind the slash", &[Set("Upgrade: websocket, h2/")]),
    (400, "R9110-4, R8.1-1: not ASCII", &[Set("Upgrade: wébsocket")]),
    (101, "R4.2.1-4: case does not matter", &[Set("Connection: UPGRADE")]),
    (101, "R4.2.1-4: in a list", &[Set("Connection: keep-alive, Upgrade")]),
    (101, "R4.2.1-4: with close", &[Set("Connection: close,upgrade")]),
    (101, "R4.2.1-4: in a second line", &[Set("Connection: keep-alive"), Add("Connection: upgrade")]),
    (400, "R4.2.1-4: missing", &[Without("Connection")]),
    (400, "R4.2.1-4: empty", &[Set("Connection:")]),
    (400, "R4.2.1-4: only other options", &[Set("Connection: keep-alive, close")]),
    (400, "R4.2.1-4: part of a word", &[Set("Connection: upgrade-insecure")]),
    (400, "R4.2.1-9: semicolon for a comma", &[Set("Connection: keep-alive; upgrade")]),
    (400, "R4.2.1-9: quoted", &[Set("Connection: \"upgrade\"")]),
    (400, "R4.2.1-9: malformed beside a good one", &[Set("Connection: upgrade"), Add("Connection: a b")]),
];

const KEY: &[Case] = &[
    (
        101,
        "R4.2.1-5, R1.3-1: white space around it",
        &[Set("Sec-WebSocket-Key: \t dGhlIHNhbXBsZSBub25jZQ== \t")],
    ),
    (400, "R4.2.1-5: missing", &[Without("Sec-WebSocket-Key")]),
    (400, "R4.2.1-5: empty", &[Set("Sec-WebSocket-Key:")]),
    (400, "R11.3.1-1: twice", &[Add("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")]),
    (400, "R4.2.1-5: 15 bytes", &[Set("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j")]),
    (400, "R4.2.1-5: 17 bytes", &[Set("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWU=")]),
    (400, "R4.2.1-5: 18 bytes in 24 characters", &[Set("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWVl")]),
    (400, "R4.2.1-5: no padding", &[Set("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ")]),
    (400, "R4.2.1-5: half the padding", &[Set("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=")]),
    (400, "R4.2.1-5: too much padding", &[Set("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ===")]),
    (400, "R4.3-1: alphabet of URLs", &[Set("Sec-WebSocket-Key: -_hlIHNhbXBsZSBub25jZQ==")]),
    (400, "R4.3-1: space inside", &[Set("Sec-WebSocket-Key: dGhlIHNhbXBs SBub25jZQ==")]),
    (400, "R4.3-1: quoted", &[Set("Sec-WebSocket-Key: \"dGhlIHNhbXBsZSBub25jZQ==\"")]),
    (400, "R4.3-1, R8.1-1: not ASCII", &[Set("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jÄ==")]),
    (
        400,
        "R4.2.1-5: two in a line",
        &[Set("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, AAAAAAAAAAAAAAAAAAAAAA==")],
    ),
];

const VERSION: &[Case] = &[
    (400, "R4.2.1-6: missing", &[Without("Sec-WebSocket-Version")]),
    (400, "R4.3-1: empty", &[Set("Sec-WebSocket-Version:")]),
    (400, "R11.3.5-1: twice", &[Add("Sec-WebSocket-Version: 13")]),
    (400, "R11.3.5-1: two different", &[Add("Sec-WebSocket-Version: 8")]),
    (426, "R4.2.1-6, R4.2.2-4: 8", &[Set("Sec-WebSocket-Version: 8")]),
    (426, "R4.2.2-4, R4.4-1: 0", &[Set("Sec-WebSocket-Version: 0")]),
    (426, "R4.2.2-4, R4.4-1: 14", &[Set("Sec-WebSocket-Version: 14")]),
    (426, "R4.2.2-4, R4.4-1: 255", &[Set("Sec-WebSocket-Version: 255")]),
    (
        426,
        "another version may have another key",
        &[Set("Sec-WebSocket-Version: 9"), Without("Sec-WebSocket-Key")],
    ),
    (400, "R4.3-1: 256", &[Set("Sec-WebSocket-Version: 256")]),
    (400, "R4.3-1: leading zero", &[Set("Sec-WebSocket-Version: 013")]),
    (400, "R4.3-1: sign", &[Set("Sec-WebSocket-Version: +13")]),
    (400, "R4.3-1: fraction", &[Set("Sec-WebSocket-Version: 13.0")]),
    (400, "R4.3-1: list", &[Set("Sec-WebSocket-Version: 13, 8")]),
    (400, "R4.3-1: letters", &[Set("Sec-WebSocket-Version: xiii")]),
    (
        400,
        "R4.3-1, R8.1-1: not ASCII",
        &[AddBytes(b"Sec-WebSocket-Version: \xFF"), Without("Sec-WebSocket-Version")],
    ),
    (
        426,
        "the protocol before RFC 6455",
        &[Raw(b"GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key1: 1 2\r\nSec-WebSocket-Key2: 3 4\r\n\r\n")],
    ),
];

const SUBPROTOCOLS: &[Case] = &[
    (101, "R4.2.2-6: one", &[Add("Sec-WebSocket-Protocol: chat")]),
    (
        101,
        "R11.3.4-1: list over two lines",
        &[Add("Sec-WebSocket-Protocol: a, b"), Add("sec-websocket-protocol: c")],
    ),
    (101, "R9110-2: empty elements", &[Add("Sec-WebSocket-Protocol: ,a,, b ,")]),
    (101, "every character of a token", &[Add("Sec-WebSocket-Protocol: !#$%&'*+-.^_`|~09azAZ")]),
    (101, "named twice: the client's matter", &[Add("Sec-WebSocket-Protocol: a, a")]),
    (400, "R4.3-1: empty", &[Add("Sec-WebSocket-Protocol:")]),
    (400, "R4.3-1: only commas", &[Add("Sec-WebSocket-Protocol: , ,")]),
    (400, "R4.3-1: space inside", &[Add("Sec-WebSocket-Protocol: a b")]),
    (400, "R4.3-1: separator", &[Add("Sec-WebSocket-Protocol: a/b")]),
    (400, "R4.3-1: quoted", &[Add("Sec-WebSocket-Protocol: \"a\"")]),
    (400, "R4.3-1: parameter", &[Add("Sec-WebSocket-Protocol: a;b")]),
    (
        400,
        "R4.3-1: bad in the second line",
        &[Add("Sec-WebSocket-Protocol: a"), Add("Sec-WebSocket-Protocol: (b)")],
    ),
    (400, "R8.1-1, R9110-4: UTF-8", &[Add("Sec-WebSocket-Protocol: chät")]),
    (400, "R8.1-1, R9110-4: not UTF-8", &[AddBytes(b"Sec-WebSocket-Protocol: a, \xC0\x80")]),
];

const EXTENSIONS: &[Case] = &[
    (101, "R4.2.2-7, R9-1: unknown ones are ignored", &[Add("Sec-WebSocket-Extensions: foo, bar; baz=1")]),
    (
        101,
        "R9-1: compression is not negotiated yet",
        &[Add("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")],
    ),
    (
        101,
        "R11.3.2-1: two lines",
        &[Add("Sec-WebSocket-Extensions: a"), Add("Sec-WebSocket-Extensions: b")],
    ),
    (101, "R4.3-1: quoted token", &[Add("Sec-WebSocket-Extensions: a; b=\"1\\0\"")]),
    (101, "R9110-2: white space and empty elements", &[Add("Sec-WebSocket-Extensions: ,a ;b = c\t,,d")]),
    (400, "R9.1-1: empty", &[Add("Sec-WebSocket-Extensions:")]),
    (400, "R9.1-1: only a comma", &[Add("Sec-WebSocket-Extensions: ,")]),
    (400, "R9.1-1: parameter without a name", &[Add("Sec-WebSocket-Extensions: a; =b")]),
    (400, "R9.1-1: parameter without a value", &[Add("Sec-WebSocket-Extensions: a; b=")]),
    (400, "R9.1-1: semicolon at the end", &[Add("Sec-WebSocket-Extensions: a;")]),
    (400, "R9.1-1: two words", &[Add("Sec-WebSocket-Extensions: a b")]),
    (400, "R4.3-1: quoted string that is no token", &[Add("Sec-WebSocket-Extensions: a; b=\"c d\"")]),
    (400, "R4.3-1: quoted string that is empty", &[Add("Sec-WebSocket-Extensions: a; b=\"\"")]),
    (400, "R9.1-1: quoted string that does not end", &[Add("Sec-WebSocket-Extensions: a; b=\"\\\"")]),
    (400, "R9.1-1: quoted list", &[Add("Sec-WebSocket-Extensions: a; b=\"10,permessage-deflate,11\"")]),
    (
        400,
        "R9.1-1: bad in the second line",
        &[Add("Sec-WebSocket-Extensions: a"), Add("Sec-WebSocket-Extensions: ;")],
    ),
    (400, "R9.1-1, R8.1-1: not UTF-8", &[AddBytes(b"Sec-WebSocket-Extensions: a; b=\"\xFF\"")]),
];

const SYNTAX: &[Case] = &[
    (101, "R9110-1: names in any case", &[Set("HOST: example.com"), Set("sEC-wEBsOCKET-vERSION: 13")]),
    (101, "R4.2.1-8: unknown fields", &[Add("X-Anything: at all; \"really"), Add("!#$%&'*+-.^_`|~: x")]),
    (
        101,
        "R4.2.1-8: order",
        &[Without("Host"), Without("Upgrade"), Add("Upgrade: websocket"), Add("Host: a")],
    ),
    (101, "R9110-4: opaque bytes", &[AddBytes(b"X: \x80\xFF\xC0\x80"), Add("Cookie: ä=ö")]),
    (101, "R9110-3: tab inside a value", &[Add("X: a\tb")]),
    (101, "R9112-4: one empty line before", &[Start("\r\nGET / HTTP/1.1")]),
    (400, "R9112-4: two empty lines before", &[Start("\r\n\r\nGET / HTTP/1.1")]),
    (400, "R9112-1: folded line", &[Add("X: a\r\n b")]),
    (400, "R9112-1: line folded with a tab", &[Add("X: a\r\n\tb")]),
    (400, "R9112-1: folded line without content", &[Add("X: a\r\n ")]),
    (400, "R9112-7: space before the first field", &[Start("GET / HTTP/1.1\r\n X: a")]),
    (400, "R9112-2: bare CR in a value", &[Add("X: a\rb")]),
    (400, "R9112-2: bare CR for a line end", &[Add("X: a\rY: b")]),
    (400, "R9112-2: two CR", &[Add("X: a\r")]),
    (400, "R9112-3: bare LF for a line end", &[Add("X: a\nY: b")]),
    (400, "R9112-3: bare LF behind the request line", &[Start("GET / HTTP/1.1\nX: a")]),
    (400, "R9112-3: bare LF before", &[Start("\nGET / HTTP/1.1")]),
    (400, "R9112-3: only bare LF", &[Raw(b"GET / HTTP/1.1\nHost: a\n\n")]),
    (400, "R9112-3: head ended by bare LF", &[Raw(b"GET / HTTP/1.1\r\nHost: a\r\n\n")]),
    (400, "R9110-3: NUL", &[Add("X: a\0b")]),
    (400, "R9110-3: bell", &[Add("X: \x07")]),
    (400, "R9110-3: DEL", &[Add("X: \x7F")]),
    (400, "R9110-3: vertical tab is no white space", &[Set("Upgrade: \x0Bwebsocket")]),
    (400, "R9112-5: space before the colon", &[Add("X : a")]),
    (400, "R9112-5: tab before the colon", &[Without("Host"), Add("Host\t: example.com")]),
    (400, "R9112-10: no colon", &[Add("X")]),
    (400, "R9112-10: no name", &[Add(": a")]),
    (400, "R9112-10: name that is no token", &[Add("X(Y): a")]),
    (400, "R9112-10, R8.1-1: name that is not ASCII", &[Add("Ä: a")]),
    (400, "R9112-11: Transfer-Encoding", &[Add("Transfer-Encoding: chunked")]),
    (400, "R9112-11: Transfer-Encoding that means nothing", &[Add("Transfer-Encoding: identity")]),
    (400, "R9112-11: both", &[Add("Transfer-Encoding: chunked"), Add("Content-Length: 0")]),
    (101, "R9112-11: Content-Length 0", &[Add("Content-Length: 0")]),
    (400, "R9112-11: Content-Length 1", &[Add("Content-Length: 1")]),
    (400, "R9112-11: Content-Length beyond 64 bits", &[Add("Content-Length: 18446744073709551616")]),
    (400, "R9112-11: Content-Length -0", &[Add("Content-Length: -0")]),
    (400, "R9112-11: Content-Length without a value", &[Add("Content-Length:")]),
    (400, "R9112-11: Content-Length list", &[Add("Content-Length: 0, 0")]),
    (400, "R9112-11: Content-Length twice", &[Add("Content-Length: 0"), Add("Content-Length: 0")]),
];

const PLAIN: &[Case] = &[
    (200, "a page", &[Raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")]),
    (200, "a page behind an empty line", &[Raw(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")]),
    (200, "HEAD", &[Raw(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")]),
    (405, "R9110-6: OPTIONS of the server", &[Raw(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")]),
    (
        200,
        "an upgrade to something else",
        &[Raw(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")],
    ),
    (
        405,
        "R9110-6: a key, but with a method that opens nothing",
        &[Raw(b"POST / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: x\r\n\r\n")],
    ),
    (200, "of any page", &[Raw(b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n\r\n")]),
    (400, "R9112-6: without Host", &[Raw(b"GET / HTTP/1.1\r\n\r\n")]),
    (200, "HTTP/1.0", &[Raw(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")]),
    (200, "HTTP/1.0, HEAD", &[Raw(b"HEAD / HTTP/1.0\r\nHost: a\r\n\r\n")]),
    (200, "R9112-6: HTTP/1.0 without Host", &[Raw(b"GET / HTTP/1.0\r\n\r\n")]),
    (
        200,
        "HTTP/1.0 ignores Upgrade to something else",
        &[Raw(b"GET / HTTP/1.0\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")],
    ),
    (400, "R9112-6: HTTP/1.0 with a Host that is none", &[Raw(b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n")]),
    (
        400,
        "R4.2.1-1: HTTP/1.0 as a proxy sends it that drops Upgrade",
        &[Start("GET / HTTP/1.0"), Without("Upgrade"), Set("Connection: close")],
    ),
    (405, "R9110-6: POST", &[Raw(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n")]),
    (405, "R9110-6: OPTIONS", &[Raw(b"OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n")]),
    (405, "R9110-6: OPTIONS of HTTP/1.0", &[Raw(b"OPTIONS / HTTP/1.0\r\n\r\n")]),
    (405, "R9110-6: TRACE", &[Raw(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n")]),
    (501, "unknown method of HTTP/1.0", &[Raw(b"BREW / HTTP/1.0\r\n\r\n")]),
    (400, "R9112-11: with a body", &[Raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")]),
    (501, "unknown method", &[Raw(b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n")]),
];

/// The same under [`OriginPolicy::SameHost`].
const ORIGIN: &[Case] = &[
    (101, "R4.2.1-7, R10.1-1: no browser", &[]),
    (101, "R10.2-1: same host", &[Add("Origin: https://example.com")]),
    (
        101,
        "R10.2-1: same host and port",
        &[Set("Host: example.com:81"), Add("Origin: http://example.com:81")],
    ),
    (101, "R10.2-1: same address", &[Set("Host: [0::1]:81"), Add("Origin: http://[::1]:81")]),
    (101, "R10.2-1: case and dot", &[Set("Host: EXAMPLE.com."), Add("origin: https://example.COM")]),
    (
        101,
        "R10.2-1, R9112-8: of the absolute form",
        &[Start("GET https://other.example/ HTTP/1.1"), Add("Origin: https://other.example")],
    ),
    (
        403,
        "R10.2-1, R9112-8: of Host beside the absolute form",
        &[Start("GET https://other.example/ HTTP/1.1"), Add("Origin: https://example.com")],
    ),
    (
        403,
        "R10.2-1, R9112-8: default port of the absolute form",
        &[Start("GET https://example.com/ HTTP/1.1"), Add("Origin: http://example.com")],
    ),
    (403, "R4.2.2-3: another host", &[Add("Origin: https://evil.example")]),
    (403, "R4.2.2-3: host below", &[Add("Origin: https://example.com.evil.example")]),
    (403, "R4.2.2-3: another port", &[Add("Origin: https://example.com:8443")]),
    (
        403,
        "R4.2.2-3: default port of another scheme",
        &[Set("Host: example.com:443"), Add("Origin: http://example.com")],
    ),
    (403, "R4.2.2-3: opaque", &[Add("Origin: null")]),
    (403, "R4.2.2-3: opaque, and so is the host", &[Set("Host: null"), Add("Origin: null")]),
    (403, "R4.2.2-3: empty", &[Add("Origin:")]),
    (403, "R4.2.2-3: several", &[Add("Origin: https://example.com https://example.com")]),
    (
        403,
        "R4.2.2-3: several lines",
        &[Add("Origin: https://example.com"), Add("Origin: https://example.com")],
    ),
    (403, "R4.2.2-3: URL", &[Add("Origin: https://example.com/")]),
    (403, "R4.2.2-3: user", &[Add("Origin: https://me@example.com")]),
    (403, "R4.2.2-3: no scheme", &[Add("Origin: example.com")]),
    (403, "R4.2.2-3, R8.1-1: not ASCII", &[Add("Origin: https://exämple.com")]),
    (
        403,
        "forwarding fields are not looked at",
        &[
            Add("Origin: https://evil.example"),
            Add("X-Forwarded-Host: evil.example"),
            Add("Forwarded: host=evil.example"),
        ],
    ),
    (
        400,
        "what is wrong comes before who asks",
        &[Without("Sec-WebSocket-Key"), Add("Origin: https://evil.example")],
    ),
];

const TABLES: [&[Case]; 11] =
    [REQUEST_LINE, TARGET, HOST, UPGRADE, KEY, VERSION, SUBPROTOCOLS, EXTENSIONS, SYNTAX, PLAIN, ORIGIN];

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
    let mut len = 0;
    let head_len = loop {
        match handshake.poll_head(Instant::ZERO, &received[..len]) {
            Ok(Some(head_len)) => break head_len,
            Ok(None) if len == received.len() => return None,
            Ok(None) => len = received.len().min(len + step),
            Err(error) => {
                // Parsing does not depend on having been here.
                assert_eq!(Request::parse(received, policy).unwrap_err(), error);
                return Some((None, refuse(error, received)));
            }
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

fn check(table: &[Case], policy: OriginPolicy<'_>) {
    for &(expected, what, edits) in table {
        let request = bytes(edits);
        let at_once = run(&request, request.len(), policy);
        assert_eq!(at_once.1, expected, "{what}");
        assert_eq!(run(&request, 1, policy), at_once, "{what}, byte by byte");
        // R9110-8: what follows the head is neither looked at nor lost.
        let followed = [&request[..], FRAMES].concat();
        assert_eq!(run(&followed, followed.len(), policy), at_once, "{what}, with frames behind it");
        assert_eq!(run(&followed, 1, policy), at_once, "{what}, byte by byte with frames behind it");
        if expected == 101 {
            assert_eq!(at_once.0, Some(request.len()), "{what}");
            assert_eq!(parsed(&request).upgrade().accept_key(), ACCEPT_KEY, "{what}");
        }
    }
}

#[test]
fn request_lines() {
    check(REQUEST_LINE, OriginPolicy::SameHost);
}

#[test]
fn targets() {
    check(TARGET, OriginPolicy::SameHost);
}

#[test]
fn hosts() {
    check(HOST, OriginPolicy::SameHost);
}

#[test]
fn upgrade_and_connection() {
    check(UPGRADE, OriginPolicy::SameHost);
}

#[test]
fn keys() {
    check(KEY, OriginPolicy::SameHost);
}

#[test]
fn versions() {
    check(VERSION, OriginPolicy::SameHost);
}

#[test]
fn subprotocols() {
    check(SUBPROTOCOLS, OriginPolicy::SameHost);
}

#[test]
fn extensions() {
    check(EXTENSIONS, OriginPolicy::SameHost);
}

#[test]
fn syntax() {
    check(SYNTAX, OriginPolicy::SameHost);
}

#[test]
fn plain_requests() {
    check(PLAIN, OriginPolicy::SameHost);
}

#[test]
fn origins() {
    check(ORIGIN, OriginPolicy::SameHost);
}

#[test]
fn the_tables_have_150_cases() {
    assert!(TABLES.iter().map(|table| table.len()).sum::<usize>() >= 150);
}

fn status_under(policy: OriginPolicy<'_>, edits: &[Edit]) -> u16 {
    let request = bytes(edits);
    run(&request, request.len(), policy).1
}

#[test]
fn an_allow_list_admits_what_it_names() {
    // R4.2.2-3
    let policy =
        OriginPolicy::allow(&["https://app.example", "intranet:8080", "*.cdn.example", "file://"]).unwrap();
    assert_eq!(status_under(policy, &[]), 101);
    assert_eq!(status_under(policy, &[Add("Origin: https://app.example")]), 101);
    assert_eq!(status_under(policy, &[Add("Origin: https://APP.example:443")]), 101);
    assert_eq!(status_under(policy, &[Add("Origin: http://intranet:8080")]), 101);
    assert_eq!(status_under(policy, &[Add("Origin: http://app.example")]), 403);
    assert_eq!(status_under(policy, &[Add("Origin: https://app.example:8443")]), 403);
    assert_eq!(status_under(policy, &[Add("Origin: https://intranet")]), 403);
    assert_eq!(status_under(policy, &[Add("Origin: http://intranet")]), 403);
    // The host that the request names is no help: a page could have chosen it.
    assert_eq!(status_under(policy, &[Add("Origin: https://example.com")]), 403);
    assert_eq!(status_under(policy, &[Add("Origin: https://a.b.cdn.example")]), 101);
    assert_eq!(status_under(policy, &[Add("Origin: https://cdn.example")]), 403);
    assert_eq!(status_under(policy, &[Add("Origin: file://")]), 101);
    assert_eq!(status_under(policy, &[Add("Origin: null")]), 403);
    let null = OriginPolicy::allow(&["null"]).unwrap();
    assert_eq!(status_under(null, &[Add("Origin: null")]), 101);
    assert_eq!(status_under(null, &[Add("Origin: file://")]), 403);
    assert!(OriginPolicy::allow(&["*"]).is_err(), "what can never match");
}

#[test]
fn any_origin_is_admitted_only_if_asked_for() {
    assert_eq!(OriginPolicy::default(), OriginPolicy::SameHost);
    for origin in ["Origin: https://evil.example", "Origin: null", "Origin: file://", "Origin: a://b c://d"] {
        assert_eq!(status_under(OriginPolicy::AllowAny, &[Add(origin)]), 101);
    }
    let repeated = [Add("Origin: https://a.example"), Add("Origin: https://b.example")];
    assert_eq!(status_under(OriginPolicy::AllowAny, &repeated), 403);
    // R8.1-1: what is handed to the application is ASCII.
    assert_eq!(status_under(OriginPolicy::AllowAny, &[Add("Origin: https://exämple.com")]), 403);
}

/// A request with `filler` put at its end.
fn padded(filler: &str) -> Vec<u8> {
    let mut request = bytes(&[]);
    request.truncate(request.len() - 2);
    request.extend_from_slice(filler.as_bytes());
    request.extend_from_slice(b"\r\n");
    request
}

#[test]
fn limits_are_exact_at_any_split() {
    // R9110-7, R9112-8
    let target = |len: usize| bytes(&[]).splice(4..16, vec![b'/'; len]).count();
    assert_eq!(target(1), 12);
    let with_target = |len: usize| {
        let mut request = bytes(&[]);
        request.splice(4..16, vec![b'/'; len]);
        request
    };
    let with_line = |len: usize| padded(&format!("X: {}\r\n", "a".repeat(len - 3)));
    let with_fields = |count: usize| padded(&"X: a\r\n".repeat(count - 5));
    let with_len = |len: usize| {
        let rest = len - padded("").len() - 2 * "X: \r\n".len();
        padded(&format!("X: {}\r\nX: {}\r\n", "a".repeat(rest / 2), "b".repeat(rest - rest / 2)))
    };
    for (what, request, expected) in [
        ("target at the limit", with_target(8_000), 101),
        ("target over it", with_target(8_001), 414),
        ("request line at its limit", with_target(8_192 - 13), 414),
        ("request line over it", with_target(8_192 - 12), 414),
        ("endless target", with_target(20_000), 414),
        ("cookies of 8.7 KB", padded(&format!("Cookie: {}\r\n", "c".repeat(8_700))), 101),
        ("a line that fills the head", with_line(16_384 - padded("").len() - 2), 101),
        ("a line over it", with_line(16_384 - padded("").len() - 1), 431),
        ("fields at the limit", with_fields(100), 101),
        ("fields over it", with_fields(101), 431),
        ("head at the limit", with_len(16_384), 101),
        ("head over it", with_len(16_385), 431),
    ] {
        let at_once = run(&request, request.len(), OriginPolicy::SameHost);
        assert_eq!(at_once.1, expected, "{what}");
        assert_eq!(run(&request, 1, OriginPolicy::SameHost), at_once, "{what}, byte by byte");
    }
    assert_eq!(with_len(16_384).len(), Config::default().max_head_len);
}

#[test]
fn limits_of_heads_can_be_set() {
    // R9110-7
    let fields = |count: usize| padded(&"X: a\r\n".repeat(count - 5));
    let lines = |count: usize| padded(&format!("X: {}\r\n", "a".repeat(1_000)).repeat(count));
    type Set = fn(&mut Config);
    for (set, request, expected) in [
        ((|config| config.max_head_len = 99) as Set, padded(""), Err(HandshakeError::HeadTooLong)),
        (|config| config.max_head_len = 64 << 10, lines(60), Ok(())),
        (|config| config.max_line_len = Some(50), padded(""), Ok(())),
        (|config| config.max_line_len = Some(42), padded(""), Err(HandshakeError::LineTooLong)),
        (|config| config.max_line_len = Some(10), padded(""), Err(HandshakeError::TargetTooLong)),
        (|config| config.max_header_fields = 5, fields(5), Ok(())),
        (|config| config.max_header_fields = 5, fields(6), Err(HandshakeError::TooManyFields)),
        (|config| config.max_header_fields = 1_000, fields(128), Ok(())),
        (|config| config.max_header_fields = 1_000, fields(129), Err(HandshakeError::TooManyFields)),
    ] {
        let mut config = Config::default();
        set(&mut config);
        let mut handshake = Handshake::new(Instant::ZERO, &config);
        let found = handshake.poll_head(Instant::ZERO, &request);
        assert_eq!(found.map(|len| assert_eq!(len, Some(request.len()))), expected);
        if expected.is_ok() {
            let head = handshake.request(&request, OriginPolicy::SameHost);
            assert!(matches!(head, Ok(Head::Upgrade(_))), "{head:?}");
        }
    }
}

#[test]
fn bytes_that_have_been_looked_at_are_not_looked_at_again() {
    let request = bytes(&[]);
    let mut handshake = Handshake::new(Instant::ZERO, &Config::default());
    let mut received = Vec::new();
    for (index, &byte) in request.iter().enumerate() {
        received.push(byte);
        let complete = index + 1 == request.len();
        let expected = Ok(complete.then_some(request.len()));
        assert_eq!(handshake.poll_head(Instant::ZERO, &received), expected);
        received[index] = b'\n';
    }
}

#[test]
fn what_can_not_become_a_head_is_refused_at_the_byte_that_shows_it() {
    for (bytes, what) in [
        (&b"\r\n\r\n"[..], "R9112-4: endless empty lines"),
        (b"GET / HTTP/1.1\r\n ", "R9112-7: space before the first field"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\t", "R9112-1: folded line"),
        (b"GET / HTTP/1.1\n", "R9112-3: bare LF"),
        (b"GET / HTTP/1.1\rH", "R9112-2: bare CR"),
        (b"GET /\0", "R9110-3: NUL"),
        (b"\x16", "TLS on a plain port"),
    ] {
        let mut handshake = Handshake::new(Instant::ZERO, &Config::default());
        let (_, before) = bytes.split_last().unwrap();
        assert_eq!(handshake.poll_head(Instant::ZERO, before), Ok(None), "{what}");
        for _ in 0..2 {
            assert_eq!(handshake.poll_head(Instant::ZERO, bytes), Err(HandshakeError::Syntax), "{what}");
        }
    }
}

#[test]
fn one_deadline_holds_for_the_whole_head() {
    let config = Config::default();
    let request = bytes(&[]);
    let (early, late) = (Instant::from_millis(9_999), Instant::from_millis(10_000));
    let mut handshake = Handshake::new(Instant::ZERO, &config);
    assert_eq!(handshake.poll_timeout(), Some(late));
    assert_eq!(handshake.poll_head(early, &request[..50]), Ok(None));
    assert_eq!(handshake.poll_timeout(), Some(late), "a byte does not prolong it");
    assert_eq!(handshake.handle_timeout(early), Ok(()));
    assert_eq!(handshake.clone().poll_head(early, &request), Ok(Some(request.len())));
    assert_eq!(handshake.handle_timeout(late), Err(HandshakeError::Timeout));
    assert_eq!(handshake.poll_head(late, &request), Err(HandshakeError::Timeout));
    assert_eq!(refuse(HandshakeError::Timeout, &request[..50]), 408);
}

#[test]
fn no_deadline_is_left_when_the_head_is_complete_or_the_timeout_is_off() {
    let request = bytes(&[]);
    let mut config = Config::default();
    let mut handshake = Handshake::new(Instant::ZERO, &config);
    assert_eq!(handshake.poll_head(Instant::ZERO, &request), Ok(Some(request.len())));
    assert_eq!(handshake.poll_timeout(), None);
    assert_eq!(handshake.handle_timeout(Instant::from_millis(60_000)), Ok(()));
    config.handshake_timeout = None;
    let mut handshake = Handshake::new(Instant::ZERO, &config);
    assert_eq!(handshake.poll_timeout(), None);
    assert_eq!(handshake.poll_head(Instant::from_nanos(u64::MAX), &request), Ok(Some(request.len())));
    config.handshake_timeout = Some(Duration::MAX);
    assert!(Handshake::new(Instant::ZERO, &config).poll_timeout().is_some());
}

/// The request, which has to be one for a WebSocket.
fn parsed(head: &[u8]) -> Request<'_> {
    match Request::parse(head, OriginPolicy::SameHost) {
        Ok(Head::Upgrade(request)) => request,
        other => panic!("{other:?}"),
    }
}

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
        (HttpVersion::Other, "GET", &[], &[], HandshakeError::HttpVersion, &plain),
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
