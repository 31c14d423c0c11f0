//! WebSocket (RFC 6455) on tokio, with compression: a thin driver of [`ws_proto`].
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod clock;
mod connect;
mod exchange;
mod incoming;
mod linger;
mod memory;
mod message_writer;
mod opening;
mod outgoing;
mod output;
mod remote;
pub mod role;
mod server;
mod shared;
mod split;
mod stream;
mod timer;
mod websocket;

pub use accept::{Acceptor, accept};
pub use connect::{Connector, connect};
pub use exchange::Exchange;
pub use message_writer::MessageWriter;
pub use server::{Handle, HandlerResult, Server};
pub use split::{Reader, ReuniteError, Writer};
pub use websocket::{Received, ReceivedPart, Reply, WebSocket};
#[cfg(feature = "deflate")]
pub use ws_proto::deflate;
pub use ws_proto::{
    self as proto, Cause, CloseCode, Closed, Config, Control, Event, Message, MessageKind, Part, State,
    driver::{
        AcceptError, Answer, ConnectError, ControlPayload, Error, Incident, OsEntropy, Page, ReceivedRequest,
        Refused, Result, TrySendError,
    },
    endpoint::Prepared,
    message::{OwnedMessage, Utf8Bytes},
};

/// Compiles the programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
