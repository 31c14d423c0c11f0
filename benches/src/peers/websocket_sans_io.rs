use websocket_sans_io::{FrameInfo, Opcode, WebsocketFrameDecoder, WebsocketFrameEncoder, WebsocketFrameEvent};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode, KEY},
    transport::Transport,
};

pub(super) struct Reader {
    transport: Transport,
    decoder: WebsocketFrameDecoder,
    buffer: Vec<u8>,
    /// What has come of a message that a read has cut.
    message: Vec<u8>,
}

impl Reader {
    fn open(transport: Transport, buffer: Vec<u8>) -> Self {
        Self { transport, decoder: WebsocketFrameDecoder::new(), buffer, message: Vec::new() }
    }
}

impl Decode for Reader {
    fn new(transport: Transport) -> Self {
        let buffer = vec![0; transport.room()];
        Self::open(transport, buffer)
    }

    fn renew(self, transport: Transport) -> Self {
        let Self { buffer, .. } = self;
        Self::open(transport, buffer)
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        loop {
            let len = self.transport.receive(&mut self.buffer);
            if len == 0 {
                return;
            }
            let mut at = 0;
            let mut chunk = 0..0;
            loop {
                let Ok(result) = self.decoder.add_data(&mut self.buffer[at..len]);
                match result.event {
                    Some(WebsocketFrameEvent::PayloadChunk { .. }) => {
                        if !chunk.is_empty() || !self.message.is_empty() {
                            self.message.extend_from_slice(&self.buffer[chunk]);
                        }
                        chunk = at..at + result.consumed_bytes;
                    }
                    Some(WebsocketFrameEvent::End { frame_info: FrameInfo { fin: true, .. }, .. }) => {
                        if self.message.is_empty() {
                            each(&self.buffer[chunk]);
                        } else {
                            self.message.extend_from_slice(&self.buffer[chunk]);
                            each(&self.message);
                            self.message.clear();
                        }
                        chunk = 0..0;
                    }
                    None if result.consumed_bytes == 0 => break,
                    _ => {}
                }
                at += result.consumed_bytes;
            }
            self.message.extend_from_slice(&self.buffer[chunk]);
        }
    }
}

pub(super) struct Writer {
    transport: Transport,
    encoder: WebsocketFrameEncoder,
    mask: Option<[u8; 4]>,
    payload: &'static [u8],
    out: Vec<u8>,
}

impl Encode for Writer {
    fn new(transport: Transport, side: Side, payload: &'static [u8]) -> Self {
        let mask = (side == Side::Client).then_some(KEY);
        Self { transport, encoder: WebsocketFrameEncoder::new(), mask, payload, out: Vec::new() }
    }

    fn send(&mut self) {
        let header = FrameInfo {
            opcode: Opcode::Binary,
            payload_length: self.payload.len() as u64,
            mask: self.mask,
            fin: true,
            reserved: 0,
        };
        self.out.extend_from_slice(&self.encoder.start_frame(&header));
        let start = self.out.len();
        self.out.extend_from_slice(self.payload);
        self.encoder.transform_frame_payload(&mut self.out[start..]);
    }

    fn flush(&mut self) {
        self.transport.send(&self.out);
        self.out.clear();
    }
}
