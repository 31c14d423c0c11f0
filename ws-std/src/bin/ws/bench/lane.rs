//! One connection under load.

use core::time::Duration;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use hdrhistogram::Histogram;
use ws_std::{CloseCode, Error, Message, MessageKind, WebSocket, role::Client};

use crate::{arguments::Bench, failure::Failure};

/// The time that the last echoes have to come after the end of measuring.
const LATE: Duration = Duration::from_secs(5);

/// The longest wait for one message, after which the end is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// The shortest wait for one message.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

/// The default of `--depth` with `--rate`: so many messages of a server that stalls can wait.
const DEPTH_AT_RATE: u32 = 1_000;

/// The time of measuring.
#[derive(Clone, Copy)]
pub(super) struct Window {
    /// The load starts.
    pub(super) start: Instant,
    /// Measuring starts.
    pub(super) from: Instant,
    pub(super) until: Instant,
}

impl Window {
    pub(super) fn len(self) -> Duration {
        self.until - self.from
    }
}

/// The load of each connection.
pub(super) struct Shape {
    pub(super) kind: MessageKind,
    pub(super) depth: usize,
    /// The time between two messages; `None`: as fast as the echoes come.
    interval: Option<Duration>,
    /// One thread sends on all connections, and then reads all echoes.
    pub(super) batch: bool,
    connections: u16,
    payload: Vec<u8>,
}

impl Shape {
    pub(super) fn of(options: &Bench) -> Self {
        let kind = if options.text { MessageKind::Text } else { MessageKind::Binary };
        let default = if options.rate.is_some() { DEPTH_AT_RATE } else { 1 };
        let payload = (b'a'..=b'z').cycle().take(usize::try_from(options.size).unwrap_or(usize::MAX)).collect();
        Self {
            kind,
            depth: usize::try_from(options.depth.unwrap_or(default)).unwrap_or(usize::MAX),
            interval: options.rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            batch: options.batch,
            connections: options.connections,
            payload,
        }
    }

    fn message(&self) -> Message<'_> {
        // Its payload is ASCII.
        Message::new(self.kind, &self.payload).unwrap_or(Message::Binary(&self.payload))
    }
}

/// The result of connections.
pub(super) struct Tally {
    /// The round trips of the echoes that came while it was measured, in nanoseconds.
    pub(super) round_trips: Histogram<u64>,
    /// All messages, before and after measuring too.
    pub(super) sent: u64,
    pub(super) echoed: u64,
    /// Answers that are not the message.
    pub(super) wrong: u64,
    /// Connections that ended too early.
    pub(super) lost: u64,
    pub(super) failure: Option<Failure>,
}

impl Default for Tally {
    fn default() -> Self {
        // Three digits are the fewest that tell 1 % apart.
        let round_trips = Histogram::new(3).unwrap_or_else(|_| unreachable!("at most 5 digits are allowed"));
        Self { round_trips, sent: 0, echoed: 0, wrong: 0, lost: 0, failure: None }
    }
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        // It grows as needed.
        let _ = self.round_trips.add(other.round_trips);
        self.sent += other.sent;
        self.echoed += other.echoed;
        self.wrong += other.wrong;
        self.lost += other.lost;
        self.failure = self.failure.take().or(other.failure);
    }
}

pub(super) struct Lane {
    shape: Arc<Shape>,
    /// The place among the connections, which spreads them over an interval.
    index: u16,
    progress: Arc<AtomicU64>,
    /// The times from which the messages under way count, in their order.
    under_way: VecDeque<Instant>,
    tally: Tally,
}

impl Lane {
    pub(super) fn new(shape: Arc<Shape>, index: u16, progress: Arc<AtomicU64>) -> Self {
        Self { shape, index, progress, under_way: VecDeque::new(), tally: Tally::default() }
    }

    /// Whether one thread loads all connections.
    pub(super) fn is_batch(&self) -> bool {
        self.shape.batch
    }

    /// Loads a connection until the end of `window`, calls `measured`, and closes the connection: its thread in the server lives,
    /// and its time counts, until then.
    pub(super) fn run(mut self, mut ws: WebSocket<Client>, window: Window, measured: impl FnOnce()) -> Tally {
        let shape = Arc::clone(&self.shape);
        let result = match shape.interval {
            None => self.saturate(&mut ws, shape.message(), window),
            Some(interval) => self.pace(&mut ws, shape.message(), interval, window),
        };
        match result {
            Ok(()) => {
                measured();
                let _ = ws.close(CloseCode::NORMAL, "");
                self.tally
            }
            Err(failure) => self.lost(failure),
        }
    }

    /// Returns the result of a connection that has ended too early.
    pub(super) fn lost(mut self, failure: Failure) -> Tally {
        self.tally.lost += 1;
        self.tally.failure = Some(failure);
        self.tally
    }

    /// Returns the result of a connection that has lasted.
    pub(super) fn tally(self) -> Tally {
        self.tally
    }

    /// Keeps `depth` messages under way.
    fn saturate(
        &mut self,
        ws: &mut WebSocket<Client>,
        message: Message<'_>,
        window: Window,
    ) -> Result<(), Failure> {
        ws.set_read_timeout(Some(LOOK));
        self.queue_batch(ws, message)?;
        while !self.under_way.is_empty() {
            let now = self.read(ws, message, window)?;
            if now < window.until {
                self.queue(ws, message, now)?;
            }
        }
        Ok(())
    }

    /// Sends `depth` messages.
    pub(super) fn send_batch(&mut self, ws: &mut WebSocket<Client>) -> Result<(), Failure> {
        let shape = Arc::clone(&self.shape);
        self.queue_batch(ws, shape.message())?;
        ws.flush().map_err(|error| Failure::lost(&error))
    }

    /// Reads the echoes of all messages under way.
    pub(super) fn read_batch(&mut self, ws: &mut WebSocket<Client>, window: Window) -> Result<(), Failure> {
        let shape = Arc::clone(&self.shape);
        // A connection that is late does not get further time after the others.
        let left = LATE.saturating_sub(window.until.elapsed());
        ws.set_read_timeout(Some(left.clamp(SHORTEST_LOOK, LOOK)));
        while !self.under_way.is_empty() {
            self.read(ws, shape.message(), window)?;
        }
        Ok(())
    }

    fn queue_batch(&mut self, ws: &mut WebSocket<Client>, message: Message<'_>) -> Result<(), Failure> {
        for _ in 0..self.shape.depth {
            self.queue(ws, message, Instant::now())?;
        }
        Ok(())
    }

    /// Queues a message that counts from the time `from`.
    fn queue(&mut self, ws: &mut WebSocket<Client>, message: Message<'_>, from: Instant) -> Result<(), Failure> {
        self.under_way.push_back(from);
        self.tally.sent += 1;
        ws.queue(message).map_err(|error| Failure::lost(&error))
    }

    /// Reads an echo, and counts it at the time that is returned.
    fn read(
        &mut self,
        ws: &mut WebSocket<Client>,
        message: Message<'_>,
        window: Window,
    ) -> Result<Instant, Failure> {
        loop {
            let is_right = match ws.read() {
                Ok(Some(received)) => received.message == message,
                Ok(None) => return Err(early_end(ws)),
                Err(Error::TimedOut) if window.until.elapsed() < LATE => continue,
                Err(error) => return Err(self.failed(&error)),
            };
            let now = Instant::now();
            self.count(is_right, now, window);
            return Ok(now);
        }
    }

    /// Sends a message at each interval. A message that is late, because `depth` others are under way or the last call took
    /// long, counts from the time that it was due.
    fn pace(
        &mut self,
        ws: &mut WebSocket<Client>,
        message: Message<'_>,
        interval: Duration,
        window: Window,
    ) -> Result<(), Failure> {
        let mut due = window.start + interval * u32::from(self.index) / u32::from(self.shape.connections.max(1));
        while due < window.until || !self.under_way.is_empty() {
            let now = Instant::now();
            while due <= now && due < window.until && self.under_way.len() < self.shape.depth {
                self.queue(ws, message, due)?;
                due += interval;
            }
            let is_next = due < window.until && self.under_way.len() < self.shape.depth;
            let wait = if is_next { due.saturating_duration_since(now) } else { LOOK };
            ws.set_read_timeout(Some(wait.min(LOOK)));
            match ws.read() {
                Ok(Some(received)) => {
                    let is_right = received.message == message;
                    self.count(is_right, Instant::now(), window);
                }
                Ok(None) => return Err(early_end(ws)),
                Err(Error::TimedOut) if window.until.elapsed() < LATE => {}
                Err(error) => return Err(self.failed(&error)),
            }
        }
        Ok(())
    }

    /// Counts an echo that came at `now`.
    fn count(&mut self, is_right: bool, now: Instant, window: Window) {
        let Some(sent) = self.under_way.pop_front() else {
            self.tally.wrong += 1;
            return;
        };
        self.tally.echoed += 1;
        self.tally.wrong += u64::from(!is_right);
        if now < window.from || now >= window.until {
            return;
        }
        let nanoseconds = u64::try_from((now - sent).as_nanos()).unwrap_or(u64::MAX);
        // It grows as needed.
        let _ = self.tally.round_trips.record(nanoseconds);
        self.progress.store(self.tally.round_trips.len(), Ordering::Relaxed);
    }

    fn failed(&self, error: &Error) -> Failure {
        let mut failure = Failure::lost(error);
        if matches!(error, Error::TimedOut) {
            failure.text = format!("{} messages were not echoed: does the server echo?", self.under_way.len());
        }
        failure
    }
}

/// Returns the failure of a connection that the server has closed.
fn early_end(ws: &mut WebSocket<Client>) -> Failure {
    let (code, reason) = ws.close_frame().unwrap_or((CloseCode::NO_STATUS, String::new()));
    Failure::closed(code, &reason).unwrap_or_else(Failure::early)
}
