use embedded_websocket::{WebSocketSendMessageType, WebSocketServer, WebSocketState};
use ws_proto::{frame::FrameHeader, role::Side};

use crate::{
    contender::{Decode, Encode},
    transport::{LONGEST, Transport},
};

pub(super) struct Connection {
    transport: Transport,
    socket: WebSocketServer,
    payload: &'static [u8],
    buffer: Vec<u8>,
    filled: usize,
    message: Vec<u8>,
    message_len: usize,
}

impl Connection {
    fn open(transport: Transport, payload: &'static [u8], message: Vec<u8>) -> Self {
        let mut socket = WebSocketServer::new_server();
        socket.state = WebSocketState::Open;
        // A header that a read has cut stays in front of the next read.
        let buffer = vec![0; transport.room() + FrameHeader::MAX_LEN];
        Self { transport, socket, payload, buffer, filled: 0, message, message_len: 0 }
    }
}

impl Decode for Connection {
    fn new(transport: Transport) -> Self {
        let message = vec![0; transport.storage_len()];
        Self::open(transport, &[], message)
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        loop {
            let len = self.transport.receive(&mut self.buffer[self.filled..]);
            if len == 0 {
                return;
            }
            self.filled += len;
            let mut at = 0;
            while at < self.filled {
                let room = &mut self.message[self.message_len..];
                let Ok(read) = self.socket.read(&self.buffer[at..self.filled], room) else {
                    break; // a header that a read has cut
                };
                if read.len_from == 0 {
                    return; // it would go on like this for ever
                }
                at += read.len_from;
                self.message_len += read.len_to;
                if read.end_of_message {
                    each(&self.message[..self.message_len]);
                    self.message_len = 0;
                }
            }
            self.buffer.copy_within(at..self.filled, 0);
            self.filled -= at;
        }
    }
}

impl Encode for Connection {
    fn new(transport: Transport, _: Side, payload: &'static [u8]) -> Self {
        Self::open(transport, payload, vec![0; LONGEST])
    }

    fn send(&mut self) {
        let room = &mut self.message[self.message_len..];
        let sent = self.socket.write(WebSocketSendMessageType::Binary, true, self.payload, room);
        self.message_len += sent.expect("it fits");
    }

    fn flush(&mut self) {
        self.transport.send(&self.message[..self.message_len]);
        self.message_len = 0;
    }
}
