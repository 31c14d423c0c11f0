//! Short frames that wait, as they were read, until each is complete.
//!
//! Many reads end within a frame. A short frame is cheaper to take whole than in two parts, even if its bytes have to be copied
//! to a place where they can wait. So binary messages of one frame wait. Texts do not: a fault in a text is to be found as soon as
//! it is there.
//!
//! The bytes that wait count as received. Once its header is there the message has begun, as far as deadlines and faults go.

use super::{Assembly, Deferred, FOREIGN};
use crate::{
    connection::{room::Moment, storage::Storage},
    endpoint::{Endpoint, Trace},
    error::{Fault, ReceiveError},
    frame::FrameLen,
    message::MessageKind,
    role::Role,
    time::Instant,
};

impl<S: Storage> Assembly<S> {
    /// Whether a frame waits here; never without a heap, where flash counts for more than speed.
    #[inline(always)]
    pub(in super::super) const fn is_deferring(&self) -> bool {
        cfg!(feature = "alloc") && self.deferred.is_some()
    }

    /// Takes all of `input`, if the frame that is deferred here is not complete with it, and there is room. Otherwise it returns `false`,
    /// and nothing has changed.
    #[inline(always)]
    pub(super) fn leave_deferred<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        input: &[u8],
    ) -> bool {
        let Some(Deferred { needed, received }) = &mut self.deferred else { return false };
        let end = self.unread.end + input.len();
        let here = end - self.unread.start;
        let Some(room) = self.storage.bytes_mut().get_mut(self.unread.end..end) else { return false };
        if here >= *needed || input.is_empty() || !endpoint.is_deferring() {
            return false;
        }
        endpoint.heard_deferred(now);
        room.copy_from_slice(input);
        self.unread.end = end;
        *received = here;
        true
    }

    /// Takes what comes next in `input`, where no message is in progress, if it belongs to a frame that is deferred here or is to be.
    /// Returns whether the frame is a whole message now, which [`message`](Self::message) lends; otherwise all of `input` has been
    /// taken. `None` if anything else comes, or comes first and is unread.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance).
    #[inline(always)]
    pub(in super::super) fn take_deferred<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        input: &mut &[u8],
    ) -> Result<Option<bool>, ReceiveError> {
        self.check_deferred(endpoint, now)?;
        self.told = None;
        if self.is_deferring() {
            return self.continue_deferred(endpoint, now, input);
        }
        if self.has_unread() {
            return Ok(None);
        }
        let Some(needed) = endpoint.defer(now, input, self.storage.limit()) else { return Ok(None) };
        self.fit(Moment::Begins(needed));
        self.close_gap();
        self.append(core::mem::take(input)).map_err(|fault| endpoint.fail(now, fault))?;
        self.begin_deferral(needed);
        Ok(Some(false))
    }

    #[inline(always)]
    fn continue_deferred<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        input: &mut &[u8],
    ) -> Result<Option<bool>, ReceiveError> {
        while let Some(Deferred { needed, .. }) = self.deferred {
            let missing = needed.saturating_sub(self.unread.len());
            let (more, rest) = input.split_at(missing.min(input.len()));
            *input = rest;
            self.append(more).map_err(|fault| endpoint.fail(now, fault))?;
            if self.still_waits(endpoint, now) {
                return Ok(Some(false));
            }
            if self.next_deferred(endpoint, now) {
                return Ok(Some(true));
            }
            // The header has become complete, or the frame is for the rules.
            self.defer_unread(endpoint, now);
        }
        Ok(None)
    }

    /// Fails if a frame waits here and none of `endpoint` does, or the other way round.
    ///
    /// # Errors
    ///
    /// [`FOREIGN`].
    #[inline(always)]
    pub(in super::super) fn check_deferred<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<(), ReceiveError> {
        if self.is_deferring() == endpoint.is_deferring() {
            return Ok(());
        }
        // The connection closes: what has been deferred is for the rules.
        if self.deferred.take().is_some() && !endpoint.is_open() {
            return Ok(());
        }
        Err(endpoint.fail(now, FOREIGN))
    }

    /// Returns whether [`leave_here`](Self::leave_here) may find such a frame; one look at a byte tells most others.
    #[inline(always)]
    pub(in super::super) fn may_leave_here(&self) -> bool {
        let is_possible = cfg!(feature = "alloc") && self.message.is_none();
        is_possible && FrameLen::may_be_of(self.unread(), MessageKind::Binary)
    }

    /// Leaves what is unread where it is, if that is the beginning of a frame that is deferred or is to be, after
    /// [`may_leave_here`](Self::may_leave_here). Otherwise it returns `false`, and nothing has changed.
    #[inline(always)]
    pub(in super::super) fn leave_here<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> bool {
        if self.is_deferring() != endpoint.is_deferring() {
            return false;
        }
        if self.is_deferring() { self.still_waits(endpoint, now) } else { self.defer_unread(endpoint, now) }
    }

    /// Ends the wait of the deferred frame, if what it waited for is there, and takes it, if it is a whole message now; returns
    /// whether it is.
    #[inline(always)]
    pub(in super::super) fn next_deferred<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> bool {
        let is_there =
            self.is_deferring() && self.deferred.is_some_and(|deferred| deferred.needed <= self.unread.len());
        if !is_there || !endpoint.is_deferring() {
            return false;
        }
        self.deferred = None;
        endpoint.end_deferral();
        self.next_whole(endpoint, now)
    }

    /// Has the rules take the frame that waits, of which nothing but a part of the header has come, if there is more of it now; returns
    /// whether no frame waits.
    ///
    /// # Errors
    ///
    /// As [`check_deferred`](Self::check_deferred).
    #[inline(always)]
    pub(super) fn end_deferral<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<bool, ReceiveError> {
        self.check_deferred(endpoint, now)?;
        let has_more = match self.deferred {
            Some(deferred) if self.is_deferring() => self.unread.len() > deferred.received,
            Some(_) | None => return Ok(true),
        };
        if has_more {
            self.deferred = None;
            endpoint.end_deferral();
        }
        Ok(has_more)
    }

    /// Returns whether the deferred frame waits for more, and takes note of what has come of it then.
    #[inline(always)]
    fn still_waits<R: Role, T: Trace>(&mut self, endpoint: &mut Endpoint<R, T>, now: Instant) -> bool {
        let here = self.unread.len();
        let Some(Deferred { needed, received }) = &mut self.deferred else { return false };
        if here >= *needed {
            return false;
        }
        if here > *received {
            endpoint.heard_deferred(now);
        }
        *received = here;
        true
    }

    /// Defers the frame at the start of what is unread; returns whether it can wait.
    #[inline(always)]
    fn defer_unread<R: Role, T: Trace>(&mut self, endpoint: &mut Endpoint<R, T>, now: Instant) -> bool {
        let Some(needed) = endpoint.defer(now, self.unread(), self.storage.limit()) else { return false };
        self.begin_deferral(needed);
        true
    }

    /// Takes note of the frame at the start of what is unread, which waits for `needed` bytes: its length, if that is known.
    #[inline(always)]
    const fn begin_deferral(&mut self, needed: usize) {
        self.deferred = Some(Deferred { needed, received: self.unread.end - self.unread.start });
        if needed > FrameLen::MAX_HEADER {
            self.room.cut_short();
        }
    }

    /// Copies `bytes` to here, after what is unread.
    #[inline(always)]
    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let end = self.unread.end + bytes.len();
        let Some(room) = self.storage.bytes_mut().get_mut(self.unread.end..end) else {
            return self.keep_unread(bytes);
        };
        room.copy_from_slice(bytes);
        self.unread.end = end;
        Ok(())
    }
}
