//! Compressed messages: permessage-deflate (RFC 7692), feature `deflate`.
//!
//! With ws-std and ws-tokio, [`Settings`] for their `Acceptor` and `Connector` are all that is needed. Other hosts have these
//! parts:
//!
//! ```text
//! opening handshake   our Settings and the peer's offer or answer → Parameters, kept by the Endpoint
//! receiving           MessageBuffer inflates compressed messages, with an Inflater of its own or of yours
//! sending             Endpoint::write_deflated_to(message, &mut deflater, &mut out)
//! ```
//!
//! # Memory
//!
//! Compression takes most of the memory of a connection, so objects of yours hold that memory. An [`Inflater`]
//! takes 48 KiB from its first compressed message on, a [`Deflater`] 140 to 490 KiB by its [`Settings`].
//! [`Settings::deflater_bytes`] and [`INFLATER_BYTES`] are known in advance; `held_bytes` of each object returns
//! its present size.
//!
//! With context takeover, each connection needs its own objects. Without it, an object remembers nothing between
//! two messages: one of each serves all connections of a thread, and an idle connection costs the same as without
//! compression. A client can only ask for this. If the server does not confirm it, the server takes its context
//! over, and each connection to it keeps an inflater ([`Settings::require_server_parameters`]).
//!
//! # Security
//!
//! Compression is off by default.
//!
//! Inflated bytes count against [`max_message_len`](crate::Config::max_message_len) as they come out, in pieces of
//! at most 64 KiB, so a few bytes cannot become gigabytes (1009). [`InflateLimits`] add a length and a ratio.
//!
//! Inflating costs time, linear in the bytes received. Measured on one processor, it takes up to 1.2 µs for each
//! byte on the wire (1,041 bytes of a pattern that become 1 MiB), and 4.7 µs if the message is also echoed
//! compressed. An uncompressed byte takes 0.07 ns.
//!
//! A secret that is compressed together with text of an attacker's choice can be guessed from the length (RFC 7692
//! section 8). Send such messages with [`Endpoint::write_to`](crate::Endpoint::write_to), which never compresses. ws-std and
//! ws-tokio compress all messages of a connection that are long enough. Do not enable compression there for connections that carry
//! both, or let the server send such messages by [`Prepared::new`](crate::endpoint::Prepared::new), which never compresses.

mod deflater;
mod inflater;
mod parameters;
mod settings;

pub use deflater::Deflater;
pub(crate) use inflater::Use;
pub use inflater::{INFLATER_BYTES, Inflater};
pub use parameters::Parameters;
pub(crate) use parameters::{Direction, NAME};
pub use settings::{InflateLimits, Settings, WindowBits};
