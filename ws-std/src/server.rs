//! The server: the loop that accepts connections, their limits and their end.

mod connections;
mod wake;

use core::{error::Error, fmt, time::Duration};
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::Arc,
    thread,
};

use connections::{Admitted, Connections, Place};
use socket2::SockRef;
use wake::Wake;
use ws_proto::driver::{AcceptError, AcceptFailure, Incident, Limits, Log, busy_response};

use crate::{
    Acceptor, Exchange, NetStream, Socket,
    opening::{farewell, write_within},
};
#[cfg(feature = "rustls")]
use crate::{ServerTls, TlsStream};

/// The maximum number of connections that the system queues until they are accepted.
const BACKLOG: i32 = 1_024;
/// Pause before the next attempt to accept when the system lacks file descriptors, threads or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Stack, in bytes, of a thread that refuses a connection.
const REFUSAL_STACK: usize = 64 * 1024;
/// Time within which a refused client has to take the answer.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// The result of a handler. An error is reported to [`Server::on_error`].
pub type HandlerResult = Result<(), Box<dyn Error + Send + Sync>>;

/// A server with a thread for each connection.
///
/// ```no_run
/// let server = ws_std::Server::bind("127.0.0.1:9001")?;
/// let handle = server.handle(); // for the thread that stops the server
/// server.run(|exchange| {
///     let mut ws = exchange.accept()?;
///     while let Some(mut received) = ws.read()? {
///         received.reply.queue(received.message)?;
///     }
///     Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// The handler gets every valid request, for connections and for pages alike. It answers through the [`Exchange`].
///
/// - Connections over the limits are sent 503. While 32 of them are being refused, further ones are dropped. With
///   TLS all of them are dropped.
/// - When the system lacks file descriptors, threads or buffers, the server tries to accept again ten times a second.
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
    stack_size: usize,
    log: Log,
}

/// Stops a [`Server`] from another thread.
#[derive(Clone)]
pub struct Handle {
    connections: Arc<Connections>,
}

/// The state that the threads of connections share.
struct Serving<H> {
    acceptor: Acceptor<'static>,
    #[cfg(feature = "rustls")]
    tls: Option<ServerTls>,
    connections: Arc<Connections>,
    log: Log,
    handler: H,
}

impl Server {
    /// Default of [`stack_size`](Self::stack_size): 256 KiB.
    ///
    /// An echo handler with compression and the log needs 16 KiB in a release build and 80 KiB in a debug build (x86-64
    /// Linux). The rest is left to the handler. The system allocates only the memory of a stack that has been used.
    pub const STACK_SIZE: usize = 256 * 1024;

    /// Listens at an address.
    ///
    /// # Errors
    ///
    /// An error of the operating system: the address is in use, does not belong to this machine, or needs a privilege.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        // More than the standard library's 128: a client that finds the queue full tries again only after a second.
        SockRef::from(&listener).listen(BACKLOG)?;
        Self::new(listener)
    }

    /// Creates a server that accepts from `listener`, which is set to blocking mode.
    ///
    /// # Errors
    ///
    /// An error of the operating system.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(false)?;
        let connections = Connections::new(Wake::new(&listener)?);
        Ok(Self {
            listener,
            connections,
            acceptor: Acceptor::new(),
            #[cfg(feature = "rustls")]
            tls: None,
            limits: Limits::new(),
            stop_timeout: Duration::from_secs(10),
            stack_size: Self::STACK_SIZE,
            log: Log::default(),
        })
    }

    /// Sets the acceptor, which has the limits of messages, timeouts, origins and compression.
    ///
    /// ```no_run
    /// use ws_std::{Acceptor, Config, Server};
    ///
    /// let mut config = Config::default();
    /// config.max_message_len = 64 * 1024;
    /// let server = Server::bind("127.0.0.1:9001")?.acceptor(Acceptor::new().config(config));
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn acceptor(self, acceptor: Acceptor<'static>) -> Self {
        Self { acceptor, ..self }
    }

    /// Serves through TLS, and nothing without it. A TLS handshake is done on the thread of the connection, and counts in
    /// [`Config::handshake_timeout`](crate::Config::handshake_timeout).
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

    /// Sets the time in which connections have to close when the server is stopped: 10 s by default. Connections that have not
    /// ended by then are dropped.
    ///
    /// If a peer does not answer the Close, [`Config::close_timeout`](crate::Config::close_timeout) ends its connection, by default
    /// after 10 s too. Set a longer time here for handlers that still have work to do after the end of their connection.
    #[must_use]
    pub fn stop_timeout(self, stop_timeout: Duration) -> Self {
        Self { stop_timeout, ..self }
    }

    /// Sets the stack size of a connection's thread in bytes: [`STACK_SIZE`](Self::STACK_SIZE) by default.
    #[must_use]
    pub fn stack_size(self, stack_size: usize) -> Self {
        Self { stack_size, ..self }
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

    /// Returns a handle that stops the server from another thread, such as one that handles Ctrl-C.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { connections: Arc::clone(&self.connections) }
    }

    /// Serves connections, each by `handler` on a thread of its own, until the server is [stopped](Handle::stop).
    ///
    /// # Errors
    ///
    /// The listener has failed for good. All connections have been closed as by [`Handle::stop`].
    pub fn run<H>(self, handler: H) -> io::Result<()>
    where
        H: Fn(Exchange) -> HandlerResult + Send + Sync + 'static,
    {
        let Self { listener, limits, stop_timeout, stack_size, .. } = self;
        let serving = Arc::new(Serving {
            acceptor: self.acceptor,
            #[cfg(feature = "rustls")]
            tls: self.tls,
            connections: self.connections,
            log: self.log,
            handler,
        });
        serving.connections.begin();
        let result = serving.accept_all(&listener, &limits, stack_size);
        // Without a listener the system refuses new clients at once.
        drop(listener);
        serving.connections.end(stop_timeout);
        result
    }
}

impl<H> Serving<H>
where
    H: Fn(Exchange) -> HandlerResult + Send + Sync + 'static,
{
    fn accept_all(self: &Arc<Self>, listener: &TcpListener, limits: &Limits, stack_size: usize) -> io::Result<()> {
        while !self.connections.is_stopping() {
            let started = match listener.accept() {
                // The connection by which `Handle::stop` woke this thread.
                Ok(_) if self.connections.is_stopping() => return Ok(()),
                Ok((stream, peer)) => self.start(stream, peer, limits, stack_size),
                Err(error) => match AcceptFailure::of(&error) {
                    AcceptFailure::Connection => Ok(()),
                    AcceptFailure::Lack => Err(error),
                    AcceptFailure::Listener => return Err(error),
                },
            };
            if let Err(error) = started {
                self.log.report_lack(&error);
                // Files or threads may be free after a pause.
                self.connections.pause(ACCEPT_PAUSE);
            }
        }
        Ok(())
    }

    /// Serves or refuses a connection on a thread of its own. Fails if the system has no thread.
    fn start(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        limits: &Limits,
        stack: usize,
    ) -> io::Result<()> {
        // Setting up a socket fails if its peer has gone.
        let Ok(socket) = Socket::try_from(stream) else {
            return Ok(());
        };
        let stream = Arc::new(self.stream(socket)?);
        let thread = thread::Builder::new();
        match self.connections.admit(&stream, peer, limits) {
            Admitted::Serve(place) => {
                let serving = Arc::clone(self);
                thread.stack_size(stack).spawn(move || serving.serve(stream, peer, &place))?;
            }
            // The answer would need a TLS handshake, which costs as much as to serve the client.
            Admitted::Refuse(_) if stream.is_tls() => {}
            Admitted::Refuse(place) => {
                thread.stack_size(REFUSAL_STACK).spawn(move || {
                    refuse(&stream);
                    drop(place);
                })?;
            }
            Admitted::Drop => {}
        }
        Ok(())
    }

    /// Returns the transport of a connection, whose TLS handshake is still to be done.
    #[cfg(feature = "rustls")]
    fn stream(&self, socket: Socket) -> io::Result<NetStream> {
        match &self.tls {
            None => Ok(socket.into()),
            Some(tls) => TlsStream::server(socket.into(), tls).map(NetStream::from).map_err(io::Error::other),
        }
    }

    #[cfg(not(feature = "rustls"))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same call as with TLS")]
    fn stream(&self, socket: Socket) -> io::Result<NetStream> {
        Ok(socket.into())
    }

    fn serve(&self, stream: Arc<NetStream>, peer: SocketAddr, place: &Place) {
        #[cfg(feature = "tracing")]
        let _entered = ws_proto::driver::peer_span(peer).entered();
        let received = self.acceptor.receive_after(stream, |stream, deadline| Ok(stream.handshake(deadline)?));
        let result = match received {
            Ok(mut exchange) => {
                exchange.watch(peer, place.watcher());
                (self.handler)(exchange)
            }
            Err(AcceptError::NoRequest) => Ok(()),
            Err(error) => Err(error.into()),
        };
        // Connections that are ended because the server stops are no incidents.
        if let (Err(error), false) = (result, self.connections.is_stopping()) {
            self.log.report(Some(peer), &*error);
        }
    }
}

impl Handle {
    /// Stops the server. Returns before its connections have ended.
    ///
    /// No connection is accepted any more, all open ones are closed with 1001 at the same time, and those whose request
    /// has not been answered are dropped. [`Server::run`] returns when all connections have ended, or after
    /// [`Server::stop_timeout`], when the rest is dropped. A server that does not run yet ends as soon as `run` is
    /// called.
    ///
    /// A handler that is [reading](crate::WebSocket::read) sees its connection end. A handler that computes continues,
    /// and its next call on the connection fails; a thread cannot be ended from outside, so `run` does not wait for it
    /// after the timeout, and it ends with the process. A [`Writer`](crate::Writer) on another
    /// thread fails as soon as its connection is closing ([`Error::is_closing`](crate::Error::is_closing)); the server does
    /// not wait for that thread. A connection that a handler has passed to another thread before it returned is neither
    /// closed nor waited for.
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

/// Answers 503 to a request that is not read.
fn refuse(stream: &NetStream) {
    if write_within(stream, &busy_response(), Some(REFUSAL_TIME)).is_ok() {
        farewell(stream);
    }
}
