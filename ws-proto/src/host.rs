//! What an event loop with many connections needs.

mod deadlines;
mod session;

pub use deadlines::Deadlines;
pub use session::{Memory, Reply, Session};
