//! The rooms that have members, the thread that follows the log for all of them, and how members take from their room.
//!
//! An entry of the log is encoded once for all members of its room. A member has its place and no queue: it takes the
//! lines after its place, and waits if there are none. A member that reads so slowly that the room no longer has its next
//! line reads that line from the log. So a slow member delays no other, costs no memory, and loses nothing that the log has.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, Write as _},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use ws_std::{MessageKind, Writer, deflate::Deflater, role::Server};

use crate::{
    client::{COMPRESSION, Shared},
    lock,
    log::{self, Batch, Entry, Log, Place, Position, new_name},
    program::explained,
    watched::{Waiter, Watched},
};

/// The most rooms with members.
const MOST_ROOMS: usize = 1_000;
/// The most members of a room.
const MOST_MEMBERS: usize = 10_000;
/// The most bytes of lines that a room keeps encoded.
const MOST_BYTES: usize = 256 * 1024;
/// Bytes of lines after which a member takes no more at once. A slow member holds them, until its client takes them.
const MOST_TAKEN: usize = 2 * 1024;
/// The same for a process.
const MOST_NEWS: usize = 64 * 1024;
/// The most entries that are read from the log at once.
pub(crate) const MOST_READ: usize = 50;
/// Pause before another attempt to reach the log, or to find news in it.
const PAUSE: Duration = Duration::from_millis(20);
/// Time within which the log has to be reached for a member.
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns the message of an entry for members, if it is for them.
pub(crate) type Encode = fn(&Entry) -> Option<(MessageKind, Vec<u8>)>;

/// The rooms that have members.
pub(crate) struct Rooms {
    log: Box<dyn Log>,
    live: Mutex<HashMap<String, Weak<Room>>>,
    /// The room by which the thread that follows the log is told of new rooms: each is an entry of this one.
    bell: Arc<Room>,
    rings: AtomicU64,
    is_reached: AtomicBool,
}

/// The newest lines of a room.
pub(crate) struct Room {
    name: String,
    encode: Encode,
    tail: Watched<Tail>,
}

#[derive(Default)]
struct Tail {
    /// Where the log has been read to. The epoch is empty until it has been read.
    end: Place,
    /// The position after which `lines` begin.
    start: Position,
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
}

/// An entry of the log, and its message for members.
pub(crate) struct Line {
    pub(crate) entry: Entry,
    message: Shared,
}

/// The next step of a member.
enum Next {
    /// Takes these lines. The last one is its new place. The room's last line has the position.
    Lines(Vec<Arc<Line>>, Position),
    /// Reads the log, because the room no longer has the line after its place, or is at another epoch.
    Read,
}

/// A member of a room, until it is dropped.
#[derive(Clone)]
pub(crate) struct Member {
    rooms: Arc<Rooms>,
    room: Arc<Room>,
}

/// The part of a member's output that differs between chats, games and documents.
pub(crate) trait Output {
    /// Writes what the log has after `place`, and moves the place on: it is the first one, or the room does not have it.
    fn catch_up(&mut self, member: &Member, writer: &mut Writer<Server>, place: &mut Place) -> ws_std::Result<()>;

    /// Returns the number of lines that a member may skip, because others up to the position `end` stand for them.
    fn superfluous(&self, _lines: &[Arc<Line>], _end: Position) -> usize {
        0
    }
}

impl Rooms {
    pub(crate) fn new(log: Box<dyn Log>) -> Arc<Self> {
        let bell = Arc::new(Room::new(format!("bell/{}", new_name()), |_| None));
        let live = Mutex::new(HashMap::from([(bell.name.clone(), Arc::downgrade(&bell))]));
        Arc::new(Self { log, live, bell, rings: AtomicU64::new(1), is_reached: AtomicBool::new(true) })
    }

    /// Adds a member to a room. `None`: there are too many rooms or members, or the process is about to end.
    pub(crate) fn enter(self: &Arc<Self>, name: &str, encode: Encode) -> Option<Member> {
        let mut live = lock(&self.live);
        live.retain(|_, room| room.strong_count() > 0);
        let found = live.get(name).and_then(Weak::upgrade);
        let is_new = found.is_none();
        // The bell is one of them.
        if self.is_over() || is_new && live.len() > MOST_ROOMS {
            return None;
        }
        let room = found.unwrap_or_else(|| Arc::new(Room::new(name.to_owned(), encode)));
        if Arc::strong_count(&room) > MOST_MEMBERS {
            return None;
        }
        if is_new {
            live.insert(name.to_owned(), Arc::downgrade(&room));
            drop(live);
            // If the log can't be reached, the thread that follows it is not waiting.
            let ring = self.rings.fetch_add(1, Ordering::Relaxed);
            let _ = self.log.append(&self.bell.name, "hub", ring, &[]);
        }
        Some(Member { rooms: Arc::clone(self), room })
    }

    /// Follows the log until the process ends.
    pub(crate) fn follow(&self) {
        let mut encoder = Deflater::new(COMPRESSION);
        while !self.is_over() {
            let result = self.follow_once(&mut encoder);
            let is_reached = result.is_ok();
            if self.is_reached.swap(is_reached, Ordering::Relaxed) != is_reached {
                let news = result.map_or_else(|error| unreached(&error), |()| "the log is reached again".into());
                // Standard error may be closed.
                let _ = writeln!(io::stderr(), "{news}");
            }
            if !is_reached {
                thread::sleep(PAUSE);
            }
        }
    }

    fn follow_once(&self, encoder: &mut Deflater) -> log::Result<()> {
        let with_place = |(name, room): (&String, &Weak<Room>)| {
            let place = room.upgrade()?.tail.look(|tail| tail.end.clone());
            Some((room.clone(), (name.clone(), place)))
        };
        let (rooms, places): (Vec<_>, Vec<_>) = lock(&self.live).iter().filter_map(with_place).unzip();
        let mut result = Ok(());
        for index in self.log.wait(&places)? {
            let (name, place) = &places[index];
            let Some(room) = rooms[index].upgrade() else { continue };
            // A room that fails does not keep the others waiting.
            match self.log.read(name, place, MOST_READ) {
                Ok(batch) => room.extend(batch, encoder),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Returns whether the log was reached at the last attempt, and the process is not about to end.
    pub(crate) fn is_well(&self) -> bool {
        self.is_reached.load(Ordering::Relaxed) && !self.is_over()
    }

    /// Tells all members that the process ends, and admits no more.
    pub(crate) fn end(&self) {
        lock(&self.live).values().filter_map(Weak::upgrade).for_each(|room| room.tail.end());
    }

    fn is_over(&self) -> bool {
        self.bell.tail.is_over()
    }
}

impl Room {
    fn new(name: String, encode: Encode) -> Self {
        Self { name, encode, tail: Watched::default() }
    }

    /// Adds entries of the log that follow the end of the room.
    fn extend(&self, batch: Batch, encoder: &mut Deflater) {
        let mut line = |entry: Entry| {
            let (kind, payload) = (self.encode)(&entry)?;
            Some(Arc::new(Line { message: Shared::new(kind, payload, encoder)?, entry }))
        };
        let lines: Vec<_> = batch.entries.into_iter().filter_map(&mut line).collect();
        self.tail.change(|tail| tail.extend(batch.end, batch.is_reset, lines));
    }
}

impl Tail {
    fn next(&self, place: &Place, most: usize) -> Option<Next> {
        if self.end.epoch.is_empty() {
            return None;
        }
        if self.end.epoch != place.epoch || place.position < self.start {
            return Some(Next::Read);
        }
        let from = self.lines.partition_point(|line| line.entry.position <= place.position);
        let mut bytes = 0;
        let fits = |line: &&Arc<Line>| {
            let is_room = bytes < most;
            bytes += line.entry.payload.len();
            is_room
        };
        let lines: Vec<_> = self.lines.range(from..).take_while(fits).cloned().collect();
        (!lines.is_empty()).then_some(Next::Lines(lines, self.end.position))
    }

    fn extend(&mut self, end: Place, is_reset: bool, lines: Vec<Arc<Line>>) {
        self.end = end;
        if is_reset {
            // The log has another past than this room: each member reads on there, and is told so.
            (self.lines, self.bytes, self.start) = (VecDeque::new(), 0, self.end.position);
            return;
        }
        self.bytes += lines.iter().map(|line| line.entry.payload.len()).sum::<usize>();
        self.lines.extend(lines);
        while self.bytes > MOST_BYTES
            && let Some(line) = self.lines.pop_front()
        {
            self.bytes -= line.entry.payload.len();
            self.start = line.entry.position;
        }
    }
}

impl Member {
    /// Appends an entry to the room's log, as [`Log::append`] does.
    pub(crate) fn append(&self, author: &str, number: u64, payload: &[u8]) -> log::Result<Position> {
        self.rooms.log.append(&self.room.name, author, number, payload)
    }

    /// As [`append`](Self::append), for a payload in JSON.
    pub(crate) fn append_json(
        &self,
        author: &str,
        number: u64,
        payload: &impl Serialize,
    ) -> log::Result<Position> {
        self.append(author, number, &serde_json::to_vec(payload)?)
    }

    /// Reads the room's log after a place, as [`Log::read`] does.
    pub(crate) fn read(&self, after: &Place, most: usize) -> log::Result<Batch> {
        self.rooms.log.read(&self.room.name, after, most)
    }

    /// Forgets entries of the room's log, as [`Log::trim`] does.
    pub(crate) fn trim(&self, first: Position) -> log::Result<()> {
        self.rooms.log.trim(&self.room.name, first)
    }

    /// Returns entries after a place without waiting: of the room, which has those that are for members, or at most `most`
    /// of the log if the room does not have them.
    pub(crate) fn news(&self, after: &Place, most: usize) -> log::Result<Batch> {
        let entries = match self.room.tail.look(|tail| tail.next(after, MOST_NEWS)) {
            Some(Next::Lines(lines, _)) => lines.iter().map(|line| line.entry.clone()).collect(),
            // The room may not have been read yet.
            None if !after.epoch.is_empty() => Vec::new(),
            _ => return self.read(after, most),
        };
        Ok(Batch::after(after, entries))
    }

    /// Waits until there is something after a place. Returns whether there is.
    pub(crate) fn wait(&self, place: &Place, until: Instant) -> bool {
        self.next(place, &Waiter::until(until)).is_some()
    }

    fn next(&self, place: &Place, waiter: &Waiter) -> Option<Next> {
        self.room.tail.wait(waiter, |tail| tail.next(place, MOST_TAKEN))
    }

    /// Writes what the room gets after a place, until the member leaves or the process ends.
    pub(crate) fn write(
        &self,
        writer: &mut Writer<Server>,
        waiter: &Waiter,
        mut place: Place,
        output: &mut impl Output,
    ) -> ws_std::Result<()> {
        // The log knows whether it has the place.
        let mut next = Some(Next::Read);
        while let Some(step) = next {
            let before = place.position;
            match step {
                Next::Lines(lines, end) => {
                    for line in &lines[output.superfluous(&lines, end)..] {
                        line.message.queue(writer)?;
                    }
                    place.position = lines.last().map_or(end, |line| line.entry.position);
                }
                Next::Read => output.catch_up(self, writer, &mut place)?,
            }
            writer.flush()?;
            if place.position == before {
                // The thread that follows the log will soon have read it as well.
                thread::sleep(PAUSE);
            }
            next = self.next(&place, waiter);
        }
        Ok(())
    }

    /// Repeats a call to the log until it is reached, some seconds have passed, or the process is about to end.
    pub(crate) fn patiently<X>(&self, call: impl Fn() -> log::Result<X>) -> io::Result<X> {
        let until = Instant::now() + PATIENCE;
        loop {
            match call() {
                Err(_) if !self.is_over() && Instant::now() < until => thread::sleep(PAUSE),
                result => return result.map_err(|error| io::Error::other(unreached(&error))),
            }
        }
    }

    /// Returns whether the process is about to end.
    pub(crate) fn is_over(&self) -> bool {
        self.rooms.is_over()
    }
}

fn unreached(error: &log::Error) -> String {
    format!("the log can't be reached: {}", explained(&**error))
}

/// Values that belong to rooms, each for as long as a client has it.
#[derive(Default)]
pub(crate) struct Shelf<V>(Mutex<HashMap<String, Weak<V>>>);

impl<V: Default> Shelf<V> {
    /// Returns the value of a room. Begins with a new one, for which `begin` is called, if no client has it.
    ///
    /// # Errors
    ///
    /// Those of `begin`.
    pub(crate) fn open(&self, room: &str, begin: impl FnOnce(&Arc<V>) -> io::Result<()>) -> io::Result<Arc<V>> {
        let mut shelf = lock(&self.0);
        if let Some(value) = shelf.get(room).and_then(Weak::upgrade) {
            return Ok(value);
        }
        let value = Arc::default();
        begin(&value)?;
        shelf.retain(|_, value| value.strong_count() > 0);
        shelf.insert(room.to_owned(), Arc::downgrade(&value));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LONGEST_WAIT, memory::MemoryLog};

    fn room() -> Room {
        Room::new("a".into(), |entry| Some((MessageKind::Text, entry.payload.to_vec())))
    }

    fn at(millis: u64) -> Position {
        Position { millis, sequence: 0 }
    }

    /// Adds lines at the given times.
    fn extend(room: &Room, is_reset: bool, times: &[u64]) {
        let entry = |&millis| Entry {
            position: at(millis),
            author: "a".into(),
            number: millis,
            payload: b"x".repeat(1_000).into(),
        };
        let entries: Vec<_> = times.iter().map(entry).collect();
        let end = entries.last().map_or(at(0), |entry| entry.position);
        let end = Place { epoch: "one".into(), position: end };
        room.extend(Batch { is_reset, entries, end }, &mut Deflater::new(COMPRESSION));
    }

    fn next(room: &Room, epoch: &str, millis: u64) -> Option<Next> {
        let place = Place { epoch: epoch.into(), position: at(millis) };
        room.tail.wait(&Waiter::until(Instant::now()), |tail| tail.next(&place, MOST_TAKEN))
    }

    #[test]
    fn members_take_the_lines_after_their_place() {
        let room = room();
        assert!(next(&room, "one", 0).is_none(), "the log has not been read yet");
        extend(&room, true, &[1, 2]);
        extend(&room, false, &[3, 4]);
        assert!(next(&room, "one", 4).is_none());
        assert!(matches!(next(&room, "one", 3), Some(Next::Lines(lines, _)) if lines[0].entry.position == at(4)));
        assert!(matches!(next(&room, "one", 2), Some(Next::Lines(lines, _)) if lines.len() == 2));
        assert!(matches!(next(&room, "one", 1), Some(Next::Read)), "older than the room");
        assert!(matches!(next(&room, "two", 4), Some(Next::Read)));
        room.tail.end();
        assert!(next(&room, "one", 3).is_none(), "the process ends");
    }

    #[test]
    fn members_read_the_log_after_it_has_got_another_past() {
        let room = room();
        extend(&room, true, &[1, 2, 3, 4]);
        // The log has lost the lines 3 and 4, and goes on.
        extend(&room, true, &[1, 2, 5]);
        assert!(matches!(next(&room, "one", 4), Some(Next::Read)));
        assert!(matches!(next(&room, "one", 2), Some(Next::Read)));
        assert!(next(&room, "one", 5).is_none());
    }

    #[test]
    fn a_member_that_is_before_the_room_waits_until_the_room_is_there() {
        let (room, waiter) = (room(), Waiter::default());
        let place = Place { epoch: "one".into(), position: at(0) };
        thread::scope(|scope| {
            let waiting = scope.spawn(|| room.tail.wait(&waiter, |tail| tail.next(&place, MOST_TAKEN)));
            thread::sleep(PAUSE);
            extend(&room, true, &[]);
            extend(&room, false, &[1]);
            assert!(matches!(waiting.join().unwrap(), Some(Next::Lines(lines, _)) if lines.len() == 1));
        });
    }

    #[test]
    fn a_room_keeps_a_bounded_number_of_bytes() {
        let room = room();
        extend(&room, true, &[1]);
        extend(&room, false, &(2..1_000).collect::<Vec<_>>());
        assert!(room.tail.look(|tail| tail.bytes <= MOST_BYTES && tail.lines.len() == tail.bytes / 1_000));
        assert!(matches!(next(&room, "one", 1), Some(Next::Read)));
        assert!(
            matches!(next(&room, "one", 900), Some(Next::Lines(lines, _)) if lines.len() == MOST_TAKEN / 1_000 + 1)
        );
    }

    #[test]
    fn a_new_room_is_followed_at_once_until_the_process_ends() {
        let rooms = Rooms::new(Box::new(MemoryLog::default()));
        thread::scope(|scope| {
            scope.spawn(|| rooms.follow());
            for index in 0..10 {
                let begun = Instant::now();
                let member = rooms.enter(&index.to_string(), room().encode).unwrap();
                member.append("ada", 1, b"line").unwrap();
                assert!(member.wait(&Place::default(), begun + LONGEST_WAIT));
            }
            rooms.end();
        });
        assert!(rooms.enter("a", room().encode).is_none() && !rooms.is_well());
    }

    #[test]
    fn a_value_is_kept_for_as_long_as_a_client_has_it() {
        let (shelf, begun) = (Shelf::<u8>::default(), AtomicU64::new(0));
        let open = || shelf.open("a", |_| Ok(_ = begun.fetch_add(1, Ordering::Relaxed))).unwrap();
        let (one, two) = (open(), open());
        assert!(Arc::ptr_eq(&one, &two) && begun.load(Ordering::Relaxed) == 1);
        drop((one, two));
        open();
        assert_eq!(begun.load(Ordering::Relaxed), 2);
        assert!(shelf.open("b", |_| Err(io::Error::other("no thread"))).is_err());
        assert_eq!(lock(&shelf.0).len(), 1);
    }

    #[test]
    fn rooms_and_members_are_limited_and_make_room_when_they_leave() {
        let rooms = Rooms::new(Box::new(MemoryLog::default()));
        let enter = |name: usize| rooms.enter(&name.to_string(), room().encode);
        let mut members: Vec<_> = (0..MOST_ROOMS).map_while(enter).collect();
        assert!(members.len() == MOST_ROOMS && enter(MOST_ROOMS).is_none());
        members.remove(0);
        assert!(enter(MOST_ROOMS).is_some());
        let members: Vec<_> = (0..MOST_MEMBERS).map_while(|_| enter(1)).collect();
        assert!(members.len() == MOST_MEMBERS - 1 && enter(1).is_none());
    }
}
