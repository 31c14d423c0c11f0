//! The client's side of the opening handshake (RFC 6455 section 4.1).
//!
//! ```
//! use ws_proto::{Client, Config, Endpoint, Entropy, Instant};
//! use ws_proto::client::{Answer, Handshake, Request};
//!
//! /// Stands for a transport.
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

use super::{HandshakeError, MAX_INTERIM_RESPONSES, WriteError, head::Message, progress::Progress, write::Writer};
use crate::{config::Config, part::part, time::Instant};

pub use super::head::HttpVersion;
pub use answer::{Answer, Refusal, Response};
pub use negotiate::{Acceptance, Offer};
pub use request::Request;
pub use value::FieldValue;

/// Sends a request and waits for the head of the response. Holds no bytes of it.
#[derive(Clone)]
pub struct Handshake<'a> {
    offer: Offer<'a>,
    progress: Progress,
    /// Where the head in progress begins: behind the interim responses.
    start: usize,
    interim_responses: usize,
}

impl<'a> Handshake<'a> {
    /// A handshake that begins at `now` and takes at most [`handshake_timeout`](Config::handshake_timeout).
    ///
    /// `nonce` has to be random, and another one for each connection (RFC 6455 section 4.1).
    ///
    /// # Errors
    ///
    /// The request has a part that can't be sent; [`WriteError`] tells which.
    pub fn new(request: Request<'a>, nonce: [u8; 16], now: Instant, config: &Config) -> Result<Self, WriteError> {
        request.check_line_and_host()?;
        let progress = Progress::new(Message::Response, now, config);
        Ok(Self { offer: Offer::new(request, nonce)?, progress, start: 0, interim_responses: 0 })
    }

    /// Writes the request, and tells its length. Nothing may be sent behind it before the answer has come.
    ///
    /// # Errors
    ///
    /// [`WriteError::BufferTooSmall`].
    pub fn write_request(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let mut writer = Writer::new(out);
        self.offer.write(&mut writer);
        writer.finish()
    }

    /// Appends the request to `out`; see [`write_request`](Self::write_request).
    #[cfg(feature = "alloc")]
    pub fn write_request_to(&self, out: &mut alloc::vec::Vec<u8>) {
        // Enough room is all that it can lack: the request has been checked.
        let _ = super::write::append(out, |out| Ok((self.write_request(out)?, ())));
    }

    /// Looks for the end of the final head in `received`: all bytes received so far, from the first on.
    ///
    /// `Some(len)`: interim (1xx) responses, if any, and the final head are `received[..len]`, for
    /// [`answer`](Self::answer); what follows are the first bytes of frames, for the endpoint, or of a
    /// refusal's body. `None`: more bytes are needed. Each byte is looked at once, however often this is
    /// called.
    ///
    /// # Errors
    ///
    /// The peer's bytes can't become an answer, whatever follows, or its time is over. End the transport; a
    /// later call gives the same error.
    pub fn poll_head(&mut self, now: Instant, received: &[u8]) -> Result<Option<usize>, HandshakeError> {
        while let Some(end) = self.progress.poll_head(now, received)? {
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
            self.progress.finder.next_head();
        }
        Ok(None)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` once the head has been found, or with
    /// the timeout off.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.progress.poll_timeout()
    }

    /// Tells that it is `now`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Timeout`] if the head is not complete and the deadline has passed: one for the whole
    /// handshake, that no byte prolongs.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        self.progress.handle_timeout(now)
    }

    /// Parses what [`poll_head`](Self::poll_head) has found: `received` are the same bytes, with or without what
    /// follows the head. They are not looked through once more.
    ///
    /// # Errors
    ///
    /// The response is not HTTP, or it claims to open the connection but breaks a rule: end the transport.
    /// [`HandshakeError::Syntax`] as long as no head has been found.
    pub fn answer<'h>(&self, received: &'h [u8]) -> Result<Answer<'h, 'a>, HandshakeError> {
        let found = self.progress.finder.head(received)?;
        answer::parse(part(found, self.start..), &self.offer)
    }
}

impl fmt::Debug for Handshake<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("offer", &self.offer).finish_non_exhaustive()
    }
}

/// Whether `head` says that another one follows: 1xx, but not 101.
fn is_interim(head: &[u8]) -> bool {
    match head.strip_prefix(b"HTTP/1.1 ") {
        Some([b'1', b'0', b'1', ..]) | None => false,
        Some(status) => status.first() == Some(&b'1'),
    }
}
