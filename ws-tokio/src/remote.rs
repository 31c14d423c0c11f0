//! Closing a connection from a task that does not use it.

use core::{fmt, future::poll_fn};
use std::sync::{Arc, Weak};

use tokio::io::{AsyncRead, AsyncWrite};
use ws_proto::{CloseCode, role::Role};

use crate::{
    opening::poll_once,
    shared::{Half, Shared},
};

/// A weak reference to a connection that another task owns, to close it.
#[derive(Clone)]
pub(crate) struct Remote(Weak<dyn Remotely>);

/// A connection of any role over any stream.
trait Remotely: Send + Sync {
    fn close(&self, code: CloseCode, reason: &str);
}

impl Remote {
    pub(crate) fn new<R, S>(shared: &Arc<Shared<R, S>>) -> Self
    where
        R: Role + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared: Weak<Shared<R, S>> = Arc::downgrade(shared);
        Self(shared)
    }

    /// Queues a Close, writes it as far as the stream takes it without a wait, and wakes the task that reads, which completes
    /// the closing handshake within the connection's own timeouts.
    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        if let Some(connection) = self.0.upgrade() {
            connection.close(code, reason);
        }
    }
}

impl<R, S> Remotely for Shared<R, S>
where
    R: Role + Send,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    fn close(&self, code: CloseCode, reason: &str) {
        // The task that reads handles a connection that is closing, broken or slow.
        let _ = self.with(|core| core.queue_close(code, reason));
        let _ = poll_once(poll_fn(|cx| self.poll(Half::Writer, cx, |core, cx| core.poll_flush(cx))));
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}
