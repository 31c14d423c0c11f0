//! A connection without the buffer that it reads to: owned by one thread, or shared by several.
//!
//! One lock guards the [`Core`]. It is held neither while reading nor while writing the transport, so that the reading half, any
//! number of writing halves and a server that stops can use a connection at once.

use core::{
    ops::{Deref, DerefMut},
    time::Duration,
};
use std::{
    io,
    net::Shutdown,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ws_proto::{Config, Endpoint, State, role::Side};

use crate::{
    clock::Clock, compression::Compression, flush::flush_before_read, output::Core, role::Role,
    transport::Transport,
};

/// Everything of a connection but the buffer that it reads to.
pub(crate) struct Shared<R: Role, T: Transport> {
    core: Mutex<Core<R>>,
    /// A thread has stopped writing, or the connection has ended.
    progress: Condvar,
    /// `None` only while it is handed out and the rest is dropped.
    transport: Option<T>,
    pub(crate) clock: Clock,
    /// How long the peer may take to answer our Close.
    close_timeout: Option<Duration>,
}

/// Access to [`Shared`]: exclusive, or one of several threads'.
pub(crate) trait Link {
    type Role: Role;
    type Transport: Transport;

    /// Whether other threads may use the connection meanwhile.
    fn is_shared(&self) -> bool;

    fn shared(&self) -> &Shared<Self::Role, Self::Transport>;

    fn core(&mut self) -> impl DerefMut<Target = Core<Self::Role>>;

    /// Waits until `done` or the deadline; returns at once if there is no other thread.
    fn wait(&mut self, deadline: Option<Instant>, done: impl Fn(&Core<Self::Role>) -> bool);
}

/// The link of an unsplit connection.
#[allow(clippy::large_enum_variant, reason = "most connections are held alone")]
pub(crate) enum Owned<R: Role, T: Transport> {
    /// No other thread knows the connection: there is no locking.
    Alone(Shared<R, T>),
    /// A [`Remote`](crate::remote::Remote) may close it.
    Watched(Arc<Shared<R, T>>),
}

/// Exclusive access to the [`Core`] of a connection.
pub(crate) enum Guard<'a, R: Role> {
    Alone(&'a mut Core<R>),
    Locked(MutexGuard<'a, Core<R>>),
}

impl<R: Role> Deref for Guard<'_, R> {
    type Target = Core<R>;

    #[inline(always)]
    fn deref(&self) -> &Core<R> {
        match self {
            Self::Alone(core) => core,
            Self::Locked(core) => core,
        }
    }
}

impl<R: Role> DerefMut for Guard<'_, R> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Core<R> {
        match self {
            Self::Alone(core) => core,
            Self::Locked(core) => core,
        }
    }
}

impl<R: Role, T: Transport> Owned<R, T> {
    pub(crate) const fn alone(shared: Shared<R, T>) -> Self {
        Self::Alone(shared)
    }

    /// The connection's parts, for several holders.
    pub(crate) fn into_shared(self) -> Arc<Shared<R, T>> {
        match self {
            Self::Alone(shared) => Arc::new(shared),
            Self::Watched(shared) => shared,
        }
    }

    /// The transport alone.
    pub(crate) fn into_transport(self) -> T {
        match self {
            Self::Alone(shared) => shared.into_transport(),
            Self::Watched(shared) => alone(shared).into_transport(),
        }
    }
}

impl<R: Role, T: Transport> Link for Owned<R, T> {
    type Role = R;
    type Transport = T;

    fn is_shared(&self) -> bool {
        matches!(self, Self::Watched(_))
    }

    #[inline(always)]
    fn shared(&self) -> &Shared<R, T> {
        match self {
            Self::Alone(shared) => shared,
            Self::Watched(shared) => shared,
        }
    }

    #[inline(always)]
    fn core(&mut self) -> impl DerefMut<Target = Core<R>> {
        match self {
            Self::Alone(shared) => Guard::Alone(shared.exclusive()),
            Self::Watched(shared) => Guard::Locked(shared.lock()),
        }
    }

    fn wait(&mut self, deadline: Option<Instant>, done: impl Fn(&Core<R>) -> bool) {
        if let Self::Watched(shared) = self {
            shared.wait(deadline, done);
        }
    }
}

impl<R: Role, T: Transport> Link for Arc<Shared<R, T>> {
    type Role = R;
    type Transport = T;

    fn is_shared(&self) -> bool {
        true
    }

    fn shared(&self) -> &Shared<R, T> {
        self
    }

    fn core(&mut self) -> impl DerefMut<Target = Core<R>> {
        self.lock()
    }

    fn wait(&mut self, deadline: Option<Instant>, done: impl Fn(&Core<R>) -> bool) {
        Shared::wait(self, deadline, done);
    }
}

/// The last holder's.
impl<R: Role, T: Transport> Link for &mut Shared<R, T> {
    type Role = R;
    type Transport = T;

    fn is_shared(&self) -> bool {
        false
    }

    fn shared(&self) -> &Shared<R, T> {
        self
    }

    fn core(&mut self) -> impl DerefMut<Target = Core<R>> {
        self.exclusive()
    }

    fn wait(&mut self, _deadline: Option<Instant>, _done: impl Fn(&Core<R>) -> bool) {}
}

impl<R: Role, T: Transport> Shared<R, T> {
    pub(crate) fn new(
        endpoint: Endpoint<R>,
        compression: Compression,
        transport: T,
        clock: Clock,
        config: &Config,
    ) -> Self {
        let core = Mutex::new(Core::new(endpoint, compression, config));
        let close_timeout = config.close_timeout;
        Self { core, progress: Condvar::new(), transport: Some(transport), clock, close_timeout }
    }

    pub(crate) fn transport(&self) -> &T {
        self.transport.as_ref().unwrap_or_else(|| unreachable!("the transport goes with the connection"))
    }

    fn into_transport(mut self) -> T {
        self.transport.take().unwrap_or_else(|| unreachable!("the transport goes with the connection"))
    }

    #[inline(always)]
    fn exclusive(&mut self) -> &mut Core<R> {
        self.core.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Core<R>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, deadline: Option<Instant>, done: impl Fn(&Core<R>) -> bool) {
        let mut core = self.lock();
        while !done(&core) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return;
            }
            core.waiting += 1;
            core = match left {
                None => self.progress.wait(core).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.progress.wait_timeout(core, left).unwrap_or_else(PoisonError::into_inner).0,
            };
            core.waiting -= 1;
        }
    }

    /// Wakes the threads that wait for progress or for the end of the connection.
    pub(crate) fn notify(&self) {
        self.progress.notify_all();
    }

    /// The latest time at which a read that starts at `now` has to look at the endpoint again.
    ///
    /// Another thread may send a Close meanwhile, whose deadline a blocked read does not know. A read that waits no longer than the
    /// peer may take to answer is back before any such deadline.
    pub(crate) fn look_again(&self, now: Instant) -> Option<Instant> {
        now.checked_add(self.close_timeout?)
    }
}

/// The end is told to the application as soon as it is certain; what is left of it happens here.
///
/// A server ends the transport after its Close, then takes what the peer still sends, within the endpoint's bounds: a socket that is closed with
/// input unread is reset, which may take our Close from the peer. A client's last words are written, but its peer is not waited
/// for: with the peer's Close received there is nothing left to lose.
impl<R: Role, T: Transport> Drop for Shared<R, T> {
    fn drop(&mut self) {
        if self.transport.is_some() && !std::thread::panicking() {
            linger(&mut &mut *self);
        }
    }
}

/// How long a dropped connection waits for the peer's end of the transport if the endpoint has no limit for that.
const LINGER: Duration = Duration::from_secs(1);

/// Writes and drains until the endpoint has closed, if it has begun to end by itself.
fn linger<L: Link>(link: &mut L) {
    let clock = link.shared().clock;
    let mut bin = [0; 4096];
    while link.core().is_lingering() {
        let Ok(pause) = flush_before_read(link) else { return };
        let now = Instant::now();
        let patient = <L::Role as ws_proto::role::Role>::SIDE == Side::Server || pause.is_some();
        let timeout = link.core().endpoint.poll_timeout().and_then(|at| clock.to_system(at));
        // Dropping a connection never takes for ever, whatever the application has chosen for its reads.
        let timeout = timeout.or_else(|| now.checked_add(LINGER));
        let retry = pause.and_then(|pause| now.checked_add(pause));
        let deadline = [timeout, retry, Some(now).filter(|_| !patient)].into_iter().flatten().min();
        match link.shared().transport().read(&mut bin, deadline) {
            Ok(0) => link.core().endpoint.receive_eof(),
            Ok(len) => {
                let mut input = bin.get_mut(..len).unwrap_or_default();
                // All of it is discarded.
                let _ = link.core().endpoint.receive(clock.now(), &mut input);
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut && patient => {
                let mut core = link.core();
                core.endpoint.handle_timeout(clock.now());
                if core.endpoint.poll_timeout().is_none() && retry.is_none() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

impl<R: Role> Core<R> {
    /// Whether the connection has ended in a way that the peer has to learn, and the transport has not.
    fn is_lingering(&self) -> bool {
        self.endpoint.state() == State::Closing && self.endpoint.closed().is_some() && self.can_write()
    }
}

/// Ends the transport in both directions, which wakes every thread that waits for it.
pub(crate) fn abort(transport: &impl Transport) {
    // A transport that is gone already is what is asked for.
    let _ = transport.shutdown(Shutdown::Both);
}

/// Takes a value out of its last lasting reference. A server that watches over it may hold another one, for no longer than one
/// attempt to write.
pub(crate) fn alone<T>(mut shared: Arc<T>) -> T {
    loop {
        match Arc::try_unwrap(shared) {
            Ok(value) => return value,
            Err(still) => shared = still,
        }
        std::thread::yield_now();
    }
}
