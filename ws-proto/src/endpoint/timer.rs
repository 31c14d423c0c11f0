//! Deadlines as data.

use core::time::Duration;

use crate::{
    config::{Config, Millis},
    role::Side,
    time::{Instant, earliest},
};

/// The longest time of each wait; `None` is for ever.
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

/// Returns the instant `timeout` after `start`, if there is a timeout.
fn after(start: Instant, timeout: Option<Millis>) -> Option<Instant> {
    timeout.map(|millis| start.saturating_add(Duration::from(millis)))
}

/// The times of the last events, and the start of the wait for the peer's answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The time when bytes last arrived; at least `awaiting` from the moment on that bytes have arrived after that.
    heard: Instant,
    /// The time when a data frame last passed; while a message with a deadline arrives, the time when that message
    /// began.
    active: Instant,
    /// The start of the wait for an answer: while the connection is open, for the Pong to our Ping; later for its end.
    /// On an open connection the wait has a deadline as long as `heard < awaiting`. Any bytes that arrive end it; only
    /// the Pong (or the next Ping) ends the measurement of the round-trip time.
    awaiting: Option<Instant>,
}

/// The frames in progress on an open connection, on which its deadlines depend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// A message arrives that has a deadline.
    pub(crate) is_timing: bool,
    /// The payload of a frame of ours follows in pieces, so that no Ping can be sent.
    pub(crate) is_in_frame: bool,
}

/// The action that is due on an open connection.
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
        Self { heard: now, active: now, awaiting: None }
    }

    /// Takes note of bytes that have arrived on an open connection. `now` may be earlier than our Ping if the host
    /// reads late.
    #[inline]
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
        if self.awaiting.is_some() {
            self.heard_late();
        }
    }

    #[cold]
    fn heard_late(&mut self) {
        self.heard = self.heard.max(self.awaiting.unwrap_or(self.heard));
    }

    /// Takes note of a whole message that has arrived on an open connection.
    #[inline]
    pub(crate) fn message_received(&mut self, now: Instant) {
        self.active = now;
        self.heard(now);
    }

    /// Takes note that the bytes last heard are data.
    pub(crate) const fn data_received(&mut self) {
        self.active = self.heard;
    }

    /// Takes note of the answer to our Ping. Returns the time since the Ping was handed out or has left, if it is the
    /// first answer.
    pub(crate) fn pong_received(&mut self, now: Instant) -> Option<Duration> {
        self.awaiting.take().map(|ping| now.saturating_duration_since(ping))
    }

    /// Takes note that the transport takes output that the peer has to read before it can answer our Ping.
    pub(crate) fn written(&mut self, now: Instant) {
        let Some(ping) = self.awaiting else {
            return;
        };
        self.awaiting = Some(now);
        if self.heard >= ping {
            // Bytes came after the Ping was handed out: the peer still owes no sign of life.
            self.heard = self.heard.max(now);
        }
    }

    /// Begins the wait for the next step of a connection that is ending.
    pub(crate) const fn wait(&mut self, now: Instant) {
        self.awaiting = Some(now);
    }

    /// Returns when that wait is over, if it takes `timeout`.
    pub(crate) fn awaited(&self, timeout: Option<Millis>) -> Option<Instant> {
        after(self.awaiting?, timeout)
    }

    /// Returns since when the peer has owed a sign of life; `None` if it owes none.
    fn unanswered(&self) -> Option<Instant> {
        self.awaiting.filter(|ping| self.heard < *ping)
    }

    /// Returns the earliest deadline of an open connection.
    pub(crate) fn deadline(&self, timeouts: &Timeouts, traffic: Traffic) -> Option<Instant> {
        earliest(self.activity_at(timeouts, traffic), self.liveness_at(timeouts, traffic))
    }

    /// Returns when the message that is arriving must be complete or, without one that is timed, when a data frame must
    /// pass.
    fn activity_at(&self, timeouts: &Timeouts, traffic: Traffic) -> Option<Instant> {
        after(self.active, if traffic.is_timing { timeouts.message } else { timeouts.idle })
    }

    fn liveness_at(&self, timeouts: &Timeouts, traffic: Traffic) -> Option<Instant> {
        match self.unanswered() {
            Some(ping) => after(ping, timeouts.pong),
            None => self.ping_at(timeouts, traffic),
        }
    }

    fn ping_at(&self, timeouts: &Timeouts, traffic: Traffic) -> Option<Instant> {
        if traffic.is_in_frame { None } else { after(self.heard, timeouts.keepalive) }
    }

    /// Moves an open connection past the deadlines that `now` has reached, and returns the gravest.
    ///
    /// `sent` returns whether data was sent since its last call: sending itself takes no time argument.
    pub(crate) fn expire(
        &mut self,
        timeouts: &Timeouts,
        traffic: Traffic,
        now: Instant,
        sent: impl FnOnce() -> bool,
    ) -> Due {
        let reached = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let unanswered = self.unanswered();
        if reached(unanswered.and_then(|ping| after(ping, timeouts.pong))) {
            return Due::PongOverdue;
        }
        if reached(self.activity_at(timeouts, traffic)) {
            if traffic.is_timing {
                return Due::MessageOverdue;
            }
            if !sent() {
                return Due::Idle;
            }
            self.active = now;
        }
        if unanswered.is_none() && reached(self.ping_at(timeouts, traffic)) {
            self.awaiting = Some(now);
            if timeouts.pong.is_none() {
                // The answer has no deadline: the next Ping is an interval away.
                self.heard = now;
            }
            return Due::Ping;
        }
        Due::Nothing
    }
}
