//! Document: many edit one text at once, by the protocol of Yjs, so that clients of `y-websocket` connect as they are.
//!
//! A client opens `/doc/ROOM` and both sides speak the messages of `y-protocols`: sync (what each has, and what the other
//! misses) and awareness (cursors and names). An edit is an *update* of Yjs. Updates commute and may come twice, so a
//! client that is cut off brings what it has written to whichever process it meets next.
//!
//! Updates and awareness go through the log. A process has the document in memory while it has clients, made from the log
//! alone. When many updates have come since the last *snapshot*, the document as it is becomes an entry, and the
//! entries that it stands for are trimmed. If the log has lost something, a process that has it appends it again, as an
//! update.

use std::{
    collections::HashMap,
    io, mem,
    sync::{Arc, Mutex, MutexGuard, Weak},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use ws_std::{CloseCode, Exchange, HandlerResult, Message, Reader, Writer, role::Server};
use yrs::{
    ClientID,
    sync::{AwarenessUpdate, Message as YMessage, SyncMessage, awareness::AwarenessUpdateEntry},
    updates::{decoder::Decode, encoder::Encode},
};

use crate::{
    duplex, lock,
    log::{Batch, Entry, LogError, MOST_ENTRIES, Place, now_millis},
    pace::Pace,
    replica::{Effect, LONGEST, Replica, is_plausible},
    room::Next,
    rooms::{MOST_READ, Member, PAUSE, Rooms},
    text::is_key,
    watched::Leave,
};

/// Entries, bytes of them, and milliseconds after which a document becomes a snapshot. They are less than what a log keeps.
const SNAPSHOT_ENTRIES: usize = 500;
const SNAPSHOT_BYTES: usize = 512 * 1024;
const SNAPSHOT_MILLIS: u64 = 60 * 60 * 1_000;
/// Milliseconds after which a client that has not renewed its awareness is taken for gone, as in `y-protocols`.
const AWARE_MILLIS: u64 = 30_000;
/// The most clients of a document whose awareness is kept, the most of one connection, and the longest awareness in bytes.
const MOST_AWARE: usize = 1_000;
const MOST_CONTROLLED: usize = 8;
const LONGEST_AWARENESS: usize = 1024;

/// The payload of an entry, in Base64.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Payload {
    /// A message for all clients.
    Message(String),
    /// An update that stands for all entries before it which the process that has made it had read.
    Snapshot(String),
}

/// The documents that have clients.
#[derive(Default)]
pub(crate) struct Documents(Mutex<HashMap<String, Weak<Document>>>);

impl Documents {
    fn open(&self, room: &str) -> Arc<Document> {
        let mut documents = lock(&self.0);
        if let Some(document) = documents.get(room).and_then(Weak::upgrade) {
            return document;
        }
        documents.retain(|_, document| document.strong_count() > 0);
        let document = Arc::new(Document::default());
        documents.insert(room.to_owned(), Arc::downgrade(&document));
        document
    }
}

/// A document as the log has it, and who looks at it.
#[derive(Default)]
struct Document(Mutex<State>);

#[derive(Default)]
struct State {
    replica: Replica,
    /// The newest awareness of each client, and when it came.
    aware: HashMap<ClientID, (u64, AwarenessUpdateEntry)>,
    /// Where the log has been read to.
    place: Place,
    /// Since the last snapshot: entries, bytes, and the time of the first one if there is any.
    entries: usize,
    bytes: usize,
    since: Option<u64>,
    /// The log has lost what this process has.
    is_ahead: bool,
    /// The bytes of updates that are being appended.
    coming: usize,
}

impl Document {
    /// Locks the document, with what has come.
    fn follow(&self, member: &Member) -> Result<MutexGuard<'_, State>, LogError> {
        let mut state = lock(&self.0);
        loop {
            // The first entries of all are all that the log has: a snapshot is among them.
            let most = if state.place.epoch.is_empty() { MOST_ENTRIES } else { MOST_READ };
            let batch = member.news(&state.place, most)?;
            let is_last = batch.entries.is_empty() || batch.is_reset;
            if batch.is_reset && !state.place.epoch.is_empty() {
                state.merge(member)?;
            } else {
                state.take(batch)?;
            }
            if is_last {
                return Ok(state);
            }
        }
    }
}

impl State {
    /// Takes entries. Those of another program are ignored.
    fn take(&mut self, batch: Batch) -> Result<(), LogError> {
        let mut updates = Vec::new();
        for entry in &batch.entries {
            let millis = entry.position.millis;
            self.entries += 1;
            self.bytes += entry.payload.len();
            self.since.get_or_insert(millis);
            match payload_in(entry) {
                Some((Kind::Message, bytes)) => match YMessage::decode_v1(&bytes) {
                    Ok(YMessage::Sync(SyncMessage::Update(update))) => updates.push(update),
                    Ok(YMessage::Awareness(update)) => self.notice(update, millis),
                    _ => {}
                },
                Some((Kind::Snapshot, update)) => {
                    (self.entries, self.bytes, self.since) = (0, 0, Some(millis));
                    updates.push(update);
                }
                None => {}
            }
        }
        self.replica.take(&updates)?;
        self.place = Place { epoch: batch.epoch, position: batch.end };
        Ok(())
    }

    /// Reads a log that does not have this process's place, and adds what this process has.
    fn merge(&mut self, member: &Member) -> Result<(), LogError> {
        let mut fresh = Self::default();
        fresh.take(member.read(&Place::default(), MOST_ENTRIES)?)?;
        let known = self.replica.whole()?;
        fresh.is_ahead = fresh.replica.try_on_copy(&known, usize::MAX)? != Effect::Nothing;
        fresh.coming = self.coming;
        fresh.replica.take(&[known])?;
        for (client, (millis, entry)) in mem::take(&mut self.aware) {
            fresh.notice(AwarenessUpdate { clients: [(client, entry)].into() }, millis);
        }
        *self = fresh;
        Ok(())
    }

    fn notice(&mut self, update: AwarenessUpdate, millis: u64) {
        self.aware.retain(|_, (seen, _)| *seen + AWARE_MILLIS > millis);
        for (client, entry) in update.clients {
            if self.is_news(client, &entry) && (self.aware.len() < MOST_AWARE || self.aware.contains_key(&client))
            {
                self.aware.insert(client, (millis, entry));
            }
        }
    }

    /// Returns whether a client's awareness is newer than what is known of it. Clients repeat what they are told.
    fn is_news(&self, client: ClientID, entry: &AwarenessUpdateEntry) -> bool {
        self.aware.get(&client).is_none_or(|(_, known)| {
            entry.clock > known.clock || entry.clock == known.clock && is_gone(entry) && !is_gone(known)
        })
    }

    /// Returns who looks at the document, and who has gone: one of these that has come back says so then.
    fn awareness(&self) -> YMessage {
        let oldest = now_millis().saturating_sub(AWARE_MILLIS);
        let recent = self.aware.iter().filter(|(_, (seen, _))| *seen > oldest);
        let clients = recent.map(|(client, (_, entry))| (*client, entry.clone())).collect();
        YMessage::Awareness(AwarenessUpdate { clients })
    }

    /// Appends what the log has lost, or a snapshot if it is time for one. If the log can't be reached, the next client does
    /// it.
    fn keep(&mut self, member: &Member) -> Result<(), LogError> {
        if self.is_ahead {
            let update = YMessage::Sync(SyncMessage::Update(self.replica.whole()?));
            append(member, &new_author(), 1, &payload_of(&update))?;
            self.is_ahead = false;
        }
        let is_old = self.since.is_some_and(|since| now_millis().saturating_sub(since) > SNAPSHOT_MILLIS);
        if is_old || self.entries >= SNAPSHOT_ENTRIES || self.bytes >= SNAPSHOT_BYTES {
            // A process that follows the log does not take it: it stands for entries that the process has taken.
            let payload = Payload::Snapshot(BASE64_STANDARD.encode(self.replica.whole()?));
            append(member, &new_author(), 1, &payload)?;
            member.trim(self.place.position)?;
            (self.entries, self.bytes, self.since) = (0, 0, Some(now_millis()));
        }
        Ok(())
    }
}

fn is_gone(entry: &AwarenessUpdateEntry) -> bool {
    &*entry.json == "null"
}

enum Kind {
    Message,
    Snapshot,
}

/// Returns the payload of an entry. `None`: it is that of another program.
fn payload_in(entry: &Entry) -> Option<(Kind, Vec<u8>)> {
    let (kind, text) = match serde_json::from_str(&entry.payload).ok()? {
        Payload::Message(text) => (Kind::Message, text),
        Payload::Snapshot(text) => (Kind::Snapshot, text),
    };
    Some((kind, BASE64_STANDARD.decode(text).ok()?))
}

/// Returns a name under which one connection, or one snapshot, is an author of the log.
fn new_author() -> String {
    format!("{:016x}", fastrand::u64(..))
}

fn append(member: &Member, author: &str, number: u64, payload: &Payload) -> Result<(), LogError> {
    let payload = serde_json::to_string(payload).map_err(|error| LogError(error.into()))?;
    member.append(author, number, &payload).map(drop)
}

/// Returns the message of an entry for clients. `None`: it is a snapshot, which they have.
pub(crate) fn message_of(entry: &Entry) -> Option<Vec<u8>> {
    match payload_in(entry)? {
        (Kind::Message, message) => Some(message),
        (Kind::Snapshot, _) => None,
    }
}

/// Serves a client of a document until it leaves.
pub(crate) fn serve(documents: &Documents, rooms: &Arc<Rooms>, room: &str, exchange: Exchange) -> HandlerResult {
    if !is_key(room) {
        return Ok(exchange.refuse(400)?);
    }
    let Some(member) = rooms.enter(&format!("doc/{room}")) else {
        return Ok(exchange.refuse(503)?);
    };
    let document = documents.open(room);
    duplex::serve(
        exchange,
        |writer, leave| write(&document, &member, writer, leave),
        |reader, writer| {
            let (author, number, controlled) = (new_author(), 0, HashMap::new());
            let mut editor = Editor { document: &document, member: &member, writer, author, number, controlled };
            let result = editor.read(reader);
            editor.leave();
            result
        },
    )
}

/// Writes to a client what all clients write. One that is slow, or new, gets the document as it is.
fn write(document: &Document, member: &Member, writer: &mut Writer<Server>, leave: &Leave) -> ws_std::Result<()> {
    let (mut place, mut is_new) = (Place::default(), true);
    let mut next = Some(Next::Read);
    while let Some(step) = next {
        match step {
            Next::Lines(lines) => {
                for line in &lines {
                    line.message.queue(writer)?;
                }
                place.position = lines.last().map_or(place.position, |line| line.entry.position);
            }
            Next::Read => {
                let mut state = member.patiently(|| document.follow(member)).map_err(io::Error::other)?;
                // If the log can't be reached, the next client does it.
                let _ = state.keep(member);
                if place == state.place {
                    // The thread that follows the log will soon have read it as well.
                    drop(state);
                    thread::sleep(PAUSE);
                } else {
                    place = state.place.clone();
                    // A new client asks for what it misses. All are asked for what the log may have lost.
                    if !mem::take(&mut is_new) {
                        let whole = state.replica.whole().map_err(io::Error::other)?;
                        writer.queue(&*YMessage::Sync(SyncMessage::Update(whole)).encode_v1())?;
                    }
                    let asked = SyncMessage::SyncStep1(state.replica.state_vector());
                    let awareness = state.awareness();
                    drop(state);
                    writer.queue(&*YMessage::Sync(asked).encode_v1())?;
                    writer.queue(&*awareness.encode_v1())?;
                }
            }
            Next::End => return writer.send_close(CloseCode::SERVICE_RESTART, "the server restarts"),
            Next::AtEnd => {}
        }
        writer.flush()?;
        next = member.room.next(&place, None, Some(leave));
    }
    Ok(())
}

/// A client that edits.
struct Editor<'c> {
    document: &'c Document,
    member: &'c Member,
    writer: Writer<Server>,
    author: String,
    /// The number of its last entry.
    number: u64,
    /// The clients of Yjs whose awareness came by this connection, and their clocks.
    controlled: HashMap<ClientID, u32>,
}

/// Why a client is sent away.
enum Fault {
    Malformed,
    TooLong,
    Log(LogError),
    Connection(ws_std::Error),
}

impl Editor<'_> {
    fn read(&mut self, mut reader: Reader<Server>) -> ws_std::Result<()> {
        let mut pace = Pace::new(100, Duration::from_millis(20));
        while let Some(message) = reader.read()? {
            let done = match message {
                Message::Binary(bytes) => self.take(bytes, &mut pace),
                Message::Text(_) => Err(Fault::Malformed),
            };
            let (code, reason) = match done {
                Ok(()) => continue,
                Err(Fault::Malformed) => (CloseCode::POLICY_VIOLATION, "no message of y-protocols"),
                Err(Fault::TooLong) => (CloseCode::MESSAGE_TOO_BIG, "the document is full"),
                Err(Fault::Log(_)) => (CloseCode::TRY_AGAIN_LATER, "the log can't be reached"),
                Err(Fault::Connection(error)) => return Err(error),
            };
            reader.close(code, reason)?;
            return match done {
                Err(Fault::Log(error)) => Err(io::Error::other(error).into()),
                _ => Ok(()),
            };
        }
        Ok(())
    }

    /// Takes a message of `y-protocols`.
    fn take(&mut self, bytes: &[u8], pace: &mut Pace) -> Result<(), Fault> {
        if !is_plausible(bytes) {
            return Err(Fault::Malformed);
        }
        match YMessage::decode_v1(bytes).map_err(|_| Fault::Malformed)? {
            YMessage::Sync(SyncMessage::SyncStep1(seen)) => {
                thread::sleep(pace.line(Instant::now()));
                let missed = self.with(|state| state.replica.missed_by(&seen))?;
                self.send(&YMessage::Sync(SyncMessage::SyncStep2(missed)))
            }
            YMessage::Sync(SyncMessage::SyncStep2(update) | SyncMessage::Update(update)) => {
                thread::sleep(pace.line(Instant::now()));
                self.update(update)
            }
            YMessage::Awareness(update) => self.notice(update, pace),
            YMessage::AwarenessQuery => {
                thread::sleep(pace.line(Instant::now()));
                let awareness = self.with(|state| Ok(state.awareness()))?;
                self.send(&awareness)
            }
            YMessage::Auth(_) | YMessage::Custom(..) => Err(Fault::Malformed),
        }
    }

    /// Appends an update, unless it has no news: an answer to SyncStep1 has all that has ever been deleted.
    fn update(&mut self, update: Vec<u8>) -> Result<(), Fault> {
        let len = update.len();
        let effect = self.with(|state| {
            let effect = state.replica.try_on_copy(&update, LONGEST.saturating_sub(state.coming))?;
            // Those that are let in at the same time are not too long together.
            state.coming += if effect == Effect::News { len } else { 0 };
            Ok(effect)
        })?;
        match effect {
            Effect::Nothing => return Ok(()),
            Effect::News => {}
            Effect::TooLong => return Err(Fault::TooLong),
            Effect::Malformed => return Err(Fault::Malformed),
        }
        self.number += 1;
        let payload = payload_of(&YMessage::Sync(SyncMessage::Update(update.clone())));
        let appended = self.member.patiently(|| append(self.member, &self.author, self.number, &payload));
        let mut state = lock(&self.document.0);
        state.coming -= len;
        appended.and_then(|()| state.replica.take(&[update])).map_err(Fault::Log)?;
        drop(state);
        self.with(|state| state.keep(self.member))
    }

    /// Appends what clients say of themselves. What is known already goes no further.
    fn notice(&mut self, update: AwarenessUpdate, pace: &mut Pace) -> Result<(), Fault> {
        let mut clients: HashMap<_, _> = self.with(|state| {
            let news = update.clients.iter().filter(|(client, entry)| state.is_news(**client, entry));
            Ok(news.map(|(client, entry)| (*client, entry.clone())).collect())
        })?;
        let is_valid = |entry: &AwarenessUpdateEntry| {
            entry.json.len() <= LONGEST_AWARENESS && serde_json::from_str::<IgnoredAny>(&entry.json).is_ok()
        };
        if !clients.values().all(is_valid) {
            return Err(Fault::Malformed);
        }
        for (client, entry) in &clients {
            if self.controlled.len() < MOST_CONTROLLED || self.controlled.contains_key(client) {
                self.controlled.insert(*client, entry.clock);
            }
        }
        clients.retain(|client, _| self.controlled.contains_key(client));
        if clients.is_empty() {
            return Ok(());
        }
        thread::sleep(pace.line(Instant::now()));
        self.number += 1;
        let payload = payload_of(&YMessage::Awareness(AwarenessUpdate { clients }));
        self.member.patiently(|| append(self.member, &self.author, self.number, &payload)).map_err(Fault::Log)?;
        self.with(|state| state.keep(self.member))
    }

    /// Tells the others that the clients of this connection have gone. If the log can't be reached, they find out.
    fn leave(mut self) {
        let gone = |(client, clock): (ClientID, u32)| {
            (client, AwarenessUpdateEntry { clock: clock.saturating_add(1), json: "null".into() })
        };
        let clients: HashMap<_, _> = mem::take(&mut self.controlled).into_iter().map(gone).collect();
        if !clients.is_empty() {
            let payload = payload_of(&YMessage::Awareness(AwarenessUpdate { clients }));
            let _ = append(self.member, &self.author, self.number + 1, &payload);
        }
    }

    /// Does something with the document as the log has it, again until the log is reached.
    fn with<X>(&self, work: impl Fn(&mut State) -> Result<X, LogError>) -> Result<X, Fault> {
        let work = || work(&mut *self.document.follow(self.member)?);
        self.member.patiently(work).map_err(Fault::Log)
    }

    fn send(&mut self, message: &YMessage) -> Result<(), Fault> {
        match self.writer.send(&*message.encode_v1()) {
            // The client asks again when it comes back.
            Err(ws_std::Error::Send(ws_std::proto::SendError::Closing)) => Ok(()),
            sent => sent.map_err(Fault::Connection),
        }
    }
}

fn payload_of(message: &YMessage) -> Payload {
    Payload::Message(BASE64_STANDARD.encode(message.encode_v1()))
}

#[cfg(test)]
mod tests {
    use yrs::{Doc, ReadTxn, Text, TextRef, Transact, TransactionMut};

    use super::*;
    use crate::{encoded, log::memory::MemoryLog};

    /// Enters a room of a log of its own.
    fn member() -> Member {
        let rooms = Arc::new(Rooms::new(Box::new(MemoryLog::default()), encoded));
        let followed = Arc::clone(&rooms);
        thread::spawn(move || followed.follow());
        rooms.enter("doc/one").unwrap()
    }

    /// A client, which writes at the end of the text.
    #[derive(Default)]
    struct Client {
        doc: Doc,
        number: u64,
    }

    impl Client {
        /// Appends an edit to the log, and waits until the document has it.
        fn edit(
            &mut self,
            member: &Member,
            document: &Document,
            edit: impl FnOnce(&TextRef, &mut TransactionMut<'_>),
        ) {
            let (text, before) = (self.doc.get_or_insert_text("text"), self.doc.transact().state_vector());
            edit(&text, &mut self.doc.transact_mut());
            let update = self.doc.transact().encode_state_as_update_v1(&before);
            let payload = payload_of(&YMessage::Sync(SyncMessage::Update(update)));
            self.number += 1;
            let position = member.append("ada", self.number, &serde_json::to_string(&payload).unwrap()).unwrap();
            while document.follow(member).unwrap().place.position < position {
                thread::sleep(Duration::from_millis(1));
            }
            document.follow(member).unwrap().keep(member).unwrap();
        }
    }

    /// Returns the text of a document, with all that the log has.
    fn text(document: &Document, member: &Member) -> String {
        document.follow(member).unwrap().replica.text()
    }

    #[test]
    fn a_snapshot_stands_for_the_entries_before_it() {
        let (member, mut client, document) = (member(), Client::default(), Document::default());
        for _ in 0..SNAPSHOT_ENTRIES + 10 {
            client.edit(&member, &document, |text, transaction| text.push(transaction, "x"));
        }
        let entries = member.read(&Place::default(), MOST_READ).unwrap().entries.len();
        assert!((10..20).contains(&entries), "{entries} entries are left");
        let expected = "x".repeat(SNAPSHOT_ENTRIES + 10);
        assert_eq!(text(&document, &member), expected);
        assert_eq!(text(&Document::default(), &member), expected, "of another process");
    }

    #[test]
    fn what_the_log_has_lost_is_given_back_to_it() {
        let (before, document) = (member(), Document::default());
        Client::default().edit(&before, &document, |text, transaction| text.push(transaction, "kept"));
        // Another log, which has something else.
        let member = member();
        let other = Document::default();
        Client::default().edit(&member, &other, |text, transaction| text.push(transaction, "new"));
        while text(&document, &member).len() < 7 {
            thread::sleep(Duration::from_millis(1));
        }
        document.follow(&member).unwrap().keep(&member).unwrap();
        for document in [document, Document::default()] {
            let text = text(&document, &member);
            assert!(["keptnew", "newkept"].contains(&&*text), "{text}");
        }
        let entries = member.read(&Place::default(), MOST_READ).unwrap().entries.len();
        assert_eq!(entries, 2, "what the log had, and what it had lost");
    }

    #[test]
    fn awareness_that_is_known_or_older_is_no_news() {
        let entry = |clock, json: &str| AwarenessUpdateEntry { clock, json: json.into() };
        let update = |entry| AwarenessUpdate { clients: [(ClientID::new(1), entry)].into() };
        let (mut state, one) = (State::default(), ClientID::new(1));
        let now = now_millis();
        state.notice(update(entry(2, "{}")), now);
        assert!(!state.is_news(one, &entry(2, "{}")) && !state.is_news(one, &entry(1, "{}")));
        assert!(state.is_news(one, &entry(3, "{}")) && state.is_news(one, &entry(2, "null")));
        assert!(matches!(state.awareness(), YMessage::Awareness(known) if known == update(entry(2, "{}"))));
        state.notice(update(entry(2, "null")), now);
        assert!(matches!(state.awareness(), YMessage::Awareness(known) if known == update(entry(2, "null"))));
        state.notice(AwarenessUpdate { clients: HashMap::new() }, now + AWARE_MILLIS);
        assert!(state.aware.is_empty(), "what is not renewed is forgotten");
    }
}
