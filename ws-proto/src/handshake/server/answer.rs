//! What a server answers (RFC 6455 section 4.2.2).

#[cfg(feature = "alloc")]
use super::super::write::append;
use super::super::{
    WriteError, key,
    write::{Writer, check_headers},
};
use crate::{config::Config, endpoint::Endpoint, endpoint::Negotiated, role::Server, time::Instant};

/// What goes into the response that accepts, beyond what every such response has.
///
/// ```
/// use ws_proto::server::Accept;
///
/// let answer = Accept::new().headers(&[("Set-Cookie", "session=31")]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Accept<'a> {
    pub(super) subprotocol: Option<Subprotocol<'a>>,
    /// Whether the client chooses the subprotocol.
    pub(super) any_subprotocol: bool,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) negotiated: Negotiated,
}

impl<'a> Accept<'a> {
    /// No subprotocol, no further fields.
    #[must_use]
    pub const fn new() -> Self {
        Self { subprotocol: None, any_subprotocol: false, headers: &[], negotiated: Negotiated::new() }
    }

    /// The subprotocol to speak, of the same request's [`select`](super::Request::select).
    #[must_use]
    pub const fn subprotocol(self, subprotocol: Option<Subprotocol<'a>>) -> Self {
        Self { subprotocol, ..self }
    }

    /// Speaks whichever subprotocol the client likes best, for servers to which all are alike: echo, relays. Browsers fail a
    /// connection if they have offered subprotocols and the server chooses none.
    ///
    /// For [`Connection`](crate::Connection), which resolves it; with [`Upgrade`] itself pass
    /// [`Request::favourite`](super::Request::favourite) to [`subprotocol`](Self::subprotocol).
    #[must_use]
    pub const fn any_subprotocol(self) -> Self {
        Self { any_subprotocol: true, ..self }
    }

    /// How messages are compressed, of the same request's [`deflate`](super::Request::deflate).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn deflate(self, deflate: Option<crate::deflate::Parameters>) -> Self {
        Self { negotiated: self.negotiated.with_deflate(deflate), ..self }
    }

    /// Further fields, in this order. Those of the handshake itself, and those that announce a body, are
    /// refused.
    #[must_use]
    pub const fn headers(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }
}

/// A subprotocol that the client has offered; only [`Offer::select`](super::Offer::select) makes one (RFC 6455 section 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subprotocol<'s>(&'s str);

impl<'s> Subprotocol<'s> {
    /// One that the client has just been found to offer.
    pub(super) const fn of_client(name: &'s str) -> Self {
        Self(name)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'s str {
        self.0
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
