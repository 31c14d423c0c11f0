//! Closing a connection from a thread that does not use it.

use core::fmt;
use std::sync::{Arc, Weak};

use ws_proto::CloseCode;

use crate::{
    Role, clock,
    outgoing::{flush_as, queue_close},
    output::Writing,
    shared::Shared,
    transport::{Transport, abort},
};

/// A weak reference to a connection that another thread owns, to close it.
#[derive(Clone)]
pub(crate) struct Remote(Weak<dyn Remotely>);

/// A connection of any role over any transport.
trait Remotely: Send + Sync {
    fn close(self: Arc<Self>, code: CloseCode, reason: &str);
    fn abort(&self);
}

impl Remote {
    pub(crate) fn new<R: Role + Send + 'static, T: Transport + 'static>(shared: &Arc<Shared<R, T>>) -> Self {
        let shared: Weak<Shared<R, T>> = Arc::downgrade(shared);
        Self(shared)
    }

    /// Queues a Close, writes it as far as the transport takes it without waiting, and returns. The thread that reads
    /// completes the closing handshake, within the connection's own timeouts.
    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        if let Some(connection) = self.0.upgrade() {
            connection.close(code, reason);
        }
    }

    /// Ends the transport at once, which wakes every thread that reads or writes it.
    pub(crate) fn abort(&self) {
        if let Some(connection) = self.0.upgrade() {
            connection.abort();
        }
    }
}

impl<R: Role + Send, T: Transport> Remotely for Shared<R, T> {
    fn close(self: Arc<Self>, code: CloseCode, reason: &str) {
        let mut link = self;
        // The thread that reads handles a connection that is closing, broken or slow.
        let _ = queue_close(&mut link, code, reason);
        let _ = flush_as(Writing::Tries, &mut link, Some(clock::now()));
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
