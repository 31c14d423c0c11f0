use bytes::Bytes;
use futures::SinkExt;
use ws_proto::role::Side;
use yawc::{CompressionLevel, Options, Role, WebSocket, frame::Frame, mask};

use crate::{
    contender::{Decode, Encode, Masking},
    deflate::Echo,
    transport::{LONGEST, Transport, poll_now},
};

pub(super) struct Connection {
    socket: WebSocket<Transport>,
    payload: Bytes,
}

impl Connection {
    fn open(transport: Transport, role: Role, payload: &'static [u8]) -> Self {
        let options = Options::default().without_compression().with_utf8().with_limits(LONGEST, 2 * LONGEST);
        let socket = WebSocket::from_stream(transport, role, options).expect("no extension");
        Self { socket, payload: Bytes::from_static(payload) }
    }
}

impl Decode for Connection {
    fn new(transport: Transport) -> Self {
        Self::open(transport, Role::Server, &[])
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        while let Some(Ok(frame)) = poll_now(self.socket.next_frame()) {
            each(frame.payload());
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
        let frame = Frame::binary(self.payload.clone());
        poll_now(self.socket.feed(frame)).expect("memory takes all").expect("it is open");
    }

    fn flush(&mut self) {
        poll_now(self.socket.flush()).expect("memory takes all").expect("it is open");
    }
}

pub(super) struct Deflating(WebSocket<Transport>);

impl Echo for Deflating {
    type Thread = ();

    fn new(transport: Transport) -> Self {
        let options = Options::default().with_compression_level(CompressionLevel::new(6)).with_utf8();
        let options = options.with_limits(LONGEST, 2 * LONGEST);
        let agreed = Some("permessage-deflate");
        let socket = WebSocket::from_stream_with_extensions(transport, Role::Server, agreed, options);
        Self(socket.expect("the extension is wanted"))
    }

    fn echo(&mut self, (): &mut (), _: usize) {
        while let Some(Ok(frame)) = poll_now(self.0.next_frame()) {
            let answer = Frame::text(frame.into_payload());
            poll_now(self.0.send(answer)).expect("memory takes all").expect("it is open");
        }
    }
}

pub(super) struct ApplyMask;

impl Masking for ApplyMask {
    fn apply(payload: &mut [u8], key: [u8; 4]) {
        mask::apply_mask(payload, key);
    }
}
