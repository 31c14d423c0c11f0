//! The end of a connection that the application has dropped.

use core::time::Duration;
use std::thread;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
};
use ws_proto::{State, role::Role};

use crate::{
    opening::{after, farewell, write_by},
    output::Core,
};

/// The time in which the peer of a dropped connection has to take the last output.
const LAST_WRITE: Duration = Duration::from_secs(10);

/// Completes the end of a connection that is closing: the application learned the end as soon as it was certain, or has not
/// waited for it, as a handler does that returns because a message can no longer be sent.
///
/// It writes the last frames, ends its direction of the stream, then discards the peer's remaining input, within bounds: a socket
/// that is closed with unread input is reset, as is a stream of HTTP/2 that is dropped before its end, and then the peer may lose
/// our Close.
impl<R: Role, S> Drop for Core<R, S> {
    fn drop(&mut self) {
        if self.endpoint.state() != State::Closing || thread::panicking() {
            return;
        }
        if let (Some((stream, output)), Some(linger)) = (self.take_stream(), self.linger) {
            linger(stream, output);
        }
    }
}

/// Writes the last output and ends the stream, in a task of its own. Without a runtime the stream is dropped.
pub(crate) fn spawn<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut stream: S, output: Vec<u8>) {
    let Ok(runtime) = Handle::try_current() else { return };
    runtime.spawn(async move {
        if write_by(&mut stream, &output, after(Some(LAST_WRITE))).await.is_ok() {
            farewell(&mut stream).await;
        }
    });
}
