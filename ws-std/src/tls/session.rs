//! The state of rustls, which takes records from memory that is not its own, and makes them there.

use core::mem;
use std::io;

#[cfg(feature = "client")]
use rustls::client::UnbufferedClientConnection;
use rustls::{
    CommonState, Error, PeerMisbehaved,
    server::UnbufferedServerConnection,
    unbuffered::{
        ConnectionState, EncodeError, EncodeTlsData, EncryptError, ReadTraffic, UnbufferedStatus, WriteTraffic,
    },
};

/// Length of a record's header, whose last two bytes are the length of the rest (RFC 8446 section 5.1).
const HEADER_LEN: usize = 5;

/// The longest record in bytes (RFC 5246 section 6.2.3).
const LONGEST_RECORD: usize = HEADER_LEN + (1 << 14) + 2048;

/// The length of a record without its plaintext in TLS 1.3: the header, the type and the tag (RFC 8446 section 5.2).
const OVERHEAD: usize = HEADER_LEN + 1 + 16;

/// The most bytes of records that are held because they are part of a message of TLS itself, or rustls has not done with them: twice
/// as many as the longest message has.
const MOST_HELD: usize = 128 * 1024;

/// A connection of rustls, and what can't stay in the caller's memory.
pub(super) struct Session {
    side: Side,
    /// Ciphertext that is held: the front of a record, and before it `whole` bytes of records to which rustls refers, most often
    /// because they are part of a message of TLS itself.
    tail: Vec<u8>,
    whole: usize,
    /// rustls has decrypted a record that has not been taken from it.
    has_record: bool,
    /// Plaintext that comes before that record. The first `taken` bytes have been read.
    plaintext: Vec<u8>,
    taken: usize,
    /// Records of TLS itself that are to be sent: of the handshake, a KeyUpdate, an alert.
    output: Vec<u8>,
    end: Option<End>,
}

enum Side {
    #[cfg(feature = "client")]
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// The reason why no more records come.
enum End {
    /// The peer's close_notify.
    Notified,
    /// The transport has ended without it.
    Cut,
    Fault(Error),
}

/// The work for which rustls is called, besides taking records.
#[derive(Clone, Copy)]
enum Work<'w> {
    Nothing,
    Encrypt(&'w [u8]),
    CloseNotify,
    RefreshKeys,
}

/// The result of [`Work`].
type Done = Result<usize, Undone>;

enum Undone {
    /// The room for ciphertext needs this length.
    TooShort(usize),
    Error(Error),
}

/// A state of rustls.
enum Reached {
    /// A state that another call leaves.
    Passing,
    /// It has decrypted a record, whose plaintext has been moved and has this length. `None`: rustls has it.
    Record(Option<usize>),
    /// The peer has sent close_notify.
    Notified,
    /// It has done all it can. `None`: the handshake goes on.
    Idle(Option<Done>),
    Fault(Error),
}

impl Session {
    #[cfg(feature = "client")]
    pub(super) fn client(connection: UnbufferedClientConnection) -> Self {
        Self::new(Side::Client(connection))
    }

    pub(super) fn server(connection: UnbufferedServerConnection) -> Self {
        Self::new(Side::Server(connection))
    }

    fn new(side: Side) -> Self {
        let (tail, plaintext, output) = Default::default();
        let mut session = Self { side, tail, whole: 0, has_record: false, plaintext, taken: 0, output, end: None };
        // A client's first message.
        session.work(Work::Nothing, &mut []);
        session
    }

    pub(super) fn state(&self) -> &CommonState {
        match &self.side {
            #[cfg(feature = "client")]
            Side::Client(connection) => connection,
            Side::Server(connection) => connection,
        }
    }

    /// Returns the length of the ciphertext that is held until the rest of a record comes.
    pub(super) fn tail_len(&self) -> usize {
        self.tail.len()
    }

    /// Returns whether `bytes` begin with a whole record, or go on with one of which a part is held: [`absorb`](Self::absorb) then
    /// has no new part to hold.
    pub(super) fn can_absorb(&self, bytes: &[u8]) -> bool {
        missing(bytes).0 == 0 || !(bytes.is_empty() || self.tail.is_empty())
    }

    /// Returns whether plaintext is held.
    pub(super) fn has_plaintext(&self) -> bool {
        self.has_record || !self.plaintext.is_empty()
    }

    /// Returns whether all plaintext of the record that `bytes` begin with fits in `room` bytes.
    pub(super) const fn fits(bytes: &[u8], room: usize) -> bool {
        missing(bytes).1 <= room + OVERHEAD
    }

    /// Takes ciphertext from the front of `bytes`, which it may change, at most up to the end of a record. Moves the record's
    /// plaintext to `room` if all of it is in `bytes` and fits. Returns both lengths; that of the ciphertext is 0 after the peer's
    /// close_notify. Call [`read`](Self::read) next if there is no plaintext.
    ///
    /// # Errors
    ///
    /// The fault that rustls has found, again and again.
    pub(super) fn absorb(&mut self, bytes: &mut [u8], room: &mut [u8]) -> io::Result<(usize, usize)> {
        self.check()?;
        if self.end.is_some() {
            return Ok((0, 0));
        }
        let is_direct = self.tail.is_empty() && missing(bytes).0 == 0;
        let lens = if is_direct { self.absorb_record(bytes, room) } else { (self.absorb_part(bytes), 0) };
        self.check().map(|()| lens)
    }

    /// Takes a record that lies whole at the front of `bytes`. None that came before may be in rustls.
    fn absorb_record(&mut self, bytes: &mut [u8], room: &mut [u8]) -> (usize, usize) {
        let len = missing(bytes).1;
        let record = bytes.get_mut(..len).unwrap_or_default();
        debug_assert!(!self.has_record);
        // Plaintext that is held comes first.
        let room = if self.plaintext.is_empty() { room } else { &mut [] };
        let (done, result) = self.run(record, Work::Nothing, room);
        if let Some(part @ [_, ..]) = record.get(done..) {
            self.tail.extend_from_slice(part);
            self.whole = self.tail.len();
            self.limit_held();
        }
        (len, result.and_then(Result::ok).unwrap_or(0))
    }

    /// Takes bytes up to the end of a record of which a part is held, or is all that has come.
    fn absorb_part(&mut self, bytes: &[u8]) -> usize {
        let begun = self.tail.get(self.whole..).unwrap_or_default();
        let needed = if begun.is_empty() { missing(bytes).1.max(HEADER_LEN) } else { missing(begun).0 };
        let part = bytes.get(..needed).unwrap_or(bytes);
        // At once for all of the record.
        self.tail.reserve_exact(needed.min(LONGEST_RECORD));
        self.tail.extend_from_slice(part);
        let begun = self.tail.get(self.whole..).unwrap_or_default();
        let (left, len) = missing(begun);
        // rustls finds a fault of a header at once.
        if begun.len() >= HEADER_LEN {
            if left == 0 {
                self.whole += len;
            }
            self.work(Work::Nothing, &mut []);
            self.limit_held();
        }
        part.len()
    }

    /// Fails if a peer has records held without an end.
    fn limit_held(&mut self) {
        if self.whole > MOST_HELD {
            self.tail = Vec::new();
            self.end = Some(End::Fault(PeerMisbehaved::TooManyEmptyFragments.into()));
        }
    }

    /// Moves plaintext to `room` and returns its length; 0 is the end of the peer's output. `None`: there is none now. A record
    /// that does not fit is held.
    ///
    /// # Errors
    ///
    /// The fault that rustls has found; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        let held = self.read_held(room);
        let len = held + self.read_record(room.get_mut(held..).unwrap_or_default());
        match &self.end {
            _ if len > 0 => Ok(Some(len)),
            Some(End::Notified) => Ok(Some(0)),
            Some(End::Cut) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the transport has ended without close_notify"))
            }
            Some(End::Fault(_)) | None => self.check().map(|()| None),
        }
    }

    fn read_held(&mut self, room: &mut [u8]) -> usize {
        let held = self.plaintext.get(self.taken..).unwrap_or_default();
        let len = copy(held, room);
        self.taken += len;
        if self.taken == self.plaintext.len() {
            (self.plaintext, self.taken) = (Vec::new(), 0);
        }
        len
    }

    fn read_record(&mut self, room: &mut [u8]) -> usize {
        if !mem::take(&mut self.has_record) {
            return 0;
        }
        let held = &mut self.plaintext;
        self.side.take_record(|record| {
            let len = if held.is_empty() { copy(record, room) } else { 0 };
            held.extend_from_slice(record.get(len..).unwrap_or_default());
            len
        })
    }

    /// Takes note of the end of the transport.
    pub(super) fn cut(&mut self) {
        self.end.get_or_insert(End::Cut);
    }

    /// Makes a record of `plaintext` in `ciphertext` from `end` on, which grows if need be, after the [output](Self::take_output) of
    /// TLS itself; moves `end` on.
    ///
    /// # Errors
    ///
    /// The fault that rustls has found; its keys are used up.
    pub(super) fn encrypt(
        &mut self,
        plaintext: &[u8],
        ciphertext: &mut Vec<u8>,
        end: &mut usize,
    ) -> io::Result<()> {
        loop {
            *end = self.take_output(ciphertext, *end);
            self.check()?;
            match self.work(Work::Encrypt(plaintext), ciphertext.get_mut(*end..).unwrap_or_default()) {
                Some(Ok(len)) => {
                    *end += len;
                    return Ok(());
                }
                Some(Err(Undone::TooShort(needed))) => ciphertext.resize(*end + needed, 0),
                Some(Err(Undone::Error(error))) => return Err(io::Error::other(error)),
                None => return Err(io::ErrorKind::NotConnected.into()),
            }
        }
    }

    /// Makes the record of our close_notify, unless the handshake is not complete.
    pub(super) fn close_notify(&mut self) {
        self.work(Work::CloseNotify, &mut []);
    }

    /// Makes the record of a KeyUpdate, after which our records have new keys.
    ///
    /// # Errors
    ///
    /// The version is TLS 1.2, or the connection has failed or ended.
    pub(super) fn refresh_keys(&mut self) -> Result<(), Error> {
        match (self.work(Work::RefreshKeys, &mut []), &self.end) {
            (Some(Ok(_)), _) => Ok(()),
            (Some(Err(Undone::Error(error))), _) => Err(error),
            (_, Some(End::Fault(fault))) => Err(fault.clone()),
            _ => Err(Error::HandshakeNotComplete),
        }
    }

    /// Returns whether there is output of TLS itself.
    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Moves the output of TLS itself to `ciphertext`, from `end` on; returns the new end.
    pub(super) fn take_output(&mut self, ciphertext: &mut Vec<u8>, end: usize) -> usize {
        let new_end = end + self.output.len();
        if self.has_output() {
            if ciphertext.len() < new_end {
                ciphertext.resize(new_end, 0);
            }
            copy(&mem::take(&mut self.output), ciphertext.get_mut(end..).unwrap_or_default());
        }
        new_end
    }

    /// Does some work, and takes the records that are whole by now; `None`: the work can't be done.
    fn work(&mut self, work: Work<'_>, out: &mut [u8]) -> Option<Done> {
        if matches!(self.end, Some(End::Fault(_))) {
            return None;
        }
        let mut tail = mem::take(&mut self.tail);
        let (len, done) = self.run(&mut tail, work, out);
        self.whole = self.whole.saturating_sub(len);
        if len < tail.len() {
            tail.drain(..len);
            self.tail = tail;
        }
        done
    }

    /// Takes records from the front of `bytes`, up to the first one that has plaintext; if there is no other work, that is moved to
    /// `out`, if it all fits. Without such a record it does the work. Returns the length of these records, and the result: the length
    /// that has been moved, encrypted, or queued. `None`: the work has not been done.
    fn run(&mut self, bytes: &mut [u8], work: Work<'_>, out: &mut [u8]) -> (usize, Option<Done>) {
        let mut len = 0;
        loop {
            let rest = bytes.get_mut(len..).unwrap_or_default();
            let (records, reached) = self.side.run(rest, work, &mut self.output, out);
            len += records;
            match reached {
                Reached::Passing => {}
                Reached::Record(moved) => {
                    self.has_record = moved.is_none();
                    return (len, moved.map(Ok));
                }
                Reached::Notified => _ = self.end.get_or_insert(End::Notified),
                Reached::Idle(done) => {
                    self.collect();
                    return (len, done);
                }
                Reached::Fault(fault) => {
                    self.end = Some(End::Fault(fault));
                    self.collect();
                    return (len, None);
                }
            }
        }
    }

    /// Takes the output of TLS itself from rustls.
    fn collect(&mut self) {
        while self.state().wants_write() {
            // Without input it reaches no other state before.
            self.side.run(&mut [], Work::Nothing, &mut self.output, &mut []);
        }
    }

    /// Returns the fault that rustls has found, if any.
    fn check(&self) -> io::Result<()> {
        match &self.end {
            Some(End::Fault(fault)) => Err(io::Error::new(io::ErrorKind::InvalidData, fault.clone())),
            _ => Ok(()),
        }
    }
}

impl Side {
    /// Calls rustls, and does what its state asks for. Returns the length of the records that it has done with.
    fn run(&mut self, bytes: &mut [u8], work: Work<'_>, output: &mut Vec<u8>, out: &mut [u8]) -> (usize, Reached) {
        match self {
            #[cfg(feature = "client")]
            Self::Client(connection) => step(connection.process_tls_records(bytes), work, output, out),
            Self::Server(connection) => step(connection.process_tls_records(bytes), work, output, out),
        }
    }

    /// Lends the plaintext of the record that has been decrypted to `take`.
    fn take_record(&mut self, take: impl FnOnce(&[u8]) -> usize) -> usize {
        match self {
            #[cfg(feature = "client")]
            Self::Client(connection) => taken(connection.process_tls_records(&mut []), take),
            Self::Server(connection) => taken(connection.process_tls_records(&mut []), take),
        }
    }
}

fn step<D>(
    status: UnbufferedStatus<'_, '_, D>,
    work: Work<'_>,
    output: &mut Vec<u8>,
    out: &mut [u8],
) -> (usize, Reached) {
    let reached = match status.state {
        Ok(ConnectionState::ReadTraffic(traffic)) => Reached::Record(match work {
            Work::Nothing => move_record(traffic, out),
            // The room is for ciphertext.
            _ => None,
        }),
        Ok(ConnectionState::EncodeTlsData(data)) => {
            encode(data, output);
            Reached::Passing
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Reached::Passing
        }
        Ok(ConnectionState::PeerClosed) => Reached::Notified,
        Ok(ConnectionState::WriteTraffic(traffic)) => Reached::Idle(Some(do_work(traffic, work, out))),
        // `Closed` and `BlockedHandshake`. Early data is not admitted.
        Ok(_) => Reached::Idle(None),
        Err(fault) => Reached::Fault(fault),
    };
    (status.discard, reached)
}

/// Moves the plaintext of a record to `room` and returns its length, if it all fits.
fn move_record<D>(traffic: ReadTraffic<'_, '_, D>, room: &mut [u8]) -> Option<usize> {
    if traffic.peek_len()?.get() > room.len() {
        return None;
    }
    Some(take_record(traffic, |record| copy(record, room)))
}

fn taken<D>(status: UnbufferedStatus<'_, '_, D>, take: impl FnOnce(&[u8]) -> usize) -> usize {
    let Ok(ConnectionState::ReadTraffic(traffic)) = status.state else { return 0 };
    take_record(traffic, take)
}

fn take_record<D>(mut traffic: ReadTraffic<'_, '_, D>, take: impl FnOnce(&[u8]) -> usize) -> usize {
    let Some(Ok(record)) = traffic.next_record() else { return 0 };
    take(record.payload)
}

/// Appends a record of TLS itself to `output`.
fn encode<D>(mut data: EncodeTlsData<'_, D>, output: &mut Vec<u8>) {
    let end = output.len();
    if let Err(EncodeError::InsufficientSize(error)) = data.encode(&mut []) {
        output.resize(end + error.required_size, 0);
        // The room suffices now.
        let _ = data.encode(output.get_mut(end..).unwrap_or_default());
    }
}

fn do_work<D>(mut traffic: WriteTraffic<'_, D>, work: Work<'_>, out: &mut [u8]) -> Done {
    match work {
        Work::Nothing => Ok(0),
        Work::Encrypt(plaintext) => match traffic.encrypt(plaintext, out) {
            Ok(len) => Ok(len),
            Err(EncryptError::InsufficientSize(error)) => Err(Undone::TooShort(error.required_size)),
            Err(EncryptError::EncryptExhausted) => Err(Undone::Error(Error::EncryptError)),
        },
        // Without room the record is collected afterwards, as that of a KeyUpdate is.
        Work::CloseNotify => Ok(traffic.queue_close_notify(&mut []).unwrap_or(0)),
        Work::RefreshKeys => traffic.refresh_traffic_keys().map(|()| 0).map_err(Undone::Error),
    }
}

/// Copies the front of `from`, as much as fits, and returns its length.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let len = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..len), to.get_mut(..len)) {
        to.copy_from_slice(from);
    }
    len
}

/// Returns the length that is missing of the record whose front is `record`, or else of its header; 0 and the record's length if
/// it is whole.
const fn missing(record: &[u8]) -> (usize, usize) {
    let [_, _, _, high, low, ..] = record else { return (HEADER_LEN - record.len(), 0) };
    let len = HEADER_LEN + u16::from_be_bytes([*high, *low]) as usize;
    (len.saturating_sub(record.len()), len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_record_is_counted() {
        for (record, expected) in [
            (&[][..], (5, 0)),
            (&[23, 3, 3], (2, 0)),
            (&[23, 3, 3, 1, 0], (256, 261)),
            (&[23, 3, 3, 0, 2, 7], (1, 7)),
            (&[23, 3, 3, 0, 1, 7, 8], (0, 6)),
        ] {
            assert_eq!(missing(record), expected, "{record:?}");
        }
    }
}
