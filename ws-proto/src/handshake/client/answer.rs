use core::fmt;

use super::{
    super::{
        Fields, HandshakeError, SingleField,
        field::{Once, list_names, trim},
        head::{HttpVersion, ResponseHead},
        key,
    },
    Request,
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
    subprotocol: Option<&'a str>,
    negotiated: Negotiated,
}

impl<'h, 'a> Response<'h, 'a> {
    /// The subprotocol that the server has chosen, as it stands in the request; `None` if it has chosen none.
    #[must_use]
    pub const fn subprotocol(&self) -> Option<&'a str> {
        self.subprotocol
    }

    /// What the endpoint has to know of the negotiation, for hosts that make it themselves.
    #[must_use]
    pub const fn negotiated(&self) -> Negotiated {
        self.negotiated
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
        Endpoint::new(role, config, self.negotiated, now)
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
    ResponseHead::parse(head, Facts::gather)
}

pub(super) fn parse<'h, 'a>(
    head: &'h [u8],
    request: &Request<'a>,
    key: &[u8],
) -> Result<Answer<'h, 'a>, HandshakeError> {
    let ResponseHead { version, status, reason, fields, found } = read(head)?;
    match (status, version) {
        (101, HttpVersion::Http10) => Err(HandshakeError::Http10),
        (101, HttpVersion::Http11) => {
            let facts = found?;
            let subprotocol = facts.check(request, key)?;
            let negotiated = if facts.names_extensions { request.extensions(fields)? } else { Negotiated::new() };
            Ok(Answer::Open(Response { fields, subprotocol, negotiated }))
        }
        // An interim response is no answer; HTTP/1.0 has none.
        (100..200, _) => Err(HandshakeError::Status),
        _ => Ok(Answer::Refused(Refusal { status, reason, fields })),
    }
}

/// What one walk over the fields has found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts<'h> {
    upgrade: Once<'h>,
    accept: Once<'h>,
    subprotocol: Once<'h>,
    names_upgrade: bool,
    names_extensions: bool,
}

impl<'h> Facts<'h> {
    fn gather(lines: &[httparse::Header<'h>]) -> Result<Self, HandshakeError> {
        let mut facts = Self::default();
        for line in lines {
            facts.add(line.name, trim(line.value))?;
        }
        Ok(facts)
    }

    // RFC 9112 §6.3: a 101 ends at its empty line, whatever Content-Length and Transfer-Encoding say.
    fn add(&mut self, name: &str, value: &'h [u8]) -> Result<(), HandshakeError> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            7 if is("upgrade") => self.upgrade.add(value),
            10 if is("connection") => {
                self.names_upgrade |= list_names(value, "upgrade").ok_or(HandshakeError::Connection)?;
            }
            // §11.3.1: requests only.
            17 if is("sec-websocket-key") => return Err(HandshakeError::Key),
            20 if is("sec-websocket-accept") => self.accept.add(value),
            22 if is("sec-websocket-protocol") => self.subprotocol.add(value),
            24 if is("sec-websocket-extensions") => self.names_extensions = true,
            _ => {}
        }
        Ok(())
    }

    /// The subprotocol of a response that opens the connection (§4.1).
    fn check<'a>(&self, request: &Request<'a>, key: &[u8]) -> Result<Option<&'a str>, HandshakeError> {
        let upgrade = self.upgrade.required(SingleField::Upgrade, HandshakeError::Upgrade)?;
        if !upgrade.eq_ignore_ascii_case(b"websocket") {
            return Err(HandshakeError::Upgrade);
        }
        if !self.names_upgrade {
            return Err(HandshakeError::Connection);
        }
        let accept = self.accept.required(SingleField::Accept, HandshakeError::Accept)?;
        if !key::equal(&key::accept(key), accept) {
            return Err(HandshakeError::Accept);
        }
        request.chosen(self.subprotocol)
    }
}
