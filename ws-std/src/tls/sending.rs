//! Sending: plaintext becomes ciphertext, and that goes to the transport.

use core::sync::atomic::Ordering;
use std::{
    io::{self, IoSlice},
    net::Shutdown,
    sync::TryLockError,
    time::Instant,
};

use super::{
    TlsStream, lock,
    outbox::{End, Sending},
};
use crate::transport::{Duplex, Transport};

impl<T: Transport + Duplex> TlsStream<T> {
    /// Writes plaintext, as much as the transport takes without waiting again.
    pub(super) fn write_records(
        &self,
        sending: &mut Sending,
        slices: &[IoSlice<'_>],
        mut deadline: Option<Instant>,
    ) -> io::Result<usize> {
        if sending.our_end != End::Open {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let total = slices.iter().map(|slice| slice.len()).sum();
        let mut written = 0;
        loop {
            // What waits goes first, and is counted.
            let sent = if sending.is_empty() { Ok(()) } else { self.send(sending, deadline) };
            written += sending.count(total - written);
            if written == total {
                return Ok(written);
            }
            match sent.and_then(|()| self.encrypt(sending, slices, written)) {
                Ok(()) => {}
                Err(error) if written == 0 => return Err(error),
                Err(_) => return Ok(written),
            }
            if written > 0 {
                deadline = Some(self.past);
            }
        }
    }

    /// Makes some records of `slices` after their first `skip` bytes.
    fn encrypt(&self, sending: &mut Sending, slices: &[IoSlice<'_>], skip: usize) -> io::Result<()> {
        let mut connection = lock(&self.connection);
        let made = sending.encrypt(&mut connection, slices, skip);
        self.note_output(&connection);
        made
    }

    /// Sends all output there is, and then ends our direction of the transport if that is due.
    pub(super) fn send(&self, sending: &mut Sending, deadline: Option<Instant>) -> io::Result<()> {
        sending.push(&self.transport, deadline)?;
        while self.owes.load(Ordering::SeqCst) {
            let mut connection = lock(&self.connection);
            if sending.take_output(&mut connection) {
                drop(connection);
                sending.push(&self.transport, deadline)?;
            } else {
                self.owes.store(false, Ordering::SeqCst);
            }
        }
        if sending.our_end == End::Due {
            sending.our_end = End::Done;
            self.transport.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// Sends all output there is, until `deadline`.
    pub(super) fn send_all(&self, deadline: Option<Instant>) -> io::Result<()> {
        let mut sending = lock(&self.sending);
        let sent = self.send(&mut sending, deadline);
        sending.release();
        sent
    }

    /// Sends the output that is owed, as far as the transport takes it without waiting.
    pub(super) fn send_owed(&self) {
        while self.owes.load(Ordering::SeqCst) {
            let mut sending = match self.sending.try_lock() {
                Ok(sending) => sending,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                // The thread that has the lock looks at `owes` after it has released it.
                Err(TryLockError::WouldBlock) => return,
            };
            let sent = self.send(&mut sending, Some(self.past));
            sending.release();
            match sent {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return,
                // The transport takes no output any more.
                Err(_) => self.owes.store(false, Ordering::SeqCst),
            }
        }
    }
}
