//! Chat: what was acknowledged reaches every client that resumes, once and in one order.
//!
//! A client opens `/chat/ROOM?author=ID&name=NAME` and sends `{"n":NUMBER,"text":TEXT}`, with numbers that grow, below 2^53. The answer
//! `{"ack":NUMBER}` says that the log has the line. A client that gets none, because a connection or a process has ended,
//! sends the line again with the same number: the log appends a number once.
//!
//! The first message to a client is `{"epoch":EPOCH,"reset":BOOL,"you":AUTHOR}`, and then come the lines of all authors:
//! `{"at":POSITION,"by":AUTHOR,"n":NUMBER,"name":NAME,"text":TEXT}`. The ID is a secret, which AUTHOR does not tell. A client that comes back with `&epoch=EPOCH&at=POSITION`
//! gets the lines after that position. If the log does not have it any more, or not yet again, `reset` is true, the client
//! drops the lines it shows, and the newest ones follow. `{"live":true}` says that the client has all lines there are.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ws_std::{CloseCode, Exchange, HandlerResult, MessageKind, Writer, role::Server};

use crate::{
    client::{self, Fault, Pace},
    log::{Entry, Place},
    rooms::{Member, Output, Rooms},
    text::{author_in, name_in, place_in, plain, shown},
};

/// The most entries that a member without a place is sent at first, the newest.
const NEWEST: usize = 50;
/// The most entries that are in memory until a slow member has taken them.
const MOST_HELD: usize = 8;
/// The greatest number of a line that all clients can hold: some have floating-point numbers only.
const GREATEST: u64 = (1 << 53) - 1;
const USAGE: &str = r#"a line is {"n":NUMBER,"text":TEXT}"#;

/// A message of a client.
#[derive(Deserialize)]
struct Say {
    n: u64,
    text: String,
}

/// The payload of an entry.
#[derive(Default, Deserialize, Serialize)]
struct Said {
    name: String,
    text: String,
}

/// Returns the message of an entry for clients.
pub(crate) fn message_of(entry: &Entry) -> Value {
    let Said { name, text } = serde_json::from_slice(&entry.payload).unwrap_or_default();
    let (at, by) = (entry.position.to_string(), shown(&entry.author));
    json!({ "at": at, "by": by, "n": entry.number, "name": name, "text": text })
}

/// Enters the room of a chat.
pub(crate) fn enter(rooms: &Arc<Rooms>, name: &str) -> Option<Member> {
    rooms.enter(&format!("chat/{name}"), |entry| {
        Some((MessageKind::Text, message_of(entry).to_string().into_bytes()))
    })
}

/// Serves a member of a room until it leaves.
#[inline(never)]
pub(crate) fn serve(rooms: &Arc<Rooms>, room: &str, exchange: Exchange) -> HandlerResult {
    let (name, place) = (name_in(exchange.query()), place_in(exchange.query()));
    let Some(author) = author_in(exchange.query()) else { return Ok(exchange.refuse(400)?) };
    let Some(member) = enter(rooms, room) else { return Ok(exchange.refuse(503)?) };
    let mut pace = Pace::new(30, Duration::from_millis(100));
    client::serve(
        exchange,
        |writer, waiter| {
            let mut lines = Lines { you: shown(&author), told: None, is_live: false };
            member.write(writer, waiter, place, &mut lines)
        },
        |message, writer| {
            let Say { n, text } = client::said(message, USAGE)?;
            if n > GREATEST {
                return Err(Fault::Client(CloseCode::POLICY_VIOLATION, USAGE));
            }
            pace.wait();
            let said = Said { name: name.clone(), text: plain(&text) };
            member.patiently(|| member.append_json(&author, n, &said))?;
            Ok(writer.send(&*json!({ "ack": n }).to_string())?)
        },
    )
}

/// A room's lines as they are sent to a member.
struct Lines {
    /// The name under which others see the member.
    you: String,
    /// The epoch that the member has been told.
    told: Option<String>,
    is_live: bool,
}

impl Output for Lines {
    /// Sends the rest of the log, and before its entries the epoch if it is new to the member.
    fn catch_up(&mut self, member: &Member, writer: &mut Writer<Server>, place: &mut Place) -> ws_std::Result<()> {
        let mut is_whole = false;
        while !is_whole {
            let most = if place.epoch.is_empty() { NEWEST } else { MOST_HELD };
            let mut batch = member.patiently(|| member.read(place, most))?;
            batch.entries.truncate(MOST_HELD);
            is_whole = batch.entries.len() < MOST_HELD;
            if let (false, Some(last)) = (is_whole, batch.entries.last()) {
                batch.end.position = last.position;
            }
            if batch.is_reset || self.told.as_ref() != Some(&batch.end.epoch) {
                let told = json!({ "epoch": batch.end.epoch, "reset": batch.is_reset, "you": self.you });
                writer.queue(&*told.to_string())?;
                self.told = Some(batch.end.epoch.clone());
                self.is_live = false;
            }
            // One by one: a slow member holds one of them.
            batch.entries.iter().try_for_each(|entry| writer.send(&*message_of(entry).to_string()))?;
            *place = batch.end;
        }
        if !self.is_live {
            self.is_live = true;
            writer.queue(r#"{"live":true}"#)?;
        }
        Ok(())
    }
}
