use core::{fmt, num::NonZeroU32};

/// What this side wants of compression.
///
/// ```
/// use ws_proto::deflate::{Settings, WindowBits};
///
/// let mut settings = Settings::small();
/// settings.threshold = 512;
/// settings.server_max_window_bits = WindowBits::new(11).unwrap();
/// assert!(settings.deflater_bytes(ws_proto::role::Side::Server) < 200 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Each message of the server's is compressed by itself (RFC 7692 section 7.1.1.1). A client asks the server for it.
    pub server_no_context_takeover: bool,
    /// Each message of the client's is compressed by itself (RFC 7692 section 7.1.1.2).
    pub client_no_context_takeover: bool,
    /// How far back the server's compressor may look (RFC 7692 section 7.1.2.1). A server keeps to it, and says so to clients that
    /// ask. A client asks for it only with [`require_server_parameters`](Self::require_server_parameters): its inflater has the
    /// biggest window in any case, and some servers answer 400 to whoever asks (nhooyr 1.8.7).
    pub server_max_window_bits: WindowBits,
    /// How far back the client's compressor may look (RFC 7692 section 7.1.2.2).
    pub client_max_window_bits: WindowBits,
    /// Whether a client asks for [`server_max_window_bits`](Self::server_max_window_bits) too, and fails if the server does not
    /// confirm what is asked of it.
    ///
    /// `false`, as in all profiles: a second offer asks for nothing, and is taken by the many servers that can't be asked
    /// (gorilla, Tornado, Mojolicious, nhooyr). Where the server takes its context over, each connection keeps an inflater of its own.
    pub require_server_parameters: bool,
    /// How hard to compress: from 1, fast, to 9, small. 0 does not compress at all.
    pub level: u8,
    /// How much memory to use for speed and ratio, from 1 to 9.
    pub memory_level: u8,
    /// Shorter messages are sent as they are, in bytes of payload.
    pub threshold: usize,
    /// Limits of compressed messages that are received.
    pub inflate: InflateLimits,
}

/// Limits of a compressed message that is received, besides [`max_message_len`](crate::Config::max_message_len), which
/// counts inflated bytes too.
///
/// A peer that sends 1 KiB can have 1 MiB inflated: a millisecond of processor time for a packet. Whoever expects texts,
/// which seldom shrink to less than a twentieth, can do with less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InflateLimits {
    /// The longest message, in bytes inflated; a longer one fails with 1009. `None`, the default: as any other message.
    pub max_len: Option<u64>,
    /// How many bytes a message may become for each byte on the wire that has come; one that becomes more, at any
    /// point after its first [`RATIO_FROM`](Self::RATIO_FROM), fails with 1008. `None`, the default: any number, which RFC 1951
    /// bounds to about 1,030.
    pub max_ratio: Option<NonZeroU32>,
}

impl InflateLimits {
    /// A message may become this long whatever its ratio, in bytes: some JSON is all spaces.
    pub const RATIO_FROM: u64 = 64 * 1024;

    /// Limits nothing besides the length of any message.
    #[must_use]
    pub const fn new() -> Self {
        Self { max_len: None, max_ratio: None }
    }
}

impl Settings {
    /// Nothing is kept between messages, so that one compressor serves any number of connections; window of
    /// 1 KiB, little memory.
    #[must_use]
    pub const fn small() -> Self {
        Self {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: WindowBits(10),
            client_max_window_bits: WindowBits(10),
            require_server_parameters: false,
            level: 1,
            memory_level: 1,
            threshold: 128,
            inflate: InflateLimits::new(),
        }
    }

    /// Each connection keeps what it has sent and received, 4 KiB each way: small messages that resemble each
    /// other compress well.
    #[must_use]
    pub const fn balanced() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: WindowBits(12),
            client_max_window_bits: WindowBits(12),
            require_server_parameters: false,
            level: 5,
            memory_level: 5,
            threshold: 32,
            inflate: InflateLimits::new(),
        }
    }

    /// As small as can be, whatever it costs.
    #[must_use]
    pub const fn best_ratio() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: WindowBits::MAX,
            client_max_window_bits: WindowBits::MAX,
            require_server_parameters: false,
            level: 9,
            memory_level: 9,
            threshold: 0,
            inflate: InflateLimits::new(),
        }
    }
}

/// The base-2 logarithm of a window, from 8 (256 bytes) to 15 (32 KiB).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 15: 32 KiB, what holds if nothing is said.
    pub const MAX: Self = Self(15);
    /// 8: 256 bytes. The compressor here can't do with so little; it sends such a peer nothing compressed.
    pub const MIN: Self = Self(8);

    /// A window of 2 to the power of `bits` bytes, if that is one.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= Self::MIN.0 && bits <= Self::MAX.0 { Some(Self(bits)) } else { None }
    }

    /// The logarithm.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Debug for WindowBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
