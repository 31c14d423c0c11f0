//! Compressed messages: permessage-deflate (RFC 7692), feature `deflate`.
//!
//! ```text
//! opening handshake   Settings of ours + the peer's offer or answer → Parameters, kept by the Endpoint
//! receiving           MessageBuffer inflates what comes compressed, with an Inflater of its own or of yours
//! sending             Endpoint::write_deflated_to(message, &mut deflater, &mut out)
//! ```
//!
//! # Memory
//!
//! Compression is what makes connections big, so it is objects of yours that hold it: an [`Inflater`] takes 48 KiB
//! from its first compressed message on, a [`Deflater`] 140 to 490 KiB by its [`Settings`];
//! [`Settings::deflater_bytes`] and [`INFLATER_BYTES`] tell before, `held_bytes` of each tells at any time. With context
//! takeover each connection needs its own. Without, what lies between two messages is nothing: one of each for all
//! connections of a thread will do, and an idle connection costs what it costs without compression. A client can only ask the
//! server for that: one that does not confirm it takes its context over, and each connection to it keeps an inflater
//! ([`Settings::require_server_parameters`]).
//!
//! # Security
//!
//! Off unless asked for. What is inflated counts against
//! [`max_message_len`](crate::Config::max_message_len) byte by byte as it comes out, in pieces of at most 64 KiB, so
//! that a few bytes can't become gigabytes (1009). It still costs time: measured on one processor, inflating takes up to
//! 1.2 µs for each byte on the wire (1,041 bytes of a pattern that become 1 MiB), echoing that compressed 4.7 µs, where
//! an uncompressed byte takes 0.07 ns; the time is linear in what comes. [`InflateLimits`] bound it further, by a length
//! and a ratio of their own. A secret compressed together with text that an attacker chooses can be
//! guessed from the length (RFC 7692 section 8): send such messages with [`Endpoint::write_to`](crate::Endpoint::write_to),
//! which never compresses.

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
