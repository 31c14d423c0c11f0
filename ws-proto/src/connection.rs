//! Whole messages in, bytes out: the buffers around an [`Endpoint`](crate::Endpoint).

mod message_buffer;
#[cfg(feature = "alloc")]
mod output;
mod retention;
mod storage;
mod write_deadline;

pub use message_buffer::MessageBuffer;
#[cfg(feature = "alloc")]
pub use output::{Output, Pending};
pub use retention::Retention;
pub use storage::Storage;
pub use write_deadline::WriteDeadline;
