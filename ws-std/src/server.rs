//! A server: the loop that accepts connections, their limits and their end.

mod connections;
mod incident;
mod wake;

use core::{error::Error, fmt, time::Duration};
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::Arc,
    thread,
};

use connections::{Admission, Connections, Limits, Place};
pub use incident::Incident;
use incident::Log;
use socket2::SockRef;
use wake::Wake;
use ws_proto::server::{Reject, reject_to};

use crate::{
    AcceptError, Acceptor, Exchange, Socket,
    opening::{farewell, write_within},
};

/// Default of [`Server::max_connections`].
const MOST_CONNECTIONS: usize = 10_000;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1_024;
/// How long to wait before the next attempt to accept when the system lacks something.
const PAUSE: Duration = Duration::from_millis(100);
const REFUSAL_STACK: usize = 64 * 1024;
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// Result of a handler; an error is reported to [`Server::on_error`].
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
/// The server outlives whatever its peers do and the system lacks: connections over its limits are told 503, later ones
/// are dropped. While there are no files, threads or buffers it tries again ten times a second. A handler that panics
/// ends only its own connection. A peer that connects and leaves without a byte, as health checks do, is not reported.
pub struct Server {
    listener: TcpListener,
    connections: Arc<Connections>,
    acceptor: Acceptor<'static>,
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

/// State that the threads of connections share.
struct Serving<H> {
    acceptor: Acceptor<'static>,
    connections: Arc<Connections>,
    log: Log,
    handler: H,
}

impl Server {
    /// Default of [`stack_size`](Self::stack_size): 256 KiB.
    ///
    /// An echo handler, compression and the log included, needs 16 KiB in a release build and 80 KiB in a debug build
    /// (x86-64 Linux); the rest is the handler's. Memory of a stack is used only as far as the stack has been.
    pub const STACK_SIZE: usize = 256 * 1024;

    /// Listens at an address.
    ///
    /// # Errors
    ///
    /// The operating system refuses: the address is in use, is not of this machine, or needs a privilege.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        // More than the standard library's 128, so that a crowd needs not ask twice, which takes a second.
        SockRef::from(&listener).listen(BACKLOG)?;
        Self::new(listener)
    }

    /// Takes over a listener, which must be in blocking mode.
    ///
    /// # Errors
    ///
    /// The operating system refuses.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(false)?;
        let connections = Connections::new(Wake::new(&listener)?);
        let most = MOST_CONNECTIONS.min(most_files());
        let limits = Limits { connections: most, opening: usize::MAX, opening_per_address: None };
        Ok(Self {
            listener,
            connections,
            acceptor: Acceptor::new(),
            limits,
            stop_timeout: Duration::from_secs(10),
            stack_size: Self::STACK_SIZE,
            log: Log::default(),
        })
    }

    /// Sets how connections are accepted: limits of messages, timeouts, origins, compression.
    #[must_use]
    pub fn acceptor(self, acceptor: Acceptor<'static>) -> Self {
        Self { acceptor, ..self }
    }

    /// Sets how many connections there are at most: 10,000 by default. There are never more than the files that the
    /// process may have (`RLIMIT_NOFILE` at the time of this call) less 64. Beyond it, clients are told 503.
    #[must_use]
    pub fn max_connections(mut self, most: usize) -> Self {
        self.limits.connections = most.min(most_files());
        self
    }

    /// Sets how many of the connections may be waiting for their request or its answer: any number by default. Beyond
    /// it, clients are told 503. A request has [`Config::handshake_timeout`](crate::Config::handshake_timeout) to come.
    #[must_use]
    pub fn max_opening(mut self, most: usize) -> Self {
        self.limits.opening = most;
        self
    }

    /// Sets how many of those may be of one address: any number by default. Addresses of IPv6 that differ in their last
    /// 64 bits count as one. After a proxy all connections have its address.
    #[must_use]
    pub fn max_opening_per_address(mut self, most: Option<usize>) -> Self {
        self.limits.opening_per_address = most;
        self
    }

    /// Sets how long connections may take to close when the server is stopped: 10 s by default.
    #[must_use]
    pub fn stop_timeout(self, stop_timeout: Duration) -> Self {
        Self { stop_timeout, ..self }
    }

    /// Sets the size of a connection's stack in bytes: [`STACK_SIZE`](Self::STACK_SIZE) by default.
    #[must_use]
    pub fn stack_size(self, stack_size: usize) -> Self {
        Self { stack_size, ..self }
    }

    /// Sets where incidents are reported: to standard error, a line each, by default.
    ///
    /// Peers cannot flood a log: of the incidents of connections ten are reported at once and then one a second, of
    /// those of the server itself one in ten seconds; the next one has the number of those between.
    #[must_use]
    pub fn on_error(self, report: impl Fn(&Incident<'_>) + Send + Sync + 'static) -> Self {
        Self { log: Log::new(report), ..self }
    }

    /// Returns the address at which the server listens.
    ///
    /// # Errors
    ///
    /// The operating system refuses.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Returns a handle for another thread, such as the one that sees Ctrl-C.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { connections: Arc::clone(&self.connections) }
    }

    /// Serves connections, each with `handler` on a thread of its own, until the server is [stopped](Handle::stop).
    ///
    /// # Errors
    ///
    /// The listener cannot accept any more. Connections have been closed as by [`Handle::stop`].
    pub fn run<H>(self, handler: H) -> io::Result<()>
    where
        H: Fn(Exchange) -> HandlerResult + Send + Sync + 'static,
    {
        let Self { listener, connections, acceptor, limits, stop_timeout, stack_size, log } = self;
        let serving = Arc::new(Serving { acceptor, connections, log, handler });
        serving.connections.begin();
        let result = serving.accept_all(&listener, &limits, stack_size);
        // From here on clients are refused at once.
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
                // The call that wakes.
                Ok(_) if self.connections.is_stopping() => return Ok(()),
                Ok((stream, peer)) => self.start(stream, peer, limits, stack_size),
                // The listener itself is at fault, and will not get better.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
                Err(error) if concerns_one(&error) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = started {
                self.log.report(None, &error);
                // Something will be free in a moment.
                self.connections.pause(PAUSE);
            }
        }
        Ok(())
    }

    /// Serves a connection on a thread of its own. The system's lack of threads is an error.
    fn start(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        limits: &Limits,
        stack: usize,
    ) -> io::Result<()> {
        // A socket that cannot be set up is one whose peer has gone.
        let Ok(socket) = Socket::try_from(stream) else {
            return Ok(());
        };
        let socket = Arc::new(socket);
        let thread = thread::Builder::new();
        match self.connections.admit(&socket, peer, limits) {
            Admission::Serve(place) => {
                let serving = Arc::clone(self);
                thread.stack_size(stack).spawn(move || serving.serve(socket, peer, &place))?;
            }
            Admission::Refuse(place) => {
                thread.stack_size(REFUSAL_STACK).spawn(move || {
                    refuse(&socket);
                    drop(place);
                })?;
            }
            Admission::Drop => {}
        }
        Ok(())
    }

    fn serve(&self, socket: Arc<Socket>, peer: SocketAddr, place: &Place) {
        let result = match self.acceptor.receive_over(socket) {
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
    /// Stops the server: no connection is accepted any more, open ones are closed with 1001 all at once, those whose
    /// request has not been answered are dropped. [`Server::run`] returns when all have ended, or after
    /// [`Server::stop_timeout`], when those that are left are dropped.
    ///
    /// A handler that is [reading](crate::WebSocket::read) sees its connection end. One that computes goes on: its next
    /// call on the connection fails, but no thread can be ended from outside, so `run` does not wait for it any longer,
    /// and it ends with the process. A connection that a handler has given to another thread before it returned is not
    /// closed.
    ///
    /// Returns at once, before the connections have ended. A server that does not run yet ends as soon as it does.
    pub fn stop(&self) {
        self.connections.stop();
    }

    /// Returns how many connections there are, answered or not.
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
fn refuse(socket: &Socket) {
    let mut response = Vec::new();
    // The request is not read and may be HEAD: an empty body is right for every method.
    let answer = Reject::new(503).headers(&[("Retry-After", "1")]).body("text/plain", b"");
    let written = reject_to(&answer, b"", &mut response);
    debug_assert!(written.is_ok(), "the answer is a fixed one");
    if write_within(socket, &response, Some(REFUSAL_TIME)).is_ok() {
        farewell(socket);
    }
}

/// Whether a failure to accept concerns only the connection that was to be accepted.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// How many connections the limit of open files leaves room for.
#[cfg(unix)]
fn most_files() -> usize {
    // For the application, for refusals, and for what the process has open anyway.
    const RESERVED: usize = 64;
    let files = rlimit::Resource::NOFILE.get_soft().ok().and_then(|files| usize::try_from(files).ok());
    files.map_or(usize::MAX, |files| files.saturating_sub(RESERVED).max(1))
}

#[cfg(not(unix))]
fn most_files() -> usize {
    usize::MAX
}
