//! A room: the newest lines, which its members take.
//!
//! A line is encoded once for all members. A member has its place and no queue: it takes the lines after its place, and
//! waits if there are none. A member that reads so slowly that the room no longer has its next line reads that line from
//! the log. So a slow member delays no other, costs no memory, and loses nothing that the log has.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use crate::{
    log::{Batch, Entry, Place, Position},
    shared::Shared,
    watched::{Leave, Watched},
};

/// The most bytes of lines that a room keeps encoded.
const MOST_BYTES: usize = 256 * 1024;
/// The most lines that a member takes at once.
const MOST_LINES: usize = 16;

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
    /// Says that it has all lines.
    AtEnd,
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

    /// As [`next`](Self::next), but returns [`Next::AtEnd`] if there are no lines after the place.
    pub(crate) fn next_or_end(&self, place: &Place, leave: &Leave) -> Option<Next> {
        let at_end = |tail: &Tail| (!tail.end.epoch.is_empty()).then_some(Next::AtEnd);
        self.tail.wait(None, Some(leave), |tail| tail.next(place).or_else(|| at_end(tail)))
    }

    /// Returns where the log has been read to.
    pub(crate) fn end(&self) -> Place {
        self.tail.look(|tail| tail.end.clone())
    }

    /// Adds entries of the log that follow the end of the room. `encode` returns an entry's message, if it is for members.
    pub(crate) fn extend(&self, batch: Batch, mut encode: impl FnMut(&Entry) -> Option<Shared>) {
        let Batch { epoch, is_reset, entries, end } = batch;
        let line = |entry: Entry| Some(Arc::new(Line { message: encode(&entry)?, entry }));
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
            // The log has another past than this room: each member reads on there, and is told so.
            (self.lines, self.bytes, self.start) = (VecDeque::new(), 0, end.position);
            self.end = end;
            return;
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

#[cfg(test)]
mod tests {
    use ws_std::{Message, deflate::Deflater};

    use super::*;
    use crate::shared::COMPRESSION;

    fn at(millis: u64) -> Position {
        Position { millis, sequence: 0 }
    }

    /// Adds lines at the given times.
    fn extend(room: &Room, is_reset: bool, times: &[u64]) {
        let entry = |&millis| Entry {
            position: at(millis),
            author: "a".into(),
            number: millis,
            payload: "x".repeat(1_000),
        };
        let entries: Vec<_> = times.iter().map(entry).collect();
        let end = entries.last().map_or(at(0), |entry| entry.position);
        let batch = Batch { epoch: "one".into(), is_reset, entries, end };
        let mut encoder = Deflater::new(COMPRESSION);
        room.extend(batch, |entry| Shared::new(Message::Text(&entry.payload), &mut encoder));
    }

    fn next(room: &Room, epoch: &str, millis: u64) -> Option<Next> {
        room.next(&Place { epoch: epoch.into(), position: at(millis) }, Some(Instant::now()), None)
    }

    #[test]
    fn members_take_the_lines_after_their_place() {
        let room = Room::default();
        assert!(next(&room, "one", 0).is_none(), "the log has not been read yet");
        extend(&room, true, &[1, 2]);
        extend(&room, false, &[3, 4]);
        assert!(next(&room, "one", 4).is_none());
        let (place, leave) = (Place { epoch: "one".into(), position: at(4) }, Leave::default());
        assert!(matches!(room.next_or_end(&place, &leave), Some(Next::AtEnd)));
        assert!(matches!(next(&room, "one", 3), Some(Next::Lines(lines)) if lines[0].entry.position == at(4)));
        assert!(matches!(next(&room, "one", 2), Some(Next::Lines(lines)) if lines.len() == 2));
        assert!(matches!(next(&room, "one", 1), Some(Next::Read)), "older than the room");
        assert!(matches!(next(&room, "two", 4), Some(Next::Read)));
        room.end_all();
        assert!(matches!(next(&room, "one", 4), Some(Next::End)));
    }

    #[test]
    fn members_read_the_log_after_it_has_got_another_past() {
        let room = Room::default();
        extend(&room, true, &[1, 2, 3, 4]);
        // The log has lost the lines 3 and 4, and goes on.
        extend(&room, true, &[1, 2, 5]);
        assert!(matches!(next(&room, "one", 4), Some(Next::Read)));
        assert!(matches!(next(&room, "one", 2), Some(Next::Read)));
        assert!(next(&room, "one", 5).is_none());
    }

    #[test]
    fn a_member_that_is_before_the_room_is_told_the_end_when_the_room_is_there() {
        let (room, leave) = (Room::default(), Leave::default());
        let place = Place { epoch: "one".into(), position: at(0) };
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| room.next_or_end(&place, &leave));
            std::thread::sleep(std::time::Duration::from_millis(20));
            extend(&room, true, &[]);
            assert!(matches!(waiting.join().unwrap(), Some(Next::AtEnd)));
        });
    }

    #[test]
    fn a_room_keeps_a_bounded_number_of_bytes() {
        let room = Room::default();
        extend(&room, true, &[1]);
        extend(&room, false, &(2..1_000).collect::<Vec<_>>());
        assert!(room.tail.look(|tail| tail.bytes <= MOST_BYTES && tail.lines.len() == tail.bytes / 1_000));
        assert!(matches!(next(&room, "one", 1), Some(Next::Read)));
        assert!(matches!(next(&room, "one", 900), Some(Next::Lines(lines)) if lines.len() == MOST_LINES));
    }
}
