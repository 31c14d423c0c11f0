//! The log: what has been written in each room, in one order.
//!
//! Connections and processes come and go, the log stays. A position in it is enough to continue: a client that comes
//! back with the position of the last entry it has seen gets the entries after that one, from any process.
//!
//! An *epoch* names the life of a room's log. It is chosen when the log is created. A client that comes back with another
//! epoch, or with a position that the log does not have, has to start again with the newest entries. Who has seen the log
//! empty has missed nothing when it begins.

pub(crate) mod memory;
pub(crate) mod redis;

use std::{
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The most entries of a room that are kept. Older ones are trimmed.
pub(crate) const MOST_ENTRIES: usize = 10_000;
/// Time after which an entry is trimmed, and after its last entry a room is forgotten.
pub(crate) const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// The epoch of a room whose log is empty. Its reader continues with the first entry of the log, if that is not trimmed.
pub(crate) const NONE: &str = "none";
/// The longest time that [`Log::wait`] waits.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// The log of all rooms.
pub(crate) trait Log: Send + Sync {
    /// Appends an entry, and returns its position once the entry is safe.
    ///
    /// An entry whose author has one with the same number, or with a higher one, is not appended: it was sent again. The
    /// position is that of the author's last entry then. Numbers are below 2^53.
    fn append(&self, room: &str, author: &str, number: u64, payload: &[u8]) -> Result<Position>;

    /// Returns at most `most` entries after a place. If the log does not have that place, returns the newest `most`.
    fn read(&self, room: &str, after: &Place, most: usize) -> Result<Batch>;

    /// Forgets the entries before the one at a position, which a later one stands for.
    fn trim(&self, room: &str, first: Position) -> Result<()>;

    /// Waits until rooms (at least one is asked for) have entries after the place beside them, or are at another epoch, and returns
    /// their indices.
    /// Returns after [`LONGEST_WAIT`] at the latest.
    fn wait(&self, rooms: &[(String, Place)]) -> Result<Vec<usize>>;
}

/// Why the log can't be reached. The call may be repeated: [`Log::append`] appends a number once.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A line, and where it is in its room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    pub(crate) author: String,
    pub(crate) number: u64,
    /// The log, rooms and readers share it.
    pub(crate) payload: Arc<[u8]>,
}

/// The place of an entry in a room's log, ordered as the entries are: the id of an entry in a Redis stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Milliseconds since 1970.
    pub(crate) millis: u64,
    /// Tells entries of the same millisecond apart.
    pub(crate) sequence: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (millis, sequence) = text.split_once('-').ok_or("a position is two numbers")?;
        Ok(Self { millis: millis.parse()?, sequence: sequence.parse()? })
    }
}

/// The place of a reader in a room: the position of the last entry in the life of the log that `epoch` names. The default
/// is nothing at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) epoch: String,
    pub(crate) position: Position,
}

/// Entries of a room.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The log does not have the place that was asked for: these are its newest entries.
    pub(crate) is_reset: bool,
    pub(crate) entries: Vec<Entry>,
    /// The place of a reader that has seen these entries.
    pub(crate) end: Place,
}

impl Batch {
    /// Creates the batch that a reader gets of a room whose log is empty.
    fn none(after: &Place) -> Self {
        let end = Place { epoch: NONE.into(), position: Position::default() };
        Self { is_reset: after.epoch != NONE, entries: Vec::new(), end }
    }

    /// Creates the batch of the entries that follow a place.
    pub(crate) fn after(place: &Place, entries: Vec<Entry>) -> Self {
        let position = entries.last().map_or(place.position, |entry| entry.position);
        Self { is_reset: false, entries, end: Place { epoch: place.epoch.clone(), position } }
    }
}

/// Returns a name that nothing else has: an epoch, a process, or an author of a document.
pub(crate) fn new_name() -> String {
    let mut bytes = [0; 8];
    // Time alone tells logs of one machine apart, if the system has no random numbers.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = now_millis().to_be_bytes();
    }
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// Returns the time in milliseconds since 1970.
pub(crate) fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Instant};

    use super::*;

    /// Checks what each log promises.
    pub(super) fn contract(log: &dyn Log) {
        numbers_are_appended_once(log);
        readers_continue_after_their_place(log);
        unknown_places_are_resets(log);
        trimmed_entries_are_forgotten(log);
        waits_end_with_news(log);
    }

    fn payloads(batch: &Batch) -> Vec<&str> {
        batch.entries.iter().map(|entry| str::from_utf8(&entry.payload).unwrap()).collect()
    }

    /// Appends entries of one author, numbered from 1; returns the positions.
    fn append(log: &dyn Log, room: &str, payloads: &[&str]) -> Vec<Position> {
        let numbered = (1..).zip(payloads);
        numbered.map(|(number, payload)| log.append(room, "ada", number, payload.as_bytes()).unwrap()).collect()
    }

    fn numbers_are_appended_once(log: &dyn Log) {
        let positions = append(log, "numbers", &["one", "two"]);
        assert!(positions[0] < positions[1]);
        assert_eq!(append(log, "numbers", &["one", "two"]), [positions[1]; 2]);
        assert!(log.append("numbers", "bob", 1, b"bob's").unwrap() > positions[1]);
        // The greatest numbers that all clients can hold.
        let greatest = (1 << 53) - 2;
        let before = log.append("greatest", "ada", greatest, b"before").unwrap();
        assert!(log.append("greatest", "ada", greatest + 1, b"greatest").unwrap() > before);
        let batch = log.read("numbers", &Place::default(), 9).unwrap();
        assert_eq!(payloads(&batch), ["one", "two", "bob's"]);
        assert_eq!((&*batch.entries[2].author, batch.entries[2].number), ("bob", 1));
        assert_eq!(batch.end.position, batch.entries[2].position);
    }

    fn readers_continue_after_their_place(log: &dyn Log) {
        let empty = log.read("places", &Place::default(), 1).unwrap();
        assert_eq!((&*empty.end.epoch, empty.is_reset, empty.end.position), (NONE, true, Position::default()));
        assert!(!log.read("places", &empty.end, 1).unwrap().is_reset, "nothing is missing yet");
        let positions = append(log, "places", &["1", "2", "3", "4", "5"]);
        let first = log.read("places", &empty.end, 2).unwrap();
        assert_eq!((first.is_reset, payloads(&first)), (false, vec!["1", "2"]), "the log has begun");
        assert_ne!(first.end.epoch, NONE);
        let epoch = first.end.epoch;
        let at = |position| Place { epoch: epoch.clone(), position };
        let batch = log.read("places", &at(Position::default()), 2).unwrap();
        assert!(!batch.is_reset);
        assert_eq!((payloads(&batch), batch.end.position), (vec!["1", "2"], positions[1]));
        assert_eq!(payloads(&log.read("places", &batch.end, 9).unwrap()), ["3", "4", "5"]);
        let last = log.read("places", &at(positions[4]), 9).unwrap();
        assert_eq!((last.is_reset, last.entries.len(), last.end.position), (false, 0, positions[4]));
    }

    fn unknown_places_are_resets(log: &dyn Log) {
        let positions = append(log, "unknown", &["1", "2", "3", "4"]);
        let epoch = log.read("unknown", &Place::default(), 1).unwrap().end.epoch;
        let ahead = Position { millis: positions[3].millis + 1_000_000, sequence: 0 };
        let other = Place { epoch: "other".into(), position: positions[1] };
        for place in [Place::default(), other, Place { epoch, position: ahead }] {
            let batch = log.read("unknown", &place, 2).unwrap();
            assert!(batch.is_reset, "{place:?}");
            assert_eq!((payloads(&batch), batch.end.position), (vec!["3", "4"], positions[3]));
        }
    }

    fn trimmed_entries_are_forgotten(log: &dyn Log) {
        log.trim("none", Position { millis: 1, sequence: 0 }).unwrap();
        let positions = append(log, "trimmed", &["1", "2", "3", "4"]);
        let epoch = log.read("trimmed", &Place::default(), 9).unwrap().end.epoch;
        log.trim("trimmed", positions[2]).unwrap();
        for (epoch, position, is_reset, expected) in [
            (&*epoch, positions[0], true, &["3", "4"][..]),
            (&epoch, positions[2], false, &["4"]),
            (NONE, Position::default(), true, &["3", "4"]),
        ] {
            let batch = log.read("trimmed", &Place { epoch: epoch.into(), position }, 9).unwrap();
            assert_eq!((batch.is_reset, &payloads(&batch)[..]), (is_reset, expected));
        }
    }

    fn waits_end_with_news(log: &dyn Log) {
        append(log, "news", &["old"]);
        let end = log.read("news", &Place::default(), 1).unwrap().end;
        let rooms = [("numbers".to_owned(), Place::default()), ("news".to_owned(), end)];
        assert_eq!(log.wait(&rooms).unwrap(), [0], "a reader that has seen nothing");
        let begun = Instant::now();
        assert!(log.wait(&rooms[1..]).unwrap().is_empty());
        assert!(begun.elapsed() >= LONGEST_WAIT);
        log.append("news", "ada", 2, b"news").unwrap();
        assert_eq!(log.wait(&rooms).unwrap(), [0, 1]);
        let rooms = [("news".to_owned(), log.read("news", &Place::default(), 1).unwrap().end)];
        let begun = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| log.append("news", "ada", 3, b"later").unwrap());
            assert_eq!(log.wait(&rooms).unwrap(), [0]);
        });
        assert!(begun.elapsed() < LONGEST_WAIT);
    }
}
