//! A hook that observes an endpoint, without a dependency.

use core::time::Duration;

use crate::{endpoint::closing::State, error::ReceiveError, frame::FrameHeader};

/// A hook that observes an [`Endpoint`](crate::Endpoint); every method does nothing by default.
///
/// `()` is the trace that observes nothing and costs nothing.
pub trait Trace {
    /// Observes a frame that has been admitted; its payload may still be on its way.
    fn frame_received(&mut self, header: &FrameHeader) {
        let _ = header;
    }

    /// Observes a frame that has been handed out for sending.
    fn frame_sent(&mut self, header: &FrameHeader) {
        let _ = header;
    }

    /// Observes a change of the state; `state` is the new one.
    fn state_changed(&mut self, state: State) {
        let _ = state;
    }

    /// Observes the answer to a keepalive Ping, which has arrived `time` after the Ping.
    ///
    /// The time begins when the Ping is handed out; if the host calls [`Endpoint::written`](crate::Endpoint::written),
    /// it begins when the Ping has left. It ends at the time of the [`receive`](crate::Endpoint::receive) that brings
    /// the Pong, so it includes earlier work of the peer and its network, and the delay of a host that reads late. At
    /// most one answer to each Ping is observed, and none once the connection is closing.
    ///
    /// A keepalive Ping has no payload, and neither has its Pong (RFC 6455 section 5.5.3): the first Pong without
    /// payload that arrives after the Ping is taken for it. A peer that sends such Pongs unasked, or a
    /// [`write_ping`](crate::Endpoint::write_ping) without payload that was still unanswered, can make the time too
    /// short.
    fn round_trip(&mut self, time: Duration) {
        let _ = time;
    }

    /// Observes the failure of the connection.
    fn failed(&mut self, error: &ReceiveError) {
        let _ = error;
    }
}

impl Trace for () {}

impl<T: Trace + ?Sized> Trace for &mut T {
    fn frame_received(&mut self, header: &FrameHeader) {
        (**self).frame_received(header);
    }

    fn frame_sent(&mut self, header: &FrameHeader) {
        (**self).frame_sent(header);
    }

    fn state_changed(&mut self, state: State) {
        (**self).state_changed(state);
    }

    fn round_trip(&mut self, time: Duration) {
        (**self).round_trip(time);
    }

    fn failed(&mut self, error: &ReceiveError) {
        (**self).failed(error);
    }
}
