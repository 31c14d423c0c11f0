//! The messages that one side has sent and the other one has received: the oracle.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use fastrand::Rng;

/// The length of a chunk's header in bytes.
const HEADER_LEN: usize = 12;

/// A piece of a message that says where it belongs. All of it is ASCII, so that it can be sent as text too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Chunk {
    pub(crate) writer: u8,
    pub(crate) number: u32,
    pub(crate) place: Place,
}

/// The place of a chunk in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Whole = b'w' as isize,
    First = b'f' as isize,
    Middle = b'm' as isize,
    Last = b'l' as isize,
    /// The last message of a writer.
    End = b'e' as isize,
}

impl Chunk {
    /// Returns the bytes of this chunk with `len` bytes of payload.
    pub(crate) fn encode(self, len: usize) -> Vec<u8> {
        let mut bytes = vec![b'#', self.place as u8, b'0' + self.writer];
        let digits = |value: u32| (0..4).rev().map(move |digit| (value >> (7 * digit) & 0x7f) as u8);
        bytes.extend(digits(self.number).chain(digits(u32::try_from(len).unwrap())));
        bytes.push(b':');
        bytes.extend((0..len).map(|at| self.byte(at)));
        bytes
    }

    fn byte(self, at: usize) -> u8 {
        u8::try_from((at * 7 + self.number as usize * 31 + usize::from(self.writer)) % 127).unwrap_or_default()
    }

    /// Takes the first chunk off `bytes`, and checks that no byte of it was lost or changed.
    fn decode(bytes: &mut &[u8]) -> Self {
        let (header, rest) = bytes.split_at(HEADER_LEN);
        let value = |digits: &[u8]| digits.iter().fold(0, |value, digit| value << 7 | u32::from(*digit));
        let place = match header[1] {
            b'w' => Place::Whole,
            b'f' => Place::First,
            b'm' => Place::Middle,
            b'l' => Place::Last,
            b'e' => Place::End,
            other => panic!("byte {other} is no place"),
        };
        let chunk = Self { writer: header[2] - b'0', number: value(&header[3..7]), place };
        let (payload, rest) = rest.split_at(value(&header[7..11]) as usize);
        assert!((0..payload.len()).all(|at| payload[at] == chunk.byte(at)), "{chunk:?} is damaged");
        *bytes = rest;
        chunk
    }
}

/// Draws the length of a payload: most are short.
pub(crate) fn length(rng: &mut Rng) -> usize {
    match rng.u8(..200) {
        0 => rng.usize(..150_000),
        1..=4 => rng.usize(60_000..70_000),
        5..=30 => rng.usize(..3_000),
        31..=60 => rng.usize(100..200),
        _ => rng.usize(..30),
    }
}

/// One direction of a connection.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Rc<RefCell<Entries>>);

#[derive(Default)]
struct Entries {
    /// Chunks that a call has returned `Ok` for and the peer has not received yet.
    owed: BTreeSet<Chunk>,
    next: u32,
    last: [Option<u32>; 8],
    ends: BTreeSet<u8>,
    pings: u32,
    pongs: u32,
}

impl Ledger {
    /// Creates the next chunk of a writer.
    pub(crate) fn chunk(&self, writer: u8, place: Place) -> Chunk {
        let mut entries = self.0.borrow_mut();
        entries.next += 1;
        Chunk { writer, number: entries.next, place }
    }

    /// Takes note that a call has promised to deliver a chunk.
    pub(crate) fn promise(&self, chunk: Chunk) {
        let mut entries = self.0.borrow_mut();
        if entries.last[usize::from(chunk.writer)].is_none_or(|last| last < chunk.number) {
            entries.owed.insert(chunk);
        }
    }

    /// Returns whether a message must still come.
    pub(crate) fn owes(&self) -> bool {
        !self.0.borrow().owed.is_empty()
    }

    /// Returns whether the ends of `writers` writers have come.
    pub(crate) fn has_ended(&self, writers: usize) -> bool {
        self.0.borrow().ends.len() >= writers
    }

    /// Checks a message: its chunks are whole, in order, and none is missing.
    pub(crate) fn receive(&self, mut message: &[u8]) {
        let mut places = Vec::new();
        while !message.is_empty() {
            let chunk = Chunk::decode(&mut message);
            self.receive_chunk(chunk);
            places.push(chunk.place);
        }
        match &*places {
            [Place::Whole | Place::End] => {}
            [Place::First, middle @ .., Place::Last] => {
                assert!(middle.iter().all(|place| *place == Place::Middle))
            }
            places => panic!("a message of {places:?}"),
        }
    }

    fn receive_chunk(&self, chunk: Chunk) {
        let mut entries = self.0.borrow_mut();
        let last = &mut entries.last[usize::from(chunk.writer)];
        assert!(last.is_none_or(|last| last < chunk.number), "{chunk:?} after {last:?}");
        *last = Some(chunk.number);
        entries.owed.remove(&chunk);
        let missed = entries.owed.iter().find(|owed| owed.writer == chunk.writer && owed.number < chunk.number);
        assert_eq!(missed, None, "missing before {chunk:?}");
        if chunk.place == Place::End {
            entries.ends.insert(chunk.writer);
        }
    }

    /// Returns the payload of the next Ping.
    pub(crate) fn ping(&self) -> [u8; 4] {
        let mut entries = self.0.borrow_mut();
        entries.pings += 1;
        entries.pings.to_be_bytes()
    }

    /// Checks the payload of a Pong: it answers a Ping, later ones later. It is empty if another Pong of ours waited for room.
    pub(crate) fn pong(&self, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        let mut entries = self.0.borrow_mut();
        let number = u32::from_be_bytes(payload.try_into().unwrap());
        assert!(number > entries.pongs && number <= entries.pings, "a Pong {number} after {}", entries.pongs);
        entries.pongs = number;
    }
}
