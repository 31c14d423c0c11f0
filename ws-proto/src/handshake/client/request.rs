use core::fmt;

#[cfg(feature = "deflate")]
use crate::deflate::Settings;
use crate::endpoint::Negotiated;

use super::super::{
    HandshakeError, SingleField, WriteError,
    authority::Authority,
    extension,
    field::{Once, is_token},
    target::is_resource_name,
    write::{HeadWriter, check_headers},
};
use super::value::{FieldValue, RequestField};

/// A request of a client for a WebSocket.
///
/// Its parts are checked by [`Handshake::new`](super::Handshake::new).
///
/// ```
/// use ws_proto::client::Request;
///
/// let request = Request::new("example.com:8080", "/prices?of=tea")
///     .origin("https://example.com")
///     .subprotocols(&["ticker"])
///     .headers(&[("Authorization", "Bearer 31"), ("user-agent", "kettle")]);
/// ```
#[derive(Clone, Copy)]
pub struct Request<'a> {
    host: &'a str,
    resource: &'a str,
    origin: Option<&'a str>,
    subprotocols: &'a [&'a str],
    headers: &'a [(&'a str, &'a str)],
    #[cfg(feature = "deflate")]
    deflate: Option<Settings>,
}

impl<'a> Request<'a> {
    /// Creates a request for `resource` at `host`.
    ///
    /// `host` is the value of the field Host: with the port if it is not the scheme's default, an IPv6
    /// address in brackets. `resource` is the URL's path, or `/` if that is empty, and its query, both
    /// percent-encoded (RFC 6455 section 3).
    #[must_use]
    pub const fn new(host: &'a str, resource: &'a str) -> Self {
        Self {
            host,
            resource,
            origin: None,
            subprotocols: &[],
            headers: &[],
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Sets the origin of the page, for a client that is a browser. Servers may insist on one.
    #[must_use]
    pub const fn origin(self, origin: &'a str) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// Sets the subprotocols to offer, the favourite first. Each must be a token, and none may come twice.
    #[must_use]
    pub const fn subprotocols(self, subprotocols: &'a [&'a str]) -> Self {
        Self { subprotocols, ..self }
    }

    /// Offers compression by `settings` (RFC 7692). The [`Response`](super::Response)'s
    /// [`negotiated`](super::Response::negotiated) has the outcome.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn deflate(self, settings: Option<Settings>) -> Self {
        Self { deflate: settings, ..self }
    }

    /// Returns the settings of the offer of compression.
    #[cfg(feature = "deflate")]
    pub(crate) const fn settings(&self) -> Option<Settings> {
        self.deflate
    }

    /// Sets further fields, in this order and case. Fields of the handshake itself, and those that announce a
    /// body, are refused.
    #[must_use]
    pub const fn headers(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }

    /// Returns the offered subprotocol that the server has chosen.
    pub(super) fn chosen(&self, subprotocol: Once<'_>) -> Result<Option<&'a str>, HandshakeError> {
        let Some(name) = subprotocol.optional(SingleField::Subprotocol)? else {
            return Ok(None);
        };
        let offered = self.subprotocols.iter().find(|offered| offered.as_bytes() == name);
        offered.copied().map(Some).ok_or(HandshakeError::Subprotocol)
    }

    /// Checks the resource and the host.
    pub(super) fn check_line_and_host(&self) -> Result<(), WriteError> {
        if Authority::parse(self.host).is_none() {
            return Err(WriteError::InvalidHost);
        }
        if !is_resource_name(self.resource) {
            return Err(WriteError::InvalidResource);
        }
        Ok(())
    }

    /// Checks the other parts.
    pub(super) fn check_fields(&self) -> Result<(), WriteError> {
        if self.origin.is_some_and(|origin| !is_origin(origin)) {
            return Err(WriteError::InvalidOrigin);
        }
        let mut rest = self.subprotocols;
        while let [first, others @ ..] = rest {
            if !is_token(first.as_bytes()) || others.contains(first) {
                return Err(WriteError::InvalidSubprotocol);
            }
            rest = others;
        }
        check_headers(self.headers)
    }

    /// Checks the server's answer to the offered extensions and returns the result. `fields` name the accepted
    /// ones.
    pub(super) fn extensions<'h>(
        &self,
        fields: impl Iterator<Item = (&'h str, &'h [u8])>,
    ) -> Result<Negotiated, HandshakeError> {
        let negotiated = Negotiated::new();
        let mut accepted = extension::all(fields);
        let Some(first) = accepted.next() else {
            return Ok(negotiated);
        };
        #[cfg(feature = "deflate")]
        if let (Ok(answer), Some(settings), None) = (&first, &self.deflate, accepted.next()) {
            let deflate = super::super::compression::check_answer(settings, answer)?;
            return Ok(negotiated.with_deflate(Some(deflate)));
        }
        // No extension has been offered, or more than one has been accepted.
        let _ = first;
        Err(HandshakeError::Extensions)
    }

    /// Writes the request line and the field Host.
    pub(super) fn write_line_and_host(&self, writer: &mut HeadWriter<'_>) {
        writer.put(b"GET ");
        writer.put(self.resource.as_bytes());
        writer.put(b" HTTP/1.1\r\n");
        writer.put_field("Host", self.host.as_bytes());
    }

    /// Returns the fields that depend on the request.
    pub(super) fn fields(&self) -> impl Iterator<Item = RequestField<'_>> {
        let subprotocols = self.subprotocols.split_first().map(|(first, others)| {
            ("Sec-WebSocket-Protocol", "sec-websocket-protocol", FieldValue::list(first, others))
        });
        let origin = self.origin.map(|origin| ("Origin", "origin", FieldValue::text(origin)));
        let headers = self.headers.iter().map(|&(name, value)| (name, name, FieldValue::text(value)));
        let fields = subprotocols.into_iter();
        #[cfg(feature = "deflate")]
        let fields = fields.chain(self.deflate.as_ref().map(|settings| {
            ("Sec-WebSocket-Extensions", "sec-websocket-extensions", FieldValue::deflate(settings))
        }));
        fields.chain(origin).chain(headers)
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Fields and the query may hold secrets.
        f.debug_struct("Request").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Returns whether `origin` is visible ASCII. The server decides whether it is an origin that it knows.
fn is_origin(origin: &str) -> bool {
    !origin.is_empty() && origin.bytes().all(|byte| byte.is_ascii_graphic())
}
