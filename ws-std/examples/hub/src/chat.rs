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
//! EPOCH is "none" as long as the room has no lines. A client that begins with `epoch=none` gets all lines, if none has been trimmed.

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

/// The most entries that a member is sent at first if the log does not have its place, the newest.
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
            let mut batch = member.patiently(|| member.read(place, MOST_HELD))?;
            if batch.is_reset {
                batch = member.patiently(|| member.read(&Place::default(), NEWEST))?;
            }
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

#[cfg(test)]
mod tests {
    use std::thread;

    use ws_std::{Message, Reader, Server as Listener, connect, role::Client};

    use super::*;
    use crate::log::memory::MemoryLog;

    /// Serves the room "one" of a log with one reader and `before` lines; returns the URL, and a member that writes.
    fn room(rooms: &Arc<Rooms>, before: u64) -> (String, Member) {
        let server = Listener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/?author=ada", server.local_addr().unwrap());
        let (served, member) = (Arc::clone(rooms), enter(rooms, "one").unwrap());
        append(&member, 1..=before);
        thread::spawn(move || server.run(move |exchange| serve(&served, "one", exchange)));
        (url, member)
    }

    fn append(member: &Member, numbers: impl Iterator<Item = u64>) {
        for number in numbers {
            member.append_json("bob", number, &Said::default()).unwrap();
        }
    }

    fn read(reader: &mut Reader<Client>) -> Value {
        let Some(Message::Text(text)) = reader.read().unwrap() else { panic!("no text") };
        serde_json::from_str(text).unwrap()
    }

    /// Reads what a member is told until it is live; returns the epoch's message and the numbers of the lines.
    fn told(reader: &mut Reader<Client>) -> (Value, Vec<u64>) {
        let (first, mut numbers) = (read(reader), Vec::new());
        loop {
            let message = read(reader);
            if message["live"] == true {
                return (first, numbers);
            }
            numbers.push(message["n"].as_u64().unwrap());
        }
    }

    #[test]
    fn a_member_that_came_before_the_first_line_gets_all() {
        let rooms = Rooms::new(Box::new(MemoryLog::default()));
        let (url, member) = room(&rooms, 0);
        let (mut reader, _writer) = connect(&url).unwrap().split();
        let (first, numbers) = told(&mut reader);
        assert_eq!((&first["epoch"], &first["reset"], numbers.len()), (&json!(crate::log::NONE), &json!(true), 0));
        // More lines come than are read at once, before the room is followed.
        append(&member, 1..=200);
        let followed = Arc::clone(&rooms);
        thread::spawn(move || followed.follow());
        let (first, numbers) = told(&mut reader);
        assert_eq!((&first["reset"], numbers), (&json!(false), (1..=200).collect()));
        rooms.end();
    }

    #[test]
    fn a_member_whose_place_is_unknown_gets_the_newest_lines() {
        let rooms = Rooms::new(Box::new(MemoryLog::default()));
        let (url, _member) = room(&rooms, 200);
        for place in ["", "&epoch=other&at=1-1"] {
            let (mut reader, _writer) = connect(&format!("{url}{place}")).unwrap().split();
            let (first, numbers) = told(&mut reader);
            assert_eq!(
                (&first["reset"], numbers),
                (&json!(true), (201 - NEWEST as u64..=200).collect()),
                "{place}"
            );
        }
        rooms.end();
    }
}
