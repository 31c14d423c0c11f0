use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio_websockets::{ClientBuilder, Limits, Message, ServerBuilder, WebSocketStream};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode, Handshake, Open, URL},
    responder::Responder,
    transport::{Transport, poll_now},
};

pub(super) struct Connection {
    stream: WebSocketStream<Transport>,
    payload: Bytes,
}

impl Decode for Connection {
    fn new(transport: Transport) -> Self {
        let stream = ServerBuilder::new().limits(Limits::unlimited()).serve(transport);
        Self { stream, payload: Bytes::new() }
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        while let Some(Some(Ok(message))) = poll_now(self.stream.next()) {
            if message.is_text() || message.is_binary() {
                each(message.as_payload());
            }
        }
    }
}

impl Encode for Connection {
    fn new(transport: Transport, side: Side, payload: &'static [u8]) -> Self {
        let stream = match side {
            Side::Server => ServerBuilder::new().serve(transport),
            Side::Client => ClientBuilder::new().take_over(transport),
        };
        Self { stream, payload: Bytes::from_static(payload) }
    }

    fn send(&mut self) {
        let message = Message::binary(self.payload.clone());
        poll_now(self.stream.feed(message)).expect("memory takes all").expect("it is open");
    }

    fn flush(&mut self) {
        poll_now(self.stream.flush()).expect("memory takes all").expect("it is open");
    }
}

pub(super) struct Accept {
    transport: Transport,
    builder: ServerBuilder,
}

impl Handshake for Accept {
    fn new(transport: Transport) -> Self {
        Self { transport, builder: ServerBuilder::new() }
    }

    fn accept(&mut self) {
        let accepted = poll_now(self.builder.accept(self.transport.clone()));
        std::hint::black_box(accepted.is_some());
    }
}

pub(super) struct Opener(Responder, ClientBuilder<'static>);

impl Open for Opener {
    fn new(stream: Responder) -> Self {
        Self(stream, ClientBuilder::new().uri(URL).expect("it is one"))
    }

    fn open(&mut self) -> bool {
        let opened = poll_now(self.1.connect_on(self.0.clone()));
        std::hint::black_box(opened).is_some_and(|opened| opened.is_ok())
    }
}
