//! The connections of a server: limits, and their end when the server stops.

use core::pin::pin;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, watch},
};
use ws_proto::{
    CloseCode, Server,
    driver::{Admission, Limits, Places},
};

use crate::{WebSocket, exchange::Watcher, remote::Remote};

/// Reason in the Close that a stopped server sends.
const REASON: &str = "server is going down";

/// All connections of a server, shared by its tasks and its handles.
pub(crate) struct Connections {
    places: Mutex<Places<(), Remote>>,
    /// Whether the server has been told to stop.
    stopped: watch::Sender<bool>,
    /// Notified when a connection has left.
    left: Notify,
}

/// The watcher of an exchange, which records in [`Connections`] that it becomes a connection.
struct PlaceWatcher {
    connections: Arc<Connections>,
    key: u64,
}

/// A new connection under the limits.
pub(crate) enum Admitted {
    Serve(Place),
    /// A limit is reached: answer 503.
    Refuse(RefusalPlace),
    /// Too many connections are being refused: drop the socket.
    Drop,
}

/// The place of a connection under the limits. Dropping it frees the place.
pub(crate) struct Place {
    connections: Arc<Connections>,
    key: u64,
}

/// The place of a connection that is being refused. Dropping it frees the place.
pub(crate) struct RefusalPlace(Arc<Connections>);

impl Connections {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { places: Mutex::default(), stopped: watch::Sender::new(false), left: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Places<(), Remote>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().count()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Returns when the server has been told to stop.
    pub(crate) async fn stopped(&self) {
        let mut stopped = self.stopped.subscribe();
        // The sender lives as long as this object.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }

    pub(crate) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Decides how to treat a new connection, and reserves its place.
    pub(crate) fn admit(self: &Arc<Self>, peer: SocketAddr, limits: &Limits) -> Admitted {
        match self.lock().admit(peer.ip(), limits, ()) {
            Admission::Serve(key) => Admitted::Serve(Place { connections: Arc::clone(self), key }),
            Admission::Refuse => Admitted::Refuse(RefusalPlace(Arc::clone(self))),
            Admission::Drop => Admitted::Drop,
        }
    }

    /// Reserves the place of a connection that an HTTP server has admitted.
    pub(crate) fn enter(self: &Arc<Self>) -> Place {
        let key = self.lock().enter(());
        Place { connections: Arc::clone(self), key }
    }

    /// Returns when there is no connection.
    pub(crate) async fn ended(&self) {
        loop {
            let mut left = pin!(self.left.notified());
            // From here on each notification counts.
            left.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            left.await;
        }
    }

    /// Closes all connections, those too that open from now on.
    pub(crate) fn close_all(&self) {
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
    pub(crate) fn watcher<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self) -> Box<dyn Watcher<S>> {
        Box::new(PlaceWatcher { connections: Arc::clone(&self.connections), key: self.key })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Watcher<S> for PlaceWatcher {
    fn opened(&self, ws: WebSocket<Server, S>) -> WebSocket<Server, S> {
        let (ws, remote) = ws.with_remote();
        self.connections.opened(self.key, remote);
        ws
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().leave(self.key);
        self.connections.left.notify_waiters();
    }
}

impl Drop for RefusalPlace {
    fn drop(&mut self) {
        self.0.lock().refused();
    }
}
