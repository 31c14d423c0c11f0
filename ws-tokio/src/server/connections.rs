//! The connections of a server, from the moment when they are accepted: limits, and their end when the server stops.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{net::TcpStream, sync::watch};
use ws_proto::{
    CloseCode, Server,
    driver::{Admission, Limits, Places},
};

use crate::{WebSocket, exchange::Watcher, remote::Remote};

/// Reason in the Close that a stopped server sends.
const REASON: &str = "server is going down";

/// All connections of a server, shared by its tasks and its handles.
pub(super) struct Connections {
    places: Mutex<Places<(), Remote>>,
    /// Whether the server has been told to stop.
    stopped: watch::Sender<bool>,
}

/// The watcher of an exchange, which records in [`Connections`] that it becomes a connection.
struct PlaceWatcher {
    connections: Arc<Connections>,
    key: u64,
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
    key: u64,
}

/// The place of a connection that is being refused. Dropping it frees the place.
pub(super) struct RefusalPlace(Arc<Connections>);

impl Connections {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { places: Mutex::default(), stopped: watch::Sender::new(false) })
    }

    fn lock(&self) -> MutexGuard<'_, Places<(), Remote>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self) -> usize {
        self.lock().count()
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Returns when the server has been told to stop.
    pub(super) async fn stopped(&self) {
        let mut stopped = self.stopped.subscribe();
        // The sender lives as long as this object.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }

    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Decides how to treat a new connection, and reserves its place.
    pub(super) fn admit(self: &Arc<Self>, peer: SocketAddr, limits: &Limits) -> Admitted {
        match self.lock().admit(peer.ip(), limits, ()) {
            Admission::Serve(key) => Admitted::Serve(Place { connections: Arc::clone(self), key }),
            Admission::Refuse => Admitted::Refuse(RefusalPlace(Arc::clone(self))),
            Admission::Drop => Admitted::Drop,
        }
    }

    /// Closes all connections, those too that open from now on.
    pub(super) fn close_all(&self) {
        self.stop();
        let open: Vec<_> = self.lock().all_open().cloned().collect();
        // A Close is written without waiting, so a slow peer does not delay the others.
        open.iter().for_each(|remote| remote.close(CloseCode::GOING_AWAY, REASON));
    }

    /// Records that a connection is open. If the server has been stopped, closes it.
    fn opened(&self, key: u64, remote: Remote) {
        self.lock().open(key, remote.clone());
        if self.is_stopping() {
            remote.close(CloseCode::GOING_AWAY, REASON);
        }
    }
}

impl Place {
    /// Returns a watcher for the exchange of this connection, by which the server can close the connection once it is
    /// open.
    pub(super) fn watcher(&self) -> Box<dyn Watcher<TcpStream>> {
        Box::new(PlaceWatcher { connections: Arc::clone(&self.connections), key: self.key })
    }
}

impl Watcher<TcpStream> for PlaceWatcher {
    fn opened(&self, ws: WebSocket<Server>) -> WebSocket<Server> {
        let (ws, remote) = ws.with_remote();
        self.connections.opened(self.key, remote);
        ws
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().leave(self.key);
    }
}

impl Drop for RefusalPlace {
    fn drop(&mut self) {
        self.0.lock().refused();
    }
}
