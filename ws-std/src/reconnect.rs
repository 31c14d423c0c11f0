use core::{fmt, time::Duration};
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ws_proto::driver::{Backoff, ReconnectError, Tries};

/// Connections to a server, one after the other: when one has ended, the next is opened after a random delay that grows while the
/// server stays away (RFC 6455 section 7.2.3).
///
/// A function opens them. It does what is needed before each try, such as asking for a new token, and after each opening, such as
/// subscribing again; a connection is returned when all that has succeeded:
///
/// ```no_run
/// use ws_std::{Connector, Reconnect};
///
/// # fn token() -> std::io::Result<String> { Ok("1".into()) }
/// let mut connections = Reconnect::new(|| {
///     let token = format!("Bearer {}", token()?);
///     let mut ws = Connector::new().header("Authorization", &token).connect("wss://example.com/ticks")?;
///     ws.send("subscribe")?;
///     Ok(ws)
/// })
/// .on_failure(|error, delay| eprintln!("{error}, next try in {delay:?}"));
/// while let Some(mut ws) = connections.next()? {
///     while let Ok(Some(received)) = ws.read() {
///         println!("{:?}", received.message);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Errors that another try cannot mend, such as a certificate that is not valid or status 401, are returned by
/// [`next`](Self::next); [`ReconnectError::is_transient`] has the list. A connection that the server has closed for a reason of its
/// own, such as code 1008, is no error here: the loop decides.
///
/// Messages that were sent and may not have arrived when a connection is lost:
/// [`Unconfirmed`](ws_proto::driver::Unconfirmed).
pub struct Reconnect<F> {
    open: F,
    tries: Tries,
    on_failure: Box<OnFailure>,
    signals: Arc<Signals>,
}

type OnFailure = dyn FnMut(&ReconnectError, Duration) + Send;

impl<T, F: FnMut() -> Result<T, ReconnectError>> Reconnect<F> {
    /// Creates connections that `open` opens.
    pub fn new(open: F) -> Self {
        Self { open, tries: Tries::new(), on_failure: Box::new(|_, _| ()), signals: Arc::default() }
    }

    /// Sets the delays between tries.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.tries.set_backoff(backoff);
        self
    }

    /// Sets the maximum number of tries in a row that may fail; then the last error is returned. Unlimited by default.
    #[must_use]
    pub fn max_tries(mut self, most: u32) -> Self {
        self.tries.set_max_tries(most);
        self
    }

    /// Sets a function that is called after each try that has failed and is to be followed by another one, with the error and the
    /// delay.
    #[must_use]
    pub fn on_failure(mut self, on_failure: impl FnMut(&ReconnectError, Duration) + Send + 'static) -> Self {
        self.on_failure = Box::new(on_failure);
        self
    }

    /// Returns a handle, by which another thread ends a delay.
    #[must_use]
    pub fn handle(&self) -> ReconnectHandle {
        ReconnectHandle { signals: Arc::clone(&self.signals) }
    }

    /// Opens the next connection, as soon as it is due. `None` after [`ReconnectHandle::stop`].
    ///
    /// # Errors
    ///
    /// The error of a try after which another one cannot succeed, or of the last one of [`max_tries`](Self::max_tries). The function
    /// may be called again nevertheless, and tries after a delay then.
    #[allow(clippy::should_implement_trait, reason = "an iterator would go on after errors")]
    pub fn next(&mut self) -> Result<Option<T>, ReconnectError> {
        loop {
            while let Some(due) = self.tries.due(Instant::now()) {
                if self.signals.wait(due) == Some(Signal::TryNow) {
                    self.tries.try_now();
                }
                if self.signals.has_stopped() {
                    break;
                }
            }
            if self.signals.has_stopped() {
                return Ok(None);
            }
            match (self.open)() {
                Ok(connection) => {
                    self.tries.opened(Instant::now());
                    return Ok(Some(connection));
                }
                Err(error) => match self.tries.failed(&error, Instant::now()) {
                    Some(delay) => (self.on_failure)(&error, delay),
                    None => return Err(error),
                },
            }
        }
    }
}

impl<F> fmt::Debug for Reconnect<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect").field("tries", &self.tries).finish_non_exhaustive()
    }
}

/// A handle to a [`Reconnect`], for other threads.
#[derive(Clone, Debug)]
pub struct ReconnectHandle {
    signals: Arc<Signals>,
}

impl ReconnectHandle {
    /// Ends the present delay, or else the next one, such as after the network has come back. The delay after that is a first one
    /// again.
    pub fn try_now(&self) {
        self.signals.send(Signal::TryNow);
    }

    /// Ends the connections: the present delay is over, and no further try is made. A connection that is open stays open, and a try
    /// that is under way is ended only by its timeouts.
    pub fn stop(&self) {
        self.signals.send(Signal::Stop);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    TryNow,
    Stop,
}

/// The last signal that was not taken.
#[derive(Debug, Default)]
struct Signals {
    last: Mutex<Option<Signal>>,
    sent: Condvar,
}

impl Signals {
    fn last(&self) -> MutexGuard<'_, Option<Signal>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, signal: Signal) {
        let mut last = self.last();
        // A stop is for good.
        if *last != Some(Signal::Stop) {
            *last = Some(signal);
        }
        self.sent.notify_all();
    }

    fn has_stopped(&self) -> bool {
        *self.last() == Some(Signal::Stop)
    }

    /// Waits until `due` or the next signal, and returns that. May return early.
    fn wait(&self, due: Instant) -> Option<Signal> {
        let mut last = self.last();
        if last.is_none() {
            let left = due.saturating_duration_since(Instant::now());
            last = self.sent.wait_timeout(last, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        last.take_if(|signal| *signal == Signal::TryNow)
    }
}
