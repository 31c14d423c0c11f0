//! The yardstick: the least work that can be done, without a protocol around it.
//!
//! | limit | what it does |
//! |---|---|
//! | `limit-copy` | reads; validates text. Its input is masked with zeros |
//! | `limit-mask+validate` | reads; unmasks; then validates text |
//! | `limit-fused` | reads; unmasks and looks for a byte that is not ASCII in one pass; validates from there on |
//! | `limit-safe` | the same in safe code, which the compiler makes SSE2 of |
//!
//! Frames are taken on trust: final, unreserved, masked, of minimal length.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod key;
mod safe;

use std::hint::black_box;

use ws_proto::role::Side;

use self::key::turn;
use crate::{
    contender::{Decode, Encode, HOST, KEY, Masking, Open, TARGET, Validate},
    responder::{Responder, SansIo},
    transport::Transport,
};

/// What fits in the first-level cache together with what it is copied from.
const WINDOW: usize = 16 << 10;

/// What is done to payload.
pub trait Work {
    /// Unmasks `payload`, whose first byte `key` has been turned to.
    fn unmask(payload: &mut [u8], key: u32);

    /// Unmasks `payload`; how many bytes at its start were seen to be ASCII.
    fn unmask_text(payload: &mut [u8], key: u32) -> usize;
}

/// `limit-copy`.
pub struct Copy;
/// `limit-mask+validate`.
pub struct TwoPasses;
/// `limit-fused`.
pub struct Fused;
/// `limit-safe`.
pub struct Safe;

impl Work for Copy {
    fn unmask(_: &mut [u8], _: u32) {}

    fn unmask_text(_: &mut [u8], _: u32) -> usize {
        0
    }
}

impl Work for Safe {
    #[inline]
    fn unmask(payload: &mut [u8], key: u32) {
        safe::unmask(payload, key);
    }

    #[inline]
    fn unmask_text(payload: &mut [u8], key: u32) -> usize {
        safe::unmask_text(payload, key)
    }
}

#[cfg(target_arch = "x86_64")]
use avx2 as best;
#[cfg(not(target_arch = "x86_64"))]
use safe as best;

impl Work for TwoPasses {
    #[inline]
    fn unmask(payload: &mut [u8], key: u32) {
        best::unmask(payload, key);
    }

    #[inline]
    fn unmask_text(payload: &mut [u8], key: u32) -> usize {
        best::unmask(payload, key);
        0
    }
}

impl Work for Fused {
    #[inline]
    fn unmask(payload: &mut [u8], key: u32) {
        best::unmask(payload, key);
    }

    #[inline]
    fn unmask_text(payload: &mut [u8], key: u32) -> usize {
        best::unmask_text(payload, key)
    }
}

/// A server that does `W` to the payload of final frames, a window at a time.
pub struct Reader<W> {
    transport: Transport,
    buffer: Vec<u8>,
    /// What has been read and not been taken.
    start: usize,
    end: usize,
    work: std::marker::PhantomData<W>,
}

/// A frame's header.
struct Header {
    len: usize,
    text: bool,
    key: u32,
    payload_len: usize,
}

impl Header {
    /// The header at the start of `bytes`; `None` if more must be read.
    #[inline]
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let text = first == 0x81;
        let (len, payload_len, rest) = match second {
            0xFE => {
                let (&len, rest) = rest.split_first_chunk()?;
                (8, usize::from(u16::from_be_bytes(len)), rest)
            }
            0xFF => {
                let (&len, rest) = rest.split_first_chunk()?;
                (14, usize::try_from(u64::from_be_bytes(len)).ok()?, rest)
            }
            short => (6, usize::from(short & 0x7F), rest),
        };
        let key = u32::from_le_bytes(*rest.first_chunk()?);
        Some(Self { len, text, key, payload_len })
    }
}

impl<W: Work> Reader<W> {
    /// Reads at most `len` bytes behind what is there; whether there were any.
    #[inline]
    fn read(&mut self, len: usize) -> bool {
        let room = &mut self.buffer[self.end..][..len];
        let read = self.transport.receive(room);
        self.end += read;
        read > 0
    }

    /// Reads the next header, moving what is there of it to the start of the buffer.
    #[cold]
    fn read_header(&mut self) -> bool {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.read(WINDOW)
    }

    /// Takes a payload of which only a part has been read, reading to its end and no further.
    fn take_cut(&mut self, header: &Header) -> bool {
        let end = self.start + header.payload_len;
        let (mut done, mut validated) = (self.start, self.start);
        loop {
            let key = turn(header.key, done - self.start);
            let piece = &mut self.buffer[done..self.end];
            if header.text && validated == done {
                validated += W::unmask_text(piece, key);
            } else {
                W::unmask(piece, key);
            }
            if header.text && validated < self.end {
                validated += valid_len(&self.buffer[validated..self.end]);
            }
            done = self.end;
            if done == end {
                return !header.text || validated == end;
            }
            if !self.read(WINDOW.min(end - done)) {
                return false;
            }
        }
    }
}

/// How many bytes of `text` are whole and valid code points.
#[inline]
fn valid_len(text: &[u8]) -> usize {
    match simdutf8::compat::from_utf8(text) {
        Ok(_) => text.len(),
        Err(error) => error.valid_up_to(),
    }
}

impl<W: Work> Decode for Reader<W> {
    fn new(transport: Transport) -> Self {
        let buffer = vec![0; transport.storage_len() + WINDOW];
        Self { transport, buffer, start: 0, end: 0, work: std::marker::PhantomData }
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        loop {
            let Some(header) = Header::parse(&self.buffer[self.start..self.end]) else {
                if self.read_header() {
                    continue;
                }
                return;
            };
            self.start += header.len;
            let end = self.start + header.payload_len;
            let valid = if end > self.end {
                self.take_cut(&header)
            } else {
                let payload = &mut self.buffer[self.start..end];
                if header.text {
                    let ascii = W::unmask_text(payload, header.key);
                    ascii == payload.len() || simdutf8::basic::from_utf8(&payload[ascii..]).is_ok()
                } else {
                    W::unmask(payload, header.key);
                    true
                }
            };
            if !valid {
                return;
            }
            each(&self.buffer[self.start..end]);
            self.start = end;
        }
    }
}

/// `limit-copy` of a server, `limit-fused` of a client: a header written in one store, the payload copied or masked
/// as it is copied.
pub struct Writer {
    transport: Transport,
    payload: &'static [u8],
    masked: bool,
    out: Vec<u8>,
    end: usize,
}

impl Writer {
    /// Writes the header of a final frame to `out`, which holds 16 bytes; its length.
    #[inline]
    fn header(out: &mut [u8], masked: bool, opcode: u8, payload_len: usize) -> usize {
        let mask_bit: u128 = if masked { 0x80 } else { 0 };
        let wide = payload_len as u128;
        let (bytes, len) = match payload_len {
            0..=125 => ((mask_bit | wide) << 112, 2),
            126..=0xFFFF => (((mask_bit | 126) << 112) | (wide << 96), 4),
            _ => (((mask_bit | 127) << 112) | (wide << 48), 10),
        };
        let bytes = bytes | (u128::from(0x80 | opcode) << 120);
        out[..16].copy_from_slice(&bytes.to_be_bytes());
        if masked {
            out[len..len + 4].copy_from_slice(&KEY);
            return len + 4;
        }
        len
    }
}

impl Encode for Writer {
    fn new(transport: Transport, side: Side, payload: &'static [u8]) -> Self {
        let masked = side == Side::Client;
        Self { transport, payload, masked, out: vec![0; (2 << 20) + 256], end: 0 }
    }

    #[inline]
    fn send(&mut self) {
        let payload = black_box(self.payload);
        let out = &mut self.out[self.end..];
        let header_len = Self::header(out, self.masked, 2, payload.len());
        let copy = &mut out[header_len..][..payload.len()];
        if self.masked {
            best::mask_copy(payload, copy, u32::from_le_bytes(KEY));
        } else {
            copy.copy_from_slice(payload);
        }
        self.end += header_len + payload.len();
    }

    fn send_one(&mut self) {
        if self.masked {
            self.send();
            self.flush();
            return;
        }
        let payload = black_box(self.payload);
        let mut header = [0; 16];
        let len = Self::header(&mut header, false, 2, payload.len());
        self.transport.send_vectored([&header[..len], payload]);
    }

    fn flush(&mut self) {
        self.transport.send(&self.out[..self.end]);
        self.end = 0;
    }
}

impl Masking for Fused {
    fn apply(payload: &mut [u8], key: [u8; 4]) {
        best::unmask(payload, u32::from_le_bytes(key));
    }
}

impl Masking for Safe {
    fn apply(payload: &mut [u8], key: [u8; 4]) {
        safe::unmask(payload, u32::from_le_bytes(key));
    }
}

/// Knows nothing of its answer's: what the harness needs for one.
pub struct Opener {
    end: SansIo,
    request: Vec<u8>,
}

impl Open for Opener {
    fn new(stream: Responder) -> Self {
        let request = format!(
            "GET {TARGET} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        Self { end: SansIo::new(stream), request: request.into_bytes() }
    }

    fn open(&mut self) -> bool {
        let answer = self.end.ask(&self.request);
        // RFC 6455 section 1.3 has this key's answer.
        answer.ends_with(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    }
}

/// The standard library's validator.
pub struct Std;

impl Validate for Std {
    fn is_valid<'t>(mut pieces: impl Iterator<Item = &'t [u8]>) -> bool {
        pieces.all(|text| std::str::from_utf8(text).is_ok())
    }
}

/// simdutf8's, which needs all of a text at once.
pub struct Simdutf8;

impl Validate for Simdutf8 {
    fn is_valid<'t>(mut pieces: impl Iterator<Item = &'t [u8]>) -> bool {
        pieces.all(|text| simdutf8::basic::from_utf8(text).is_ok())
    }
}
