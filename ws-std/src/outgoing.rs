//! How output is queued and written, whoever holds the link.
//!
//! One thread writes at a time. Whoever queues bytes while another thread writes leaves them to the writer, which takes all there is
//! before it stops: the order of encoding is the order on the wire.
//!
//! - A writing half ([`flush`]) writes until nothing is left, or the peer has been too slow: the [`WriteDeadline`](ws_proto::connection::WriteDeadline) of the
//!   connection has passed.
//! - The reading half ([`flush_before_read`]) writes for a moment, then reads, and tries again later. Were both sides' readers stuck in a write,
//!   neither would ever be released.
//!
//! Each write is first tried without waiting, and without a look at the clock: most often the transport takes all of it. Every piece
//! that it takes is noted, so that a peer that makes progress is told from one that does not.

use core::time::Duration;
use std::{io, net::Shutdown, time::Instant};

use ws_proto::{CloseCode, Message, MessageKind, Part, SendError, Server, State, endpoint::Prepared};

use crate::{
    error::{Error, Result},
    output::{Core, OUTPUT_MARK, Writing},
    role::Role,
    shared::Link,
    transport::{Transport, remaining, write_some},
};

/// From this size on a server's payload is written from where it lies rather than copied.
const SHARED_PAYLOAD: usize = 16 * 1024;
/// How long the reading half may spend writing before it reads again.
const MOMENT: Duration = Duration::from_millis(5);
/// How long a write waits at most before it is tried again. Linux announces room only when a third of its buffer is free,
/// which a slow peer may take longer for than the write timeout; an attempt finds less.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How long the reading half reads at most before it tries to write again.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Writes all that waits, unless another thread does, and then ends our direction if that is owed.
pub(crate) fn flush(link: &mut impl Link) -> Result<()> {
    flush_as(Writing::Writer, link, None)
}

/// [`flush`] for the half that is about to read; how long to read before the next try, if output has to wait.
pub(crate) fn flush_before_read<L: Link>(link: &mut L) -> Result<Option<Duration>> {
    {
        let mut core = link.core();
        core.drain();
        if core.output.is_empty() && !core.owes_shutdown() {
            return core.check().map(|()| None);
        }
    }
    match flush_as(Writing::Reader, link, Instant::now().checked_add(MOMENT)) {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {
            let now = link.shared().clock.now();
            let mut core = link.core();
            if core.deadline.is_overdue(now) {
                core.deadline.reset();
                return Err(Error::Io(error));
            }
            // The longer the peer has taken nothing, the less often it is tried.
            let stalled = core.stalled.map_or(Duration::ZERO, |since| since.elapsed());
            Ok(Some((stalled / 4).clamp(MOMENT, LONGEST_PAUSE)))
        }
        result => result.map(|()| None),
    }
}

/// Writes all that waits until `limit`, or until the peer has been too slow.
pub(crate) fn flush_as(whom: Writing, link: &mut impl Link, limit: Option<Instant>) -> Result<()> {
    loop {
        let mut core = link.core();
        core.check()?;
        core.drain();
        match core.writing {
            Writing::Neither => {}
            Writing::Reader => {
                drop(core);
                link.wait(limit, |core| core.writing != Writing::Reader);
                if limit.is_some_and(|limit| limit <= Instant::now()) {
                    return Err(io::Error::from(io::ErrorKind::TimedOut).into());
                }
                continue;
            }
            Writing::Writer => return Ok(()),
        }
        if core.output.is_empty() {
            let end = core.take_shutdown();
            drop(core);
            if end {
                // A peer that is gone needs no farewell.
                let _ = link.shared().transport().shutdown(Shutdown::Write);
            }
            return Ok(());
        }
        let output = core.take_output(whom, 0);
        drop(core);
        write_out(link, output, [&[], &[]], limit)?;
    }
}

/// Has `queue` add to the output as soon as that is below the mark, and writes it if it is not below it then.
///
/// A thread that is writing meanwhile makes progress, or stops within the write timeout; then it is our turn.
#[inline]
fn with_room<L: Link, X>(
    link: &mut L,
    queue: impl FnOnce(&mut Core<L::Role>) -> core::result::Result<X, SendError>,
) -> Result<X> {
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

/// Writes, or waits for the thread that does.
#[cold]
fn make_room(link: &mut impl Link) -> Result<()> {
    flush(link).map_err(|error| match error {
        // The message has not been added.
        Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Error::TimedOut,
        error => error,
    })?;
    link.wait(None, |core| core.writing == Writing::Neither || core.output.len() < OUTPUT_MARK);
    Ok(())
}

/// Queues a whole message; a big one that needs no mask is written from where it lies.
#[inline]
pub(crate) fn queue<L: Link>(link: &mut L, message: Message<'_>) -> Result<()> {
    if message.as_bytes().len() >= SHARED_PAYLOAD {
        return queue_big(link, message);
    }
    with_room(link, |core| core.append(message))
}

fn queue_big<L: Link>(link: &mut L, message: Message<'_>) -> Result<()> {
    let shared = with_room(link, |core| {
        if !core.compression.is_on() && core.writing == Writing::Neither {
            core.drain();
            if let Some(frame) = L::Role::send_shared(&mut core.endpoint, message) {
                return frame.map(|frame| {
                    let len = frame.slices().iter().map(|slice| slice.len()).sum();
                    Some((frame, core.take_output(Writing::Writer, len)))
                });
            }
        }
        core.append(message).map(|()| None)
    })?;
    let Some((frame, output)) = shared else {
        return Ok(());
    };
    write_out(link, output, frame.slices(), None)?;
    // The thread that writes also writes what others have queued meanwhile.
    flush(link)
}

/// Queues part of a message.
pub(crate) fn queue_part(link: &mut impl Link, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
    with_room(link, |core| {
        core.drain();
        core.encode(|endpoint, compression, output| compression.write_part(endpoint, kind, part, payload, output))
    })
}

/// Queues a message that was encoded once.
pub(crate) fn queue_prepared<B: AsRef<[u8]>>(
    link: &mut impl Link<Role = Server>,
    prepared: &Prepared<B>,
) -> Result<()> {
    with_room(link, |core| {
        core.queue(|endpoint, output| {
            endpoint.send_prepared(prepared)?;
            prepared.slices().iter().for_each(|slice| output.extend_from_slice(slice));
            Ok(())
        })
    })
}

/// Sends a Ping and writes it.
pub(crate) fn ping(link: &mut impl Link, payload: &[u8]) -> Result<()> {
    link.core().queue_control(|endpoint, frame| endpoint.write_ping(payload, frame))?;
    flush(link)
}

/// Sends a Close and writes it; nothing if the connection is closing already.
pub(crate) fn send_close(link: &mut impl Link, code: CloseCode, reason: &str) -> Result<()> {
    queue_close(link, code, reason)?;
    match flush(link) {
        // It was closing already, and its transport has failed since.
        Err(Error::Send(SendError::Closing)) => Ok(()),
        result => result,
    }
}

/// Queues a Close; nothing if the connection is closing already.
pub(crate) fn queue_close(link: &mut impl Link, code: CloseCode, reason: &str) -> Result<()> {
    let now = link.shared().clock.now();
    match link.core().close(now, code, reason) {
        Ok(()) | Err(SendError::Closing) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes `output` and `frame` after it; what can't be written now waits for the next flush.
fn write_out<L: Link>(link: &mut L, mut output: Vec<u8>, frame: [&[u8]; 2], limit: Option<Instant>) -> Result<()> {
    let slices = [&*output, frame[0], frame[1]];
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    let shared = link.shared();
    let clock = shared.clock;
    let result = match write_some(shared.transport(), slices, Some(clock.epoch())) {
        Ok(len) if len == total => {
            output.clear();
            link.core().written_at_once(|| clock.now());
            Ok(())
        }
        begun => {
            let (written, result) = write_rest(link, slices, begun, limit);
            let rest = remaining(slices, written);
            if rest.iter().all(|slice| slice.is_empty()) {
                output.clear();
            } else if written > 0 || frame.iter().any(|slice| !slice.is_empty()) {
                output = rest.concat();
            }
            result
        }
    };
    let mut core = link.core();
    core.put_back(output, &result);
    let is_open = core.endpoint.state() == State::Open;
    let result = result.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => error.into(),
        _ if is_open => error.into(),
        // A peer that has closed takes nothing more.
        _ => Error::Send(SendError::Closing),
    });
    // A notification that reaches no thread is a system call all the same.
    let awaited = core.waiting > 0;
    drop(core);
    if awaited {
        link.shared().notify();
    }
    result
}

/// Goes on after the first attempt to write `slices`; how many bytes have gone in all, and what stopped it.
#[cold]
fn write_rest<L: Link>(
    link: &mut L,
    slices: [&[u8]; 3],
    begun: io::Result<usize>,
    limit: Option<Instant>,
) -> (usize, io::Result<()>) {
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    let clock = link.shared().clock;
    let started = Instant::now();
    // The first attempt was not to wait.
    let (mut written, mut attempt, mut until) = (0, begun, Some(started));
    loop {
        let taken = match attempt {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => 0,
            Err(error) => return (written, Err(error)),
        };
        // A transport that says so before its time is believed.
        let gave_up = taken == 0 && until.is_none_or(|until| Instant::now() < until);
        written += taken;
        let now = clock.now();
        let mut core = link.core();
        core.written(now, taken);
        core.stalled = if written == 0 { core.stalled.or(Some(started)) } else { None };
        if written == total {
            return (written, Ok(()));
        }
        let overdue = core.deadline.is_overdue(now) || gave_up;
        if overdue || limit.is_some_and(|limit| limit <= Instant::now()) {
            // The reading half has come back for the deadline's sake; a writing half may try anew, in all its time.
            if overdue && limit.is_none() {
                core.deadline.reset();
            }
            return (written, Err(io::ErrorKind::TimedOut.into()));
        }
        let deadline = core.deadline.poll_timeout().and_then(|at| clock.to_system(at));
        drop(core);
        until = [deadline, limit, Instant::now().checked_add(TRY_AGAIN)].into_iter().flatten().min();
        attempt = write_some(link.shared().transport(), remaining(slices, written), until);
    }
}
