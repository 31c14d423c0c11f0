//! Calls of ws-std's `WebSocket`, over the transport in memory.

use ws_proto::{
    Config, Message, MessageKind, Server,
    driver::{Client, OsEntropy},
    endpoint::{Negotiated, Prepared},
    role::{Role, Side},
};
use ws_std::WebSocket;

use crate::{contender::Encode, transport::Transport};

/// A role that a connection begins with.
pub trait Begin: Role {
    /// Returns the role.
    fn begin() -> Self;
}

impl Begin for Server {
    fn begin() -> Self {
        Self
    }
}

impl Begin for Client {
    fn begin() -> Self {
        Self::new(OsEntropy)
    }
}

fn open<R: Begin>(transport: Transport) -> WebSocket<R, Transport> {
    WebSocket::from_handshake(R::begin(), transport, Vec::new(), Negotiated::default(), &Config::default())
}

/// A connection that sends by `send`, and queues batches by `queue` and `flush`.
pub struct Call<R: Role> {
    socket: WebSocket<R, Transport>,
    payload: &'static [u8],
}

impl<R: Begin> Encode for Call<R> {
    fn new(transport: Transport, _: Side, payload: &'static [u8]) -> Self {
        Self { socket: open(transport), payload }
    }

    fn send(&mut self) {
        self.socket.queue(Message::Binary(self.payload)).expect("memory takes all");
    }

    fn send_one(&mut self) {
        self.socket.send(Message::Binary(self.payload)).expect("memory takes all");
    }

    fn flush(&mut self) {
        self.socket.flush().expect("memory takes all");
    }
}

/// A server's connection that sends a message encoded before, by `send_prepared`.
pub struct CallPrepared {
    socket: WebSocket<Server, Transport>,
    prepared: Prepared<&'static [u8]>,
}

impl Encode for CallPrepared {
    fn new(transport: Transport, _: Side, payload: &'static [u8]) -> Self {
        let prepared = Prepared::new(MessageKind::Binary, payload).expect("binary is not validated");
        Self { socket: open(transport), prepared }
    }

    fn send(&mut self) {
        self.socket.queue_prepared(&self.prepared).expect("memory takes all");
    }

    fn send_one(&mut self) {
        self.socket.send_prepared(&self.prepared).expect("memory takes all");
    }

    fn flush(&mut self) {
        self.socket.flush().expect("memory takes all");
    }
}
