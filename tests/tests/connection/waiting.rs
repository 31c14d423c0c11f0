//! The wait for an operation of an async runtime.

use std::{
    cell::Cell,
    future::{pending, poll_fn, ready},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use ws_tests::{FIN, PING, TEXT, frame, opened, take_pending};

use super::*;

/// Polls `future` once.
fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A clock that its timers move: each ends at once, at its deadline.
struct Clock(Cell<Instant>);

impl Clock {
    const fn new() -> Self {
        Self(Cell::new(Instant::ZERO))
    }

    fn now(&self) -> Instant {
        self.0.get()
    }

    fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()> {
        self.0.set(deadline.max(self.now()));
        ready(())
    }

    /// Waits for `operation` on this clock, which never waits itself.
    fn wait<T>(&self, connection: &mut Connection<'_, Server>, operation: impl Future<Output = T>) -> Option<T> {
        match poll_once(connection.wait_for(operation, || self.now(), |deadline| self.sleep_until(deadline))) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("the connection has a deadline"),
        }
    }
}

#[test]
fn an_operation_that_is_complete_is_waited_for_without_a_timer() {
    let mut connection = opened(&Config::default());
    let no_timer = |_| -> std::future::Pending<()> { panic!("the operation is complete") };
    let done = poll_once(connection.wait_for(ready(5), || at(0), no_timer));
    assert_eq!(done, Poll::Ready(Some(5)));
}

#[test]
fn a_keepalive_ping_interrupts_a_read_which_can_be_waited_for_again() {
    let (clock, mut connection) = (Clock::new(), opened(&Config::default()));
    let polls = Cell::new(0);
    let mut reading = pin!(poll_fn(|_| {
        polls.set(polls.get() + 1);
        if polls.get() > 2 { Poll::Ready(5) } else { Poll::Pending }
    }));
    assert_eq!(clock.wait(&mut connection, reading.as_mut()), None);
    assert_eq!((clock.now(), polls.get()), (at(20_000), 1));
    // Output comes first, before the read is polled again.
    assert_eq!(clock.wait(&mut connection, reading.as_mut()), None);
    assert_eq!(polls.get(), 1);
    assert_eq!(take_pending(&mut connection, clock.now()).0, frame(PING, b""));
    let waited = poll_once(connection.wait_for(reading.as_mut(), || at(20_000), |_| pending::<()>()));
    assert_eq!(waited, Poll::Pending);
    assert_eq!(clock.wait(&mut connection, reading), Some(5));
}

#[test]
fn a_peer_that_takes_nothing_ends_the_wait_for_a_write() {
    let (clock, mut connection) = (Clock::new(), opened(&Config::default()));
    connection.send("waits").unwrap();
    let lent = connection.lend_output(clock.now());
    assert_eq!(lent, frame(FIN | TEXT, b"waits"));
    // Keepalive Pings are queued meanwhile, and wait for the loan.
    assert_eq!(clock.wait(&mut connection, pending::<()>()), None);
    assert!(connection.is_over() && clock.now() >= at(30_000), "{:?}", clock.now());
    // A connection that is over waits for nothing.
    assert_eq!(clock.wait(&mut connection, ready(())), None);
    assert!(matches!(connection.next(), Some(Next::Closed(Err(Failure::WriteTimeout)))));
}

#[test]
fn a_connection_without_deadlines_waits_for_its_operation_alone() {
    let mut connection = opened(&ws_tests::bare_config());
    assert_eq!(connection.poll_timeout(), None);
    let no_timer = |_| -> std::future::Pending<()> { panic!("there is no deadline") };
    let mut operation: Pin<Box<dyn Future<Output = u8>>> = Box::pin(pending());
    assert_eq!(poll_once(connection.wait_for(&mut operation, || at(0), no_timer)), Poll::Pending);
    assert_eq!(poll_once(connection.wait_for(ready(5), || at(0), no_timer)), Poll::Ready(Some(5)));
}
