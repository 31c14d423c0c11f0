use core::{fmt, future::Future, time::Duration};

use tokio::time::{Instant, sleep_until};
use ws_proto::driver::{Backoff, ReconnectError, Tries};

/// Connections to a server, one after the other: when one has ended, the next is opened after a random delay that grows while the
/// server stays away (RFC 6455 section 7.2.3).
///
/// A function opens them. It does what is needed before each try, such as asking for a new token, and after each opening, such as
/// subscribing again; a connection is returned when all that has succeeded:
///
/// ```no_run
/// use ws_tokio::{Connector, Reconnect, ReconnectError};
///
/// # async fn token() -> std::io::Result<String> { Ok("1".into()) }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut connections = Reconnect::new(|| async {
///     let token = format!("Bearer {}", token().await?);
///     let mut ws = Connector::new().header("Authorization", &token).connect("wss://example.com/ticks").await?;
///     ws.send("subscribe").await?;
///     Ok(ws)
/// })
/// .on_failure(|error, delay| eprintln!("{error}, next try in {delay:?}"));
/// loop {
///     let mut ws = connections.next().await?;
///     while let Ok(Some(received)) = ws.read().await {
///         println!("{:?}", received.message);
///     }
/// }
/// # }
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
}

type OnFailure = dyn FnMut(&ReconnectError, Duration) + Send;

impl<T, F, O> Reconnect<F>
where
    F: FnMut() -> O,
    O: Future<Output = Result<T, ReconnectError>>,
{
    /// Creates connections that `open` opens.
    pub fn new(open: F) -> Self {
        Self { open, tries: Tries::new(), on_failure: Box::new(|_, _| ()) }
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

    /// Makes the next try due at once, such as after the network has come back. Drop the future of [`next`](Self::next) before,
    /// which loses nothing.
    pub const fn try_now(&mut self) {
        self.tries.try_now();
    }

    /// Opens the next connection, as soon as it is due.
    ///
    /// Its future can be dropped: a delay goes on in the meantime, and a try that is under way is dropped.
    ///
    /// # Errors
    ///
    /// The error of a try after which another one cannot succeed, or of the last one of [`max_tries`](Self::max_tries). The function
    /// may be called again nevertheless, and tries after a delay then.
    pub async fn next(&mut self) -> Result<T, ReconnectError> {
        let now = || Instant::now().into_std();
        loop {
            while let Some(due) = self.tries.due(now()) {
                sleep_until(due.into()).await;
            }
            match (self.open)().await {
                Ok(connection) => {
                    self.tries.opened(now());
                    return Ok(connection);
                }
                Err(error) => match self.tries.failed(&error, now()) {
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
