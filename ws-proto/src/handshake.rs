//! The opening handshake (RFC 6455 sections 4 and 11.3), for both roles, without a heap.
//!
//! ```text
//! bytes received
//!   → poll_head        the length of the head; each byte is examined once.
//!                      The bytes after the head belong to frames: the host keeps them
//!   → parse, answer    a view of the head
//!   → accept, open     the Endpoint; the values that this needs are small and outlive the head
//! ```
//!
//! The host keeps all received bytes, from the first on, in a buffer of its own; no bytes are kept here. For a
//! request, a buffer of [`max_head_len`](crate::Config::max_head_len) bytes is always enough. A response may come
//! after [`MAX_INTERIM_RESPONSES`] others, each as long as that. A host may choose a smaller buffer; when it is
//! full, the error is [`HandshakeError::HeadTooLong`].
//!
//! Before it interprets a head, this module refuses every byte that two HTTP implementations could read
//! differently: CR or LF alone, NUL and other controls, folded lines, space before a colon, more than one empty
//! line before a request. Parsing a head takes [`MAX_FIELDS`] field references on the stack: 4 KiB where pointers
//! have 64 bits, 2 KiB where they have 32.

mod authority;
#[cfg(feature = "deflate")]
mod compression;
mod error;
mod extension;
mod field;
mod foreign;
mod head;
mod head_wait;
mod key;
mod mismatch;
mod origin;
mod target;
mod write;

pub mod client;
pub mod server;

#[cfg(feature = "driver")]
#[cfg(feature = "client")]
pub(crate) use authority::{is_name_below, is_same_name};
pub use error::{HandshakeError, SingleField, WriteError};
pub use extension::{Extension, Parameters, Value};
pub use field::Fields;
pub use foreign::LooksLike;
#[cfg(feature = "alloc")]
pub(crate) use write::append;

/// The longest request target accepted, in bytes: the least that RFC 9112 section 3 recommends supporting.
pub const MAX_TARGET_LEN: usize = 8_000;
/// The upper bound of [`max_header_fields`](crate::Config::max_header_fields): the parser notes the place of each
/// field line on the stack.
pub const MAX_FIELDS: usize = 128;
/// The greatest number of interim (1xx) responses before the final one. Real servers send one or two.
pub const MAX_INTERIM_RESPONSES: usize = 8;
