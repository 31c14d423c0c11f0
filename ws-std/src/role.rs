//! The two sides of a connection as types.

pub use ws_proto::Server;
pub use ws_proto::driver::Client;
use ws_proto::{Endpoint, Message, SendError, driver::Observer, frame::Frame};

/// A role that this crate drives: [`Client`] or [`Server`].
pub trait Role: ws_proto::role::Role + Send + Sized {
    /// Frames a message in the caller's memory. `None`: this side masks, so it has to copy the payload.
    #[doc(hidden)]
    fn send_shared<'p>(
        endpoint: &mut Endpoint<Self, Observer>,
        message: Message<'p>,
    ) -> Option<Result<Frame<'p>, SendError>>;
}

impl Role for Server {
    fn send_shared<'p>(
        endpoint: &mut Endpoint<Self, Observer>,
        message: Message<'p>,
    ) -> Option<Result<Frame<'p>, SendError>> {
        Some(endpoint.send_shared(message))
    }
}

impl Role for Client {
    fn send_shared<'p>(_: &mut Endpoint<Self, Observer>, _: Message<'p>) -> Option<Result<Frame<'p>, SendError>> {
        None
    }
}
