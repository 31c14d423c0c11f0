//! The endpoint with its output, owned by one thread or shared by several, and how the output is written.
//!
//! One lock for the endpoint, held neither while reading nor while writing the transport. A thread that queues
//! bytes while another one writes leaves them to the writer, which takes all there is before it stops: the
//! order of encoding is the order on the wire.

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

use ws_proto::{
    CloseCode, Closed, ControlFrame, Endpoint, Message, MessageKind, Part, Prepared, Retention, SendError, Server,
    State, Transmit, frame::Frame,
};

use crate::{
    Client, buffers,
    clock::Clock,
    compression::Compression,
    error::Error,
    transport::{Transport, remaining, write_all},
};

/// Output that waits to be written is written at this size, and nobody adds to more than it.
pub(crate) const OUTPUT_MARK: usize = 64 * 1024;
/// From this size on a server's payload is written from where it lies rather than copied.
const SHARED_PAYLOAD: usize = 16 * 1024;
/// How long one who reads beside somebody who writes may be kept from reading by a write of its own.
const MOMENT: Duration = Duration::from_millis(5);
/// How long such a one reads at most before it tries to write again.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The endpoint and what waits to be written.
pub(crate) struct Core<R: Role> {
    pub(crate) endpoint: Endpoint<R>,
    /// Without capacity if nothing waits: then a buffer is [taken](buffers::take) for what is queued next.
    output: Vec<u8>,
    /// How much of it was taken last to be written.
    taken_len: usize,
    retention: Retention,
    compression: Compression,
    writing: Writing,
    /// How many threads wait for [`Shared::progress`].
    waiting: u32,
    /// Since when the transport has taken nothing, if the last write ended so.
    stalled: Option<Instant>,
    shutdown_owed: bool,
    /// The transport has failed for good.
    broken: Option<io::ErrorKind>,
    /// How long the transport may take no byte at all.
    pub(crate) write_timeout: Option<Duration>,
}

/// Who is writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    Nobody,
    /// One who reads, for a [`MOMENT`].
    Reader,
    /// One who will write what is added meanwhile too.
    Writer,
}

/// Everything of a connection but the buffer that it reads to.
pub(crate) struct Shared<R: Role, T> {
    core: Mutex<Core<R>>,
    /// Somebody has stopped writing, or the connection has ended.
    progress: Condvar,
    pub(crate) transport: T,
    pub(crate) clock: Clock,
}

/// Access to [`Shared`]: exclusive, or one of several threads'.
pub(crate) trait Link {
    type Role: Role;
    type Transport: Transport;

    /// Whether another thread may be writing.
    fn is_shared(&self) -> bool;

    fn shared(&self) -> &Shared<Self::Role, Self::Transport>;

    fn core(&mut self) -> impl DerefMut<Target = Core<Self::Role>>;

    /// Waits until `done` or the deadline; at once if there is nobody else.
    fn wait(&mut self, deadline: Option<Instant>, done: impl Fn(&Core<Self::Role>) -> bool);
}

/// The link of an unsplit connection.
#[allow(clippy::large_enum_variant, reason = "most connections are held alone")]
pub(crate) enum Owned<R: Role, T> {
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

impl<R: Role, T> Owned<R, T> {
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
        let mut shared = match self {
            Self::Alone(shared) => return shared.transport,
            Self::Watched(shared) => shared,
        };
        loop {
            match Arc::try_unwrap(shared) {
                Ok(shared) => return shared.transport,
                // A remote is looking at it, which takes no longer than one attempt to write.
                Err(still) => shared = still,
            }
            std::thread::yield_now();
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
            Self::Alone(shared) => Guard::Alone(shared.core.get_mut().unwrap_or_else(PoisonError::into_inner)),
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

/// A role as this crate drives it.
pub trait Role: ws_proto::Role + Send + Sized {
    /// Frames a message where it lies, if this side needs not mask it.
    #[doc(hidden)]
    fn send_shared<'p>(
        endpoint: &mut Endpoint<Self>,
        message: Message<'p>,
    ) -> Option<Result<Frame<'p>, SendError>>;
}

impl Role for Server {
    fn send_shared<'p>(
        endpoint: &mut Endpoint<Self>,
        message: Message<'p>,
    ) -> Option<Result<Frame<'p>, SendError>> {
        Some(endpoint.send_shared(message))
    }
}

impl Role for Client {
    fn send_shared<'p>(_: &mut Endpoint<Self>, _: Message<'p>) -> Option<Result<Frame<'p>, SendError>> {
        None
    }
}

impl<R: Role, T> Shared<R, T> {
    pub(crate) fn new(
        endpoint: Endpoint<R>,
        compression: Compression,
        transport: T,
        clock: Clock,
        write_timeout: Option<Duration>,
    ) -> Self {
        let core = Core {
            endpoint,
            output: Vec::new(),
            taken_len: 0,
            retention: Retention::new(),
            compression,
            writing: Writing::Nobody,
            waiting: 0,
            stalled: None,
            shutdown_owed: false,
            broken: None,
            write_timeout,
        };
        Self { core: Mutex::new(core), progress: Condvar::new(), transport, clock }
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
}

impl<R: Role> Core<R> {
    /// Encodes something behind the output that there is, and what the protocol owes before it.
    pub(crate) fn queue<X>(
        &mut self,
        encode: impl FnOnce(&mut Endpoint<R>, &mut Vec<u8>) -> Result<X, SendError>,
    ) -> Result<X, SendError> {
        self.drain();
        self.encode(|endpoint, _, output| encode(endpoint, output))
    }

    /// Encodes something behind the output that there is, in a buffer that is given back if it stays empty.
    #[inline(always)]
    fn encode<X>(
        &mut self,
        encode: impl FnOnce(&mut Endpoint<R>, &mut Compression, &mut Vec<u8>) -> Result<X, SendError>,
    ) -> Result<X, SendError> {
        self.take_buffer();
        let queued = encode(&mut self.endpoint, &mut self.compression, &mut self.output);
        self.give_back_failed(queued)
    }

    /// Gives the buffer back if nothing could be queued and nothing else was.
    #[inline(always)]
    fn give_back_failed<X>(&mut self, queued: Result<X, SendError>) -> Result<X, SendError> {
        if queued.is_err() && self.output.is_empty() {
            buffers::give_back(core::mem::take(&mut self.output));
        }
        queued
    }

    /// Sees to a buffer for what is about to be queued.
    #[inline(always)]
    fn take_buffer(&mut self) {
        if self.output.capacity() == 0 {
            self.output = buffers::take();
        }
    }

    /// Queues what the protocol owes; to be called after every event.
    ///
    /// Above the mark it stays with the endpoint, which answers the latest Ping only: somebody is stuck in a
    /// write, and a peer that sends Pings but takes no Pongs must not make us grow (§5.5.3). Not so a Close,
    /// which comes once and would be forgotten at the connection's end.
    #[inline]
    pub(crate) fn drain(&mut self) {
        while self.output.len() < OUTPUT_MARK || self.endpoint.state() != State::Open {
            let Some(transmit) = self.endpoint.poll_transmit() else {
                return;
            };
            self.owe(&transmit);
        }
    }

    #[cold]
    fn owe(&mut self, transmit: &Transmit) {
        match transmit {
            Transmit::Control(frame) => {
                self.take_buffer();
                self.output.extend_from_slice(frame.as_bytes());
            }
            Transmit::Shutdown => self.shutdown_owed = true,
        }
    }

    /// Queues a whole message. What the protocol owes was queued after the event that it is owed for, or is before the next
    /// write: no message has to wait for it.
    #[inline(always)]
    fn append(&mut self, message: Message<'_>) -> Result<(), SendError> {
        // No closure: as a function of its own it would have to fetch the message from memory.
        self.take_buffer();
        let queued = self.compression.write(&mut self.endpoint, message, &mut self.output);
        self.give_back_failed(queued)
    }

    pub(crate) fn closed(&self) -> Option<Closed> {
        match self.endpoint.state() {
            State::Closed(closed) => Some(closed),
            State::Open | State::Closing => None,
        }
    }

    pub(crate) fn close_frame(&self) -> Option<(CloseCode, String)> {
        self.endpoint.close_frame().map(|(code, reason)| (code, reason.to_owned()))
    }

    /// Gives back what is kept for a stream of big messages: the connection is idle.
    pub(crate) fn release(&mut self) {
        if self.output.is_empty() {
            self.retention = Retention::new();
            self.output = Vec::new();
        }
    }

    /// Bytes of memory in use for output, compressing it included.
    pub(crate) fn held_bytes(&self) -> usize {
        self.output.capacity() + self.compression.held_bytes()
    }

    fn check(&self) -> io::Result<()> {
        self.broken.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Whether somebody else writes, and what is added with it.
    pub(crate) fn is_being_written(&self) -> bool {
        self.writing == Writing::Writer
    }

    /// Takes the output to be written, as the one who writes.
    fn take_output(&mut self, whom: Writing) -> Vec<u8> {
        self.writing = whom;
        self.taken_len = self.output.len();
        core::mem::take(&mut self.output)
    }

    /// Stops writing: `unwritten` goes before what was queued meanwhile.
    fn put_back(&mut self, mut unwritten: Vec<u8>, result: &io::Result<()>) {
        self.writing = Writing::Nobody;
        if unwritten.is_empty() {
            let is_stream = self.retention.kept(self.taken_len, buffers::LARGEST) > buffers::LARGEST;
            if is_stream && self.output.is_empty() {
                self.output = unwritten;
            } else {
                buffers::give_back(unwritten);
            }
        } else {
            unwritten.append(&mut self.output);
            self.output = unwritten;
        }
        if let Err(error) = result {
            if error.kind() != io::ErrorKind::TimedOut {
                self.broken = Some(error.kind());
                self.output = Vec::new();
            }
        }
    }
}

/// Writes all that waits, if nobody else is at it, and then ends our direction if that is owed.
pub(crate) fn flush(link: &mut impl Link) -> io::Result<()> {
    flush_as(Writing::Writer, link, None)
}

/// [`flush`] for one who is about to read; how long to read before the next try, if output has to wait.
///
/// Beside somebody who writes, a reader must not be kept from reading: were both sides' readers stuck in a
/// write, neither would ever be released. What a [`MOMENT`] is too short for is left to the next call.
pub(crate) fn flush_before_read<L: Link>(link: &mut L) -> io::Result<Option<Duration>> {
    if !link.is_shared() {
        return flush(link).map(|()| None);
    }
    match flush_as(Writing::Reader, link, Instant::now().checked_add(MOMENT)) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            let core = link.core();
            let stalled = core.stalled.map_or(Duration::ZERO, |since| since.elapsed());
            if core.write_timeout.is_some_and(|timeout| stalled >= timeout) {
                drop(core);
                return Err(error);
            }
            // The longer the peer has taken nothing, the less often it is tried.
            Ok(Some((stalled / 4).clamp(MOMENT, LONGEST_PAUSE)))
        }
        result => result.map(|()| None),
    }
}

pub(crate) fn flush_as(whom: Writing, link: &mut impl Link, limit: Option<Instant>) -> io::Result<()> {
    loop {
        let mut core = link.core();
        core.check()?;
        core.drain();
        match core.writing {
            Writing::Nobody => {}
            Writing::Reader => {
                drop(core);
                link.wait(None, |core| core.writing != Writing::Reader);
                continue;
            }
            Writing::Writer => return Ok(()),
        }
        if core.output.is_empty() {
            let end = core::mem::take(&mut core.shutdown_owed);
            drop(core);
            if end {
                // A peer that is gone needs no farewell.
                let _ = link.shared().transport.shutdown(Shutdown::Write);
            }
            return Ok(());
        }
        let output = core.take_output(whom);
        drop(core);
        write_out(link, output, [&[], &[]], limit)?;
    }
}

/// Has `queue` add to the output as soon as that is below the mark, and writes it if it is not below it then.
///
/// Whoever is writing meanwhile makes progress, or stops within the write timeout; then it is our turn.
#[inline]
fn with_room<L: Link, X>(
    link: &mut L,
    queue: impl FnOnce(&mut Core<L::Role>) -> Result<X, SendError>,
) -> crate::Result<X> {
    loop {
        let mut core = link.core();
        core.check()?;
        if core.output.len() < OUTPUT_MARK {
            let queued = queue(&mut core)?;
            let full = core.output.len() >= OUTPUT_MARK;
            drop(core);
            if full {
                flush(link)?;
            }
            return Ok(queued);
        }
        drop(core);
        make_room(link)?;
    }
}

/// Writes, or waits for who does.
#[cold]
fn make_room(link: &mut impl Link) -> crate::Result<()> {
    flush(link).map_err(|error| match error.kind() {
        // Nothing has been added.
        io::ErrorKind::TimedOut => Error::TimedOut,
        _ => error.into(),
    })?;
    link.wait(None, |core| core.writing == Writing::Nobody || core.output.len() < OUTPUT_MARK);
    Ok(())
}

/// Queues a whole message; a big one that needs no mask is written from where it lies.
#[inline]
pub(crate) fn queue<L: Link>(link: &mut L, message: Message<'_>) -> crate::Result<()> {
    if message.as_bytes().len() >= SHARED_PAYLOAD {
        return queue_big(link, message);
    }
    with_room(link, |core| core.append(message))
}

fn queue_big<L: Link>(link: &mut L, message: Message<'_>) -> crate::Result<()> {
    let shared = with_room(link, |core| {
        if !core.compression.is_on() && core.writing == Writing::Nobody {
            core.drain();
            if let Some(frame) = L::Role::send_shared(&mut core.endpoint, message) {
                return frame.map(|frame| Some((frame, core.take_output(Writing::Writer))));
            }
        }
        core.append(message).map(|()| None)
    })?;
    let Some((frame, output)) = shared else {
        return Ok(());
    };
    write_out(link, output, frame.slices(), None)?;
    // What others have queued meanwhile counts on the one who writes.
    Ok(flush(link)?)
}

/// Queues part of a message.
pub(crate) fn queue_part(
    link: &mut impl Link,
    kind: MessageKind,
    part: Part,
    payload: &[u8],
) -> crate::Result<()> {
    with_room(link, |core| {
        core.drain();
        core.encode(|endpoint, compression, output| compression.write_part(endpoint, kind, part, payload, output))
    })
}

/// Queues a message that was encoded once.
pub(crate) fn queue_prepared<B: AsRef<[u8]>>(
    link: &mut impl Link<Role = Server>,
    prepared: &Prepared<B>,
) -> crate::Result<()> {
    with_room(link, |core| {
        core.queue(|endpoint, output| {
            endpoint.send_prepared(prepared)?;
            prepared.slices().iter().for_each(|slice| output.extend_from_slice(slice));
            Ok(())
        })
    })
}

/// Queues a control frame, which `encode` writes to the room that it is given.
pub(crate) fn queue_control<R: Role>(
    core: &mut Core<R>,
    encode: impl FnOnce(&mut Endpoint<R>, &mut [u8]) -> Result<usize, SendError>,
) -> Result<(), SendError> {
    core.queue(|endpoint, output| {
        let mut frame = [0; ControlFrame::MAX_LEN];
        let len = encode(endpoint, &mut frame)?;
        output.extend_from_slice(frame.get(..len).unwrap_or_default());
        Ok(())
    })
}

/// Sends a Ping and writes it.
pub(crate) fn ping(link: &mut impl Link, payload: &[u8]) -> crate::Result<()> {
    queue_control(&mut link.core(), |endpoint, frame| endpoint.write_ping(payload, frame))?;
    Ok(flush(link)?)
}

/// Sends a Close and writes it; nothing if the connection is closing already.
pub(crate) fn send_close(link: &mut impl Link, code: CloseCode, reason: &str) -> crate::Result<()> {
    queue_close(link, code, reason)?;
    Ok(flush(link)?)
}

/// Queues a Close; nothing if the connection is closing already.
pub(crate) fn queue_close(link: &mut impl Link, code: CloseCode, reason: &str) -> Result<(), SendError> {
    let now = link.shared().clock.now();
    let queued = queue_control(&mut link.core(), |endpoint, frame| endpoint.write_close(now, code, reason, frame));
    match queued {
        Ok(()) | Err(SendError::Closing) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes `output` and `frame` behind it; what can't be written now waits for the next flush.
fn write_out(
    link: &mut impl Link,
    mut output: Vec<u8>,
    frame: [&[u8]; 2],
    limit: Option<Instant>,
) -> io::Result<()> {
    let started = Instant::now();
    let slices = [&*output, frame[0], frame[1]];
    let write_timeout = link.core().write_timeout;
    let (written, result) = write_all(&link.shared().transport, slices, write_timeout, limit);
    let rest = remaining(slices, written);
    if rest.iter().all(|slice| slice.is_empty()) {
        output.clear();
    } else if written > 0 || frame.iter().any(|slice| !slice.is_empty()) {
        output = rest.concat();
    }
    let mut core = link.core();
    core.put_back(output, &result);
    core.stalled = if written == 0 { core.stalled.or(Some(started)) } else { None };
    // To tell nobody is a system call all the same.
    let awaited = core.waiting > 0;
    drop(core);
    if awaited {
        link.shared().progress.notify_all();
    }
    result
}

/// Tells whoever waits that the connection has ended.
pub(crate) fn notify_end<R: Role, T>(shared: &Shared<R, T>) {
    shared.progress.notify_all();
}
