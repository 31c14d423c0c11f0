//! The writing side of a connection: output is queued and written through any [`Link`].
//!
//! One thread writes at a time, in the order that [`shared`](crate::shared) describes.
//!
//! - A writing half ([`flush`]) writes until no output is left, or the peer has been too slow: the
//!   [`WriteDeadline`](ws_proto::connection::WriteDeadline) of the connection has passed.
//! - The reading half ([`flush_before_read`]) tries to write for a few milliseconds, then reads, and tries again later.
//!
//! Each write is first tried without waiting and without reading the clock: most often the transport takes all of it.
//! Otherwise the time and the length of every piece are recorded, so that a slow peer can be told from one that takes
//! no bytes.

use core::{mem::MaybeUninit, time::Duration};
use std::{
    io::{self, IoSlice},
    net::Shutdown,
    time::Instant,
};

use ws_proto::{
    CloseCode, Message, MessageKind, Part, SendError, Server, State,
    connection::joins_write,
    driver::{Error, MaskedFrame, Result, TrySendError},
    endpoint::Prepared,
    frame::{Frame, FrameHeader},
};

use crate::{
    clock,
    output::{Core, OUTPUT_MARK, Writing},
    shared::Link,
    sync::{limit, unscaled},
    transport::{Transport, remaining, taken, write_some},
};

/// The longest payload in bytes that is copied to the stack, behind its header, to be written alone. A model checker's short
/// messages are this long too.
const SHORT_PAYLOAD: usize = if cfg!(shuttle) { 20 } else { 1024 };
/// Length in bytes of the room for such a frame.
const SHORT_ROOM: usize = SHORT_PAYLOAD + FrameHeader::MAX_LEN;
/// Length in bytes from which a message is written from the caller's memory, as a second slice. The kernel takes longer for two
/// slices than for one: up to 8 KiB a copy to a buffer of the pool costs no more.
const LONG_PAYLOAD: usize = SHORT_PAYLOAD + limit(7 * 1024);
/// Length in bytes from which a message that is queued is written at once instead, from the caller's memory.
const SHARED_PAYLOAD: usize = limit(16 * 1024);
/// Length in bytes of the pieces in which a client masks and writes a longer frame.
const MASKED_PIECE: usize = limit(MaskedFrame::PIECE);
/// The longest time that the reading half spends writing before it reads again.
const READER_WRITE_TIME: Duration = Duration::from_millis(5);
/// The longest wait for room before a write is tried again. Linux reports room only when a third of the socket's buffer
/// is free. A slow peer may take longer for that than the write timeout; an attempt uses less room.
const WRITE_RETRY: Duration = Duration::from_secs(1);
/// The longest time that the reading half reads before it tries to write again.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Writes all output, unless another thread does, and then ends our direction of the transport if that is due.
pub(crate) fn flush(link: &mut impl Link) -> Result<()> {
    flush_as(Writing::Writer, link, None)
}

/// Writes output for the half that is about to read. If some output has to wait, returns how long to read before the
/// next attempt.
///
/// # Errors
///
/// [`Error::Io`] with `TimedOut` if the write deadline has passed, otherwise as [`flush`].
pub(crate) fn flush_before_read<L: Link>(link: &mut L) -> Result<Option<Duration>> {
    {
        let mut core = link.core();
        core.drain();
        if core.is_written() {
            return core.check().map(|()| None);
        }
    }
    match flush_as(Writing::Tries, link, clock::now().checked_add(READER_WRITE_TIME)) {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {
            let now = link.shared().clock.now();
            let mut core = link.core();
            if core.deadline.is_overdue(now) {
                core.deadline.reset();
                return Err(Error::Io(error));
            }
            // The pause grows with the time in which the peer has taken no byte.
            let stalled =
                core.stalled.map_or(Duration::ZERO, |since| clock::now().saturating_duration_since(since));
            Ok(Some((stalled / 4).clamp(READER_WRITE_TIME, LONGEST_PAUSE)))
        }
        result => result.map(|()| None),
    }
}

/// Writes all output, until `limit` or until the write deadline passes.
pub(crate) fn flush_as(how: Writing, link: &mut impl Link, limit: Option<Instant>) -> Result<()> {
    loop {
        let mut core = link.core();
        core.check()?;
        core.drain();
        match core.writing {
            Writing::Neither => {}
            Writing::Tries => {
                drop(core);
                link.wait(limit, |core| core.writing != Writing::Tries);
                if limit.is_some_and(|limit| limit <= clock::now()) {
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
                // An error means that the peer has gone, and then no end has to be sent.
                let _ = link.shared().transport().shutdown(Shutdown::Write);
            }
            return Ok(());
        }
        let output = core.take_output(how, 0);
        drop(core);
        write_out(link, output, [&[], &[]], limit)?;
    }
}

/// Calls `queue` as soon as the output is below [`OUTPUT_MARK`], and writes the output if it has reached the mark then. It appends
/// about `len` bytes: if they make the output too long for one write, what waits is written first, as far as that takes no waiting.
///
/// The wait is bounded: a thread that is writing makes progress or stops within the write timeout, and then this thread
/// writes.
///
/// # Errors
///
/// [`Error::TimedOut`] if the output stays above the mark for the write timeout: `queue` has not been called.
#[inline]
fn with_room<L: Link, X>(
    link: &mut L,
    len: usize,
    queue: impl FnOnce(&mut Core<L::Role>) -> core::result::Result<X, SendError>,
) -> Result<X> {
    let mut is_tried = false;
    loop {
        let mut core = link.core();
        core.check()?;
        if !is_tried
            && core.writing == Writing::Neither
            && !joins_write(unscaled(core.output.len()), unscaled(len))
        {
            drop(core);
            write_first(link)?;
            is_tried = true;
            continue;
        }
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

/// Tries to write output, as far as the transport takes it without waiting.
#[cold]
fn write_first(link: &mut impl Link) -> Result<()> {
    let past = link.shared().clock.epoch();
    match flush_as(Writing::Tries, link, Some(past)) {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
        result => result,
    }
}

/// Writes output, or waits for the thread that writes it.
#[cold]
fn make_room(link: &mut impl Link) -> Result<()> {
    flush(link).map_err(|error| match error {
        // The message has not been queued, so the caller may repeat the call.
        Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Error::TimedOut,
        error => error,
    })?;
    link.wait(None, |core| core.writing == Writing::Neither || core.output.len() < OUTPUT_MARK);
    Ok(())
}

/// Queues a whole message and writes it, with all output before it.
#[inline]
pub(crate) fn send<L: Link>(link: &mut L, message: Message<'_>) -> Result<()> {
    let len = message.as_bytes().len();
    let is_written = if len <= SHORT_PAYLOAD {
        write_short(link, message)?
    } else if len < LONG_PAYLOAD {
        queue(link, message)?;
        false
    } else {
        write_long(link, message)?
    };
    if is_written { Ok(()) } else { flush(link) }
}

/// Queues a whole message. A big one is written at once.
#[inline]
pub(crate) fn queue<L: Link>(link: &mut L, message: Message<'_>) -> Result<()> {
    if message.as_bytes().len() >= SHARED_PAYLOAD {
        return write_long(link, message).map(drop);
    }
    with_room(link, message.as_bytes().len(), |core| core.append(message))
}

/// Has `admit` admit a frame that this thread then writes, after the output, and returns what it has returned. `None` if another
/// thread writes, or `admit` refers to `append`, which then queues the frame. The frame has about `len` bytes.
fn begin<L: Link, F>(
    link: &mut L,
    len: usize,
    admit: impl FnOnce(&mut Core<L::Role>) -> core::result::Result<Option<F>, SendError>,
    append: impl FnOnce(&mut Core<L::Role>) -> core::result::Result<(), SendError>,
) -> Result<Option<F>> {
    with_room(link, len, |core| {
        if core.writing == Writing::Neither {
            core.drain();
            if let Some(begun) = admit(core)? {
                return Ok(Some(begun));
            }
        }
        append(core).map(|()| None)
    })
}

/// Writes a message of at most [`SHORT_PAYLOAD`] bytes, by way of the stack. It is queued instead if other output waits, or it
/// may be compressed. Returns whether all output is written.
#[inline]
fn write_short<L: Link>(link: &mut L, message: Message<'_>) -> Result<bool> {
    let mut room = [const { MaybeUninit::uninit() }; SHORT_ROOM];
    let begun = begin(
        link,
        message.as_bytes().len(),
        |core| {
            if core.compression.is_on() || !core.output.is_empty() {
                return Ok(None);
            }
            let frame = core.endpoint.write_uninit(message, &mut room)?;
            core.begin_writing(Writing::Writer, frame.len());
            Ok(Some(&*frame))
        },
        |core| core.append(message),
    )?;
    match begun {
        Some(frame) => {
            let past = link.shared().clock.epoch();
            match taken(link.write(&[IoSlice::new(frame)], Some(past))) {
                Ok(taken) if taken == frame.len() => Ok(stop_writing(link, taken, Core::end_writing).0),
                begun => write_on(link, Vec::new(), [frame, &[]], begun, None),
            }
        }
        None => Ok(false),
    }
}

/// Writes a long message from the caller's memory: as it lies there, or masked in pieces. It is queued instead if another thread
/// writes, or it has to be compressed, or it is not worth the pieces. Returns whether all output is written; otherwise the message
/// is queued.
fn write_long<L: Link>(link: &mut L, message: Message<'_>) -> Result<bool> {
    enum Long<'p> {
        Shared(Frame<'p>),
        Masked(MaskedFrame<'p>),
    }
    let admit = |core: &mut Core<L::Role>| {
        if let Some(frame) = core.compression.frame_shared(&mut core.endpoint, message) {
            return frame.map(|frame| {
                let output = core.take_output(Writing::Writer, total_len(&frame.slices()));
                Some((Long::Shared(frame), output))
            });
        }
        let Some(frame) = core.compression.frame_masked(&mut core.endpoint, message, MASKED_PIECE) else {
            return Ok(None);
        };
        core.take_buffer();
        frame.map(|frame| {
            let output = core.take_output(Writing::Writer, frame.len());
            Some((Long::Masked(frame), output))
        })
    };
    let is_written = match begin(link, message.as_bytes().len(), admit, |core| core.append(message))? {
        None => return Ok(false),
        Some((Long::Shared(frame), output)) => write_out(link, output, frame.slices(), None)?,
        Some((Long::Masked(frame), output)) => write_masked(link, output, frame)?,
    };
    // Other threads leave output that they have queued meanwhile to this one.
    if !is_written {
        flush(link)?;
    }
    Ok(true)
}

/// Queues a message that was encoded once and writes it, with all output before it. A long one is written from where it lies.
pub(crate) fn send_prepared<L, B>(link: &mut L, prepared: &Prepared<B>) -> Result<()>
where
    L: Link<Role = Server>,
    B: AsRef<[u8]>,
{
    let len = prepared.encoded_len();
    if len <= SHORT_PAYLOAD {
        queue_prepared(link, prepared)?;
    } else {
        let admit = |core: &mut Core<Server>| {
            core.endpoint.send_prepared(prepared)?;
            Ok(Some(core.take_output(Writing::Writer, len)))
        };
        if let Some(output) = begin(link, len, admit, |core| append_prepared(core, prepared))? {
            write_out(link, output, prepared.slices(), None)?;
        }
    }
    flush(link)
}

#[inline]
fn total_len(slices: &[&[u8]]) -> usize {
    slices.iter().map(|slice| slice.len()).sum()
}

/// [`write_out`] of a frame that is masked a piece at a time. After a failure the rest waits for the next flush.
fn write_masked<L: Link>(link: &mut L, mut output: Vec<u8>, mut frame: MaskedFrame<'_>) -> Result<bool> {
    loop {
        frame.fill(&mut output, MASKED_PIECE);
        if frame.is_empty() {
            return write_out(link, output, [&[], &[]], None);
        }
        let slices = [&*output, &[], &[]];
        let begun = write_at_once(link, slices);
        let (written, result) = write_rest(link, slices, begun, None);
        output.drain(..written);
        if let Err(error) = &result {
            if error.kind() == io::ErrorKind::TimedOut {
                frame.fill(&mut output, usize::MAX);
            }
            return finish(link, output, 0, result);
        }
    }
}

/// Calls `queue` if the output is below [`OUTPUT_MARK`].
pub(crate) fn try_queue<L: Link>(
    link: &mut L,
    queue: impl FnOnce(&mut Core<L::Role>) -> core::result::Result<(), SendError>,
) -> core::result::Result<(), TrySendError> {
    let mut core = link.core();
    core.check()?;
    if core.output.len() >= OUTPUT_MARK {
        return Err(TrySendError::Full);
    }
    Ok(queue(&mut core).map_err(Error::from)?)
}

/// Queues part of a message.
pub(crate) fn queue_part(link: &mut impl Link, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
    with_room(link, payload.len(), |core| {
        core.drain();
        core.encode(|endpoint, compression, output| compression.write_part(endpoint, kind, part, payload, output))
    })
}

/// Queues a message that was encoded once.
pub(crate) fn queue_prepared<B: AsRef<[u8]>>(
    link: &mut impl Link<Role = Server>,
    prepared: &Prepared<B>,
) -> Result<()> {
    with_room(link, prepared.encoded_len(), |core| append_prepared(core, prepared))
}

/// Appends a message that was encoded once to the output.
pub(crate) fn append_prepared<B: AsRef<[u8]>>(
    core: &mut Core<Server>,
    prepared: &Prepared<B>,
) -> core::result::Result<(), SendError> {
    core.queue(|endpoint, output| {
        endpoint.send_prepared(prepared)?;
        prepared.slices().iter().for_each(|slice| output.extend_from_slice(slice));
        Ok(())
    })
}

/// Queues a Ping and writes it.
pub(crate) fn ping(link: &mut impl Link, payload: &[u8]) -> Result<()> {
    link.core().queue_control(|endpoint, frame| endpoint.write_ping(payload, frame))?;
    flush(link)
}

/// Queues a Close and writes it. Without effect if the connection is closing already.
pub(crate) fn send_close(link: &mut impl Link, code: CloseCode, reason: &str) -> Result<()> {
    queue_close(link, code, reason)?;
    match flush(link) {
        // The connection was closing already, and its transport has failed since.
        Err(Error::Send(SendError::Closing)) => Ok(()),
        result => result,
    }
}

/// Queues a Close. Without effect if the connection is closing already.
pub(crate) fn queue_close(link: &mut impl Link, code: CloseCode, reason: &str) -> Result<()> {
    let now = link.shared().clock.now();
    match link.core().close(now, code, reason) {
        Ok(()) | Err(SendError::Closing) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes `output` and then `frame`. Bytes that can't be written before `limit` wait for the next flush. Returns whether all
/// output is written, also that which other threads have queued meanwhile.
fn write_out<L: Link>(link: &mut L, output: Vec<u8>, frame: [&[u8]; 2], limit: Option<Instant>) -> Result<bool> {
    let begun = write_at_once(link, [&*output, frame[0], frame[1]]);
    write_on(link, output, frame, begun, limit)
}

/// [`write_out`] after its first attempt, `begun`.
fn write_on<L: Link>(
    link: &mut L,
    mut output: Vec<u8>,
    frame: [&[u8]; 2],
    begun: io::Result<usize>,
    limit: Option<Instant>,
) -> Result<bool> {
    let slices = [&*output, frame[0], frame[1]];
    let total = total_len(&slices);
    let (at_once, written, result) = match begun {
        Ok(len) if len == total => (total, total, Ok(())),
        begun => {
            let (written, result) = write_rest(link, slices, begun, limit);
            (0, written, result)
        }
    };
    if result.is_ok() {
        output.clear();
    } else if written > 0 || frame.iter().any(|slice| !slice.is_empty()) {
        output = remaining(slices, written).concat();
    }
    finish(link, output, at_once, result)
}

/// Writes as much of `slices` as the transport takes without waiting, and returns how much that is.
#[inline]
fn write_at_once<L: Link>(link: &mut L, slices: [&[u8]; 3]) -> io::Result<usize> {
    let past = link.shared().clock.epoch();
    write_some(slices, |slices| link.write(slices, Some(past)))
}

/// Ends the writing of this thread, with the output that is left. The last write has taken `at_once` bytes, its whole, in one
/// call; 0 if they are recorded. Returns what [`write_out`] does.
fn finish<L: Link>(link: &mut L, output: Vec<u8>, at_once: usize, result: io::Result<()>) -> Result<bool> {
    let (is_written, is_open) = stop_writing(link, at_once, |core| {
        core.put_back(output, &result);
        core.endpoint.state() == State::Open
    });
    result.map(|()| is_written).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => error.into(),
        _ if is_open => error.into(),
        // A peer that has closed may end the transport before it has taken our output.
        _ => Error::Send(SendError::Closing),
    })
}

/// Ends the writing of this thread by `end`, and wakes threads that wait for that; `at_once` as for [`finish`]. Returns whether all
/// output is written, and what `end` has returned.
#[inline]
fn stop_writing<L: Link, X>(link: &mut L, at_once: usize, end: impl FnOnce(&mut Core<L::Role>) -> X) -> (bool, X) {
    let clock = link.shared().clock;
    let mut core = link.core();
    if at_once > 0 {
        core.written_at_once(at_once, || clock.now());
    }
    let ended = end(&mut core);
    let (is_written, is_awaited) = (core.is_written(), core.waiting > 0);
    drop(core);
    // Notify only if a thread waits: each notification is a system call.
    if is_awaited {
        link.shared().notify();
    }
    (is_written, ended)
}

/// Continues after `begun`, the first attempt to write `slices`. Returns how many bytes have been written in all, and
/// the error that stopped it before the end.
#[cold]
fn write_rest<L: Link>(
    link: &mut L,
    slices: [&[u8]; 3],
    begun: io::Result<usize>,
    limit: Option<Instant>,
) -> (usize, io::Result<()>) {
    let total = total_len(&slices);
    let clock = link.shared().clock;
    let started = clock::now();
    // The first attempt had a deadline in the past.
    let (mut written, mut attempt, mut until) = (0, begun, Some(started));
    loop {
        let taken = match attempt {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => 0,
            Err(error) => return (written, Err(error)),
        };
        // A transport may time out before our deadline, by a limit of its own.
        let gave_up = taken == 0 && until.is_none_or(|until| clock::now() < until);
        written += taken;
        let now = clock.now();
        let mut core = link.core();
        core.written(now, taken);
        core.stalled = if written == 0 { core.stalled.or(Some(started)) } else { None };
        if written == total {
            return (written, Ok(()));
        }
        let overdue = core.deadline.is_overdue(now) || gave_up;
        if overdue || limit.is_some_and(|limit| limit <= clock::now()) {
            // The caller of a writing half may try again with the whole timeout. The reading half resets the deadline
            // itself.
            if overdue && limit.is_none() {
                core.deadline.reset();
            }
            return (written, Err(io::ErrorKind::TimedOut.into()));
        }
        let deadline = core.deadline.poll_timeout().and_then(|at| clock.to_system(at));
        drop(core);
        until = [deadline, limit, clock::now().checked_add(WRITE_RETRY)].into_iter().flatten().min();
        attempt = write_some(remaining(slices, written), |slices| link.write(slices, until));
    }
}
