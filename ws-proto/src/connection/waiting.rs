//! The wait for an operation of an async runtime.

use core::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Poll, ready},
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
        let (mut operation, mut timer) = (pin!(operation), pin!(None));
        poll_fn(|context| {
            loop {
                if timer.is_none() {
                    self.handle_timeout(now());
                    if self.is_over() || self.may_write() {
                        return Poll::Ready(None);
                    }
                }
                if let Poll::Ready(done) = operation.as_mut().poll(context) {
                    return Poll::Ready(Some(done));
                }
                // Made after the first poll of the operation, which may be complete.
                if timer.is_none() {
                    timer.set(self.poll_timeout().map(&sleep_until));
                }
                let Some(sleeping) = timer.as_mut().as_pin_mut() else { return Poll::Pending };
                ready!(sleeping.poll(context));
                timer.set(None);
            }
        })
        .await
    }

    /// Returns whether output is pending and no other output is lent.
    fn may_write(&self) -> bool {
        let output = self.memory.peek().map(|memory| &memory.sending.output);
        output.is_some_and(|output| !output.is_empty() && !output.is_lent())
    }
}
