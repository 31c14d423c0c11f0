//! Reading: ciphertext from the transport becomes plaintext.

use core::{sync::atomic::Ordering, time::Duration};
use std::{
    io::{self, Read, Write},
    time::Instant,
};

use rustls::Connection;

use super::{TlsStream, inflow::Inflow, lock};
use crate::{
    buffers, clock,
    transport::{Duplex, Transport},
};

/// The shortest buffer, in bytes, that ciphertext is read into.
///
/// rustls takes as much at once even after the longest valid record but one byte, so no ciphertext is left in an array of
/// this length when the array goes.
pub(super) const SHORTEST_BUFFER: usize = 1024;
/// The most ciphertext, in bytes, that is read at once: it is still in the processor's cache when it is decrypted.
const LONGEST_READ: usize = 32 * 1024;
/// The shortest buffer, in bytes, for the plaintext of such a read, and of a record that it completes.
const ROOMY: usize = LONGEST_READ + (1 << 14);
/// The first pause after which a read tries to send the output of TLS again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

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
            let found = self.take_plaintext(buffer);
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
                result => return result,
            }
            // A peer could go on sending records without plaintext.
            if deadline.is_some_and(|deadline| deadline <= clock::now()) {
                return self.take_plaintext(buffer)?.ok_or_else(|| io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// Returns the length of the plaintext that has been moved to `buffer`; 0 is the end of the peer's output.
    fn take_plaintext(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut connection = lock(&self.connection);
        match connection.reader().read(buffer) {
            Ok(len) => Ok(Some(len)),
            // Reports an earlier fault.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => connection.writer().flush().map(|()| None),
            Err(_) if self.aborted.load(Ordering::Relaxed) => Ok(Some(0)),
            Err(error) => Err(error),
        }
    }

    /// Reads ciphertext once. Returns the length of plaintext that is in `buffer` now; there may be more in rustls.
    fn read_ciphertext(
        &self,
        inflow: &mut Inflow,
        buffer: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        if matches!(inflow, Inflow::Ample) && buffer.len() >= ROOMY {
            match self.read_through_pool(inflow, buffer) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                result => return result,
            }
        }
        if buffer.len() < SHORTEST_BUFFER {
            let mut ciphertext = [0; SHORTEST_BUFFER];
            let len = self.transport.read(&mut ciphertext, deadline)?;
            let fed = self.feed(ciphertext.get(..len).unwrap_or_default());
            // Plaintext that lies before a fault comes first.
            return match self.take_plaintext(buffer) {
                Ok(Some(len @ 1..)) => Ok(len),
                _ => fed.map(|()| 0),
            };
        }
        let len = buffer.len().min(LONGEST_READ);
        match self.transport.read(buffer.get_mut(..len).unwrap_or_default(), deadline) {
            Ok(0) => self.feed(&[]).map(|()| 0),
            Ok(taken) => {
                *inflow = Inflow::after(taken, len);
                self.decrypt(None, buffer, taken)
            }
            Err(error) => {
                self.shrink();
                Err(error)
            }
        }
    }

    /// Reads ciphertext that has come already through a buffer of the pool.
    fn read_through_pool(&self, inflow: &mut Inflow, buffer: &mut [u8]) -> io::Result<usize> {
        buffers::with_input(LONGEST_READ, |ciphertext| {
            let taken = self.transport.read(ciphertext, Some(clock::now()));
            *inflow = Inflow::after(*taken.as_ref().unwrap_or(&0), LONGEST_READ);
            match taken {
                Ok(0) => self.feed(&[]).map(|()| 0),
                Ok(taken) => self.decrypt(Some(ciphertext), buffer, taken),
                Err(error) => Err(error),
            }
        })
    }

    /// Passes ciphertext to rustls; none is the end of the transport.
    pub(super) fn feed(&self, ciphertext: &[u8]) -> io::Result<()> {
        let mut connection = lock(&self.connection);
        let mut fed = self.absorb(&mut connection, ciphertext)?;
        while let (1.., Some(rest @ [_, ..])) = (fed, ciphertext.get(fed..)) {
            match self.absorb(&mut connection, rest)? {
                0 => break,
                len => fed += len,
            }
        }
        Ok(())
    }

    /// Decrypts the first `len` bytes of `ciphertext` to `buffer`, as far as they complete records; in place if there is no
    /// `ciphertext`. Returns the length of the plaintext.
    fn decrypt(&self, ciphertext: Option<&[u8]>, buffer: &mut [u8], len: usize) -> io::Result<usize> {
        let mut connection = lock(&self.connection);
        // plain <= fed <= len
        let (mut fed, mut plain) = (0, 0);
        while let Some(rest @ [_, ..]) = ciphertext.unwrap_or(buffer).get(fed..len) {
            let absorbed = self.absorb(&mut connection, rest);
            fed += absorbed.as_ref().map_or(0, |absorbed| *absorbed);
            let is_shared = ciphertext.is_none() && absorbed.is_ok() && fed < len;
            let end = if is_shared { fed } else { buffer.len() };
            let room = buffer.get_mut(plain..end).unwrap_or_default();
            // An error means that there is no plaintext.
            plain += connection.reader().read(room).unwrap_or_default();
            match absorbed {
                Ok(1..) => {}
                // Bytes after close_notify are ignored.
                Ok(0) => break,
                Err(error) if plain == 0 => return Err(error),
                // The next read finds the fault again.
                Err(_) => break,
            }
        }
        Ok(plain)
    }

    /// Passes the front of `ciphertext` to rustls and returns its length; 0 after close_notify.
    fn absorb(&self, connection: &mut Connection, mut ciphertext: &[u8]) -> io::Result<usize> {
        let len = connection.read_tls(&mut ciphertext)?;
        let processed = connection.process_new_packets();
        self.note_output(connection);
        processed.map(|_| len).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))
    }

    /// Frees memory that rustls keeps after a long record.
    fn shrink(&self) {
        // It does that before each read. An error means that no byte has come.
        let _ = lock(&self.connection).read_tls(&mut NoRead);
    }
}

/// Has no byte to read now.
struct NoRead;

impl Read for NoRead {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}
