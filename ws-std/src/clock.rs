use core::time::Duration;
use std::time::Instant;

/// The time of one connection: the endpoint's nanoseconds count from here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now() }
    }

    /// An instant that has passed: a deadline for what must not wait.
    pub(crate) const fn epoch(self) -> Instant {
        self.epoch
    }

    pub(crate) fn now(&self) -> ws_proto::Instant {
        self.epoch.elapsed().into()
    }

    /// The endpoint's instant as the system's; `None` if it is beyond the system's reach.
    pub(crate) fn to_system(self, instant: ws_proto::Instant) -> Option<Instant> {
        self.epoch.checked_add(Duration::from(instant))
    }
}
