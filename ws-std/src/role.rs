//! The two sides of a connection, as types.

pub use ws_proto::Server;

use crate::OsEntropy;
pub use crate::link::Role;

/// The side that opened the connection.
pub type Client = ws_proto::Client<OsEntropy>;
