//! Reading and writing of heads, for both sides of the opening handshake (RFC 6455 section 4).

use core::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::io;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task::coop::unconstrained,
    time::{Instant, timeout_at},
};
use ws_proto::driver::{AwaitsHead, HeadBuffer, HeadError};

use crate::clock::Clock;

/// Reads to `head` until it is complete and returns its length in bytes. After a failure, `head` has the bytes that came
/// before it.
pub(crate) async fn read_head(
    head: &mut HeadBuffer,
    stream: &mut (impl AsyncRead + Unpin),
    clock: Clock,
    handshake: &mut impl AwaitsHead,
) -> Result<usize, HeadError> {
    loop {
        let found = handshake.poll_head(clock.now(), head.received()).map_err(HeadError::Handshake)?;
        if let Some(len) = found {
            return Ok(len);
        }
        let read = by(deadline(handshake, clock), stream.read(head.room())).await;
        head.take(read, handshake, clock.now())?;
    }
}

/// Returns the deadline of a handshake that still waits for a head.
pub(crate) fn deadline(handshake: &impl AwaitsHead, clock: Clock) -> Option<Instant> {
    handshake.poll_timeout().and_then(|at| clock.to_tokio(at))
}

/// Returns the deadline that `timeout` sets from now on.
pub(crate) fn after(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| Instant::now().checked_add(timeout))
}

/// Returns the result of `operation`, or [`TimedOut`](io::ErrorKind::TimedOut) if the deadline passes first.
pub(crate) async fn by<X>(
    deadline: Option<Instant>,
    operation: impl Future<Output = io::Result<X>>,
) -> io::Result<X> {
    match deadline {
        Some(deadline) => timeout_at(deadline, operation).await?,
        None => operation.await,
    }
}

/// Writes all of `bytes`, or fails at `deadline` even if the peer has taken some of them.
pub(crate) async fn write_by(
    stream: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    deadline: Option<Instant>,
) -> io::Result<()> {
    by(deadline, async {
        stream.write_all(bytes).await?;
        stream.flush().await
    })
    .await
}

/// Polls an operation that no task waits for: once, although the budget of the task that polls may be used up.
pub(crate) fn poll_once<X>(operation: impl Future<Output = X>) -> Poll<X> {
    pin!(unconstrained(operation)).poll(&mut Context::from_waker(Waker::noop()))
}

/// Ends a stream that did not become a connection, so that the peer can read our response. A socket that is closed
/// with unread input is reset, and the response may be lost; so up to 64 KiB of input are discarded first, for at most
/// 1 s.
pub(crate) async fn farewell(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    const DRAIN_LEN: usize = 64 * 1024;
    let deadline = after(Some(Duration::from_secs(1)));
    // The end of the wait is the same, however it comes.
    let _ = by(deadline, async {
        stream.shutdown().await?;
        let mut bin = [0; 1024];
        let mut drained = 0;
        while drained < DRAIN_LEN {
            match stream.read(&mut bin).await? {
                0 => break,
                len => drained += len,
            }
        }
        Ok(())
    })
    .await;
}
