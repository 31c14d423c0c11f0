//! actix-http's codec, without actix.

use actix_codec::{Decoder, Encoder};
use actix_http::ws::{Codec, Frame, Message};
use bytes::{Bytes, BytesMut};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode},
    transport::{LONGEST, Transport},
};

pub(super) struct Connection {
    transport: Transport,
    codec: Codec,
    buffer: BytesMut,
    payload: Bytes,
}

impl Decode for Connection {
    fn new(transport: Transport) -> Self {
        let codec = Codec::new().max_size(LONGEST);
        Self { transport, codec, buffer: BytesMut::new(), payload: Bytes::new() }
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        while self.transport.receive_to(&mut self.buffer) > 0 {
            while let Ok(Some(frame)) = self.codec.decode(&mut self.buffer) {
                if let Frame::Binary(payload) | Frame::Text(payload) = frame {
                    each(&payload);
                }
            }
        }
    }
}

impl Encode for Connection {
    fn new(transport: Transport, side: Side, payload: &'static [u8]) -> Self {
        let codec = match side {
            Side::Server => Codec::new(),
            Side::Client => Codec::new().client_mode(),
        };
        Self { transport, codec, buffer: BytesMut::new(), payload: Bytes::from_static(payload) }
    }

    fn send(&mut self) {
        self.codec.encode(Message::Binary(self.payload.clone()), &mut self.buffer).expect("it is open");
    }

    fn flush(&mut self) {
        self.transport.send(&self.buffer);
        self.buffer.clear();
    }
}
