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
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde::de::IgnoredAny;
use ws_std::{CloseCode, Exchange, HandlerResult, Message, MessageKind, Writer, role::Server};
use yrs::{
    ClientID, StateVector,
    sync::{AwarenessUpdate, Message as YMessage, SyncMessage, awareness::AwarenessUpdateEntry},
    updates::{decoder::Decode, encoder::Encode},
};

use crate::{
    client::{self, Fault, Pace},
    lock,
    log::{self, Batch, Entry, MOST_ENTRIES, Place, new_name, now_millis},
    replica::{Effect, LONGEST, Replica, is_plausible},
    rooms::{MOST_READ, Member, Output, Rooms, Shelf},
};

/// Entries, bytes of them, and milliseconds after which a document becomes a snapshot. They are less than what a log keeps.
const SNAPSHOT_ENTRIES: usize = 500;
const SNAPSHOT_BYTES: usize = 512 * 1024;
const SNAPSHOT_MILLIS: u64 = 60 * 60 * 1_000;
/// The first bytes of an entry that is a snapshot: those of a SyncStep2. What clients write is an Update or awareness.
const SNAPSHOT: [u8; 2] = [0, 1];
/// Milliseconds after which a client that has not renewed its awareness is taken for gone, as in `y-protocols`.
const AWARE_MILLIS: u64 = 30_000;
/// The most clients of a document whose awareness is kept, the most of one connection, and the longest awareness in bytes.
const MOST_AWARE: usize = 1_000;
const MOST_CONTROLLED: usize = 8;
const LONGEST_AWARENESS: usize = 1024;

/// The documents that have clients.
pub(crate) type Documents = Shelf<Document>;

/// A document as the log has it, and who looks at it.
#[derive(Default)]
pub(crate) struct Document(Mutex<State>);

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
    fn follow(&self, member: &Member) -> log::Result<MutexGuard<'_, State>> {
        let mut state = lock(&self.0);
        loop {
            // The first entries of all are all that the log has: a snapshot is among them.
            let most = if state.place.epoch.is_empty() { MOST_ENTRIES } else { MOST_READ };
            let batch = member.news(&state.place, most)?;
            let is_other = batch.is_reset || batch.end.epoch != state.place.epoch;
            let is_last = batch.entries.is_empty() || is_other;
            if is_other && !state.place.epoch.is_empty() {
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
    fn take(&mut self, batch: Batch) -> log::Result<()> {
        let mut updates = Vec::new();
        for entry in &batch.entries {
            let millis = entry.position.millis;
            self.entries += 1;
            self.bytes += entry.payload.len();
            self.since.get_or_insert(millis);
            match YMessage::decode_v1(&entry.payload) {
                Ok(YMessage::Sync(SyncMessage::Update(update))) => updates.push(update),
                Ok(YMessage::Sync(SyncMessage::SyncStep2(snapshot))) => {
                    (self.entries, self.bytes, self.since) = (0, 0, Some(millis));
                    updates.push(snapshot);
                }
                Ok(YMessage::Awareness(update)) => self.notice(update, millis),
                _ => {}
            }
        }
        self.replica.take(&updates)?;
        self.place = batch.end;
        Ok(())
    }

    /// Reads a log that does not have this process's place, and adds what this process has.
    fn merge(&mut self, member: &Member) -> log::Result<()> {
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
        // A client that goes may say so with the clock that it had.
        let age = |entry: &AwarenessUpdateEntry| (entry.clock, &*entry.json == "null");
        self.aware.get(&client).is_none_or(|(_, known)| age(entry) > age(known))
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
    fn keep(&mut self, member: &Member) -> log::Result<()> {
        let append = |message| member.append(&new_name(), 1, &YMessage::Sync(message).encode_v1());
        if self.is_ahead {
            append(SyncMessage::Update(self.replica.whole()?))?;
            self.is_ahead = false;
        }
        let is_old = self.since.is_some_and(|since| now_millis().saturating_sub(since) > SNAPSHOT_MILLIS);
        if is_old || self.entries >= SNAPSHOT_ENTRIES || self.bytes >= SNAPSHOT_BYTES {
            // A process that follows the log does not take it: it stands for entries that the process has taken.
            append(SyncMessage::SyncStep2(self.replica.whole()?))?;
            member.trim(self.place.position)?;
            (self.entries, self.bytes, self.since) = (0, 0, Some(now_millis()));
        }
        Ok(())
    }
}

/// Returns the message of an entry for clients. `None`: it is a snapshot, which they have.
fn message_of(entry: &Entry) -> Option<(MessageKind, Vec<u8>)> {
    (!entry.payload.starts_with(&SNAPSHOT)).then(|| (MessageKind::Binary, entry.payload.to_vec()))
}

/// Serves a client of a document until it leaves.
#[inline(never)]
pub(crate) fn serve(documents: &Documents, rooms: &Arc<Rooms>, room: &str, exchange: Exchange) -> HandlerResult {
    let Some(member) = rooms.enter(&format!("doc/{room}"), message_of) else { return Ok(exchange.refuse(503)?) };
    let document = &*documents.open(room, |_| Ok(()))?;
    // An update that comes after this look and before the client's place is among the first that the client is told.
    let seen = lock(&document.0).replica.state_vector();
    let (author, pace) = (new_name(), Pace::new(100, Duration::from_millis(20)));
    let mut editor = Editor { document, member: &member, author, number: 0, controlled: HashMap::new(), pace };
    let result = client::serve(
        exchange,
        |writer, waiter| {
            let mut updates = Updates { document, seen };
            member.write(writer, waiter, Place::default(), &mut updates)
        },
        |message, writer| match message {
            Message::Binary(bytes) if is_plausible(bytes) => editor.take(bytes, writer),
            _ => Err(MALFORMED),
        },
    );
    editor.leave();
    result
}

/// The messages of all clients, for one of them. One that is slow gets what it misses at once.
struct Updates<'c> {
    document: &'c Document,
    /// The state that the client had when it was told of the document last, or has after its first question.
    seen: StateVector,
}

impl Output for Updates<'_> {
    fn catch_up(&mut self, member: &Member, writer: &mut Writer<Server>, place: &mut Place) -> ws_std::Result<()> {
        let mut state = member.patiently(|| self.document.follow(member))?;
        // If the log can't be reached, the next client does it.
        let _ = state.keep(member);
        if *place == state.place {
            return Ok(());
        }
        *place = state.place.clone();
        // All are asked for what the log may have lost. A new client asks for what it misses itself.
        let asked = SyncMessage::SyncStep1(state.replica.state_vector());
        let missed = SyncMessage::Update(state.replica.missed_by(&self.seen)?);
        self.seen = state.replica.state_vector();
        // Only these bytes are held while a slow client takes them.
        let messages =
            [YMessage::Sync(asked), state.awareness(), YMessage::Sync(missed)].map(|message| message.encode_v1());
        drop(state);
        messages.into_iter().try_for_each(|message| writer.queue(&message))
    }
}

/// A client that edits.
struct Editor<'c> {
    document: &'c Document,
    member: &'c Member,
    /// The name under which the connection is an author of the log.
    author: String,
    /// The number of its last entry.
    number: u64,
    /// The clients of Yjs whose awareness came by this connection, and their clocks.
    controlled: HashMap<ClientID, u32>,
    pace: Pace,
}

const MALFORMED: Fault = Fault::Client(CloseCode::POLICY_VIOLATION, "no message of y-protocols");

impl Editor<'_> {
    /// Takes a message of `y-protocols`.
    fn take(&mut self, bytes: &[u8], writer: &mut Writer<Server>) -> Result<(), Fault> {
        let message = YMessage::decode_v1(bytes).map_err(|_| MALFORMED)?;
        // Awareness that is known already takes no time.
        if !matches!(message, YMessage::Awareness(_)) {
            self.pace.wait();
        }
        let answer = match message {
            YMessage::Sync(SyncMessage::SyncStep1(seen)) => {
                let missed = self.with(|state| Ok(state.replica.missed_by(&seen)?))?;
                YMessage::Sync(SyncMessage::SyncStep2(missed))
            }
            YMessage::Sync(SyncMessage::SyncStep2(update) | SyncMessage::Update(update)) => {
                return self.update(update);
            }
            YMessage::Awareness(update) => return self.notice(update),
            YMessage::AwarenessQuery => self.with(|state| Ok(state.awareness()))?,
            YMessage::Auth(_) | YMessage::Custom(..) => return Err(MALFORMED),
        };
        Ok(writer.send(&*answer.encode_v1())?)
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
            Effect::TooLong => return Err(Fault::Client(CloseCode::MESSAGE_TOO_BIG, "the document is full")),
            Effect::Malformed => return Err(MALFORMED),
        }
        let appended = self.append(&YMessage::Sync(SyncMessage::Update(update.clone())));
        let mut state = lock(&self.document.0);
        state.coming -= len;
        appended?;
        state.replica.take(&[update])?;
        drop(state);
        self.with(|state| state.keep(self.member))
    }

    /// Appends what clients say of themselves. What is known already goes no further.
    fn notice(&mut self, update: AwarenessUpdate) -> Result<(), Fault> {
        let mut clients = update.clients;
        clients = self.with(|state| {
            let news = clients.iter().filter(|(client, entry)| state.is_news(**client, entry));
            Ok(news.map(|(client, entry)| (*client, entry.clone())).collect())
        })?;
        let is_valid = |entry: &AwarenessUpdateEntry| {
            entry.json.len() <= LONGEST_AWARENESS && serde_json::from_str::<IgnoredAny>(&entry.json).is_ok()
        };
        if !clients.values().all(is_valid) {
            return Err(MALFORMED);
        }
        clients.retain(|client, entry| {
            let is_own = self.controlled.len() < MOST_CONTROLLED || self.controlled.contains_key(client);
            if is_own {
                self.controlled.insert(*client, entry.clock);
            }
            is_own
        });
        if clients.is_empty() {
            return Ok(());
        }
        self.pace.wait();
        self.append(&YMessage::Awareness(AwarenessUpdate { clients }))?;
        self.with(|state| state.keep(self.member))
    }

    fn append(&mut self, message: &YMessage) -> io::Result<()> {
        self.number += 1;
        let payload = message.encode_v1();
        self.member.patiently(|| self.member.append(&self.author, self.number, &payload)).map(drop)
    }

    /// Tells the others that the clients of this connection have gone. If the log can't be reached, they find out.
    fn leave(self) {
        let gone = |(client, clock): (ClientID, u32)| {
            (client, AwarenessUpdateEntry { clock: clock.saturating_add(1), json: "null".into() })
        };
        let clients: HashMap<_, _> = self.controlled.into_iter().map(gone).collect();
        if !clients.is_empty() {
            let message = YMessage::Awareness(AwarenessUpdate { clients });
            let _ = self.member.append(&self.author, self.number + 1, &message.encode_v1());
        }
    }

    /// Does something with the document as the log has it, again until the log is reached.
    fn with<X>(&self, work: impl Fn(&mut State) -> log::Result<X>) -> Result<X, Fault> {
        Ok(self.member.patiently(|| work(&mut *self.document.follow(self.member)?))?)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use yrs::{Doc, ReadTxn, Text, TextRef, Transact, TransactionMut};

    use super::*;
    use crate::log::memory::MemoryLog;

    /// Enters a room of a log of its own.
    fn member() -> Member {
        let rooms = Rooms::new(Box::new(MemoryLog::default()));
        let followed = Arc::clone(&rooms);
        thread::spawn(move || followed.follow());
        rooms.enter("doc/one", message_of).unwrap()
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
            let payload = YMessage::Sync(SyncMessage::Update(update)).encode_v1();
            self.number += 1;
            let position = member.append("ada", self.number, &payload).unwrap();
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
