use core::time::Duration;

use tokio::time::Instant;

/// The clock of one connection. The endpoint's time is counted from the moment at which the clock was created.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now() }
    }

    /// Returns the present time, as the endpoint counts it.
    pub(crate) fn now(self) -> ws_proto::Instant {
        self.epoch.elapsed().into()
    }

    /// Converts an instant of the endpoint to one of the runtime. `None` if that cannot represent it.
    pub(crate) fn to_tokio(self, instant: ws_proto::Instant) -> Option<Instant> {
        self.epoch.checked_add(Duration::from(instant))
    }
}
