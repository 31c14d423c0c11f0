//! WebSocket (RFC 6455) on tokio, with compression: a thin driver of [`ws_proto`], with the names and the behaviour of ws-std.
//!
//! A server that echoes, in a task per connection:
//!
//! ```no_run
//! # async fn serve() -> std::io::Result<()> {
//! let server = ws_tokio::Server::bind("127.0.0.1:9001").await?;
//! server.run(async |exchange| {
//!     let mut ws = exchange.accept().await?;
//!     while let Some(mut received) = ws.read().await? {
//!         received.reply.queue(received.message).await?;
//!     }
//!     Ok(())
//! }).await
//! # }
//! ```
//!
//! [`Server`] limits the number of connections, survives a lack of file descriptors, and closes all connections
//! when it is [stopped](Handle::stop). A program with an accept loop of its own uses [`accept`](fn@accept) or an [`Acceptor`].
//!
//! A client:
//!
//! ```no_run
//! # async fn talk() -> Result<(), Box<dyn std::error::Error>> {
//! let mut ws = ws_tokio::connect("ws://127.0.0.1:9001/").await?;
//! ws.send("hello").await?;
//! if let Some(received) = ws.read().await? {
//!     println!("{:?}", received.message);
//! }
//! ws.close(ws_tokio::CloseCode::NORMAL, "").await?;
//! # Ok(()) }
//! ```
//!
//! A room, whose members all get what each of them says:
//!
//! ```no_run
//! use tokio::sync::broadcast;
//! use ws_tokio::{OwnedMessage, Server};
//!
//! # async fn serve() -> std::io::Result<()> {
//! let room = broadcast::Sender::<OwnedMessage>::new(64);
//! let server = Server::bind("127.0.0.1:9001").await?;
//! server.run(move |exchange| {
//!     let (room, mut messages) = (room.clone(), room.subscribe());
//!     async move {
//!         let mut ws = exchange.accept().await?;
//!         loop {
//!             tokio::select! {
//!                 // Any future can be dropped: `select!` loses nothing.
//!                 message = ws.read_owned() => match message? {
//!                     Some(message) => drop(room.send(message)),
//!                     None => return Ok(()),
//!                 },
//!                 // A member that is 64 messages late gets an error here: its connection ends without a Close (1006).
//!                 // Choose the capacity of the channel for your bursts.
//!                 message = messages.recv() => ws.send(&message?).await?,
//!             }
//!         }
//!     }
//! }).await
//! # }
//! ```
//!
//! - [Reading](WebSocket::read) does the rest: it answers Pings, probes silent peers and gives up on them, completes
//!   the closing handshake, and ends the stream so that no data is lost.
//! - A connection lends messages from the buffer that they were read into ([`WebSocket::read`]), or hands them out as
//!   `bytes::Bytes` ([`WebSocket::read_owned`], `Stream`). It is a `Sink` too.
//! - Replies to messages are written together, right before `read` waits for the peer.
//! - [`WebSocket::split`] returns two halves for two tasks. Neither waits for the other, and the writing half can be cloned.
//! - Any future can be dropped at any time: no byte is lost and no frame is cut.
//! - Big messages can be [read](WebSocket::read_part) and [written](WebSocket::message_writer) in parts.
//! - A connection can be used as a [stream of bytes](WebSocket::into_byte_stream), for tunnels and multiplexers.
//! - A message to many is [encoded once](Prepared).
//! - Messages can be [compressed](Acceptor::deflate); settings decide how much memory that takes.
//! - An idle connection holds no buffer.
//! - [Counters](WebSocket::counters) and the last round trip can be asked for. With the feature `tracing`, connections report
//!   their frames, states and failures.
//! - With the feature `axum`, handlers of axum receive connections through an extractor, over HTTP/1.1 and HTTP/2.
//! - `wss` by rustls (feature `rustls`, on by default): [`Connector`], [`Server`]. Clients go through proxies, also those
//!   that the environment names.
//! - [`Reconnect`] opens one connection after the other, with the delays of RFC 6455; [`Unconfirmed`] hands back the messages that
//!   may have got lost.
//! - Any other stream carries a connection too: a Unix socket, one that an [HTTP library has upgraded](guide::upgraded).
//!
//! # The guide
//!
//! - [From tokio-tungstenite](guide::from_tokio_tungstenite): names and calls, side by side.
//! - [Back pressure](guide::back_pressure): what waits for whom, memory, fairness.
//! - [Upgraded streams](guide::upgraded): axum, hyper, HTTP/2.
//! - [TLS and proxies](guide::tls): `wss`, roots and certificates of one's own, tunnels.
//! - [Tunnels](guide::tunnels): a connection as a stream of bytes.
//! - [Shutdown](guide::shutdown): the ends of connections and of servers.
//!
//! [`Config`] documents limits and timeouts, with their defaults and the reasons for them. [`Server`], [`Acceptor`] and
//! [`Connector`] have the settings of connections.
//!
//! Some types come from ws-proto, and the examples on their pages use paths such as `ws_proto::Config`. This crate re-exports all
//! of ws-proto as `proto`, so a program needs no dependency on it: there the path is `ws_tokio::proto::Config`.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod agreed;
#[cfg(feature = "axum")]
pub mod axum;
mod byte_stream;
mod clock;
#[cfg(feature = "client")]
mod connect;
mod connections;
#[cfg(feature = "client")]
mod dial;
mod exchange;
#[cfg(doc)]
pub mod guide;
mod incoming;
mod linger;
mod long_frame;
mod memory;
mod message_writer;
mod net_stream;
mod opening;
mod outgoing;
mod output;
#[cfg(feature = "client")]
mod reconnect;
mod remote;
pub mod role;
#[cfg(feature = "client")]
mod route;
mod server;
mod shared;
mod split;
mod stream;
mod sync;
mod timer;
mod tracker;
mod websocket;

pub use accept::{Acceptor, accept};
pub use agreed::Agreed;
pub use byte_stream::ByteStream;
#[cfg(feature = "client")]
pub use connect::{Connector, connect};
pub use exchange::Exchange;
pub use message_writer::MessageWriter;
pub use net_stream::NetStream;
#[cfg(feature = "client")]
pub use reconnect::Reconnect;
#[cfg(feature = "rustls")]
pub use rustls;
pub use server::{Handle, HandlerResult, Server};
pub use split::{Reader, ReuniteError, Writer};
pub use tracker::{Tracked, Tracker};
pub use websocket::{Received, ReceivedPart, Reply, WebSocket};
#[cfg(feature = "deflate")]
pub use ws_proto::deflate;
#[cfg(feature = "client")]
pub use ws_proto::driver::{
    Backoff, ConnectError, KeptMessage, Proxy, ProxyEnvironment, ProxyError, ReconnectError, RedirectError,
    Refused, Target, Unconfirmed,
};
#[cfg(feature = "rustls")]
pub use ws_proto::driver::{ClientTls, ClientTlsBuilder, ServerTls, TlsError};
pub use ws_proto::{
    self as proto, Cause, CloseCode, Closed, Config, Control, Event, Message, MessageKind, Part, ReceiveError,
    SendError, State,
    config::CloseReply,
    driver::{
        AcceptError, Answer, ControlPayload, Counters, Error, Incident, OsEntropy, Page, ReceivedRequest, Result,
        Traffic, TrySendError,
    },
    endpoint::Prepared,
    message::{OwnedMessage, Utf8Bytes},
    server::OriginPolicy,
};

/// Compiles the programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
