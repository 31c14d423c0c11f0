//! RFC 6455 as a sans-IO state machine, for both roles: the opening handshake, frames, masking, UTF-8, fragmentation,
//! control frames, closing, limits and timers of a WebSocket connection, without a socket, a clock, a random source or a
//! heap. The host passes in bytes, time and entropy, and takes out events, bytes and deadlines. Any host will do: threads
//! (see the crate `ws-std`), an event loop, an async runtime, io_uring, a microcontroller.
//!
//! # Which layer do you need?
//!
//! | layer | for | what it is |
//! |---|---|---|
//! | [`Connection`] | nearly every host, on a heap or without | one object from the first byte of the opening handshake to the last of the close, with its buffers |
//! | [`host`] (feature `alloc`) | event loops with very many connections | memory that is lent for the time of a read, and the deadlines of all connections |
//! | [`Endpoint`], [`server`], [`client`] | hosts with buffers of their own | the rules of an open connection and of the opening handshake: no buffer, no heap, 256 bytes |
//! | [`frame`], [`mask`], [`utf8`] | codecs, proxies, tests | pure functions and small states |
//!
//! A host's loop: read into [`room`](Connection::room), take what [`next`](Connection::next) returns, write what is
//! [`pending`](Connection::pending), wait no longer than [`poll_timeout`](Connection::poll_timeout). **Begin here:**
//! [`Connection`] shows this loop as a function, and [threads](guide::threads) has a server and a client as whole programs.
//!
//! # The rule for hosts of an endpoint
//!
//! Hosts of a [`Connection`] need not know it. A host of an [`Endpoint`] follows one rule:
//!
//! > After every event, drain [`poll_transmit`](Endpoint::poll_transmit) into your output. When the input is used up,
//! > write. Before you wait, arm [`poll_timeout`](Endpoint::poll_timeout).
//!
//! ```
//! use ws_proto::{Config, Endpoint, Event, Instant, ReceiveError, Server, Transmit};
//! use ws_proto::endpoint::Negotiated;
//!
//! /// Echoes the parts of messages that one read has brought. Write `output` next, also after an error.
//! fn on_bytes(
//!     endpoint: &mut Endpoint<Server>,
//!     now: Instant,
//!     mut input: &mut [u8],
//!     output: &mut Vec<u8>,
//! ) -> Result<(), ReceiveError> {
//!     loop {
//!         let event = endpoint.receive(now, &mut input);
//!         if let Ok(Some(Event::Data(data))) = &event {
//!             endpoint.write_part_to(data.kind(), data.part(), data.as_bytes(), output).ok();
//!         }
//!         while let Some(transmit) = endpoint.poll_transmit() {
//!             match transmit {
//!                 Transmit::Control(frame) => output.extend_from_slice(frame.as_bytes()),
//!                 Transmit::Shutdown => {} // end the socket's output once `output` is written
//!             }
//!         }
//!         if event?.is_none() {
//!             return Ok(()); // the input is used up
//!         }
//!     }
//! }
//!
//! let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
//! let mut output = Vec::new();
//! // "Hi" and a Ping, both masked with a key of zeros.
//! let mut input = *b"\x81\x82\0\0\0\0Hi\x89\x80\0\0\0\0";
//! assert_eq!(on_bytes(&mut endpoint, Instant::ZERO, &mut input, &mut output), Ok(()));
//! assert_eq!(output, b"\x81\x02Hi\x8A\x00");
//! ```
//!
//! # The guide
//!
//! - [Threads](guide::threads): a server and a client on blocking threads, as whole programs.
//! - [Embedding](guide::embedding): the path of a byte, five questions that every host answers, and hosts to copy from.
//! - [Limits](guide::limits): defaults of sizes and timeouts, and the answer to a peer that goes beyond them.
//! - [Memory](guide::memory): the bytes that a connection holds.
//! - [RFCs](guide::rfcs): sections, and the items that implement them.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `std` (default) | implies `alloc`; asks the processor what `simdutf8` and [`mask`] may use |
//! | `simdutf8` (default) | validation of text at SIMD speed |
//! | `alloc` | `Vec<u8>` as memory of a [`Connection`], `Endpoint::write_to` and its like, the module `host` |
//! | `bytes` | `bytes::BytesMut` as memory of a [`Connection`], from which messages are taken out as `Bytes` without a copy; implies `alloc` |
//! | `driver` | the parts of a driver that do no I/O: the module `driver`; implies `std` |
//! | `deflate` | permessage-deflate: the module `deflate`; implies `std` as long as zlib-rs does |
//! | `avx512` | masks payloads of 512 bytes and more in vectors of 64, where the processor has them; implies `std`, needs Rust 1.89 |
//!
//! Without features the crate needs no heap. A feature adds API or speed and never changes behaviour.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::std_instead_of_core, clippy::alloc_instead_of_core, clippy::unwrap_used)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod close;
pub mod config;
pub mod connection;
#[cfg(feature = "deflate")]
pub mod deflate;
#[cfg(feature = "driver")]
pub mod driver;
pub mod endpoint;
pub mod error;
pub mod frame;
#[cfg(doc)]
pub mod guide;
pub mod handshake;
#[cfg(feature = "alloc")]
pub mod host;
pub mod mask;
pub mod message;
pub mod role;
pub mod utf8;

mod event;
mod part;
mod time;

pub use close::CloseCode;
pub use config::Config;
pub use connection::{Connection, MessageBuffer, Next, Pending};
pub use endpoint::{Cause, Closed, Endpoint, State, Transmit};
pub use error::{ReceiveError, SendError};
pub use event::{Control, Event};
pub use handshake::{client, server};
pub use message::{Message, MessageKind, Part};
pub use role::{Client, Entropy, EntropyError, Server};
pub use time::Instant;

/// The program in the README compiles and does what it says.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
