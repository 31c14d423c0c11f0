use core::time::Duration;
use std::time::Instant;

/// The clock of one connection. The endpoint's time is counted from the moment at which the clock was created.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now() }
    }

    /// Returns an instant in the past, as a deadline for calls that must not wait.
    pub(crate) const fn epoch(self) -> Instant {
        self.epoch
    }

    /// Returns the present time, as the endpoint counts it.
    pub(crate) fn now(&self) -> ws_proto::Instant {
        self.epoch.elapsed().into()
    }

    /// Converts an instant of the endpoint to one of the system. `None` if the system cannot represent it.
    pub(crate) fn to_system(self, instant: ws_proto::Instant) -> Option<Instant> {
        self.epoch.checked_add(Duration::from(instant))
    }
}
