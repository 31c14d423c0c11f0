use bytes::BytesMut;
use ratchet_rs::{Message, NoExt, PayloadType, Role, WebSocket, WebSocketConfig};
use ws_proto::Side;

use super::LONGEST;
use crate::{
    contender::{Decode, Encode, Handshake},
    transport::{Transport, poll_now},
};

const CONFIG: WebSocketConfig = WebSocketConfig { max_message_size: LONGEST };

pub(super) struct Connection {
    transport: Transport,
    socket: WebSocket<Transport, NoExt>,
    message: BytesMut,
    payload: &'static [u8],
}

impl Connection {
    fn open(transport: Transport, role: Role, payload: &'static [u8]) -> Self {
        let socket = WebSocket::from_upgraded(CONFIG, transport.clone(), None, BytesMut::new(), role);
        Self { transport, socket, message: BytesMut::new(), payload }
    }
}

impl Decode for Connection {
    fn new(transport: Transport) -> Self {
        Self::open(transport, Role::Server, &[])
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        // A read that is given up leaves zeros behind in ratchet's buffer.
        while !self.transport.is_drained() {
            self.message.clear();
            let Some(Ok(Message::Text | Message::Binary)) = poll_now(self.socket.read(&mut self.message)) else {
                return;
            };
            each(&self.message);
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
        let sent = poll_now(self.socket.write(self.payload, PayloadType::Binary));
        sent.expect("memory takes all").expect("it is open");
    }

    fn flush(&mut self) {
        poll_now(self.socket.flush()).expect("memory takes all").expect("it is open");
    }
}

pub(super) struct Accept(Transport);

impl Handshake for Accept {
    fn new(transport: Transport) -> Self {
        Self(transport)
    }

    fn accept(&mut self) {
        let accepted = poll_now(async {
            let upgrader = ratchet_rs::accept(self.0.clone(), CONFIG).await?;
            upgrader.upgrade().await
        });
        std::hint::black_box(accepted.is_some_and(|accepted| accepted.is_ok()));
    }
}
