//! Ciphertext on its way to the transport, and the plaintext that it stands for.

use core::mem;
use std::{
    collections::VecDeque,
    io::{self, IoSlice, Write},
    time::Instant,
};

use rustls::Connection;

use crate::{
    buffers,
    transport::{Transport, write_some},
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
    pub(super) fn push(&mut self, transport: &impl Transport, deadline: Option<Instant>) -> io::Result<()> {
        while let Some(rest @ [_, ..]) = self.ciphertext.get(self.sent..) {
            self.sent += write_some([rest, &[], &[]], |slices| transport.write(slices, deadline))?;
            while self.records.front().is_some_and(|record| record.end <= self.sent) {
                self.plaintext += self.records.pop_front().map_or(0, |record| record.plaintext);
            }
        }
        self.ciphertext.clear();
        self.sent = 0;
        Ok(())
    }

    /// Takes the output of rustls. Returns whether there is any ciphertext.
    pub(super) fn take_output(&mut self, connection: &mut Connection) -> bool {
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
    pub(super) fn encrypt(
        &mut self,
        connection: &mut Connection,
        slices: &[IoSlice<'_>],
        mut skip: usize,
    ) -> io::Result<()> {
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
    pub(super) fn count(&mut self, most: usize) -> usize {
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
