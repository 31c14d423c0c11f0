//! sockudo-ws' protocol core, which its streams are built on.

use bytes::{Bytes, BytesMut};
use sockudo_ws::{
    Message, Role,
    deflate::DeflateConfig,
    handshake, mask,
    protocol::{CompressedProtocol, Protocol},
    utf8::Utf8Stream,
};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode, HOST, Handshake, Masking, Open, TARGET, Validate},
    deflate::Echo,
    responder::Responder,
    transport::{LONGEST, Transport, poll_now},
};

pub(super) struct Connection {
    transport: Transport,
    protocol: Protocol,
    buffer: BytesMut,
    messages: Vec<Message>,
    payload: Message,
}

impl Connection {
    fn open(transport: Transport, role: Role, payload: &'static [u8]) -> Self {
        Self {
            transport,
            protocol: Protocol::new(role, LONGEST, LONGEST),
            buffer: BytesMut::new(),
            messages: Vec::new(),
            payload: Message::Binary(Bytes::from_static(payload)),
        }
    }
}

impl Decode for Connection {
    fn new(transport: Transport) -> Self {
        Self::open(transport, Role::Server, &[])
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        while self.transport.receive_to(&mut self.buffer) > 0 {
            if self.protocol.process_into(&mut self.buffer, &mut self.messages).is_err() {
                return;
            }
            for message in self.messages.drain(..) {
                each(message.as_bytes());
            }
        }
    }
}

impl Encode for Connection {
    fn new(transport: Transport, side: Side, payload: &'static [u8]) -> Self {
        let role = match side {
            Side::Server => Role::Server,
            Side::Client => Role::Client,
        };
        Self::open(transport, role, payload)
    }

    fn send(&mut self) {
        self.protocol.encode_message(&self.payload, &mut self.buffer).expect("it is open");
    }

    fn flush(&mut self) {
        self.transport.send(&self.buffer);
        self.buffer.clear();
    }
}

pub(super) struct Deflating {
    transport: Transport,
    protocol: CompressedProtocol,
    buffer: BytesMut,
    messages: Vec<Message>,
    out: BytesMut,
}

impl Echo for Deflating {
    type Thread = ();

    fn new(transport: Transport) -> Self {
        // Level 6, windows of 32 KiB, context takeover.
        let protocol = CompressedProtocol::server(LONGEST, LONGEST, DeflateConfig::default());
        Self { transport, protocol, buffer: BytesMut::new(), messages: Vec::new(), out: BytesMut::new() }
    }

    fn echo(&mut self, (): &mut (), _: usize) {
        while self.transport.receive_to(&mut self.buffer) > 0 {
            if self.protocol.process_into(&mut self.buffer, &mut self.messages).is_err() {
                return;
            }
            for message in self.messages.drain(..) {
                self.protocol.encode_message(&message, &mut self.out).expect("it is open");
                self.transport.send(&self.out);
                self.out.clear();
            }
        }
    }
}

pub(super) struct ApplyMask;

impl Masking for ApplyMask {
    fn apply(payload: &mut [u8], key: [u8; 4]) {
        mask::apply_mask(payload, key);
    }
}

pub(super) struct Stream;

impl Validate for Stream {
    fn is_valid<'t>(mut pieces: impl Iterator<Item = &'t [u8]>) -> bool {
        let mut stream = Utf8Stream::new();
        pieces.all(|piece| stream.push(piece)) && stream.finish()
    }
}

pub(super) struct Accept(Transport);

impl Handshake for Accept {
    fn new(transport: Transport) -> Self {
        Self(transport)
    }

    fn accept(&mut self) {
        let accepted = poll_now(handshake::server_handshake(&mut self.0));
        std::hint::black_box((accepted.is_some(), Protocol::new(Role::Server, LONGEST, LONGEST)));
    }
}

pub(super) struct Opener(Responder);

impl Open for Opener {
    fn new(stream: Responder) -> Self {
        Self(stream)
    }

    fn open(&mut self) -> bool {
        let opened = poll_now(handshake::client_handshake(&mut self.0, HOST, TARGET, None));
        std::hint::black_box(Protocol::new(Role::Client, LONGEST, LONGEST));
        opened.is_some_and(|opened| opened.is_ok())
    }
}
