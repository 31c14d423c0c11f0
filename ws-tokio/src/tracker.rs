use core::fmt;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use ws_proto::Server;

use crate::{
    WebSocket,
    connections::{Connections, Place},
};

/// The connections of an HTTP server, to close them all and to wait for their end.
///
/// A graceful shutdown of axum or hyper does not wait for streams that have been upgraded. Clones track the same connections.
///
/// ```no_run
/// use core::time::Duration;
/// use ws_tokio::Tracker;
///
/// # async fn serve(serving: impl Future<Output = ()>) {
/// let tracker = Tracker::new();
/// // Each handler: `upgrade.tracker(&tracker).on_open(…)`.
/// // `serving` is `axum::serve(…).with_graceful_shutdown(…)`, which ends after a signal.
/// serving.await;
/// tracker.close_all();
/// // Those that have not ended after 10 s are dropped with the runtime.
/// let _ = tokio::time::timeout(Duration::from_secs(10), tracker.ended()).await;
/// # }
/// ```
#[derive(Clone)]
pub struct Tracker(Arc<Connections>);

impl Tracker {
    /// Creates a tracker of no connections.
    #[must_use]
    pub fn new() -> Self {
        Self(Connections::new())
    }

    /// Sends a Close with 1001 on all connections at the same time, and on those that open from now on. Returns before they
    /// have ended.
    pub fn close_all(&self) {
        self.0.close_all();
    }

    /// Returns when all tracked connections have ended: each with the future that uses it.
    pub async fn ended(&self) {
        self.0.ended().await;
    }

    /// Returns the number of connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.count()
    }

    /// Tracks a connection as long as the second value lives: hold it in the future that uses the connection.
    #[must_use]
    pub fn track<S>(&self, ws: WebSocket<Server, S>) -> (WebSocket<Server, S>, Tracked)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let place = self.enter();
        (place.watcher().opened(ws), Tracked(place))
    }

    /// Reserves the place of a connection.
    pub(crate) fn enter(&self) -> Place {
        Connections::enter(&self.0)
    }
}

/// The place of a connection in a [`Tracker`]. Dropping it says that the connection has ended.
pub struct Tracked(#[expect(dead_code, reason = "it is held")] Place);

impl fmt::Debug for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracked").finish_non_exhaustive()
    }
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker").field("connections", &self.connections()).finish_non_exhaustive()
    }
}
