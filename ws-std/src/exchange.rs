//! A request and its answer (RFC 6455 section 4.2).

use core::{fmt, mem, time::Duration};
use std::{io, net::SocketAddr, sync::Arc, thread};

use ws_proto::{
    Endpoint,
    handshake::{Fields, HandshakeError, WriteError},
    server::{Accept, Handshake, Head, OriginPolicy, PlainRequest, Request, Subprotocol},
};

#[cfg(feature = "deflate")]
use crate::compression::Pool;
use crate::{
    Config, Socket, WebSocket,
    accept::AcceptError,
    answer::{Answer, Page, Refusal, Verdict, borrowed},
    clock::Clock,
    compression::Compression,
    opening::{HeadBuffer, farewell, write_within},
    role::Server,
    shared::unwrap_last,
    transport::Transport,
    websocket::Opened,
};

/// A request that has been read but not answered yet, with the transport that it came over.
///
/// [`accept`](Self::accept) makes a connection of it. [`page`](Self::page) and [`refuse`](Self::refuse) answer and end
/// the transport. Dropping an exchange answers too: 404 to a request for a connection, 426 (Upgrade Required) to any
/// other request, and 500 if the thread panics. A handler that returns early for another reason should answer first.
///
/// Each method that returns a part of the request parses the head again.
pub struct Exchange<T: Transport = Socket> {
    /// `None` after the answer. The server that watches over the exchange holds a weak reference.
    transport: Option<Arc<T>>,
    terms: Terms,
    clock: Clock,
    handshake: Handshake,
    head: HeadBuffer,
    head_len: usize,
    peer: Option<SocketAddr>,
    watcher: Option<Box<dyn Watcher<T>>>,
}

/// The settings of an acceptor that its exchanges need.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) config: Config,
    #[cfg(feature = "deflate")]
    pub(crate) pool: Option<Arc<Pool>>,
}

impl Terms {
    /// Returns the time within which the peer has to take an answer that is not a page.
    pub(crate) fn answer_timeout(&self) -> Option<Duration> {
        [self.config.write_timeout, self.config.handshake_timeout].into_iter().flatten().min()
    }
}

/// The interest of a server in one of its exchanges.
pub(crate) trait Watcher<T: Transport>: Send {
    /// Notes that an accepting answer is about to be written, after which the client may regard the connection as open.
    fn accepting(&self);

    /// Receives the new connection before the application does, and returns it.
    fn opened(&self, ws: WebSocket<Server, T>) -> WebSocket<Server, T>;
}

impl<T: Transport> Exchange<T> {
    /// Creates the exchange of a request that has been found valid. `head` is the buffer and the length of the head in
    /// it.
    pub(crate) fn new(
        transport: Arc<T>,
        terms: Terms,
        clock: Clock,
        handshake: Handshake,
        head: (HeadBuffer, usize),
    ) -> Self {
        let (head, head_len) = head;
        let transport = Some(transport);
        Self { transport, terms, clock, handshake, head, head_len, peer: None, watcher: None }
    }

    /// Sets the watcher, which is told when the connection is accepted and opened.
    pub(crate) fn watch(&mut self, peer: SocketAddr, watcher: Box<dyn Watcher<T>>) {
        self.peer = Some(peer);
        self.watcher = Some(watcher);
    }

    /// Returns the parsed request: for a connection, or for a page.
    pub(crate) fn request(&self) -> Option<Head<'_>> {
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
        match self.request() {
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

    /// Returns the query of the target, without its question mark.
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

    /// Accepts the connection.
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. A request that does not ask for a connection has been answered with 426.
    pub fn accept(self) -> Result<WebSocket<Server, T>, AcceptError> {
        self.accept_with(Answer::accept())
    }

    /// Accepts or refuses a request for a connection, as `answer` says.
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]; [`AcceptError::Refused`] if the answer is a refusal. A request that does not ask for a
    /// connection has been answered with 426.
    pub fn accept_with(mut self, answer: Answer) -> Result<WebSocket<Server, T>, AcceptError> {
        if !self.is_upgrade() {
            return Err(self.fail(HandshakeError::UpgradeRequired));
        }
        let subprotocol = match answer.verdict {
            Verdict::Accept(subprotocol) => subprotocol,
            Verdict::Refuse(refusal) => {
                self.refuse_with(&refusal, &answer.headers)?;
                return Err(AcceptError::Refused(refusal.status));
            }
        };
        let mut response = Vec::new();
        let endpoint = match self.write_acceptance(subprotocol.as_deref(), &answer.headers, &mut response) {
            Ok(endpoint) => endpoint,
            Err(error) => return Err(self.fail_to_answer(error)),
        };
        // Taken before the write: if it fails, dropping the exchange must not send a second answer.
        let transport = self.take_transport()?;
        if let Some(watcher) = &self.watcher {
            watcher.accepting();
        }
        write_within(&*transport, &response, self.terms.answer_timeout())?;
        Ok(self.open(transport, endpoint, subprotocol.as_deref()))
    }

    /// Appends the accepting response to `response` and returns the endpoint of the connection.
    fn write_acceptance(
        &self,
        subprotocol: Option<&str>,
        headers: &[(String, String)],
        response: &mut Vec<u8>,
    ) -> Result<Endpoint<Server>, WriteError> {
        let Some(Head::Upgrade(request)) = self.request() else {
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
        let accept = accept.deflate(self.terms.pool.as_ref().and_then(|pool| request.deflate(&pool.settings)));
        request.upgrade().accept_to(&accept, &self.terms.config, self.clock.now(), response)
    }

    /// Creates the connection after the answer has been written.
    fn open(
        mut self,
        transport: Arc<T>,
        endpoint: Endpoint<Server>,
        subprotocol: Option<&str>,
    ) -> WebSocket<Server, T> {
        #[cfg(feature = "deflate")]
        let compression = Compression::new(&endpoint, self.terms.pool.as_ref());
        #[cfg(not(feature = "deflate"))]
        let compression = Compression::default();
        let transport = unwrap_last(transport);
        let buffer = mem::take(&mut self.head).into_buffer(self.head_len);
        let opened = Opened { endpoint, compression, transport, buffer, clock: self.clock };
        let ws = WebSocket::new(opened, &self.terms.config).with_subprotocol(subprotocol);
        match self.watcher.take() {
            Some(watcher) => watcher.opened(ws),
            None => ws,
        }
    }

    /// Answers a request of any kind with a page, and ends the transport. The answer to HEAD has no body.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Answer`] if the page has a field that cannot be sent: 500 has been sent instead.
    /// [`AcceptError::Io`] if the transport fails or the peer does not take the page within [`Config::write_timeout`].
    pub fn page(mut self, page: &Page) -> Result<(), AcceptError> {
        let mut response = match page.head() {
            Ok(head) => head,
            Err(error) => return Err(self.fail_to_answer(error)),
        };
        if self.method() != "HEAD" {
            response.extend_from_slice(&page.body);
        }
        self.write_last(&response, self.terms.config.write_timeout)
    }

    /// Refuses with a status from 300 to 599, and ends the transport; [`Answer::refuse`] can say more.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Answer`] for any other status: 500 has been sent instead. [`AcceptError::Io`] if the transport
    /// fails or the peer does not take the answer in time.
    pub fn refuse(mut self, status: u16) -> Result<(), AcceptError> {
        self.refuse_with(&Refusal::new(status), &[])
    }

    fn refuse_with(&mut self, refusal: &Refusal, headers: &[(String, String)]) -> Result<(), AcceptError> {
        let mut response = Vec::new();
        match refusal.write_to(headers, self.head.received(), &mut response) {
            Ok(()) => self.write_last(&response, self.terms.answer_timeout()),
            Err(error) => Err(self.fail_to_answer(error)),
        }
    }

    /// Sends the answer to a request that is at fault, and returns the error for the application.
    fn fail(&mut self, error: HandshakeError) -> AcceptError {
        let mut response = Vec::new();
        error.write_response_to(self.head.received(), &mut response);
        // An error means that the peer has gone; the application gets the other error.
        let _ = self.write_last(&response, self.terms.answer_timeout());
        AcceptError::Handshake(error)
    }

    /// Answers 500 in place of an answer that cannot be sent, and returns the error for the application.
    fn fail_to_answer(&mut self, error: WriteError) -> AcceptError {
        // The application learns of its own fault even if the peer has gone.
        let _ = self.refuse_with(&Refusal::new(500), &[]);
        AcceptError::Answer(error)
    }

    fn write_last(&mut self, response: &[u8], timeout: Option<Duration>) -> Result<(), AcceptError> {
        let transport = self.take_transport()?;
        write_within(&*transport, response, timeout)?;
        farewell(&*transport);
        Ok(())
    }

    fn take_transport(&mut self) -> io::Result<Arc<T>> {
        debug_assert!(self.transport.is_some(), "an exchange is answered once");
        self.transport.take().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Exchange {
    /// Returns the address of the peer, or of the last proxy before the server. `None`: the socket has no IP address,
    /// or has been closed.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer.or_else(|| self.transport.as_ref()?.as_socket2().peer_addr().ok()?.as_socket())
    }
}

impl<T: Transport> Drop for Exchange<T> {
    fn drop(&mut self) {
        if self.transport.is_none() {
            return;
        }
        // An error means that the peer has gone, and then no answer is needed.
        if thread::panicking() {
            let _ = self.refuse_with(&Refusal::new(500), &[]);
        } else if self.is_upgrade() {
            let _ = self.refuse_with(&Refusal::new(404), &[]);
        } else {
            self.fail(HandshakeError::UpgradeRequired);
        }
    }
}

impl<T: Transport> fmt::Debug for Exchange<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("request", &self.request())
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
