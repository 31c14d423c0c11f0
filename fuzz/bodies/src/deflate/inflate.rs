//! Compressed messages of any bytes, against a plain inflater.

use ws_proto::{
    Config, Endpoint, Event, MessageBuffer, MessageKind, Part, Server,
    deflate::{INFLATER_BYTES, Inflater, Settings},
    endpoint::Negotiated,
    error::{Fault, ReceiveErrorKind},
    role::Side,
};

use super::{
    NOW, agreed, owned,
    plain_inflate::{Plain, Wrong},
};
use crate::{choices::Choices, reference::Told};

/// Runs something and tells by how many bytes the heap has grown at the end of it, and at most meanwhile.
pub type Watch = fn(&mut dyn FnMut()) -> [isize; 2];

/// Any compressed payload is inflated as by the text of RFC 1951, or fails as it should, and memory is bounded.
pub fn inflate(data: &[u8]) {
    inflate_watched(data, |work| {
        work();
        [0, 0]
    });
}

/// [`inflate`] where somebody counts the heap.
pub fn inflate_watched(data: &[u8], watch: Watch) {
    let (mut choices, script) = Choices::split(data);
    let mode = choices.take();
    let mut config = Config::new();
    config.max_message_len = [1 << 20, 0, 1, 300, 5_000, 70_000][usize::from(mode % 6)];
    config.max_fragments = Some(1_000);
    let mut settings = Settings::best_ratio();
    settings.client_no_context_takeover = mode & 0x80 != 0;
    let case = Case::of_script(script, &config, !settings.client_no_context_takeover);
    let pieces: Vec<&[u8]> = choices.pieces(case.wire.len()).into_iter().map(|piece| &case.wire[piece]).collect();
    let [_, negotiated] = agreed(&settings, &settings);
    let way = || Way::new(&config, negotiated, watch);
    // A read's worth of storage, or none.
    way().next(&pieces).check(&case, 64 * 1024);
    way().next_in(&pieces).check(&case, 8 * 1024);
    way().next_part(&pieces).check(&case, 64 * 1024);
    way().receive(&pieces, &mut choices).check(&case, 0);
}

/// Messages of a client, and what has to come of them.
struct Case {
    wire: Vec<u8>,
    told: Vec<Told>,
    wrong: Option<Wrong>,
    limit: usize,
}

impl Case {
    /// Each message of the script is a byte of flags, one of length, and a payload.
    fn of_script(mut script: &[u8], config: &Config, takeover: bool) -> Self {
        let limit = usize::try_from(config.max_message_len).expect("small");
        let mut case = Self { wire: Vec::new(), told: Vec::new(), wrong: None, limit };
        let mut plain = Plain::default();
        while let ([flags, len, rest @ ..], None) = (script, case.wrong) {
            let len = usize::from(*len) << if flags & 0x80 == 0 { 0 } else { 4 };
            let (payload, rest) = rest.split_at(rest.len().min(len));
            script = rest;
            let kind = if flags & 1 == 0 { MessageKind::Binary } else { MessageKind::Text };
            let most = if flags & 2 == 0 { limit + limit / 8 + 64 } else { limit };
            let payload = &payload[..payload.len().min(most)];
            case.send(*flags, kind, payload);
            let message =
                if flags & 2 == 0 { plain.message(payload, limit, takeover) } else { Ok(payload.to_vec()) };
            match message {
                Ok(message) if kind == MessageKind::Binary || core::str::from_utf8(&message).is_ok() => {
                    case.told.push(Told::Message(kind, message));
                }
                Ok(_) => case.wrong = Some(Wrong::Corrupt),
                Err(wrong) => case.wrong = Some(wrong),
            }
        }
        case
    }

    /// In one to four frames, a Ping before the last.
    fn send(&mut self, flags: u8, kind: MessageKind, payload: &[u8]) {
        let frames = usize::from(flags >> 2 & 3);
        let mut rest = payload;
        for index in 0..=frames {
            let (part, behind) =
                rest.split_at(if index == frames { rest.len() } else { payload.len() / (frames + 1) });
            rest = behind;
            if index == frames && flags & 0x10 != 0 {
                self.frame(0x89, &[]);
                self.told.push(Told::Ping(vec![]));
            }
            let opcode = match (index, kind) {
                (1.., _) => 0x00,
                (0, MessageKind::Text) => 0x01,
                (0, MessageKind::Binary) => 0x02,
            };
            let rsv1 = if index == 0 && flags & 2 == 0 { 0x40 } else { 0 };
            self.frame(opcode | rsv1 | if index == frames { 0x80 } else { 0 }, part);
        }
    }

    /// A masked frame, whose key is zero.
    fn frame(&mut self, first: u8, payload: &[u8]) {
        self.wire.push(first);
        match payload.len() {
            len @ 0..126 => self.wire.push(0x80 | len.to_le_bytes()[0]),
            len => self.wire.extend([0xFE, len.to_le_bytes()[1], len.to_le_bytes()[0]]),
        }
        self.wire.extend([0; 4]);
        self.wire.extend(payload);
    }
}

/// One way to receive, what it has told, and how much memory that took.
struct Way {
    endpoint: Endpoint<Server>,
    limit: usize,
    watch: Watch,
    held: isize,
    most: isize,
    told: Vec<Told>,
    begun: Vec<u8>,
    error: Option<ReceiveErrorKind>,
}

impl Way {
    fn new(config: &Config, negotiated: Negotiated, watch: Watch) -> Self {
        let endpoint = Endpoint::new(Server, config, negotiated, NOW);
        let limit = usize::try_from(config.max_message_len).expect("small");
        Self { endpoint, limit, watch, held: 0, most: 0, told: Vec::new(), begun: Vec::new(), error: None }
    }

    fn watched<X>(&mut self, work: impl FnOnce(&mut Endpoint<Server>) -> X) -> X {
        let (mut work, mut result) = (Some(work), None);
        let endpoint = &mut self.endpoint;
        let [held, most] = (self.watch)(&mut || result = work.take().map(|work| work(endpoint)));
        self.most = self.most.max(self.held + most);
        self.held += held;
        result.expect("done")
    }

    fn drain(&mut self) {
        while self.endpoint.poll_transmit().is_some() {}
    }

    fn check(&self, case: &Case, storage: usize) {
        let fault = |fault| Some(ReceiveErrorKind::Fault(fault));
        match case.wrong {
            None => assert_eq!((&self.told, self.error), (&case.told, None)),
            Some(wrong) => {
                assert!(case.told.starts_with(&self.told), "{:?} of {:?}", self.told, case.told);
                // A message that is too big may be found to be corrupt first, after its limit or as text.
                let plain = Some(ReceiveErrorKind::InvalidUtf8);
                let corrupt = self.error == fault(Fault::InvalidPayload) || self.error == plain;
                assert!(corrupt || wrong == Wrong::TooBig && self.error == fault(Fault::MessageTooBig));
            }
        }
        let bound = case.limit + 64 * 1024 + INFLATER_BYTES + storage + 1024;
        assert!(usize::try_from(self.most).unwrap_or_default() <= bound, "{} of {bound} bytes", self.most);
    }

    /// Notes what was found; whether there may be more.
    fn note(&mut self, found: Result<Option<Told>, ReceiveErrorKind>) -> bool {
        self.drain();
        match found {
            Ok(Some(told)) => self.told.push(told),
            Ok(None) => return false,
            Err(error) => {
                self.error = Some(error);
                return false;
            }
        }
        true
    }

    fn next(mut self, pieces: &[&[u8]]) -> Self {
        let mut buffer = MessageBuffer::new(vec![]);
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() && self.error.is_none() {
                piece = self.read(&mut buffer, piece);
                while {
                    let found = self.watched(|endpoint| {
                        buffer.next(endpoint, NOW).map(|found| found.map(|event| event.control()))
                    });
                    let told = found.map(|found| {
                        found.map(|found| match found {
                            None => owned(buffer.message().expect("told")),
                            Some(_) => Told::Ping(vec![]),
                        })
                    });
                    self.note(told.map_err(|error| error.kind()))
                } {}
            }
        }
        self
    }

    fn read<'p>(&mut self, buffer: &mut MessageBuffer<Vec<u8>>, piece: &'p [u8]) -> &'p [u8] {
        self.watched(|endpoint| {
            let room = buffer.unfilled(endpoint);
            let (read, rest) = piece.split_at(room.len().min(piece.len()));
            room[..read.len()].copy_from_slice(read);
            buffer.filled(read.len());
            rest
        })
    }

    fn next_in(mut self, pieces: &[&[u8]]) -> Self {
        let mut buffer = MessageBuffer::new(vec![]);
        for piece in pieces {
            let mut bytes = piece.to_vec();
            let mut input = &mut bytes[..];
            while self.error.is_none() {
                let mut told = None;
                let found = self.watched(|endpoint| {
                    buffer.next_in(endpoint, NOW, &mut input).map(|found| {
                        found.map(|found| match found {
                            // Where it lies is known without another allocation.
                            Event::Data(message) => {
                                Some((message.kind(), message.as_bytes().as_ptr(), message.as_bytes().len()))
                            }
                            _ => None,
                        })
                    })
                });
                match found {
                    Ok(Some(Some((kind, at, len)))) => {
                        // SAFETY: neither the buffer nor the input has been touched since the message was lent from one of them.
                        #[allow(unsafe_code)]
                        let payload = unsafe { core::slice::from_raw_parts(at, len) };
                        told = Some(Told::Message(kind, payload.to_vec()));
                    }
                    Ok(Some(None)) => told = Some(Told::Ping(vec![])),
                    Ok(None) | Err(_) => {}
                }
                if !self.note(found.map(|_| told).map_err(|error| error.kind())) {
                    break;
                }
            }
        }
        self
    }

    fn next_part(mut self, pieces: &[&[u8]]) -> Self {
        let mut buffer = MessageBuffer::new(vec![]);
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() && self.error.is_none() {
                piece = self.read(&mut buffer, piece);
                loop {
                    let found = self.watched(|endpoint| buffer.next_part(endpoint, NOW));
                    if found == Ok(Some(Event::Data(()))) {
                        let data = buffer.take_part().expect("told");
                        assert!(!data.is_compressed());
                        self.add(data.kind(), data.part(), data.as_bytes());
                        continue;
                    }
                    let found = found.map(|found| found.map(|_| Told::Ping(vec![])));
                    if !self.note(found.map_err(|error| error.kind())) {
                        break;
                    }
                }
            }
        }
        self
    }

    fn add(&mut self, kind: MessageKind, part: Part, payload: &[u8]) {
        assert_eq!(part.is_first(), self.begun.is_empty() || payload.is_empty() && self.begun.is_empty());
        self.begun.extend(payload);
        if part.is_last() {
            let message = std::mem::take(&mut self.begun);
            assert!(kind == MessageKind::Binary || core::str::from_utf8(&message).is_ok());
            self.told.push(Told::Message(kind, message));
        }
    }

    /// Inflates `payload` to the end of `message`, by way of `room`.
    fn inflate(
        &mut self,
        inflater: &mut Inflater,
        payload: &mut &[u8],
        room: &mut [u8],
        message: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        loop {
            let mut made = Ok(0);
            let [held, most] = (self.watch)(&mut || made = inflater.inflate(payload, room));
            self.most = self.most.max(self.held + most);
            self.held += held;
            let made = made?;
            message.extend_from_slice(&room[..made]);
            if message.len() > self.limit {
                return Err(Fault::MessageTooBig);
            }
            if made < room.len() {
                return Ok(());
            }
        }
    }

    /// With an inflater of the host's, through room of any size.
    fn receive(mut self, pieces: &[&[u8]], choices: &mut Choices<'_>) -> Self {
        let mut inflater = Inflater::new();
        let alone = self.endpoint.deflate().expect("agreed").no_context_takeover(Side::Client);
        let mut room = vec![0; 1 + usize::from(choices.take()) * 16];
        let mut message = Vec::new();
        for piece in pieces {
            let mut bytes = piece.to_vec();
            let mut input = &mut bytes[..];
            while self.error.is_none() {
                let found = self.endpoint.receive(NOW, &mut input);
                let data = match found {
                    Ok(Some(Event::Data(data))) => data,
                    Ok(Some(_)) => {
                        self.note(Ok(Some(Told::Ping(vec![]))));
                        continue;
                    }
                    Ok(None) => break,
                    Err(error) => {
                        self.note(Err(error.kind()));
                        break;
                    }
                };
                let (kind, part) = (data.kind(), data.part());
                let mut payload = data.as_bytes();
                let mut result = Ok(());
                if data.is_compressed() {
                    if part.is_first() {
                        inflater.begin(alone);
                    }
                    result = self.inflate(&mut inflater, &mut payload, &mut room, &mut message);
                    if part.is_last() && result.is_ok() {
                        result = inflater.finish();
                    }
                } else {
                    message.extend_from_slice(payload);
                }
                if result.is_ok() && part.is_last() {
                    let message = std::mem::take(&mut message);
                    if kind == MessageKind::Binary || core::str::from_utf8(&message).is_ok() {
                        self.told.push(Told::Message(kind, message));
                    } else {
                        result = Err(Fault::InvalidPayload);
                    }
                }
                if let Err(fault) = result {
                    let error = self.endpoint.fail(NOW, fault);
                    self.note(Err(error.kind()));
                }
            }
        }
        self
    }
}
