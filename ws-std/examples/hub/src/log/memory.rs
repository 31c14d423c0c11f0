//! A log in this process, which ends with it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Condvar, Mutex},
};

use super::{
    Batch, Entry, LONGEST_WAIT, Log, MOST_ENTRIES, NONE, Place, Position, RETENTION, Result, new_name, now_millis,
};
use crate::lock;

/// The most bytes of a room that are kept.
const MOST_BYTES: usize = 2 * 1024 * 1024;
/// The most rooms that are kept.
const MOST_ROOMS: usize = 1_000;

#[derive(Default)]
pub(crate) struct MemoryLog {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State(HashMap<String, Room>);

#[derive(Default)]
struct Room {
    epoch: String,
    entries: VecDeque<Entry>,
    /// Position of the last entry that was trimmed.
    trimmed: Position,
    /// Position of the last entry.
    end: Position,
    /// The last number of each author, and the position of that entry.
    authors: HashMap<String, (u64, Position)>,
    /// Length of the payloads.
    bytes: usize,
}

impl Log for MemoryLog {
    fn append(&self, room: &str, author: &str, number: u64, payload: &[u8]) -> Result<Position> {
        let mut state = lock(&self.state);
        let now = now_millis();
        let position = state.room(room, now).append(author, number, payload, now);
        self.changed.notify_all();
        Ok(position)
    }

    fn read(&self, room: &str, after: &Place, most: usize) -> Result<Batch> {
        Ok(lock(&self.state).0.get(room).map_or_else(|| Batch::none(after), |room| room.read(after, most)))
    }

    fn trim(&self, room: &str, first: Position) -> Result<()> {
        if let Some(room) = lock(&self.state).0.get_mut(room) {
            room.trim_while(|_, entry| entry.position < first);
        }
        Ok(())
    }

    fn wait(&self, rooms: &[(String, Place)]) -> Result<Vec<usize>> {
        let mut changed = Vec::new();
        let is_idle = |state: &mut State| {
            changed = (0..rooms.len()).filter(|&index| state.has_news(&rooms[index])).collect();
            changed.is_empty()
        };
        drop(self.changed.wait_timeout_while(lock(&self.state), LONGEST_WAIT, is_idle));
        Ok(changed)
    }
}

impl State {
    /// Returns a room, which is created if it is not there. The oldest one makes room for it, if there are too many.
    fn room(&mut self, name: &str, now: u64) -> &mut Room {
        if !self.0.contains_key(name) {
            self.0.retain(|_, room| room.end.millis >= oldest(now));
            let oldest = self.0.iter().min_by_key(|(_, room)| room.end).map(|(name, _)| name.clone());
            if let (true, Some(oldest)) = (self.0.len() >= MOST_ROOMS, oldest) {
                self.0.remove(&oldest);
            }
        }
        self.0.entry(name.to_owned()).or_insert_with(|| Room { epoch: new_name(), ..Room::default() })
    }

    fn has_news(&self, (name, place): &(String, Place)) -> bool {
        let room = self.0.get(name);
        room.map_or(place.epoch != NONE, |room| room.epoch != place.epoch || room.end > place.position)
    }
}

impl Room {
    fn append(&mut self, author: &str, number: u64, payload: &[u8], now: u64) -> Position {
        if let Some(&(last, position)) = self.authors.get(author)
            && number <= last
        {
            return position;
        }
        let next = Position { sequence: self.end.sequence + 1, ..self.end };
        let position = next.max(Position { millis: now, sequence: 0 });
        self.end = position;
        self.authors.insert(author.to_owned(), (number, position));
        self.bytes += payload.len();
        self.entries.push_back(Entry { position, author: author.to_owned(), number, payload: payload.into() });
        let oldest = oldest(now);
        self.trim_while(|room, entry| {
            room.entries.len() > MOST_ENTRIES || room.bytes > MOST_BYTES || entry.position.millis < oldest
        });
        position
    }

    /// Forgets the first entries, as long as one is `superfluous`.
    fn trim_while(&mut self, superfluous: impl Fn(&Self, &Entry) -> bool) {
        while self.entries.front().is_some_and(|entry| superfluous(self, entry))
            && let Some(entry) = self.entries.pop_front()
        {
            self.bytes -= entry.payload.len();
            self.trimmed = entry.position;
            // The author may send it again only as long as it is kept.
            if self.authors.get(&entry.author).is_some_and(|(_, last)| *last <= entry.position) {
                self.authors.remove(&entry.author);
            }
        }
    }

    fn read(&self, after: &Place, most: usize) -> Batch {
        let is_reset =
            ![&self.epoch, NONE].contains(&&*after.epoch) || !(self.trimmed..=self.end).contains(&after.position);
        let from = if is_reset {
            self.entries.len().saturating_sub(most)
        } else {
            self.entries.partition_point(|entry| entry.position <= after.position)
        };
        let entries: Vec<_> = self.entries.range(from..).take(most).cloned().collect();
        let position = if is_reset { self.end } else { after.position };
        Batch { is_reset, ..Batch::after(&Place { epoch: self.epoch.clone(), position }, entries) }
    }
}

fn oldest(now: u64) -> u64 {
    now.saturating_sub(u64::try_from(RETENTION.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::contract;

    #[test]
    fn keeps_the_contract() {
        contract(&MemoryLog::default());
    }

    #[test]
    fn a_position_before_the_kept_entries_is_a_reset() {
        let log = MemoryLog::default();
        let first = log.append("a", "ada", 1, b"one").unwrap();
        for number in 2..=MOST_ENTRIES as u64 + 2 {
            log.append("a", "bob", number, b"more").unwrap();
        }
        let epoch = log.read("a", &Place::default(), 0).unwrap().end.epoch;
        let read = |position| log.read("a", &Place { epoch: epoch.clone(), position }, 2).unwrap().is_reset;
        let trimmed = lock(&log.state).0["a"].trimmed;
        assert!(read(first) && !read(trimmed));
        assert_eq!(lock(&log.state).0["a"].authors.len(), 1, "an author is forgotten with its last entry");
    }

    #[test]
    fn the_oldest_rooms_are_forgotten() {
        let (mut state, day) = (State::default(), u64::try_from(RETENTION.as_millis()).unwrap());
        for index in 0..MOST_ROOMS as u64 {
            state.room(&index.to_string(), day).append("ada", 1, b"line", day + index);
        }
        state.room("one more", 2 * day).append("ada", 1, b"line", 2 * day);
        assert_eq!((state.0.len(), state.0.contains_key("0")), (MOST_ROOMS, false), "the oldest has gone");
        state.room("another", 3 * day).append("ada", 1, b"line", 3 * day);
        assert_eq!(state.0.len(), 2, "those of a day before have gone");
    }
}
