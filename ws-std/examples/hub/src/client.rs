//! A client: it is read and written to at once, on two threads, and what is said to many is encoded once.

use std::{
    io,
    thread::{self, Thread},
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use ws_std::{
    CloseCode, Exchange, HandlerResult, Message, MessageKind, Prepared, Reader, Writer,
    deflate::{Deflater, Settings},
    role::Server,
};

use crate::watched::Waiter;

pub(crate) const COMPRESSION: Settings = Settings::small();
/// The longest text of a client in bytes.
const LONGEST_TEXT: usize = 8 * 1024;
/// Stack, in bytes, of the thread that writes to a client.
const WRITER_STACK: usize = 128 * 1024;

/// Why a client is sent away.
pub(crate) enum Fault {
    /// It does not keep to the rules.
    Client(CloseCode, &'static str),
    /// The log can't be reached.
    Log(io::Error),
    Connection(ws_std::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Log(error)
    }
}

impl From<ws_std::Error> for Fault {
    fn from(error: ws_std::Error) -> Self {
        Self::Connection(error)
    }
}

/// Accepts a client, and serves it until it leaves or the process ends: `write` on a thread of its own, which waits with
/// the [`Waiter`] that it is given, and `take` for each message on this one.
pub(crate) fn serve(
    exchange: Exchange,
    write: impl FnOnce(&mut Writer<Server>, &Waiter) -> ws_std::Result<()> + Send,
    take: impl FnMut(Message<'_>, &mut Writer<Server>) -> Result<(), Fault>,
) -> HandlerResult {
    let (reader, writer) = exchange.accept()?.split();
    let (waiter, mut to_client) = (Waiter::default(), writer.clone());
    thread::scope(|scope| {
        // If the system has no thread, the connection ends, and the client tries again later.
        let writing = thread::Builder::new().stack_size(WRITER_STACK).spawn_scoped(scope, || {
            let written = write(&mut to_client, &waiter)
                .and_then(|()| to_client.send_close(CloseCode::SERVICE_RESTART, "the server restarts"));
            // After a Close the thread that reads waits for the end. It also reports a failure.
            if written.is_err_and(|error| !error.is_closing()) {
                to_client.abort();
            }
        })?;
        let _leaving = Leaving(&waiter, writing.thread().clone());
        Ok(read(reader, writer, take)?)
    })
}

fn read(
    mut reader: Reader<Server>,
    mut writer: Writer<Server>,
    mut take: impl FnMut(Message<'_>, &mut Writer<Server>) -> Result<(), Fault>,
) -> ws_std::Result<()> {
    while let Some(message) = reader.read()? {
        match take(message, &mut writer) {
            Ok(()) => {}
            // The client has not got its answer, and asks again when it comes back.
            Err(Fault::Connection(error)) if error.is_closing() => {}
            Err(Fault::Connection(error)) => return Err(error),
            Err(Fault::Client(code, reason)) => return reader.close(code, reason).map(drop),
            Err(Fault::Log(error)) => {
                reader.close(CloseCode::TRY_AGAIN_LATER, "the log can't be reached")?;
                return Err(error.into());
            }
        }
    }
    Ok(())
}

/// Ends the thread that writes, also if the one that reads panics.
struct Leaving<'w>(&'w Waiter, Thread);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave(&self.1);
    }
}

/// Returns what a client says, in JSON as `usage` has it.
pub(crate) fn said<M: DeserializeOwned>(message: Message<'_>, usage: &'static str) -> Result<M, Fault> {
    let refused = Fault::Client(CloseCode::POLICY_VIOLATION, usage);
    match message {
        Message::Text(text) if text.len() > LONGEST_TEXT => {
            Err(Fault::Client(CloseCode::MESSAGE_TOO_BIG, "a message has at most 8 KiB"))
        }
        Message::Text(text) => serde_json::from_str(text).map_err(|_| refused),
        Message::Binary(_) => Err(refused),
    }
}

/// A message that is encoded once for many clients: plain, and compressed for those that have agreed on compression.
pub(crate) struct Shared {
    plain: Prepared<Vec<u8>>,
    deflated: Prepared<Vec<u8>>,
}

impl Shared {
    /// Encodes a message. `None`: it is a text that is not UTF-8.
    pub(crate) fn new(kind: MessageKind, payload: Vec<u8>, encoder: &mut Deflater) -> Option<Self> {
        let message = Message::new(kind, &payload).ok()?;
        let deflated = encoder.prepare(message, COMPRESSION.server_max_window_bits);
        Some(Self { plain: Prepared::new(kind, payload).ok()?, deflated })
    }

    /// Queues the message for a client.
    pub(crate) fn queue(&self, writer: &mut Writer<Server>) -> ws_std::Result<()> {
        let message = if writer.is_compressed() { &self.deflated } else { &self.plain };
        writer.queue_prepared(message)
    }
}

/// The rate at which a client may write.
pub(crate) struct Pace {
    /// Messages that may come at once.
    burst: u32,
    /// Time after which another message may come.
    each: Duration,
    /// Time at which a whole burst may come again.
    whole_at: Option<Instant>,
}

impl Pace {
    pub(crate) const fn new(burst: u32, each: Duration) -> Self {
        Self { burst, each, whole_at: None }
    }

    /// Counts a message, and waits until it may come. Meanwhile no other is read, so that the client is slowed down.
    pub(crate) fn wait(&mut self) {
        thread::sleep(self.count(Instant::now()));
    }

    /// Counts a message, and returns how long it has to wait.
    fn count(&mut self, now: Instant) -> Duration {
        let whole_at = self.whole_at.map_or(now, |at| at.max(now)) + self.each;
        self.whole_at = Some(whole_at);
        (whole_at - now).saturating_sub(self.each * self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: u32 = 30;
    const EACH: Duration = Duration::from_millis(100);

    #[test]
    fn a_burst_is_free_and_then_messages_wait() {
        let (mut pace, mut now) = (Pace::new(BURST, EACH), Instant::now());
        for _ in 0..BURST {
            assert_eq!(pace.count(now), Duration::ZERO);
        }
        for _ in 0..3 {
            assert_eq!(pace.count(now), EACH);
            now += EACH;
        }
        now += EACH * BURST;
        for _ in 0..BURST {
            assert_eq!(pace.count(now), Duration::ZERO, "after a pause");
        }
        assert_eq!(pace.count(now), EACH);
    }
}
