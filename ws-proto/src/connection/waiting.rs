//! The wait for an operation of an async runtime.

use core::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

use super::{
    Connection,
    memory::{Allocation, Holder},
    opening::Opens,
};
use crate::time::Instant;

impl<R: Opens, S: Allocation> Connection<'_, R, S> {
    /// Waits for `operation`, a read or a write of an async runtime, and does meanwhile what is due.
    ///
    /// `now` reads the clock, and `sleep_until` returns the runtime's timer for a deadline. Takes the place of
    /// [`poll_timeout`](Self::poll_timeout) and [`handle_timeout`](Self::handle_timeout): call it when all that has arrived has
    /// been taken.
    ///
    /// Returns `None` before `operation` is complete if the connection [is over](Self::is_over), or if output is pending, which
    /// is written first. So a peer that does not take its replies is not read from. Output that is queued while other output is
    /// lent (`lend_output`) has to wait for that. An operation that is passed as `Pin<&mut _>` can be waited for again.
    /// With one that is passed by value the future of this call has room for it twice.
    ///
    /// Call [`next`](Self::next) after `None`: the end may have become certain.
    ///
    /// The future can be dropped at any time. Its progress is that of `operation`.
    ///
    /// ```
    /// use std::{future::{Future, ready}, pin::pin, task::{Context, Poll, Waker}};
    /// use ws_proto::{Config, Connection, Instant, Pending};
    /// use ws_proto::server::{Accept, OriginPolicy};
    ///
    /// let now = || Instant::ZERO; // the time since an epoch of the host's choice
    /// let sleep_until = |_deadline: Instant| std::future::pending::<()>(); // the runtime's timer
    /// let mut connection = Connection::accept(&Config::default(), OriginPolicy::SameHost, now());
    /// let host = async {
    ///     let readable = ready(()); // the runtime's wait for input
    ///     let Some(()) = connection.wait_for(readable, now, sleep_until).await else { return };
    ///     connection.received(now(), 0); // here the host reads into `connection.room()`: it was the end
    /// };
    /// assert_eq!(pin!(host).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
    /// assert!(connection.is_over());
    /// ```
    pub async fn wait_for<O: Future, T: Future>(
        &mut self,
        operation: O,
        now: impl Fn() -> Instant,
        sleep_until: impl Fn(Instant) -> T,
    ) -> Option<O::Output> {
        let mut operation = pin!(operation);
        loop {
            self.handle_timeout(now());
            if self.is_over() || self.may_write() {
                return None;
            }
            let Some(deadline) = self.poll_timeout() else { return Some(operation.await) };
            // Made when it is first polled, which is never if the operation is complete.
            let timer = pin!(async { sleep_until(deadline).await });
            let done = before(operation.as_mut(), timer).await;
            if done.is_some() {
                return done;
            }
        }
    }

    /// Returns whether output is pending and no other output is lent.
    fn may_write(&self) -> bool {
        let output = self.memory.peek().map(|memory| &memory.sending.output);
        output.is_some_and(|output| !output.is_empty() && !output.is_lent())
    }
}

/// Waits for `operation`; returns `None` if `timer` is the first to end.
async fn before<O: Future>(mut operation: Pin<&mut O>, mut timer: Pin<&mut impl Future>) -> Option<O::Output> {
    poll_fn(|context| match operation.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => timer.as_mut().poll(context).map(|_| None),
    })
    .await
}
