//! Tools beside [`Connection`](crate::Connection) for event loops with very many connections: memory that is lent, the
//! deadlines of all connections, and the turn that a connection takes.
//!
//! An idle connection without memory is its endpoint and a pointer, 264 bytes for a server. In its turn it is lent memory
//! from a [`Pool`], and reads into a buffer that all share ([`Connection::reading`](crate::Connection::reading)). `Turns` (feature
//! `std`) does that for streams that implement `std::io::Read` and `Write`.

mod deadlines;
mod pool;
#[cfg(feature = "std")]
mod turns;

pub use deadlines::Deadlines;
pub use pool::Pool;
#[cfg(feature = "std")]
pub use turns::{ReadUntil, Turn, Turns};
