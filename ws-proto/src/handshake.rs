//! The opening handshake (RFC 6455 sections 4 and 11.3), for both roles, without a heap.
//!
//! ```text
//! bytes received
//!   → poll_head        the length of the head; each byte is looked at once.
//!                      What follows the head are the first bytes of frames: the host keeps them
//!   → parse, answer    a view of the head
//!   → accept, open     the Endpoint; the parts that this takes are small and outlive the head
//! ```
//!
//! The host keeps all bytes from the first on in a buffer of its own; nothing here holds any. A buffer of
//! [`MAX_HEAD_LEN`] bytes is always enough, a smaller one is the host's choice (when it is full, the error is
//! [`HandshakeError::HeadTooLong`]).
//!
//! Before it looks at the meaning of a head, this module refuses every byte that two HTTP implementations could
//! read differently: CR or LF alone, NUL and other controls, folded lines, space before a colon, more than one
//! empty line before a request. Parsing a head takes [`MAX_FIELDS`] field references of stack for a moment:
//! 3.2 kB where pointers have 64 bits, 1.6 kB where they have 32.

mod authority;
mod error;
mod extension;
mod field;
mod head;
mod key;
mod origin;
mod progress;
mod target;
mod write;

pub mod client;
pub mod server;

pub use error::{HandshakeError, WriteError};
#[cfg(all(test, feature = "deflate"))]
pub(crate) use extension::extensions_of;
pub use extension::{Extension, Parameters, Value};
pub use field::Fields;

/// The longest head accepted, 16 KiB; of a response with all interim responses before it. Browsers send
/// 0.5–4 kB, most of it cookies, and servers in front of applications commonly stop at 8 or 16 KiB.
pub const MAX_HEAD_LEN: usize = 16_384;
/// The longest line of a head, without its end: 8 KiB, room for the longest request target and for a
/// cookie field as long as most servers take.
pub const MAX_LINE_LEN: usize = 8_192;
/// The longest request target accepted: what RFC 9112 section 3 recommends to support at least.
pub const MAX_TARGET_LEN: usize = 8_000;
/// The most field lines in a head: browsers send 15–25.
pub const MAX_FIELDS: usize = 100;
/// The most interim (1xx) responses before the final one: real servers send one or two.
pub const MAX_INTERIM_RESPONSES: usize = 8;
