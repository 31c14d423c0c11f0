//! The rooms that have members, and the thread that follows the log for all of them.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ws_std::deflate::Deflater;

use crate::{
    lock,
    log::{Batch, Entry, Log, LogError, Place, Position},
    program::explained,
    room::{Next, Room},
    shared::{COMPRESSION, Shared},
};

/// The most rooms with members.
const MOST_ROOMS: usize = 1_000;
/// The most members of a room.
const MOST_MEMBERS: usize = 10_000;
/// The most entries that are read from the log at once.
pub(crate) const MOST_READ: usize = 50;
/// Pause before another attempt to reach the log, or to find news in it.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);
/// Time within which the log has to be reached for a member.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Rooms {
    log: Box<dyn Log>,
    /// Returns the message of a room's entry for members, if it is for them.
    encode: fn(&str, &Entry, &mut Deflater) -> Option<Shared>,
    live: Mutex<HashMap<String, Live>>,
    is_over: AtomicBool,
    is_reached: AtomicBool,
}

struct Live {
    room: Arc<Room>,
    members: usize,
}

/// A member of a room, until it is dropped.
pub(crate) struct Member {
    rooms: Arc<Rooms>,
    name: String,
    pub(crate) room: Arc<Room>,
}

impl Rooms {
    pub(crate) fn new(log: Box<dyn Log>, encode: fn(&str, &Entry, &mut Deflater) -> Option<Shared>) -> Self {
        let (live, is_over) = Default::default();
        Self { log, encode, live, is_over, is_reached: AtomicBool::new(true) }
    }

    /// Adds a member to a room. `None`: there are too many rooms or members, or the process is about to end.
    pub(crate) fn enter(self: &Arc<Self>, name: &str) -> Option<Member> {
        let mut live = lock(&self.live);
        let is_new = !live.contains_key(name);
        if self.is_over() || is_new && live.len() >= MOST_ROOMS {
            return None;
        }
        let Live { room, members } =
            live.entry(name.to_owned()).or_insert_with(|| Live { room: Arc::default(), members: 0 });
        if *members >= MOST_MEMBERS {
            return None;
        }
        *members += 1;
        let member = Member { rooms: Arc::clone(self), name: name.to_owned(), room: Arc::clone(room) };
        drop(live);
        if is_new {
            self.log.wake();
        }
        Some(member)
    }

    /// Follows the log until the process ends.
    pub(crate) fn follow(&self) {
        let mut encoder = Deflater::new(COMPRESSION);
        while !self.is_over() {
            let result = self.follow_once(&mut encoder);
            let was_reached = self.is_reached.swap(result.is_ok(), Ordering::Relaxed);
            match result {
                Ok(()) if !was_reached => report("the log is reached again"),
                Ok(()) => {}
                Err(error) => {
                    if was_reached {
                        report(&explained(&error));
                    }
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    fn follow_once(&self, encoder: &mut Deflater) -> Result<(), LogError> {
        let live: Vec<_> =
            lock(&self.live).iter().map(|(name, live)| (name.clone(), Arc::clone(&live.room))).collect();
        let places: Vec<_> = live.iter().map(|(name, room)| (name.clone(), room.end())).collect();
        let mut result = Ok(());
        for index in self.log.wait(&places)? {
            let (name, place) = &places[index];
            // A room that fails does not keep the others waiting.
            match self.log.read(name, place, MOST_READ) {
                Ok(batch) => live[index].1.extend(batch, |entry| (self.encode)(name, entry, encoder)),
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
        let live = lock(&self.live);
        self.is_over.store(true, Ordering::Relaxed);
        live.values().for_each(|live| live.room.end_all());
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Writes a line to standard error, which may be closed.
fn report(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

impl Member {
    /// Appends an entry to the room's log, as [`Log::append`] does.
    pub(crate) fn append(&self, author: &str, number: u64, payload: &str) -> Result<Position, LogError> {
        self.rooms.log.append(&self.name, author, number, payload)
    }

    /// Reads the room's log after a place, as [`Log::read`] does.
    pub(crate) fn read(&self, after: &Place, most: usize) -> Result<Batch, LogError> {
        self.rooms.log.read(&self.name, after, most)
    }

    /// Reads what the log has after a place for a member whose room does not have it, as [`patiently`](Self::patiently).
    pub(crate) fn catch_up(&self, after: &Place, most: usize) -> Result<Batch, LogError> {
        let batch = self.patiently(|| self.read(after, most))?;
        if batch.entries.is_empty() && !batch.is_reset {
            // The thread that follows the log will soon have read it as well.
            thread::sleep(PAUSE);
        }
        Ok(batch)
    }

    /// Returns entries after a place without waiting: of the room, which has those that are for members, or at most `most` of the log
    /// if the room does not have them.
    pub(crate) fn news(&self, after: &Place, most: usize) -> Result<Batch, LogError> {
        let mut batch =
            Batch { epoch: after.epoch.clone(), is_reset: false, entries: Vec::new(), end: after.position };
        match self.room.next(after, Some(Instant::now()), None) {
            Some(Next::Lines(lines)) => {
                batch.entries = lines.iter().map(|line| line.entry.clone()).collect();
                batch.end = batch.entries.last().map_or(batch.end, |entry| entry.position);
            }
            Some(Next::Read) => return self.read(after, most),
            // The room may not have been read yet.
            _ if after.epoch.is_empty() => return self.read(after, most),
            _ => {}
        }
        Ok(batch)
    }

    /// Forgets entries of the room's log, as [`Log::trim`] does.
    pub(crate) fn trim(&self, first: Position) -> Result<(), LogError> {
        self.rooms.log.trim(&self.name, first)
    }

    /// Repeats a call to the log until it is reached, some seconds have passed, or the process is about to end.
    pub(crate) fn patiently<X>(&self, call: impl Fn() -> Result<X, LogError>) -> Result<X, LogError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match call() {
                Err(_) if !self.is_over() && Instant::now() < until => thread::sleep(PAUSE),
                result => return result,
            }
        }
    }

    /// Returns whether the process is about to end.
    pub(crate) fn is_over(&self) -> bool {
        self.rooms.is_over()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut live = lock(&self.rooms.live);
        if let Some(Live { members, .. }) = live.get_mut(&self.name) {
            *members -= 1;
            if *members == 0 {
                live.remove(&self.name);
            }
        }
    }
}
