//! The client's side of the opening handshake (RFC 6455 section 4.1).
//!
//! ```
//! use ws_proto::{Client, Config, Endpoint, Entropy, Instant};
//! use ws_proto::client::{Answer, Handshake, Request};
//!
//! /// A stand-in for a transport.
//! # struct Socket(Vec<&'static [u8]>, Vec<u8>);
//! # impl Socket {
//! #     fn read(&mut self, buf: &mut [u8]) -> usize {
//! #         let bytes = self.0.remove(0);
//! #         buf[..bytes.len()].copy_from_slice(bytes);
//! #         bytes.len()
//! #     }
//! #     fn write(&mut self, bytes: &[u8]) { self.1.extend_from_slice(bytes); }
//! # }
//! # fn now() -> Instant { Instant::ZERO }
//! fn open<E: Entropy>(
//!     socket: &mut Socket, nonce: [u8; 16], entropy: E, config: &Config,
//! ) -> Result<Endpoint<Client<E>>, Box<dyn std::error::Error>> {
//!     let request = Request::new("example.com", "/chat").subprotocols(&["chat.v2", "chat.v1"]);
//!     let mut handshake = Handshake::new(request, nonce, now(), config)?;
//!     let mut buf = [0; 4096];
//!     let len = handshake.write_request(&mut buf)?;
//!     socket.write(&buf[..len]);
//!
//!     let mut received = 0;
//!     let head_len = loop {
//!         // A driver waits no longer than `handshake.poll_timeout()`, and gives up when the buffer is full.
//!         match handshake.poll_head(now(), &buf[..received])? {
//!             Some(len) => break len,
//!             None => received += socket.read(&mut buf[received..]),
//!         }
//!     };
//!     match handshake.answer(&buf[..head_len])? {
//!         Answer::Open(response) => {
//!             assert_eq!(response.subprotocol(), Some("chat.v1"));
//!             // `buf[head_len..received]` are the first bytes for `endpoint.receive`.
//!             assert_eq!(&buf[head_len..received], b"\x81\x00");
//!             Ok(response.open(Client::new(entropy), config, now()))
//!         }
//!         Answer::Refused(refusal) => Err(format!("status {}", refusal.status()).into()),
//!     }
//! }
//!
//! let mut socket = Socket(vec![
//!     b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Pro",
//!     b"tocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: chat.v1\r\n",
//!     b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x00",
//! ], Vec::new());
//! # let entropy = |bytes: &mut [u8]| { bytes.fill(7); Ok(()) }; // of course not in earnest
//! open(&mut socket, *b"the sample nonce", entropy, &Config::default())?;
//! assert!(socket.1.starts_with(b"GET /chat HTTP/1.1\r\nHost: example.com\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod negotiate;
mod request;
mod value;

use core::fmt;

use super::{
    HandshakeError, MAX_INTERIM_RESPONSES, WriteError, head::HeadKind, head_wait::HeadWait, write::HeadWriter,
};
use crate::{config::Config, part::part, time::Instant};

pub use super::head::HttpVersion;
pub use answer::{Answer, Refusal, Response};
pub use negotiate::{Acceptance, Offer};
pub use request::Request;
pub use value::FieldValue;

/// An opening handshake of a client: sends a request and waits for the head of the response. Keeps no bytes of it.
#[derive(Clone)]
pub struct Handshake<'a> {
    offer: Offer<'a>,
    wait: HeadWait,
    /// The start of the current head, after the interim responses.
    start: usize,
    interim_responses: usize,
}

impl<'a> Handshake<'a> {
    /// Begins a handshake at `now`, which takes at most [`handshake_timeout`](Config::handshake_timeout).
    ///
    /// `nonce` has to be random, and different for each connection (RFC 6455 section 4.1).
    ///
    /// # Errors
    ///
    /// A part of the request cannot be sent; the [`WriteError`] says which.
    pub fn new(request: Request<'a>, nonce: [u8; 16], now: Instant, config: &Config) -> Result<Self, WriteError> {
        request.check_line_and_host()?;
        let wait = HeadWait::new(HeadKind::Response, now, config);
        Ok(Self { offer: Offer::new(request, nonce)?, wait, start: 0, interim_responses: 0 })
    }

    /// Writes the request and returns its length. Send nothing after it before the answer has come.
    ///
    /// # Errors
    ///
    /// [`WriteError::BufferTooSmall`].
    pub fn write_request(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let mut writer = HeadWriter::new(out);
        self.offer.write(&mut writer);
        writer.finish()
    }

    /// Appends the request to `out`; see [`write_request`](Self::write_request).
    #[cfg(feature = "alloc")]
    pub fn write_request_to(&self, out: &mut alloc::vec::Vec<u8>) {
        // The request has been checked, so only a lack of room could make it fail, and `append` provides the room.
        let _ = super::write::append(out, |out| Ok((self.write_request(out)?, ())));
    }

    /// Looks for the end of the final head in `received`: all bytes received so far, from the first on.
    ///
    /// Returns `Some(len)` once it is there: `received[..len]` are the interim (1xx) responses, if any, and the
    /// final head, for [`answer`](Self::answer). The bytes after it are the first bytes of frames, for the
    /// endpoint, or of the body of a refusal. Returns `None` if more bytes are needed. Each byte is examined once,
    /// however often this is called.
    ///
    /// # Errors
    ///
    /// The received bytes cannot become an answer, whatever follows, or the time for it is over. End the
    /// transport; later calls return the same error.
    pub fn poll_head(&mut self, now: Instant, received: &[u8]) -> Result<Option<usize>, HandshakeError> {
        while let Some(end) = self.wait.poll_head(now, received)? {
            let head = received.get(self.start..end).unwrap_or_default();
            if !is_interim(head) {
                return Ok(Some(end));
            }
            answer::read(head)?;
            if self.interim_responses >= MAX_INTERIM_RESPONSES {
                return Err(HandshakeError::TooManyInterimResponses);
            }
            self.interim_responses += 1;
            self.start = end;
            self.wait.finder.next_head();
        }
        Ok(None)
    }

    /// Returns the time to call [`handle_timeout`](Self::handle_timeout), or `None` once the head has been found,
    /// or with the timeout off.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wait.poll_timeout()
    }

    /// Checks the deadline at `now`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Timeout`] if the head is not complete and the deadline has passed. The deadline is for
    /// the whole handshake; received bytes do not prolong it.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        self.wait.handle_timeout(now)
    }

    /// Parses the head that [`poll_head`](Self::poll_head) has found. `received` are the same bytes, with or
    /// without those after the head. They are not searched again.
    ///
    /// # Errors
    ///
    /// The response is not HTTP, or it claims to open the connection but breaks a rule: end the transport.
    /// [`HandshakeError::Syntax`] until a head has been found.
    pub fn answer<'h>(&self, received: &'h [u8]) -> Result<Answer<'h, 'a>, HandshakeError> {
        let found = self.wait.finder.head(received)?;
        answer::parse(part(found, self.start..), &self.offer)
    }
}

impl fmt::Debug for Handshake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("offer", &self.offer).finish_non_exhaustive()
    }
}

/// Returns whether `head` is an interim response, after which another one follows: 1xx, but not 101.
fn is_interim(head: &[u8]) -> bool {
    match head.strip_prefix(b"HTTP/1.1 ") {
        Some([b'1', b'0', b'1', ..]) | None => false,
        Some(status) => status.first() == Some(&b'1'),
    }
}
