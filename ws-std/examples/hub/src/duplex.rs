//! A client that is read and written to at once, on two threads.

use std::thread::{self, Thread};

use serde::de::DeserializeOwned;
use ws_std::{CloseCode, Exchange, HandlerResult, Message, Reader, Writer, role::Server};

use crate::watched::Leave;

/// The longest text of a client in bytes.
const LONGEST_MESSAGE: usize = 8 * 1024;
/// Stack, in bytes, of the thread that writes to a client.
const WRITER_STACK: usize = 128 * 1024;

/// Accepts a client, and serves it until it leaves: `write` on a thread of its own, which waits with the [`Leave`] it is
/// given, and `read` on this one.
pub(crate) fn serve(
    exchange: Exchange,
    write: impl FnOnce(&mut Writer<Server>, &Leave) -> ws_std::Result<()> + Send,
    read: impl FnOnce(Reader<Server>, Writer<Server>) -> ws_std::Result<()>,
) -> HandlerResult {
    let (reader, writer) = exchange.accept()?.split();
    let (leave, mut to_client) = (Leave::default(), writer.clone());
    thread::scope(|scope| {
        // If the system has no thread, the connection ends, and the client tries again later.
        let writing = thread::Builder::new().stack_size(WRITER_STACK).spawn_scoped(scope, || {
            // After a Close the thread that reads waits for the end. It also reports a failure.
            if write(&mut to_client, &leave).is_err_and(|error| !error.is_closing()) {
                to_client.abort();
            }
        })?;
        let _leaving = Leaving(&leave, writing.thread().clone());
        Ok(read(reader, writer)?)
    })
}

/// Reads what a client says. `None`: it has left, or has been sent away because it says something else than `usage`.
pub(crate) fn read<M: DeserializeOwned>(reader: &mut Reader<Server>, usage: &str) -> ws_std::Result<Option<M>> {
    let Some(message) = reader.read()? else { return Ok(None) };
    let (code, reason) = match message {
        Message::Text(text) if text.len() <= LONGEST_MESSAGE => match serde_json::from_str(text) {
            Ok(said) => return Ok(Some(said)),
            Err(_) => (CloseCode::POLICY_VIOLATION, usage),
        },
        Message::Text(_) => (CloseCode::MESSAGE_TOO_BIG, "a message has at most 8 KiB"),
        Message::Binary(_) => (CloseCode::POLICY_VIOLATION, usage),
    };
    reader.close(code, reason)?;
    Ok(None)
}

/// Ends the thread that writes, also if the one that reads panics.
struct Leaving<'l>(&'l Leave, Thread);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave(&self.1);
    }
}
