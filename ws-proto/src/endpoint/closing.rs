//! The closing handshake and the ways a connection ends (RFC 6455 sections 5.5.1 and 7), for both roles.
//!
//! All transitions are here; the endpoint reports what happened and asks what is owed.
//!
//! | our Close | the peer's Close | then |
//! |---|---|---|
//! | sent | has not come | messages are still delivered, Pings are not answered; the wait takes `close_timeout` |
//! | not yet | has come | the answer is owed at once: the same code without a reason; nothing more is delivered |
//! | not yet | has come, [`CloseReply::ByHost`] | the answer is the host's to send within `close_timeout`. At that deadline, at the end of the transport and at the bound on discarded input the usual answer is owed |
//! | sent | has come | input is discarded, at most 64 KiB. A server hands out `Shutdown` and waits for the end of the transport for `drain_timeout`; a client waits first, for `server_fin_timeout` |
//! | once, unless it was sent before | a failure instead | input is discarded, `Shutdown` is handed out, and the wait is as above |
//!
//! `Shutdown` follows our Close, and every connection hands out one. The end is clean if both Close frames were exchanged.

use core::num::NonZeroU16;

use crate::{close::CloseCode, config::CloseReply, role::Side};

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Messages flow both ways.
    Open,
    /// One side has begun to close, or the connection has failed.
    Closing,
    /// Nothing more will be received and nothing is owed but what [`poll_transmit`](crate::Endpoint::poll_transmit)
    /// still hands out: write what is left, then drop the transport.
    Closed(Closed),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Whether both sides' Close frames were exchanged before the transport ended.
    pub clean: bool,
    /// The code of the peer's Close: [`NO_STATUS`](CloseCode::NO_STATUS) if it had none,
    /// [`ABNORMAL`](CloseCode::ABNORMAL) if there was no (valid) Close.
    pub code: CloseCode,
    /// What began the end.
    pub cause: Cause,
}

/// What began the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The peer's Close.
    Peer,
    /// Our Close, by [`write_close`](crate::Endpoint::write_close).
    Local,
    /// A failure, which [`failure`](crate::Endpoint::failure) tells.
    Failure,
    /// No answer to a Ping came within [`pong_timeout`](crate::Config::pong_timeout).
    PongTimeout,
    /// No data frame passed for [`idle_timeout`](crate::Config::idle_timeout).
    IdleTimeout,
    /// A message was not complete within [`message_timeout`](crate::Config::message_timeout).
    MessageTimeout,
    /// No answer to our Close came within [`close_timeout`](crate::Config::close_timeout).
    CloseTimeout,
    /// The transport ended without the peer's Close.
    Eof,
    /// The opening handshake: see [`Endpoint::refused`](crate::Endpoint::refused).
    Refused,
    /// The source of masking keys failed, so that not even a Close could be sent.
    Entropy,
}

/// Input that is discarded before a closing connection is dropped: 64 KiB, what a peer may have had under way.
const DRAIN_LEN: u16 = u16::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No Close in either direction.
    Open,
    /// Ours is sent or owed, theirs has not come: still receiving.
    AwaitingClose,
    /// Nothing is delivered any more; input is discarded until the transport ends.
    Discarding,
    Closed,
}

/// What the closing handshake owes the peer, in this order.
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
            Stage::AwaitingClose | Stage::Discarding => State::Closing,
            Stage::Closed => State::Closed(self.outcome()),
        }
    }

    /// How the connection has ended, once nothing that can still happen changes it.
    pub(crate) fn closed(&self) -> Option<Closed> {
        let is_certain = match self.stage {
            Stage::Open | Stage::AwaitingClose => false,
            Stage::Discarding => !matches!(self.ours, OurClose::Owed | OurClose::LeftToHost),
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

    /// The cause of the end, once there is one.
    pub(crate) const fn cause(&self) -> Option<Cause> {
        self.cause
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Whether the peer's frames are still delivered.
    pub(crate) const fn is_receiving(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::AwaitingClose)
    }

    /// The code of the peer's Close, once it has come.
    pub(crate) fn peer_code(&self) -> Option<CloseCode> {
        self.peer.map(|code| CloseCode::new(code.get()))
    }

    /// Whether the host is to answer the peer's Close, and has not done so.
    pub(crate) fn is_left_to_host(&self) -> bool {
        self.ours == OurClose::LeftToHost
    }

    /// The application has sent its Close, as the first or as the answer that was left to it.
    pub(crate) fn close_sent(&mut self) {
        if !self.is_left_to_host() {
            self.await_close(Cause::Local);
        }
        self.ours = OurClose::Sent;
    }

    /// The endpoint closes by itself, in good order.
    pub(crate) const fn close(&mut self, cause: Cause) {
        self.await_close(cause);
        self.ours = OurClose::Owed;
    }

    const fn await_close(&mut self, cause: Cause) {
        self.stage = Stage::AwaitingClose;
        self.cause = Some(cause);
    }

    /// The peer's Close has arrived.
    pub(crate) fn close_received(&mut self, code: CloseCode, side: Side) {
        if let OurClose::NotYet(reply) = self.ours {
            self.cause = Some(Cause::Peer);
            self.ours = match reply {
                CloseReply::Echo => OurClose::Owed,
                CloseReply::ByHost => OurClose::LeftToHost,
            };
        }
        self.peer = NonZeroU16::new(code.get());
        self.stage = Stage::Discarding;
        // §7.1.1: the server ends the transport first, the client waits for it.
        if side == Side::Server {
            self.shutdown = Shutdown::Owed;
        }
    }

    /// The connection has failed: at most one Close, then the transport ends.
    pub(crate) fn fail(&mut self, cause: Cause) {
        if matches!(self.ours, OurClose::NotYet(_) | OurClose::LeftToHost) {
            self.ours = OurClose::Owed;
        }
        self.stage = Stage::Discarding;
        self.cause = Some(cause);
        self.shutdown = Shutdown::Owed;
    }

    /// There never was a connection: what is left is to end the transport.
    pub(crate) const fn refuse(&mut self) {
        self.stage = Stage::Discarding;
        self.cause = Some(Cause::Refused);
        self.shutdown = Shutdown::Owed;
    }

    /// No frame can be sent any more, not even a Close.
    pub(crate) fn mute(&mut self) {
        self.cause = Some(Cause::Entropy);
        // Behind a Close that has left there would have been nothing to send.
        self.ours = OurClose::Never;
        self.end();
    }

    /// The peer has ended the transport. A Close that is owed can still be handed out.
    pub(crate) fn eof(&mut self) {
        if self.is_receiving() {
            self.cause = Some(Cause::Eof);
            self.end();
        } else {
            self.drain_left = 0;
            self.settle();
        }
    }

    /// The peer has ended the transport, and our Close can't follow because a frame of ours is cut.
    pub(crate) fn break_off(&mut self) {
        if !self.is_closed() {
            self.end();
        }
    }

    /// `len` more bytes came that nobody will see.
    pub(crate) fn discard(&mut self, len: usize) {
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        self.drain_left = self.drain_left.saturating_sub(len);
        self.settle();
    }

    /// The deadline has passed. Returns whether another wait begins: that after the answer which the host did not give.
    pub(crate) fn expire(&mut self) -> bool {
        if self.is_left_to_host() {
            self.ours = OurClose::Owed;
            return true;
        }
        if self.stage == Stage::AwaitingClose {
            self.cause = Some(Cause::CloseTimeout);
        }
        self.end();
        false
    }

    /// Takes what is owed next.
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
            OurClose::LeftToHost => self.ours = OurClose::Owed,
            OurClose::Owed => {}
            OurClose::NotYet(_) | OurClose::Sent | OurClose::Never => self.end(),
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
