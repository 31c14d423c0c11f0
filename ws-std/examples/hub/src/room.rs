//! A room: the newest lines, which its members take.
//!
//! A line is encoded once for all members. A member has its place and no queue: it takes the lines after its place, and
//! waits if there are none. A member that reads so slowly that the room no longer has its next line reads that line from
//! the log. So a slow member delays no other, costs no memory, and loses nothing that the log has.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use ws_std::deflate::Deflater;

use crate::{
    log::{Batch, Entry, Place, Position},
    shared::Shared,
    watched::{Leave, Watched},
};

/// The most bytes of lines that a room keeps encoded.
const MOST_BYTES: usize = 256 * 1024;
/// The most lines that a member takes at once.
const MOST_LINES: usize = 100;

/// An entry of the log, encoded for members.
pub(crate) struct Line {
    pub(crate) entry: Entry,
    pub(crate) message: Shared,
}

/// The next step of a member.
pub(crate) enum Next {
    /// Sends these lines. The last one is its new place.
    Lines(Vec<Arc<Line>>),
    /// Reads the log, because the room no longer has the line after its place, or is at another epoch.
    Read,
    /// Closes its connection, because the process ends.
    End,
}

/// The newest lines of a room.
#[derive(Default)]
pub(crate) struct Room {
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
    is_over: bool,
}

impl Room {
    /// Waits for lines after a place. `None`: the member has left, or `until` has passed.
    pub(crate) fn next(&self, place: &Place, until: Option<Instant>, leave: Option<&Leave>) -> Option<Next> {
        self.tail.wait(until, leave, |tail| tail.next(place))
    }

    /// Returns whether a place is at the end of the room: there are no lines after it.
    pub(crate) fn is_at_end(&self, place: &Place) -> bool {
        self.tail.look(|Tail { end, .. }| end.epoch == place.epoch && end.position <= place.position)
    }

    /// Returns where the log has been read to.
    pub(crate) fn end(&self) -> Place {
        self.tail.look(|tail| tail.end.clone())
    }

    /// Adds entries of the log that follow the end of the room. `text` returns an entry's text for members.
    pub(crate) fn extend(&self, batch: Batch, text: impl Fn(&Entry) -> String, encoder: &mut Deflater) {
        let Batch { epoch, is_reset, entries, end } = batch;
        let line = |entry: Entry| Some(Arc::new(Line { message: Shared::new(&text(&entry), encoder)?, entry }));
        let lines: Vec<_> = entries.into_iter().filter_map(line).collect();
        self.tail.change(|tail| tail.extend(Place { epoch, position: end }, is_reset, lines));
    }

    /// Tells all members that the process ends.
    pub(crate) fn end_all(&self) {
        self.tail.change(|tail| tail.is_over = true);
    }
}

impl Tail {
    fn next(&self, place: &Place) -> Option<Next> {
        if self.is_over {
            return Some(Next::End);
        }
        if self.end.epoch.is_empty() {
            return None;
        }
        if self.end.epoch != place.epoch || place.position < self.start {
            return Some(Next::Read);
        }
        let from = self.lines.partition_point(|line| line.entry.position <= place.position);
        let lines: Vec<_> = self.lines.range(from..).take(MOST_LINES).cloned().collect();
        (!lines.is_empty()).then_some(Next::Lines(lines))
    }

    fn extend(&mut self, end: Place, is_reset: bool, lines: Vec<Arc<Line>>) {
        if is_reset {
            self.lines.clear();
            self.bytes = 0;
            // Members of this epoch that are behind its newest entries read the log.
            self.start = lines.first().map_or(end.position, |line| line.entry.position);
        }
        self.end = end;
        for line in lines {
            self.bytes += line.message.len();
            self.lines.push_back(line);
        }
        while self.bytes > MOST_BYTES
            && let Some(line) = self.lines.pop_front()
        {
            self.bytes -= line.message.len();
            self.start = line.entry.position;
        }
    }
}
