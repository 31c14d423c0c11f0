use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, Role, WebSocket};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode, Masking},
    transport::{Transport, poll_now},
};

pub(super) struct Reader(FragmentCollector<Transport>);

impl Decode for Reader {
    fn new(transport: Transport) -> Self {
        Self(FragmentCollector::new(WebSocket::after_handshake(transport, Role::Server)))
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        while let Some(Ok(frame)) = poll_now(self.0.read_frame()) {
            if matches!(frame.opcode, OpCode::Text | OpCode::Binary) {
                each(&frame.payload);
            }
        }
    }
}

pub(super) struct Writer {
    socket: WebSocket<Transport>,
    payload: &'static [u8],
}

impl Encode for Writer {
    fn new(transport: Transport, side: Side, payload: &'static [u8]) -> Self {
        let role = match side {
            Side::Server => Role::Server,
            Side::Client => Role::Client,
        };
        Self { socket: WebSocket::after_handshake(transport, role), payload }
    }

    fn send(&mut self) {
        let frame = Frame::binary(Payload::Borrowed(self.payload));
        poll_now(self.socket.write_frame(frame)).expect("memory takes all").expect("it is open");
    }

    fn flush(&mut self) {
        poll_now(self.socket.flush()).expect("memory takes all").expect("it is open");
    }
}

pub(super) struct Unmask;

impl Masking for Unmask {
    fn apply(payload: &mut [u8], key: [u8; 4]) {
        fastwebsockets::unmask(payload, key);
    }
}
