//! Compressed messages, which are inflated beside the storage.

use alloc::boxed::Box;
use core::ops::Range;

use super::MessageBuffer;
use crate::{
    connection::storage::Storage,
    deflate::{InflateLimits, Inflater, Use},
    endpoint::{Endpoint, Trace, receive::Taken},
    error::{Fault, ReceiveError},
    message::{Data, Message, MessageKind, Part},
    part::part,
    role::Role,
    time::Instant,
};

impl<S: Storage> MessageBuffer<S> {
    /// Sets the inflater of compressed messages; without this call one is made when the first comes.
    ///
    /// For hosts that keep a pool of inflaters.
    pub fn set_inflater(&mut self, inflater: Box<Inflater>) {
        self.forget_told();
        self.inflated.inflater = Some(inflater);
    }

    /// Sets what a compressed message may become, from the next one on.
    pub const fn set_inflate_limits(&mut self, limits: InflateLimits) {
        self.inflated.limits = limits;
    }

    /// Takes the inflater out, unless it remembers what the next message needs.
    pub fn take_inflater(&mut self) -> Option<Box<Inflater>> {
        self.forget_told();
        let mut inflater = self.inflated.inflater.take_if(|inflater| inflater.is_idle())?;
        // The next connection need not see what this one has received.
        inflater.release();
        Some(inflater)
    }
}

/// The inflater of a connection, and what it has told.
pub(super) struct Inflated {
    inflater: Option<Box<Inflater>>,
    limits: InflateLimits,
    told: Option<Told>,
    /// Where a part lies in the storage that is being inflated piece by piece, and whether it is the last.
    pieces: Option<(Range<usize>, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Message,
    Piece,
}

impl Inflated {
    pub(super) const fn new() -> Self {
        Self { inflater: None, limits: InflateLimits::new(), told: None, pieces: None }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.inflater.as_ref().is_none_or(|inflater| inflater.is_idle())
    }

    /// Returns whether a message is being assembled.
    pub(super) fn is_assembling(&self) -> bool {
        self.inflater.as_ref().is_some_and(|inflater| inflater.is_assembling())
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.inflater.as_ref().map_or(0, |inflater| inflater.held_bytes())
    }

    pub(super) fn clear(&mut self) {
        *self = Self { limits: self.limits, ..Self::new() };
    }

    /// Adds a compressed part to the message; whether that is complete.
    ///
    /// # Errors
    ///
    /// The compressed payload is not valid, or the message is too long.
    pub(super) fn add<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        taken: Taken,
        payload: &[u8],
    ) -> Result<bool, ReceiveError> {
        if taken.first {
            self.begin(endpoint, taken.content.kind(), Use::Whole);
        }
        let added = match &mut self.inflater {
            Some(inflater) => inflater.add(payload, taken.last),
            None => Err(Fault::Internal),
        };
        added.map_err(|fault| endpoint.fail(now, fault))?;
        self.told = taken.last.then_some(Told::Message);
        Ok(taken.last)
    }

    /// Adds the part at `at` in the storage, to be told piece by piece.
    pub(super) fn add_pieces<R: Role, T: Trace>(
        &mut self,
        endpoint: &Endpoint<R, T>,
        taken: Taken,
        at: Range<usize>,
    ) {
        if taken.first {
            self.begin(endpoint, taken.content.kind(), Use::Pieces);
        }
        self.pieces = Some((at, taken.last));
    }

    fn begin<R: Role, T: Trace>(&mut self, endpoint: &Endpoint<R, T>, kind: MessageKind, purpose: Use) {
        let inflater = self.inflater.get_or_insert_default();
        inflater.begin_message(kind, purpose, self.limits, endpoint.inflate_limits());
    }

    /// Whether part of a message has not been told.
    #[inline(always)]
    pub(super) const fn has_pieces(&self) -> bool {
        self.pieces.is_some()
    }

    /// Inflates the next piece of the part at hand; whether there is one.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub(super) fn next_piece<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        storage: &[u8],
    ) -> Result<bool, ReceiveError> {
        while let Some((at, last)) = self.pieces.take() {
            let mut payload = part(storage, at.clone());
            let found = match &mut self.inflater {
                Some(inflater) => inflater.next_piece(&mut payload, last),
                None => Err(Fault::Internal),
            };
            let (told, more) = found.map_err(|fault| endpoint.fail(now, fault))?;
            if more {
                self.pieces = Some((at.end - payload.len()..at.end, last));
            }
            if told {
                self.told = Some(Told::Piece);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The message that was told last.
    pub(super) fn message(&self) -> Option<Message<'_>> {
        let inflater = self.inflater.as_ref().filter(|_| self.told == Some(Told::Message))?;
        inflater.message()
    }

    /// The piece that was told last, or the message, once.
    pub(super) fn piece(&mut self) -> Option<Data<'_>> {
        self.told?;
        self.inflater.as_mut()?.piece()
    }

    /// Returns what [`piece`](Self::piece) would, and leaves it.
    pub(super) fn part(&self) -> Option<(MessageKind, Part, &[u8])> {
        self.told?;
        self.inflater.as_ref()?.part()
    }

    #[inline(always)]
    pub(super) const fn has_told(&self) -> bool {
        self.told.is_some()
    }

    /// Forgets what was told last: it has been seen.
    #[inline(always)]
    pub(super) fn forget_told(&mut self) {
        if self.told.is_some() {
            self.end_told();
        }
    }

    #[cold]
    fn end_told(&mut self) {
        if self.told.take() == Some(Told::Message) {
            self.inflater.iter_mut().for_each(|inflater| inflater.release());
        }
    }
}
