use core::fmt;

use super::{
    super::{Fields, HandshakeError, head::ResponseHead},
    negotiate::{Acceptance, Facts, Offer},
};
use crate::{
    config::Config,
    endpoint::Endpoint,
    endpoint::Negotiated,
    role::{Client, Entropy},
    time::Instant,
};

/// What a server answers.
#[derive(Clone, Debug)]
pub enum Answer<'h, 'a> {
    /// The connection is open.
    Open(Response<'h, 'a>),
    /// Any status but 101: nothing is open. What the status means is HTTP's matter.
    Refused(Refusal<'h>),
}

/// A response that opens the connection, valid in every part.
#[derive(Clone, Debug)]
pub struct Response<'h, 'a> {
    fields: Fields<'h>,
    acceptance: Acceptance<'a>,
}

impl<'h, 'a> Response<'h, 'a> {
    /// The subprotocol that the server has chosen, as it stands in the request; `None` if it has chosen none.
    #[must_use]
    pub const fn subprotocol(&self) -> Option<&'a str> {
        self.acceptance.subprotocol()
    }

    /// What the endpoint has to know of the negotiation, for hosts that make it themselves.
    #[must_use]
    pub const fn negotiated(&self) -> Negotiated {
        self.acceptance.negotiated()
    }

    /// The value of the first field line called `name`, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'h [u8]> {
        self.fields.value(name)
    }

    /// All field lines.
    #[must_use]
    pub const fn headers(&self) -> Fields<'h> {
        self.fields
    }

    /// The endpoint of the connection.
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
    /// The status: 200–999, though HTTP has none above 599.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The server's words for the status; often empty, never to be relied on.
    #[must_use]
    pub const fn reason(&self) -> &'h [u8] {
        self.reason
    }

    /// The value of the first field line called `name`, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'h [u8]> {
        self.fields.value(name)
    }

    /// All field lines.
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

/// Parses a head, and gathers what an answer needs of it.
pub(super) fn read(head: &[u8]) -> Result<ResponseHead<'_, Result<Facts<'_>, HandshakeError>>, HandshakeError> {
    ResponseHead::parse(head, |lines| Facts::gather(lines.iter().map(|line| (line.name, line.value))))
}

pub(super) fn parse<'h, 'a>(head: &'h [u8], offer: &Offer<'a>) -> Result<Answer<'h, 'a>, HandshakeError> {
    let ResponseHead { version, status, reason, fields, found } = read(head)?;
    if !offer.is_accepted(version, status)? {
        return Ok(Answer::Refused(Refusal { status, reason, fields }));
    }
    let acceptance = found?.accept(offer, || fields)?;
    Ok(Answer::Open(Response { fields, acceptance }))
}
