//! WebSocket client and server over blocking `std::net`.

mod accept;
mod clock;
mod connect;
mod entropy;
mod error;
mod incoming;
mod link;
mod opening;
mod outgoing;
mod socket;
mod split;
mod transport;
mod websocket;

use core::time::Duration;

pub use accept::{AcceptError, Acceptor, Answer, Page, accept};
pub use connect::{ConnectError, Connector, Refused, connect};
pub use entropy::OsEntropy;
pub use error::{Error, Result};
pub use link::Side;
pub use outgoing::MessageWriter;
pub use socket::Socket;
pub use split::{Reader, Writer};
pub use transport::{Blocking, Duplex, Transport};
pub use websocket::{ControlPayload, Event, Received, ReceivedPart, Reply, WebSocket};
pub use ws_proto::{
    self as proto, Cause, CloseCode, Closed, Config, Message, MessageKind, Part, Prepared, Server, State,
};

/// The side that opened the connection.
pub type Client = ws_proto::Client<OsEntropy>;

const DEFAULT_WRITE_TIMEOUT: Option<Duration> = Some(Duration::from_secs(30));
