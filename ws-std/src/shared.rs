//! The state that the threads of a connection share, and a thread's access to it.
//!
//! # Theory of operation
//!
//! A connection has three parts:
//!
//! | part | used by |
//! |---|---|
//! | the buffer for input, [`Incoming`](crate::incoming::Incoming) | the reading thread alone, which owns it |
//! | the endpoint and the output that waits, [`Core`] | every thread, under one lock |
//! | the transport | every thread, without a lock: a [`Transport`] takes `&self` |
//!
//! [`Shared`] holds the last two. A connection that no other thread can reach owns its `Shared` and takes no lock
//! ([`Owned::Alone`]). After a split, or on a server that can be stopped, threads share it through an `Arc`. The trait
//! [`Link`] hides the difference, so that the code for reading (`incoming`) and for writing (`outgoing`) exists once.
//!
//! The lock is held while bytes in memory are parsed or encoded. It is never held during a read or a write of the
//! transport, so that no thread waits for the peer because another thread does.
//!
//! Frames must reach the transport in the order in which they were encoded, although it is written without the lock.
//! Therefore one thread writes at a time, and [`Core::writing`] says which half that is:
//!
//! 1. A thread takes the lock, encodes its frame at the end of the output, and looks at `writing`.
//! 2. If a writing half is writing, the thread is done: the writer takes all output before it stops. If a half only tries
//!    to write, others wait, since it stops within milliseconds.
//! 3. Otherwise the thread becomes the writer: it sets `writing`, takes the output out of the `Core` and releases the
//!    lock. Output that others encode meanwhile starts a new buffer.
//! 4. After the write it takes the lock again, clears `writing`, and puts bytes that the transport did not take before
//!    the output that has come since. If it has not run out of time and there is more output, it continues with step 2.
//!
//! A writing half writes until all output has gone or the peer has been too slow. The reading half only tries for a few
//! milliseconds, then reads, and tries again later. Otherwise two peers whose readers both write could wait for each
//! other for ever. A writing half that queues a message tries too, without waiting, if the message would make the output too
//! long for one write.
//!
//! A thread waits for another one in three cases: a half until another one has stopped trying to write, a writing
//! half for room in the output, and `Writer::close` for the end of the connection. All wait on the condition variable,
//! with a deadline if there is one. The thread that stops writing or sees the end notifies it.
//!
//! Deadlines belong to the endpoint, and the thread that reads runs them. A Close that another thread sends creates a
//! deadline that a read in progress does not know; [`Shared::look_again`] bounds that read. To wake a reader at once a
//! thread ends the transport.
//!
//! The last reference to a `Shared` ends the connection, in [`linger`](crate::linger).

use core::{
    ops::{Deref, DerefMut},
    time::Duration,
};
use std::{
    io::{self, IoSlice},
    sync::{Arc, PoisonError},
    time::Instant,
};

use ws_proto::{
    Config, Endpoint,
    driver::{Compression, Observer},
};

use crate::{
    clock::{self, Clock},
    output::Core,
    role::Role,
    sync::{Condvar, Mutex, MutexGuard, yield_now},
    transport::Transport,
};

/// A connection without its buffer for input.
pub(crate) struct Shared<R: Role, T: Transport> {
    core: Mutex<Core<R>>,
    /// Notified when a thread has stopped writing, and when the connection has ended.
    progress: Condvar,
    /// `None` after the transport has been handed out, while the rest is dropped.
    transport: Option<T>,
    pub(crate) clock: Clock,
    /// Time that the peer has to answer our Close.
    close_timeout: Option<Duration>,
}

/// A thread's access to a [`Shared`], exclusive or beside other threads.
pub(crate) trait Link {
    type Role: Role;
    type Transport: Transport;

    /// Returns whether other threads may use the connection at the same time.
    fn is_shared(&self) -> bool;

    fn shared(&self) -> &Shared<Self::Role, Self::Transport>;

    /// Locks the core, if other threads may use it.
    fn core(&mut self) -> impl DerefMut<Target = Core<Self::Role>>;

    /// Waits until `done` returns true or the deadline passes; returns at once if there is no other thread.
    fn wait(&mut self, deadline: Option<Instant>, done: impl Fn(&Core<Self::Role>) -> bool);

    /// Reads from the transport; see [`Transport::read`].
    #[inline]
    fn read(&mut self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        self.shared().transport().read(buffer, deadline)
    }

    /// Writes to the transport; see [`Transport::write`].
    #[inline]
    fn write(&mut self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        self.shared().transport().write(slices, deadline)
    }
}

/// The link of an unsplit connection.
#[allow(clippy::large_enum_variant, reason = "most connections are held alone")]
pub(crate) enum Owned<R: Role, T: Transport> {
    /// No other thread can reach the connection, so there is no locking.
    Alone(Shared<R, T>),
    /// A [`Remote`](crate::remote::Remote) in another thread may close the connection.
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

    /// Returns the connection in a form that several threads can hold.
    pub(crate) fn into_shared(self) -> Arc<Shared<R, T>> {
        match self {
            Self::Alone(shared) => Arc::new(shared),
            Self::Watched(shared) => shared,
        }
    }

    /// Ends the connection without a farewell and returns its transport.
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

    #[inline]
    fn read(&mut self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        match self {
            Self::Alone(shared) => shared.transport_mut().read_mut(buffer, deadline),
            Self::Watched(shared) => shared.transport().read(buffer, deadline),
        }
    }

    #[inline]
    fn write(&mut self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        match self {
            Self::Alone(shared) => shared.transport_mut().write_mut(slices, deadline),
            Self::Watched(shared) => shared.transport().write(slices, deadline),
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

/// The link of a connection that is being dropped: its last holder has exclusive access.
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
        endpoint: Endpoint<R, Observer>,
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

    fn transport_mut(&mut self) -> &mut T {
        self.transport.as_mut().unwrap_or_else(|| unreachable!("the transport goes with the connection"))
    }

    /// Returns whether the connection still has its transport.
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
            let left = deadline.map(|deadline| deadline.saturating_duration_since(clock::now()));
            if left == Some(Duration::ZERO) {
                return;
            }
            core.waiting += 1;
            core = match left {
                None => self.progress.wait(core).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.wait_for(core, left),
            };
            core.waiting -= 1;
        }
    }

    /// Waits until progress is notified or `left` has passed, or returns earlier.
    fn wait_for<'a>(&'a self, core: MutexGuard<'a, Core<R>>, left: Duration) -> MutexGuard<'a, Core<R>> {
        #[cfg(not(shuttle))]
        return self.progress.wait_timeout(core, left).unwrap_or_else(PoisonError::into_inner).0;
        #[cfg(shuttle)]
        {
            drop(core);
            crate::sync::pass(left);
            self.lock()
        }
    }

    /// Wakes the threads that wait for progress or for the end of the connection.
    pub(crate) fn notify(&self) {
        self.progress.notify_all();
    }

    /// Returns the latest time at which a read that starts at `now` has to look at the endpoint again.
    ///
    /// Another thread may send a Close during the read, which does not know the deadline of the answer. A read that
    /// waits at most as long as the peer may take to answer returns before any such deadline.
    pub(crate) fn look_again(&self, now: Instant) -> Option<Instant> {
        now.checked_add(self.close_timeout?)
    }
}

/// Takes a value out of its last lasting reference.
///
/// A server that watches over the value may hold another reference for as long as one attempt to write takes; the call
/// waits for that.
pub(crate) fn unwrap_last<T>(mut shared: Arc<T>) -> T {
    loop {
        match Arc::try_unwrap(shared) {
            Ok(value) => return value,
            Err(still) => shared = still,
        }
        yield_now();
    }
}
