//! A request and its answer (RFC 6455 section 4.2).

use core::{fmt, ops::Deref, time::Duration};
use std::{io, net::SocketAddr, sync::Arc, thread};

use ws_proto::driver::{AcceptError, Answer, Opened, Page, ReceivedRequest};

use crate::{
    NetStream, WebSocket,
    clock::Clock,
    opening::{farewell, write_within},
    role::Server,
    shared::unwrap_last,
    transport::Transport,
};

/// A request that has been read but not answered yet, with the transport that it came over. It dereferences to the
/// request.
///
/// [`accept`](Self::accept) makes a connection of it. [`page`](Self::page) and [`refuse`](Self::refuse) answer and end
/// the transport. Dropping an exchange answers too: 404 to a request for a connection, 426 (Upgrade Required) to any
/// other request, and 500 if the thread panics. A handler that returns early for another reason should answer first.
pub struct Exchange<T: Transport = NetStream> {
    /// `None` after the answer. The server that watches over the exchange holds a weak reference.
    transport: Option<Arc<T>>,
    request: ReceivedRequest,
    answer_timeout: Option<Duration>,
    clock: Clock,
    peer: Option<SocketAddr>,
    watcher: Option<Box<dyn Watcher<T>>>,
}

/// The interest of a server in one of its exchanges.
pub(crate) trait Watcher<T: Transport>: Send {
    /// Notes that an accepting answer is about to be written, after which the client may regard the connection as open.
    fn accepting(&self);

    /// Receives the new connection before the application does, and returns it.
    fn opened(&self, ws: WebSocket<Server, T>) -> WebSocket<Server, T>;
}

impl<T: Transport> Exchange<T> {
    /// Creates the exchange of a request that has been found valid.
    pub(crate) fn new(
        transport: Arc<T>,
        request: ReceivedRequest,
        answer_timeout: Option<Duration>,
        clock: Clock,
    ) -> Self {
        Self { transport: Some(transport), request, answer_timeout, clock, peer: None, watcher: None }
    }

    /// Sets the watcher, which is told when the connection is accepted and opened.
    pub(crate) fn watch(&mut self, peer: SocketAddr, watcher: Box<dyn Watcher<T>>) {
        self.peer = Some(peer);
        self.watcher = Some(watcher);
    }

    /// Accepts the connection.
    ///
    /// If clients may ask for pages, look at [`is_upgrade`](ReceivedRequest::is_upgrade) first and answer with
    /// [`page`](Self::page): a handler that returns the error of this call adds an incident to the server's log.
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
    #[allow(clippy::needless_pass_by_value, reason = "an answer is given once")]
    pub fn accept_with(mut self, answer: Answer) -> Result<WebSocket<Server, T>, AcceptError> {
        let mut response = Vec::new();
        match self.request.accept(&answer, self.clock.now(), &mut response) {
            Ok(opened) => self.open(opened, &response),
            Err(error @ AcceptError::Refused(_)) => {
                self.write_last(&response, self.answer_timeout)?;
                Err(error)
            }
            Err(error) => {
                // The application learns of the fault even if the peer has gone.
                let _ = self.write_last(&response, self.answer_timeout);
                Err(error)
            }
        }
    }

    /// Writes the accepting response and creates the connection.
    fn open(mut self, opened: Opened<Server>, response: &[u8]) -> Result<WebSocket<Server, T>, AcceptError> {
        // Taken before the write: if it fails, dropping the exchange must not send a second answer.
        let transport = self.take_transport()?;
        if let Some(watcher) = &self.watcher {
            watcher.accepting();
        }
        write_within(&*transport, response, self.answer_timeout)?;
        let ws = WebSocket::new(opened, unwrap_last(transport), self.clock);
        Ok(match self.watcher.take() {
            Some(watcher) => watcher.opened(ws),
            None => ws,
        })
    }

    /// Answers a request of any kind with a page, and ends the transport. The answer to HEAD has no body.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Answer`] if the page has a field that cannot be sent: 500 has been sent instead.
    /// [`AcceptError::Io`] if the transport fails or the peer does not take the page within
    /// [`Config::write_timeout`](crate::Config::write_timeout).
    pub fn page(mut self, page: &Page) -> Result<(), AcceptError> {
        let mut response = Vec::new();
        let answered = self.request.page(page, &mut response);
        let timeout = if answered.is_ok() { self.request.page_timeout() } else { self.answer_timeout };
        self.finish(&response, timeout, answered)
    }

    /// Refuses with a status from 300 to 599, and ends the transport; [`Answer::refuse`] can say more.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Answer`] for any other status: 500 has been sent instead. [`AcceptError::Io`] if the transport
    /// fails or the peer does not take the answer in time.
    pub fn refuse(mut self, status: u16) -> Result<(), AcceptError> {
        let mut response = Vec::new();
        let answered = self.request.refuse(status, &mut response);
        self.finish(&response, self.answer_timeout, answered)
    }

    /// Writes the last response. An error of `answered` comes before an error of the write.
    fn finish(
        &mut self,
        response: &[u8],
        timeout: Option<Duration>,
        answered: Result<(), AcceptError>,
    ) -> Result<(), AcceptError> {
        let written = self.write_last(response, timeout);
        answered.and(written)
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
        self.peer.or_else(|| self.transport.as_ref()?.socket().as_socket2().peer_addr().ok()?.as_socket())
    }
}

impl<T: Transport> Deref for Exchange<T> {
    type Target = ReceivedRequest;

    fn deref(&self) -> &ReceivedRequest {
        &self.request
    }
}

impl<T: Transport> Drop for Exchange<T> {
    fn drop(&mut self) {
        if self.transport.is_none() {
            return;
        }
        let mut response = Vec::new();
        if thread::panicking() {
            // The status is one that can be sent.
            let _ = self.request.refuse(500, &mut response);
        } else {
            self.request.refuse_unanswered(&mut response);
        }
        // An error means that the peer has gone, and then no answer is needed.
        let _ = self.write_last(&response, self.answer_timeout);
    }
}

impl<T: Transport> fmt::Debug for Exchange<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("request", &self.request.head())
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
