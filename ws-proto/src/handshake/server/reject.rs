//! Responses that refuse (RFC 6455 section 4.2.2, RFC 9110 section 15).

#[cfg(feature = "alloc")]
use super::super::write::append;
use super::super::{
    HandshakeError, WriteError,
    field::is_value_byte,
    head::HttpVersion,
    write::{HeadWriter, check_headers},
};

/// The application's part of a response that refuses.
///
/// Use it for refusals that the application decides: 401 with `WWW-Authenticate`, a redirect with `Location`, 404,
/// 503. A 405 gets `Allow: GET` unless the further fields have Allow; a 426 gets the fields that a client needs to
/// upgrade.
///
/// ```
/// use ws_proto::server::{Reject, reject};
///
/// let received = b"GET /chat HTTP/1.1\r\nHost: example.com\r\n";
/// let answer = Reject::new(401)
///     .headers(&[("WWW-Authenticate", "Basic realm=\"chat\"")])
///     .body("text/html", b"<p>Please log in.");
/// let mut out = [0; 512];
/// let len = reject(&answer, received, &mut out)?;
/// assert!(out[..len].starts_with(b"HTTP/1.1 401 Unauthorized\r\n"));
/// assert!(out[..len].ends_with(b"\r\n\r\n<p>Please log in."));
/// # Ok::<(), ws_proto::handshake::WriteError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reject<'a> {
    status: u16,
    headers: &'a [(&'a str, &'a str)],
    body: Body<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Body<'a> {
    /// The phrase of the status, as a line of text.
    Reason,
    /// A fixed text, as a line.
    Line(&'static str),
    Own {
        content_type: &'a str,
        bytes: &'a [u8],
    },
}

impl<'a> Reject<'a> {
    /// Creates a refusal with `status`, from 300 to 599 without 304. The body is the phrase of the status.
    #[must_use]
    pub const fn new(status: u16) -> Self {
        Self { status, headers: &[], body: Body::Reason }
    }

    /// Creates the refusal of a request that breaks a rule. The body names the rule, unless there is no heap: then the
    /// texts would take 2 KB of flash.
    pub(in super::super) const fn of_error(error: HandshakeError) -> Self {
        let body = if cfg!(feature = "alloc") { Body::Line(error.text()) } else { Body::Reason };
        Self { status: error.status(), headers: &[], body }
    }

    /// Sets further fields, in this order. Fields of the handshake itself, and those that describe the body, are
    /// refused.
    #[must_use]
    pub const fn headers(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }

    /// Sets a body of the application's own, and the value of Content-Type for it.
    #[must_use]
    pub const fn body(self, content_type: &'a str, bytes: &'a [u8]) -> Self {
        Self { body: Body::Own { content_type, bytes }, ..self }
    }

    /// Checks the application's part.
    fn check(&self) -> Result<(), WriteError> {
        if !matches!(self.status, 300..=303 | 305..=599) {
            return Err(WriteError::InvalidStatus);
        }
        check_headers(self.headers)?;
        if self.has_header("content-type") || !self.content_type().bytes().all(is_value_byte) {
            return Err(WriteError::InvalidHeader);
        }
        Ok(())
    }

    fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
    }

    const fn content_type(&self) -> &'a str {
        match self.body {
            Body::Reason | Body::Line(_) => "text/plain",
            Body::Own { content_type, .. } => content_type,
        }
    }

    /// Returns the body and its end.
    const fn content(&self) -> [&'a [u8]; 2] {
        match self.body {
            Body::Reason => [reason(self.status).as_bytes(), b"\n"],
            Body::Line(text) => [text.as_bytes(), b"\n"],
            Body::Own { bytes, .. } => [bytes, b""],
        }
    }

    /// Writes the response. The connection ends after it. `received` are the bytes of the request.
    pub(in super::super) fn write(&self, received: &[u8], writer: &mut HeadWriter<'_>) {
        writer.put(b"HTTP/1.1 ");
        writer.put_number(self.status.into());
        writer.put(b" ");
        writer.put(reason(self.status).as_bytes());
        writer.put(b"\r\n");
        for (name, _, value) in fixed_fields(self.status, Carrier::Connection) {
            // The application may have set Allow.
            if !self.has_header(name) {
                writer.put_field(name, value.as_bytes());
            }
        }
        writer.put_headers(self.headers);
        let content = self.content();
        writer.put_field("Content-Type", self.content_type().as_bytes());
        writer.put(b"Content-Length: ");
        writer.put_number(content.iter().map(|part| part.len()).sum());
        writer.put(b"\r\n\r\n");
        if !is_head_request(received) {
            content.iter().for_each(|part| writer.put(part));
        }
    }
}

/// The carrier of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// A connection of HTTP/1.1, which ends after the response.
    Connection,
    /// A stream of HTTP/2 or HTTP/3, which have no fields about connections (RFC 9113 section 8.2.2).
    Stream,
}

impl Carrier {
    /// Returns what carries messages of `version`.
    pub(super) fn of(version: HttpVersion) -> Self {
        if version == HttpVersion::Other { Self::Stream } else { Self::Connection }
    }
}

/// The name of a field, the name in small letters, and the value.
type FixedField = (&'static str, &'static str, &'static str);

/// Returns the fields that a refusal has because of its status.
pub(super) fn fixed_fields(status: u16, carrier: Carrier) -> impl Iterator<Item = FixedField> {
    const VERSION: FixedField = ("Sec-WebSocket-Version", "sec-websocket-version", "13");
    let fields: &[FixedField] = match (status, carrier) {
        // RFC 9110 §15.5.22 and RFC 6455 §4.4.
        (426, Carrier::Connection) => {
            &[("Connection", "connection", "Upgrade, close"), ("Upgrade", "upgrade", "websocket"), VERSION]
        }
        (426, Carrier::Stream) => &[VERSION],
        (_, Carrier::Connection) => &[("Connection", "connection", "close")],
        (_, Carrier::Stream) => &[],
    };
    // RFC 9110 §15.5.6.
    fields.iter().copied().chain((status == 405).then_some(("Allow", "allow", "GET")))
}

/// Writes the complete response that refuses a request, and returns its length.
///
/// `received` are the bytes of the request, from the first on, as far as they have come: the answer to HEAD has no
/// body (RFC 9110 section 9.3.2). `out` needs [`MAX_RESPONSE_LEN`](HandshakeError::MAX_RESPONSE_LEN) bytes, and
/// room for the further fields and the body.
///
/// # Errors
///
/// [`WriteError::InvalidStatus`], [`WriteError::InvalidHeader`] and [`WriteError::BufferTooSmall`].
pub fn reject(answer: &Reject<'_>, received: &[u8], out: &mut [u8]) -> Result<usize, WriteError> {
    answer.check()?;
    let mut writer = HeadWriter::new(out);
    answer.write(received, &mut writer);
    writer.finish()
}

/// Appends the complete response that refuses a request to `out`; see [`reject`].
///
/// # Errors
///
/// [`WriteError::InvalidStatus`] and [`WriteError::InvalidHeader`]; `out` is then as before.
#[cfg(feature = "alloc")]
pub fn reject_to(answer: &Reject<'_>, received: &[u8], out: &mut alloc::vec::Vec<u8>) -> Result<(), WriteError> {
    append(out, |out| Ok((reject(answer, received, out)?, ())))
}

/// Returns whether `received` begins a request whose answer has no body. One empty line may precede it (RFC 9112
/// section 2.2).
fn is_head_request(received: &[u8]) -> bool {
    received.strip_prefix(b"\r\n").unwrap_or(received).starts_with(b"HEAD ")
}

/// Returns the phrase of a status (RFC 9110 section 15), or of its class if it is rare.
const fn reason(status: u16) -> &'static str {
    match status {
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        414 => "URI Too Long",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => match status / 100 {
            3 => "Redirection",
            4 => "Client Error",
            _ => "Server Error",
        },
    }
}

impl HandshakeError {
    /// Writes the complete response that refuses the handshake, and returns its length.
    ///
    /// `received` are the bytes of the request, from the first on, as far as they have come: the answer to HEAD
    /// has no body (RFC 9110 section 9.3.2). The body is a fixed text about the fault, or without the feature
    /// `alloc` the phrase of the status; it repeats nothing of the request. `out` needs at most
    /// [`MAX_RESPONSE_LEN`](Self::MAX_RESPONSE_LEN) bytes.
    ///
    /// # Errors
    ///
    /// [`WriteError::BufferTooSmall`].
    pub fn write_response(self, received: &[u8], out: &mut [u8]) -> Result<usize, WriteError> {
        let mut writer = HeadWriter::new(out);
        Reject::of_error(self).write(received, &mut writer);
        writer.finish()
    }

    /// Appends the complete response that refuses the handshake to `out`; see
    /// [`write_response`](Self::write_response).
    #[cfg(feature = "alloc")]
    pub fn write_response_to(self, received: &[u8], out: &mut alloc::vec::Vec<u8>) {
        // Only a lack of room could make it fail, and `append` provides the room.
        let _ = append(out, |out| Ok((self.write_response(received, out)?, ())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_broken_rule_names_it_where_there_is_a_heap() {
        let mut out = [0; HandshakeError::MAX_RESPONSE_LEN];
        let len = HandshakeError::Key.write_response(b"GET / HTTP/1.1\r\n", &mut out).unwrap();
        let text = if cfg!(feature = "alloc") { HandshakeError::Key.text() } else { "Bad Request" };
        let end = std::format!("\r\nContent-Length: {}\r\n\r\n{text}\n", text.len() + 1);
        assert!(out[..len].starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
        assert!(out[..len].ends_with(end.as_bytes()), "{}", out[..len].escape_ascii());
    }
}
