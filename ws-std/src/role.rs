//! The two sides of a connection, as types.

pub use ws_proto::Server;
use ws_proto::{Endpoint, Message, SendError, frame::Frame};

use crate::OsEntropy;

/// The side that opened the connection.
pub type Client = ws_proto::Client<OsEntropy>;

/// A role as this crate drives it.
pub trait Role: ws_proto::role::Role + Send + Sized {
    /// Frames a message where it lies, if this side needs not mask it.
    #[doc(hidden)]
    fn send_shared<'p>(
        endpoint: &mut Endpoint<Self>,
        message: Message<'p>,
    ) -> Option<Result<Frame<'p>, SendError>>;
}

impl Role for Server {
    fn send_shared<'p>(
        endpoint: &mut Endpoint<Self>,
        message: Message<'p>,
    ) -> Option<Result<Frame<'p>, SendError>> {
        Some(endpoint.send_shared(message))
    }
}

impl Role for Client {
    fn send_shared<'p>(_: &mut Endpoint<Self>, _: Message<'p>) -> Option<Result<Frame<'p>, SendError>> {
        None
    }
}
