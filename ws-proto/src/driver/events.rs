//! Reports to `tracing`.

use core::time::Duration;
use std::net::SocketAddr;

use tracing::{Span, debug, debug_span, trace};

use crate::{ReceiveError, State, endpoint::Trace, frame::FrameHeader, role::Side};

/// The span of a connection, to which all its events belong.
#[derive(Debug)]
pub(super) struct Events(Span);

impl Events {
    pub(super) fn new(side: Side, subprotocol: Option<&str>) -> Self {
        let span = debug_span!("websocket", ?side, subprotocol);
        debug!(parent: &span, "open");
        Self(span)
    }
}

impl Trace for Events {
    #[inline]
    fn frame_received(&mut self, header: &FrameHeader) {
        trace!(parent: &self.0, opcode = ?header.opcode, fin = header.fin, payload_len = header.payload_len, "frame received");
    }

    #[inline]
    fn frame_sent(&mut self, header: &FrameHeader) {
        trace!(parent: &self.0, opcode = ?header.opcode, fin = header.fin, payload_len = header.payload_len, "frame sent");
    }

    fn state_changed(&mut self, state: State) {
        match state {
            State::Open | State::Closing => debug!(parent: &self.0, "closing"),
            State::Closed(closed) => {
                debug!(parent: &self.0, clean = closed.clean, code = closed.code.get(), cause = ?closed.cause, "closed");
            }
        }
    }

    fn round_trip(&mut self, time: Duration) {
        debug!(parent: &self.0, ?time, "round trip");
    }

    fn failed(&mut self, error: &ReceiveError) {
        debug!(parent: &self.0, %error, "failed");
    }
}

/// Returns the span of all that a server does for the connection with `peer`, its opening handshake and its handler.
#[must_use]
pub fn peer_span(peer: SocketAddr) -> Span {
    debug_span!("connection", %peer)
}
