//! The closing handshake and the ways a connection ends (RFC 6455 sections 5.5.1 and 7), for both roles.
//!
//! All transitions are here; the endpoint reports events to it and takes the output that is owed.
//!
//! | our Close | the peer's Close | then |
//! |---|---|---|
//! | sent | has not come | messages are still delivered, Pings are not answered; the wait takes `close_timeout` |
//! | not yet | has come | the answer is owed at once: the same code without a reason; nothing more is delivered |
//! | not yet | has come, [`CloseReply::ByHost`] | the answer is the host's to send within `close_timeout`. At that deadline, at the end of the transport and at the bound on discarded input the usual answer is owed |
//! | sent, [`CloseReply::HalfClose`] | has not come | messages are still delivered, as long as the peer likes |
//! | not yet | has come, [`CloseReply::HalfClose`] | messages can still be sent, as long as the host likes. At the end of the transport and at the bound on discarded input the usual answer is owed |
//! | sent | has come | input is discarded, at most 64 KiB. A server hands out `Shutdown` and waits for the end of the transport for `drain_timeout`; a client waits first, for `server_fin_timeout` |
//! | once, unless it was sent before | a failure instead | input is discarded, `Shutdown` is handed out, and the wait is as above |
//!
//! In a half-closed connection, which the rows of `HalfClose` describe, `idle_timeout` limits the silence of the direction
//! that is left.
//!
//! `Shutdown` follows our Close, and every connection hands out one. The end is clean if both Close frames were exchanged.

use core::num::NonZeroU16;

use crate::{close::CloseCode, config::CloseReply, role::Side};

/// The state of a connection: open, closing or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages flow both ways.
    Open,
    /// One side has begun to close, or the connection has failed.
    Closing,
    /// The connection receives no more, and owes only the output that [`poll_transmit`](crate::Endpoint::poll_transmit)
    /// still hands out: write it, then drop the transport. ws-std and ws-tokio do that themselves.
    Closed(Closed),
}

/// The end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// `true` if both sides' Close frames were exchanged before the transport ended.
    pub clean: bool,
    /// The code of the peer's Close: [`NO_STATUS`](CloseCode::NO_STATUS) if it had none,
    /// [`ABNORMAL`](CloseCode::ABNORMAL) if there was no (valid) Close. If our Close came first, the peer usually repeats the
    /// code of ours.
    pub code: CloseCode,
    /// The event that began the end.
    pub cause: Cause,
}

/// The event that began the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The peer's Close.
    Peer,
    /// Our Close, which the application has sent.
    Local,
    /// A failure: the peer broke a rule or exceeded a limit, or this side was at fault. The call that met it has returned the
    /// error.
    Failure,
    /// No answer to a Ping came within [`pong_timeout`](crate::Config::pong_timeout).
    PongTimeout,
    /// No data frame was sent or received for [`idle_timeout`](crate::Config::idle_timeout). In a half-closed connection: no
    /// frame at all, in the direction that was left.
    IdleTimeout,
    /// A message was not complete within [`message_timeout`](crate::Config::message_timeout).
    MessageTimeout,
    /// No answer to our Close came within [`close_timeout`](crate::Config::close_timeout).
    CloseTimeout,
    /// The transport ended without the peer's Close.
    Eof,
    /// This side is a server that has refused the opening handshake.
    Refused,
    /// The source of masking keys failed, so that not even a Close could be sent.
    Entropy,
}

/// Input that is discarded before a closing connection is dropped: 64 KiB, as much as a peer may have had under way.
const DRAIN_LEN: u16 = u16::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No Close in either direction.
    Open,
    /// The peer's has come, and messages are sent for as long as the host likes.
    // Beside `Open`, so that one comparison finds out whether data can be sent.
    SendingOn,
    /// Ours is sent or owed, theirs has not come: still receiving.
    AwaitingClose,
    /// The peer's frames are not delivered any more; input is discarded until the transport ends.
    Discarding,
    Closed,
}

/// The output that the closing handshake owes the peer, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    Close,
    Shutdown,
}

/// Progress of the end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing {
    stage: Stage,
    cause: Option<Cause>,
    /// The code of the peer's Close, which is never 0.
    peer: Option<NonZeroU16>,
    ours: OurClose,
    shutdown: Shutdown,
    /// Bytes that may still be discarded; at 0 the connection ends as soon as our Close is handed out.
    drain_left: u16,
}

/// Our Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OurClose {
    /// If the peer's comes first, it is answered like this.
    NotYet(CloseReply),
    /// The peer's has come, and the host is to answer it.
    LeftToHost,
    /// It is not handed out yet.
    Owed,
    Sent,
    /// It is sent, and the peer sends messages for as long as it likes.
    SentFirst,
    /// It can't be sent any more.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shutdown {
    NotYet,
    Owed,
    Sent,
}

impl Closing {
    pub(crate) const fn new(reply: CloseReply) -> Self {
        Self {
            stage: Stage::Open,
            cause: None,
            peer: None,
            ours: OurClose::NotYet(reply),
            shutdown: Shutdown::NotYet,
            drain_left: DRAIN_LEN,
        }
    }

    pub(crate) fn state(&self) -> State {
        match self.stage {
            Stage::Open => State::Open,
            Stage::SendingOn | Stage::AwaitingClose | Stage::Discarding => State::Closing,
            Stage::Closed => State::Closed(self.outcome()),
        }
    }

    /// Returns how the connection has ended, once that can no longer change.
    pub(crate) fn closed(&self) -> Option<Closed> {
        let is_certain = match self.stage {
            Stage::Open | Stage::SendingOn | Stage::AwaitingClose => false,
            Stage::Discarding => self.ours != OurClose::Owed && !self.is_left_to_host(),
            Stage::Closed => true,
        };
        is_certain.then(|| self.outcome())
    }

    fn outcome(&self) -> Closed {
        Closed {
            clean: self.peer.is_some() && self.ours == OurClose::Sent,
            code: self.peer_code().unwrap_or(CloseCode::ABNORMAL),
            cause: self.cause.unwrap_or(Cause::Eof),
        }
    }

    /// Returns the cause of the end, once there is one.
    pub(crate) const fn cause(&self) -> Option<Cause> {
        self.cause
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Returns whether the peer's frames are still delivered.
    pub(crate) const fn is_receiving(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::AwaitingClose)
    }

    /// Returns the code of the peer's Close, once it has come.
    pub(crate) fn peer_code(&self) -> Option<CloseCode> {
        self.peer.map(|code| CloseCode::new(code.get()))
    }

    /// Returns whether the host still has to answer the peer's Close.
    pub(crate) fn is_left_to_host(&self) -> bool {
        self.ours == OurClose::LeftToHost
    }

    /// Returns whether data can be sent: the connection is open, or only the peer has ended its direction (§5.5.1).
    pub(crate) const fn may_send_data(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::SendingOn)
    }

    /// Returns whether one direction has ended and the other one goes on for as long as its sender likes.
    pub(crate) fn is_half_closed(&self) -> bool {
        self.stage == Stage::SendingOn || self.ours == OurClose::SentFirst
    }

    /// Changes the answer to the peer's Close. Returns whether an answer that was left to the host is owed now.
    pub(crate) fn set_reply(&mut self, reply: CloseReply) -> bool {
        match self.ours {
            OurClose::NotYet(_) => self.ours = OurClose::NotYet(reply),
            OurClose::LeftToHost => self.answer(reply),
            OurClose::Owed | OurClose::Sent | OurClose::SentFirst | OurClose::Never => return false,
        }
        self.ours == OurClose::Owed
    }

    /// Takes note that the application has sent its Close, as the first or as the answer that was left to it.
    pub(crate) fn close_sent(&mut self) {
        let is_half_close = self.ours == OurClose::NotYet(CloseReply::HalfClose);
        if self.is_left_to_host() {
            self.stage = Stage::Discarding;
        } else {
            self.await_close(Cause::Local);
        }
        self.ours = if is_half_close { OurClose::SentFirst } else { OurClose::Sent };
    }

    /// Begins an orderly close by the endpoint itself.
    pub(crate) const fn close(&mut self, cause: Cause) {
        self.await_close(cause);
        self.ours = OurClose::Owed;
    }

    const fn await_close(&mut self, cause: Cause) {
        self.stage = Stage::AwaitingClose;
        self.cause = Some(cause);
    }

    /// Chooses the answer to the peer's Close, which has come first.
    const fn answer(&mut self, reply: CloseReply) {
        (self.ours, self.stage) = match reply {
            CloseReply::Echo => (OurClose::Owed, Stage::Discarding),
            CloseReply::ByHost => (OurClose::LeftToHost, Stage::Discarding),
            CloseReply::HalfClose => (OurClose::LeftToHost, Stage::SendingOn),
        };
    }

    /// Takes note of the peer's Close.
    pub(crate) fn close_received(&mut self, code: CloseCode, side: Side) {
        self.stage = Stage::Discarding;
        match self.ours {
            OurClose::NotYet(reply) => {
                self.cause = Some(Cause::Peer);
                self.answer(reply);
            }
            OurClose::SentFirst => self.ours = OurClose::Sent,
            OurClose::LeftToHost | OurClose::Owed | OurClose::Sent | OurClose::Never => {}
        }
        self.peer = NonZeroU16::new(code.get());
        // §7.1.1: the server ends the transport first, the client waits for it.
        if side == Side::Server {
            self.shutdown = Shutdown::Owed;
        }
    }

    /// Fails the connection: at most one Close, then the transport ends.
    pub(crate) fn fail(&mut self, cause: Cause) {
        match self.ours {
            OurClose::NotYet(_) | OurClose::LeftToHost => self.ours = OurClose::Owed,
            OurClose::SentFirst => self.ours = OurClose::Sent,
            OurClose::Owed | OurClose::Sent | OurClose::Never => {}
        }
        self.stage = Stage::Discarding;
        self.cause = Some(cause);
        self.shutdown = Shutdown::Owed;
    }

    /// Ends a transport on which no connection was opened.
    pub(crate) const fn refuse(&mut self) {
        self.stage = Stage::Discarding;
        self.cause = Some(Cause::Refused);
        self.shutdown = Shutdown::Owed;
    }

    /// Ends the connection without a Close, because frames can't be sent any more.
    pub(crate) fn mute(&mut self) {
        self.cause = Some(Cause::Entropy);
        // Our Close has not left: after it there would have been no frame to send.
        self.ours = OurClose::Never;
        self.end();
    }

    /// Takes note that the peer has ended the transport. A Close that is owed can still be handed out.
    pub(crate) fn eof(&mut self) {
        if self.is_receiving() {
            self.cause = Some(Cause::Eof);
            self.end();
        } else {
            self.drain_left = 0;
            self.settle();
        }
    }

    /// Ends the connection after the end of the peer's transport; our Close can't follow because a frame of ours is
    /// cut.
    pub(crate) fn break_off(&mut self) {
        if !self.is_closed() {
            self.end();
        }
    }

    /// Counts `len` more bytes of input that are discarded.
    pub(crate) fn discard(&mut self, len: usize) {
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        self.drain_left = self.drain_left.saturating_sub(len);
        self.settle();
    }

    /// Takes note that the deadline has passed. Returns whether another wait begins: the one after the answer that the
    /// host has not sent, and that is owed now.
    pub(crate) fn expire(&mut self) -> bool {
        if self.is_left_to_host() {
            self.answer(CloseReply::Echo);
            return true;
        }
        if self.stage == Stage::AwaitingClose {
            let half_closed = self.is_half_closed();
            self.cause = Some(if half_closed { Cause::IdleTimeout } else { Cause::CloseTimeout });
        }
        self.end();
        false
    }

    /// Takes the output that is owed next.
    pub(crate) fn take_owed(&mut self) -> Option<Owed> {
        if self.ours == OurClose::Owed {
            self.ours = OurClose::Sent;
            self.settle();
            return Some(Owed::Close);
        }
        if self.shutdown == Shutdown::Owed && !self.is_left_to_host() {
            self.shutdown = Shutdown::Sent;
            return Some(Owed::Shutdown);
        }
        None
    }

    /// Ends the connection if no more input is to be awaited; before that, our Close is handed out.
    fn settle(&mut self) {
        if self.drain_left > 0 || self.is_receiving() {
            return;
        }
        match self.ours {
            // The host can't wait for input that does not come.
            OurClose::LeftToHost => self.answer(CloseReply::Echo),
            OurClose::Owed => {}
            OurClose::NotYet(_) | OurClose::Sent | OurClose::SentFirst | OurClose::Never => self.end(),
        }
    }

    fn end(&mut self) {
        self.stage = Stage::Closed;
        if self.ours == OurClose::Owed {
            self.ours = OurClose::Never;
        }
        // Every connection hands out one Shutdown: TLS, say, has a farewell of its own.
        if self.shutdown == Shutdown::NotYet {
            self.shutdown = Shutdown::Owed;
        }
    }
}
