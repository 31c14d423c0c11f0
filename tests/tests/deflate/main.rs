//! Compressed messages (RFC 7692): what is agreed on, what is received, what is sent.

mod inflater;
mod limits;
mod negotiation;
mod parts;
mod properties;
mod sending;
mod wire;

use ws_proto::{
    Config, Message, MessageBuffer, MessageKind, Part, SendError, Server,
    deflate::{Deflater, Inflater, Settings},
    error::{Fault, ReceiveErrorKind},
    message::Data,
    role::Role,
};
use ws_tests::{
    BINARY, FIN, Host, RSV1, TEXT, TestClient, Told, bare_config, close_of, deflating_client, deflating_server,
    masked, symmetric,
};

/// RFC 7692 section 7.2.3.1: "Hello" in a fixed block.
const HELLO: &[u8] = &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
/// Section 7.2.3.2: "Hello" again, by reference to what came before.
const HELLO_AGAIN: &[u8] = &[0xF2, 0x00, 0x11, 0x00, 0x00];
/// Section 7.2.3.3: in a stored block.
const HELLO_STORED: &[u8] = &[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00];
/// Section 7.2.3.4: in a final block.
const HELLO_FINAL: &[u8] = &[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
/// Section 7.2.3.5: in two blocks.
const HELLO_TWICE_BLOCKED: &[u8] = &[0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00];

const COMPRESSED_TEXT: u8 = FIN | RSV1 | TEXT;
const COMPRESSED_BINARY: u8 = FIN | RSV1 | BINARY;

const CORRUPT: ReceiveErrorKind = ReceiveErrorKind::Fault(Fault::InvalidPayload);
const TOO_BIG: ReceiveErrorKind = ReceiveErrorKind::Fault(Fault::MessageTooBig);

fn takeover() -> Settings {
    symmetric(15, true)
}

fn alone() -> Settings {
    symmetric(15, false)
}

fn changed(mut settings: Settings, change: impl FnOnce(&mut Settings)) -> Settings {
    change(&mut settings);
    settings
}

fn limited(limit: u64) -> Config {
    let mut config = bare_config();
    config.max_message_len = limit;
    config
}

fn text(text: &str) -> Told {
    Told::Text(text.into())
}

/// The events and the error of a server that has agreed to compression, which are the same by every way of receiving.
fn received(
    config: &Config,
    settings: &Settings,
    frames: &[(u8, &[u8])],
) -> (Vec<Told>, Option<ReceiveErrorKind>) {
    let wire: Vec<u8> = frames.iter().flat_map(|(first, payload)| masked(*first, payload)).collect();
    let outcome = by_next(config, settings, &[&wire]);
    assert_eq!(by_next_in(config, settings, &[&wire]), outcome, "next_in as next");
    assert_eq!(in_parts(config, settings, &[&wire]), outcome, "next_part as next");
    assert_eq!(by_receive(config, settings, &[&wire]), outcome, "receive as next");
    if let Some(error) = outcome.1 {
        let mut host = deflating_server(config, settings);
        host.receive_buffered(&mut MessageBuffer::new(Vec::new()), &wire);
        let close = host.sent_plain().pop();
        assert_eq!(close, Some(close_of(error)), "the peer is told");
    }
    outcome
}

fn told(config: &Config, settings: &Settings, frames: &[(u8, &[u8])]) -> Vec<Told> {
    let (told, error) = received(config, settings, frames);
    assert_eq!(error, None, "{frames:02X?}");
    told
}

fn error(config: &Config, settings: &Settings, frames: &[(u8, &[u8])]) -> ReceiveErrorKind {
    received(config, settings, frames).1.unwrap_or_else(|| panic!("no error of {frames:02X?}"))
}

type Came = (Vec<Told>, Option<ReceiveErrorKind>);

fn came<R: Role>(host: &Host<R>) -> Came {
    (host.told.clone(), host.error.map(|error| error.kind()))
}

fn by_next(config: &Config, settings: &Settings, pieces: &[&[u8]]) -> Came {
    let mut host = deflating_server(config, settings);
    let mut buffer = MessageBuffer::new(Vec::new());
    pieces.iter().for_each(|piece| host.receive_buffered(&mut buffer, piece));
    came(&host)
}

fn by_next_in(config: &Config, settings: &Settings, pieces: &[&[u8]]) -> Came {
    let mut host = deflating_server(config, settings);
    let mut buffer = MessageBuffer::new(Vec::new());
    pieces.iter().for_each(|piece| host.receive_shared(&mut buffer, piece));
    came(&host)
}

fn in_parts(config: &Config, settings: &Settings, pieces: &[&[u8]]) -> Came {
    let mut host = deflating_server(config, settings);
    // An inflated message does not need the storage.
    let mut storage = [0; 40];
    let mut buffer = MessageBuffer::new(&mut storage[..]);
    pieces.iter().for_each(|piece| host.receive_in_parts(&mut buffer, piece));
    came(&host)
}

/// With `Endpoint::receive` and an inflater of the host's, as its documentation says.
fn by_receive(config: &Config, settings: &Settings, pieces: &[&[u8]]) -> Came {
    let mut host = deflating_server(config, settings);
    let mut inflating = Inflating::new(&host, config);
    pieces.iter().for_each(|piece| inflating.receive(&mut host, piece));
    came(&host)
}

/// A host that inflates by itself.
struct Inflating {
    inflater: Inflater,
    alone: bool,
    limit: u64,
    message: Vec<u8>,
}

impl Inflating {
    fn new<R: Role>(host: &Host<R>, config: &Config) -> Self {
        let alone = host.endpoint.deflate().expect("agreed").no_context_takeover(R::SIDE.peer());
        Self { inflater: Inflater::new(), alone, limit: config.max_message_len, message: Vec::new() }
    }

    fn receive<R: Role>(&mut self, host: &mut Host<R>, piece: &[u8]) {
        host.receive_with(piece, |host, data| {
            host.told.extend(self.data(data)?);
            Ok(())
        });
    }

    fn data(&mut self, data: &Data<'_>) -> Result<Option<Told>, Fault> {
        if data.is_compressed() {
            assert_eq!(data.as_str(), None, "compressed text is none");
            self.inflate(data)?;
        } else {
            self.message.extend(data.as_bytes());
        }
        if !data.part().is_last() {
            return Ok(None);
        }
        let message = std::mem::take(&mut self.message);
        Message::new(data.kind(), &message).map_err(|_| Fault::InvalidPayload)?;
        Ok(Some(Told::message(data.kind(), message)))
    }

    fn inflate(&mut self, data: &Data<'_>) -> Result<(), Fault> {
        if data.part().is_first() {
            self.inflater.begin(self.alone);
        }
        let mut room = [0; 100];
        let mut payload = data.as_bytes();
        loop {
            let len = self.inflater.inflate(&mut payload, &mut room)?;
            self.message.extend(&room[..len]);
            if self.message.len() as u64 > self.limit {
                return Err(Fault::MessageTooBig);
            }
            if len < room.len() {
                break;
            }
        }
        assert!(payload.is_empty());
        if data.part().is_last() { self.inflater.finish() } else { Ok(()) }
    }
}

/// A sender and what understands it.
struct Sending {
    near: Host<Server>,
    far: Host<TestClient>,
    buffer: MessageBuffer<Vec<u8>>,
    deflater: Deflater,
}

impl Sending {
    fn new(settings: &Settings) -> Self {
        Self {
            near: deflating_server(&bare_config(), settings),
            far: deflating_client(&bare_config(), settings),
            buffer: MessageBuffer::new(Vec::new()),
            deflater: Deflater::new(*settings),
        }
    }

    /// Sends a message; the first byte and the payload of its frame.
    fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> (u8, Vec<u8>) {
        let message = message.into();
        let mut out = b"before".to_vec();
        self.near.endpoint.write_deflated_to(message, &mut self.deflater, &mut out).unwrap();
        let wire = out.strip_prefix(b"before").expect("what `out` had stays").to_vec();
        self.hears(&wire, message)
    }

    fn hears(&mut self, wire: &[u8], message: Message<'_>) -> (u8, Vec<u8>) {
        self.far.receive_buffered(&mut self.buffer, wire);
        assert_eq!(came(&self.far), (vec![Told::from(message)], None));
        self.far.told.clear();
        let mut frames = ws_tests::parse(wire);
        let frame = frames.pop().expect("a frame");
        assert!(frames.is_empty());
        (frame.first, frame.payload)
    }

    fn part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<Vec<u8>, SendError> {
        let mut out = Vec::new();
        let sent = self.near.endpoint.write_part_deflated_to(kind, part, payload, &mut self.deflater, &mut out);
        sent.map(|()| out)
    }
}
