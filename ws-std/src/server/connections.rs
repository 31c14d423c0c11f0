//! The connections of a server, from the moment when they are accepted: limits, and their end when the server stops.

use core::time::Duration;
use std::{
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use ws_proto::{
    CloseCode,
    driver::{Admission, Limits, Places},
};

use super::wake::Wake;
use crate::{NetStream, WebSocket, exchange::Watcher, remote::Remote, role, transport::abort};

/// Time after which the accepting thread is woken again if it has not stopped.
const WAKE_PAUSE: Duration = Duration::from_millis(100);
/// The most attempts to wake the accepting thread.
const MOST_WAKES: u32 = 20;
/// Reason in the Close that a stopped server sends.
const REASON: &str = "server is going down";

/// All connections of a server, shared by its threads and its handles.
pub(super) struct Connections {
    state: Mutex<Table>,
    /// Notified when a connection has ended, and when the server stops.
    changed: Condvar,
    wake: Wake,
}

#[derive(Default)]
struct Table {
    places: Places<Opening, Remote>,
    /// A thread is in the accept loop.
    accepting: bool,
    /// Time at which the server was told to stop.
    stopped: Option<Instant>,
}

/// A connection whose request has not been answered yet.
struct Opening {
    stream: Weak<NetStream>,
    /// The accepting answer is being written. The client may regard the connection as open, so a stop has to close it
    /// like an open one.
    accepting: bool,
}

/// The watcher of an exchange, which records in [`Connections`] that it becomes a connection.
struct PlaceWatcher {
    connections: Arc<Connections>,
    id: u64,
}

/// A new connection under the limits.
pub(super) enum Admitted {
    Serve(Place),
    /// A limit is reached: answer 503.
    Refuse(RefusalPlace),
    /// Too many connections are being refused: drop the socket.
    Drop,
}

/// The place of a connection under the limits. Dropping it frees the place.
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
}

/// The place of a connection that is being refused. Dropping it frees the place.
pub(super) struct RefusalPlace(Arc<Connections>);

impl Connections {
    pub(super) fn new(wake: Wake) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), wake })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self) -> usize {
        self.lock().places.count()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.lock().stopped.is_some()
    }

    /// Records that a thread has entered the accept loop, unless the server has already been stopped.
    pub(super) fn begin(&self) {
        let mut state = self.lock();
        state.accepting = state.stopped.is_none();
    }

    /// Waits for `time`, or until the server is stopped.
    pub(super) fn pause(&self, time: Duration) {
        drop(self.changed.wait_timeout_while(self.lock(), time, |state| state.stopped.is_none()));
    }

    /// Decides how to treat a new connection, and reserves its place.
    pub(super) fn admit(self: &Arc<Self>, stream: &Arc<NetStream>, peer: SocketAddr, limits: &Limits) -> Admitted {
        let opening = Opening { stream: Arc::downgrade(stream), accepting: false };
        match self.lock().places.admit(peer.ip(), limits, opening) {
            Admission::Serve(id) => Admitted::Serve(Place { connections: Arc::clone(self), id }),
            Admission::Refuse => Admitted::Refuse(RefusalPlace(Arc::clone(self))),
            Admission::Drop => Admitted::Drop,
        }
    }

    /// Makes the accepting thread stop, and waits until it has left the accept loop, for at most two seconds.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped.get_or_insert_with(Instant::now);
        self.changed.notify_all();
        for _ in 0..MOST_WAKES {
            if !state.accepting {
                return;
            }
            // The connection stays open until the thread has accepted it. Another process that shares the listener may
            // accept it instead; then the next attempt is made.
            let _caller = self.wake.call();
            let waited = self.changed.wait_timeout_while(state, WAKE_PAUSE, |state| state.accepting);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Closes all connections at the same time, and returns when they have ended. Drops those that are left `timeout`
    /// after the server was stopped. Call it after the accept loop has ended.
    pub(super) fn end(&self, timeout: Duration) {
        let mut state = self.lock();
        state.accepting = false;
        let stopped = *state.stopped.get_or_insert_with(Instant::now);
        self.changed.notify_all();
        state.abort_opening(|opening| !opening.accepting);
        let open: Vec<_> = state.places.all_open().cloned().collect();
        drop(state);
        // A Close is written without waiting, so a slow peer does not delay the others.
        for remote in open.iter().take_while(|_| stopped.elapsed() < timeout) {
            remote.close(CloseCode::GOING_AWAY, REASON);
        }
        let left = timeout.saturating_sub(stopped.elapsed());
        let waited = self.changed.wait_timeout_while(self.lock(), left, |state| state.places.count() > 0);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.abort_opening(|_| true);
        state.places.all_open().for_each(Remote::abort);
    }

    /// Records that a connection is open. If the server has been stopped, closes it.
    fn opened(&self, id: u64, remote: Remote) {
        let mut state = self.lock();
        state.places.open(id, remote.clone());
        let stopping = state.stopped.is_some();
        drop(state);
        if stopping {
            remote.close(CloseCode::GOING_AWAY, REASON);
        }
    }
}

impl Table {
    fn abort_opening(&self, which: impl Fn(&Opening) -> bool) {
        let opening = self.places.all_opening().filter(|opening| which(opening));
        for stream in opening.filter_map(|opening| opening.stream.upgrade()) {
            abort(&*stream);
        }
    }
}

impl Place {
    /// Returns a watcher for the exchange of this connection, by which the server can close the connection once it is
    /// open.
    pub(super) fn watcher(&self) -> Box<dyn Watcher<NetStream>> {
        Box::new(PlaceWatcher { connections: Arc::clone(&self.connections), id: self.id })
    }
}

impl Watcher<NetStream> for PlaceWatcher {
    fn accepting(&self) {
        if let Some(opening) = self.connections.lock().places.opening_mut(self.id) {
            opening.accepting = true;
        }
    }

    fn opened(&self, ws: WebSocket<role::Server>) -> WebSocket<role::Server> {
        let (ws, remote) = ws.with_remote();
        self.connections.opened(self.id, remote);
        ws
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.connections.lock();
        state.places.leave(self.id);
        drop(state);
        self.connections.changed.notify_all();
    }
}

impl Drop for RefusalPlace {
    fn drop(&mut self) {
        self.0.lock().places.refused();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Read,
        net::{TcpListener, TcpStream},
        thread,
    };

    use ws_proto::{Config, endpoint::Negotiated};

    use super::*;
    use crate::Socket;

    #[test]
    fn a_connection_that_opens_while_the_server_stops_is_closed_with_1001() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connections = Connections::new(Wake::new(&listener).unwrap());
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let stream = Arc::new(NetStream::from(Socket::try_from(stream).unwrap()));
        let limits = Limits::new();
        let Admitted::Serve(place) = connections.admit(&stream, peer, &limits) else { panic!("there is room") };
        let watcher = place.watcher();
        watcher.accepting();
        let ending = thread::spawn({
            let connections = Arc::clone(&connections);
            move || connections.end(Duration::from_secs(60))
        });
        while !connections.is_stopping() {
            thread::yield_now();
        }
        let stream = Arc::into_inner(stream).expect("the server does not hold it");
        let ws =
            WebSocket::from_handshake(role::Server, stream, Vec::new(), Negotiated::default(), &Config::new());
        let ws = watcher.opened(ws);
        let mut close = [0; 4];
        client.read_exact(&mut close).unwrap();
        assert_eq!((close[0], &close[2..]), (0x88, &1_001_u16.to_be_bytes()[..]));
        drop((ws, place));
        ending.join().unwrap();
    }
}
