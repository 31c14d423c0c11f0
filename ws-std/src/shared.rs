//! A connection without the buffer that it reads to: owned by one thread, or shared by several.
//!
//! One lock guards the [`Core`]. It is held neither while reading nor while writing the transport, so that the reading half, any
//! number of writing halves and a server that stops can use a connection at once.

use core::{
    ops::{Deref, DerefMut},
    time::Duration,
};
use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ws_proto::{Config, Endpoint};

use crate::{clock::Clock, compression::Compression, output::Core, role::Role, transport::Transport};

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
            Self::Watched(shared) => unwrap_last(shared).into_transport(),
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

    /// Returns whether the transport has not been handed out.
    pub(crate) const fn has_transport(&self) -> bool {
        self.transport.is_some()
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

/// Takes a value out of its last lasting reference. A server that watches over it may hold another one, for no longer than one
/// attempt to write.
pub(crate) fn unwrap_last<T>(mut shared: Arc<T>) -> T {
    loop {
        match Arc::try_unwrap(shared) {
            Ok(value) => return value,
            Err(still) => shared = still,
        }
        std::thread::yield_now();
    }
}
