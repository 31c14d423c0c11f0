//! Closing a connection from outside of the threads that use it.

use core::fmt;
use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use ws_proto::CloseCode;

use crate::{
    Role,
    outgoing::{flush_as, queue_close},
    output::Writing,
    shared::Shared,
    transport::{Transport, abort},
};

/// A way to close a connection that another thread owns. It does not keep the connection.
#[derive(Clone)]
pub(crate) struct Remote(Weak<dyn Remotely>);

/// A connection whose role and transport no longer matter.
trait Remotely: Send + Sync {
    fn close(self: Arc<Self>, code: CloseCode, reason: &str);
    fn abort(&self);
}

impl Remote {
    pub(crate) fn new<R: Role + 'static, T: Transport + 'static>(shared: &Arc<Shared<R, T>>) -> Self {
        let shared: Weak<Shared<R, T>> = Arc::downgrade(shared);
        Self(shared)
    }

    /// Begins the closing handshake and returns: the Close is queued, and written as far as that takes no waiting.
    /// The thread that reads completes the handshake, within the connection's own timeouts.
    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        if let Some(connection) = self.0.upgrade() {
            connection.close(code, reason);
        }
    }

    /// Ends the transport at once, which wakes every thread that waits for it.
    pub(crate) fn abort(&self) {
        if let Some(connection) = self.0.upgrade() {
            connection.abort();
        }
    }
}

impl<R: Role, T: Transport> Remotely for Shared<R, T> {
    fn close(self: Arc<Self>, code: CloseCode, reason: &str) {
        let mut link = self;
        // A connection that is closing, broken or slow is left to the thread that reads.
        let _ = queue_close(&mut link, code, reason);
        let _ = flush_as(Writing::Reader, &mut link, Some(Instant::now()));
    }

    fn abort(&self) {
        abort(self.transport());
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}
