//! Reading: ciphertext from the transport becomes plaintext.

use core::{ops::Range, sync::atomic::Ordering, time::Duration};
use std::{io, time::Instant};

use super::{TlsStream, inflow::Inflow, lock, outbox::LONGEST_PLAINTEXT, session::Session};
use crate::{
    clock,
    transport::{Duplex, Transport},
};

/// The shortest buffer, in bytes, that ciphertext is read into.
pub(super) const SHORTEST_BUFFER: usize = 1024;
/// The most ciphertext, in bytes, that is read to a caller's buffer at once: it is still in the processor's cache when it is
/// decrypted.
const LONGEST_READ: usize = 32 * 1024;
/// The first pause after which a read tries to send the output of TLS again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The most plaintext, in bytes, that a read takes from more than one record: a long record, and short ones behind it. It is still in
/// the processor's nearest cache when it is unmasked.
const MOST_TAKEN: usize = LONGEST_PLAINTEXT + 2 * 1024;

impl<T: Transport + Duplex> TlsStream<T> {
    /// Reads plaintext, or ciphertext that becomes plaintext. The caller holds the lock `reading`.
    pub(super) fn read_plaintext(
        &self,
        inflow: &mut Inflow,
        buffer: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        let mut pause = FIRST_PAUSE;
        loop {
            let found = self.take_plaintext(inflow, buffer);
            self.send_owed();
            if let Some(len) = found? {
                return Ok(len);
            }
            let again = self.owes.load(Ordering::SeqCst).then(|| clock::now().checked_add(pause)).flatten();
            let until = [again, deadline].into_iter().flatten().min();
            match self.read_ciphertext(inflow, buffer, until) {
                Ok(0) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut && again.is_some() => {
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
                result => {
                    // The alert that tells the peer about a fault.
                    self.send_owed();
                    return result;
                }
            }
            // A peer could go on sending records without plaintext.
            if deadline.is_some_and(|deadline| deadline <= clock::now()) {
                return self.take_plaintext(inflow, buffer)?.ok_or_else(|| io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// Moves plaintext to `buffer`: what a smaller one has left, then that of ciphertext that has been read, as far as there is room
    /// and its records are whole. Returns its length; 0 is the end of the peer's output.
    fn take_plaintext(&self, inflow: &mut Inflow, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let most = buffer.len().min(MOST_TAKEN);
        let mut connection = lock(&self.connection);
        let mut found = connection.read(buffer);
        let mut plain = length(&found);
        while plain < most
            && connection.can_absorb(inflow.bytes())
            && (plain == 0 || Session::fits(inflow.bytes(), most - plain))
        {
            let room = buffer.get_mut(plain..).unwrap_or_default();
            let moved = match self.absorb(&mut connection, inflow.bytes(), room) {
                Ok((len @ 1.., moved)) => {
                    inflow.consume(len);
                    moved
                }
                // Bytes after close_notify, or a fault, are ignored.
                Ok((0, _)) | Err(_) => {
                    inflow.release();
                    0
                }
            };
            plain += moved;
            if moved == 0 {
                found = connection.read(room);
                plain += length(&found);
            }
        }
        self.ready.store(connection.has_plaintext() || connection.can_absorb(inflow.bytes()), Ordering::Relaxed);
        match found {
            _ if plain > 0 => Ok(Some(plain)),
            Err(_) if self.aborted.load(Ordering::Relaxed) => Ok(Some(0)),
            found => found,
        }
    }

    /// Reads ciphertext once. Returns the length of plaintext that is in `buffer` now; there may be more in rustls.
    fn read_ciphertext(
        &self,
        inflow: &mut Inflow,
        buffer: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        if inflow.has_more() {
            match self.read_through_pool(inflow, buffer) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                result => return result,
            }
        }
        if buffer.len() < SHORTEST_BUFFER {
            let mut ciphertext = [0; SHORTEST_BUFFER];
            let len = self.transport.read(&mut ciphertext, deadline)?;
            let fed = self.feed(ciphertext.get_mut(..len).unwrap_or_default());
            // Plaintext that lies before a fault comes first.
            return match self.take_plaintext(inflow, buffer) {
                Ok(Some(len @ 1..)) => Ok(len),
                _ => fed.map(|()| 0),
            };
        }
        // Behind room for the plaintext of a record that has begun to come.
        let held = lock(&self.connection).tail_len();
        let start = if held + SHORTEST_BUFFER <= buffer.len() { held } else { 0 };
        let end = buffer.len().min(start + LONGEST_READ);
        let taken = self.transport.read(buffer.get_mut(start..end).unwrap_or_default(), deadline)?;
        if taken == 0 {
            return self.feed(&mut []).map(|()| 0);
        }
        inflow.judge(taken, end - start);
        Ok(self.decrypt_in_place(buffer, start..start + taken))
    }

    /// Reads ciphertext that has come already to a buffer of the pool.
    fn read_through_pool(&self, inflow: &mut Inflow, buffer: &mut [u8]) -> io::Result<usize> {
        let room = inflow.room();
        let most = room.len();
        match self.transport.read(room, Some(self.past)) {
            Ok(0) => {
                inflow.release();
                self.feed(&mut []).map(|()| 0)
            }
            Ok(taken) => {
                inflow.judge(taken, most);
                inflow.filled(taken);
                Ok(self.take_plaintext(inflow, buffer)?.unwrap_or(0))
            }
            Err(error) => {
                // A read that has to wait holds no more than is needed.
                inflow.judge(0, most);
                let held = self.feed_part(inflow.bytes());
                inflow.release();
                held.and(Err(error))
            }
        }
    }

    /// Passes ciphertext on and holds the plaintext; none is the end of the transport.
    pub(super) fn feed(&self, ciphertext: &mut [u8]) -> io::Result<()> {
        if ciphertext.is_empty() {
            lock(&self.connection).cut();
        }
        self.feed_part(ciphertext)
    }

    /// Passes ciphertext on and holds the plaintext.
    fn feed_part(&self, ciphertext: &mut [u8]) -> io::Result<()> {
        let mut connection = lock(&self.connection);
        let mut fed = 0;
        while let Some(rest @ [_, ..]) = ciphertext.get_mut(fed..) {
            let (len, _) = self.absorb(&mut connection, rest, &mut [])?;
            if len == 0 {
                break;
            }
            fed += len;
            // There is no room.
            let _ = connection.read(&mut []);
        }
        Ok(())
    }

    /// Decrypts the ciphertext `within` `buffer` to its front, as far as it completes records. Returns the length of the plaintext.
    fn decrypt_in_place(&self, buffer: &mut [u8], within: Range<usize>) -> usize {
        let mut connection = lock(&self.connection);
        // plain <= fed <= within.end
        let (mut fed, mut plain) = (within.start, 0);
        while fed < within.end {
            fed = match self.absorb(&mut connection, buffer.get_mut(fed..within.end).unwrap_or_default(), &mut [])
            {
                Ok((len @ 1.., _)) => fed + len,
                // Bytes after close_notify, or a fault, are ignored.
                Ok((0, _)) | Err(_) => within.end,
            };
            let end = if fed < within.end { fed } else { buffer.len() };
            // The next look for plaintext finds a fault again.
            plain += length(&connection.read(buffer.get_mut(plain..end).unwrap_or_default()));
        }
        plain
    }

    /// [`Session::absorb`], after which there may be output.
    fn absorb(
        &self,
        connection: &mut Session,
        ciphertext: &mut [u8],
        room: &mut [u8],
    ) -> io::Result<(usize, usize)> {
        let absorbed = connection.absorb(ciphertext, room);
        self.note_output(connection);
        absorbed
    }
}

/// Returns the length of the plaintext that a call of [`Session::read`] has found.
fn length(found: &io::Result<Option<usize>>) -> usize {
    found.as_ref().map_or(0, |len| len.unwrap_or(0))
}
