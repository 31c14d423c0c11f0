//! nago-wss' frame codec; its connection belongs to a runtime of its own. Fragments are not put together.

use nago_wss::proto::{
    frame::Header,
    handshake::{build_request, build_response, check_response, head_end, new_key, parse_request},
    mask,
    opcode::OpCode,
};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode, HOST, Handshake, KEY, Masking, Open, TARGET},
    responder::{Responder, SansIo},
    transport::{LONGEST, Transport},
};

pub(super) struct Reader {
    transport: Transport,
    buffer: Vec<u8>,
    filled: usize,
}

impl Decode for Reader {
    fn new(transport: Transport) -> Self {
        let buffer = vec![0; transport.storage_len()];
        Self { transport, buffer, filled: 0 }
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        loop {
            match self.transport.receive(&mut self.buffer[self.filled..]) {
                0 => return,
                len => self.filled += len,
            }
            let mut at = 0;
            while let Ok(Ok((header, header_len))) = Header::decode(&self.buffer[at..self.filled], LONGEST as u64)
            {
                let start = at + header_len;
                let end = start + usize::try_from(header.payload_len).unwrap_or(LONGEST);
                if end > self.filled {
                    break;
                }
                let payload = &mut self.buffer[start..end];
                mask::apply(payload, header.mask.unwrap_or_default(), 0);
                // As its `Assembler` validates, which takes an owned payload.
                if header.opcode == OpCode::Text && simdutf8::basic::from_utf8(payload).is_err() {
                    return;
                }
                each(payload);
                at = end;
            }
            self.buffer.copy_within(at..self.filled, 0);
            self.filled -= at;
        }
    }
}

pub(super) struct Writer {
    transport: Transport,
    mask: Option<[u8; 4]>,
    payload: &'static [u8],
    out: Vec<u8>,
}

impl Writer {
    fn header(&self) -> ([u8; Header::MAX_ENCODED_LEN], usize) {
        let payload_len = self.payload.len() as u64;
        let header = Header { fin: true, opcode: OpCode::Binary, mask: self.mask, payload_len };
        let mut encoded = [0; Header::MAX_ENCODED_LEN];
        let len = header.encode(&mut encoded).expect("it fits");
        (encoded, len)
    }
}

impl Encode for Writer {
    fn new(transport: Transport, side: Side, payload: &'static [u8]) -> Self {
        Self { transport, mask: (side == Side::Client).then_some(KEY), payload, out: Vec::new() }
    }

    fn send(&mut self) {
        let (header, len) = self.header();
        self.out.extend_from_slice(&header[..len]);
        let start = self.out.len();
        self.out.extend_from_slice(self.payload);
        if let Some(key) = self.mask {
            mask::apply(&mut self.out[start..], key, 0);
        }
    }

    fn send_one(&mut self) {
        if self.mask.is_some() {
            self.send();
            return self.flush();
        }
        let (header, len) = self.header();
        self.transport.send_vectored([&header[..len], self.payload]);
    }

    fn flush(&mut self) {
        self.transport.send(&self.out);
        self.out.clear();
    }
}

pub(super) struct Apply;

impl Masking for Apply {
    fn apply(payload: &mut [u8], key: [u8; 4]) {
        mask::apply(payload, key, 0);
    }
}

pub(super) struct Accept {
    transport: Transport,
    buffer: Vec<u8>,
}

impl Handshake for Accept {
    fn new(transport: Transport) -> Self {
        Self { transport, buffer: vec![0; 4096] }
    }

    fn accept(&mut self) {
        let len = self.transport.receive(&mut self.buffer);
        if let Ok(parsed) = parse_request(&self.buffer[..len], 4096) {
            self.transport.send(&build_response(&parsed.request().key, None, &[]));
        }
    }
}

pub(super) struct Opener(SansIo);

impl Open for Opener {
    fn new(stream: Responder) -> Self {
        Self(SansIo::new(stream))
    }

    fn open(&mut self) -> bool {
        let key = new_key(self.0.nonce());
        let answer = self.0.ask(&build_request(TARGET, HOST, &key, &[], &[]));
        head_end(answer).is_some_and(|end| check_response(&answer[..end], &key).is_ok())
    }
}
