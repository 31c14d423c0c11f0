//! Deadlines as data.

use core::time::Duration;

use crate::{
    config::{Config, Millis},
    role::Side,
    time::Instant,
};

/// How long each wait may take; `None` is for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) idle: Option<Millis>,
    pub(crate) message: Option<Millis>,
    pub(crate) keepalive: Option<Millis>,
    pub(crate) pong: Option<Millis>,
    pub(crate) close: Option<Millis>,
    /// For the end of the transport, when both sides have closed or the connection has failed.
    pub(crate) linger: Option<Millis>,
}

impl Timeouts {
    pub(crate) fn new(config: &Config, side: Side) -> Self {
        let linger = match side {
            Side::Server => config.drain_timeout,
            Side::Client => config.server_fin_timeout,
        };
        Self {
            idle: config.idle_timeout.map(Millis::new),
            message: config.message_timeout.map(Millis::new),
            keepalive: config.keepalive_interval.map(Millis::new),
            pong: config.pong_timeout.map(Millis::new),
            close: config.close_timeout.map(Millis::new),
            linger: linger.map(Millis::new),
        }
    }
}

/// The instant `timeout` after `start`, if there is a timeout.
fn after(start: Instant, timeout: Option<Millis>) -> Option<Instant> {
    timeout.map(|millis| start.saturating_add(Duration::from(millis)))
}

/// When something last happened, and what is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// When anything last arrived.
    heard: Instant,
    /// When a data frame last passed; while a message with a deadline arrives, when that message began.
    active: Instant,
    /// When a wait is over: for the answer to our Ping while the connection is open, later for its end.
    awaited: Option<Instant>,
}

/// What is due on an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    PongOverdue,
    MessageOverdue,
    Idle,
}

impl Clock {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { heard: now, active: now, awaited: None }
    }

    /// Bytes have arrived on an open connection.
    pub(crate) const fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.awaited = None;
    }

    /// A whole message has arrived on an open connection.
    #[inline]
    pub(crate) const fn message_received(&mut self, now: Instant) {
        self.heard(now);
        self.active = now;
    }

    /// What was heard is data.
    pub(crate) const fn data_received(&mut self) {
        self.active = self.heard;
    }

    /// The transport takes output that the peer has to read before it can answer our Ping.
    pub(crate) fn written(&mut self, now: Instant, timeouts: &Timeouts) {
        if self.awaited.is_some() {
            self.awaited = after(now, timeouts.pong);
        }
    }

    /// The connection has begun to end: the one wait is now for its next step.
    pub(crate) fn wait(&mut self, now: Instant, timeout: Option<Millis>) {
        self.awaited = after(now, timeout);
    }

    /// When that wait is over.
    pub(crate) const fn awaited(&self) -> Option<Instant> {
        self.awaited
    }

    /// The earliest deadline of an open connection, on which a message with a deadline arrives, or not.
    pub(crate) fn deadline(&self, timeouts: &Timeouts, timing: bool) -> Option<Instant> {
        match (self.activity_at(timeouts, timing), self.liveness_at(timeouts)) {
            (Some(activity), Some(liveness)) => Some(activity.min(liveness)),
            (activity, liveness) => activity.or(liveness),
        }
    }

    /// When the message that arrives must be complete, or without one that is timed, a data frame must pass.
    fn activity_at(&self, timeouts: &Timeouts, timing: bool) -> Option<Instant> {
        after(self.active, if timing { timeouts.message } else { timeouts.idle })
    }

    fn liveness_at(&self, timeouts: &Timeouts) -> Option<Instant> {
        self.awaited.or_else(|| after(self.heard, timeouts.keepalive))
    }

    /// Moves an open connection past the deadlines that `now` has reached; the gravest is returned.
    ///
    /// `timing`: a message with a deadline arrives. `sent` tells, once, whether data was sent since it was last asked: sending is not told the time.
    pub(crate) fn expire(
        &mut self,
        timeouts: &Timeouts,
        timing: bool,
        now: Instant,
        sent: impl FnOnce() -> bool,
    ) -> Due {
        let reached = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if reached(self.awaited) {
            return Due::PongOverdue;
        }
        if reached(self.activity_at(timeouts, timing)) {
            if timing {
                return Due::MessageOverdue;
            }
            if !sent() {
                return Due::Idle;
            }
            self.active = now;
        }
        if self.awaited.is_none() && reached(after(self.heard, timeouts.keepalive)) {
            self.awaited = after(now, timeouts.pong);
            if self.awaited.is_none() {
                // Nobody waits for the answer: the next Ping is an interval away.
                self.heard = now;
            }
            return Due::Ping;
        }
        Due::Nothing
    }
}
