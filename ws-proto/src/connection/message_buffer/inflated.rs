//! Compressed messages, which are inflated beside the storage.

use alloc::boxed::Box;

use super::{MessageBuffer, Told};
use crate::{
    connection::storage::Storage,
    deflate::{InflateLimits, Inflater, Use},
    endpoint::Endpoint,
    endpoint::Trace,
    endpoint::receive::DataStep,
    error::{Fault, ReceiveError},
    event::Event,
    message::MessageKind,
    part::part,
    role::Role,
    time::Instant,
};

impl<S: Storage> MessageBuffer<S> {
    /// Has compressed messages inflated by this; otherwise it makes an inflater when the first comes.
    ///
    /// For hosts that keep a pool of inflaters.
    pub fn set_inflater(&mut self, inflater: Box<Inflater>) {
        self.forget_told();
        self.inflater = Some(inflater);
    }

    /// Sets what a compressed message may become, from the next one on.
    pub const fn set_inflate_limits(&mut self, limits: InflateLimits) {
        self.inflate_limits = limits;
    }

    /// Takes the inflater out, unless it remembers what the next message needs.
    pub fn take_inflater(&mut self) -> Option<Box<Inflater>> {
        self.forget_told();
        let mut inflater = self.inflater.take_if(|inflater| inflater.is_idle())?;
        // The next connection need not see what this one has received.
        inflater.release();
        Some(inflater)
    }

    /// Inflates the next piece of the part at hand, if there is one.
    pub(super) fn next_piece<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<Option<Event<()>>, ReceiveError> {
        while let Some((at, last)) = self.deflated.take() {
            let mut payload = part(self.storage.bytes(), at.clone());
            let found = match &mut self.inflater {
                Some(inflater) => inflater.next_piece(&mut payload, last),
                None => Err(Fault::Internal),
            };
            let (told, more) = match found {
                Ok(found) => found,
                Err(fault) => return Err(self.fail(endpoint, now, fault)),
            };
            if more {
                self.deflated = Some((at.end - payload.len()..at.end, last));
            }
            if told {
                self.told = Some(Told::InflatedPart);
                return Ok(Some(Event::Data(())));
            }
        }
        Ok(None)
    }
}

pub(super) fn begin<R: Role, T: Trace>(
    slot: &mut Option<Box<Inflater>>,
    limits: InflateLimits,
    endpoint: &Endpoint<R, T>,
    kind: MessageKind,
    purpose: Use,
) {
    slot.get_or_insert_default().begin_message(kind, purpose, limits, endpoint.inflate_limits());
}

/// Adds a compressed part to the message in the inflater; whether that is complete.
pub(super) fn inflate<R: Role, T: Trace>(
    slot: &mut Option<Box<Inflater>>,
    limits: InflateLimits,
    endpoint: &Endpoint<R, T>,
    step: &DataStep,
    payload: &[u8],
) -> Result<bool, Fault> {
    if step.part.is_first() {
        begin(slot, limits, endpoint, step.content.kind(), Use::Whole);
    }
    slot.as_mut().ok_or(Fault::Internal)?.add(payload, step.part.is_last())?;
    Ok(step.part.is_last())
}
