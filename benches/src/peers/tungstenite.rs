use bytes::Bytes;
use tungstenite::{Message, WebSocket, protocol::Role};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode, Handshake, Open, URL},
    responder::Responder,
    transport::Transport,
};

pub(super) struct Connection {
    socket: WebSocket<Transport>,
    payload: Bytes,
}

impl Decode for Connection {
    fn new(transport: Transport) -> Self {
        let socket = WebSocket::from_raw_socket(transport, Role::Server, None);
        Self { socket, payload: Bytes::new() }
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        while let Ok(message) = self.socket.read() {
            match message {
                Message::Binary(payload) => each(&payload),
                Message::Text(text) => each(text.as_bytes()),
                _ => {}
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
        let socket = WebSocket::from_raw_socket(transport, role, None);
        Self { socket, payload: Bytes::from_static(payload) }
    }

    fn send(&mut self) {
        self.socket.write(Message::Binary(self.payload.clone())).expect("memory takes all");
    }

    fn flush(&mut self) {
        self.socket.flush().expect("memory takes all");
    }
}

pub(super) struct Accept(Transport);

impl Handshake for Accept {
    fn new(transport: Transport) -> Self {
        Self(transport)
    }

    fn accept(&mut self) {
        std::hint::black_box(tungstenite::accept(self.0.clone()).is_ok());
    }
}

pub(super) struct Opener(Responder);

impl Open for Opener {
    fn new(stream: Responder) -> Self {
        Self(stream)
    }

    fn open(&mut self) -> bool {
        std::hint::black_box(tungstenite::client(URL, self.0.clone())).is_ok()
    }
}
