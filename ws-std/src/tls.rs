//! TLS over any transport that two threads can use at once.
//!
//! # Theory of operation
//!
//! rustls has no I/O: its connection takes ciphertext and gives plaintext, and the other way round. Three locks bring it
//! together with a transport on which one thread reads while another one writes:
//!
//! | lock | protects | is held |
//! |---|---|---|
//! | `reading` | the order in which ciphertext comes from the transport | by the reader, while it waits too |
//! | `sending` | the order in which ciphertext goes to the transport, and the part that it has not taken yet | by a writer, while it waits too |
//! | `connection` | the state of rustls | while bytes in memory are encrypted or decrypted, never during a wait |
//!
//! They are taken in this order. [`Shutdown::Both`] takes none of them, so it wakes every thread that waits.
//!
//! **Reading.** A read first takes plaintext that rustls has. If there is none, it reads ciphertext from the transport into
//! the caller's buffer, where the plaintext goes afterwards: the plaintext of some records is shorter than they are, so it
//! follows the ciphertext that rustls has taken, never overtakes it, and needs no buffer of its own. Only a caller's buffer
//! that is too small for a read of its own is replaced by a small array on the stack.
//!
//! **Writing.** Plaintext is encrypted record by record. The ciphertext of a record lies in a pooled buffer until the
//! transport has taken all of it, and only then is its plaintext counted as written. A deadline that passes in the middle
//! leaves the rest there, with the number of plaintext bytes that it stands for. The caller has been told that these are not
//! written, so its next call begins with them: that call sends the rest and counts them, without encrypting them again. So
//! nothing is lost and nothing is sent twice. A record has at most 16 KiB: even a peer as slow as the lowest rate that is
//! allowed takes it within the write timeout.
//!
//! **Output of TLS itself.** An alert, or the rest of a handshake, is made by the thread that reads, or that ends the
//! connection. It must not wait for the transport, and perhaps another thread is writing. It sets `owes`, then tries to
//! send without waiting. If the lock `sending` is taken, its holder looks at `owes` after it has released the lock. Output
//! that the transport does not take goes with the next write, and as long as there is some, reads return from the transport
//! now and then to try again. The answer to a KeyUpdate (RFC 8446 section 4.6.3) is not among this output: rustls puts it
//! before the next record that is sent, whatever that is.
//!
//! **The end.** Ending our direction sends close_notify, and half-closes the transport after that. If the transport does not
//! take all of it at once, the half-close is left to the thread that sends the rest. The peer's close_notify is the end of
//! its output. A transport that ends without one may have been cut by an attacker, so that is an error (RFC 8446 section
//! 6.1), unless this side has ended it.

mod sending;

use core::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
    time::Instant,
};

use rustls::{ClientConnection, CommonState, Connection, ServerConnection, pki_types::ServerName};
use ws_proto::{
    driver::{AcceptError, ClientTls, ConnectError, ServerTls, TlsError, is_gone},
    handshake::HandshakeError,
};

use self::sending::{End, Sending};
use crate::{
    clock,
    transport::{Duplex, Transport},
};

/// The shortest buffer, in bytes, that ciphertext is read to.
///
/// rustls takes as much at once even after the longest valid record but one byte, so no ciphertext is left in an array of
/// this length when the array goes.
const SHORTEST_BUFFER: usize = 1024;
/// The first pause after which a read tries to send the output of TLS again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A TLS connection over a transport, which two threads can use at once: one reads while the other writes.
///
/// Deadlines are as exact as those of the inner transport. A write counts bytes only when the transport has taken their
/// ciphertext. A write that has [timed out](io::ErrorKind::TimedOut) may have sent part of a record, so the next write has to
/// begin with the same bytes; a [`WebSocket`](crate::WebSocket) does that. For the same reason only one thread may write at
/// a time.
///
/// The peer's close_notify is an end of its output. An end of the transport without it is
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): somebody may have cut the connection (RFC 8446 section 6.1).
///
/// An idle connection holds at most 8 KiB of the heap, half of it a buffer of rustls for ciphertext, and 1.3 KiB in itself.
pub struct TlsStream<T: Transport + Duplex> {
    transport: T,
    reading: Mutex<()>,
    sending: Mutex<Sending>,
    connection: Mutex<Connection>,
    /// There is output that no call of `write` will come for.
    owes: AtomicBool,
    /// This side has ended the transport in both directions.
    aborted: AtomicBool,
}

/// The reason why a TLS handshake was not completed.
pub(crate) enum Failure {
    /// The deadline has passed.
    Timeout,
    /// The peer ended the transport before it had sent a byte.
    NoByte(TlsError),
    Tls(TlsError),
}

impl<T: Transport + Duplex> TlsStream<T> {
    /// Makes a TLS connection to the server `name` as a client, by a handshake that ends at `deadline`.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Tls`] with the fault, and [`HandshakeError::Timeout`] at the deadline.
    pub fn connect(
        transport: T,
        tls: &ClientTls,
        name: ServerName<'static>,
        deadline: Option<Instant>,
    ) -> Result<Self, ConnectError> {
        let stream = Self::client(transport, tls, name)?;
        stream.handshake(deadline)?;
        Ok(stream)
    }

    /// Accepts a TLS connection as a server, by a handshake that ends at `deadline`.
    ///
    /// # Errors
    ///
    /// [`AcceptError::Tls`] with the fault, [`HandshakeError::Timeout`] at the deadline, and [`AcceptError::NoRequest`] if the
    /// client leaves without a byte.
    pub fn accept(transport: T, tls: &ServerTls, deadline: Option<Instant>) -> Result<Self, AcceptError> {
        let stream = Self::server(transport, tls).map_err(AcceptError::Tls)?;
        stream.handshake(deadline)?;
        Ok(stream)
    }

    /// Creates a client's connection, whose handshake is still to be done.
    pub(crate) fn client(transport: T, tls: &ClientTls, name: ServerName<'static>) -> Result<Self, TlsError> {
        let connection = ClientConnection::new(tls.config()?, name)?;
        Ok(Self::new(transport, connection.into()))
    }

    /// Creates a server's connection, whose handshake is still to be done.
    pub(crate) fn server(transport: T, tls: &ServerTls) -> Result<Self, TlsError> {
        Ok(Self::new(transport, ServerConnection::new(tls.config())?.into()))
    }

    fn new(transport: T, connection: Connection) -> Self {
        Self {
            transport,
            reading: Mutex::default(),
            sending: Mutex::default(),
            connection: Mutex::new(connection),
            owes: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
        }
    }

    /// Returns the inner transport, for its options and addresses. Reading and writing it would break the connection.
    pub const fn transport(&self) -> &T {
        &self.transport
    }

    /// Lends the state of the connection to `look`: the protocol's version, the peer's certificates, and the cipher.
    ///
    /// Threads that read or write wait meanwhile.
    pub fn state<X>(&self, look: impl FnOnce(&CommonState) -> X) -> X {
        look(&lock(&self.connection))
    }

    /// Returns the name by which a client has asked for this server (SNI, RFC 6066 section 3); `None` for a client.
    pub fn server_name(&self) -> Option<String> {
        match &*lock(&self.connection) {
            Connection::Client(_) => None,
            Connection::Server(connection) => connection.server_name().map(str::to_owned),
        }
    }

    /// Changes the keys of both directions, by a KeyUpdate of TLS 1.3 (RFC 8446 section 4.6.3).
    ///
    /// rustls does that by itself before a key has been used too long.
    ///
    /// # Errors
    ///
    /// The version is TLS 1.2.
    pub fn refresh_traffic_keys(&self) -> Result<(), rustls::Error> {
        let mut connection = lock(&self.connection);
        connection.refresh_traffic_keys()?;
        self.note_output(&connection);
        drop(connection);
        self.send_owed();
        Ok(())
    }

    /// Does the handshake, until `deadline`.
    pub(crate) fn handshake(&self, deadline: Option<Instant>) -> Result<(), Failure> {
        let mut heard = false;
        self.shake_hands(deadline, &mut heard).map_err(|error| Failure::of(error, heard))?;
        TlsError::check_protocol(lock(&self.connection).alpn_protocol()).map_err(Failure::Tls)
    }

    /// Does the handshake, and sets `heard` once the peer has sent a byte.
    fn shake_hands(&self, deadline: Option<Instant>, heard: &mut bool) -> io::Result<()> {
        let _reading = lock(&self.reading);
        let mut buffer = [0; SHORTEST_BUFFER];
        loop {
            let sent = self.send_all(deadline);
            if !lock(&self.connection).is_handshaking() {
                return sent;
            }
            // The peer's last words may say why it does not take our output any more.
            sent.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })?;
            let len = self.transport.read(&mut buffer, deadline)?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            *heard = true;
            let taken = self.feed(buffer.get(..len).unwrap_or_default());
            // The alert that tells the peer about a fault.
            taken.inspect_err(|_| self.send_owed())?;
        }
    }

    /// Reads plaintext, or ciphertext that becomes plaintext. The caller holds the lock `reading`.
    fn read_plaintext(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        let mut pause = FIRST_PAUSE;
        loop {
            let found = self.take_plaintext(buffer);
            self.send_owed();
            if let Some(len) = found? {
                return Ok(len);
            }
            let again = self.owes.load(Ordering::SeqCst).then(|| clock::now().checked_add(pause)).flatten();
            let until = [again, deadline].into_iter().flatten().min();
            match self.read_ciphertext(buffer, until) {
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
    fn read_ciphertext(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
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
        match self.transport.read(buffer, deadline) {
            Ok(0) => self.feed(&[]).map(|()| 0),
            Ok(len) => self.decrypt(buffer, len),
            Err(error) => {
                self.shrink();
                Err(error)
            }
        }
    }

    /// Passes ciphertext to rustls; none is the end of the transport.
    fn feed(&self, ciphertext: &[u8]) -> io::Result<()> {
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

    /// Decrypts the first `len` bytes of `buffer` in place, as far as they complete records. Returns the length of the
    /// plaintext.
    fn decrypt(&self, buffer: &mut [u8], len: usize) -> io::Result<usize> {
        let mut connection = lock(&self.connection);
        // plain <= fed <= len
        let (mut fed, mut plain) = (0, 0);
        while let Some(rest @ [_, ..]) = buffer.get(fed..len) {
            let absorbed = self.absorb(&mut connection, rest);
            fed += absorbed.as_ref().map_or(0, |absorbed| *absorbed);
            let end = if absorbed.is_ok() && fed < len { fed } else { buffer.len() };
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

    /// Notes that rustls has output that no writer has made.
    fn note_output(&self, connection: &Connection) {
        if connection.wants_write() {
            self.owes.store(true, Ordering::SeqCst);
        }
    }

    /// Writes plaintext, as much as the transport takes without waiting again.
    fn write_records(
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
            let sent = self.send(sending, deadline).and_then(|()| {
                written += sending.count(total - written);
                if written < total {
                    sending.encrypt(&mut lock(&self.connection), slices, written)
                } else {
                    Ok(())
                }
            });
            match sent {
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
    fn send(&self, sending: &mut Sending, deadline: Option<Instant>) -> io::Result<()> {
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
    fn send_all(&self, deadline: Option<Instant>) -> io::Result<()> {
        let mut sending = lock(&self.sending);
        let sent = self.send(&mut sending, deadline);
        sending.release();
        sent
    }

    /// Sends the output that is owed, as far as the transport takes it without waiting.
    fn send_owed(&self) {
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

    /// Sends close_notify, and then ends our direction of the transport.
    fn end(&self) -> io::Result<()> {
        let mut sending = lock(&self.sending);
        if sending.end == End::Open {
            sending.end = End::Due;
            lock(&self.connection).send_close_notify();
        }
        self.owes.store(true, Ordering::SeqCst);
        let sent = self.send(&mut sending, Some(clock::now()));
        sending.release();
        match sent {
            // A thread that reads sends the rest.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(()),
            sent => sent,
        }
    }
}

impl<T: Transport + Duplex> Transport for TlsStream<T> {
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        let _reading = lock(&self.reading);
        if buffer.is_empty() { Ok(0) } else { self.read_plaintext(buffer, deadline) }
    }

    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        let mut sending = lock(&self.sending);
        let written = self.write_records(&mut sending, slices, deadline);
        sending.release();
        drop(sending);
        self.send_owed();
        written
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match how {
            Shutdown::Write => self.end(),
            Shutdown::Read => self.transport.shutdown(how),
            Shutdown::Both => {
                self.aborted.store(true, Ordering::Relaxed);
                self.transport.shutdown(how)
            }
        }
    }
}

impl<T: Transport + Duplex> Duplex for TlsStream<T> {}

/// Sends close_notify, if it has not been sent and the transport takes it without waiting.
impl<T: Transport + Duplex> Drop for TlsStream<T> {
    fn drop(&mut self) {
        if !self.aborted.load(Ordering::Relaxed) && !lock(&self.connection).is_handshaking() {
            // An error means that the peer has gone.
            let _ = self.end();
        }
    }
}

impl<T: Transport + Duplex + fmt::Debug> fmt::Debug for TlsStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// Has no byte to read now.
struct NoRead;

impl Read for NoRead {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Failure {
    /// Finds the reason in the error that stopped a handshake. `heard`: the peer has sent a byte.
    fn of(error: io::Error, heard: bool) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            _ if !heard && is_gone(&error) => Self::NoByte(error.into()),
            _ => Self::Tls(error.into()),
        }
    }
}

impl From<Failure> for ConnectError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout => HandshakeError::Timeout.into(),
            Failure::NoByte(error) | Failure::Tls(error) => error.into(),
        }
    }
}

impl From<Failure> for AcceptError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout => Self::Handshake(HandshakeError::Timeout),
            Failure::NoByte(_) => Self::NoRequest,
            Failure::Tls(error) => Self::Tls(error),
        }
    }
}

/// Locks `mutex`. A thread that panicked with it has left no half-made state: rustls and the buffers do not panic.
fn lock<X>(mutex: &Mutex<X>) -> MutexGuard<'_, X> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
