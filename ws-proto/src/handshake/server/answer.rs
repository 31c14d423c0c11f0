//! What a server answers (RFC 6455 section 4.2.2).

#[cfg(feature = "alloc")]
use super::super::write::append;
use super::{
    super::{
        WriteError, key,
        write::{Writer, check_headers},
    },
    Subprotocol,
};
use crate::{config::Config, endpoint::Endpoint, negotiated::Negotiated, role::Server, time::Instant};

/// What goes into the response that accepts, beyond what every such response has.
///
/// ```
/// use ws_proto::server::Accept;
///
/// let answer = Accept::new().headers(&[("Set-Cookie", "session=31")]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Accept<'a> {
    subprotocol: Option<Subprotocol<'a>>,
    headers: &'a [(&'a str, &'a str)],
    negotiated: Negotiated,
}

impl<'a> Accept<'a> {
    /// No subprotocol, no further fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { subprotocol: None, headers: &[], negotiated: Negotiated::new() }
    }

    /// The subprotocol to speak, of the same request's [`select`](super::Request::select).
    #[must_use]
    pub const fn subprotocol(self, subprotocol: Option<Subprotocol<'a>>) -> Self {
        Self { subprotocol, ..self }
    }

    /// How messages are compressed, of the same request's [`deflate`](super::Request::deflate).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn deflate(self, deflate: Option<crate::deflate::Parameters>) -> Self {
        Self { negotiated: self.negotiated.with_deflate(deflate), ..self }
    }

    /// With messages compressed as `settings` say, unless the application has decided that already.
    #[cfg(feature = "deflate")]
    pub(crate) fn deflate_as(
        self,
        settings: Option<crate::deflate::Settings>,
        request: &super::Request<'_>,
    ) -> Self {
        match settings {
            Some(settings) if self.negotiated.deflate.is_none() => self.deflate(request.deflate(&settings)),
            _ => self,
        }
    }

    /// Further fields, in this order. Those of the handshake itself, and those that announce a body, are
    /// refused.
    #[must_use]
    pub const fn headers(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }
}

/// What it takes to accept a request for a WebSocket. It outlives the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade {
    accept_key: [u8; key::ACCEPT_LEN],
}

impl Upgrade {
    /// For a key that is valid.
    pub(super) fn new(key: &[u8]) -> Self {
        Self { accept_key: key::accept(key) }
    }

    /// The value of Sec-WebSocket-Accept (RFC 6455 section 1.3), for hosts that write the response themselves.
    #[must_use]
    pub const fn accept_key(&self) -> &[u8; 28] {
        &self.accept_key
    }

    /// Writes the response that accepts, and makes the endpoint. Tells the length of the response.
    ///
    /// `out` needs 129 bytes, and what the subprotocol and further fields take.
    ///
    /// # Errors
    ///
    /// As [`write_response`](Self::write_response). The request can still be accepted or refused.
    pub fn accept(
        &self,
        answer: &Accept<'_>,
        config: &Config,
        now: Instant,
        out: &mut [u8],
    ) -> Result<(usize, Endpoint<Server>), WriteError> {
        let len = self.write_response(answer, out)?;
        Ok((len, Endpoint::new(Server, config, answer.negotiated, now)))
    }

    /// Appends the response that accepts to `out`, and makes the endpoint.
    ///
    /// # Errors
    ///
    /// [`WriteError::InvalidHeader`]. `out` is as before then.
    #[cfg(feature = "alloc")]
    pub fn accept_to(
        &self,
        answer: &Accept<'_>,
        config: &Config,
        now: Instant,
        out: &mut alloc::vec::Vec<u8>,
    ) -> Result<Endpoint<Server>, WriteError> {
        append(out, |out| self.accept(answer, config, now, out))
    }

    /// Writes the response that accepts, and tells its length.
    ///
    /// # Errors
    ///
    /// [`WriteError::InvalidHeader`] and [`WriteError::BufferTooSmall`].
    pub fn write_response(&self, answer: &Accept<'_>, out: &mut [u8]) -> Result<usize, WriteError> {
        check_headers(answer.headers)?;
        let mut writer = Writer::new(out);
        writer.put(b"HTTP/1.1 101 Switching Protocols\r\n");
        writer.put_field("Upgrade", b"websocket");
        writer.put_field("Connection", b"Upgrade");
        writer.put_field("Sec-WebSocket-Accept", &self.accept_key);
        if let Some(subprotocol) = answer.subprotocol {
            writer.put_field("Sec-WebSocket-Protocol", subprotocol.as_str().as_bytes());
        }
        #[cfg(feature = "deflate")]
        if let Some(deflate) = answer.negotiated.deflate {
            writer.put_displayed("Sec-WebSocket-Extensions", &deflate);
        }
        writer.put_headers(answer.headers);
        writer.put(b"\r\n");
        writer.finish()
    }
}

/// Writes a complete response that refuses with `status`, and tells its length.
///
/// For what only the application knows: 401 with `WWW-Authenticate`, a redirect with `Location`, 404, 503.
/// `headers` come in this order; those of the handshake itself, and those that describe the body, are
/// refused. The body is a fixed text. 405 gets `Allow: GET` if `headers` have no Allow; 426 gets what a
/// client needs to upgrade. `out` needs [`MAX_RESPONSE_LEN`](super::super::HandshakeError::MAX_RESPONSE_LEN)
/// bytes and what `headers` take.
///
/// ```
/// let mut out = [0; 512];
/// let len = ws_proto::server::reject(401, &[("WWW-Authenticate", "Basic realm=\"chat\"")], &mut out)?;
/// assert!(out[..len].starts_with(b"HTTP/1.1 401 Unauthorized\r\n"));
/// # Ok::<(), ws_proto::handshake::WriteError>(())
/// ```
///
/// # Errors
///
/// [`WriteError::InvalidStatus`], [`WriteError::InvalidHeader`] and [`WriteError::BufferTooSmall`].
pub fn reject(status: u16, headers: &[(&str, &str)], out: &mut [u8]) -> Result<usize, WriteError> {
    if !matches!(status, 300..=303 | 305..=599) {
        return Err(WriteError::InvalidStatus);
    }
    check_headers(headers)?;
    if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        return Err(WriteError::InvalidHeader);
    }
    let mut writer = Writer::new(out);
    write_refusal(&mut writer, status, headers);
    writer.finish()
}

/// Appends what [`reject`] writes to `out`.
///
/// # Errors
///
/// [`WriteError::InvalidStatus`] and [`WriteError::InvalidHeader`]. `out` is as before then.
#[cfg(feature = "alloc")]
pub fn reject_to(status: u16, headers: &[(&str, &str)], out: &mut alloc::vec::Vec<u8>) -> Result<(), WriteError> {
    append(out, |out| Ok((reject(status, headers, out)?, ())))
}

/// The response that refuses: nothing of the request is in it, and the connection ends behind it.
pub(in super::super) fn write_refusal(writer: &mut Writer<'_>, status: u16, headers: &[(&str, &str)]) {
    let reason = reason(status);
    writer.put(b"HTTP/1.1 ");
    writer.put_number(status);
    writer.put(b" ");
    writer.put(reason.as_bytes());
    writer.put(b"\r\n");
    if status == 426 {
        // RFC 9110 §15.5.22 and RFC 6455 §4.4.
        writer.put_field("Connection", b"Upgrade, close");
        writer.put_field("Upgrade", b"websocket");
        writer.put_field("Sec-WebSocket-Version", b"13");
    } else {
        writer.put_field("Connection", b"close");
    }
    if status == 405 && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("allow")) {
        writer.put_field("Allow", b"GET");
    }
    writer.put_headers(headers);
    writer.put_field("Content-Type", b"text/plain");
    writer.put(b"Content-Length: ");
    writer.put_number(u16::try_from(reason.len() + 1).unwrap_or_default());
    writer.put(b"\r\n\r\n");
    writer.put(reason.as_bytes());
    writer.put(b"\n");
}

/// The phrase of a status (RFC 9110 section 15); of a rare one, its class.
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
