use ws_framer::{WsFrame, WsRxFramer, WsTxFramer};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode},
    transport::{LONGEST, Transport},
};

pub(super) struct Reader {
    transport: Transport,
    /// The framer's storage, in which every frame must fit.
    buffer: Vec<u8>,
}

impl Decode for Reader {
    fn new(transport: Transport) -> Self {
        let buffer = vec![0; transport.storage_len()];
        Self { transport, buffer }
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        // It borrows its storage, and a pass ends with a frame's end.
        let mut framer = WsRxFramer::new(&mut self.buffer);
        loop {
            match self.transport.receive(framer.read_buf()) {
                0 => return,
                len => framer.advance(len),
            }
            while let Some(Ok(frame)) = framer.next_frame() {
                match frame {
                    WsFrame::Text(text) => each(text.as_bytes()),
                    WsFrame::Binary(payload) => each(payload),
                    _ => {}
                }
            }
        }
    }
}

pub(super) struct Writer {
    transport: Transport,
    framer: WsTxFramer<'static>,
    payload: &'static [u8],
}

impl Encode for Writer {
    fn new(transport: Transport, side: Side, payload: &'static [u8]) -> Self {
        let framer = WsTxFramer::new(side == Side::Client, Vec::leak(vec![0; LONGEST]));
        Self { transport, framer, payload }
    }

    fn send(&mut self) {
        let frame = self.framer.binary(self.payload).expect("it fits");
        self.transport.send(frame);
    }

    fn flush(&mut self) {}
}
