//! TLS over any transport that two threads can use at once.
//!
//! # Theory of operation
//!
//! rustls has no I/O, and its interface without buffers decrypts records where they lie and encrypts to where it is told:
//! [`Session`] holds it, and the few bytes that no caller's memory can keep. Three locks bring it together with a transport on
//! which one thread reads while another one writes:
//!
//! | lock | protects | is held |
//! |---|---|---|
//! | `reading` | the order in which ciphertext comes from the transport | by the reader, while it waits too |
//! | `sending` | the order in which ciphertext goes to the transport, and the part that it has not taken yet | by a writer, while it waits too |
//! | `connection` | the state of rustls | while bytes in memory are encrypted or decrypted, never during a wait |
//!
//! They are taken in this order. [`Shutdown::Both`] takes none of them, so it wakes every thread that waits.
//!
//! **Reading.** A read first takes plaintext that a smaller buffer has left. If there is none, it reads ciphertext from the
//! transport into the caller's buffer, where the plaintext goes afterwards: the plaintext of some records is shorter than they are,
//! so it follows the ciphertext that rustls has taken, never overtakes it, and needs no buffer of its own. Only a caller's buffer
//! that is too small for a read of its own is replaced by a small array on the stack. The front of a record whose rest has not come
//! is held in memory of the record's length. While ciphertext comes faster than it is read, it goes through a pooled buffer
//! instead ([`Inflow`]), in which most records come whole and wait until they are read: a copy from the kernel to a big message's
//! fresh memory takes several times as long. Each is decrypted when it is read, so that its plaintext is in the processor's nearest
//! cache when it is unmasked. A read that has to wait holds no such buffer.
//!
//! **Writing.** Plaintext is encrypted by a few records at a time. Their ciphertext lies in a pooled buffer until the transport
//! has taken it (what it does not take at once, in memory of its own length), and only when it has taken all of a record is the
//! record's plaintext counted as written. A deadline that passes before that leaves the rest there, with the number of plaintext
//! bytes that each record stands for. The caller has been told that these are not written, so its next call begins with them: that
//! call sends the rest and counts them, without encrypting them again. So nothing is lost and nothing is sent twice. A record has at
//! most 16 KiB: even a peer as slow as the lowest rate that is allowed takes it within the write timeout.
//!
//! **Output of TLS itself.** An alert, or the rest of a handshake, is made by the thread that reads, or that ends the connection,
//! and sometimes by one that writes. It must not wait for the transport, and perhaps another thread is writing. It sets `owes`,
//! then tries to send without waiting. If the lock `sending` is taken, its holder looks at `owes` after it has released the lock.
//! Output that the transport does not take goes with the next write, and as long as there is some, reads return from the transport
//! now and then to try again. The answer to a KeyUpdate (RFC 8446 section 4.6.3) is not among this output: rustls puts it before
//! the next record that is sent, whatever that is.
//!
//! **The end.** Ending our direction sends close_notify, and half-closes the transport after that. If the transport does not
//! take all of it at once, the half-close is left to the thread that sends the rest. The peer's close_notify is the end of
//! its output. A transport that ends without one may have been cut by an attacker, so that is an error (RFC 8446 section
//! 6.1), unless this side has ended it.

mod asked;
mod handshake;
mod inflow;
mod outbox;
mod reading;
mod sending;
mod session;

use core::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};
use std::{
    io::{self, IoSlice},
    net::Shutdown,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use rustls::{CommonState, server::UnbufferedServerConnection};
#[cfg(feature = "client")]
use rustls::{client::UnbufferedClientConnection, pki_types::ServerName};
use ws_proto::driver::{AcceptError, ServerTls, TlsError};
#[cfg(feature = "client")]
use ws_proto::driver::{ClientTls, ConnectError};

pub(crate) use self::handshake::Failure;
use self::{
    asked::AskedName,
    inflow::Inflow,
    outbox::{End, Sending},
    session::Session,
};
use crate::{
    clock,
    transport::{Duplex, Transport},
};

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
/// An idle connection holds at most 4 KiB of the heap, and 1.4 KiB in itself. One whose peer has sent part of a record holds a
/// record besides, one whose peer has sent more than is read up to 68 KiB of ciphertext and a record.
pub struct TlsStream<T: Transport + Duplex> {
    transport: T,
    reading: Mutex<Inflow>,
    sending: Mutex<Sending>,
    connection: Mutex<Session>,
    /// The name by which a client has asked for this server.
    asked: Option<Arc<AskedName>>,
    /// An instant in the past, as a deadline for calls that must not wait.
    past: Instant,
    /// There may be output of TLS itself. Set, with the lock `connection`, whenever there is.
    owes: AtomicBool,
    /// The last look at the ciphertext that has been read has left a whole record, or plaintext.
    ready: AtomicBool,
    /// This side has ended the transport in both directions.
    aborted: AtomicBool,
}

impl<T: Transport + Duplex> TlsStream<T> {
    /// Makes a TLS connection to the server `name` as a client, by a handshake that ends at `deadline`.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Tls`] with the fault, and [`HandshakeError::Timeout`](ws_proto::handshake::HandshakeError::Timeout) at
    /// the deadline.
    #[cfg(feature = "client")]
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
    /// [`AcceptError::Tls`] with the fault, [`HandshakeError::Timeout`](ws_proto::handshake::HandshakeError::Timeout) at the
    /// deadline, and [`AcceptError::NoRequest`] if the client leaves without a byte.
    pub fn accept(transport: T, tls: &ServerTls, deadline: Option<Instant>) -> Result<Self, AcceptError> {
        let stream = Self::server(transport, tls).map_err(AcceptError::Tls)?;
        stream.handshake(deadline)?;
        Ok(stream)
    }

    /// Creates a client's connection, whose handshake is still to be done.
    #[cfg(feature = "client")]
    pub(crate) fn client(transport: T, tls: &ClientTls, name: ServerName<'static>) -> Result<Self, TlsError> {
        let connection = UnbufferedClientConnection::new(tls.config()?, name)?;
        Ok(Self::new(transport, Session::client(connection), None))
    }

    /// Creates a server's connection, whose handshake is still to be done.
    pub(crate) fn server(transport: T, tls: &ServerTls) -> Result<Self, TlsError> {
        let (config, asked) = AskedName::of(&tls.config());
        let connection = UnbufferedServerConnection::new(Arc::new(config))?;
        Ok(Self::new(transport, Session::server(connection), Some(asked)))
    }

    fn new(transport: T, connection: Session, asked: Option<Arc<AskedName>>) -> Self {
        Self {
            transport,
            reading: Mutex::default(),
            sending: Mutex::default(),
            // A client's first message.
            owes: AtomicBool::new(connection.has_output()),
            connection: Mutex::new(connection),
            asked,
            past: clock::now(),
            ready: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
        }
    }

    /// Returns the inner transport, for its options and addresses. Reading and writing it would break the connection.
    pub const fn transport(&self) -> &T {
        &self.transport
    }

    /// Lends the state of the connection to `look`: the protocol's version, the peer's certificates, and the cipher.
    ///
    /// Threads that read or write wait meanwhile, so `look` must not use the stream.
    pub fn state<X>(&self, look: impl FnOnce(&CommonState) -> X) -> X {
        look(lock(&self.connection).state())
    }

    /// Returns the name by which a client has asked for this server (SNI, RFC 6066 section 3); `None` for a client.
    pub fn server_name(&self) -> Option<String> {
        self.asked.as_ref()?.name().map(str::to_owned)
    }

    /// Changes the keys of both directions, by a KeyUpdate of TLS 1.3 (RFC 8446 section 4.6.3).
    ///
    /// rustls does that by itself before a key has been used too long.
    ///
    /// # Errors
    ///
    /// The version is TLS 1.2, or the connection has failed or ended.
    pub fn refresh_traffic_keys(&self) -> Result<(), rustls::Error> {
        let mut connection = lock(&self.connection);
        let refreshed = connection.refresh_keys();
        self.note_output(&connection);
        drop(connection);
        self.send_owed();
        refreshed
    }

    /// Notes that rustls has output of its own.
    fn note_output(&self, connection: &Session) {
        if connection.has_output() {
            self.owes.store(true, Ordering::SeqCst);
        }
    }

    /// Sends close_notify, and then ends our direction of the transport.
    fn end(&self) -> io::Result<()> {
        let mut sending = lock(&self.sending);
        if sending.our_end == End::Open {
            sending.our_end = End::Due;
            lock(&self.connection).close_notify();
        }
        self.owes.store(true, Ordering::SeqCst);
        let sent = self.send(&mut sending, Some(self.past));
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
        let mut inflow = lock(&self.reading);
        if buffer.is_empty() { Ok(0) } else { self.read_plaintext(&mut inflow, buffer, deadline) }
    }

    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        let mut sending = lock(&self.sending);
        let written = self.write_records(&mut sending, slices, deadline);
        sending.release();
        drop(sending);
        self.send_owed();
        written
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
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
        // A callback of rustls may have panicked.
        let is_usable = !self.aborted.load(Ordering::Relaxed) && !self.connection.is_poisoned();
        if is_usable && !lock(&self.connection).state().is_handshaking() {
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

/// Locks `mutex`. A thread that has panicked with it was looking at its value, or a callback of rustls has panicked.
fn lock<X>(mutex: &Mutex<X>) -> MutexGuard<'_, X> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
