//! Connections that follow each other.

use core::time::Duration;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use ws_std::{Backoff, ConnectError, Reconnect, ReconnectError, ReconnectHandle};

use crate::SHORT;

/// Delays of up to this length before each try.
fn delays(longest: Duration) -> Backoff {
    let mut backoff = Backoff::new();
    (backoff.first, backoff.longest) = (longest, longest);
    backoff
}

fn transient() -> Result<usize, ReconnectError> {
    Err(ConnectError::Closed(io::ErrorKind::ConnectionReset.into()).into())
}

fn lasting() -> Result<usize, ReconnectError> {
    Err(ConnectError::NeedsTls.into())
}

/// Returns connections that are opened with these results.
fn with(results: Vec<Result<usize, ReconnectError>>) -> Reconnect<impl FnMut() -> Result<usize, ReconnectError>> {
    let mut results = VecDeque::from(results);
    Reconnect::new(move || results.pop_front().unwrap())
}

// R7.2.3-1
#[test]
fn what_fails_for_a_while_is_tried_again() {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&failures);
    let tries = vec![Ok(1), transient(), Err(io::Error::from(io::ErrorKind::TimedOut).into()), Ok(2)];
    let mut connections = with(tries)
        .backoff(delays(SHORT))
        .on_failure(move |error, delay| seen.lock().unwrap().push((error.to_string(), delay)));
    let begun = Instant::now();
    assert_eq!(connections.next().unwrap(), Some(1));
    assert_eq!(connections.next().unwrap(), Some(2));
    let failures = failures.lock().unwrap();
    let texts: Vec<_> = failures.iter().map(|(text, _)| &**text).collect();
    assert_eq!(texts, ["no connection", "preparation of a connection failed"]);
    let waited: Duration = failures.iter().map(|(_, delay)| *delay).sum();
    assert!(begun.elapsed() >= waited && waited <= 2 * SHORT, "{waited:?}");
}

#[test]
fn what_can_not_succeed_is_returned_and_may_be_tried_again() {
    let mut connections = with(vec![lasting(), Ok(1), transient(), transient()])
        .backoff(delays(Duration::from_secs(60)))
        .max_tries(1);
    let error = connections.next().unwrap_err();
    assert!(matches!(error, ReconnectError::Connect(ConnectError::NeedsTls)), "{error:?}");
    for expected in [Some(1), None, None] {
        // Without it there is a delay.
        connections.handle().try_now();
        let result = connections.next();
        match expected {
            Some(_) => assert_eq!(result.unwrap(), expected),
            None => assert!(result.unwrap_err().is_transient(), "one try may fail"),
        }
    }
}

/// Returns the result of a second connection, whose delay is long and is ended by `signal`.
fn second_after(signal: impl FnOnce(&ReconnectHandle) + Send) -> (Option<usize>, Option<usize>) {
    let mut connections = with(vec![Ok(1), Ok(2), Ok(3)]).backoff(delays(Duration::from_secs(3_600)));
    assert_eq!(connections.next().unwrap(), Some(1));
    let handle = connections.handle();
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(SHORT);
            signal(&handle);
        });
        let second = connections.next().unwrap();
        connections.handle().try_now();
        (second, connections.next().unwrap())
    })
}

#[test]
fn another_thread_ends_a_delay() {
    assert_eq!(second_after(ReconnectHandle::try_now), (Some(2), Some(3)));
    assert_eq!(second_after(ReconnectHandle::stop), (None, None), "a stop is for good");
}
