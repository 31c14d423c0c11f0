//! A request and its answer (RFC 6455 section 4.2).

use core::{fmt, ops::Deref, time::Duration};
use std::{io, net::SocketAddr, thread};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use ws_proto::{
    Server,
    driver::{AcceptError, Answer, Opened, Page, ReceivedRequest},
};

use crate::{
    NetStream, WebSocket,
    clock::Clock,
    opening::{after, farewell, poll_once, write_by},
};

/// A request that has been read but not answered yet, with the stream that it came over. It dereferences to the request.
///
/// [`accept`](Self::accept) makes a connection of it. [`page`](Self::page) and [`refuse`](Self::refuse) answer and end
/// the stream. Dropping an exchange answers too, if the stream takes the answer at once: 404 to a request for a
/// connection, 426 (Upgrade Required) to any other request, and 500 if the task panics. A handler that returns early for
/// another reason should answer first.
///
/// The futures of its methods own the exchange. If one is dropped before it is polled, the exchange is dropped, which answers. If
/// it is dropped later, the stream ends, and the peer may have received a part of the answer only.
pub struct Exchange<S: AsyncRead + AsyncWrite + Unpin = NetStream>(Box<Parts<S>>);

/// The contents of an [`Exchange`], in memory of their own: futures of handlers hold an exchange more than once.
struct Parts<S> {
    /// `None` after the answer.
    stream: Option<S>,
    request: ReceivedRequest,
    answer_timeout: Option<Duration>,
    clock: Clock,
    peer: Option<SocketAddr>,
    watcher: Option<Box<dyn Watcher<S>>>,
}

/// The interest of a server in one of its exchanges.
pub(crate) trait Watcher<S>: Send + Sync {
    /// Receives the new connection before the application does, and returns it.
    fn opened(&self, ws: WebSocket<Server, S>) -> WebSocket<Server, S>;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    /// Creates the exchange of a request that has been found valid.
    pub(crate) fn new(
        stream: S,
        request: ReceivedRequest,
        answer_timeout: Option<Duration>,
        clock: Clock,
    ) -> Self {
        Self(Box::new(Parts { stream: Some(stream), request, answer_timeout, clock, peer: None, watcher: None }))
    }

    /// Sets the watcher, which is told when the connection is accepted and opened.
    pub(crate) fn watch(&mut self, peer: SocketAddr, watcher: Box<dyn Watcher<S>>) {
        self.0.peer = Some(peer);
        self.0.watcher = Some(watcher);
    }

    /// Accepts the connection.
    ///
    /// If clients may ask for pages, look at [`is_upgrade`](ReceivedRequest::is_upgrade) first and answer with
    /// [`page`](Self::page): a handler that returns the error of this call adds an incident to the server's log.
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. A request that does not ask for a connection has been answered with 426.
    pub async fn accept(self) -> Result<WebSocket<Server, S>, AcceptError>
    where
        S: Send + 'static,
    {
        self.accept_with(Answer::accept()).await
    }

    /// Accepts or refuses a request for a connection, as `answer` says.
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]; [`AcceptError::Refused`] if the answer is a refusal. A request that does not ask for a
    /// connection has been answered with 426.
    pub async fn accept_with(self, answer: Answer) -> Result<WebSocket<Server, S>, AcceptError>
    where
        S: Send + 'static,
    {
        Box::pin(self.answer(answer)).await
    }

    async fn answer(mut self, answer: Answer) -> Result<WebSocket<Server, S>, AcceptError>
    where
        S: Send + 'static,
    {
        let mut response = Vec::new();
        match self.0.request.accept(&answer, self.0.clock.now(), &mut response) {
            Ok(opened) => self.open(opened, &response).await,
            Err(error @ AcceptError::Refused(_)) => {
                self.write_last(&response, self.0.answer_timeout).await?;
                Err(error)
            }
            Err(error) => {
                // The application learns of the fault even if the peer has gone.
                let _ = self.write_last(&response, self.0.answer_timeout).await;
                Err(error)
            }
        }
    }

    /// Writes the accepting response and creates the connection.
    async fn open(mut self, opened: Opened<Server>, response: &[u8]) -> Result<WebSocket<Server, S>, AcceptError>
    where
        S: Send + 'static,
    {
        // Taken before the write: if it fails, dropping the exchange must not send a second answer.
        let mut stream = self.take_stream()?;
        write_by(&mut stream, response, after(self.0.answer_timeout)).await?;
        let ws = WebSocket::new(opened, stream, self.0.clock);
        Ok(match self.0.watcher.take() {
            Some(watcher) => watcher.opened(ws),
            None => ws,
        })
    }

    /// Answers a request of any kind with a page, and ends the stream. The answer to HEAD has no body.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Answer`] if the page has a field that cannot be sent: 500 has been sent instead.
    /// [`AcceptError::Io`] if the stream fails or the peer does not take the page within
    /// [`Config::write_timeout`](crate::Config::write_timeout).
    pub async fn page(mut self, page: &Page) -> Result<(), AcceptError> {
        let mut response = Vec::new();
        let answered = self.0.request.page(page, &mut response);
        let timeout = if answered.is_ok() { self.0.request.page_timeout() } else { self.0.answer_timeout };
        let written = self.write_last(&response, timeout).await;
        answered.and(written)
    }

    /// Refuses with a status from 300 to 599, and ends the stream; [`Answer::refuse`] can say more.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Answer`] for any other status: 500 has been sent instead. [`AcceptError::Io`] if the stream
    /// fails or the peer does not take the answer in time.
    pub async fn refuse(mut self, status: u16) -> Result<(), AcceptError> {
        let mut response = Vec::new();
        let answered = self.0.request.refuse(status, &mut response);
        let written = self.write_last(&response, self.0.answer_timeout).await;
        answered.and(written)
    }

    async fn write_last(&mut self, response: &[u8], timeout: Option<Duration>) -> Result<(), AcceptError> {
        let mut stream = self.take_stream()?;
        write_by(&mut stream, response, after(timeout)).await?;
        farewell(&mut stream).await;
        Ok(())
    }

    fn take_stream(&mut self) -> io::Result<S> {
        debug_assert!(self.0.stream.is_some(), "an exchange is answered once");
        self.0.stream.take().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Exchange {
    /// Returns the address of the peer, or of the last proxy before the server. `None`: the socket has been closed.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.0.peer.or_else(|| self.0.stream.as_ref()?.tcp()?.peer_addr().ok())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Deref for Exchange<S> {
    type Target = ReceivedRequest;

    fn deref(&self) -> &ReceivedRequest {
        &self.0.request
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Exchange<S> {
    fn drop(&mut self) {
        let Some(stream) = &mut self.0.stream else { return };
        let mut response = Vec::new();
        if thread::panicking() {
            // The status is one that can be sent.
            let _ = self.0.request.refuse(500, &mut response);
        } else {
            self.0.request.refuse_unanswered(&mut response);
        }
        // The response fits in an empty socket. A failure means that the peer has gone, and then no answer is needed.
        let _ = poll_once(async {
            stream.write_all(&response).await?;
            stream.shutdown().await
        });
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Exchange<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("request", &self.0.request.head())
            .field("peer", &self.0.peer)
            .finish_non_exhaustive()
    }
}
