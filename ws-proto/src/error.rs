//! Errors by whose fault they are: [`ReceiveError`] ends a connection and says whether the peer is to blame;
//! [`SendError`] is a fault of the caller.

use core::fmt;

use crate::{close::CloseCode, frame::FrameError, role::EntropyError, utf8::InvalidUtf8};

/// The failure of a connection: the peer broke the protocol, or this side has a fault of its own, such as no
/// storage for a message. [`is_peers_fault`](Self::is_peers_fault) distinguishes the two.
///
/// The peer is owed a Close with the reason. A host with I/O of its own drains
/// [`poll_transmit`](crate::Endpoint::poll_transmit) and writes before it drops the transport; ws-std and ws-tokio do that
/// themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReceiveError {
    pub(crate) kind: ReceiveErrorKind,
    pub(crate) offset: u64,
}

impl ReceiveError {
    /// Returns the kind of the failure.
    #[must_use]
    pub const fn kind(&self) -> ReceiveErrorKind {
        self.kind
    }

    /// Returns the place of the failure in the received bytes, counted from 0 after the opening handshake: the
    /// first byte of the frame at fault; for text that is not UTF-8, the first byte that cannot be part of it; for
    /// a [`Fault`] inside a message, the number of bytes taken.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns whether the peer is to blame: it broke the protocol, went over a limit, or violated what the host
    /// reported to [`fail`](crate::Endpoint::fail). `false` if the fault is on this side.
    #[must_use]
    pub const fn is_peers_fault(&self) -> bool {
        self.kind.is_peers_fault()
    }

    /// Returns the code of the Close that is owed to the peer.
    #[must_use]
    pub const fn close_code(&self) -> CloseCode {
        self.kind.close_code()
    }
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at byte {}", self.kind, self.offset)
    }
}

impl core::error::Error for ReceiveError {}

/// The kind of a connection's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReceiveErrorKind {
    /// The bytes are not a frame header.
    Frame(FrameError),
    /// A reserved bit is set without an extension that defines it.
    ReservedBits,
    /// A client sent a frame that is not masked.
    Unmasked,
    /// A server sent a frame that is masked.
    Masked,
    /// A continuation frame came while no message was in progress.
    UnexpectedContinuation,
    /// A new message began before the one in progress ended.
    UnfinishedMessage,
    /// A frame is longer than [`max_frame_len`](crate::Config::max_frame_len).
    FrameTooBig,
    /// A message is longer than [`max_message_len`](crate::Config::max_message_len).
    MessageTooBig,
    /// A message has more frames than [`max_fragments`](crate::Config::max_fragments).
    TooManyFragments,
    /// A message has more empty frames than [`max_empty_fragments`](crate::Config::max_empty_fragments).
    TooManyEmptyFragments,
    /// A text message is not UTF-8.
    InvalidUtf8,
    /// The body of a Close is a single byte.
    ShortCloseBody,
    /// The code of a Close may not be sent.
    InvalidCloseCode,
    /// The reason of a Close is not UTF-8.
    InvalidCloseReason,
    /// The host reported a fault that the endpoint cannot see: [its own](Fault::is_peers) or the peer's.
    Fault(Fault),
}

impl ReceiveErrorKind {
    /// Returns the code of the Close that tells the peer.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::Frame(_)
            | Self::ReservedBits
            | Self::Unmasked
            | Self::Masked
            | Self::UnexpectedContinuation
            | Self::UnfinishedMessage
            | Self::ShortCloseBody
            | Self::InvalidCloseCode => CloseCode::PROTOCOL_ERROR,
            Self::InvalidUtf8 | Self::InvalidCloseReason => CloseCode::INVALID_PAYLOAD,
            Self::FrameTooBig | Self::MessageTooBig => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments | Self::TooManyEmptyFragments => CloseCode::POLICY_VIOLATION,
            Self::Fault(fault) => fault.close_code(),
        }
    }
}

impl ReceiveErrorKind {
    /// Returns whether the peer is to blame: `false` for a [`Fault`] of this side.
    #[must_use]
    pub const fn is_peers_fault(self) -> bool {
        match self {
            Self::Fault(fault) => fault.is_peers(),
            _ => true,
        }
    }

    /// Returns the reason of that Close: a short fixed text for the peer's log.
    #[must_use]
    pub const fn close_reason(self) -> &'static str {
        self.text().0
    }

    /// Returns the fault in words, and the section of RFC 6455 about it.
    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Frame(error) => error.text(),
            Self::Fault(fault) => fault.text(),
            Self::ReservedBits => ("reserved bit without an extension for it", "5.2"),
            Self::Unmasked => ("client's frame is not masked", "5.1"),
            Self::Masked => ("server's frame is masked", "5.1"),
            Self::UnexpectedContinuation => ("continuation without a message", "5.4"),
            Self::UnfinishedMessage => ("message begins inside another", "5.4"),
            Self::FrameTooBig => ("frame is over the limit", "10.4"),
            Self::MessageTooBig => ("message is over the limit", "10.4"),
            Self::TooManyFragments => ("too many fragments in a message", "10.4"),
            Self::TooManyEmptyFragments => ("too many empty fragments in a message", "10.4"),
            Self::InvalidUtf8 => ("text is not UTF-8", "8.1"),
            Self::ShortCloseBody => ("close body is one byte long", "5.5.1"),
            Self::InvalidCloseCode => ("close code may not be sent", "7.4"),
            Self::InvalidCloseReason => ("close reason is not UTF-8", "5.5.1"),
        }
    }
}

impl fmt::Display for ReceiveErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(f, self.is_peers_fault(), self.text())
    }
}

/// Writes a fault in words, and the section of RFC 6455 about it.
fn write_text(f: &mut fmt::Formatter<'_>, is_peers: bool, (text, section): (&str, &str)) -> fmt::Result {
    let side = if is_peers { "" } else { "fault of this side: " };
    write!(f, "{side}{text} (RFC 6455 section {section})")
}

/// A fault that the endpoint cannot see; see [`fail`](crate::Endpoint::fail).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// There is no storage for the message on this side, though it is within the limits: 1009.
    StorageFull,
    /// The message is too big for the application, for example after inflating: 1009.
    MessageTooBig,
    /// A compressed message becomes too long for its length on the wire: 1008.
    InflatesTooMuch,
    /// The payload does not fit its type, for example corrupt compressed data: 1007.
    InvalidPayload,
    /// The application takes no messages of this kind: 1003.
    UnsupportedData,
    /// A policy of the application is violated: 1008.
    PolicyViolation,
    /// This side met an unexpected condition, or the host made a call that is not allowed: 1011.
    Internal,
}

impl Fault {
    /// Returns the code of the Close that tells the peer.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::StorageFull | Self::MessageTooBig => CloseCode::MESSAGE_TOO_BIG,
            Self::InvalidPayload => CloseCode::INVALID_PAYLOAD,
            Self::UnsupportedData => CloseCode::UNSUPPORTED_DATA,
            Self::InflatesTooMuch | Self::PolicyViolation => CloseCode::POLICY_VIOLATION,
            Self::Internal => CloseCode::INTERNAL_ERROR,
        }
    }
}

impl Fault {
    /// Returns whether the peer is to blame. [`StorageFull`](Self::StorageFull) and [`Internal`](Self::Internal)
    /// are faults of this side.
    #[must_use]
    pub const fn is_peers(self) -> bool {
        match self {
            Self::StorageFull | Self::Internal => false,
            Self::MessageTooBig
            | Self::InflatesTooMuch
            | Self::InvalidPayload
            | Self::UnsupportedData
            | Self::PolicyViolation => true,
        }
    }

    /// Returns the fault in words, and the section of RFC 6455 about it.
    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::StorageFull => ("no storage left for the message", "10.4"),
            Self::MessageTooBig => ("message is too big for the application", "10.4"),
            Self::InflatesTooMuch => ("message inflates too much", "10.4"),
            Self::InvalidPayload => ("payload does not fit its type", "7.4.1"),
            Self::UnsupportedData => ("application does not take this kind of data", "7.4.1"),
            Self::PolicyViolation => ("policy of the application is violated", "7.4.1"),
            Self::Internal => ("application met an unexpected condition", "7.4.1"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_text(f, self.is_peers(), self.text())
    }
}

/// The refusal of a call that sends. Nothing has been sent or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// The opening handshake is not complete.
    NotOpen,
    /// The connection is closing or closed: no more messages can be sent, and no second Close.
    Closing,
    /// A message is in progress: end it with [`Part::Last`](crate::Part::Last) first.
    MessageInProgress,
    /// No message is in progress: begin one with [`Part::First`](crate::Part::First).
    NoMessage,
    /// A frame begun by [`begin_frame`](crate::Endpoint::begin_frame) is in progress: complete it first.
    FrameInProgress,
    /// No frame whose payload follows in pieces is in progress.
    NoFrame,
    /// The payload is longer than a frame can be, or a piece is longer than the rest of its frame.
    PayloadTooLong,
    /// The message in progress is of the other kind, or the part and the message are not both compressed.
    KindMismatch,
    /// The text is not UTF-8, or its last part ends inside a code point.
    InvalidUtf8,
    /// The output is too small; the frame takes `needed` bytes.
    BufferTooSmall {
        /// The length of the whole frame in bytes.
        needed: usize,
    },
    /// The payload of a control frame is longer than 125 bytes.
    ControlTooLong,
    /// The close code may not be sent, or not by this side, or there is a reason without a code.
    InvalidCloseCode,
    /// The message is compressed, but compression was not negotiated, or only with a smaller window.
    NotNegotiated,
    /// The source of masking keys failed.
    Entropy,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOpen => "opening handshake is not complete (RFC 6455 section 4.1)",
            Self::Closing => "connection is closing (RFC 6455 section 5.5.1)",
            Self::MessageInProgress => {
                "a message is in progress, end it with its last part first (RFC 6455 section 5.4)"
            }
            Self::NoMessage => "no message is in progress, begin with its first part (RFC 6455 section 5.4)",
            Self::FrameInProgress => "a frame is in progress, complete its payload first (RFC 6455 section 5.2)",
            Self::NoFrame => "no frame is in progress, begin one first (RFC 6455 section 5.2)",
            Self::PayloadTooLong => "payload is longer than the frame can be (RFC 6455 section 5.2)",
            Self::KindMismatch => "message in progress is of the other kind (RFC 6455 section 5.4)",
            Self::InvalidUtf8 => "text is not UTF-8 (RFC 6455 section 5.6)",
            Self::BufferTooSmall { needed } => {
                return write!(f, "output is too small, the frame takes {needed} bytes (RFC 6455 section 5.2)");
            }
            Self::ControlTooLong => "control payload is longer than 125 bytes (RFC 6455 section 5.5)",
            Self::InvalidCloseCode => "close code may not be sent by this side (RFC 6455 section 7.4)",
            Self::NotNegotiated => "compression of the message was not negotiated (RFC 7692 section 6)",
            Self::Entropy => "source of masking keys failed (RFC 6455 section 10.3)",
        })
    }
}

impl core::error::Error for SendError {}

impl From<InvalidUtf8> for SendError {
    fn from(_: InvalidUtf8) -> Self {
        Self::InvalidUtf8
    }
}

impl From<EntropyError> for SendError {
    fn from(_: EntropyError) -> Self {
        Self::Entropy
    }
}
