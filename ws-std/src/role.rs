//! The two sides of a connection as types.

pub use ws_proto::Server;
use ws_proto::{Endpoint, Message, SendError, frame::Frame};

use crate::OsEntropy;

/// The side that opens the connection. Its masking keys come from the operating system.
pub type Client = ws_proto::Client<OsEntropy>;

/// A role that this crate drives: [`Client`] or [`Server`].
pub trait Role: ws_proto::role::Role + Send + Sized {
    /// Frames a message in the caller's memory. `None`: this side masks, so it has to copy the payload.
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
