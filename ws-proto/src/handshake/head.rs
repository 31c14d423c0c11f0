//! Finding and parsing heads (RFC 9112 section 2), the same for requests and responses.

use core::mem::MaybeUninit;

use super::{
    Fields, HandshakeError, MAX_FIELDS, MAX_TARGET_LEN,
    field::split_line,
    foreign::{self, Verdict},
};
use crate::{
    config::Config,
    part::{narrow, part},
};
/// The kind of a message that a head begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadKind {
    Request,
    Response,
}

/// The limits of a head.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    head_len: usize,
    line_len: usize,
    fields: usize,
}

impl HeadLimits {
    /// Takes the limits from `config`.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            head_len: config.max_head_len,
            line_len: config.max_line_len.unwrap_or(config.max_head_len),
            fields: config.max_header_fields.min(MAX_FIELDS),
        }
    }
}

/// The longest request line: the longest target, and room for a method and the version.
const MAX_REQUEST_LINE_LEN: usize = MAX_TARGET_LEN + 192;

/// Finds the empty line that ends a head. Keeps no bytes, only its position.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadFinder {
    kind: HeadKind,
    limits: HeadLimits,
    /// The start of the head, after the interim responses.
    start: usize,
    /// The number of bytes examined.
    scanned: usize,
    /// The number of bytes of the current line.
    line_len: usize,
    /// The number of complete lines, the start line included.
    lines: usize,
    /// Set while an empty line may still precede the start line.
    empty_line_allowed: bool,
    state: ScanState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScanState {
    /// The protocol of a response is not known yet.
    Start,
    LineStart,
    Line,
    CarriageReturn,
    Complete,
}

impl HeadFinder {
    /// Creates a finder for a head of this kind.
    pub(super) fn new(kind: HeadKind, limits: HeadLimits) -> Self {
        Self {
            kind,
            limits,
            start: 0,
            scanned: 0,
            line_len: 0,
            lines: 0,
            // RFC 9112 §2.2: an empty line before a request is to be ignored. There is no such rule for responses.
            empty_line_allowed: kind == HeadKind::Request,
            state: match kind {
                HeadKind::Request => ScanState::LineStart,
                HeadKind::Response => ScanState::Start,
            },
        }
    }

    /// Begins the next head at the end of the one found. The limits count for each head by itself.
    pub(super) fn next_head(&mut self) {
        *self = Self { start: self.scanned, scanned: self.scanned, ..Self::new(self.kind, self.limits) };
    }

    /// Returns whether the end of the head has been found.
    pub(super) fn is_complete(&self) -> bool {
        self.state == ScanState::Complete
    }

    /// Returns the head found in `received`, without an empty line before it.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Syntax`] unless a head has been found.
    pub(super) fn head<'h>(&self, received: &'h [u8]) -> Result<&'h [u8], HandshakeError> {
        let head = received.get(..self.scanned).filter(|_| self.is_complete()).ok_or(HandshakeError::Syntax)?;
        Ok(head.strip_prefix(b"\r\n").unwrap_or(head))
    }

    /// Examines the new bytes of `received`. Returns the end of the head, or `None` if more bytes are needed.
    pub(super) fn find(&mut self, received: &[u8]) -> Result<Option<usize>, HandshakeError> {
        if self.state == ScanState::Start {
            match foreign::judge(received.get(self.start..).unwrap_or_default()) {
                Verdict::Http => self.state = ScanState::LineStart,
                Verdict::Undecided => return Ok(None),
                Verdict::Foreign(looks_like) => return Err(HandshakeError::NotHttp(looks_like)),
            }
        }
        if let Some(lines) = self.whole_head(received) {
            self.lines = lines;
            self.scanned = received.len();
            self.state = ScanState::Complete;
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
            // The longest run of text from here.
            let run = match self.state {
                ScanState::Line => text_run(rest),
                ScanState::LineStart if !is_space(byte) => text_run(rest),
                ScanState::Start | ScanState::LineStart | ScanState::CarriageReturn | ScanState::Complete => 0,
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

    /// Returns the number of lines of `received`, without the empty one, or a greater number, if `received` is a whole head and
    /// nothing else, as most often, and within every limit. `None` says nothing: the bytes have to be examined one by one.
    fn whole_head(&self, received: &[u8]) -> Option<usize> {
        let longest =
            self.limits.head_len.min(self.limits.line_len).min(MAX_REQUEST_LINE_LEN).min(LineCheck::MAX_LEN);
        let is_first_look = self.scanned == 0 && self.state == ScanState::LineStart;
        // Without an allocator it is a small processor, which compares byte by byte anyway.
        if !cfg!(feature = "alloc")
            || !is_first_look
            || received.len() > longest
            || !matches!(received.first(), Some(b'!'..))
        {
            return None;
        }
        // With the line end of the last line.
        let head = received.strip_suffix(b"\r\n").filter(|head| head.ends_with(b"\r\n"))?;
        let (bytes, next) = (head.get(..head.len() - 1)?, head.get(1..)?);
        let mut check = LineCheck::default();
        for (bytes, next) in bytes.chunks_exact(LineCheck::STEP).zip(next.chunks_exact(LineCheck::STEP)) {
            check.take(bytes, next);
        }
        // The last step overlaps the one before it.
        check.take(bytes.last_chunk::<{ LineCheck::STEP }>()?, next.last_chunk::<{ LineCheck::STEP }>()?);
        check.lines().filter(|lines| *lines <= self.limits.fields + 1)
    }

    /// Takes one byte outside a run of text.
    fn step(&mut self, byte: u8) -> Result<(), HandshakeError> {
        match (self.state, byte) {
            (ScanState::CarriageReturn, b'\n') => self.end_line(),
            // RFC 9112 §2.2: a CR alone does not end a line, though other implementations may take it for an end.
            (ScanState::CarriageReturn, _) => Err(HandshakeError::Syntax),
            (_, b'\r') => {
                self.state = ScanState::CarriageReturn;
                Ok(())
            }
            // RFC 9112 §5.2: a folded line, or white space before the first field.
            (ScanState::LineStart, byte) if is_space(byte) => Err(HandshakeError::Syntax),
            (_, byte) if is_text(byte) => self.extend_line(1),
            // Neither does an LF alone; NUL and the other controls are not allowed anywhere.
            _ => Err(HandshakeError::Syntax),
        }
    }

    /// Adds `len` bytes to the current line.
    ///
    /// # Errors
    ///
    /// The line is over a limit, or is one field too many.
    fn extend_line(&mut self, len: usize) -> Result<(), HandshakeError> {
        if self.lines > self.limits.fields {
            return Err(HandshakeError::TooManyFields);
        }
        self.line_len = self.line_len.saturating_add(len);
        if (self.kind, self.lines) == (HeadKind::Request, 0) {
            if self.line_len > self.limits.line_len.min(MAX_REQUEST_LINE_LEN) {
                return Err(HandshakeError::TargetTooLong);
            }
        } else if self.line_len > self.limits.line_len {
            return Err(HandshakeError::LineTooLong);
        }
        self.state = ScanState::Line;
        Ok(())
    }

    /// Ends the current line; an empty one ends the head.
    fn end_line(&mut self) -> Result<(), HandshakeError> {
        self.state = match (self.line_len, self.lines) {
            (0, 0) if !self.empty_line_allowed => return Err(HandshakeError::Syntax),
            (0, 0) => {
                self.empty_line_allowed = false;
                ScanState::LineStart
            }
            (0, _) => ScanState::Complete,
            _ => {
                self.lines += 1;
                ScanState::LineStart
            }
        };
        self.line_len = 0;
        Ok(())
    }
}

/// A look at the lines of a head, many bytes at once and without branches: whether each CR has an LF behind it and each LF a
/// CR before it, no line is empty or begins with white space, and all else is visible ASCII or a space.
#[derive(Default)]
struct LineCheck {
    fault: [u8; Self::STEP],
    lines: [u8; Self::STEP],
}

impl LineCheck {
    const STEP: usize = 32;
    /// The length of the longest head whose lines can be counted, in bytes: the last step may count some again.
    const MAX_LEN: usize = Self::STEP * 254;

    /// Looks at a step of the head, with the bytes behind each of its bytes.
    #[inline(always)]
    fn take(&mut self, bytes: &[u8], next: &[u8]) {
        // All bits or none, as vectors have it.
        let is = |fault: bool| u8::from(fault).wrapping_neg();
        let found = bytes.iter().zip(next).zip(self.fault.iter_mut().zip(&mut self.lines));
        for ((&byte, &next), (fault, lines)) in found {
            let is_cr = is(byte == b'\r');
            let is_lf = is(byte == b'\n');
            let is_control = is(is_stop(byte)) ^ is_cr ^ is_lf;
            let is_half = is_cr ^ is(next == b'\n');
            // As signed numbers, so that vectors compare once. What is not ASCII is a fault anyway.
            let is_bad_start = is_lf & is(i8::from_ne_bytes([next]) <= 0x20);
            *fault |= is_control | is_half | is_bad_start;
            *lines = lines.wrapping_sub(is_lf);
        }
    }

    /// Returns the number of lines, or a greater one, if there is no fault.
    fn lines(&self) -> Option<usize> {
        let is_sound = self.fault.iter().fold(0, |all, fault| all | fault) == 0;
        is_sound.then(|| usize::from(self.lines.iter().map(|lines| u16::from(*lines)).sum::<u16>()) + 1)
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Returns whether `byte` may stand within a line.
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= 0x20 && byte != 0x7F
}

/// Returns the length of a run of text at the start of `bytes`: bytes that may stand within a line. The run may
/// end before the text does.
fn text_run(bytes: &[u8]) -> usize {
    match visible_run(bytes) {
        0 => other_run(bytes),
        run => run,
    }
}

/// Returns the length of a run of tabs and bytes that are not ASCII; see [`text_run`].
#[cold]
fn other_run(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| is_text(**byte) && is_stop(**byte)).count()
}

/// Returns the length of a run of visible ASCII and spaces; most heads have no other text. See [`text_run`].
fn visible_run(bytes: &[u8]) -> usize {
    const STEP: usize = 32;
    let mut run = 0;
    // First 32 bytes with one branch, then a word with one.
    while let Some(step) = bytes.get(run..).and_then(<[u8]>::first_chunk::<STEP>) {
        if step.iter().fold(false, |stops, &byte| stops | is_stop(byte)) {
            break;
        }
        run += STEP;
    }
    while let Some(&word) = bytes.get(run..).and_then(<[u8]>::first_chunk) {
        let stops = stops(u64::from_le_bytes(word));
        if stops != 0 {
            // The index is at most 7.
            return run + narrow::<_, usize>(stops.trailing_zeros() / 8);
        }
        run += 8;
    }
    let rest = part(bytes, run..);
    run + rest.iter().position(|&byte| is_stop(byte)).unwrap_or(rest.len())
}

/// Returns whether `byte` is not ASCII or is a control character.
const fn is_stop(byte: u8) -> bool {
    // One signed comparison: adding 1 makes DEL the lowest number.
    i8::from_ne_bytes([byte.wrapping_add(1)]) <= 0x20
}

/// Returns `word` with the top bit of each byte set if the byte [`is_stop`], and all other bits clear.
const fn stops(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    // Sums of seven-bit numbers do not overflow their bytes.
    let low = word & !TOPS;
    (word | (low + ONES) | !(low + ONES * 0x60)) & TOPS
}

/// Returns the head of a request that `bytes` start with, from its start line on, within the default limits.
///
/// A finder has seen the head before, but this caller may be another one.
pub(super) fn split(bytes: &[u8]) -> Result<&[u8], HandshakeError> {
    let mut finder = HeadFinder::new(HeadKind::Request, HeadLimits::new(&Config::new()));
    finder.find(bytes)?;
    finder.head(bytes)
}

/// Room for the parser to note the place of each field line.
pub(super) type Lines<'h> = [MaybeUninit<httparse::Header<'h>>; MAX_FIELDS];

/// Room without notes.
pub(super) const NO_LINES: Lines<'_> = [const { MaybeUninit::uninit() }; MAX_FIELDS];

/// A parsed head of a request.
pub(super) struct RequestHead<'l, 'h> {
    pub(super) version: HttpVersion,
    pub(super) method: &'h str,
    pub(super) target: &'h str,
    /// The field lines as the parser noted them.
    pub(super) lines: &'l [httparse::Header<'h>],
    /// The same field lines, found in the head again.
    pub(super) fields: Fields<'h>,
}

impl<'l, 'h> RequestHead<'l, 'h> {
    /// Parses a head that a finder has found.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Syntax`] or [`HandshakeError::HttpVersion`].
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
                // The parser takes one space between two parts, and no other white space.
                let start_line_len = method.len() + target.len() + "  HTTP/1.1\r\n".len();
                debug_assert!(
                    part(head, ..start_line_len).ends_with(b"\r\n"),
                    "the start line has these parts and no others"
                );
                let fields = Fields::of_lines(part(head, start_line_len..));
                Ok(Self { version, method, target, lines, fields })
            }
            _ => Err(HandshakeError::Syntax),
        }
    }
}

/// Returns the error for a `version` where the parser expected HTTP/1.0 or HTTP/1.1.
fn version_error(version: Option<&[u8]>) -> HandshakeError {
    match version.and_then(|version| version.strip_prefix(b"HTTP/")) {
        Some(b"1.0" | b"1.1") => HandshakeError::Syntax,
        // RFC 9112 §2.3: one digit on each side, the name in capitals.
        Some([b'0'..=b'9', b'.', b'0'..=b'9']) => HandshakeError::HttpVersion,
        _ => HandshakeError::Syntax,
    }
}

/// Returns the parts of the start line; the third may hold spaces.
fn start_line(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    split_line(head).0.splitn(3, |&byte| byte == b' ')
}

/// A parsed head of a response.
pub(super) struct ResponseHead<'h, X> {
    pub(super) version: HttpVersion,
    pub(super) status: u16,
    pub(super) reason: &'h [u8],
    pub(super) fields: Fields<'h>,
    /// The result of `find` for the field lines.
    pub(super) found: X,
}

/// The version of an HTTP message (RFC 9110 section 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0, which serves pages but no WebSocket.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// Any other version, without an upgrade.
    Other,
}

impl HttpVersion {
    /// Returns the version that the parser calls 1.`minor`.
    const fn of_minor(minor: u8) -> Self {
        match minor {
            0 => Self::Http10,
            1 => Self::Http11,
            _ => Self::Other,
        }
    }
}

impl<'h, X> ResponseHead<'h, X> {
    /// Parses a head that a finder has found. Calls `find` with the field lines as the parser noted them, and
    /// keeps only its result, since the notes take much room.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Syntax`], [`HandshakeError::HttpVersion`] or [`HandshakeError::Status`].
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
        let (status_line, lines) = split_line(head);
        // A status without a phrase may end the line.
        let reason = status_line.get("HTTP/1.1 101 ".len()..).unwrap_or_default();
        let status = response.code.filter(|&code| code >= 100).ok_or(HandshakeError::Status)?;
        Ok(Self { version, status, reason, fields: Fields::of_lines(lines), found: find(response.headers) })
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::{super::LooksLike, *};

    const HEAD: &[u8] = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";

    const CONFIG: Config = Config::new();

    fn finder(kind: HeadKind) -> HeadFinder {
        HeadFinder::new(kind, HeadLimits::new(&CONFIG))
    }

    /// Returns the result of feeding `bytes` one by one.
    fn drip(kind: HeadKind, bytes: &[u8]) -> Result<Option<usize>, HandshakeError> {
        drip_to(finder(kind), bytes)
    }

    fn drip_to(mut finder: HeadFinder, bytes: &[u8]) -> Result<Option<usize>, HandshakeError> {
        (0..=bytes.len()).find_map(|len| finder.find(&bytes[..len]).transpose()).transpose()
    }

    #[test]
    fn a_whole_head_is_judged_as_byte_by_byte() {
        const WHOLE: &[u8] =
            b"GET / HTTP/1.1\r\nHost: a\r\nX: b~ c\r\nA-long-name-of-more-than-32-bytes: 1\r\n\r\n";
        // Tabs, and bytes that are not ASCII, are rare.
        const RARE: &[u8] =
            b"GET / HTTP/1.1\r\nHost: a\r\nX:\tb\xFF c\r\nA-long-name-of-more-than-32-bytes: 1\r\n\r\n";
        let alike = |bytes: &[u8]| {
            for kind in [HeadKind::Request, HeadKind::Response] {
                assert_eq!(finder(kind).find(bytes), drip(kind, bytes), "{}", bytes.escape_ascii());
            }
        };
        let lines = cfg!(feature = "alloc").then_some(4);
        assert_eq!(finder(HeadKind::Request).whole_head(WHOLE), lines);
        assert_eq!(finder(HeadKind::Request).whole_head(RARE), None);
        for (head, at) in [WHOLE, RARE].into_iter().flat_map(|head| (0..head.len()).map(move |at| (head, at))) {
            alike(&head[..at]);
            for byte in *b"\r\n\t \0\x1F\x7F\x80\xFF:x" {
                let mut changed = head.to_vec();
                changed[at] = byte;
                alike(&changed);
                changed.insert(at, b'\r');
                alike(&changed);
                changed.insert(at + 1, b'\n');
                alike(&changed);
            }
        }
        let mut limited = finder(HeadKind::Request);
        limited.limits.fields = 2;
        assert_eq!(limited.find(WHOLE), Err(HandshakeError::TooManyFields));
        (limited, limited.limits.line_len) = (finder(HeadKind::Request), 20);
        assert_eq!(limited.find(WHOLE), Err(HandshakeError::LineTooLong));
    }

    #[test]
    fn the_end_is_found_at_any_split() {
        let mut bytes = HEAD.to_vec();
        bytes.extend_from_slice(b"\x81\x80\r\n\r\n");
        for split in 0..=bytes.len() {
            let mut finder = finder(HeadKind::Request);
            let early = finder.find(&bytes[..split]);
            assert_eq!(early, Ok(Some(HEAD.len()).filter(|_| split >= HEAD.len())));
            assert_eq!(finder.find(&bytes), Ok(Some(HEAD.len())));
        }
    }

    #[test]
    fn a_run_ends_where_a_line_may() {
        // In long texts, only the bytes on both sides of a change.
        let edges = [0x00, 0x08, 0x09, 0x0A, 0x0D, 0x1F, 0x20, 0x7E, 0x7F, 0x80, 0xFF];
        let bytes = |len| (0..=u8::MAX).filter(move |byte| len < 20 || edges.contains(byte));
        for text in [&b" ~a"[..], b" ~\x80\xFFa"] {
            for (len, byte) in (0..70).flat_map(|len| bytes(len).map(move |byte| (len, byte))) {
                for at in 0..len {
                    let mut bytes: Vec<u8> = text.iter().copied().cycle().take(len).collect();
                    bytes[at] = byte;
                    let mut runs = 0;
                    // Runs of visible ASCII and of other text alternate.
                    while let run @ 1.. = text_run(&bytes[runs..]) {
                        runs += run;
                    }
                    assert_eq!(runs, if is_text(byte) { len } else { at }, "{len} {at} {byte}");
                }
            }
        }
    }

    #[test]
    fn each_byte_is_examined_once() {
        // The longest head allowed. Examined bytes are made illegal, so that a second look would fail.
        let mut head = b"GET / HTTP/1.1\r\n".to_vec();
        while head.len() < CONFIG.max_head_len - 4 {
            head.extend_from_slice(b"name:");
            head.resize((head.len() + 500).min(CONFIG.max_head_len - 4), b'v');
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        assert_eq!(head.len(), CONFIG.max_head_len);
        let mut finder = finder(HeadKind::Request);
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
        for (kind, bytes, at, error) in [
            (HeadKind::Request, &b"GET / HTTP/1.1\n"[..], 14, HandshakeError::Syntax),
            (HeadKind::Request, b"GET / HTTP/1.1\rH", 15, HandshakeError::Syntax),
            (HeadKind::Request, b"GET / HTTP/1.1\r\r\n", 15, HandshakeError::Syntax),
            (HeadKind::Request, b"G\0", 1, HandshakeError::Syntax),
            (HeadKind::Request, b"G\x7F", 1, HandshakeError::Syntax),
            (HeadKind::Request, b"\x16\x03\x01", 0, HandshakeError::Syntax),
            (HeadKind::Request, b"G\r\n a", 3, HandshakeError::Syntax),
            (HeadKind::Request, b"G\r\nA:\r\n\ta", 7, HandshakeError::Syntax),
            (HeadKind::Request, b"\r\n\r\n", 3, HandshakeError::Syntax),
            (HeadKind::Request, b" G", 0, HandshakeError::Syntax),
            (HeadKind::Response, b"\r\n", 0, HandshakeError::NotHttp(LooksLike::Unknown)),
            (HeadKind::Response, b"SSH-2.0", 3, HandshakeError::NotHttp(LooksLike::Ssh)),
        ] {
            let mut finder = finder(kind);
            assert_eq!(finder.find(&bytes[..at]), Ok(None), "{bytes:?}");
            assert_eq!(finder.find(bytes), Err(error), "{bytes:?}");
            assert_eq!(finder.find(bytes), Err(error), "{bytes:?}");
            assert_eq!(drip(kind, bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn limits_are_exact() {
        // R9110-7
        let with = |kind, limits, bytes: &[u8]| drip_to(HeadFinder::new(kind, limits), bytes);
        let limits = HeadLimits { head_len: 64, line_len: 16, fields: 3 };
        let line = |start: &str, len: usize| [start, &"a".repeat(len - start.len()), "\r\n"].concat();
        for (kind, start) in [(HeadKind::Request, "G\r\n"), (HeadKind::Response, "HTTP/1.1 200\r\n")] {
            let at = |limits, more: &str| with(kind, limits, [start, more].concat().as_bytes());
            assert_eq!(at(limits, &line("", 16)), Ok(None));
            assert_eq!(at(limits, &line("", 17)), Err(HandshakeError::LineTooLong));
            let len = start.len() + 3 * 5 + 2;
            assert_eq!(at(limits, &["a:b\r\n"; 3].concat()), Ok(None));
            assert_eq!(at(limits, &[&["a:b\r\n"; 3].concat(), "\r\n"].concat()), Ok(Some(len)));
            assert_eq!(at(limits, &["a:b\r\n"; 4].concat()), Err(HandshakeError::TooManyFields));
            // The error comes as soon as the head cannot end within the limit: the host's buffer may be full.
            let limits = HeadLimits { line_len: 64, ..limits };
            assert_eq!(at(limits, &"a".repeat(63 - start.len())), Ok(None));
            assert_eq!(at(limits, &"a".repeat(64 - start.len())), Err(HandshakeError::HeadTooLong));
        }
        assert_eq!(with(HeadKind::Request, limits, line("", 17).as_bytes()), Err(HandshakeError::TargetTooLong));
        assert_eq!(
            with(HeadKind::Response, limits, line("HTTP/", 17).as_bytes()),
            Err(HandshakeError::LineTooLong)
        );
    }

    #[test]
    fn the_next_head_has_the_limits_for_itself() {
        let limits = HeadLimits { head_len: 64, line_len: 16, fields: 3 };
        let head = ["HTTP/1.1 100\r\n", &["a:b\r\n"; 3].concat(), "\r\n"].concat();
        let heads = head.repeat(4);
        let mut finder = HeadFinder::new(HeadKind::Response, limits);
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
