use core::fmt;

use alloc::vec::Vec;

use super::{Accept, Handshake, Head, OriginPolicy, Reject, Request, reject_to};
use crate::{config::Config, connection::Output, endpoint::Endpoint, role::Server, time::Instant};

/// The server's side of the opening handshake with a buffer of its own, from the first byte to the endpoint.
///
/// For hosts that serve nothing but WebSockets on a transport; those that serve pages too, or parse heads
/// where they were read to, put [`Handshake`], [`Request`] and [`Upgrade`](super::Upgrade) together themselves.
///
/// ```
/// use ws_proto::{Config, Instant, Output};
/// use ws_proto::server::{Accept, Opening, OriginPolicy};
///
/// # let request: &[u8] = b"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
/// #     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// let mut output = Output::new();
/// let mut opening = Opening::new(&Config::default(), OriginPolicy::SameHost, Instant::ZERO);
/// // After each read; also when `poll_timeout` has passed, with no bytes.
/// let opened = opening.receive(Instant::ZERO, request, &mut output, |request| match request.path() {
///     "/chat" => Ok(Accept::new().subprotocol(request.select(&["chat.v1"]))),
///     _ => Err(404),
/// });
/// // `output` has the response; `received` are the first bytes for the endpoint.
/// let (endpoint, received) = opened.unwrap();
/// # assert_eq!(endpoint.state(), ws_proto::State::Open);
/// # assert!(received.is_empty() && output.len() > 100);
/// ```
pub struct Opening<'a> {
    handshake: Handshake,
    head: Vec<u8>,
    config: Config,
    origin: OriginPolicy<'a>,
}

/// The endpoint, and the bytes that came behind the request.
type Opened = (Endpoint<Server>, Vec<u8>);

impl<'a> Opening<'a> {
    /// Begins to wait for a request at `now`.
    #[must_use]
    pub fn new(config: &Config, origin: OriginPolicy<'a>, now: Instant) -> Self {
        Self { handshake: Handshake::new(now, config), head: Vec::new(), config: config.clone(), origin }
    }

    /// Takes what has been received, up to the end of the handshake.
    ///
    /// `None`: more bytes are needed. Else the response is in `output`, and here are the endpoint and the
    /// bytes that came behind the request. Whether the handshake succeeded is the endpoint's
    /// [`state`](Endpoint::state): that of a request that was invalid, too late, or that `answer` refused with
    /// a status is not open, but [`refused`](Endpoint::refused).
    pub fn receive<'s>(
        &mut self,
        now: Instant,
        input: &[u8],
        output: &mut Output,
        answer: impl FnOnce(&Request<'_>) -> Result<Accept<'s>, u16>,
    ) -> Option<(Endpoint<Server>, Vec<u8>)> {
        self.head.extend_from_slice(input);
        let response = output.buffer();
        self.open(now, response, answer).unwrap_or_else(|refusal| {
            let mut reject = |refusal| reject_to(&refusal, &self.head, response);
            // What does not refuse is no answer: a fault of this server.
            let _ = reject(refusal).or_else(|_| reject(Reject::new(500)));
            Some((Endpoint::refused(&self.config, now), Vec::new()))
        })
    }

    /// The endpoint and what follows the request, once that has come; else what refuses it.
    fn open<'s>(
        &mut self,
        now: Instant,
        response: &mut Vec<u8>,
        answer: impl FnOnce(&Request<'_>) -> Result<Accept<'s>, u16>,
    ) -> Result<Option<Opened>, Reject<'static>> {
        let Some(len) = self.handshake.poll_head(now, &self.head).map_err(Reject::of_error)? else {
            return Ok(None);
        };
        let head = self.handshake.request(&self.head, self.origin).and_then(Head::into_request);
        let request = head.map_err(Reject::of_error)?;
        let accept = request.resolve(answer(&request).map_err(Reject::new)?);
        // A field that can't be sent is a fault of this server too.
        let endpoint =
            request.upgrade().accept_to(&accept, &self.config, now, response).map_err(|_| Reject::new(500))?;
        Ok(Some((endpoint, self.head.split_off(len))))
    }

    /// When to call [`receive`](Self::receive) without bytes, unless some come before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.handshake.poll_timeout()
    }
}

impl fmt::Debug for Opening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("received", &self.head.len()).finish_non_exhaustive()
    }
}
