use core::fmt;

use super::{
    super::{Fields, HandshakeError, head::ResponseHead},
    negotiate::{Acceptance, Offer, ResponseFacts},
};
use crate::{
    config::Config,
    endpoint::Endpoint,
    endpoint::Negotiated,
    role::{Client, Entropy},
    time::Instant,
};

/// The answer of a server.
#[derive(Clone, Debug)]
pub enum Answer<'h, 'a> {
    /// The connection is open.
    Open(Response<'h, 'a>),
    /// The server refused: any status but 101. Its meaning is a matter of HTTP.
    Refused(Refusal<'h>),
}

/// A response that opens the connection, valid in every part.
#[derive(Clone, Debug)]
pub struct Response<'h, 'a> {
    fields: Fields<'h>,
    acceptance: Acceptance<'a>,
}

impl<'h, 'a> Response<'h, 'a> {
    /// Returns the subprotocol that the server has chosen, as the request spells it, or `None` if it has chosen
    /// none.
    #[must_use]
    pub const fn subprotocol(&self) -> Option<&'a str> {
        self.acceptance.subprotocol()
    }

    /// Returns the result of the negotiation, for hosts that create the endpoint themselves.
    #[must_use]
    pub const fn negotiated(&self) -> Negotiated {
        self.acceptance.negotiated()
    }

    /// Returns the value of the first field line called `name`, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'h [u8]> {
        self.fields.value(name)
    }

    /// Returns all field lines.
    #[must_use]
    pub const fn headers(&self) -> Fields<'h> {
        self.fields
    }

    /// Creates the endpoint of the connection, on the stream that follows the response.
    #[must_use]
    pub fn open<E: Entropy>(&self, role: Client<E>, config: &Config, now: Instant) -> Endpoint<Client<E>> {
        self.acceptance.open(role, config, now)
    }
}

/// A response that does not open the connection.
#[derive(Clone)]
pub struct Refusal<'h> {
    status: u16,
    reason: &'h [u8],
    fields: Fields<'h>,
}

impl<'h> Refusal<'h> {
    /// Returns the status: 200–999, though HTTP has none above 599.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns the server's phrase for the status. It is often empty; do not rely on it.
    #[must_use]
    pub const fn reason(&self) -> &'h [u8] {
        self.reason
    }

    /// Returns the value of the first field line called `name`, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'h [u8]> {
        self.fields.value(name)
    }

    /// Returns all field lines.
    #[must_use]
    pub const fn headers(&self) -> Fields<'h> {
        self.fields
    }
}

impl fmt::Debug for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal").field("status", &self.status).field("headers", &self.fields).finish()
    }
}

/// Parses a head and gathers the facts that an answer needs.
pub(super) fn read(
    head: &[u8],
) -> Result<ResponseHead<'_, Result<ResponseFacts<'_>, HandshakeError>>, HandshakeError> {
    ResponseHead::parse(head, |lines| ResponseFacts::gather(lines.iter().map(|line| (line.name, line.value))))
}

/// Parses the final head: a response that opens the connection, or a refusal.
pub(super) fn parse<'h, 'a>(head: &'h [u8], offer: &Offer<'a>) -> Result<Answer<'h, 'a>, HandshakeError> {
    let ResponseHead { version, status, reason, fields, found } = read(head)?;
    if !offer.is_accepted(version, status)? {
        return Ok(Answer::Refused(Refusal { status, reason, fields }));
    }
    let acceptance = found?.accept(offer, || fields)?;
    Ok(Answer::Open(Response { fields, acceptance }))
}
