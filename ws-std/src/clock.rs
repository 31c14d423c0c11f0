use core::time::Duration;
use std::time::Instant;

/// Returns the present time.
#[cfg(not(shuttle))]
#[inline(always)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(shuttle)]
pub(crate) use virtual_time::now;

/// Time that passes only when a transport says so: with a model checker all threads of a schedule are one of the system.
#[cfg(shuttle)]
pub(crate) mod virtual_time {
    use core::cell::Cell;
    use std::time::Instant;

    std::thread_local! {
        static NOW: Cell<Instant> = Cell::new(Instant::now());
    }

    pub(crate) fn now() -> Instant {
        NOW.get()
    }

    /// Lets time pass until `instant`, for a call of a transport that waits until its deadline.
    pub fn advance_to(instant: Instant) {
        NOW.set(NOW.get().max(instant));
    }
}

/// The clock of one connection. The endpoint's time is counted from the moment at which the clock was created.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { epoch: now() }
    }

    /// Returns an instant in the past, as a deadline for calls that must not wait.
    pub(crate) const fn epoch(self) -> Instant {
        self.epoch
    }

    /// Returns the present time, as the endpoint counts it.
    pub(crate) fn now(&self) -> ws_proto::Instant {
        now().saturating_duration_since(self.epoch).into()
    }

    /// Converts an instant of the endpoint to one of the system. `None` if the system cannot represent it.
    pub(crate) fn to_system(self, instant: ws_proto::Instant) -> Option<Instant> {
        self.epoch.checked_add(Duration::from(instant))
    }
}
