//! Limits and timeouts, each with its default and the reason for it.

use core::{num::NonZeroU32, time::Duration};

/// The limits of what an endpoint accepts, and its timeouts.
///
/// Create the defaults and set fields of them:
///
/// ```
/// let mut config = ws_proto::Config::default();
/// config.max_message_len = 64 << 20;
/// config.idle_timeout = Some(core::time::Duration::from_secs(300));
/// ```
///
/// ws-std and ws-tokio re-export it, as `ws_std::Config` and `ws_tokio::Config`.
///
/// Timeouts are rounded up to a millisecond and saturate at 49 days. `None` turns a timeout off.
///
/// For receiving, a connection holds at most about twice `max_message_len`, since the storage of a message doubles
/// as its bytes arrive. The output that waits is the host's: at most 64 KiB and one message in this project's
/// drivers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The longest message accepted, in bytes of payload. One of exactly this length is received; a longer one fails
    /// with 1009 as soon as a header announces it. Messages that are sent have no limit. Default: 1 MiB, far more than
    /// chat, games and tickers send, and little enough for thousands of connections at once.
    pub max_message_len: u64,
    /// The longest frame accepted, in bytes of payload; a longer one fails with 1009. Default: `None`, as long as
    /// a message.
    pub max_frame_len: Option<u64>,
    /// The greatest number of frames of a message; more fail with 1008. Default: `None`, one frame for each 64
    /// bytes of `max_message_len`, since smaller fragments cost more to handle than to send. 0 counts as 1.
    pub max_fragments: Option<u32>,
    /// The greatest number of empty frames of a message, its last frame not counted; more fail with 1008. Default:
    /// 64, since an empty frame carries nothing and no sender needs many.
    pub max_empty_fragments: u16,
    /// The longest head of a request or a response accepted, in bytes; a longer one fails with 431. Each interim
    /// response is a head of its own. Default: 16 KiB, since browsers send 0.5 to 4 kB, most of it cookies, and
    /// servers before applications commonly stop at 8 or 16 KiB.
    pub max_head_len: usize,
    /// The longest line of a head accepted, in bytes without its end; a longer one fails with 431. Default:
    /// `None`, as long as the head, since a single cookie field may be most of it. The target of a request has a
    /// limit of its own, [`MAX_TARGET_LEN`](crate::handshake::MAX_TARGET_LEN).
    pub max_line_len: Option<usize>,
    /// The greatest number of field lines in a head; more fail with 431. Values above
    /// [`MAX_FIELDS`](crate::handshake::MAX_FIELDS) count as that. Default: 100, since browsers send 15 to 25 and
    /// proxies add a few.
    pub max_header_fields: usize,
    /// The time for the whole opening handshake, from the wait for its first byte to its last byte. Default: 10 s,
    /// three times the need of a bad mobile network. A peer that sends byte by byte cannot prolong it.
    pub handshake_timeout: Option<Duration>,
    /// The time without a data frame, in either direction, after which the connection is closed with 1001.
    /// Default: off, since only the application knows how quiet its users may be.
    ///
    /// In a half-closed connection ([`CloseReply::HalfClose`]) it limits the silence of the direction that is left.
    ///
    /// The time of a sent frame is not recorded. A connection that only sends is therefore closed between one and two
    /// timeouts after its last frame.
    pub idle_timeout: Option<Duration>,
    /// The time for a message, from its first byte to its last; a slower one fails with 1008. Default: off, since
    /// only the application knows how big its messages and how slow its users are. With the timeout off, a peer
    /// can make this side hold an unfinished message for as long as it answers Pings.
    pub message_timeout: Option<Duration>,
    /// The silence after which a Ping is sent. Default: 20 s, since proxies commonly end a connection after 30 s
    /// without a byte, other middleboxes after a minute.
    pub keepalive_interval: Option<Duration>,
    /// The silence after such a Ping after which the connection fails with 1011. Default: 20 s. With both defaults the
    /// connection to a dead peer fails 40 s after its last sign of life.
    ///
    /// The wait begins when the Ping has left, if the host reports writes by
    /// [`Endpoint::written`](crate::Endpoint::written): a peer that steadily takes the output queued before the
    /// Ping is alive.
    pub pong_timeout: Option<Duration>,
    /// The wait for the peer's Close after ours. Default: 10 s, since the peer may be in the middle of a message.
    ///
    /// The wait begins when our Close has left, as the wait for a Pong does. There is none with
    /// [`CloseReply::HalfClose`].
    pub close_timeout: Option<Duration>,
    /// The answer to the peer's Close if it comes before ours. By default the endpoint answers at once.
    pub close_reply: CloseReply,
    /// The time after which a write fails if the transport has taken no byte of the output that is waiting. Default: 30 s,
    /// since a mobile network that has lost its signal may come back. Enforced by the writer: a [`Connection`](crate::Connection),
    /// `Output`, [`WriteDeadline`](crate::connection::WriteDeadline), the drivers.
    pub write_timeout: Option<Duration>,
    /// The least rate at which a peer takes output, in bytes per second: the output that waits must be gone within
    /// `write_timeout` plus its length over this rate. Default: 1,024, slower than any network in use, but fast
    /// enough that a peer that takes a byte now and then cannot hold memory for hours. With 0, any progress is
    /// enough.
    pub min_write_rate: u32,
    /// The time for which a server waits for the end of the transport, discarding input, once both sides have
    /// closed or the connection has failed. Default: 1 s. If it closed with input unread, the transport would be
    /// reset and our last frames could be lost.
    pub drain_timeout: Option<Duration>,
    /// The time that a client waits for the server's end of the transport. Default: 5 s. The server is to be the first to close the transport (RFC 6455
    /// section 7.1.1), but a client cannot depend on it.
    pub server_fin_timeout: Option<Duration>,
}

impl Config {
    /// Returns the defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_message_len: 1 << 20,
            max_frame_len: None,
            max_fragments: None,
            max_empty_fragments: 64,
            max_head_len: 16 * 1_024,
            max_line_len: None,
            max_header_fields: 100,
            handshake_timeout: Some(Duration::from_secs(10)),
            idle_timeout: None,
            message_timeout: None,
            keepalive_interval: Some(Duration::from_secs(20)),
            pong_timeout: Some(Duration::from_secs(20)),
            close_timeout: Some(Duration::from_secs(10)),
            close_reply: CloseReply::Echo,
            write_timeout: Some(Duration::from_secs(30)),
            min_write_rate: 1_024,
            drain_timeout: Some(Duration::from_secs(1)),
            server_fin_timeout: Some(Duration::from_secs(5)),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// The answer to the peer's Close (RFC 6455 section 5.5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloseReply {
    /// The endpoint answers at once, with the same code and no reason.
    #[default]
    Echo,
    /// The host answers by [`write_close`](crate::Endpoint::write_close), with a code and a reason of its own. A
    /// proxy, for example, passes on those of its other side.
    ///
    /// The host has [`close_timeout`](Config::close_timeout) for that. The endpoint answers as with
    /// [`Echo`](Self::Echo) if that time passes, the transport ends, or more than 64 KiB come after the Close;
    /// `write_close` is refused from then on. Before the answer, only the rest of a message in progress can be
    /// sent: the peer need not read anything after its Close.
    ByHost,
    /// As [`ByHost`](Self::ByHost), but each side ends only its own direction by its Close, as in TCP: for two ends
    /// that agree on that, such as those of a tunnel.
    ///
    /// After the peer's Close, messages can still be sent (Pings can't) until the host's own
    /// [`write_close`](crate::Endpoint::write_close). After the host's Close, messages are received until the peer's. There is no
    /// `close_timeout` for either. Pings can be answered in neither state, so there is no keepalive:
    /// [`idle_timeout`](Config::idle_timeout) limits the silence of the direction that is left, and
    /// [`write_timeout`](Config::write_timeout) a peer that takes nothing. The end of the transport ends both directions.
    ///
    /// The RFC allows it, since an answer has to come only "as soon as practical", and only frames after one's own Close are
    /// forbidden. A peer that does not know of it answers our Close at once, so that its direction ends too. After its own Close
    /// it drops the messages that we send, and ends the transport when it has waited long enough for our answer.
    HalfClose,
}

/// A time span of whole milliseconds. With its `Option` it takes 4 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Millis(NonZeroU32);

impl Millis {
    /// Creates the span from `duration`, rounded up, at least 1.
    #[inline(never)]
    pub(crate) fn new(duration: Duration) -> Self {
        // `as_nanos` is not used: a division of 128 bits takes kilobytes of code on a small machine.
        let millis = duration.as_secs().saturating_mul(1_000);
        let millis = millis.saturating_add(u64::from(duration.subsec_nanos().div_ceil(1_000_000)));
        let millis = u32::try_from(millis).unwrap_or(u32::MAX);
        Self(NonZeroU32::new(millis).unwrap_or(NonZeroU32::MIN))
    }
}

impl From<Millis> for Duration {
    fn from(millis: Millis) -> Self {
        Self::from_millis(u64::from(millis.0.get()))
    }
}
