//! The cells of the groups, each typed by the task of its contenders: `enter` checks a contender and lets it take part.

use std::rc::Rc;

use ws_proto::role::Side;

use crate::{
    Content,
    contender::{self, Decode, Encode, Handshake, Masked, Masking, Open, Sending, Validate},
    keys::{self, Keys},
    measure::Cell,
    transport::Transport,
};

/// A cell for decoders.
pub struct Decoders {
    pub(crate) cell: Cell,
    pub(crate) content: Content,
    pub(crate) wire: Rc<[u8]>,
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) count: usize,
    pub(crate) longest_read: usize,
    pub(crate) fragmented: bool,
    pub(crate) connections: Connections,
}

/// The connections that the passes of a decoder arrive on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// The same for all passes.
    Kept,
    /// One for each pass, opened and ended within it.
    Fresh,
}

impl Decoders {
    /// Lets `D` take part.
    pub fn enter<D: Decode + 'static>(&mut self, name: &'static str) {
        self.enter_on::<D>(name, self.transport(&self.wire));
    }

    /// Lets `D` take part beside the others, which reads at most `room` bytes at a time.
    pub fn enter_reading<D: Decode + 'static>(&mut self, name: &'static str, room: usize) {
        if room < self.longest_read {
            self.enter_on::<D>(name, self.transport(&self.wire).with_room(room));
            self.cell.mark_aside(name);
        }
    }

    /// Lets `D` take part, which receives `wire` instead.
    pub(crate) fn enter_receiving<D: Decode + 'static>(&mut self, name: &'static str, wire: Vec<u8>) {
        self.enter_on::<D>(name, self.transport(&wire.into()));
    }

    fn transport(&self, wire: &Rc<[u8]>) -> Transport {
        let longest_message = self.payloads.iter().map(Vec::len).max().unwrap_or(0);
        Transport::new(wire.clone(), self.longest_read).with_longest_message(longest_message)
    }

    fn enter_on<D: Decode + 'static>(&mut self, name: &'static str, transport: Transport) {
        self.cell.enter(name, || match self.connections {
            Connections::Kept => contender::decode::<D>(transport, &self.payloads, self.count),
            Connections::Fresh => contender::decode_fresh::<D>(transport, &self.payloads, self.count),
        });
    }

    /// Lets `D` take part, which does not validate text.
    pub fn enter_unvalidated<D: Decode + 'static>(&mut self, name: &'static str) {
        self.enter::<D>(name);
        if self.content != Content::Binary {
            self.cell.mark_incomparable(name);
        }
    }

    /// Lets `D` take part if messages are whole, for `reason`. It does not validate text.
    pub fn enter_whole_unvalidated<D: Decode + 'static>(&mut self, name: &'static str, reason: &str) {
        if self.fragmented {
            self.cell.leave_out(name, reason);
        } else {
            self.enter_unvalidated::<D>(name);
        }
    }
}

/// A cell for encoders.
pub struct Encoders {
    pub(crate) cell: Cell,
    pub(crate) side: Side,
    /// `None` if each message goes to another connection, as to the members of a room.
    pub(crate) sending: Option<Sending>,
    pub(crate) keys: Keys,
    pub(crate) payload: &'static [u8],
    pub(crate) count: usize,
}

impl Encoders {
    /// Lets `E` take part.
    pub fn enter<E: Encode + 'static>(&mut self, name: &'static str) {
        let (side, sending, payload, count) = (self.side, self.sending, self.payload, self.count);
        match (self.keys, keys::source(name)) {
            (Keys::Own, None) => return self.cell.leave_out(name, "its source of keys is not known"),
            (Keys::Own, Some(source)) => self.cell.mark_keys(name, source),
            (Keys::Cheapest, _) => {}
        }
        self.cell.enter(name, || match sending {
            Some(sending) => contender::encode::<E>(side, sending, payload, count),
            None => contender::broadcast::<E>(side, payload, count),
        });
    }

    /// Lets `E` take part, which has no source of keys of its own.
    pub fn enter_sourceless<E: Encode + 'static>(&mut self, name: &'static str) {
        match self.keys {
            Keys::Cheapest => self.enter::<E>(name),
            Keys::Own => self.cell.leave_out(name, "has no source of keys of its own"),
        }
    }

    /// Lets `E` take part beside the others, which writes in pieces of its own.
    pub fn enter_aside<E: Encode + 'static>(&mut self, name: &'static str) {
        self.enter::<E>(name);
        self.cell.mark_aside(name);
    }

    /// Returns the side that sends.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    /// Returns the keys that clients mask with.
    #[must_use]
    pub const fn keys(&self) -> Keys {
        self.keys
    }
}

/// A cell for masking.
pub struct Masks {
    pub(crate) cell: Cell,
    /// As `Texts::text`.
    pub(crate) masked: Masked,
}

impl Masks {
    /// Lets `M` take part.
    pub fn enter<M: Masking>(&mut self, name: &'static str) {
        let masked = self.masked.clone();
        self.cell.enter(name, || masked.mask::<M>());
    }
}

/// A cell for the validation of text.
pub struct Texts {
    pub(crate) cell: Cell,
    /// The same memory for all contenders: where it lies decides how soon the processor has it.
    pub(crate) text: Rc<[u8]>,
    pub(crate) piece_len: usize,
}

impl Texts {
    /// Lets `V` take part.
    pub fn enter<V: Validate>(&mut self, name: &'static str) {
        let (text, piece_len) = (Rc::clone(&self.text), self.piece_len);
        self.cell.enter(name, || contender::validate::<V>(text, piece_len));
    }

    /// Lets `V` take part, which has to have all of a text at once.
    pub fn enter_whole<V: Validate>(&mut self, name: &'static str) {
        if self.piece_len == self.text.len() {
            self.enter::<V>(name);
        }
    }
}

/// A cell for servers that answer requests.
pub struct Handshakes {
    pub(crate) cell: Cell,
    pub(crate) request: &'static [u8],
}

impl Handshakes {
    /// Lets `H` take part.
    pub fn enter<H: Handshake + 'static>(&mut self, name: &'static str) {
        self.cell.enter(name, || contender::handshake::<H>(self.request));
    }
}

/// A cell for clients that open connections.
pub struct Openings {
    pub(crate) cell: Cell,
}

impl Openings {
    /// Lets `O` take part.
    pub fn enter<O: Open + 'static>(&mut self, name: &'static str) {
        self.cell.enter(name, contender::open::<O>);
    }
}
