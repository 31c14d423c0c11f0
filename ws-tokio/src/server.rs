//! The server: the loop that accepts connections, their limits and their end.

use core::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs, lookup_host},
    task::JoinSet,
    time::{sleep, timeout_at},
};
#[cfg(feature = "rustls")]
use ws_proto::driver::ServerTls;
use ws_proto::driver::{AcceptError, AcceptFailure, Incident, Limits, Log, busy_response};

use crate::{
    Acceptor, Exchange, NetStream,
    connections::{Admitted, Connections, Place},
    exchange::Watcher,
    opening::{after, farewell, write_by},
};

/// The maximum number of connections that the system queues until they are accepted.
const BACKLOG: u32 = 1_024;
/// Pause before the next attempt to accept when the system lacks file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time within which a refused client has to take the answer.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// The result of a handler. An error is reported to [`Server::on_error`].
pub type HandlerResult = Result<(), Box<dyn Error + Send + Sync>>;

/// A server with a task for each connection.
///
/// ```no_run
/// # async fn serve() -> std::io::Result<()> {
/// let server = ws_tokio::Server::bind("127.0.0.1:9001").await?;
/// let handle = server.handle(); // for the task that stops the server
/// server.run(async |exchange| {
///     let mut ws = exchange.accept().await?;
///     while let Some(mut received) = ws.read().await? {
///         received.reply.queue(received.message).await?;
///     }
///     Ok(())
/// }).await
/// # }
/// ```
///
/// The handler gets every valid request, for connections and for pages alike. It answers through the [`Exchange`].
///
/// - Connections over the limits are sent 503. While 32 of them are being refused, further ones are dropped.
/// - When the system lacks file descriptors or buffers, the server tries to accept again ten times a second.
/// - A handler that panics ends its own connection only.
/// - A peer that connects and leaves without sending a byte, as health checks do, is not reported.
pub struct Server {
    listener: TcpListener,
    connections: Arc<Connections>,
    acceptor: Acceptor<'static>,
    #[cfg(feature = "rustls")]
    tls: Option<ServerTls>,
    limits: Limits,
    stop_timeout: Duration,
    log: Log,
}

/// Stops a [`Server`] from another task.
#[derive(Clone)]
pub struct Handle {
    connections: Arc<Connections>,
}

/// The state that the tasks of connections share.
struct Serving<H> {
    acceptor: Acceptor<'static>,
    #[cfg(feature = "rustls")]
    tls: Option<ServerTls>,
    connections: Arc<Connections>,
    log: Log,
    handler: H,
}

impl Server {
    /// Listens at an address.
    ///
    /// # Errors
    ///
    /// An error of the operating system: the address is in use, does not belong to this machine, or needs a privilege.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let mut error = None;
        for address in lookup_host(address).await? {
            match listen(address) {
                Ok(listener) => return Ok(Self::new(listener)),
                Err(failure) => error = Some(failure),
            }
        }
        Err(error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
    }

    /// Creates a server that accepts from `listener`.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            connections: Connections::new(),
            acceptor: Acceptor::new(),
            #[cfg(feature = "rustls")]
            tls: None,
            limits: Limits::new(),
            stop_timeout: Duration::from_secs(10),
            log: Log::default(),
        }
    }

    /// Sets the acceptor, which has the limits of messages, timeouts, origins and compression.
    ///
    /// ```no_run
    /// # async fn bind() -> std::io::Result<()> {
    /// use ws_tokio::{Acceptor, Config, Server};
    ///
    /// let mut config = Config::default();
    /// config.max_message_len = 64 * 1024;
    /// let server = Server::bind("127.0.0.1:9001").await?.acceptor(Acceptor::new().config(config));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn acceptor(self, acceptor: Acceptor<'static>) -> Self {
        Self { acceptor, ..self }
    }

    /// Serves `wss`: connections begin with a TLS handshake, which the [handshake
    /// timeout](crate::Config::handshake_timeout) covers together with the request. Clients over the limits are dropped: their
    /// 503 would need a handshake too.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(self, tls: impl Into<ServerTls>) -> Self {
        Self { tls: Some(tls.into()), ..self }
    }

    /// Sets the maximum number of connections at a time: 10,000 by default. The limit is at most the number of files that
    /// the process may open (`RLIMIT_NOFILE` at the time of this call) less 64. Clients beyond it are sent 503.
    #[must_use]
    pub fn max_connections(mut self, most: usize) -> Self {
        self.limits.set_connections(most);
        self
    }

    /// Sets the maximum number of connections whose request has not been answered yet: unlimited by default. Clients beyond it
    /// are sent 503. A request has to come within [`Config::handshake_timeout`](crate::Config::handshake_timeout).
    #[must_use]
    pub fn max_opening(mut self, most: usize) -> Self {
        self.limits.opening = most;
        self
    }

    /// Sets the maximum number of connections of one address whose request has not been answered yet: unlimited by default.
    /// IPv6 addresses that differ in their last 64 bits only count as one. Behind a proxy all connections have the address
    /// of the proxy.
    #[must_use]
    pub fn max_opening_per_address(mut self, most: Option<usize>) -> Self {
        self.limits.opening_per_address = most;
        self
    }

    /// Sets the time in which connections have to close when the server is stopped: 10 s by default. Handlers that have not
    /// returned by then are dropped.
    ///
    /// If a peer does not answer the Close, [`Config::close_timeout`](crate::Config::close_timeout) ends its connection, by default
    /// after 10 s too. Set a longer time here for handlers that still have work to do after the end of their connection.
    #[must_use]
    pub fn stop_timeout(self, stop_timeout: Duration) -> Self {
        Self { stop_timeout, ..self }
    }

    /// Sets the function that incidents are reported to. By default each is a line on standard
    /// error, or with the feature `tracing` an event of level WARN.
    ///
    /// The number of reports is limited, so that peers cannot flood a log. For connections it is ten at once and then
    /// one a second; for the server itself it is one in ten seconds. [`Incident::suppressed`] counts the incidents in
    /// between.
    #[must_use]
    pub fn on_error(self, report: impl Fn(&Incident<'_>) + Send + Sync + 'static) -> Self {
        Self { log: Log::new(report), ..self }
    }

    /// Returns the address at which the server listens.
    ///
    /// # Errors
    ///
    /// An error of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Returns a handle that stops the server from another task, such as one that waits for Ctrl-C.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { connections: Arc::clone(&self.connections) }
    }

    /// Serves connections, each by `handler` in a task of its own, until the server is [stopped](Handle::stop).
    ///
    /// A handler with state clones it for each connection, before the `async` block:
    ///
    /// ```no_run
    /// # async fn serve(server: ws_tokio::Server) -> std::io::Result<()> {
    /// let greeting: std::sync::Arc<str> = "welcome".into();
    /// server.run(move |exchange| {
    ///     let greeting = greeting.clone();
    ///     async move {
    ///         let mut ws = exchange.accept().await?;
    ///         ws.send(&*greeting).await?;
    ///         while ws.read().await?.is_some() {}
    ///         Ok(())
    ///     }
    /// }).await
    /// # }
    /// ```
    ///
    /// Dropping this future drops all connections without a farewell.
    ///
    /// # Errors
    ///
    /// The listener has failed for good. All connections have been closed as by [`Handle::stop`].
    pub async fn run<H, F>(self, handler: H) -> io::Result<()>
    where
        H: Fn(Exchange) -> F + Send + Sync + 'static,
        F: Future<Output = HandlerResult> + Send + 'static,
    {
        let Self { listener, connections, acceptor, limits, stop_timeout, log, .. } = self;
        let serving = Serving {
            acceptor,
            #[cfg(feature = "rustls")]
            tls: self.tls,
            connections,
            log,
            handler,
        };
        let serving = Arc::new(serving);
        let mut tasks = JoinSet::new();
        let result = serving.accept_all(&listener, &limits, &mut tasks).await;
        // Without a listener the system refuses new clients at once.
        drop(listener);
        let deadline = after(Some(stop_timeout));
        serving.connections.close_all();
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        match deadline {
            // The tasks that are left are dropped with the set.
            Some(deadline) => drop(timeout_at(deadline, all_ended).await),
            None => all_ended.await,
        }
        result
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    // As the standard library does, so that a server can be started again at once.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    // A client that finds the queue full tries again only after a second.
    socket.listen(BACKLOG)
}

impl<H, F> Serving<H>
where
    H: Fn(Exchange) -> F + Send + Sync + 'static,
    F: Future<Output = HandlerResult> + Send + 'static,
{
    async fn accept_all(
        self: &Arc<Self>,
        listener: &TcpListener,
        limits: &Limits,
        tasks: &mut JoinSet<()>,
    ) -> io::Result<()> {
        let mut stopped = pin!(self.connections.stopped());
        loop {
            let accepted = unless(stopped.as_mut(), |cx| {
                // The memory of tasks that have ended is freed at once.
                while let Poll::Ready(Some(_)) = tasks.poll_join_next(cx) {}
                listener.poll_accept(cx)
            });
            let Some(accepted) = accepted.await else { return Ok(()) };
            match accepted {
                Ok((stream, peer)) => self.start(stream, peer, limits, tasks),
                Err(error) => match AcceptFailure::of(&error) {
                    AcceptFailure::Connection => {}
                    AcceptFailure::Lack => {
                        self.log.report_lack(&error);
                        // Files may be free after a pause.
                        let mut pause = pin!(sleep(ACCEPT_PAUSE));
                        unless(stopped.as_mut(), |cx| pause.as_mut().poll(cx)).await;
                    }
                    AcceptFailure::Listener => return Err(error),
                },
            }
        }
    }

    /// Serves or refuses a connection in a task of its own.
    fn start(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, limits: &Limits, tasks: &mut JoinSet<()>) {
        // Setting up a socket fails if its peer has gone. Output is written together as it is.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        match self.connections.admit(peer, limits) {
            Admitted::Serve(place) => {
                let serving = Arc::clone(self).serve(stream, peer, place);
                #[cfg(feature = "tracing")]
                let serving = tracing::Instrument::instrument(serving, ws_proto::driver::peer_span(peer));
                tasks.spawn(serving);
            }
            Admitted::Refuse(_) if self.is_tls() => {}
            Admitted::Refuse(place) => {
                tasks.spawn(async move {
                    refuse(stream).await;
                    drop(place);
                });
            }
            Admitted::Drop => {}
        }
    }

    const fn is_tls(&self) -> bool {
        #[cfg(feature = "rustls")]
        return self.tls.is_some();
        #[cfg(not(feature = "rustls"))]
        false
    }

    async fn receive(&self, stream: TcpStream) -> Result<Exchange, AcceptError> {
        #[cfg(feature = "rustls")]
        return Box::pin(self.acceptor.receive_from_net(stream, self.tls.as_ref())).await;
        #[cfg(not(feature = "rustls"))]
        self.acceptor.receive(NetStream::from(stream)).await
    }

    /// Returns the task of a connection.
    fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, place: Place) -> impl Future<Output = ()> {
        // Memory of its own, which is freed when the request has come.
        let opening = Box::pin(Arc::clone(&self).open(stream, peer, place.watcher()));
        async move {
            let result = match opening.await {
                Ok(Some(exchange)) => (self.handler)(exchange).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            // Connections that are ended because the server stops are no incidents.
            if let (Err(error), false) = (result, self.connections.is_stopping()) {
                self.log.report(Some(peer), &*error);
            }
            drop(place);
        }
    }

    /// Reads the request. `None`: the server stops, which does not wait for it, or the peer has sent nothing.
    async fn open(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        watcher: Box<dyn Watcher<NetStream>>,
    ) -> Result<Option<Exchange>, Box<dyn Error + Send + Sync>> {
        let received = {
            let mut receiving = pin!(self.receive(stream));
            unless(pin!(self.connections.stopped()), |cx| receiving.as_mut().poll(cx)).await
        };
        match received {
            Some(Ok(mut exchange)) => {
                exchange.watch(peer, watcher);
                Ok(Some(exchange))
            }
            None | Some(Err(AcceptError::NoRequest)) => Ok(None),
            Some(Err(error)) => Err(error.into()),
        }
    }
}

impl Handle {
    /// Stops the server. Returns before its connections have ended.
    ///
    /// No connection is accepted any more, all open ones are closed with 1001 at the same time, and those whose request has
    /// not come are dropped. [`Server::run`] returns when all handlers have ended, or after [`Server::stop_timeout`], when the
    /// rest is dropped. A server that does not run yet ends as soon as `run` is called.
    ///
    /// A handler that is [reading](crate::WebSocket::read) sees its connection end. A [`Writer`](crate::Writer) of that connection
    /// in another task fails from then on ([`Error::is_closing`](crate::Error::is_closing)); the server does not wait for that task.
    /// A connection that a handler has passed to another task before it returned is neither closed nor waited for: use a
    /// [`Tracker`](crate::Tracker) for it.
    pub fn stop(&self) {
        self.connections.stop();
    }

    /// Returns the number of connections, including those whose request has not been answered yet.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.count()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listener", &self.listener)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

/// Returns the result of `poll`, or `None` if `stopped` is ready first.
async fn unless<X>(
    mut stopped: Pin<&mut impl Future<Output = ()>>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<X>,
) -> Option<X> {
    poll_fn(|cx| match stopped.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => poll(cx).map(Some),
    })
    .await
}

/// Answers 503 to a request that is not read.
async fn refuse(mut stream: TcpStream) {
    if write_by(&mut stream, &busy_response(), after(Some(REFUSAL_TIME))).await.is_ok() {
        farewell(&mut stream).await;
    }
}
