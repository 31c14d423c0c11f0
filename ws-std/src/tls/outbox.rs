//! Ciphertext on its way to the transport, and the plaintext that it stands for.

use core::mem;
use std::{
    io::{self, IoSlice},
    time::Instant,
};

use super::session::Session;
use crate::{
    buffers,
    transport::{Transport, write_some},
};

/// The most plaintext of a record, in bytes (RFC 8446 section 5.1).
pub(super) const LONGEST_PLAINTEXT: usize = 1 << 14;
/// The most records that are made before they are written, with one call of the transport. Four longest ones would not fit one
/// segment of the loopback interface.
const MOST_RECORDS: usize = 3;

/// Ciphertext that the transport has not taken, and the plaintext that it stands for.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Of any value after `end`. Without capacity while there is no ciphertext.
    ciphertext: Vec<u8>,
    /// `sent <= end <= ciphertext.len()`
    sent: usize,
    end: usize,
    /// The records in the ciphertext that the transport has not taken whole: the first `unsent` of these.
    records: [Record; MOST_RECORDS],
    unsent: usize,
    /// Length of the plaintext, from the front of the next write, whose records the transport has taken.
    plaintext: usize,
    pub(super) our_end: End,
}

/// A record in the ciphertext.
#[derive(Clone, Copy, Debug, Default)]
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
        while let Some(rest @ [_, ..]) = self.ciphertext.get(self.sent..self.end) {
            self.sent += write_some([rest, &[], &[]], |slices| transport.write(slices, deadline))?;
            let is_taken = |record: &&Record| record.end <= self.sent;
            let taken = self.records.iter().take(self.unsent).take_while(is_taken);
            let (count, plaintext) =
                taken.fold((0, 0), |(count, len), record| (count + 1, len + record.plaintext));
            self.records.rotate_left(count);
            self.unsent -= count;
            self.plaintext += plaintext;
        }
        (self.sent, self.end) = (0, 0);
        Ok(())
    }

    /// Takes the output of TLS itself. Returns whether there is any ciphertext.
    pub(super) fn take_output(&mut self, connection: &mut Session) -> bool {
        if connection.has_output() {
            attach(&mut self.ciphertext);
            self.end = connection.take_output(&mut self.ciphertext, self.end);
        }
        self.end > 0
    }

    /// Makes some records of `slices` after their first `skip` bytes.
    pub(super) fn encrypt(
        &mut self,
        connection: &mut Session,
        slices: &[IoSlice<'_>],
        mut skip: usize,
    ) -> io::Result<()> {
        while let Some(record) = self.records.get_mut(self.unsent) {
            let mut gathered = Vec::new();
            let plaintext = front(slices, skip, &mut gathered);
            if plaintext.is_empty() {
                break;
            }
            attach(&mut self.ciphertext);
            let made = connection.encrypt(plaintext, &mut self.ciphertext, &mut self.end);
            let len = plaintext.len();
            buffers::give_back(gathered);
            made?;
            *record = Record { end: self.end, plaintext: len };
            self.unsent += 1;
            skip += len;
        }
        Ok(())
    }

    /// Returns whether no ciphertext waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Counts up to `most` bytes of plaintext as written.
    pub(super) fn count(&mut self, most: usize) -> usize {
        let counted = self.plaintext.min(most);
        self.plaintext -= counted;
        counted
    }

    /// Returns the buffer to the pool. Ciphertext that waits is kept in memory of its length.
    pub(super) fn release(&mut self) {
        let waiting = self.ciphertext.get(self.sent..self.end).unwrap_or_default().to_vec();
        buffers::give_ciphertext(mem::replace(&mut self.ciphertext, waiting));
        self.records.iter_mut().take(self.unsent).for_each(|record| record.end -= self.sent);
        (self.sent, self.end) = (0, self.ciphertext.len());
    }
}

fn attach(ciphertext: &mut Vec<u8>) {
    if ciphertext.capacity() == 0 {
        *ciphertext = buffers::take_ciphertext();
    }
}

/// Returns the plaintext of the next record, from `slices` after their first `skip` bytes: the front of a slice if it is long, or
/// is the last one; otherwise of several slices, in `gathered`, so many bytes that the rest fills whole records.
fn front<'a>(slices: &'a [IoSlice<'_>], mut skip: usize, gathered: &'a mut Vec<u8>) -> &'a [u8] {
    let mut rest = slices.iter().filter_map(move |slice| {
        let skipped = skip.min(slice.len());
        skip -= skipped;
        slice.get(skipped..).filter(|rest| !rest.is_empty())
    });
    let Some(first) = rest.next() else { return &[] };
    let total = first.len() + rest.clone().map(<[u8]>::len).sum::<usize>();
    if first.len() == total || first.len() >= LONGEST_PLAINTEXT {
        return first.get(..LONGEST_PLAINTEXT).unwrap_or(first);
    }
    let whole = (total - first.len()) / LONGEST_PLAINTEXT * LONGEST_PLAINTEXT;
    let len = (total - whole).min(LONGEST_PLAINTEXT);
    *gathered = buffers::take();
    gathered.extend_from_slice(first);
    for slice in rest {
        let room = len - gathered.len();
        gathered.extend_from_slice(slice.get(..room).unwrap_or(slice));
    }
    gathered
}
