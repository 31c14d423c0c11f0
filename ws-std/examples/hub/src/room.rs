//! A room: the newest lines, which its members take.
//!
//! A line is encoded once for all members. A member has its place and no queue: it takes the lines after its place, and
//! waits if there are none. A member that reads so slowly that the room no longer has its next line reads that line from
//! the log. So a slow member delays no other, costs no memory, and loses nothing that the log has.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Instant,
};

use ws_std::{
    Message, MessageKind, Prepared,
    deflate::{Deflater, Settings},
};

use crate::{
    lock,
    log::{Batch, Entry, Place, Position},
};

/// The most bytes of lines that a room keeps encoded.
const MOST_BYTES: usize = 256 * 1024;
/// The most lines that a member takes at once.
const MOST_LINES: usize = 100;
pub(crate) const COMPRESSION: Settings = Settings::small();

/// An entry of the log, encoded once for all members: plain, and compressed for those that have agreed on compression.
pub(crate) struct Line {
    pub(crate) position: Position,
    pub(crate) plain: Prepared<Vec<u8>>,
    pub(crate) deflated: Prepared<Vec<u8>>,
    len: usize,
}

/// What a member does next.
pub(crate) enum Next {
    /// Sends these lines. The last one is its new place.
    Lines(Vec<Arc<Line>>),
    /// Reads the log, because the room no longer has the line after its place, or is at another epoch.
    Read,
    /// Nothing: the time has passed, or the member has left.
    Nothing,
    /// Closes its connection, because the process ends.
    End,
}

#[derive(Default)]
pub(crate) struct Room {
    tail: Mutex<Tail>,
}

#[derive(Default)]
struct Tail {
    /// Where the log has been read to. The epoch is empty until it has been read.
    end: Place,
    /// The position after which `lines` begin.
    start: Position,
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
    /// Threads to wake when a line comes.
    waiting: Vec<Thread>,
    is_over: bool,
}

impl Room {
    /// Waits for lines after a place, until they come, `until` passes, or the member `has_left`. The latter two need
    /// the thread to be unparked.
    pub(crate) fn next(&self, place: &Place, until: Option<Instant>, has_left: &AtomicBool) -> Next {
        loop {
            let mut tail = lock(&self.tail);
            let now = Instant::now();
            if tail.is_over {
                return Next::End;
            }
            if has_left.load(Ordering::Acquire) || until.is_some_and(|until| until <= now) {
                return Next::Nothing;
            }
            if !tail.end.epoch.is_empty() {
                if tail.end.epoch != place.epoch || place.position < tail.start {
                    return Next::Read;
                }
                let from = tail.lines.partition_point(|line| line.position <= place.position);
                if from < tail.lines.len() {
                    return Next::Lines(tail.lines.range(from..).take(MOST_LINES).cloned().collect());
                }
            }
            tail.waiting.push(thread::current());
            drop(tail);
            until.map_or_else(thread::park, |until| thread::park_timeout(until - now));
        }
    }

    /// Returns whether a place is at the end of the room: there are no lines after it.
    pub(crate) fn is_at_end(&self, place: &Place) -> bool {
        let end = &lock(&self.tail).end;
        end.epoch == place.epoch && end.position <= place.position
    }

    /// Returns where the log has been read to.
    pub(crate) fn end(&self) -> Place {
        lock(&self.tail).end.clone()
    }

    /// Adds entries of the log that follow the end of the room. `text` returns an entry's text for members.
    pub(crate) fn extend(&self, batch: &Batch, text: fn(&Entry) -> String, encoder: &mut Deflater) {
        let lines = batch.entries.iter().filter_map(|entry| Line::new(entry.position, &text(entry), encoder));
        let lines: Vec<_> = lines.map(Arc::new).collect();
        let mut tail = lock(&self.tail);
        if batch.is_reset {
            tail.lines.clear();
            tail.bytes = 0;
            // Members of this epoch that are behind its newest entries read the log.
            tail.start = batch.entries.first().map_or(batch.end, |entry| entry.position);
        }
        tail.end = Place { epoch: batch.epoch.clone(), position: batch.end };
        for line in lines {
            tail.bytes += line.len;
            tail.lines.push_back(line);
        }
        while tail.bytes > MOST_BYTES
            && let Some(line) = tail.lines.pop_front()
        {
            tail.bytes -= line.len;
            tail.start = line.position;
        }
        tail.wake();
    }

    /// Tells all members that the process ends.
    pub(crate) fn end_all(&self) {
        let mut tail = lock(&self.tail);
        tail.is_over = true;
        tail.wake();
    }
}

impl Tail {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(|thread| thread.unpark());
    }
}

impl Line {
    fn new(position: Position, text: &str, encoder: &mut Deflater) -> Option<Self> {
        let plain = Prepared::new(MessageKind::Text, text.as_bytes().to_vec()).ok()?;
        let deflated = encoder.prepare(Message::Text(text), COMPRESSION.server_max_window_bits);
        Some(Self { position, plain, deflated, len: text.len() })
    }
}
