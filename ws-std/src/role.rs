//! The two sides of a connection as types.

pub use ws_proto::{Server, driver::Client, role::Role};
