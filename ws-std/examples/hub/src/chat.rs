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

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::json;
use ws_std::{CloseCode, Error, Exchange, HandlerResult, Reader, Writer, proto::SendError, role::Server};

use crate::{
    duplex,
    log::{Batch, Entry, Place},
    pace::Pace,
    poll::place_in,
    room::{Line, Next},
    rooms::{Member, Rooms},
    text::{is_key, name_in, plain, shown, value_of},
    watched::Leave,
};

/// The most entries that a member without a place is sent at first, the newest.
const NEWEST: usize = 50;
/// The most entries that are read from the log at once later. They are in memory until a slow member has taken them.
const MOST_HELD: usize = 16;

/// A message of a client.
#[derive(Deserialize)]
struct Say {
    #[serde(deserialize_with = "number")]
    n: u64,
    text: String,
}

/// Numbers are such as all clients can hold.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(from)?;
    if number < 1 << 53 { Ok(number) } else { Err(D::Error::custom("a number is below 2^53")) }
}

/// The payload of an entry.
#[derive(Deserialize, Serialize)]
struct Said {
    name: String,
    text: String,
}

/// Returns the message of an entry for clients.
pub(crate) fn text_of(entry: &Entry) -> String {
    let said = serde_json::from_str(&entry.payload).unwrap_or(Said { name: String::new(), text: String::new() });
    let by = shown(&entry.author);
    json!({ "at": entry.position.to_string(), "by": by, "n": entry.number, "name": said.name, "text": said.text })
        .to_string()
}

/// Serves a member of a room until it leaves.
pub(crate) fn serve(rooms: &Arc<Rooms>, name: &str, exchange: Exchange) -> HandlerResult {
    let query = exchange.query();
    let (author, place) = (value_of(query, "author").unwrap_or_default(), place_in(query));
    if !is_key(&author) || !is_key(name) {
        return Ok(exchange.refuse(400)?);
    }
    let Some(member) = rooms.enter(&format!("chat/{name}")) else {
        return Ok(exchange.refuse(503)?);
    };
    let name = name_in(query);
    duplex::serve(
        exchange,
        |writer, leave| {
            Output { member: &member, writer, place, you: shown(&author), told: None, is_live: false }.run(leave)
        },
        |reader, writer| read(&member, reader, writer, &author, &name),
    )
}

/// Appends what a member says to the log.
fn read(
    member: &Member,
    mut reader: Reader<Server>,
    mut writer: Writer<Server>,
    author: &str,
    name: &str,
) -> ws_std::Result<()> {
    let mut pace = Pace::new(30, Duration::from_millis(100));
    while let Some(Say { n, text }) = duplex::read(&mut reader, r#"a line is {"n":NUMBER,"text":TEXT}"#)? {
        thread::sleep(pace.line(Instant::now()));
        let said = Said { name: name.into(), text: plain(&text) };
        let payload = serde_json::to_string(&said).map_err(io::Error::other)?;
        if let Err(error) = member.patiently(|| member.append(author, n, &payload)) {
            reader.close(CloseCode::TRY_AGAIN_LATER, "the log can't be reached")?;
            return Err(io::Error::other(error).into());
        }
        match writer.send(&*json!({ "ack": n }).to_string()) {
            // The client sends the line again.
            Err(Error::Send(SendError::Closing)) => {}
            sent => sent?,
        }
    }
    Ok(())
}

/// Writes a room's lines to a member.
struct Output<'m> {
    member: &'m Member,
    writer: &'m mut Writer<Server>,
    place: Place,
    /// The name under which others see the member.
    you: String,
    /// The epoch that the member has been told.
    told: Option<String>,
    is_live: bool,
}

impl Output<'_> {
    fn run(mut self, leave: &Leave) -> ws_std::Result<()> {
        // The first lines come from the log, which knows whether it has the place.
        let mut next = Some(Next::Read);
        while let Some(step) = next {
            let is_whole = match step {
                Next::Lines(lines) => {
                    self.send_lines(&lines)?;
                    true
                }
                Next::Read => self.read_on()?,
                Next::AtEnd => {
                    self.is_live = true;
                    self.writer.send(r#"{"live":true}"#)?;
                    true
                }
                Next::End => return self.writer.send_close(CloseCode::SERVICE_RESTART, "the server restarts"),
            };
            next = match (is_whole, self.is_live) {
                (false, _) => Some(Next::Read),
                (true, false) => self.member.room.next_or_end(&self.place, leave),
                (true, true) => self.member.room.next(&self.place, None, Some(leave)),
            };
        }
        Ok(())
    }

    /// Sends what the log has after the place. Returns whether that was all.
    fn read_on(&mut self) -> ws_std::Result<bool> {
        let most = if self.place.epoch.is_empty() { NEWEST } else { MOST_HELD };
        let batch = self.member.catch_up(&self.place, most).map_err(io::Error::other)?;
        self.send_batch(&batch)?;
        Ok(batch.entries.len() < most)
    }

    fn send_lines(&mut self, lines: &[Arc<Line>]) -> ws_std::Result<()> {
        for line in lines {
            line.message.queue(self.writer)?;
            self.place.position = line.entry.position;
        }
        self.writer.flush()
    }

    /// Sends entries of the log, and before them the epoch if it is new to the member.
    fn send_batch(&mut self, batch: &Batch) -> ws_std::Result<()> {
        if batch.is_reset || self.told.as_ref() != Some(&batch.epoch) {
            self.writer
                .queue(&*json!({ "epoch": batch.epoch, "reset": batch.is_reset, "you": self.you }).to_string())?;
            self.told = Some(batch.epoch.clone());
            self.is_live = false;
        }
        for entries in batch.entries.chunks(MOST_HELD) {
            entries.iter().try_for_each(|entry| self.writer.queue(&*text_of(entry)))?;
            self.writer.flush()?;
        }
        self.place = Place { epoch: batch.epoch.clone(), position: batch.end };
        self.writer.flush()
    }
}
