//! Our own crate as a contender.

use std::hint::black_box;

use ws_proto::{
    Client, Config, Connection, Endpoint, Entropy, EntropyError, Event, Instant, Message, MessageBuffer,
    MessageKind, Next, Pending, Server, client,
    endpoint::{Negotiated, Prepared},
    frame::Frame,
    mask::{Mask, MaskingKey},
    role::Side,
    server,
    utf8::Validator,
};

use crate::{
    contender::{Decode, Encode, HOST, Handshake, Masking, Open, REQUEST, TARGET, Validate},
    responder::{Responder, SansIo},
    transport::Transport,
};

fn config() -> Config {
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    config
}

/// The storage that connections keep between messages: that of the longest here.
const KEPT: usize = 4 << 20;

/// As an event loop's thread: all connections read into one buffer, and big messages straight to their own storage.
pub struct Shared {
    transport: Transport,
    endpoint: Endpoint<Server>,
    messages: MessageBuffer<Vec<u8>>,
    buffer: Vec<u8>,
}

impl Shared {
    /// A connection that reads into `buffer`.
    fn open(transport: Transport, buffer: Vec<u8>) -> Self {
        let endpoint = Endpoint::new(Server, &config(), Negotiated::default(), Instant::ZERO);
        Self { transport, endpoint, messages: MessageBuffer::new(Vec::new()).keeping(KEPT), buffer }
    }
}

impl Decode for Shared {
    fn new(transport: Transport) -> Self {
        let buffer = vec![0; transport.room()];
        Self::open(transport, buffer)
    }

    fn renew(self, transport: Transport) -> Self {
        let Self { buffer, .. } = self;
        Self::open(transport, buffer)
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        loop {
            let room = self.messages.unfilled_or(&self.endpoint, &mut self.buffer);
            let len = self.transport.receive(room);
            if len == 0 {
                return;
            }
            let mut input = self.messages.filled_or(len, &mut self.buffer);
            while let Ok(Some(incoming)) = self.messages.next_in(&mut self.endpoint, Instant::ZERO, &mut input) {
                if let Event::Data(message) = incoming {
                    each(message.as_bytes());
                }
            }
        }
    }
}

/// As a connection with storage of its own, which grows as its reads and messages need.
pub struct Own {
    transport: Transport,
    endpoint: Endpoint<Server>,
    messages: MessageBuffer<Vec<u8>>,
}

impl Decode for Own {
    fn new(transport: Transport) -> Self {
        let endpoint = Endpoint::new(Server, &config(), Negotiated::default(), Instant::ZERO);
        Self { transport, endpoint, messages: MessageBuffer::new(Vec::new()).keeping(KEPT) }
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        loop {
            let len = self.transport.receive(self.messages.unfilled(&self.endpoint));
            if len == 0 {
                return;
            }
            self.messages.filled(len);
            while let Ok(Some(incoming)) = self.messages.next(&mut self.endpoint, Instant::ZERO) {
                if let Event::Data(message) = incoming {
                    each(message.as_bytes());
                }
            }
        }
    }
}

/// Keys that cost next to nothing, so that not the random source is measured.
#[derive(Default)]
pub struct Keys(u32);

impl Keys {
    /// Fills `bytes` with keys.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &mut [u8]) {
        for key in bytes.chunks_exact_mut(4) {
            self.0 = self.0.wrapping_add(0x9E37_79B9);
            key.copy_from_slice(&self.0.to_ne_bytes());
        }
    }
}

impl Entropy for Keys {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self.write(bytes);
        Ok(())
    }
}

pub(crate) const fn keyed_client() -> Client<Keys> {
    Client::new(Keys(0))
}

/// A server that sends from a buffer which it uses again and again. Payloads of 1 KiB and more are written from where they
/// are, all in one vectored write.
pub struct ServerSender {
    transport: Transport,
    endpoint: Endpoint<Server>,
    payload: &'static [u8],
    out: Vec<u8>,
    frames: Vec<Frame<'static>>,
}

impl ServerSender {
    /// Sends the message without copying it.
    #[inline(never)]
    fn gather(&mut self) {
        let frame = self.endpoint.send_shared(Message::Binary(self.payload));
        self.frames.push(frame.expect("it is open"));
    }
}

/// From here on, to copy a payload costs more than to name it in a vectored write.
const GATHERED: usize = 1 << 10;

impl Encode for ServerSender {
    fn new(transport: Transport, _: Side, payload: &'static [u8]) -> Self {
        let endpoint = Endpoint::new(Server, &config(), Negotiated::default(), Instant::ZERO);
        Self { transport, endpoint, payload, out: Vec::new(), frames: Vec::new() }
    }

    fn send(&mut self) {
        if self.payload.len() >= GATHERED {
            return self.gather();
        }
        let sent = self.endpoint.write_to(Message::Binary(self.payload), &mut self.out);
        assert!(sent.is_ok());
    }

    fn send_one(&mut self) {
        if let Ok(frame) = self.endpoint.send_shared(Message::Binary(self.payload)) {
            self.transport.send_vectored(frame.slices());
        }
    }

    fn flush(&mut self) {
        self.transport.send(&self.out);
        self.out.clear();
        for frame in self.frames.drain(..) {
            self.transport.send_vectored(frame.slices());
        }
    }
}

/// A member of a room, to whom messages are sent that were encoded once for all.
pub struct Member {
    transport: Transport,
    connection: Connection<'static, Server>,
    message: Prepared<&'static [u8]>,
}

impl Encode for Member {
    fn new(transport: Transport, _: Side, payload: &'static [u8]) -> Self {
        let endpoint = Endpoint::new(Server, &config(), Negotiated::default(), Instant::ZERO);
        let connection = Connection::open(endpoint, Vec::new(), &config());
        Self {
            transport,
            connection,
            message: Prepared::new(MessageKind::Binary, payload).expect("it is no text"),
        }
    }

    fn send(&mut self) {
        let write = |slices: [&[u8]; 2]| {
            self.transport.send_vectored(slices);
            slices.iter().map(|slice| slice.len()).sum()
        };
        assert!(self.connection.send_prepared(Instant::ZERO, &self.message, write).is_ok());
    }

    fn flush(&mut self) {}
}

/// A client that sends from a buffer which it uses again and again, and writes it once it holds `FULL` bytes. Its keys come
/// from `E`.
pub struct ClientSender<const FULL: usize, E: Entropy> {
    transport: Transport,
    endpoint: Endpoint<Client<E>>,
    payload: &'static [u8],
    out: Vec<u8>,
}

impl<const FULL: usize, E: Entropy + Default> Encode for ClientSender<FULL, E> {
    fn new(transport: Transport, _: Side, payload: &'static [u8]) -> Self {
        let client = Client::new(E::default());
        let endpoint = Endpoint::new(client, &config(), Negotiated::default(), Instant::ZERO);
        Self { transport, endpoint, payload, out: Vec::new() }
    }

    fn send(&mut self) {
        let sent = self.endpoint.write_to(Message::Binary(self.payload), &mut self.out);
        assert!(sent.is_ok());
        if self.out.len() >= FULL {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.transport.send(&self.out);
        self.out.clear();
    }
}

/// [`Mask`] in place.
pub struct InPlace;

impl Masking for InPlace {
    fn apply(payload: &mut [u8], key: [u8; 4]) {
        Mask::new(MaskingKey::new(key)).apply(payload);
    }
}

/// [`Validator`], which takes text in any pieces.
pub struct Resumable;

impl Validate for Resumable {
    fn is_valid<'t>(mut pieces: impl Iterator<Item = &'t [u8]>) -> bool {
        let mut validator = Validator::new();
        pieces.all(|piece| validator.update(piece).is_ok()) && validator.is_complete()
    }
}

/// A server's handshake, with buffers that it uses again and again.
pub struct Accept {
    transport: Transport,
    config: Config,
    received: Vec<u8>,
    out: Vec<u8>,
}

impl Handshake for Accept {
    fn new(transport: Transport) -> Self {
        Self { transport, config: config(), received: vec![0; 4096], out: vec![0; 512] }
    }

    fn accept(&mut self) {
        let len = self.transport.receive(&mut self.received);
        let received = &self.received[..len];
        let mut handshake = server::Handshake::new(Instant::ZERO, &self.config);
        if !matches!(handshake.poll_head(Instant::ZERO, received), Ok(Some(_))) {
            return;
        }
        let head = handshake.request(received, server::OriginPolicy::SameHost);
        let Ok(server::Head::Upgrade(request)) = head else {
            return;
        };
        let answer = server::Accept::new();
        let accepted = request.upgrade().accept(&answer, &self.config, Instant::ZERO, &mut self.out);
        if let Ok((len, endpoint)) = accepted {
            black_box(endpoint);
            self.transport.send(&self.out[..len]);
        }
    }
}

/// A client's handshake, with a buffer that it uses again and again.
pub struct Opener {
    end: SansIo,
    config: Config,
    request: Vec<u8>,
}

impl Open for Opener {
    fn new(stream: Responder) -> Self {
        Self { end: SansIo::new(stream), config: config(), request: vec![0; 512] }
    }

    fn open(&mut self) -> bool {
        let request = client::Request::new(HOST, TARGET);
        let handshake = client::Handshake::new(request, self.end.nonce(), Instant::ZERO, &self.config);
        let Ok(mut handshake) = handshake else { return false };
        let len = handshake.write_request(&mut self.request).unwrap_or(0);
        let received = self.end.ask(&self.request[..len]);
        if !matches!(handshake.poll_head(Instant::ZERO, received), Ok(Some(_))) {
            return false;
        }
        let Ok(client::Answer::Open(response)) = handshake.answer(received) else {
            return false;
        };
        black_box(response.open(keyed_client(), &self.config, Instant::ZERO));
        true
    }
}

/// A server's connection that sends back what it receives, as in an event loop.
pub struct Echo {
    transport: Transport,
    connection: Connection<'static, Server>,
    buffer: Vec<u8>,
}

impl Echo {
    /// An open connection on `transport`.
    pub fn new(transport: Transport) -> Self {
        let mut connection = Connection::accept(&config(), server::OriginPolicy::SameHost, Instant::ZERO);
        let mut request = REQUEST.to_vec();
        let mut reading = connection.received_in(Instant::ZERO, &mut request);
        if let Some(Next::Opening(mut request)) = reading.next() {
            request.accept(&server::Accept::new()).expect("there is no other field");
        }
        drop(reading);
        let len = connection.pending_len();
        connection.written(Instant::ZERO, len);
        Self { transport, connection, buffer: vec![0; 64 << 10] }
    }

    /// Reads all of the input once more and echoes it.
    pub fn echo(&mut self) {
        let Self { transport, connection, buffer } = self;
        transport.rewind();
        transport.clear_output();
        loop {
            let mut reading = connection.reading(buffer);
            let len = transport.receive(reading.room());
            if len == 0 {
                return;
            }
            reading.received(Instant::ZERO, len);
            let other = reading.each_message(|message, reply| {
                let _ = reply.send(message);
            });
            assert!(other.is_none(), "there are only messages");
            drop(reading);
            if let Some(Pending::Bytes(bytes)) = connection.pending() {
                transport.send(bytes);
                let len = bytes.len();
                connection.written(Instant::ZERO, len);
            }
        }
    }
}
