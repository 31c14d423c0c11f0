use futures::io::AllowStdIo;
use soketto::{
    Mode, Receiver, Sender,
    base::{Codec, Header, OpCode},
    connection::Builder,
    handshake::{Client, Server, ServerResponse, server::Response},
};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode, HOST, Handshake, Masking, Open, TARGET},
    responder::Responder,
    transport::{Transport, poll_now},
};

pub(super) struct Connection {
    transport: Transport,
    sender: Sender<Transport>,
    receiver: Receiver<Transport>,
    message: Vec<u8>,
    payload: &'static [u8],
}

impl Connection {
    fn open(transport: Transport, mode: Mode, payload: &'static [u8]) -> Self {
        let (sender, receiver) = Builder::new(transport.clone(), mode).finish();
        Self { transport, sender, receiver, message: Vec::new(), payload }
    }
}

impl Decode for Connection {
    fn new(transport: Transport) -> Self {
        Self::open(transport, Mode::Server, &[])
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        // A read that is given up leaves zeros behind in soketto's buffer.
        while !self.transport.is_drained() {
            self.message.clear();
            let Some(Ok(_)) = poll_now(self.receiver.receive_data(&mut self.message)) else {
                return;
            };
            each(&self.message);
        }
    }
}

impl Encode for Connection {
    fn new(transport: Transport, side: Side, payload: &'static [u8]) -> Self {
        let mode = match side {
            Side::Server => Mode::Server,
            Side::Client => Mode::Client,
        };
        Self::open(transport, mode, payload)
    }

    fn send(&mut self) {
        poll_now(self.sender.send_binary(self.payload)).expect("memory takes all").expect("it is open");
    }

    fn flush(&mut self) {
        poll_now(self.sender.flush()).expect("memory takes all").expect("it is open");
    }
}

pub(super) struct ApplyMask;

impl Masking for ApplyMask {
    fn apply(payload: &mut [u8], key: [u8; 4]) {
        let mut header = Header::new(OpCode::Binary);
        header.set_masked(true).set_mask(u32::from_be_bytes(key));
        Codec::apply_mask(&header, payload);
    }
}

pub(super) struct Accept(Transport);

impl Handshake for Accept {
    fn new(transport: Transport) -> Self {
        Self(transport)
    }

    fn accept(&mut self) {
        let mut server = Server::new(self.0.clone());
        let Some(Ok(request)) = poll_now(server.receive_request()) else {
            return;
        };
        let response = Response::Accept { key: request.key(), protocol: None };
        poll_now(server.send_response(&response));
        std::hint::black_box(server.into_builder().finish());
    }
}

pub(super) struct Opener(Responder);

impl Open for Opener {
    fn new(stream: Responder) -> Self {
        Self(stream)
    }

    fn open(&mut self) -> bool {
        let mut client = Client::new(AllowStdIo::new(self.0.clone()), HOST, TARGET);
        let accepted = matches!(poll_now(client.handshake()), Some(Ok(ServerResponse::Accepted { .. })));
        std::hint::black_box(client.into_builder().finish());
        accepted
    }
}
