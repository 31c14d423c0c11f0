use core::{fmt, num::NonZeroU32};

/// The settings of compression on this side.
///
/// [`small`](Self::small) is for many connections, [`balanced`](Self::balanced) for small messages that resemble each other, such
/// as JSON, and [`best_ratio`](Self::best_ratio) for few connections over slow networks. Set fields of the one that you choose:
///
/// ```
/// use ws_proto::deflate::{Settings, WindowBits};
///
/// let mut settings = Settings::small();
/// settings.threshold = 512;
/// settings.server_max_window_bits = WindowBits::new(11).unwrap();
/// assert!(settings.deflater_bytes(ws_proto::role::Side::Server) < 200 * 1024);
/// ```
///
/// ws-std and ws-tokio re-export this module, as `ws_std::deflate` and `ws_tokio::deflate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Compresses each message of the server by itself (RFC 7692 section 7.1.1.1). A client asks the server for
    /// it.
    pub server_no_context_takeover: bool,
    /// Compresses each message of the client by itself (RFC 7692 section 7.1.1.2).
    pub client_no_context_takeover: bool,
    /// The window of the server's compressor (RFC 7692 section 7.1.2.1). A server keeps to it, and announces it to
    /// clients that ask. A client asks for it only with
    /// [`require_server_parameters`](Self::require_server_parameters): its inflater has the greatest window in any
    /// case, and some servers answer 400 to clients that ask (nhooyr 1.8.7).
    pub server_max_window_bits: WindowBits,
    /// The window of the client's compressor (RFC 7692 section 7.1.2.2).
    pub client_max_window_bits: WindowBits,
    /// Makes a client ask for [`server_max_window_bits`](Self::server_max_window_bits) too, and fail if the server
    /// does not confirm its demands.
    ///
    /// Default: `false`, in all profiles. A second offer without demands is then sent, for the many servers that
    /// cannot meet them (gorilla, Tornado, Mojolicious, nhooyr). If the server takes its context over, each
    /// connection keeps an inflater of its own.
    pub require_server_parameters: bool,
    /// The effort, from 1 (fast) to 9 (small). 0 does not compress.
    pub level: u8,
    /// The length of the blocks that a compressor makes, from 1 (128 symbols) to 9 (32,768): each level doubles it. A symbol is a byte
    /// or a repetition, and takes 7 bytes of memory. A message that is shorter than a block does not become smaller with a
    /// higher level: for messages of 1 KiB level 4 is enough.
    pub memory_level: u8,
    /// The length from which messages are compressed, in bytes of payload.
    pub threshold: usize,
    /// The limits of received compressed messages.
    pub inflate: InflateLimits,
}

/// The limits of a received compressed message, in addition to
/// [`max_message_len`](crate::Config::max_message_len), which counts inflated bytes too.
///
/// 1 KiB on the wire can become 1 MiB, which takes a millisecond of processor time. Texts seldom shrink to less
/// than a twentieth, so lower limits suit applications that expect text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InflateLimits {
    /// The longest message, in inflated bytes; a longer one fails with 1009. Default: `None`, as for any other
    /// message.
    pub max_len: Option<u64>,
    /// The greatest number of inflated bytes for each byte on the wire. A message that exceeds it at any point
    /// after its first [`RATIO_FROM`](Self::RATIO_FROM) inflated bytes fails with 1008. Default: `None`, no limit;
    /// RFC 1951 allows about 1,030.
    pub max_ratio: Option<NonZeroU32>,
}

impl InflateLimits {
    /// The inflated length up to which the ratio is not checked, in bytes: some JSON is all spaces.
    pub const RATIO_FROM: u64 = 64 * 1024;

    /// Creates limits that add nothing to the length of any message.
    #[must_use]
    pub const fn new() -> Self {
        Self { max_len: None, max_ratio: None }
    }
}

impl Settings {
    /// Returns settings for little memory: no context takeover, so that one compressor serves any number of
    /// connections, a window of 1 KiB, the lowest level.
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

    /// Returns settings for small messages that resemble each other: each connection remembers 4 KiB of the sent
    /// and of the received bytes.
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

    /// Returns settings for the smallest messages, at the greatest cost.
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
    /// 15, a window of 32 KiB: the default of the RFC.
    pub const MAX: Self = Self(15);
    /// 8, a window of 256 bytes. The compressor cannot keep to it; a peer that demands it gets uncompressed
    /// messages.
    pub const MIN: Self = Self(8);

    /// Returns a window of 2 to the power of `bits` bytes, or `None` if `bits` is not 8 to 15.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= Self::MIN.0 && bits <= Self::MAX.0 { Some(Self(bits)) } else { None }
    }

    /// Returns the logarithm.
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
