//! A hook that sees what passes through an endpoint, without a dependency.

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

    /// The connection has failed.
    fn failed(&mut self, error: &ReceiveError) {
        let _ = error;
    }

    /// Whether nobody minds being told of frames together, some of them behind a fault.
    #[doc(hidden)]
    fn is_silent(&self) -> bool {
        false
    }
}

impl Trace for () {
    fn is_silent(&self) -> bool {
        true
    }
}

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

    fn failed(&mut self, error: &ReceiveError) {
        (**self).failed(error);
    }

    fn is_silent(&self) -> bool {
        (**self).is_silent()
    }
}
