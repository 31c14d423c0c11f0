//! What a contender does in each group, and how it is checked before it is timed.

use std::{cell::RefCell, hint::black_box, iter, ops::Range, rc::Rc};

use ws_proto::{
    frame::{FrameHeader, Opcode},
    role::Side,
    server::{Head, OriginPolicy, Request},
};

use crate::{
    responder::Responder,
    transport::{READ_LEN, Transport},
};

/// The masking key of all frames that the harness makes.
pub const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A client that opens a connection.
pub trait Open {
    /// A client whose stream this is.
    fn new(stream: Responder) -> Self;

    /// Asks for [`TARGET`] at [`HOST`] and reads the answer; whether the connection is open then.
    fn open(&mut self) -> bool;
}

/// Some code to time: runs as many passes as it is told.
pub type Run = Box<dyn FnMut(u64)>;

/// A server that takes whole messages out of what it reads.
pub trait Decode {
    /// A connection on `transport`, open already.
    fn new(transport: Transport) -> Self;

    /// Ends this connection and opens another, which takes over only memory that the connections of a thread share.
    #[must_use]
    fn renew(self, transport: Transport) -> Self
    where
        Self: Sized,
    {
        drop(self);
        Self::new(transport)
    }

    /// Takes message after message, until the transport has no more.
    fn decode(&mut self, each: &mut impl FnMut(&[u8]));
}

/// One end that sends a binary message again and again.
pub trait Encode {
    /// A connection on `transport`, open already. The contender may keep `payload` in the form it likes best.
    fn new(transport: Transport, side: Side, payload: &'static [u8]) -> Self;

    /// Sends the message; it need not have arrived before [`flush`](Self::flush).
    fn send(&mut self);

    /// Sends the message in the way that suits one message best, and flushes.
    fn send_one(&mut self) {
        self.send();
        self.flush();
    }

    /// Hands what was sent to the transport.
    fn flush(&mut self);
}

/// Masks in place.
pub trait Masking {
    /// Masks `payload`, whose first byte belongs to the key's first.
    fn apply(payload: &mut [u8], key: [u8; 4]);
}

/// Validates text.
pub trait Validate {
    /// Whether a text, which comes in these pieces, is UTF-8.
    fn is_valid<'t>(pieces: impl Iterator<Item = &'t [u8]>) -> bool;
}

/// A server that answers a browser's request.
pub trait Handshake {
    /// A server that will find requests on `transport`.
    fn new(transport: Transport) -> Self;

    /// Reads a request, writes the response and makes a connection of it.
    fn accept(&mut self);
}

/// Lets `D` decode what has arrived on `transport`, which carries `count` messages: `payloads`, again and again.
///
/// # Errors
///
/// The first pass or the one after it, which meets what the first has left behind, gave something else.
pub fn decode<D: Decode + 'static>(
    transport: Transport,
    payloads: &[Vec<u8>],
    count: usize,
) -> Result<Run, String> {
    let mut contender = D::new(transport.clone());
    for _ in 0..2 {
        check_decoded(&mut contender, &transport, payloads, count)?;
    }
    Ok(Box::new(move |passes| {
        for _ in 0..passes {
            transport.rewind();
            // Written out in both groups: in one function for both, the compiler does not inline all of it.
            contender.decode(&mut |message| {
                black_box(message);
            });
        }
    }))
}

/// Lets a connection of `D`'s that takes no other pass decode each of them; as [`decode`].
///
/// # Errors
///
/// As [`decode`].
pub fn decode_fresh<D: Decode + 'static>(
    transport: Transport,
    payloads: &[Vec<u8>],
    count: usize,
) -> Result<Run, String> {
    let mut contender = D::new(transport.clone());
    for _ in 0..2 {
        contender = contender.renew(transport.clone());
        check_decoded(&mut contender, &transport, payloads, count)?;
    }
    let mut last = Some(contender);
    Ok(Box::new(move |passes| {
        for _ in 0..passes {
            transport.rewind();
            let fresh = last.take().map(|last| last.renew(transport.clone()));
            let contender = last.insert(fresh.unwrap_or_else(|| D::new(transport.clone())));
            contender.decode(&mut |message| {
                black_box(message);
            });
        }
    }))
}

/// Lets `contender` take one pass and compares.
fn check_decoded(
    contender: &mut impl Decode,
    transport: &Transport,
    payloads: &[Vec<u8>],
    count: usize,
) -> Result<(), String> {
    let mut expected = payloads.iter().cycle();
    let mut seen = 0;
    let mut wrong = None;
    transport.rewind();
    contender.decode(&mut |message| {
        if expected.next().is_none_or(|payload| message != payload) && wrong.is_none() {
            wrong = Some(format!("message {seen} is {} bytes that were not sent", message.len()));
        }
        seen += 1;
    });
    match wrong {
        Some(wrong) => Err(wrong),
        None if seen != count || !transport.is_drained() => Err(format!("{seen} messages instead of {count}")),
        None => Ok(()),
    }
}

/// How messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// Each is handed to the transport before the next.
    OneByOne,
    /// All of a pass are handed to the transport together.
    Batch,
}

/// Lets `E` send `payload` `count` times a pass.
///
/// # Errors
///
/// What came out is not these messages.
pub fn encode<E: Encode + 'static>(
    side: Side,
    sending: Sending,
    payload: &'static [u8],
    count: usize,
) -> Result<Run, String> {
    let transport = Transport::new([], READ_LEN);
    let mut contender = E::new(transport.clone(), side, payload);
    let pass = move |transport: &Transport| {
        transport.clear_output();
        match sending {
            // Each time the contender may be another one: nothing of it is known from the last message.
            Sending::OneByOne => (0..count).for_each(|_| black_box(&mut contender).send_one()),
            Sending::Batch => {
                (0..count).for_each(|_| black_box(&mut contender).send());
                contender.flush();
            }
        }
    };
    checked(transport, pass, side, payload, count)
}

/// Lets `count` connections of `E`'s send `payload` once each in a pass, as to the members of a room.
///
/// # Errors
///
/// As [`encode`].
pub fn broadcast<E: Encode + 'static>(side: Side, payload: &'static [u8], count: usize) -> Result<Run, String> {
    let transport = Transport::new([], READ_LEN);
    let mut members: Vec<_> = (0..count).map(|_| E::new(transport.clone(), side, payload)).collect();
    let pass = move |transport: &Transport| {
        transport.clear_output();
        members.iter_mut().for_each(E::send_one);
    };
    checked(transport, pass, side, payload, count)
}

/// Returns the run of `pass`, which sends `payload` `count` times to a transport that it has cleared.
///
/// # Errors
///
/// As [`encode`].
fn checked(
    transport: Transport,
    mut pass: impl FnMut(&Transport) + 'static,
    side: Side,
    payload: &[u8],
    count: usize,
) -> Result<Run, String> {
    for _ in 0..2 {
        pass(&transport);
        check_frames(&transport.output(), side, payload, count)?;
    }
    Ok(Box::new(move |passes| {
        for _ in 0..passes {
            pass(&transport);
        }
    }))
}

/// Checks that `wire` is `count` frames that carry `payload`.
pub(crate) fn check_frames(mut wire: &[u8], side: Side, payload: &[u8], count: usize) -> Result<(), String> {
    for at in 0..count {
        let Ok(Some((header, header_len))) = FrameHeader::decode(wire) else {
            return Err(format!("frame {at} has no header"));
        };
        let masked = header.masking_key.is_some();
        let len = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
        if !header.fin || header.opcode != Opcode::Binary || masked != (side == Side::Client) {
            return Err(format!("frame {at} has the header {header:?}"));
        }
        let Some((sent, rest)) = wire[header_len..].split_at_checked(len) else {
            return Err(format!("frame {at} is cut"));
        };
        let key = header.masking_key.map_or([0; 4], |key| key.to_bytes());
        let unmasked: Vec<u8> = sent.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        if unmasked != payload {
            return Err(format!("frame {at} has a payload of {len} bytes that was not sent"));
        }
        wire = rest;
    }
    if wire.is_empty() { Ok(()) } else { Err(format!("{} bytes too many", wire.len())) }
}

/// The memory in which all contenders of a cell mask.
#[derive(Clone)]
pub struct Masked {
    memory: Rc<RefCell<Vec<u8>>>,
    /// Where payloads begin.
    places: Range<usize>,
    /// The distance from the start of a payload to that of the next one.
    stride: usize,
    len: usize,
}

impl Masked {
    /// Memory for payloads of `len` bytes that begin `offset` bytes behind a cache line's first.
    #[must_use]
    pub fn new(len: usize, offset: usize) -> Self {
        const LINE: usize = 64;
        // Small payloads take turns, as in a read that holds many: otherwise each would wait for its own last stores.
        const ALL: usize = 8 << 10;
        let stride = len.next_multiple_of(LINE) + LINE;
        let places = (ALL / stride).max(1) * stride;
        let memory: Vec<_> = (0..251).cycle().take(places + 2 * LINE).collect();
        let start = memory.as_ptr().align_offset(LINE) + offset;
        Self { memory: Rc::new(RefCell::new(memory)), places: start..start + places, stride, len }
    }

    /// Lets `M` mask.
    ///
    /// # Errors
    ///
    /// The result is not the XOR with the key.
    pub fn mask<M: Masking>(self) -> Result<Run, String> {
        let Self { memory, places, stride, len } = self;
        let mut expected = memory.borrow().clone();
        for at in places.clone().step_by(stride) {
            expected[at..][..len].iter_mut().zip(KEY.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
            M::apply(&mut memory.borrow_mut()[at..][..len], KEY);
        }
        if *memory.borrow() != expected {
            return Err("not the XOR with the key, or bytes beside the payload were written".into());
        }
        let mut at = places.start;
        Ok(Box::new(move |passes| {
            let memory = &mut *memory.borrow_mut();
            for _ in 0..passes {
                M::apply(black_box(&mut memory[at..][..len]), black_box(KEY));
                at += stride;
                if at >= places.end {
                    at = places.start;
                }
            }
        }))
    }
}

/// Lets `V` validate `text` in pieces of `piece_len` bytes; a whole text comes without the work of cutting it.
///
/// # Errors
///
/// It refuses that, or takes what is no text.
pub fn validate<V: Validate>(text: Rc<[u8]>, piece_len: usize) -> Result<Run, String> {
    if !V::is_valid(text.chunks(piece_len)) {
        return Err("refuses the text".into());
    }
    for (at, byte) in [(0, 0xFF), (text.len() / 2, 0xC0), (text.len() - 1, 0xE2)] {
        let mut wrong = text.to_vec();
        wrong[at] = byte;
        if V::is_valid(wrong.chunks(piece_len)) {
            return Err(format!("takes {byte:02x} at {at} of {}", text.len()));
        }
    }
    if piece_len == text.len() {
        return Ok(Box::new(move |passes| {
            for _ in 0..passes {
                black_box(V::is_valid(iter::once(black_box(&*text))));
            }
        }));
    }
    Ok(Box::new(move |passes| {
        for _ in 0..passes {
            black_box(V::is_valid(black_box(&text).chunks(piece_len)));
        }
    }))
}

/// What Chrome sends when a page opens a WebSocket.
pub const REQUEST: &[u8] = b"GET /chat?room=42 HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
    Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: http://server.example.com\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// As few fields as a request may have: Host and the four of RFC 6455 section 4.1.
pub const SHORT_REQUEST: &[u8] = b"GET /chat?room=42 HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// A browser's without cookies: 12 fields, 421 bytes.
pub const MIDDLING_REQUEST: &[u8] = b"GET /chat?room=42 HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0\r\n\
    Upgrade: websocket\r\n\
    Origin: http://server.example.com\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip\r\n\
    Accept-Language: en\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// Lets `H` answer `request`, whose key is that of RFC 6455 section 1.3.
///
/// # Errors
///
/// The response is not the right 101.
pub fn handshake<H: Handshake + 'static>(request: &'static [u8]) -> Result<Run, String> {
    let transport = Transport::new(request, READ_LEN);
    let mut contender = H::new(transport.clone());
    for _ in 0..2 {
        transport.rewind();
        transport.clear_output();
        contender.accept();
        let response = String::from_utf8_lossy(&transport.output()).into_owned();
        let right = response.starts_with("HTTP/1.1 101")
            && response.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
            && response.ends_with("\r\n\r\n");
        if !right {
            return Err(format!("answered {response:?}"));
        }
    }
    Ok(Box::new(move |passes| {
        for _ in 0..passes {
            transport.rewind();
            transport.clear_output();
            contender.accept();
        }
    }))
}

/// Whom clients ask.
pub const HOST: &str = "server.example.com";
/// What clients ask for.
pub const TARGET: &str = "/chat?room=42";
/// Both.
pub const URL: &str = "ws://server.example.com/chat?room=42";

/// Lets `O` open connections.
///
/// # Errors
///
/// It sends no such request, doesn't take the right answer, or takes a wrong one.
pub fn open<O: Open + 'static>() -> Result<Run, String> {
    let responder = Responder::default();
    let mut contender = O::new(responder.clone());
    for _ in 0..2 {
        responder.restart(false);
        if !contender.open() {
            return Err("does not take the right answer".into());
        }
        let request = responder.request();
        match Request::parse(&request, OriginPolicy::AllowAny) {
            Ok(Head::Upgrade(request)) if request.target().as_bytes() == TARGET.as_bytes() => {}
            other => return Err(format!("asks {:?}: {other:?}", String::from_utf8_lossy(&request))),
        }
    }
    responder.restart(true);
    if contender.open() {
        return Err("takes an answer to another key".into());
    }
    Ok(Box::new(move |passes| {
        for _ in 0..passes {
            responder.restart(false);
            black_box(contender.open());
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_as_many_fields_and_bytes_as_they_say() {
        let shape = |request: &[u8]| (request.windows(2).filter(|end| end == b"\r\n").count() - 2, request.len());
        assert_eq!(shape(SHORT_REQUEST).0, 5);
        assert_eq!(shape(MIDDLING_REQUEST), (12, 421));
        assert_eq!(shape(REQUEST).0, 13);
    }
}
