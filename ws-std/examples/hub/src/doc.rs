//! Document: many edit one text at once, by the protocol of Yjs, so that clients of `y-websocket` connect as they are.
//!
//! A client opens `/doc/ROOM` and both sides speak the messages of `y-protocols`: sync (what each has, and what the other
//! misses) and awareness (cursors and names). An edit is an *update* of Yjs. Updates commute and may come twice, so a
//! client that is cut off brings what it has written to whichever process it meets next.
//!
//! Updates and awareness go through the log. A process has the document in memory while it has clients, made from the log
//! alone. When many updates have come since the last *snapshot*, the document as it is becomes an entry, and the
//! entries that it stands for are trimmed.

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
    ClientID, Doc, ReadTxn, StateVector, Transact, Update,
    encoding::read::Cursor,
    sync::{AwarenessUpdate, Message as YMessage, MessageReader, SyncMessage, awareness::AwarenessUpdateEntry},
    updates::{
        decoder::{Decode, DecoderV1},
        encoder::Encode,
    },
};

use crate::{
    duplex, lock,
    log::{Entry, LogError, Place, now_millis},
    pace::Pace,
    room::{Line, Next},
    rooms::{Member, Rooms},
    text::is_key,
    watched::Leave,
};

/// The longest document in bytes.
pub(crate) const LONGEST: usize = 256 * 1024;
/// Entries, bytes of them, and milliseconds after which a document becomes a snapshot. They are less than what a log keeps.
const SNAPSHOT_ENTRIES: usize = 500;
const SNAPSHOT_BYTES: usize = 512 * 1024;
const SNAPSHOT_MILLIS: u64 = 60 * 60 * 1_000;
/// The most entries that are read at once. A snapshot is among them.
const MOST_READ: usize = 2_000;
/// Milliseconds after which a client that has not renewed its awareness is taken for gone, as in `y-protocols`.
const AWARE_MILLIS: u64 = 30_000;
/// The most clients of a document whose awareness is kept, the most in a message, and its most bytes.
const MOST_AWARE: usize = 1_000;
const MOST_IN_MESSAGE: usize = 100;
const LONGEST_AWARENESS: usize = 8 * 1024;

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

struct State {
    doc: Doc,
    /// The most bytes that it may have as an update.
    len: usize,
    /// The newest awareness of each client, and when it came.
    aware: HashMap<ClientID, (u64, AwarenessUpdateEntry)>,
    /// Where the log has been read to.
    place: Place,
    /// Since the last snapshot: entries, bytes, and the time of the first one.
    entries: usize,
    bytes: usize,
    since: u64,
    /// The log has lost what this process has.
    is_ahead: bool,
}

impl Default for State {
    fn default() -> Self {
        let (doc, aware, place) = Default::default();
        Self { doc, len: 0, aware, place, entries: 0, bytes: 0, since: u64::MAX, is_ahead: false }
    }
}

impl Document {
    /// Locks the document, with what has come.
    fn follow(&self, member: &Member) -> Result<MutexGuard<'_, State>, LogError> {
        let mut state = lock(&self.0);
        loop {
            let batch = member.news(&state.place, MOST_READ)?;
            if batch.is_reset {
                state.is_ahead = state.merge(&batch.entries);
            } else {
                batch.entries.iter().for_each(|entry| state.apply(entry));
            }
            let is_whole = batch.entries.is_empty() || batch.is_reset;
            state.place = Place { epoch: batch.epoch, position: batch.end };
            if is_whole {
                return Ok(state);
            }
        }
    }
}

impl State {
    /// Takes an entry. Those of another program are ignored.
    fn apply(&mut self, entry: &Entry) {
        let millis = entry.position.millis;
        self.entries += 1;
        self.bytes += entry.payload.len();
        self.since = self.since.min(millis);
        match serde_json::from_str(&entry.payload) {
            Ok(Payload::Message(text)) => match decoded(&text).as_deref().map(YMessage::decode_v1) {
                Some(Ok(YMessage::Sync(SyncMessage::Update(update)))) => self.update(&update),
                Some(Ok(YMessage::Awareness(update))) => self.notice(update, millis),
                _ => {}
            },
            Ok(Payload::Snapshot(text)) => {
                (self.entries, self.bytes, self.since) = (0, 0, millis);
                self.update(&decoded(&text).unwrap_or_default());
            }
            Err(_) => {}
        }
    }

    fn update(&mut self, update: &[u8]) {
        self.len += update.len();
        if let Ok(update) = Update::decode_v1(update) {
            // What can't be applied changes nothing.
            let _ = self.doc.transact_mut().apply_update(update);
        }
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

    /// Takes the newest entries of a log that does not have this process's place. Returns whether the log has lost
    /// something: its entries alone are not the whole document.
    fn merge(&mut self, entries: &[Entry]) -> bool {
        let mut fresh = Self::default();
        entries.iter().for_each(|entry| fresh.apply(entry));
        let known = self.whole();
        let from_log = fresh.whole();
        mem::swap(self, &mut fresh);
        self.aware.extend(fresh.aware);
        self.update(&known);
        self.whole() != from_log
    }

    /// Returns the document as an update.
    fn whole(&self) -> Vec<u8> {
        self.missed_by(&StateVector::default())
    }

    /// Returns whether the document is too long for another update of `more` bytes.
    fn is_full(&mut self, more: usize) -> bool {
        if self.len + more > LONGEST {
            // Parts of it may have been deleted.
            self.len = self.whole().len();
        }
        self.len + more > LONGEST
    }

    /// Returns what a client misses.
    fn missed_by(&self, seen: &StateVector) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(seen)
    }

    /// Returns who looks at the document, and who has gone: one of these that has come back says so then.
    fn awareness(&self) -> YMessage {
        let oldest = now_millis().saturating_sub(AWARE_MILLIS);
        let recent = self.aware.iter().filter(|(_, (seen, _))| *seen > oldest);
        let clients = recent.map(|(client, (_, entry))| (*client, entry.clone())).collect();
        YMessage::Awareness(AwarenessUpdate { clients })
    }

    /// Makes the document a snapshot, if it is time for one. If the log can't be reached, the next client does it.
    fn keep(&mut self, member: &Member) {
        let is_old = now_millis().saturating_sub(self.since) > SNAPSHOT_MILLIS;
        if !(self.is_ahead || is_old || self.entries >= SNAPSHOT_ENTRIES || self.bytes >= SNAPSHOT_BYTES) {
            return;
        }
        let payload = Payload::Snapshot(BASE64_STANDARD.encode(self.whole()));
        let until = self.place.position;
        if append(member, &new_author(), 1, &payload).and_then(|()| member.trim(until)).is_ok() {
            // The snapshot itself is yet to be read.
            (self.entries, self.bytes, self.since, self.is_ahead) = (0, 0, now_millis(), false);
        }
    }
}

fn is_gone(entry: &AwarenessUpdateEntry) -> bool {
    &*entry.json == "null"
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
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
    match serde_json::from_str(&entry.payload).ok()? {
        Payload::Message(text) => decoded(&text),
        Payload::Snapshot(_) => None,
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
                place.position = lines.last().map_or(place.position, |line: &Arc<Line>| line.entry.position);
            }
            Next::Read => {
                let mut state = member.patiently(|| document.follow(member)).map_err(io::Error::other)?;
                state.keep(member);
                if place == state.place {
                    // The thread that follows the log will soon have read it as well.
                    drop(state);
                    thread::sleep(Duration::from_millis(20));
                } else {
                    place = state.place.clone();
                    // A new client asks for what it misses. All are asked for what the log may have lost.
                    let whole = (!mem::take(&mut is_new)).then(|| SyncMessage::Update(state.whole()));
                    let asked = SyncMessage::SyncStep1(state.doc.transact().state_vector());
                    let awareness = state.awareness();
                    drop(state);
                    for sync in whole.into_iter().chain([asked]) {
                        writer.queue(&*YMessage::Sync(sync).encode_v1())?;
                    }
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

    /// Takes the messages of `y-protocols` in a message.
    fn take(&mut self, bytes: &[u8], pace: &mut Pace) -> Result<(), Fault> {
        for message in MessageReader::new(&mut DecoderV1::new(Cursor::new(bytes))) {
            match message.map_err(|_| Fault::Malformed)? {
                YMessage::Sync(SyncMessage::SyncStep1(seen)) => {
                    let missed = self.look(|state| state.missed_by(&seen))?;
                    self.send(&YMessage::Sync(SyncMessage::SyncStep2(missed)))?;
                }
                YMessage::Sync(SyncMessage::SyncStep2(update) | SyncMessage::Update(update)) => {
                    self.update(update, pace)?;
                }
                YMessage::Awareness(update) => self.notice(update, bytes.len(), pace)?,
                YMessage::AwarenessQuery => {
                    let awareness = self.look(|state| state.awareness())?;
                    self.send(&awareness)?;
                }
                YMessage::Auth(_) | YMessage::Custom(..) => return Err(Fault::Malformed),
            }
        }
        Ok(())
    }

    fn update(&mut self, update: Vec<u8>, pace: &mut Pace) -> Result<(), Fault> {
        let decoded = Update::decode_v1(&update).map_err(|_| Fault::Malformed)?;
        if decoded.is_empty() {
            return Ok(());
        }
        if self.look(|state| state.is_full(update.len()))? {
            return Err(Fault::TooLong);
        }
        self.append(&YMessage::Sync(SyncMessage::Update(update)), pace)
    }

    /// Takes what clients say of themselves. What is known already goes no further.
    fn notice(&mut self, update: AwarenessUpdate, len: usize, pace: &mut Pace) -> Result<(), Fault> {
        let is_json = |entry: &AwarenessUpdateEntry| serde_json::from_str::<IgnoredAny>(&entry.json).is_ok();
        let most = len <= LONGEST_AWARENESS && update.clients.len() <= MOST_IN_MESSAGE;
        if !(most && update.clients.values().all(is_json)) {
            return Err(Fault::Malformed);
        }
        let clients: HashMap<_, _> = self.look(|state| {
            let news = update.clients.iter().filter(|(client, entry)| state.is_news(**client, entry));
            news.map(|(client, entry)| (*client, entry.clone())).collect()
        })?;
        if clients.is_empty() {
            return Ok(());
        }
        for (client, entry) in &clients {
            if self.controlled.len() < MOST_IN_MESSAGE {
                self.controlled.insert(*client, entry.clock);
            }
        }
        self.append(&YMessage::Awareness(AwarenessUpdate { clients }), pace)
    }

    /// Tells the others that the clients of this connection have gone. If the log can't be reached, they find out.
    fn leave(mut self) {
        let gone = |(client, clock)| (client, AwarenessUpdateEntry { clock: clock + 1, json: "null".into() });
        let clients: HashMap<_, _> = mem::take(&mut self.controlled).into_iter().map(gone).collect();
        if !clients.is_empty() {
            let payload = payload_of(&YMessage::Awareness(AwarenessUpdate { clients }));
            let _ = append(self.member, &self.author, self.number + 1, &payload);
        }
    }

    fn append(&mut self, message: &YMessage, pace: &mut Pace) -> Result<(), Fault> {
        thread::sleep(pace.line(Instant::now()));
        self.number += 1;
        let payload = payload_of(message);
        self.member.patiently(|| append(self.member, &self.author, self.number, &payload)).map_err(Fault::Log)?;
        self.look(|state| state.keep(self.member))
    }

    /// Looks at the document as the log has it.
    fn look<X>(&self, look: impl FnOnce(&mut State) -> X) -> Result<X, Fault> {
        let mut state = self.member.patiently(|| self.document.follow(self.member)).map_err(Fault::Log)?;
        Ok(look(&mut state))
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
    use yrs::{GetString, Text, TextRef, TransactionMut};

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
            document.follow(member).unwrap().keep(member);
        }
    }

    /// Returns the text of a document, with all that the log has.
    fn text(document: &Document, member: &Member) -> String {
        let state = document.follow(member).unwrap();
        let text = state.doc.get_or_insert_text("text");
        let transaction = state.doc.transact();
        text.get_string(&transaction)
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
        document.follow(&member).unwrap().keep(&member);
        for document in [document, Document::default()] {
            let text = text(&document, &member);
            assert!(["keptnew", "newkept"].contains(&&*text), "{text}");
        }
        let entries = member.read(&Place::default(), MOST_READ).unwrap().entries.len();
        assert_eq!(entries, 1, "the snapshot stands for the other entry");
    }

    #[test]
    fn a_document_is_full_until_something_is_deleted() {
        let (member, mut client, document) = (member(), Client::default(), Document::default());
        let long = "x".repeat(LONGEST - 1_000);
        client.edit(&member, &document, |text, transaction| text.push(transaction, &long));
        assert!(document.follow(&member).unwrap().is_full(1_000));
        assert!(!document.follow(&member).unwrap().is_full(900));
        client.edit(&member, &document, |text, transaction| text.remove_range(transaction, 0, 10_000));
        assert!(!document.follow(&member).unwrap().is_full(10_000));
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
