//! Sending: plaintext becomes ciphertext, and that goes to the transport.

use core::{mem, sync::atomic::Ordering};
use std::{
    collections::VecDeque,
    io::{self, IoSlice, Write},
    net::Shutdown,
    sync::TryLockError,
    time::Instant,
};

use rustls::Connection;

use super::{TlsStream, lock};
use crate::{
    buffers, clock,
    transport::{Duplex, Transport, write_some},
};

/// The most plaintext of a record, in bytes (RFC 8446 section 5.1).
const LONGEST_PLAINTEXT: usize = 1 << 14;
/// The most records that are made before they are written, with one call of the transport.
const MOST_RECORDS: usize = 4;
/// The most slices of a write that become one record. The driver's writes have three.
const MOST_SLICES: usize = 4;

/// Ciphertext that the transport has not taken, and the plaintext that it stands for.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Without capacity while there is no ciphertext.
    ciphertext: Vec<u8>,
    /// `sent <= ciphertext.len()`
    sent: usize,
    /// The records in the ciphertext that the transport has not taken whole.
    records: VecDeque<Record>,
    /// Length of the plaintext, from the front of the next write, whose records the transport has taken.
    plaintext: usize,
    pub(super) end: End,
}

/// A record in the ciphertext.
#[derive(Debug)]
struct Record {
    /// The place in the ciphertext where it ends.
    end: usize,
    /// Length of its plaintext.
    plaintext: usize,
}

/// The end of our direction of the transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    Open,
    /// The transport is to be half-closed after the ciphertext.
    Due,
    Done,
}

impl Sending {
    /// Writes the ciphertext. The part that has not been written at `deadline` is kept.
    fn push(&mut self, transport: &impl Transport, deadline: Option<Instant>) -> io::Result<()> {
        while let Some(rest @ [_, ..]) = self.ciphertext.get(self.sent..) {
            self.sent += write_some(transport, [rest, &[], &[]], deadline)?;
            while self.records.front().is_some_and(|record| record.end <= self.sent) {
                self.plaintext += self.records.pop_front().map_or(0, |record| record.plaintext);
            }
        }
        self.ciphertext.clear();
        self.sent = 0;
        Ok(())
    }

    /// Takes the output of rustls. Returns whether there is any ciphertext.
    fn take_output(&mut self, connection: &mut Connection) -> bool {
        while connection.wants_write() {
            if self.ciphertext.capacity() == 0 {
                self.ciphertext = buffers::take();
            }
            // A `Vec` takes everything.
            let _ = connection.write_tls(&mut self.ciphertext);
        }
        !self.ciphertext.is_empty()
    }

    /// Makes some records of `slices` after their first `skip` bytes.
    fn encrypt(&mut self, connection: &mut Connection, slices: &[IoSlice<'_>], mut skip: usize) -> io::Result<()> {
        while self.records.len() < MOST_RECORDS {
            let (record, count) = front(slices, skip);
            let record = record.get(..count).unwrap_or_default();
            if record.is_empty() {
                break;
            }
            let plaintext = connection.writer().write_vectored(record)?;
            if plaintext == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.take_output(connection);
            self.records.push_back(Record { end: self.ciphertext.len(), plaintext });
            skip += plaintext;
        }
        Ok(())
    }

    /// Counts up to `most` bytes of plaintext as written.
    fn count(&mut self, most: usize) -> usize {
        let counted = self.plaintext.min(most);
        self.plaintext -= counted;
        counted
    }

    /// Returns the buffer to the pool if it is empty.
    pub(super) fn release(&mut self) {
        if self.ciphertext.is_empty() {
            buffers::give_back(mem::take(&mut self.ciphertext));
            self.records = VecDeque::new();
        }
    }
}

impl<T: Transport + Duplex> TlsStream<T> {
    /// Writes plaintext, as much as the transport takes without waiting again.
    pub(super) fn write_records(
        &self,
        sending: &mut Sending,
        slices: &[IoSlice<'_>],
        mut deadline: Option<Instant>,
    ) -> io::Result<usize> {
        if sending.end != End::Open {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let total = slices.iter().map(|slice| slice.len()).sum();
        let mut written = 0;
        loop {
            let sent = self.send(sending, deadline);
            written += sending.count(total - written);
            match sent.and_then(|()| sending.encrypt(&mut lock(&self.connection), slices, written)) {
                Ok(()) if written < total => {}
                Err(error) if written == 0 => return Err(error),
                _ => return Ok(written),
            }
            if written > 0 {
                deadline = Some(clock::now());
            }
        }
    }

    /// Sends all output there is, and then ends our direction of the transport if that is due.
    pub(super) fn send(&self, sending: &mut Sending, deadline: Option<Instant>) -> io::Result<()> {
        loop {
            sending.push(&self.transport, deadline)?;
            let mut connection = lock(&self.connection);
            if !sending.take_output(&mut connection) {
                self.owes.store(false, Ordering::SeqCst);
                break;
            }
        }
        if sending.end == End::Due {
            sending.end = End::Done;
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
            let sent = self.send(&mut sending, Some(clock::now()));
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

/// Returns the plaintext of the next record: slices, and their number.
fn front<'a>(slices: &'a [IoSlice<'_>], mut skip: usize) -> ([IoSlice<'a>; MOST_SLICES], usize) {
    let mut record = [IoSlice::new(&[]); MOST_SLICES];
    let (mut count, mut room) = (0, LONGEST_PLAINTEXT);
    for slice in slices {
        let skipped = skip.min(slice.len());
        skip -= skipped;
        let rest = slice.get(skipped..).unwrap_or_default();
        let Some(place) = record.get_mut(count) else { break };
        let rest = rest.get(..room).unwrap_or(rest);
        if !rest.is_empty() {
            *place = IoSlice::new(rest);
            room -= rest.len();
            count += 1;
        }
    }
    (record, count)
}
