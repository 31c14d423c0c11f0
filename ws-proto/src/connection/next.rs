use core::fmt;

use super::{
    failure::Failure,
    memory::{Allocation, Ending, Sending},
    opening::Opens,
    queue::Queue,
};
use crate::{
    close::CloseCode,
    endpoint::{Closed, Endpoint, OpenFrame},
    error::{ReceiveError, SendError},
    event::{Control, Event},
    message::{Message, MessageKind, Part},
    time::Instant,
};

/// The next thing that has happened on a [`Connection`](super::Connection).
///
/// `P` is the payload: a whole [`Message`], or with [`next_part`](super::Connection::next_part) a part of one.
///
/// A value borrows the connection as long as its content is used. Send by the [`Reply`] in the arm [`Data`](Self::Data). In the
/// arms `Opening(Answer::Open(_))`, `Control(_)` and `Closed(_)` the connection is free again:
/// [`connection.send`](super::Connection::send) can be called there.
#[derive(Debug)]
pub enum Next<'c, 'a: 'c, R: Opens + 'c, P, S: Allocation + 'c> {
    /// For a server the request to answer, for a client the server's answer: the connection is open, or refused.
    Opening(R::Opening<'c, 'a, S>),
    /// Payload, and the way to reply.
    Data(P, Reply<'c, R, S>),
    /// A control frame. A Ping has been answered, and so has a Close unless [`close_reply`](crate::Config::close_reply) leaves
    /// that to the host.
    Control(Control),
    /// The connection has ended. This is returned once, as soon as it is certain. Output may still have to be written, and the
    /// transport be drained: go on until [`is_over`](super::Connection::is_over). `Ok` also stands for a peer that has vanished;
    /// [`clean`](crate::Closed::clean) says whether both sides have closed. [`close_frame`](super::Connection::close_frame)
    /// returns the reason that the peer has given.
    Closed(Result<Closed, Failure>),
}

/// Sends on a connection while a message of it is looked at.
pub struct Reply<'c, R: Opens, S: Allocation> {
    pub(super) endpoint: &'c mut Endpoint<R>,
    pub(super) sending: &'c mut Sending<S::Queue>,
}

impl<R: Opens, S: Allocation> Reply<'_, R, S> {
    /// Queues a message, compressed if that has been agreed on. It goes out with the host's next write.
    /// [`Connection::send`](super::Connection::send) lists the types that it takes.
    ///
    /// # Errors
    ///
    /// [`SendError::Closing`] once the connection is closing; [`SendError::MessageInProgress`] between the parts of
    /// another message; [`SendError::BufferTooSmall`] if a queue of fixed length has no room;
    /// [`SendError::Entropy`] if a client's source of masking keys failed. Nothing has been queued then.
    #[inline]
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        let message = message.into();
        #[cfg(feature = "deflate")]
        if let Some(deflater) = &mut self.sending.deflater {
            return self.sending.output.send_deflated(self.endpoint, message, deflater);
        }
        self.sending.output.send(self.endpoint, message)
    }

    /// Queues part of a message as a frame of its own.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::NoMessage`] or [`SendError::KindMismatch`] for parts that make no message,
    /// [`SendError::InvalidUtf8`] for a text that is none.
    pub fn send_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<(), SendError> {
        self.sending.output.send_part(self.endpoint, kind, part, payload)
    }

    /// Queues the header of a frame of `len` bytes of payload, which is a whole message or part of one. The payload
    /// follows by [`send_piece`](Self::send_piece); until it is complete nothing else can be sent, and Pongs and Close wait.
    ///
    /// # Errors
    ///
    /// As [`send_part`](Self::send_part), [`SendError::FrameInProgress`] before the last frame is complete, and
    /// [`SendError::PayloadTooLong`] for 2^63 bytes and more.
    pub fn begin_frame(&mut self, kind: MessageKind, part: Part, len: u64) -> Result<OpenFrame, SendError> {
        self.sending.output.begin_frame(self.endpoint, kind, part, len)
    }

    /// Queues the next piece of a frame's payload, at `now`.
    ///
    /// # Errors
    ///
    /// [`SendError::PayloadTooLong`] for more than what [remains](OpenFrame::remaining); [`SendError::InvalidUtf8`];
    /// [`SendError::BufferTooSmall`] if a queue of fixed length has no room; [`SendError::NoFrame`] if the frame is another
    /// connection's; [`SendError::Closing`] if the connection has ended. Nothing has been queued then.
    pub fn send_piece(&mut self, now: Instant, frame: &mut OpenFrame, piece: &[u8]) -> Result<(), SendError> {
        self.sending.output.send_piece(self.endpoint, now, frame, piece)
    }

    /// Queues a Ping; the answer is a [`Control::Pong`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::ControlTooLong`] if `payload` is longer than 125 bytes.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sending.output.ping(self.endpoint, payload)
    }

    /// Queues our Close at `now`, which begins the closing handshake or answers the peer's Close if that was left to the host.
    ///
    /// # Errors
    ///
    /// [`SendError::Closing`] if that has begun already; [`SendError::InvalidCloseCode`] for a code that may not be
    /// sent; [`SendError::BufferTooSmall`] and [`SendError::Entropy`] as with [`send`](Self::send).
    pub fn close(&mut self, now: Instant, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.sending.output.close(self.endpoint, now, code, reason)
    }

    /// Returns the endpoint, for everything else.
    pub const fn endpoint(&mut self) -> &mut Endpoint<R> {
        self.endpoint
    }
}

impl<R: Opens, S: Allocation> fmt::Debug for Reply<'_, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("output", &self.sending.output).finish_non_exhaustive()
    }
}

/// Makes what was `found` the event that the host gets, and queues the frames that it calls for. If nothing was found,
/// the event is the end of the connection, once it is certain.
#[inline]
pub(super) fn to_next<'c, 'a, R: Opens, P, S: Allocation>(
    found: Result<Option<Event<P>>, ReceiveError>,
    endpoint: &'c mut Endpoint<R>,
    sending: &'c mut Sending<S::Queue>,
    ending: &mut Ending,
) -> Option<Next<'c, 'a, R, P, S>> {
    match found {
        Ok(Some(Event::Data(payload))) => Some(Next::Data(payload, Reply { endpoint, sending })),
        Ok(Some(Event::Control(control))) => Some(Next::Control(answered(control, endpoint, sending))),
        Ok(None) | Err(_) => end(endpoint, sending, ending).map(Next::Closed),
    }
}

/// Returns `control`, and queues the frames that it calls for.
#[cold]
#[inline(never)]
fn answered<R: Opens, Q: Queue>(
    control: Control,
    endpoint: &mut Endpoint<R>,
    sending: &mut Sending<Q>,
) -> Control {
    sending.output.drain(endpoint);
    control
}

/// Queues the output that is owed when all that was read has been taken; returns the end once, when it is certain.
#[cold]
#[inline(never)]
fn end<R: Opens, Q: Queue>(
    endpoint: &mut Endpoint<R>,
    sending: &mut Sending<Q>,
    ending: &mut Ending,
) -> Option<Result<Closed, Failure>> {
    if core::mem::take(&mut ending.eof) {
        endpoint.receive_eof();
    }
    sending.output.drain(endpoint);
    ending.take(endpoint)
}
