//! The way to a stream: name resolution, and a connection to the first address that answers (RFC 8305).

use core::{fmt, future::Future, pin::Pin, time::Duration};
use std::{io, net::SocketAddr, path::Path, sync::Arc};

use tokio::{
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::{Instant, timeout_at},
};
use ws_proto::driver::{ConnectError, Dialing, Target};

use crate::{
    NetStream,
    opening::{after, by},
};

type Dialed = Result<NetStream, ConnectError>;

/// A function of the user that opens a stream to a place.
type Hook = dyn Fn(Target) -> Pin<Box<dyn Future<Output = Dialed> + Send>> + Send + Sync;

/// The settings for opening streams.
#[derive(Clone)]
pub(crate) struct Dialer {
    /// The time for name resolution and all attempts together.
    pub(crate) timeout: Option<Duration>,
    pub(crate) hook: Option<Arc<Hook>>,
}

impl Dialer {
    /// Opens a stream to `target`.
    pub(crate) async fn dial(&self, target: Target) -> Dialed {
        let deadline = after(self.timeout);
        let late = |target| ConnectError::Dial { target, error: io::ErrorKind::TimedOut.into() };
        match (&self.hook, target) {
            (Some(hook), target) => {
                let stream = by(deadline, async { Ok(hook(target.clone()).await) }).await;
                stream.unwrap_or_else(|_| Err(late(target)))
            }
            (None, Target::Host { name, port }) => {
                let found = by(deadline, lookup_host((name, port))).await;
                NetStream::connect(found.map_err(ConnectError::Resolve)?.collect(), deadline).await
            }
            (None, Target::Unix(path)) => by(deadline, connect_unix(&path))
                .await
                .map_err(|error| ConnectError::Dial { target: Target::Unix(path), error }),
            (None, target) => {
                let error = io::ErrorKind::Unsupported.into();
                Err(ConnectError::Dial { target, error })
            }
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("timeout", &self.timeout).field("has_hook", &self.hook.is_some()).finish()
    }
}

impl NetStream {
    /// Connects to the first of `addresses` that answers until `deadline`.
    ///
    /// IPv6 and IPv4 take turns. The next address is tried as soon as one has failed, or after 250 ms (RFC 8305). Dropping the
    /// future ends all attempts.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Connect`] with the error that says most; [`ConnectError::Resolve`] if there is no address.
    pub async fn connect(addresses: Vec<SocketAddr>, deadline: Option<Instant>) -> Result<Self, ConnectError> {
        let now = || Instant::now().into_std();
        let mut dialing = Dialing::new(addresses, deadline.map(Instant::into_std));
        let mut attempts = JoinSet::new();
        while !dialing.is_over(now()) {
            while let Some(address) = dialing.next(now()) {
                attempts.spawn(async move { (address, connect_tcp(address).await) });
            }
            let ended = match dialing.poll_timeout() {
                Some(at) => timeout_at(at.into(), attempts.join_next()).await.unwrap_or(None),
                None => attempts.join_next().await,
            };
            match ended {
                Some(Ok((_, Ok(stream)))) => return Ok(stream.into()),
                Some(Ok((address, Err(error)))) => dialing.failed(address, error),
                // The next address is due or the time is over; an attempt neither panics nor is cancelled.
                Some(Err(_)) | None => {}
            }
        }
        Err(dialing.into_error())
    }
}

async fn connect_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Output is written together as it is.
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(unix)]
async fn connect_unix(path: &Path) -> io::Result<NetStream> {
    tokio::net::UnixStream::connect(path).await.map(NetStream::from)
}

#[cfg(not(unix))]
async fn connect_unix(_path: &Path) -> io::Result<NetStream> {
    Err(io::ErrorKind::Unsupported.into())
}
