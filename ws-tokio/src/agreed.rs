use core::fmt;

use tokio::io::{AsyncRead, AsyncWrite};
use ws_proto::{driver::Opened, role::Role};

use crate::{WebSocket, clock::Clock};

/// A connection that both sides have agreed on through an HTTP library, before its stream has been upgraded.
pub struct Agreed<R: Role> {
    opened: Opened<R>,
    clock: Clock,
}

impl<R: Role> Agreed<R> {
    /// Begins at the present time of a new clock.
    pub(crate) fn new(open: impl FnOnce(ws_proto::Instant) -> Opened<R>) -> Self {
        let clock = Clock::new();
        Self { opened: open(clock.now()), clock }
    }

    /// Returns the subprotocol that both sides have agreed on, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.opened.subprotocol.as_deref()
    }

    /// Takes over the stream, which carries nothing but frames from here on.
    pub fn open<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) -> WebSocket<R, S> {
        WebSocket::new(self.opened, stream, self.clock)
    }
}

impl<R: Role> fmt::Debug for Agreed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreed").field("opened", &self.opened).finish_non_exhaustive()
    }
}
