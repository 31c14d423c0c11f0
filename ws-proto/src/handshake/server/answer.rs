//! The response of a server that accepts (RFC 6455 section 4.2.2).

#[cfg(feature = "alloc")]
use super::super::write::append;
use super::super::{
    WriteError, key,
    write::{HeadWriter, check_headers},
};
use crate::{config::Config, endpoint::Endpoint, endpoint::Negotiated, role::Server, time::Instant};

/// The part of a response that is the same for all requests, up to the key's answer.
const BEGIN: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: ";

/// The application's part of a response that accepts.
///
/// ```
/// use ws_proto::server::Accept;
///
/// let answer = Accept::new().headers(&[("Set-Cookie", "session=31")]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Accept<'a> {
    pub(super) subprotocol: Option<Subprotocol<'a>>,
    /// Set if the client chooses the subprotocol.
    pub(super) any_subprotocol: bool,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) negotiated: Negotiated,
}

impl<'a> Accept<'a> {
    /// Creates an answer without a subprotocol or further fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { subprotocol: None, any_subprotocol: false, headers: &[], negotiated: Negotiated::new() }
    }

    /// Sets the subprotocol, from [`select`](super::Request::select) of the same request.
    #[must_use]
    pub const fn subprotocol(self, subprotocol: Option<Subprotocol<'a>>) -> Self {
        Self { subprotocol, ..self }
    }

    /// Accepts the client's favourite subprotocol, for servers that treat all alike, such as echo servers and
    /// relays. Browsers fail a connection if they have offered subprotocols and the server chooses none.
    ///
    /// [`Connection`](crate::Connection) makes the choice. With [`Upgrade`] itself, pass
    /// [`Request::favourite`](super::Request::favourite) to [`subprotocol`](Self::subprotocol).
    #[must_use]
    pub const fn any_subprotocol(self) -> Self {
        Self { any_subprotocol: true, ..self }
    }

    /// Sets the compression of messages, from [`deflate`](super::Request::deflate) of the same request.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn deflate(self, deflate: Option<crate::deflate::Parameters>) -> Self {
        Self { negotiated: self.negotiated.with_deflate(deflate), ..self }
    }

    /// Sets further fields, in this order. Fields of the handshake itself, and those that announce a body, are
    /// refused.
    #[must_use]
    pub const fn headers(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }
}

/// A subprotocol that the client has offered. Only [`Offer::select`](super::Offer::select),
/// [`Offer::favourite`](super::Offer::favourite) and their counterparts of [`Request`](super::Request) return one
/// (RFC 6455 section 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subprotocol<'s>(&'s str);

impl<'s> Subprotocol<'s> {
    /// Creates the value for a subprotocol that the client offers.
    pub(super) const fn of_client(name: &'s str) -> Self {
        Self(name)
    }

    /// Returns the name.
    #[must_use]
    pub const fn as_str(self) -> &'s str {
        self.0
    }
}

/// The part of a request for a WebSocket that accepting it needs. It outlives the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upgrade {
    accept_key: [u8; key::ACCEPT_LEN],
}

impl Upgrade {
    /// Creates the value from a valid key.
    pub(super) fn new(key: &[u8; key::KEY_LEN]) -> Self {
        Self { accept_key: key::accept(key) }
    }

    /// Returns the value of Sec-WebSocket-Accept (RFC 6455 section 1.3), for hosts that write the response
    /// themselves.
    #[must_use]
    pub const fn accept_key(&self) -> &[u8; 28] {
        &self.accept_key
    }

    /// Writes the response that accepts, and creates the endpoint. Returns the length of the response and the
    /// endpoint.
    ///
    /// `out` needs 129 bytes, and room for the subprotocol and further fields.
    ///
    /// # Errors
    ///
    /// As for [`write_response`](Self::write_response). The request can still be accepted or refused.
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

    /// Appends the response that accepts to `out`, and returns the endpoint.
    ///
    /// # Errors
    ///
    /// [`WriteError::InvalidHeader`]; `out` is then as before.
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

    /// Writes the response that accepts, and returns its length.
    ///
    /// # Errors
    ///
    /// [`WriteError::InvalidHeader`] and [`WriteError::BufferTooSmall`].
    pub fn write_response(&self, answer: &Accept<'_>, out: &mut [u8]) -> Result<usize, WriteError> {
        check_headers(answer.headers)?;
        let mut writer = HeadWriter::new(out);
        writer.put(BEGIN);
        writer.put(&self.accept_key);
        writer.put(b"\r\n");
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
