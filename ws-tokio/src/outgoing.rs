//! The writing side of a connection, over any [`Link`].

use core::{
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite};
use ws_proto::{
    CloseCode, Message, MessageKind, Part, SendError,
    driver::{Error, Result, TrySendError},
};

use crate::{
    incoming::{Incoming, poll_write_deadline},
    long_frame::LongFrame,
    message_writer::Parts,
    output::{Core, is_long},
    shared::{Half, Link},
    timer::Timer,
};

/// A way to write on a connection.
pub(crate) struct Outgoing<'a, L> {
    link: &'a mut L,
    meanwhile: Meanwhile<'a>,
}

/// The work of a task while its output waits.
pub(crate) enum Meanwhile<'a> {
    /// The task reads.
    Read(&'a mut Incoming),
    /// The task only watches the time: another task reads, or a message is lent.
    Wait(&'a mut Timer),
}

impl<'a, L> Outgoing<'a, L>
where
    L: Link<Stream: AsyncRead + AsyncWrite + Unpin>,
{
    pub(crate) const fn new(link: &'a mut L, meanwhile: Meanwhile<'a>) -> Self {
        Self { link, meanwhile }
    }

    /// Polls `step`, and after each time that it is pending whatever has to be done while output waits.
    fn poll_while_writing<X>(
        &mut self,
        cx: &mut Context<'_>,
        mut step: impl FnMut(&mut Core<L::Role, L::Stream>, &mut Context<'_>) -> Poll<Result<X>>,
    ) -> Poll<Result<X>> {
        let Self { link, meanwhile } = self;
        link.poll(Half::Writer, cx, |core, cx| {
            loop {
                if let Poll::Ready(result) = step(core, cx) {
                    return Poll::Ready(result);
                }
                ready!(match meanwhile {
                    Meanwhile::Read(incoming) => incoming.poll_while_writing(core, cx),
                    Meanwhile::Wait(timer) => poll_write_deadline(core, timer, cx),
                })?;
            }
        })
    }

    /// Writes all output.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_while_writing(cx, |core, cx| core.poll_flush(cx))
    }

    /// Waits until less output than the mark waits, so that more can be queued.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_with_room(cx, 0, |_, _| Ok(()))
    }

    /// Calls `queue` as soon as less output than the mark waits, and writes the output if it has reached the mark then. It appends
    /// about `len` bytes: if they make the output too long for one write, what waits is written first, as far as the stream takes
    /// it at once.
    pub(crate) fn poll_with_room<X>(
        &mut self,
        cx: &mut Context<'_>,
        len: usize,
        mut queue: impl FnMut(&mut Core<L::Role, L::Stream>, &mut Context<'_>) -> Result<X>,
    ) -> Poll<Result<X>> {
        self.poll_while_writing(cx, |core, cx| {
            if !core.has_room() || !core.joins_write(len) {
                match core.poll_flush(cx) {
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending if !core.has_room() => return Poll::Pending,
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                }
            }
            let queued = queue(core, cx);
            if !core.has_room() {
                // The call has done its work: a later one continues, and reports an error.
                let _ = core.poll_flush(cx);
            }
            Poll::Ready(queued)
        })
    }

    // Functions that return a future instead of async ones: a future of these holds its arguments once.

    pub(crate) fn flush(mut self) -> impl Future<Output = Result<()>> {
        poll_fn(move |cx| self.poll_flush(cx))
    }

    /// Queues by `queue` as soon as there is room.
    pub(crate) fn queue_by(
        mut self,
        len: usize,
        mut queue: impl FnMut(&mut Core<L::Role, L::Stream>, &mut Context<'_>) -> Result<()>,
    ) -> impl Future<Output = Result<()>> {
        poll_fn(move |cx| self.poll_with_room(cx, len, &mut queue))
    }

    /// Queues a message as soon as there is room.
    pub(crate) fn queue(mut self, message: Message<'_>) -> impl Future<Output = Result<()>> {
        poll_fn(move |cx| {
            if self.link.at_once(Half::Writer, |core| core.queue_at_once(message)) {
                return Poll::Ready(Ok(()));
            }
            let len = message.as_bytes().len();
            self.poll_with_room(cx, len, |core, cx| core.write_message(message, cx))
        })
    }

    /// Queues by `queue` as soon as there is room, and writes all output.
    pub(crate) fn send_by(
        mut self,
        len: usize,
        mut queue: impl FnMut(&mut Core<L::Role, L::Stream>, &mut Context<'_>) -> Result<()>,
    ) -> impl Future<Output = Result<()>> {
        let mut queued = false;
        poll_fn(move |cx| {
            if !queued {
                ready!(self.poll_with_room(cx, len, &mut queue))?;
                queued = true;
            }
            self.poll_flush(cx)
        })
    }

    /// Sends a message and all output before it. One that is long is written from where it lies. No other task may write
    /// meanwhile.
    pub(crate) const fn send<'m>(self, message: Message<'m>) -> Sending<'a, 'm, L> {
        Sending { outgoing: self, message, step: Step::Begin }
    }

    /// Queues by `queue` if there is room. A task that waits to read writes it.
    pub(crate) fn try_queue_by(
        self,
        queue: impl FnOnce(&mut Core<L::Role, L::Stream>) -> Result<()>,
    ) -> core::result::Result<(), TrySendError> {
        self.link.act(|core| {
            if !core.has_room() {
                return Err(TrySendError::Full);
            }
            queue(core)?;
            core.leave_output_to_reader();
            Ok(())
        })
    }

    /// Queues a Ping, whether or not there is room, and writes it.
    pub(crate) async fn ping(mut self, payload: &[u8]) -> Result<()> {
        self.act(|core| core.queue_ping(payload))?;
        self.flush().await
    }

    /// Does something that does not wait.
    pub(crate) fn act<X>(&mut self, act: impl FnOnce(&mut Core<L::Role, L::Stream>) -> X) -> X {
        self.link.act(act)
    }

    /// Queues a Close and writes it. Without effect if the connection is closing already.
    pub(crate) async fn send_close(mut self, code: CloseCode, reason: &str) -> Result<()> {
        poll_fn(|cx| self.poll_close(code, reason, cx)).await
    }

    /// Queues a Close, unless the connection is closing already, and writes it.
    pub(crate) fn poll_close(&mut self, code: CloseCode, reason: &str, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.link.act(|core| core.queue_close(code, reason))?;
        match ready!(self.poll_flush(cx)) {
            // The connection was closing already, and its stream has failed since.
            Err(Error::Send(SendError::Closing)) => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

/// The future of a call that sends a message.
///
/// A long frame that it has begun is lent to it: if it is dropped, the rest is queued. Only the connection's one task may have
/// such a future. A task that reads beside it could not send a Pong as long as the future is not polled.
pub(crate) struct Sending<'a, 'm, L: Link<Stream: AsyncRead + AsyncWrite + Unpin>> {
    outgoing: Outgoing<'a, L>,
    message: Message<'m>,
    step: Step<'m>,
}

enum Step<'m> {
    Begin,
    Write(Box<LongFrame<'m>>),
    Flush,
}

impl<'m, L: Link<Stream: AsyncRead + AsyncWrite + Unpin>> Sending<'_, 'm, L> {
    /// Queues the message, or begins to write it; returns the next step.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step<'m>>> {
        let Self { outgoing, message, .. } = self;
        if is_long::<L::Role>(*message) {
            let begun = outgoing.poll_while_writing(cx, |core, cx| core.poll_begin_long(*message, cx));
            if let Some(frame) = ready!(begun)? {
                return Poll::Ready(Ok(Step::Write(frame)));
            }
        }
        let len = message.as_bytes().len();
        ready!(outgoing.poll_with_room(cx, len, |core, _| core.queue(*message)))?;
        Poll::Ready(Ok(Step::Flush))
    }
}

impl<L: Link<Stream: AsyncRead + AsyncWrite + Unpin>> Future for Sending<'_, '_, L> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if let Step::Begin = this.step {
            this.step = ready!(this.poll_begin(cx))?;
        }
        if let Step::Write(frame) = &mut this.step {
            ready!(this.outgoing.poll_while_writing(cx, |core, cx| core.poll_write_long(frame, cx)))?;
            this.step = Step::Flush;
        }
        this.outgoing.poll_flush(cx)
    }
}

impl<L: Link<Stream: AsyncRead + AsyncWrite + Unpin>> Drop for Sending<'_, '_, L> {
    fn drop(&mut self) {
        if let Step::Write(frame) = mem::replace(&mut self.step, Step::Flush) {
            self.outgoing.act(|core| core.put_back_long(*frame));
        }
    }
}

impl<L> Parts for Outgoing<'_, L>
where
    L: Link<Stream: AsyncRead + AsyncWrite + Unpin>,
{
    fn poll_queue_part(
        &mut self,
        kind: MessageKind,
        part: Part,
        payload: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        self.poll_with_room(cx, payload.len(), |core, _| core.queue_part(kind, part, payload))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Self::poll_flush(self, cx)
    }
}
