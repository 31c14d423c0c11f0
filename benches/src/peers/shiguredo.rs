use shiguredo_websocket::{
    ClientConnectionOptions, ConnectionEvent, ConnectionOutput, RandomSource, ServerConnectionOptions, Timestamp,
    WebSocketClientConnection, WebSocketServerConnection,
};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode, HOST, Handshake, KEY, Open, REQUEST, TARGET},
    responder::{Responder, SansIo},
    transport::{LONGEST, Transport},
};

pub(super) struct Connection {
    transport: Transport,
    socket: WebSocketServerConnection,
    buffer: Vec<u8>,
    payload: &'static [u8],
}

impl Connection {
    fn open(transport: Transport, buffer: Vec<u8>, payload: &'static [u8]) -> Self {
        let options = ServerConnectionOptions::new().max_frame_size(LONGEST).max_message_size(LONGEST);
        let mut socket = WebSocketServerConnection::new(options);
        socket.feed_recv_buf(REQUEST).expect("a browser's request");
        socket.accept_handshake_auto().expect("a browser's request");
        while socket.poll_event().is_some() || socket.poll_output().is_some() {}
        Self { transport, socket, buffer, payload }
    }
}

impl Decode for Connection {
    fn new(transport: Transport) -> Self {
        let buffer = vec![0; transport.room()];
        Self::open(transport, buffer, &[])
    }

    fn renew(self, transport: Transport) -> Self {
        let Self { buffer, .. } = self;
        Self::open(transport, buffer, &[])
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        loop {
            let len = self.transport.receive(&mut self.buffer);
            if len == 0 || self.socket.feed_recv_buf(&self.buffer[..len]).is_err() {
                return;
            }
            while let Some(event) = self.socket.poll_event() {
                match event {
                    ConnectionEvent::TextMessage(text) => each(text.as_bytes()),
                    ConnectionEvent::BinaryMessage(payload) => each(&payload),
                    _ => {}
                }
            }
        }
    }
}

impl Encode for Connection {
    fn new(transport: Transport, _: Side, payload: &'static [u8]) -> Self {
        Self::open(transport, Vec::new(), payload)
    }

    fn send(&mut self) {
        self.socket.send_binary(self.payload).expect("it is open");
    }

    fn flush(&mut self) {
        while let Some(output) = self.socket.poll_output() {
            if let ConnectionOutput::SendData(bytes) = output {
                self.transport.send(&bytes);
            }
        }
    }
}

pub(super) struct Accept {
    transport: Transport,
    buffer: Vec<u8>,
}

impl Handshake for Accept {
    fn new(transport: Transport) -> Self {
        Self { transport, buffer: vec![0; 4096] }
    }

    fn accept(&mut self) {
        let len = self.transport.receive(&mut self.buffer);
        let mut socket = WebSocketServerConnection::new(ServerConnectionOptions::new());
        if socket.feed_recv_buf(&self.buffer[..len]).is_err() || socket.accept_handshake_auto().is_err() {
            return;
        }
        while let Some(output) = socket.poll_output() {
            if let ConnectionOutput::SendData(bytes) = output {
                self.transport.send(&bytes);
            }
        }
    }
}

/// The nonce of one handshake.
struct Nonce([u8; 16]);

impl RandomSource for Nonce {
    fn masking_key(&mut self) -> [u8; 4] {
        KEY
    }

    fn nonce(&mut self) -> [u8; 16] {
        self.0
    }
}

pub(super) struct Opener(SansIo);

impl Open for Opener {
    fn new(stream: Responder) -> Self {
        Self(SansIo::new(stream))
    }

    fn open(&mut self) -> bool {
        let options = ClientConnectionOptions::new(HOST, TARGET);
        let mut client = WebSocketClientConnection::new(options, Nonce(self.0.nonce()));
        if client.connect().is_err() {
            return false;
        }
        let request = std::iter::from_fn(|| client.poll_output()).find_map(|output| match output {
            ConnectionOutput::SendData(bytes) => Some(bytes),
            _ => None,
        });
        let fed = client.feed_recv_buf(self.0.ask(&request.unwrap_or_default()), Timestamp::from_millis(0));
        let mut events = std::iter::from_fn(|| client.poll_event());
        fed.is_ok() && events.any(|event| matches!(event, ConnectionEvent::Connected { .. }))
    }
}
