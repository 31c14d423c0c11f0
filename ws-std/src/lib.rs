//! WebSocket (RFC 6455) over blocking `std::net`: a thin driver of [`ws_proto`], for programs that use threads.
//!
//! A server that echoes, on a thread per connection:
//!
//! ```no_run
//! let server = ws_std::Server::bind("127.0.0.1:9001")?;
//! server.run(|exchange| {
//!     let mut ws = exchange.accept()?;
//!     while let Some(mut received) = ws.read()? {
//!         received.reply.queue(received.message)?;
//!     }
//!     Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! [`Server`] limits the number of connections, survives a lack of file descriptors and threads, and closes all
//! connections when it is [stopped](Handle::stop). A program with an accept loop of its own uses [`accept`](fn@accept) or an
//! [`Acceptor`].
//!
//! A client:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut ws = ws_std::connect("ws://127.0.0.1:9001/")?;
//! ws.send("hello")?;
//! if let Some(received) = ws.read()? {
//!     println!("{:?}", received.message);
//! }
//! ws.close(ws_std::CloseCode::NORMAL, "")?;
//! # Ok(()) }
//! ```
//!
//! - [Reading](WebSocket::read) does the rest: it answers Pings, probes silent peers and gives up on them, completes
//!   the closing handshake, and ends the transport so that no data is lost.
//! - Replies to messages are written together, right before `read` waits for the peer.
//! - [`WebSocket::split`] returns two halves for two threads. Neither waits for the other, and the writing half can be
//!   cloned.
//! - Big messages can be [read](WebSocket::read_part) and [written](WebSocket::message_writer) in parts.
//! - A message to many is [encoded once](Prepared).
//! - Messages can be [compressed](Acceptor::deflate); settings decide how much memory that takes.
//! - Timeouts lose no data: a call that returns [`Error::TimedOut`] may be repeated.
//! - A connection has no buffers before its first byte, and frees big ones after use. Output that waits lies in buffers
//!   of a pool, in which the process keeps at most 32 idle ones of up to 160 KiB each.
//! - [Counters](WebSocket::counters) and the last round trip can be asked for. With the feature `tracing`, connections report
//!   their frames, states and failures.
//! - `wss` goes through rustls (feature `rustls`), verified as the platform does it, from two threads at once.
//! - [`Reconnect`] opens one connection after the other, with the delays of RFC 6455; [`Unconfirmed`] hands back the messages that
//!   may have got lost.
//! - Any stream that reads and writes can carry a connection: [`Transport`], [`Blocking`].
//!
//! # The guide
//!
//! - [Proxies](guide::proxies): a server behind nginx or haproxy, a client that has to go through one.
//! - [TLS](guide::tls): `wss`, own roots, certificates of clients, two threads.
//! - [Compression](guide::compression): profiles and costs.
//! - [Shutdown](guide::shutdown): the ends of connections and of servers.
//! - [Limits](guide::limits): defaults, and the answer to a peer that exceeds them.
//!
//! [`Config`] documents limits and timeouts, with their defaults and the reasons for them. [`Server`], [`Acceptor`] and
//! [`Connector`] have the settings of connections.
//!
//! Some types come from ws-proto, and the examples on their pages use paths such as `ws_proto::Config`. This crate re-exports all
//! of ws-proto as `proto`, so a program needs no dependency on it: there the path is `ws_std::proto::Config`.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod buffers;
mod clock;
#[cfg(feature = "client")]
mod connect;
#[cfg(feature = "client")]
mod dial;
mod exchange;
#[cfg(doc)]
pub mod guide;
mod incoming;
mod linger;
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
mod socket;
mod split;
mod sync;
#[cfg(feature = "rustls")]
mod tls;
mod transport;
mod websocket;

pub use accept::{Acceptor, accept};
#[cfg(shuttle)]
pub use clock::virtual_time::advance_to;
#[cfg(feature = "client")]
pub use connect::{Connector, connect};
pub use exchange::Exchange;
pub use message_writer::MessageWriter;
pub use net_stream::NetStream;
#[cfg(feature = "client")]
pub use reconnect::{Reconnect, ReconnectHandle};
#[cfg(feature = "rustls")]
pub use rustls;
pub use server::{Handle, HandlerResult, Server};
pub use socket::Socket;
pub use split::{Reader, ReuniteError, Writer};
#[cfg(feature = "rustls")]
pub use tls::TlsStream;
pub use transport::{Blocking, Duplex, Transport};
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
    server::OriginPolicy,
};

use role::Role;

/// Compiles the programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
