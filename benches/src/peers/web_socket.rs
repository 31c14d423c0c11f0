use web_socket::{Event, WebSocket};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode},
    transport::{Transport, poll_now},
};

pub(super) struct Connection {
    socket: WebSocket<Transport>,
    payload: &'static [u8],
}

impl Decode for Connection {
    fn new(transport: Transport) -> Self {
        Self { socket: WebSocket::server(transport), payload: &[] }
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        while let Some(Ok(event)) = poll_now(self.socket.recv()) {
            if let Event::Data { data, .. } = event {
                each(&data);
            }
        }
    }
}

impl Encode for Connection {
    fn new(transport: Transport, side: Side, payload: &'static [u8]) -> Self {
        let socket = match side {
            Side::Server => WebSocket::server(transport),
            Side::Client => WebSocket::client(transport),
        };
        Self { socket, payload }
    }

    fn send(&mut self) {
        poll_now(self.socket.send(self.payload)).expect("memory takes all").expect("it is open");
    }

    fn flush(&mut self) {
        poll_now(self.socket.flash()).expect("memory takes all").expect("it is open");
    }
}
