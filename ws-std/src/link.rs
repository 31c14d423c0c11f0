//! The endpoint with its output, owned by one thread or shared by two, and how the output is written.
//!
//! One lock for the endpoint, held neither while reading nor while writing the transport. Whoever queues
//! bytes while somebody writes leaves them to the writer, which takes all there is before it stops: the
//! order of encoding is the order on the wire.

use core::{ops::DerefMut, time::Duration};
use std::{
    io::{self, IoSlice},
    net::Shutdown,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ws_proto::{
    CloseCode, Closed, ControlFrame, Endpoint, Message, MessageKind, Part, Prepared, Role, SendError, Server,
    State, Transmit, frame::Frame,
};

use crate::{Client, clock::Clock, transport::Transport};

/// Output that waits to be written is written at this size, and nobody adds to more than it.
pub(crate) const OUTPUT_MARK: usize = 64 * 1024;
/// From this size on a server's payload is written from where it lies rather than copied.
const SHARED_PAYLOAD: usize = 16 * 1024;
/// What the output buffer keeps between writes.
const OUTPUT_KEPT: usize = 16 * 1024;

/// The endpoint and what waits to be written.
pub(crate) struct Core<R: Role> {
    pub(crate) endpoint: Endpoint<R>,
    output: Vec<u8>,
    /// Somebody is writing, and will write what is added meanwhile.
    writing: bool,
    shutdown_owed: bool,
    /// The transport has failed for good.
    broken: Option<io::ErrorKind>,
}

/// Everything of a connection but the buffer that it reads to.
pub(crate) struct Shared<R: Role, T> {
    core: Mutex<Core<R>>,
    /// Somebody has stopped writing, or the connection has ended.
    progress: Condvar,
    pub(crate) transport: T,
    pub(crate) clock: Clock,
    /// How long the transport may take no byte at all.
    pub(crate) write_timeout: Option<Duration>,
}

/// Access to [`Shared`]: exclusive, or one of two threads'.
pub(crate) trait Link {
    type Role: Side;
    type Transport: Transport;

    fn shared(&self) -> &Shared<Self::Role, Self::Transport>;

    fn core(&mut self) -> impl DerefMut<Target = Core<Self::Role>>;

    /// Waits until `done` or the deadline; at once if there is nobody else.
    fn wait(&mut self, deadline: Option<Instant>, done: impl Fn(&Core<Self::Role>) -> bool);
}

/// The one holder of a connection: no locking at all.
pub(crate) struct Owned<R: Role, T>(pub(crate) Shared<R, T>);

impl<R: Side, T: Transport> Link for Owned<R, T> {
    type Role = R;
    type Transport = T;

    fn shared(&self) -> &Shared<R, T> {
        &self.0
    }

    fn core(&mut self) -> impl DerefMut<Target = Core<R>> {
        self.0.core.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&mut self, _deadline: Option<Instant>, _done: impl Fn(&Core<R>) -> bool) {}
}

impl<R: Side, T: Transport> Link for Arc<Shared<R, T>> {
    type Role = R;
    type Transport = T;

    fn shared(&self) -> &Shared<R, T> {
        self
    }

    fn core(&mut self) -> impl DerefMut<Target = Core<R>> {
        self.lock()
    }

    fn wait(&mut self, deadline: Option<Instant>, done: impl Fn(&Core<R>) -> bool) {
        let mut core = self.lock();
        while !done(&core) {
            core = match deadline {
                None => self.progress.wait(core).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    self.progress.wait_timeout(core, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

/// A role as this crate drives it.
pub trait Side: Role + Send + Sized {
    /// Frames a message where it lies, if this side needs not mask it.
    #[doc(hidden)]
    fn send_shared<'p>(
        endpoint: &mut Endpoint<Self>,
        message: Message<'p>,
    ) -> Option<Result<Frame<'p>, SendError>>;
}

impl Side for Server {
    fn send_shared<'p>(
        endpoint: &mut Endpoint<Self>,
        message: Message<'p>,
    ) -> Option<Result<Frame<'p>, SendError>> {
        Some(endpoint.send_shared(message))
    }
}

impl Side for Client {
    fn send_shared<'p>(_: &mut Endpoint<Self>, _: Message<'p>) -> Option<Result<Frame<'p>, SendError>> {
        None
    }
}

impl<R: Side, T> Shared<R, T> {
    pub(crate) fn new(endpoint: Endpoint<R>, transport: T, clock: Clock, write_timeout: Option<Duration>) -> Self {
        let core = Core { endpoint, output: Vec::new(), writing: false, shutdown_owed: false, broken: None };
        Self { core: Mutex::new(core), progress: Condvar::new(), transport, clock, write_timeout }
    }

    fn lock(&self) -> MutexGuard<'_, Core<R>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Side> Core<R> {
    /// Encodes something behind the output that there is, and what the protocol owes before it.
    pub(crate) fn queue<X>(
        &mut self,
        encode: impl FnOnce(&mut Endpoint<R>, &mut Vec<u8>) -> Result<X, SendError>,
    ) -> Result<X, SendError> {
        self.drain();
        encode(&mut self.endpoint, &mut self.output)
    }

    /// Queues what the protocol owes; to be called after every event.
    ///
    /// Above the mark it stays with the endpoint, which answers the latest Ping only: somebody is stuck in a
    /// write, and a peer that sends Pings but takes no Pongs must not make us grow (§5.5.3).
    pub(crate) fn drain(&mut self) {
        if self.output.len() >= OUTPUT_MARK {
            return;
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            match transmit {
                Transmit::Control(frame) => self.output.extend_from_slice(frame.as_bytes()),
                Transmit::Shutdown => self.shutdown_owed = true,
            }
        }
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

    /// Bytes of memory in use for output.
    pub(crate) fn held_bytes(&self) -> usize {
        self.output.capacity()
    }

    fn check(&self) -> io::Result<()> {
        self.broken.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// Takes the output to be written, as the one who writes.
    fn take_output(&mut self) -> Vec<u8> {
        self.writing = true;
        core::mem::take(&mut self.output)
    }

    /// Stops writing: `unwritten` goes before what was queued meanwhile.
    fn put_back(&mut self, mut unwritten: Vec<u8>, result: &io::Result<()>) {
        self.writing = false;
        if unwritten.is_empty() {
            if self.output.is_empty() {
                unwritten.shrink_to(OUTPUT_KEPT);
                self.output = unwritten;
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
    loop {
        let mut core = link.core();
        core.check()?;
        core.drain();
        if core.writing {
            return Ok(());
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
        let output = core.take_output();
        drop(core);
        write_out(link, output, [&[], &[]])?;
    }
}

/// [`flush`], but only above the mark; then waits for whoever writes, so that output stays bounded.
pub(crate) fn flush_at_mark(link: &mut impl Link) -> io::Result<()> {
    if link.core().output.len() < OUTPUT_MARK {
        return Ok(());
    }
    flush(link)?;
    let timeout = link.shared().write_timeout;
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    link.wait(deadline, |core| !core.writing || core.output.len() < OUTPUT_MARK);
    Ok(())
}

/// Queues a whole message; a big one that needs no mask is written from where it lies.
pub(crate) fn queue<L: Link>(link: &mut L, message: Message<'_>) -> crate::Result<()> {
    let mut guard = link.core();
    let core = &mut *guard;
    core.check()?;
    if message.as_bytes().len() >= SHARED_PAYLOAD && !core.writing {
        core.drain();
        if let Some(frame) = L::Role::send_shared(&mut core.endpoint, message) {
            let frame = frame?;
            let output = core.take_output();
            drop(guard);
            write_out(link, output, frame.slices())?;
            // What others have queued meanwhile counts on the one who writes.
            return Ok(flush(link)?);
        }
    }
    core.queue(|endpoint, output| endpoint.write_to(message, output))?;
    drop(guard);
    Ok(flush_at_mark(link)?)
}

/// Queues part of a message.
pub(crate) fn queue_part(
    link: &mut impl Link,
    kind: MessageKind,
    part: Part,
    payload: &[u8],
) -> crate::Result<()> {
    let mut core = link.core();
    core.check()?;
    core.queue(|endpoint, output| endpoint.write_part_to(kind, part, payload, output))?;
    drop(core);
    Ok(flush_at_mark(link)?)
}

/// Queues a message that was encoded once.
pub(crate) fn queue_prepared<B: AsRef<[u8]>>(
    link: &mut impl Link<Role = Server>,
    prepared: &Prepared<B>,
) -> crate::Result<()> {
    let mut core = link.core();
    core.check()?;
    core.queue(|endpoint, output| {
        endpoint.send_prepared(prepared)?;
        prepared.slices().iter().for_each(|slice| output.extend_from_slice(slice));
        Ok(())
    })?;
    drop(core);
    Ok(flush_at_mark(link)?)
}

/// Queues a control frame, which `encode` writes to the room that it is given.
pub(crate) fn queue_control<R: Side>(
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
    let now = link.shared().clock.now();
    let queued = queue_control(&mut link.core(), |endpoint, frame| endpoint.write_close(now, code, reason, frame));
    match queued {
        Ok(()) | Err(SendError::Closing) => Ok(flush(link)?),
        Err(error) => Err(error.into()),
    }
}

/// Writes `output` and `frame` behind it; what can't be written now waits for the next flush.
fn write_out(link: &mut impl Link, mut output: Vec<u8>, frame: [&[u8]; 2]) -> io::Result<()> {
    let (written, result) = write_all(link.shared(), [&output, frame[0], frame[1]]);
    let rest = remaining([&output, frame[0], frame[1]], written);
    if rest.iter().all(|slice| slice.is_empty()) {
        output.clear();
    } else {
        output = rest.concat();
    }
    link.core().put_back(output, &result);
    link.shared().progress.notify_all();
    result
}

/// Writes all of `slices`; how many bytes have gone, and what stopped it.
fn write_all<R: Role, T: Transport>(shared: &Shared<R, T>, slices: [&[u8]; 3]) -> (usize, io::Result<()>) {
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut written = 0;
    while written < total {
        let rest = remaining(slices, written).map(IoSlice::new);
        let deadline = shared.write_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        match shared.transport.write(&rest, deadline) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(len) => written += len,
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// What is left of `slices` after `written` bytes.
fn remaining(slices: [&[u8]; 3], mut written: usize) -> [&[u8]; 3] {
    slices.map(|slice| {
        let gone = written.min(slice.len());
        written -= gone;
        slice.get(gone..).unwrap_or_default()
    })
}

/// Tells whoever waits that the connection has ended.
pub(crate) fn notify_end<R: Role, T>(shared: &Shared<R, T>) {
    shared.progress.notify_all();
}
