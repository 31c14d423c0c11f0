//! Tools beside [`Connection`](crate::Connection) for event loops with very many connections: memory that is lent, and
//! the deadlines of all.
//!
//! An idle connection without memory is its endpoint and a pointer, 264 bytes for a server. In its turn it is lent memory
//! from a [`Pool`], and reads to a buffer that all share ([`Connection::reading`](crate::Connection::reading)).

mod deadlines;
mod pool;

pub use deadlines::Deadlines;
pub use pool::Pool;
