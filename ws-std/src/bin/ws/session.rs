//! The state that the threads of a client share, and its connections.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use ws_std::{
    CloseCode, ConnectError, Control, Counters, Event, Message, Reader, WebSocket, Writer,
    proto::driver::{Backoff, Tries},
    role::Client,
};

use crate::{
    arguments::{Common, Messages},
    connecting::{Dialler, shown},
    failure::{Failure, closing},
    output::{Form, Output},
    plain::escaped,
};

/// The start of the payload of our Pings. Pongs without it answer others.
const PING: &[u8; 2] = b"ws";

/// The longest pauses before the first try to connect again, and before any: shorter than the library's, because few people
/// sit at a terminal.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Sends all input.
pub(crate) type Feed = Box<dyn FnOnce(&Session) + Send>;

/// The state of a client that its threads share.
pub(crate) struct Session {
    pub(crate) output: Output,
    state: Mutex<State>,
    changed: Condvar,
    started: Instant,
    exit_after: Option<u64>,
    verbose: bool,
}

struct State {
    /// The current connection; `None` while there is none.
    writer: Option<Writer<Client>>,
    /// Counts the connections.
    generation: u64,
    stage: Stage,
    /// The time of the last message.
    heard: Instant,
    received: Payload,
    sent: Payload,
    /// A failure of this side that has closed the connection.
    failure: Option<Failure>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// The end of input asked for the end: a lost connection may have lost messages.
    Closing,
    /// The user, an option or a failure of this side asked for the end, however it comes.
    Leaving,
    /// The last connection has ended.
    Over,
}

/// Messages before compression.
#[derive(Clone, Copy, Default)]
struct Payload {
    messages: u64,
    len: u64,
}

impl Payload {
    fn count(&mut self, message: Message<'_>) {
        self.messages += 1;
        self.len += u64::try_from(message.as_bytes().len()).unwrap_or(u64::MAX);
    }
}

impl Session {
    pub(crate) fn new(common: &Common, messages: &Messages) -> Self {
        let form =
            Form { escape: true, json: messages.json, raw: messages.binary, timestamps: messages.timestamps };
        let started = Instant::now();
        Self {
            output: Output::new(form, common.quiet),
            state: Mutex::new(State {
                writer: None,
                generation: 0,
                stage: Stage::Running,
                heard: started,
                received: Payload::default(),
                sent: Payload::default(),
                failure: None,
            }),
            changed: Condvar::new(),
            started,
            exit_after: messages.exit_after,
            verbose: common.verbose,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects, once more after each end that another try may mend if the user wants that.
    pub(crate) fn connect_again(
        self: &Arc<Self>,
        dialler: &Dialler,
        url: &str,
        reconnect: bool,
        input: &mut Option<Feed>,
    ) -> Result<(), Failure> {
        let mut backoff = Backoff::new();
        (backoff.first, backoff.longest) = PAUSES;
        let mut tries = Tries::new();
        tries.set_backoff(backoff);
        loop {
            let (failure, pause) = match self.open(dialler, url) {
                Ok(ws) => {
                    tries.opened(Instant::now());
                    let end = self.follow(ws, input);
                    let now = Instant::now();
                    let pause = tries.due(now).map_or(Duration::ZERO, |due| due - now);
                    match end {
                        Err(failure) if failure.is_transient => (failure, Some(pause)),
                        end => return end,
                    }
                }
                Err(error) => {
                    let failure = Failure::connect(url, &error);
                    (failure, tries.failed(&error.into(), Instant::now()))
                }
            };
            let Some(pause) = pause.filter(|_| reconnect) else { return Err(failure) };
            self.output.status(&format!("{}; trying again in {:.1} s", failure.text, pause.as_secs_f64()));
            if !self.pause(pause) {
                return Ok(());
            }
        }
    }

    fn open(&self, dialler: &Dialler, url: &str) -> Result<WebSocket<Client>, ConnectError> {
        let mut fields = Vec::new();
        let opened = dialler.with(|connector| {
            connector.connect_with(url, |answer| {
                let shown = |(name, value): (&str, &[u8])| {
                    format!("{}: {}", escaped(name), escaped(&String::from_utf8_lossy(value)))
                };
                fields.extend(answer.headers().map(shown));
            })
        });
        let mut ws = opened?;
        let subprotocol = ws.subprotocol().map(|name| format!("subprotocol {}", escaped(name)));
        let compressed = ws.is_compressed().then(|| "compressed".to_owned());
        let details: Vec<_> = subprotocol.into_iter().chain(compressed).collect();
        let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
        self.output.status(&format!("connected to {}{details}", shown(url)));
        if self.verbose {
            fields.iter().for_each(|field| self.output.status(field));
        }
        Ok(ws)
    }

    /// Reads and prints until the connection ends. The first connection starts the input.
    fn follow(self: &Arc<Self>, ws: WebSocket<Client>, input: &mut Option<Feed>) -> Result<(), Failure> {
        let (mut reader, writer) = ws.split();
        let mut state = self.state();
        state.writer = Some(writer);
        state.generation += 1;
        state.heard = Instant::now();
        drop(state);
        self.changed.notify_all();
        if let Some(input) = input.take() {
            let session = Arc::clone(self);
            thread::spawn(move || input(&session));
        }
        let end = self.read(&mut reader);
        self.state().writer = None;
        if self.verbose {
            self.report(reader.counters());
        }
        let stage = self.state().stage;
        if let (Err(failure), Stage::Leaving) = (&end, stage) {
            self.output.status(&failure.text);
            return Ok(());
        }
        let close = end?;
        if stage != Stage::Running {
            return Ok(());
        }
        let (code, reason) = close.unwrap_or((CloseCode::NO_STATUS, String::new()));
        if let Some(failure) = Failure::closed(code, &reason) {
            return Err(failure);
        }
        self.output.status(&format!("closed by the server: {}", closing(code, &reason)));
        // A server that goes down comes back: with `--reconnect` this is no end.
        let is_transient = code == CloseCode::GOING_AWAY;
        if is_transient { Err(Failure::going_away()) } else { Ok(()) }
    }

    fn read(&self, reader: &mut Reader<Client>) -> Result<Option<(CloseCode, String)>, Failure> {
        loop {
            match reader.read_event() {
                Ok(Some(Event::Data(message))) => self.receive(message)?,
                Ok(Some(Event::Control(Control::Pong))) => self.pong(reader.control_payload().as_ref()),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(reader.close_frame()),
                Err(error) => return Err(Failure::lost(&error)),
            }
        }
    }

    fn receive(&self, message: Message<'_>) -> Result<(), Failure> {
        let mut state = self.state();
        if self.exit_after.is_some_and(|most| state.received.messages >= most) {
            return Ok(());
        }
        state.received.count(message);
        state.heard = Instant::now();
        let is_last = self.exit_after == Some(state.received.messages);
        drop(state);
        match self.output.message(message) {
            Ok(()) if !is_last => {}
            Ok(()) => _ = self.leave(CloseCode::NORMAL, ""),
            // The reader of a pipe has all that it wants.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => _ = self.leave(CloseCode::NORMAL, ""),
            Err(error) => return Err(Failure::local("standard output", &error)),
        }
        Ok(())
    }

    fn pong(&self, payload: &[u8]) {
        let sent = payload.strip_prefix(PING).and_then(|sent| sent.try_into().ok()).map(u64::from_be_bytes);
        if let Some(sent) = sent {
            let took = self.started.elapsed().saturating_sub(Duration::from_nanos(sent));
            self.output.status(&format!("pong after {:.3} ms", took.as_secs_f64() * 1e3));
        }
    }

    fn report(&self, counters: Counters) {
        let state = self.state();
        for (name, payload, traffic) in
            [("sent", state.sent, counters.sent), ("received", state.received, counters.received)]
        {
            let ratio = match traffic.payload_len * 100 / payload.len.max(1) {
                percent if percent < 100 && payload.len > 0 => format!(", {percent} %"),
                _ => String::new(),
            };
            let line = format!(
                "{name} {} of {}; on the wire {} of {}{ratio}",
                counted(payload.messages, "message"),
                counted(payload.len, "byte"),
                counted(traffic.frames, "frame"),
                counted(traffic.payload_len, "byte"),
            );
            self.output.status(&line);
        }
    }

    /// Returns the first connection after `generation`, and waits for it. `None`: there will be none.
    fn writer_after(&self, generation: u64) -> Option<(u64, Writer<Client>)> {
        let mut state = self.state();
        loop {
            match &state.writer {
                _ if state.stage != Stage::Running => return None,
                Some(writer) if state.generation > generation => return Some((state.generation, writer.clone())),
                _ => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Sends a message: by the next connection, if this one fails. Returns whether it was sent.
    pub(crate) fn send<'m>(&self, message: impl Into<Message<'m>>) -> bool {
        let message = message.into();
        let mut failed = 0;
        while let Some((generation, mut writer)) = self.writer_after(failed) {
            if writer.send(message).is_ok() {
                self.state().sent.count(message);
                return true;
            }
            // The thread that reads reports the error.
            failed = generation;
        }
        false
    }

    /// Sends a Ping on the current connection. Returns whether the session goes on.
    pub(crate) fn ping(&self) -> bool {
        let Some((_, mut writer)) = self.writer_after(0) else {
            return false;
        };
        let sent = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut payload = PING.to_vec();
        payload.extend(sent.to_be_bytes());
        // The thread that reads reports an error.
        let _ = writer.ping(&payload);
        true
    }

    pub(crate) fn send_pings(&self, interval: Duration) {
        while self.ping() && self.pause(interval) {}
    }

    /// Waits. Returns whether the session goes on.
    fn pause(&self, time: Duration) -> bool {
        let state = self.state();
        let running = |state: &mut State| state.stage == Stage::Running;
        let (state, _) =
            self.changed.wait_timeout_while(state, time, running).unwrap_or_else(PoisonError::into_inner);
        state.stage == Stage::Running
    }

    /// Waits after the end of input until the server has been silent for `wait`, and closes.
    pub(crate) fn close_after_silence(&self, wait: Duration) {
        let asked = Instant::now();
        loop {
            let heard = self.state().heard.max(asked);
            let left = wait.saturating_sub(heard.elapsed());
            if left.is_zero() {
                self.begin_end(Stage::Closing, CloseCode::NORMAL, "");
                return;
            }
            if !self.pause(left) {
                return;
            }
        }
    }

    /// Ends the session, whatever the server does. Returns whether its end had not begun before.
    pub(crate) fn leave(&self, code: CloseCode, reason: &str) -> bool {
        self.begin_end(Stage::Leaving, code, reason)
    }

    fn begin_end(&self, stage: Stage, code: CloseCode, reason: &str) -> bool {
        let mut state = self.state();
        if state.stage != Stage::Running {
            return false;
        }
        state.stage = stage;
        let writer = state.writer.clone();
        drop(state);
        self.changed.notify_all();
        if let Some(mut writer) = writer {
            // The thread that reads reports an error.
            let _ = writer.send_close(code, reason);
        }
        true
    }

    /// Begins the end because of a failure of this side.
    pub(crate) fn fail(&self, failure: Failure) {
        self.state().failure.get_or_insert(failure);
        self.leave(CloseCode::NORMAL, "");
    }

    /// Closes the connection at the first Ctrl-C, and ends the process if there is none or at the second.
    pub(crate) fn interrupt(&self) {
        let is_connected = self.state().writer.is_some();
        if !is_connected || !self.leave(CloseCode::NORMAL, "") {
            // The status that a shell gives an interrupted program.
            std::process::exit(130);
        }
    }

    /// Ends all threads, and shows what is still to be shown. Returns a failure of this side.
    pub(crate) fn end(&self) -> Option<Failure> {
        self.state().stage = Stage::Over;
        self.changed.notify_all();
        self.output.finish();
        self.state().failure.take()
    }
}

fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
