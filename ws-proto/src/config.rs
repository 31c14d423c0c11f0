//! Limits and timeouts, each with its default and the reason for it.

use core::{num::NonZeroU32, time::Duration};

/// What an endpoint accepts and how long it waits.
///
/// ```
/// let mut config = ws_proto::Config::default();
/// config.max_message_len = 64 << 20;
/// config.idle_timeout = Some(core::time::Duration::from_secs(300));
/// ```
///
/// Timeouts have a resolution of a millisecond and saturate at 49 days.
///
/// A connection holds at most about twice `max_message_len` for receiving, since the storage of a message doubles as
/// its bytes arrive, and what the host lets wait for writing: 64 KiB and one message in this project's drivers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The longest message accepted, in bytes of payload; longer ones fail with 1009 as soon as a header
    /// announces them. 1 MiB: far more than chat, games and tickers send, little enough for thousands of
    /// connections at once.
    pub max_message_len: u64,
    /// The longest frame accepted, in bytes of payload; `None`, the default, is as long as a message.
    pub max_frame_len: Option<u64>,
    /// The most frames a message may come in; more fail with 1008. `None`, the default, allows one for each 64 bytes
    /// of `max_message_len`: smaller fragments cost more to handle than to send. 0 counts as 1.
    pub max_fragments: Option<u32>,
    /// The most frames of a message that may be empty without ending it; more fail with 1008. 64: they
    /// carry nothing, no sender needs many.
    pub max_empty_fragments: u16,
    /// The longest head of a request or a response accepted, in bytes; interim responses count each for itself. 16 KiB:
    /// browsers send 0.5 to 4 kB, most of it cookies, and servers before applications commonly stop at 8 or 16 KiB. A longer
    /// one fails with 431.
    pub max_head_len: usize,
    /// The longest line of a head accepted, in bytes without its end; `None`, the default, is as long as the head: a
    /// single cookie field may be most of it. The target of a request has a limit of its own,
    /// [`MAX_TARGET_LEN`](crate::handshake::MAX_TARGET_LEN). A longer one fails with 431.
    pub max_line_len: Option<usize>,
    /// The most field lines of a head, of which no more than [`MAX_FIELDS`](crate::handshake::MAX_FIELDS) can be allowed.
    /// 100: browsers send 15 to 25, proxies add a few. More fail with 431.
    pub max_header_fields: usize,
    /// How long the whole opening handshake may take, from its first byte awaited to its last. 10 s:
    /// thrice what a bad mobile network needs, and a peer that drips bytes can't prolong it.
    pub handshake_timeout: Option<Duration>,
    /// How long no data frame may pass, in either direction, before the connection is closed with 1001.
    /// Off by default: only the application knows how quiet its users may be.
    ///
    /// Sent frames carry no time; they are seen when the timeout is handled, so that a connection which
    /// only sends is closed between one and two timeouts after its last frame.
    pub idle_timeout: Option<Duration>,
    /// How long a message may take from its first byte to its last; beyond it the connection fails with 1008. Off by
    /// default, since only the application knows how big its messages and how slow its users are. Without it a peer
    /// can hold what it has sent of one message for as long as it answers Pings.
    pub message_timeout: Option<Duration>,
    /// How long nothing may arrive before a Ping is sent. 20 s: proxies commonly end a connection after 30 s
    /// without a byte, other middleboxes after a minute.
    pub keepalive_interval: Option<Duration>,
    /// How long after such a Ping nothing may arrive before the connection fails with 1011. 20 s.
    ///
    /// The wait begins when the Ping has left, if the host tells so by [`Endpoint::written`](crate::Endpoint::written): a peer that
    /// steadily takes what was queued before the Ping is alive.
    pub pong_timeout: Option<Duration>,
    /// How long to wait for the peer's Close after ours. 10 s: the peer may be in the middle of a message.
    ///
    /// The wait begins when our Close has left, as that for a Pong does.
    pub close_timeout: Option<Duration>,
    /// How the peer's Close is answered if it comes before ours. By default the endpoint answers at once.
    pub close_reply: CloseReply,
    /// How long the transport may take none of the output that waits for it. 30 s: a mobile network that has lost
    /// its signal may come back. Observed by what writes: `Output`, [`WriteDeadline`](crate::connection::WriteDeadline), drivers.
    pub write_timeout: Option<Duration>,
    /// The rate, in bytes per second, that a peer has to take output at: what waits must be gone within
    /// `write_timeout` plus its length over this rate. 1,024: slower than any network in use, fast enough that a
    /// peer that takes a byte now and then cannot hold memory for hours. With 0 any progress is enough.
    pub min_write_rate: u32,
    /// How long a server waits for the end of the transport, discarding input, when both sides have closed
    /// or the connection has failed. 1 s: closing with input unread would reset the connection and eat
    /// our last frames.
    pub drain_timeout: Option<Duration>,
    /// How long a client waits for it. 5 s: the server is to be the first to close (RFC 6455 section 7.1.1),
    /// but a client can't depend on it.
    pub server_fin_timeout: Option<Duration>,
}

impl Config {
    /// The defaults.
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

/// How the peer's Close is answered (RFC 6455 section 5.5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloseReply {
    /// The endpoint answers at once, with the same code and no reason.
    #[default]
    Echo,
    /// The host answers by [`write_close`](crate::Endpoint::write_close), with a code and a reason of its own: a proxy, say,
    /// with those that its other side answers with.
    ///
    /// It has [`close_timeout`](Config::close_timeout) for that. The endpoint answers as with [`Echo`](Self::Echo) once
    /// that has passed, when the transport ends, or when more than 64 KiB have come after the Close; then
    /// `write_close` is refused. Until then the rest of a message in progress can be sent, and nothing else: the peer need not
    /// read what follows its Close.
    ByHost,
}

/// A time span of whole milliseconds: 4 bytes with its `Option`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Millis(NonZeroU32);

impl Millis {
    /// `duration` rounded up, at least 1.
    #[inline(never)]
    pub(crate) fn new(duration: Duration) -> Self {
        // Not `as_nanos`: dividing 128 bits takes kilobytes of code on a small machine.
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
