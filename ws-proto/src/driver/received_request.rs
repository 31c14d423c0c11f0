//! A request and its answer (RFC 6455 section 4.2).

use core::{fmt, time::Duration};
use std::{string::String, vec::Vec};

use super::{
    AcceptError, Answer, Compressors, HeadBuffer, Opened, Page,
    answer::{Refusal, Verdict, borrowed},
};
use crate::{
    Config, Endpoint, Server,
    handshake::{Fields, HandshakeError, WriteError},
    server::{Accept, Handshake, Head, OriginPolicy, PlainRequest, Request, Subprotocol},
    time::Instant,
};

/// A valid request that has not been answered yet: for a connection, or for a page.
///
/// Each method that returns a part of the request parses the head again. A method that answers appends the response to `out`,
/// also if it returns an error: the driver writes it, and after an error or a page ends the transport.
pub struct ReceivedRequest {
    handshake: Handshake,
    head: HeadBuffer,
    head_len: usize,
    config: Config,
    compressors: Compressors,
}

impl ReceivedRequest {
    pub(super) const fn new(
        handshake: Handshake,
        head: HeadBuffer,
        head_len: usize,
        config: Config,
        compressors: Compressors,
    ) -> Self {
        Self { handshake, head, head_len, config, compressors }
    }

    /// Returns the parsed request.
    #[must_use]
    pub fn head(&self) -> Option<Head<'_>> {
        // The policy of the acceptor has already been applied to the origin.
        let parsed = self.handshake.request(self.head.received(), OriginPolicy::AllowAny).ok();
        debug_assert!(parsed.is_some(), "the head was valid when it was received");
        parsed
    }

    /// Returns a part of the request, which `upgrade` or `plain` finds in a request of its kind.
    fn look_up<'h, X: Default>(
        &'h self,
        upgrade: impl FnOnce(Request<'h>) -> X,
        plain: impl FnOnce(PlainRequest<'h>) -> X,
    ) -> X {
        match self.head() {
            Some(Head::Upgrade(request)) => upgrade(request),
            Some(Head::Plain(request)) => plain(request),
            None => X::default(),
        }
    }

    /// Returns whether the request asks for a connection.
    #[must_use]
    pub fn is_upgrade(&self) -> bool {
        self.look_up(|_| true, |_| false)
    }

    /// Returns the method, in capitals. A request for a connection has GET.
    #[must_use]
    pub fn method(&self) -> &str {
        self.look_up(|_| "GET", |plain| plain.method())
    }

    /// Returns the request target as it was sent.
    #[must_use]
    pub fn target(&self) -> &str {
        self.look_up(|upgrade| upgrade.target(), |plain| plain.target())
    }

    /// Returns the path of the target as it was sent, with its percent-encoding.
    #[must_use]
    pub fn path(&self) -> &str {
        self.look_up(|upgrade| upgrade.path(), |plain| plain.path())
    }

    /// Returns the query of the target as it was sent, with its percent-encoding and without its question mark. `None`: there is
    /// none.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.look_up(|upgrade| upgrade.query(), |plain| plain.query())
    }

    /// Returns the host that the request is for, with the port if it was sent.
    #[must_use]
    pub fn host(&self) -> &str {
        self.look_up(|upgrade| upgrade.host(), |plain| plain.host())
    }

    /// Returns the origin of the page that asks for a connection. `None`: the client is not a browser, or the request
    /// is not for a connection.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.look_up(|upgrade| upgrade.origin(), |_| None)
    }

    /// Returns the value of the first field called `name`, which is compared without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.look_up(|upgrade| upgrade.header(name), |plain| plain.header(name))
    }

    /// Returns all fields in their order, each with its name and its value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let fields: Option<Fields<'_>> =
            self.look_up(|upgrade| Some(upgrade.headers()), |plain| Some(plain.headers()));
        fields.into_iter().flatten()
    }

    /// Returns the subprotocols that the client offers, the preferred one first.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.look_up(|upgrade| Some(upgrade.subprotocols()), |_| None).into_iter().flatten()
    }

    /// Returns the first of `ours` that the client offers too, for [`Answer::subprotocol`].
    #[must_use]
    pub fn select<'s>(&self, ours: &[&'s str]) -> Option<Subprotocol<'s>> {
        self.look_up(|upgrade| upgrade.select(ours), |_| None)
    }

    /// Returns the time within which the peer has to take a page.
    #[must_use]
    pub const fn page_timeout(&self) -> Option<Duration> {
        self.config.write_timeout
    }

    /// Appends the answer to a request for a connection, as `answer` says, and opens the connection at `now`. For hosts with their
    /// own I/O: an `Exchange` of ws-std or ws-tokio has a method `accept` of its own.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Refused`] if the answer is a refusal. [`AcceptError::Answer`] if it cannot be sent: then it is 500 instead.
    /// [`AcceptError::Handshake`] if the request does not ask for a connection: then it is 426 (Upgrade Required).
    pub fn accept(
        &mut self,
        answer: &Answer,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Opened<Server>, AcceptError> {
        if !self.is_upgrade() {
            return Err(self.fail(HandshakeError::UpgradeRequired, out));
        }
        let subprotocol = match &answer.verdict {
            Verdict::Accept(subprotocol) => subprotocol.as_deref(),
            Verdict::Refuse(refusal) => {
                self.refuse_with(refusal, &answer.headers, out)?;
                return Err(AcceptError::Refused(refusal.status));
            }
        };
        let endpoint = match self.write_acceptance(subprotocol, &answer.headers, now, out) {
            Ok(endpoint) => endpoint,
            Err(error) => return Err(self.fail_to_answer(error, out)),
        };
        let compression = self.compressors.negotiated(&endpoint);
        let buffer = core::mem::take(&mut self.head).into_buffer(self.head_len);
        Ok(Opened::new(endpoint, compression, buffer, subprotocol, self.config.clone()))
    }

    /// Appends the accepting response and returns the endpoint of the connection.
    fn write_acceptance(
        &self,
        subprotocol: Option<&str>,
        headers: &[(String, String)],
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Endpoint<Server>, WriteError> {
        let Some(Head::Upgrade(request)) = self.head() else {
            return Err(WriteError::InvalidHeader);
        };
        let chosen = match subprotocol {
            // A client fails the connection if it has not offered the subprotocol (RFC 6455 section 4.1).
            Some(name) => Some(request.select(&[name]).ok_or(WriteError::InvalidHeader)?),
            None => None,
        };
        let headers = borrowed(headers);
        let accept = Accept::new().subprotocol(chosen).headers(&headers);
        #[cfg(feature = "deflate")]
        let accept = accept.deflate(self.compressors.settings().and_then(|settings| request.deflate(&settings)));
        request.upgrade().accept_to(&accept, &self.config, now, out)
    }

    /// Appends a page as the answer to a request of any kind. The answer to HEAD has no body. For hosts with their own I/O: an
    /// `Exchange` of ws-std or ws-tokio has a method `page` of its own.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Answer`] if the page has a field that cannot be sent: the answer is 500 instead.
    pub fn page(&self, page: &Page, out: &mut Vec<u8>) -> Result<(), AcceptError> {
        match page.head() {
            Ok(head) => out.extend_from_slice(&head),
            Err(error) => return Err(self.fail_to_answer(error, out)),
        }
        if self.method() != "HEAD" {
            out.extend_from_slice(&page.body);
        }
        Ok(())
    }

    /// Appends a refusal with a status from 300 to 599; [`Answer::refuse`] can say more. For hosts with their own I/O: an `Exchange`
    /// of ws-std or ws-tokio has a method `refuse` of its own.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Answer`] for any other status: the answer is 500 instead.
    pub fn refuse(&self, status: u16, out: &mut Vec<u8>) -> Result<(), AcceptError> {
        self.refuse_with(&Refusal::new(status), &[], out)
    }

    /// Appends the answer to a request that the application has left unanswered: 404 to a request for a connection, 426
    /// (Upgrade Required) to any other.
    pub fn refuse_unanswered(&self, out: &mut Vec<u8>) {
        if self.is_upgrade() {
            // The status is one that can be sent.
            let _ = self.refuse(404, out);
        } else {
            self.fail(HandshakeError::UpgradeRequired, out);
        }
    }

    fn refuse_with(
        &self,
        refusal: &Refusal,
        headers: &[(String, String)],
        out: &mut Vec<u8>,
    ) -> Result<(), AcceptError> {
        refusal.write_to(headers, self.head.received(), out).map_err(|error| self.fail_to_answer(error, out))
    }

    /// Appends the answer to a request that is at fault, and returns the error for the application.
    fn fail(&self, error: HandshakeError, out: &mut Vec<u8>) -> AcceptError {
        error.write_response_to(self.head.received(), out);
        AcceptError::Handshake(error)
    }

    /// Appends 500 in place of an answer that cannot be sent, and returns the error for the application.
    fn fail_to_answer(&self, error: WriteError, out: &mut Vec<u8>) -> AcceptError {
        let written = Refusal::new(500).write_to(&[], self.head.received(), out);
        debug_assert!(written.is_ok(), "the answer is a fixed one");
        AcceptError::Answer(error)
    }
}

impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReceivedRequest").field(&self.head()).finish()
    }
}
