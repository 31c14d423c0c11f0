//! A hook that sees what passes through an endpoint, without a dependency.

use core::time::Duration;

use crate::{endpoint::closing::State, error::ReceiveError, frame::FrameHeader};

/// Told of what passes through an [`Endpoint`](crate::Endpoint); every method does nothing by default.
///
/// `()` is the trace that sees nothing and costs nothing.
pub trait Trace {
    /// A frame has been admitted; its payload may still be on its way.
    fn frame_received(&mut self, header: &FrameHeader) {
        let _ = header;
    }

    /// A frame has been handed out for sending.
    fn frame_sent(&mut self, header: &FrameHeader) {
        let _ = header;
    }

    /// The state is another than before.
    fn state_changed(&mut self, state: State) {
        let _ = state;
    }

    /// The answer to a keepalive Ping has arrived, `time` after the Ping.
    ///
    /// The time begins when the Ping is handed out; if the host tells what the transport has taken, by
    /// [`Endpoint::written`](crate::Endpoint::written), it begins when the Ping has left. It ends at the time of the
    /// [`receive`](crate::Endpoint::receive) that brings the Pong, so it includes what the peer and its network had to
    /// handle before, and how late the host reads. Of no Ping more than one answer is told, and none if the connection is
    /// closing by then.
    ///
    /// A keepalive Ping has no payload, and neither has its Pong (RFC 6455 section 5.5.3): the first Pong without payload that
    /// arrives after the Ping is taken for it. A peer that sends such Pongs unasked, or a
    /// [`write_ping`](crate::Endpoint::write_ping) without payload that was still unanswered, can make the time too short.
    fn round_trip(&mut self, time: Duration) {
        let _ = time;
    }

    /// The connection has failed.
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
