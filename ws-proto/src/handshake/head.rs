//! Finding and parsing heads (RFC 9112 section 2), the same for requests and responses.

use core::mem::MaybeUninit;

use super::{
    Fields, HandshakeError, MAX_FIELDS, MAX_TARGET_LEN,
    foreign::{self, Start},
};
use crate::{
    config::Config,
    part::{narrow, part, sure},
};
/// What a head begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Request,
    Response,
}

/// How much of a head is accepted.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    head_len: usize,
    line_len: usize,
    fields: usize,
}

impl HeadLimits {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            head_len: config.max_head_len,
            line_len: config.max_line_len.unwrap_or(config.max_head_len),
            fields: config.max_header_fields.min(MAX_FIELDS),
        }
    }
}

/// The longest request line: the longest target, with room for a method and the version.
const MAX_REQUEST_LINE_LEN: usize = MAX_TARGET_LEN + 192;

/// Finds the empty line that ends a head. Holds no bytes, only how far it has looked.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadFinder {
    message: Message,
    limits: HeadLimits,
    /// Where the head begins: after the interim responses.
    start: usize,
    /// Bytes looked at.
    scanned: usize,
    /// Bytes of the current line.
    line_len: usize,
    /// Lines that have ended, with the start line.
    lines: usize,
    /// Whether an empty line may still precede the start line.
    empty_line_allowed: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The protocol is not known yet.
    Start,
    LineStart,
    Line,
    CarriageReturn,
    Complete,
}

impl HeadFinder {
    pub(super) fn new(message: Message, limits: HeadLimits) -> Self {
        Self {
            message,
            limits,
            start: 0,
            scanned: 0,
            line_len: 0,
            lines: 0,
            // RFC 9112 §2.2: an empty line before a request is to be ignored; nothing says so of responses.
            empty_line_allowed: message == Message::Request,
            state: match message {
                Message::Request => State::LineStart,
                Message::Response => State::Start,
            },
        }
    }

    /// The next head begins where the one found has ended. Each has the limits for itself.
    pub(super) fn next_head(&mut self) {
        *self = Self { start: self.scanned, scanned: self.scanned, ..Self::new(self.message, self.limits) };
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// The head that has been found in `received`, without an empty line before it.
    pub(super) fn head<'h>(&self, received: &'h [u8]) -> Result<&'h [u8], HandshakeError> {
        let head = received.get(..self.scanned).filter(|_| self.is_complete()).ok_or(HandshakeError::Syntax)?;
        Ok(head.strip_prefix(b"\r\n").unwrap_or(head))
    }

    /// Looks at the bytes of `received` that are new, and tells where the head ends.
    pub(super) fn find(&mut self, received: &[u8]) -> Result<Option<usize>, HandshakeError> {
        if self.state == State::Start {
            match foreign::start(received.get(self.start..).unwrap_or_default()) {
                Start::Http => self.state = State::LineStart,
                Start::Undecided => return Ok(None),
                Start::Foreign(looks_like) => return Err(HandshakeError::NotHttp(looks_like)),
            }
        }
        let most = self.start.saturating_add(self.limits.head_len);
        while !self.is_complete() {
            if self.scanned >= most {
                return Err(HandshakeError::HeadTooLong);
            }
            // A host may call with fewer bytes than it had before.
            let rest = received.get(self.scanned..received.len().min(most)).unwrap_or_default();
            let Some(&byte) = rest.first() else {
                return Ok(None);
            };
            // What a line consists of, as far as it goes.
            let run = match self.state {
                State::Line => text_run(rest),
                State::LineStart if !is_space(byte) => text_run(rest),
                State::Start | State::LineStart | State::CarriageReturn | State::Complete => 0,
            };
            if run == 0 {
                self.step(byte)?;
                self.scanned += 1;
                continue;
            }
            self.extend_line(run)?;
            self.scanned += run;
            if let Some([b'\r', b'\n', ..]) = rest.get(run..) {
                self.end_line()?;
                self.scanned += 2;
            }
        }
        Ok(Some(self.scanned))
    }

    fn step(&mut self, byte: u8) -> Result<(), HandshakeError> {
        match (self.state, byte) {
            (State::CarriageReturn, b'\n') => self.end_line(),
            // RFC 9112 §2.2: a CR alone ends no line, though others may read it so.
            (State::CarriageReturn, _) => Err(HandshakeError::Syntax),
            (_, b'\r') => {
                self.state = State::CarriageReturn;
                Ok(())
            }
            // RFC 9112 §5.2: a folded line, or white space before the first field.
            (State::LineStart, byte) if is_space(byte) => Err(HandshakeError::Syntax),
            (_, byte) if is_text(byte) => self.extend_line(1),
            // Neither does an LF alone; NUL and the other controls stand nowhere.
            _ => Err(HandshakeError::Syntax),
        }
    }

    /// Counts `len` bytes to the current line.
    fn extend_line(&mut self, len: usize) -> Result<(), HandshakeError> {
        if self.lines > self.limits.fields {
            return Err(HandshakeError::TooManyFields);
        }
        self.line_len = self.line_len.saturating_add(len);
        if (self.message, self.lines) == (Message::Request, 0) {
            if self.line_len > self.limits.line_len.min(MAX_REQUEST_LINE_LEN) {
                return Err(HandshakeError::TargetTooLong);
            }
        } else if self.line_len > self.limits.line_len {
            return Err(HandshakeError::LineTooLong);
        }
        self.state = State::Line;
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), HandshakeError> {
        self.state = match (self.line_len, self.lines) {
            (0, 0) if !self.empty_line_allowed => return Err(HandshakeError::Syntax),
            (0, 0) => {
                self.empty_line_allowed = false;
                State::LineStart
            }
            (0, _) => State::Complete,
            _ => {
                self.lines += 1;
                State::LineStart
            }
        };
        self.line_len = 0;
        Ok(())
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Whether `byte` may stand within a line.
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= 0x20 && byte != 0x7F
}

/// How many bytes at the start of `bytes` may stand within a line; the run may end before others that may.
fn text_run(bytes: &[u8]) -> usize {
    match visible_run(bytes) {
        0 => other_run(bytes),
        run => run,
    }
}

/// [`text_run`] of tabs and what is not ASCII.
#[cold]
fn other_run(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| is_text(**byte) && is_stop(**byte)).count()
}

/// [`text_run`] of visible ASCII and spaces; most heads have no other text.
fn visible_run(bytes: &[u8]) -> usize {
    const STEP: usize = 32;
    let mut run = 0;
    // Many bytes with one branch, then a word's.
    while let Some(step) = bytes.get(run..).and_then(<[u8]>::first_chunk::<STEP>) {
        if step.iter().fold(false, |stops, &byte| stops | is_stop(byte)) {
            break;
        }
        run += STEP;
    }
    while let Some(&word) = bytes.get(run..).and_then(<[u8]>::first_chunk) {
        let stops = stops(u64::from_le_bytes(word));
        if stops != 0 {
            // At most 7 more.
            return run + narrow::<_, usize>(stops.trailing_zeros() / 8);
        }
        run += 8;
    }
    let rest = part(bytes, run..);
    run + rest.iter().position(|&byte| is_stop(byte)).unwrap_or(rest.len())
}

/// Whether `byte` is not ASCII or a control character.
const fn is_stop(byte: u8) -> bool {
    // One comparison with a sign: what follows DEL is the lowest number.
    i8::from_ne_bytes([byte.wrapping_add(1)]) <= 0x20
}

/// The top bit of each byte in `word` that [`is_stop`].
const fn stops(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    // Sums of seven bits stay in their bytes.
    let low = word & !TOPS;
    (word | (low + ONES) | !(low + ONES * 0x60)) & TOPS
}

/// The head of a request that `bytes` start with, from its start line on.
///
/// It has been through a finder once, but not necessarily by the hands of this caller. The limits are the default ones.
pub(super) fn split(bytes: &[u8]) -> Result<&[u8], HandshakeError> {
    let mut finder = HeadFinder::new(Message::Request, HeadLimits::new(&Config::new()));
    finder.find(bytes)?;
    finder.head(bytes)
}

/// Room for the parser to note where each field line is.
pub(super) type Lines<'h> = [MaybeUninit<httparse::Header<'h>>; MAX_FIELDS];

/// Nothing noted yet.
pub(super) const NO_LINES: Lines<'_> = [const { MaybeUninit::uninit() }; MAX_FIELDS];

pub(super) struct RequestHead<'l, 'h> {
    pub(super) version: HttpVersion,
    pub(super) method: &'h str,
    pub(super) target: &'h str,
    /// The field lines, as the parser has noted them.
    pub(super) lines: &'l [httparse::Header<'h>],
    /// The same, to be found again without notes.
    pub(super) fields: Fields<'h>,
}

impl<'l, 'h> RequestHead<'l, 'h> {
    /// Parses a head that a finder has found.
    pub(super) fn parse(head: &'h [u8], room: &'l mut Lines<'h>) -> Result<Self, HandshakeError> {
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(head, room) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::Version) => return Err(version_error(start_line(head).nth(2))),
            Ok(httparse::Status::Partial) | Err(_) => return Err(HandshakeError::Syntax),
        }
        let lines = request.headers;
        match (request.version, request.method, request.path) {
            (Some(minor), Some(method), Some(target)) => {
                let version = HttpVersion::of_minor(minor);
                Ok(Self { version, method, target, lines, fields: Fields::of_head(head) })
            }
            _ => Err(HandshakeError::Syntax),
        }
    }
}

/// What is wrong where a parser has expected HTTP/1.0 or HTTP/1.1.
fn version_error(version: Option<&[u8]>) -> HandshakeError {
    match version.and_then(|version| version.strip_prefix(b"HTTP/")) {
        Some(b"1.0" | b"1.1") => HandshakeError::Syntax,
        // RFC 9112 §2.3: one digit on each side, the name in capitals.
        Some([b'0'..=b'9', b'.', b'0'..=b'9']) => HandshakeError::HttpVersion,
        _ => HandshakeError::Syntax,
    }
}

/// The parts of a start line; the third may hold spaces.
fn start_line(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let line = sure(head.split(|&byte| byte == b'\r').next());
    line.splitn(3, |&byte| byte == b' ')
}

pub(super) struct ResponseHead<'h, X> {
    pub(super) version: HttpVersion,
    pub(super) status: u16,
    pub(super) reason: &'h [u8],
    pub(super) fields: Fields<'h>,
    /// What has been found in the field lines.
    pub(super) found: X,
}

/// The version of an HTTP message (RFC 9110 section 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0: pages can be asked for, but no WebSocket.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// Any other, in which no upgrade exists.
    Other,
}

impl HttpVersion {
    /// The version that the parser calls 1.`minor`.
    const fn of_minor(minor: u8) -> Self {
        match minor {
            0 => Self::Http10,
            1 => Self::Http11,
            _ => Self::Other,
        }
    }
}

impl<'h, X> ResponseHead<'h, X> {
    /// Parses a head that a finder has found; `find` is shown the field lines, as the parser has noted them, since these notes
    /// take more room than all else.
    #[inline(never)]
    pub(super) fn parse(
        head: &'h [u8],
        find: impl FnOnce(&[httparse::Header<'h>]) -> X,
    ) -> Result<Self, HandshakeError> {
        let mut room = NO_LINES;
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut response, head, &mut room) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::Version) => return Err(version_error(start_line(head).next())),
            Ok(httparse::Status::Partial) | Err(_) => return Err(HandshakeError::Syntax),
        }
        let version = response.version.map_or(HttpVersion::Other, HttpVersion::of_minor);
        let reason = start_line(head).nth(2).unwrap_or_default();
        let status = response.code.filter(|&code| code >= 100).ok_or(HandshakeError::Status)?;
        Ok(Self { version, status, reason, fields: Fields::of_head(head), found: find(response.headers) })
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::{super::LooksLike, *};

    const HEAD: &[u8] = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";

    const CONFIG: Config = Config::new();

    fn finder(message: Message) -> HeadFinder {
        HeadFinder::new(message, HeadLimits::new(&CONFIG))
    }

    /// The outcome of feeding `bytes` one by one.
    fn drip(message: Message, bytes: &[u8]) -> Result<Option<usize>, HandshakeError> {
        drip_to(finder(message), bytes)
    }

    fn drip_to(mut finder: HeadFinder, bytes: &[u8]) -> Result<Option<usize>, HandshakeError> {
        (0..=bytes.len()).find_map(|len| finder.find(&bytes[..len]).transpose()).transpose()
    }

    #[test]
    fn the_end_is_found_at_any_split() {
        let mut bytes = HEAD.to_vec();
        bytes.extend_from_slice(b"\x81\x80\r\n\r\n");
        for split in 0..=bytes.len() {
            let mut finder = finder(Message::Request);
            let early = finder.find(&bytes[..split]);
            assert_eq!(early, Ok(Some(HEAD.len()).filter(|_| split >= HEAD.len())));
            assert_eq!(finder.find(&bytes), Ok(Some(HEAD.len())));
        }
    }

    #[test]
    fn a_run_ends_where_a_line_may() {
        // In long texts only those beside which the answer changes.
        let edges = [0x00, 0x08, 0x09, 0x0A, 0x0D, 0x1F, 0x20, 0x7E, 0x7F, 0x80, 0xFF];
        let bytes = |len| (0..=u8::MAX).filter(move |byte| len < 20 || edges.contains(byte));
        for text in [&b" ~a"[..], b" ~\x80\xFFa"] {
            for (len, byte) in (0..70).flat_map(|len| bytes(len).map(move |byte| (len, byte))) {
                for at in 0..len {
                    let mut bytes: Vec<u8> = text.iter().copied().cycle().take(len).collect();
                    bytes[at] = byte;
                    let mut runs = 0;
                    // One of visible ASCII and one of other text, by turns.
                    while let run @ 1.. = text_run(&bytes[runs..]) {
                        runs += run;
                    }
                    assert_eq!(runs, if is_text(byte) { len } else { at }, "{len} {at} {byte}");
                }
            }
        }
    }

    #[test]
    fn each_byte_is_looked_at_once() {
        // The longest head there may be. Bytes that have been looked at are made illegal: looking again would
        // show it.
        let mut head = b"GET / HTTP/1.1\r\n".to_vec();
        while head.len() < CONFIG.max_head_len - 4 {
            head.extend_from_slice(b"name:");
            head.resize((head.len() + 500).min(CONFIG.max_head_len - 4), b'v');
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        assert_eq!(head.len(), CONFIG.max_head_len);
        let mut finder = finder(Message::Request);
        let mut received = Vec::new();
        for (index, &byte) in head.iter().enumerate() {
            received.push(byte);
            let complete = index + 1 == head.len();
            assert_eq!(finder.find(&received), Ok(Some(head.len()).filter(|_| complete)));
            assert_eq!(finder.scanned, index + 1);
            received[index] = 0;
        }
        assert_eq!(finder.find(&received), Ok(Some(head.len())));
    }

    #[test]
    fn an_error_comes_at_the_byte_that_shows_it_and_stays() {
        // R9112-1, R9112-2, R9112-3, R9112-7, R9110-3
        for (message, bytes, at, error) in [
            (Message::Request, &b"GET / HTTP/1.1\n"[..], 14, HandshakeError::Syntax),
            (Message::Request, b"GET / HTTP/1.1\rH", 15, HandshakeError::Syntax),
            (Message::Request, b"GET / HTTP/1.1\r\r\n", 15, HandshakeError::Syntax),
            (Message::Request, b"G\0", 1, HandshakeError::Syntax),
            (Message::Request, b"G\x7F", 1, HandshakeError::Syntax),
            (Message::Request, b"\x16\x03\x01", 0, HandshakeError::Syntax),
            (Message::Request, b"G\r\n a", 3, HandshakeError::Syntax),
            (Message::Request, b"G\r\nA:\r\n\ta", 7, HandshakeError::Syntax),
            (Message::Request, b"\r\n\r\n", 3, HandshakeError::Syntax),
            (Message::Request, b" G", 0, HandshakeError::Syntax),
            (Message::Response, b"\r\n", 0, HandshakeError::NotHttp(LooksLike::Unknown)),
            (Message::Response, b"SSH-2.0", 3, HandshakeError::NotHttp(LooksLike::Ssh)),
        ] {
            let mut finder = finder(message);
            assert_eq!(finder.find(&bytes[..at]), Ok(None), "{bytes:?}");
            assert_eq!(finder.find(bytes), Err(error), "{bytes:?}");
            assert_eq!(finder.find(bytes), Err(error), "{bytes:?}");
            assert_eq!(drip(message, bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn limits_are_exact() {
        // R9110-7
        let with = |message, limits, bytes: &[u8]| drip_to(HeadFinder::new(message, limits), bytes);
        let limits = HeadLimits { head_len: 64, line_len: 16, fields: 3 };
        let line = |start: &str, len: usize| [start, &"a".repeat(len - start.len()), "\r\n"].concat();
        for (message, start) in [(Message::Request, "G\r\n"), (Message::Response, "HTTP/1.1 200\r\n")] {
            let at = |limits, more: &str| with(message, limits, [start, more].concat().as_bytes());
            assert_eq!(at(limits, &line("", 16)), Ok(None));
            assert_eq!(at(limits, &line("", 17)), Err(HandshakeError::LineTooLong));
            let len = start.len() + 3 * 5 + 2;
            assert_eq!(at(limits, &["a:b\r\n"; 3].concat()), Ok(None));
            assert_eq!(at(limits, &[&["a:b\r\n"; 3].concat(), "\r\n"].concat()), Ok(Some(len)));
            assert_eq!(at(limits, &["a:b\r\n"; 4].concat()), Err(HandshakeError::TooManyFields));
            // As soon as the head can't end in time: the host's buffer may be full now.
            let limits = HeadLimits { line_len: 64, ..limits };
            assert_eq!(at(limits, &"a".repeat(63 - start.len())), Ok(None));
            assert_eq!(at(limits, &"a".repeat(64 - start.len())), Err(HandshakeError::HeadTooLong));
        }
        assert_eq!(with(Message::Request, limits, line("", 17).as_bytes()), Err(HandshakeError::TargetTooLong));
        assert_eq!(
            with(Message::Response, limits, line("HTTP/", 17).as_bytes()),
            Err(HandshakeError::LineTooLong)
        );
    }

    #[test]
    fn the_next_head_has_the_limits_for_itself() {
        let limits = HeadLimits { head_len: 64, line_len: 16, fields: 3 };
        let head = ["HTTP/1.1 100\r\n", &["a:b\r\n"; 3].concat(), "\r\n"].concat();
        let heads = head.repeat(4);
        let mut finder = HeadFinder::new(Message::Response, limits);
        for count in 1..=4 {
            assert_eq!(finder.find(heads.as_bytes()), Ok(Some(count * head.len())));
            finder.next_head();
        }
    }

    #[test]
    fn limits_come_from_the_configuration() {
        let limits = HeadLimits::new(&CONFIG);
        assert_eq!((limits.head_len, limits.line_len, limits.fields), (16_384, 16_384, 100));
        let mut config = CONFIG;
        config.max_line_len = Some(99);
        config.max_header_fields = usize::MAX;
        let limits = HeadLimits::new(&config);
        assert_eq!((limits.line_len, limits.fields), (99, MAX_FIELDS));
    }
}
