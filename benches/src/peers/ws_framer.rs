use ws_framer::{WsFrame, WsRxFramer, WsTxFramer};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode},
    transport::Transport,
};

/// Each frame moves what has been read behind it, so that short reads are better.
const READ_LEN: usize = 4 << 10;

/// A frame must fit, and each frame moves what lies behind it, so that no more room than needed is good.
const LONGEST_FRAME: usize = (1 << 20) + 14;

pub(super) struct Reader {
    transport: Transport,
    framer: WsRxFramer<'static>,
}

impl Decode for Reader {
    fn new(transport: Transport) -> Self {
        Self { transport, framer: WsRxFramer::new(Vec::leak(vec![0; LONGEST_FRAME])) }
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        loop {
            let room = self.framer.read_buf();
            let len = room.len().min(READ_LEN);
            match self.transport.receive(&mut room[..len]) {
                0 => return,
                len => self.framer.advance(len),
            }
            while let Some(Ok(frame)) = self.framer.next_frame() {
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
        let framer = WsTxFramer::new(side == Side::Client, Vec::leak(vec![0; LONGEST_FRAME]));
        Self { transport, framer, payload }
    }

    fn send(&mut self) {
        let frame = self.framer.binary(self.payload).expect("it fits");
        self.transport.send(frame);
    }

    fn flush(&mut self) {}
}
