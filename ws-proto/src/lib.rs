//! RFC 6455 as a sans-IO state machine: the opening handshake, frames, masking, UTF-8, fragmentation, control
//! frames, closing, limits and timers of a WebSocket connection, for both roles, without a socket, a clock,
//! a random source or a heap. Bytes, time and entropy are handed in; events, bytes and deadlines come out.
//! What reads and writes is up to the host: threads (see the crate `ws-std`), an event loop, an async
//! runtime, io_uring, a microcontroller.
//!
//! # What a byte passes through
//!
//! ```text
//! socket.read(&mut buffer)                       the host's buffer
//!   └─ Endpoint::receive(now, &mut input)        takes bytes from the front of input
//!        ├─ frame::Decoder                       header; one that a read cuts is kept (≤ 14 bytes)
//!        ├─ may it come now? within the limits?  decided from the header alone
//!        └─ mask, UTF-8                          in place, as far as the payload has come
//!   ⇒ Event                                      payload lent from the host's buffer: no copy
//!
//! Endpoint::write(message, &mut out)             header, payload copied and masked in one pass
//! Endpoint::send(kind, part, &mut payload)       header and payload as two slices: no copy
//! Endpoint::poll_transmit()                      what the protocol owes: Pong, Ping, Close, Shutdown
//!   └─ socket.write(&out)
//! ```
//!
//! [`MessageBuffer`] puts whole messages together where they were read to, `Output` (feature `alloc`) keeps what a
//! write could not take; hosts that stream big messages use
//! [`Endpoint::receive`] itself.
//!
//! # The one law
//!
//! > After every event, drain [`poll_transmit`](Endpoint::poll_transmit) into your output. When the input is
//! > used up, write. Before you wait, arm [`poll_timeout`](Endpoint::poll_timeout).
//!
//! On an error: drain, write, then return it, so that the Close that tells the peer why is not lost. When
//! [`state`](Endpoint::state) is [`Closed`](State::Closed), write what is left and drop the transport.
//!
//! ```
//! use ws_proto::{Config, Endpoint, Event, Instant, Negotiated, ReceiveError, Server, State, Transmit};
//!
//! /// Handles what one read has brought; `false` ends the connection.
//! fn on_bytes(
//!     endpoint: &mut Endpoint<Server>,
//!     now: Instant,
//!     mut input: &mut [u8],
//!     output: &mut Vec<u8>,
//! ) -> Result<bool, ReceiveError> {
//!     let result = loop {
//!         let event = endpoint.receive(now, &mut input);
//!         if let Ok(Some(Event::Data(data))) = &event {
//!             // The echo of a part: whole messages are `MessageBuffer`'s business.
//!             endpoint.write_part_to(data.kind(), data.part(), data.as_bytes(), output).ok();
//!         }
//!         while let Some(transmit) = endpoint.poll_transmit() {
//!             match transmit {
//!                 Transmit::Control(frame) => output.extend_from_slice(frame.as_bytes()),
//!                 Transmit::Shutdown => {} // half-close the socket once `output` is written
//!             }
//!         }
//!         match event {
//!             Ok(Some(_)) => {}
//!             Ok(None) => break Ok(()), // all of the input is used up
//!             Err(error) => break Err(error),
//!         }
//!     };
//!     // Now: socket.write(output). Then wait for input, but no longer than endpoint.poll_timeout(),
//!     // at which endpoint.handle_timeout(now) is called and the endpoint drained as above.
//!     result.map(|()| !matches!(endpoint.state(), State::Closed(_)))
//! }
//!
//! let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
//! let mut output = Vec::new();
//! // "Hi" and a Ping, both masked with a key of zeros.
//! let mut input = *b"\x81\x82\0\0\0\0Hi\x89\x80\0\0\0\0";
//! assert_eq!(on_bytes(&mut endpoint, Instant::ZERO, &mut input, &mut output), Ok(true));
//! assert_eq!(output, b"\x81\x02Hi\x8A\x00");
//! ```
//!
//! # Embedding
//!
//! Every host is the same loop: read, take events and drain after each, write, wait no longer than the next
//! deadline. What differs is the answer to five questions.
//!
//! **Which buffer is read to?** A connection's own: [`MessageBuffer::unfilled`], [`filled`](MessageBuffer::filled),
//! [`next`](MessageBuffer::next); messages are lent from where they were read to. One for all connections of a
//! thread: [`unfilled_or`](MessageBuffer::unfilled_or), [`filled_or`](MessageBuffer::filled_or),
//! [`next_in`](MessageBuffer::next_in); then a connection keeps a `MessageBuffer` only while it
//! [is not empty](MessageBuffer::is_empty), and an idle one costs its `Endpoint`. Any other, owned by an operation
//! of the kernel or static: hand it to [`Endpoint::receive`] or `next_in`. What goes out is written to a slice of
//! yours, or gathers in an `Output` (feature `alloc`), which knows what a write that was cut short or cancelled has
//! left.
//!
//! **Which clock?** Any that is monotonic: an [`Instant`] counts from an epoch of yours and is made of a
//! [`Duration`](core::time::Duration). Give the time of the read to all that it brought. There is one number to wait
//! for, [`poll_timeout`](Endpoint::poll_timeout); it moves to later with every read, so that an event loop need not
//! move its timer each time: arm it for the first deadline, and when it fires ask again; `Deadlines` (feature `alloc`)
//! does that for many connections. Read what has arrived before [`handle_timeout`](Endpoint::handle_timeout), or a
//! busy moment of the host's counts against the peer.
//!
//! **Which entropy?** Servers need none. Clients need masking keys that no script can predict (RFC 6455 section
//! 10.3): implement [`Entropy`] with the operating system's source, `crypto.getRandomValues`, or a hardware
//! generator; it is asked for 64 bytes at a time. The nonce of [`client::Handshake`] comes from there too.
//!
//! **How slow may a peer be?** A peer that steadily takes a long reply is alive, though its Pong has to wait until it has
//! reached the Ping; a peer that takes a byte now and then holds memory for ever. Tell what each write has taken, also if that
//! is nothing: by `Output::written` (feature `alloc`), or by [`WriteDeadline::written`] and [`Endpoint::written`] if output is kept elsewhere. Drop
//! the transport when the time for output has passed.
//!
//! **How does it close?** A read of zero bytes is [`receive_eof`](Endpoint::receive_eof). When
//! [`Transmit::Shutdown`] comes, half-close the transport behind the output, and go on reading, so that the peer
//! can still read our last words; [`State::Closed`] is the moment to drop it. The application need not wait so long:
//! [`closed`](Endpoint::closed) tells the end as soon as it is certain. A connection that was refused ends
//! the same way with [`Endpoint::refused`]. A server that stops sends 1001 with
//! [`write_close`](Endpoint::write_close) and goes on as before.
//!
//! A server on a heap need not put these together: a `Session` (feature `alloc`) is a connection from the first byte of
//! its request to the last of the close, and says what it needs lent and when it wants to be woken.
//!
//! The hosts in `tests/hosts/examples` of the repository are programs to copy from:
//!
//! | host | buffer | output | clock |
//! |---|---|---|---|
//! | `mio_echo` | one for all connections of a thread | lent, kept while unfinished | `Deadlines` |
//! | `io_uring_echo` | the kernel's choice of a group | taken out, owned by the operation | `timeout_at` |
//! | `tokio_echo`, `tokio_client`, `axum_upgrade` | the connection's own | shared by two tasks | `sleep_until` |
//! | `h2_connect` | the frames of HTTP/2 | flow-controlled `Bytes` | `sleep_until` |
//! | `embedded_io` | `&mut [u8]`, messages in parts | `&mut [u8]` | a counter |
//! | `tests/bare-metal` | static, no heap | static | the board's timer |
//! | `tests/wasm` | linear memory | linear memory | `performance.now()` |
//! | the crate `ws-std` | the connection's own | shared by threads | a deadline for each call |
//!
//! # Where to look
//!
//! | RFC 6455 | here |
//! |---|---|
//! | 4: opening handshake | [`server`], [`client`]; fields for and from another HTTP stack, HTTP/2 included: [`server::negotiate`], [`client::Offer`] |
//! | 5.1–5.4: frames, fragmentation | [`Endpoint`], [`MessageBuffer`]; alone: [`frame`] |
//! | 5.3: masking | [`mask`], [`Entropy`] |
//! | 5.5: control frames | [`Endpoint::poll_transmit`], [`write_ping`](Endpoint::write_ping), [`write_pong`](Endpoint::write_pong) |
//! | 6: sending and receiving | [`Endpoint::write`], [`Endpoint::send`], [`Endpoint::receive`], [`Prepared`] |
//! | 7: closing | [`write_close`](Endpoint::write_close), [`fail`](Endpoint::fail), [`State`], [`CloseCode`] |
//! | 8.1: UTF-8 | [`utf8`] |
//! | 9.1: extensions | [`server::Request::extensions`]; RFC 7692: the module `deflate` |
//! | 10: security | [`Config`], [`server::OriginPolicy`] |
//!
//! # Memory
//!
//! An [`Endpoint<Server>`] is 256 bytes and owns nothing else; a client's is bigger by 64 bytes of masking keys and
//! its source of entropy. Nothing a peer sends makes it allocate. A [`MessageBuffer`] on a `Vec` holds at most
//! twice the bytes that have arrived of the message in progress, or 64 KiB if that is more; as long as big messages
//! follow one another, what they needed ([`Retention`]), until [`MessageBuffer::release`].
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `std` (default) | implies `alloc`; asks the processor what `simdutf8` and [`mask`] may use |
//! | `simdutf8` (default) | validation of text at SIMD speed |
//! | `alloc` | `Vec<u8>` as storage of a [`MessageBuffer`], `Endpoint::write_to` and its like, `Output`, `server::Opening`, `Session`, `Deadlines` |
//! | `deflate` | permessage-deflate: the module `deflate`; implies `std` as long as zlib-rs does |
//! | `avx512` | masks payloads of 512 bytes and more in vectors of 64, where the processor has them; implies `std`, needs Rust 1.89 |
//!
//! Without features the crate needs no heap. A feature adds API or speed and never changes behaviour.
#![no_std]
#![warn(clippy::std_instead_of_core, clippy::alloc_instead_of_core, clippy::unwrap_used)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(feature = "deflate")]
pub mod deflate;
pub mod frame;
#[cfg(all(feature = "alloc", any(test, fuzzing)))]
#[doc(hidden)]
pub mod fuzz;
pub mod handshake;
pub mod mask;
pub mod utf8;

mod close;
mod config;
pub mod connection;
mod endpoint;
mod error;
mod event;
#[cfg(feature = "alloc")]
mod host;
mod message;
mod role;
mod time;

pub use close::{CloseCode, MAX_REASON_LEN};
pub use config::{CloseReply, Config};
pub use connection::{
    Connection, FixedQueue, MessageBuffer, Next, Output, Pending, Retention, Storage, WriteDeadline,
};
pub use endpoint::{Cause, Closed, ControlFrame, Endpoint, Negotiated, Prepared, State, Trace, Transmit};
pub use error::{Fault, ReceiveError, ReceiveErrorKind, SendError};
pub use event::{Control, Event};
pub use handshake::{HandshakeError, client, server};
#[cfg(feature = "alloc")]
pub use host::{Deadlines, Memory, Reply, Session};
pub use message::{Data, Message, MessageKind, Part};
pub use role::{Client, Entropy, EntropyError, Role, Server, Side};
pub use time::Instant;
