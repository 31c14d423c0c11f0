//! Deadlines as data.

use core::time::Duration;

use crate::{
    config::{Config, Millis},
    role::Side,
    time::{Instant, earliest},
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

/// When something last happened, and since when the peer's answer is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// When anything last arrived; at least `awaiting` from the moment on that something has arrived after that.
    heard: Instant,
    /// When a data frame last passed; while a message with a deadline arrives, when that message began.
    active: Instant,
    /// Since when an answer is awaited: while the connection is open, the Pong to our Ping; later its end. On an open
    /// connection the wait has a deadline as long as `heard < awaiting`; anything that arrives ends it, and only the Pong
    /// (or the next Ping) ends the measurement of its time.
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
        Self { heard: now, active: now, awaiting: None }
    }

    /// Bytes have arrived on an open connection. A host that reads late tells an earlier time than that of our Ping.
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

    /// A whole message has arrived on an open connection.
    #[inline]
    pub(crate) fn message_received(&mut self, now: Instant) {
        self.heard(now);
        self.active = now;
    }

    /// What was heard is data.
    pub(crate) const fn data_received(&mut self) {
        self.active = self.heard;
    }

    /// The answer to our Ping has arrived: the time since the Ping was handed out or has left, if it is the first answer.
    pub(crate) fn pong_received(&mut self, now: Instant) -> Option<Duration> {
        self.awaiting.take().map(|ping| now.saturating_duration_since(ping))
    }

    /// The transport takes output that the peer has to read before it can answer our Ping.
    pub(crate) fn written(&mut self, now: Instant) {
        let Some(ping) = self.awaiting else {
            return;
        };
        self.awaiting = Some(now);
        if self.heard >= ping {
            // Heard since the Ping was handed out, the peer still owes no sign of life.
            self.heard = self.heard.max(now);
        }
    }

    /// The connection has begun to end: the one wait is now for its next step.
    pub(crate) const fn wait(&mut self, now: Instant) {
        self.awaiting = Some(now);
    }

    /// When that wait is over, if it takes `timeout`.
    pub(crate) fn awaited(&self, timeout: Option<Millis>) -> Option<Instant> {
        after(self.awaiting?, timeout)
    }

    /// Since when something must arrive that shows that the peer is alive.
    fn unanswered(&self) -> Option<Instant> {
        self.awaiting.filter(|ping| self.heard < *ping)
    }

    /// The earliest deadline of an open connection.
    pub(crate) fn deadline(&self, timeouts: &Timeouts, traffic: Traffic) -> Option<Instant> {
        earliest(self.activity_at(timeouts, traffic), self.liveness_at(timeouts, traffic))
    }

    /// When the message that arrives must be complete, or without one that is timed, a data frame must pass.
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

    /// Moves an open connection past the deadlines that `now` has reached; the gravest is returned.
    ///
    /// `sent` tells, once, whether data was sent since it was last asked: sending is not told the time.
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
