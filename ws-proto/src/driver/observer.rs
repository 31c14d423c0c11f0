use core::time::Duration;

#[cfg(feature = "tracing")]
use super::events::Events;
use crate::{Endpoint, Instant, ReceiveError, State, endpoint::Trace, frame::FrameHeader, role::Role};

/// The counters of a connection, from the end of its opening handshake on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// The frames that have come. A frame counts as soon as its header has been accepted.
    pub received: Traffic,
    /// The frames that have been encoded for this connection; the last ones may still wait to be written.
    pub sent: Traffic,
    /// The time between the last keepalive Ping that was answered and its Pong; see [`Trace::round_trip`]. `None`: no answer
    /// has come.
    pub last_round_trip: Option<Duration>,
}

/// The traffic of a connection in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// The number of messages, each counted with its last frame.
    pub messages: u64,
    /// The number of frames, control frames included.
    pub frames: u64,
    /// The length in bytes of the payload of all frames on the wire: compressed, without headers.
    pub payload_len: u64,
}

impl Traffic {
    #[inline]
    fn count(&mut self, header: &FrameHeader) {
        self.frames += 1;
        self.messages += u64::from(header.fin && !header.opcode.is_control());
        // The peer may announce any length.
        self.payload_len = self.payload_len.saturating_add(header.payload_len);
    }
}

/// The hook by which drivers observe a connection: it counts.
///
/// With the feature `tracing` it reports too, by events in a span `websocket` of level DEBUG, whose fields are `side` and
/// `subprotocol`. Frames are events of level TRACE; changes of the state, round trips and failures are events of level DEBUG,
/// since the peer decides how many there are.
#[derive(Debug)]
pub struct Observer {
    received: Traffic,
    sent: Traffic,
    /// The last round trip as a time after zero, which takes half the room of a duration.
    round_trip: Option<Instant>,
    events: Events,
}

/// The reports of a connection: none without the feature `tracing`.
#[cfg(not(feature = "tracing"))]
#[derive(Debug)]
struct Events;

#[cfg(not(feature = "tracing"))]
impl Events {
    const fn new(_: crate::role::Side, _: Option<&str>) -> Self {
        Self
    }
}

#[cfg(not(feature = "tracing"))]
impl Trace for Events {}

impl Observer {
    /// Observes a connection that has agreed on `subprotocol`.
    pub fn observe<R: Role>(endpoint: Endpoint<R>, subprotocol: Option<&str>) -> Endpoint<R, Self> {
        let events = Events::new(R::SIDE, subprotocol);
        endpoint.traced_by(Self {
            received: Traffic::default(),
            sent: Traffic::default(),
            round_trip: None,
            events,
        })
    }

    /// Returns the counters of the connection.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let last_round_trip = self.round_trip.map(|end| end.saturating_duration_since(Instant::ZERO));
        Counters { received: self.received, sent: self.sent, last_round_trip }
    }
}

impl Trace for Observer {
    #[inline]
    fn frame_received(&mut self, header: &FrameHeader) {
        self.received.count(header);
        self.events.frame_received(header);
    }

    #[inline]
    fn frame_sent(&mut self, header: &FrameHeader) {
        self.sent.count(header);
        self.events.frame_sent(header);
    }

    fn state_changed(&mut self, state: State) {
        self.events.state_changed(state);
    }

    fn round_trip(&mut self, time: Duration) {
        self.round_trip = Some(Instant::ZERO.saturating_add(time));
        self.events.round_trip(time);
    }

    fn failed(&mut self, error: &ReceiveError) {
        self.events.failed(error);
    }
}
