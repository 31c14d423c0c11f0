use std::io::{Read, Write};

use shiguredo_websocket::{
    ClientConnectionOptions, ConnectionEvent, ConnectionOutput, RandomSource, ServerConnectionOptions, Timestamp,
    WebSocketClientConnection, WebSocketServerConnection,
};
use ws_proto::Side;

use super::LONGEST;
use crate::{
    contender::{Decode, Encode, HOST, Handshake, KEY, Open, REQUEST, TARGET},
    responder::Responder,
    transport::Transport,
};

/// Each frame moves what has been read behind it, so that short reads are better.
const READ_LEN: usize = 4 << 10;

pub(super) struct Connection {
    transport: Transport,
    socket: WebSocketServerConnection,
    buffer: Vec<u8>,
    payload: &'static [u8],
}

impl Connection {
    fn open(transport: Transport, payload: &'static [u8]) -> Self {
        let options = ServerConnectionOptions::new().max_frame_size(LONGEST).max_message_size(LONGEST);
        let mut socket = WebSocketServerConnection::new(options);
        socket.feed_recv_buf(REQUEST).expect("a browser's request");
        socket.accept_handshake_auto().expect("a browser's request");
        while socket.poll_event().is_some() || socket.poll_output().is_some() {}
        Self { transport, socket, buffer: vec![0; READ_LEN], payload }
    }
}

impl Decode for Connection {
    fn new(transport: Transport) -> Self {
        Self::open(transport, &[])
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
        Self::open(transport, payload)
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

/// Numbers that cost next to nothing, so that not the random source is measured.
struct Counter(u128);

impl RandomSource for Counter {
    fn masking_key(&mut self) -> [u8; 4] {
        KEY
    }

    fn nonce(&mut self) -> [u8; 16] {
        self.0 += 1;
        self.0.to_le_bytes()
    }
}

pub(super) struct Opener {
    stream: Responder,
    buffer: Vec<u8>,
    nonce: u128,
}

impl Open for Opener {
    fn new(stream: Responder) -> Self {
        Self { stream, buffer: vec![0; 4096], nonce: 0 }
    }

    fn open(&mut self) -> bool {
        self.nonce += 1;
        let options = ClientConnectionOptions::new(HOST, TARGET);
        let mut client = WebSocketClientConnection::new(options, Counter(self.nonce));
        if client.connect().is_err() {
            return false;
        }
        while let Some(output) = client.poll_output() {
            if let ConnectionOutput::SendData(bytes) = output {
                let _ = self.stream.write_all(&bytes);
            }
        }
        let len = self.stream.read(&mut self.buffer).unwrap_or(0);
        let fed = client.feed_recv_buf(&self.buffer[..len], Timestamp::from_millis(0));
        let mut events = std::iter::from_fn(|| client.poll_event());
        fed.is_ok() && events.any(|event| matches!(event, ConnectionEvent::Connected { .. }))
    }
}
