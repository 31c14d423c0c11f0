use ws_proto::{
    Client, Config, Control, Endpoint, Event, Instant, Message, MessageBuffer, ReceiveError, Server, State,
    Transmit,
    connection::Storage,
    endpoint::Negotiated,
    error::{Fault, ReceiveErrorKind},
    role::Role,
};

use super::{
    choices::{Choices, Keys},
    reference::{Reference, Told},
};

const NOW: Instant = Instant::ZERO;
/// The bytes that `Vec` storage may hold beside twice those that have arrived: a first read, and one that did not come.
const SPARE: usize = 4 * 1024;

/// Any way of receiving the same bytes in any pieces tells the same, answers the same and fails the same.
pub fn split_equivalence(data: &[u8]) {
    let (mut choices, wire) = Choices::split(data);
    let mode = choices.take();
    let config = choices.config();
    let server = mode & 1 == 0;
    // Mostly little, because that is fast; but storage grows only with much.
    let len = if mode & 4 == 0 { 8_000 } else { 140_000 };
    let wire = if mode & 2 == 0 { wire.to_vec() } else { compose(wire, server, len) };
    if server {
        compare(|| Server, &config, choices, &wire);
    } else {
        compare(|| Client::new(Keys::new(0)), &config, choices, &wire);
    }
}

/// Frames of any length from 4 bytes each: the first byte of a header, 2 bytes of length, one to fill with.
///
/// No more frames follow once there are `enough` bytes.
fn compose(script: &[u8], masked: bool, enough: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for frame in script.chunks_exact(4) {
        let len = u16::from_be_bytes([frame[1], frame[2]]);
        if wire.len() + usize::from(len) > enough {
            break;
        }
        let len = if frame[0] & 0x08 == 0 { len } else { len % 126 };
        wire.push(frame[0]);
        let mask = if masked { 0x80 } else { 0 };
        match u8::try_from(len) {
            Ok(short @ 0..126) => wire.push(mask | short),
            _ => wire.extend([mask | 126, frame[1], frame[2]]),
        }
        let key = [frame[3], 2, 3, 5];
        if masked {
            wire.extend(key);
        }
        let key = if masked { key } else { [0; 4] };
        wire.extend((0..len).map(|i| frame[3] ^ key[usize::from(i % 4)]));
    }
    wire
}

/// The result of some input.
#[derive(Debug)]
struct Outcome {
    told: Vec<Told>,
    output: Vec<Transmit>,
    error: Option<ReceiveError>,
    state: State,
    state_before_eof: State,
}

impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        let [this, other] = [self, other].map(|of| (&of.told, &of.output, of.error, of.state));
        this == other
    }
}

fn compare<R: Role>(role: impl Fn() -> R, config: &Config, mut choices: Choices<'_>, wire: &[u8]) {
    let reference = Reference::receive(R::SIDE, config, wire);
    // Reads of a byte each are for short input.
    let fixed_len = (1 + usize::from(choices.take()) * 16).max(wire.len() / 64);
    let connection = || Connection::new(role(), config);
    let pieces = choices.pieces(wire.len());
    let pieces: Vec<&[u8]> = pieces.into_iter().map(|piece| &wire[piece]).collect();

    let whole = connection().receive(&[wire]);
    assert_eq!(whole.told, reference.told);
    assert_eq!(whole.error.map(|error| (error.kind(), error.offset())), reference.error);

    let received = connection().receive(&pieces);
    assert_eq!(received, whole);
    assert_eq!(connection().next(vec![], &pieces), whole);
    let shared = connection().next_in(vec![], &pieces, None);
    assert_eq!(shared, whole);
    // How much an error has discarded depends on how the input is cut, but not on who takes the pieces.
    assert_eq!(shared.state_before_eof, received.state_before_eof);
    let shared_len = 1 + usize::from(choices.take()) * 40;
    assert_eq!(connection().beside(vec![], &pieces, shared_len), whole);
    assert_eq!(connection().next_in(vec![], &pieces, Some(&mut choices)), whole);
    assert_eq!(connection().next_part(vec![], &pieces), whole);

    // Fixed storage: the same, unless the storage is full, and that only where a message needs all of it.
    let mut fixed = vec![0xEE; fixed_len];
    assert_eq!(connection().next_part(&mut fixed[..], &pieces), whole);
    let fits = reference.longest < fixed_len as u64;
    check_fixed(&connection().next(&mut fixed[..], &pieces), &whole, fits);
    let all_fits = reference.longest <= fixed_len as u64;
    check_fixed(&connection().next_in(&mut fixed[..], &pieces, None), &whole, all_fits);
    check_fixed(&connection().next_in(&mut fixed[..], &pieces, Some(&mut choices)), &whole, fits);
    check_fixed(&connection().beside(&mut fixed[..], &pieces, shared_len), &whole, all_fits);
}

fn check_fixed(fixed: &Outcome, whole: &Outcome, fits: bool) {
    let full = ReceiveErrorKind::Fault(Fault::StorageFull);
    if fits || fixed.error.is_none_or(|error| error.kind() != full) {
        assert_eq!(fixed, whole);
        return;
    }
    assert!(whole.told.starts_with(&fixed.told));
}

/// An endpoint with what it has told and answered.
struct Connection<R: Role> {
    endpoint: Endpoint<R>,
    told: Vec<Told>,
    output: Vec<Transmit>,
}

impl<R: Role> Connection<R> {
    fn new(role: R, config: &Config) -> Self {
        let endpoint = Endpoint::new(role, config, Negotiated::default(), NOW);
        Self { endpoint, told: Vec::new(), output: Vec::new() }
    }

    fn note(&mut self, told: Told) {
        self.told.push(told);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.output.push(transmit);
        }
    }

    fn end(mut self, error: Option<ReceiveError>) -> Outcome {
        self.drain();
        assert_eq!(self.endpoint.failure(), error);
        let state_before_eof = self.endpoint.state();
        self.endpoint.receive_eof();
        self.drain();
        let state = self.endpoint.state();
        Outcome { told: self.told, output: self.output, error, state, state_before_eof }
    }

    fn event(&self, event: &Event<Message<'_>>) -> Told {
        match event {
            Event::Data(message) => {
                assert!(message.as_str().is_none_or(|text| core::str::from_utf8(text.as_bytes()).is_ok()));
                Told::Message(message.kind(), message.as_bytes().to_vec())
            }
            Event::Control(control) => self.control(*control),
        }
    }

    fn control(&self, control: Control) -> Told {
        let payload = self.endpoint.control_payload().to_vec();
        match control {
            Control::Ping => Told::Ping(payload),
            Control::Pong => Told::Pong(payload),
            Control::Close => {
                let (code, reason) = self.endpoint.close_frame().expect("a Close was told");
                Told::Close(code, reason.into())
            }
        }
    }

    fn receive(mut self, pieces: &[&[u8]]) -> Outcome {
        let mut message = Vec::new();
        let mut error = None;
        for piece in pieces {
            let mut piece = piece.to_vec();
            let mut input = &mut piece[..];
            loop {
                let told = match self.endpoint.receive(NOW, &mut input) {
                    Ok(Some(Event::Data(data))) => match Told::message(&mut message, &data) {
                        Some(told) => told,
                        None => continue,
                    },
                    Ok(Some(Event::Control(control))) => self.control(control),
                    Ok(None) => break,
                    Err(failed) => {
                        assert_eq!(*error.get_or_insert(failed), failed);
                        break;
                    }
                };
                self.note(told);
            }
            assert!(input.is_empty());
        }
        self.end(error)
    }

    fn next(mut self, storage: impl Storage, pieces: &[&[u8]]) -> Outcome {
        let mut buffer = MessageBuffer::new(storage);
        let mut arrived = 0;
        for piece in pieces {
            if let Err(error) = self.read_piece(&mut buffer, piece, &mut arrived) {
                return self.end(Some(error));
            }
        }
        self.end(None)
    }

    /// Reads `piece` into the buffer's own storage, in as many reads as that takes.
    fn read_piece(
        &mut self,
        buffer: &mut MessageBuffer<impl Storage>,
        mut piece: &[u8],
        arrived: &mut usize,
    ) -> Result<(), ReceiveError> {
        while !piece.is_empty() {
            fill(buffer, &self.endpoint, &mut piece, arrived);
            while let Some(incoming) = buffer.next(&mut self.endpoint, NOW)? {
                let told = self.event(&incoming);
                self.note(told);
            }
        }
        Ok(())
    }

    /// Shares a buffer for all input, or, where a choice is odd, reads into the buffer's own storage.
    fn next_in(
        mut self,
        storage: impl Storage,
        pieces: &[&[u8]],
        mut alternate: Option<&mut Choices<'_>>,
    ) -> Outcome {
        let mut buffer = MessageBuffer::new(storage);
        let fixed = buffer.held_bytes();
        let mut arrived = 0;
        let mut error = None;
        for piece in pieces {
            if error.is_some() {
                // Bytes that arrive after an error are discarded.
                assert_eq!(self.share_piece(&mut buffer, piece).err(), error);
                continue;
            }
            let own = alternate.as_mut().is_some_and(|choices| choices.take() & 1 == 1)
                // Fixed storage may be full of a message whose last frame is empty.
                && !buffer.unfilled(&self.endpoint).is_empty();
            let result = if own {
                self.read_piece(&mut buffer, piece, &mut arrived)
            } else {
                arrived += piece.len();
                self.share_piece(&mut buffer, piece)
            };
            error = result.err();
            assert!(buffer.held_bytes() <= fixed + SPARE + 2 * arrived, "memory ahead of the input");
        }
        self.end(error)
    }

    /// Reads as a host does that has a buffer of `shared_len` bytes for all its connections.
    fn beside(mut self, storage: impl Storage, pieces: &[&[u8]], shared_len: usize) -> Outcome {
        let mut buffer = MessageBuffer::new(storage);
        let mut shared = vec![0xEE; shared_len];
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() {
                let room = buffer.unfilled_or(&self.endpoint, &mut shared);
                assert!(!room.is_empty(), "no room to read to");
                let len = room.len().min(piece.len());
                room[..len].copy_from_slice(&piece[..len]);
                piece = &piece[len..];
                let mut input = buffer.filled_or(len, &mut shared);
                if let Err(error) = self.take_shared(&mut buffer, &mut input) {
                    return self.end(Some(error));
                }
                assert!(input.is_empty());
            }
        }
        self.end(None)
    }

    fn take_shared(
        &mut self,
        buffer: &mut MessageBuffer<impl Storage>,
        input: &mut &mut [u8],
    ) -> Result<(), ReceiveError> {
        while let Some(incoming) = buffer.next_in(&mut self.endpoint, NOW, input)? {
            let told = self.event(&incoming);
            self.note(told);
        }
        Ok(())
    }

    fn share_piece(&mut self, buffer: &mut MessageBuffer<impl Storage>, piece: &[u8]) -> Result<(), ReceiveError> {
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        self.take_shared(buffer, &mut input)?;
        assert!(input.is_empty());
        Ok(())
    }

    fn next_part(mut self, storage: impl Storage, pieces: &[&[u8]]) -> Outcome {
        let mut buffer = MessageBuffer::new(storage);
        let mut message = Vec::new();
        let mut arrived = 0;
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() {
                fill(&mut buffer, &self.endpoint, &mut piece, &mut arrived);
                loop {
                    let told = match buffer.next_part(&mut self.endpoint, NOW) {
                        Ok(Some(Event::Data(()))) => {
                            let data = buffer.take_part().expect("a part was told");
                            match Told::message(&mut message, &data) {
                                Some(told) => told,
                                None => continue,
                            }
                        }
                        Ok(Some(Event::Control(control))) => self.control(control),
                        Ok(None) => break,
                        Err(error) => return self.end(Some(error)),
                    };
                    self.note(told);
                }
            }
        }
        self.end(None)
    }
}

/// Reads once, from the front of `piece`.
fn fill<R: Role>(
    buffer: &mut MessageBuffer<impl Storage>,
    endpoint: &Endpoint<R>,
    piece: &mut &[u8],
    arrived: &mut usize,
) {
    let before = buffer.held_bytes();
    let room = buffer.unfilled(endpoint);
    assert!(!room.is_empty(), "no room to read to");
    let len = room.len().min(piece.len());
    room[..len].copy_from_slice(&piece[..len]);
    buffer.filled(len);
    *piece = &piece[len..];
    let held = buffer.held_bytes();
    assert!(held <= before.max(SPARE + 2 * *arrived), "memory ahead of the input");
    *arrived += len;
}
