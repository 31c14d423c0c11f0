use std::{
    future::pending,
    io::{Read, Write},
};

use ws_proto::role::Side;
use wtx::{
    collection::Vector,
    misc::{Lease, LeaseMut, UriRef},
    rng::{Xorshift64, simple_seed},
    stream::{StreamReader, StreamWriter},
    web_socket::{
        Frame, OpCode, WebSocket, WebSocketAcceptor, WebSocketBuffer, WebSocketConnector,
        WebSocketPayloadOrigin::Adaptive,
    },
};

use crate::{
    contender::{Decode, Encode, Handshake, Open, URL},
    responder::Responder,
    transport::{Transport, poll_now},
};

struct Stream(Transport);

impl StreamReader for Stream {
    async fn read(&mut self, bytes: &mut [u8]) -> wtx::Result<usize> {
        match self.0.receive(bytes) {
            0 => pending().await,
            len => Ok(len),
        }
    }
}

impl StreamWriter for Stream {
    async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
        self.0.send(bytes);
        Ok(())
    }

    async fn write_all_vectored(&mut self, slices: &[&[u8]]) -> wtx::Result<()> {
        match *slices {
            [header, payload] => self.0.send_vectored([header, payload]),
            _ => slices.iter().for_each(|slice| self.0.send(slice)),
        }
        Ok(())
    }
}

type Socket<const IS_CLIENT: bool> = WebSocket<(), Xorshift64, Stream, WebSocketBuffer, IS_CLIENT>;

fn open<const IS_CLIENT: bool>(transport: Transport) -> Socket<IS_CLIENT> {
    WebSocket::new((), false, Xorshift64::from(simple_seed()), Stream(transport), WebSocketBuffer::new())
}

pub(super) struct Reader {
    socket: Socket<false>,
    buffer: Vector<u8>,
}

impl Decode for Reader {
    fn new(transport: Transport) -> Self {
        Self { socket: open(transport), buffer: Vector::new() }
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        loop {
            self.buffer.clear();
            let Some(Ok(frame)) = poll_now(self.socket.read_frame(&mut self.buffer, Adaptive)) else {
                return;
            };
            each(frame.payload());
        }
    }
}

pub(super) struct Writer<const IS_CLIENT: bool> {
    socket: Socket<IS_CLIENT>,
    payload: &'static [u8],
    /// wtx masks in place, so that a client's payload is a new copy each time.
    copy: Vec<u8>,
}

/// A server's payload, which is in the memory that all contenders have for it. wtx wants a right to change payload, of which
/// only clients make use.
struct Unmasked(&'static [u8]);

impl Lease<[u8]> for Unmasked {
    fn lease(&self) -> &[u8] {
        self.0
    }
}

impl LeaseMut<[u8]> for Unmasked {
    fn lease_mut(&mut self) -> &mut [u8] {
        unreachable!("a server masks nothing")
    }
}

impl<const IS_CLIENT: bool> Writer<IS_CLIENT> {
    fn write<P: LeaseMut<[u8]>>(socket: &mut Socket<IS_CLIENT>, payload: P) {
        let mut frame = Frame::new_fin(OpCode::Binary, payload);
        poll_now(socket.write_frame(&mut frame)).expect("memory takes all").expect("it is open");
    }
}

impl<const IS_CLIENT: bool> Encode for Writer<IS_CLIENT> {
    fn new(transport: Transport, _: Side, payload: &'static [u8]) -> Self {
        let copy = if IS_CLIENT { payload.to_vec() } else { Vec::new() };
        Self { socket: open(transport), payload, copy }
    }

    fn send(&mut self) {
        if IS_CLIENT {
            self.copy.copy_from_slice(self.payload);
            Self::write(&mut self.socket, &mut self.copy[..]);
        } else {
            Self::write(&mut self.socket, Unmasked(self.payload));
        }
    }

    fn flush(&mut self) {}
}

pub(super) struct Accept(Transport);

impl Handshake for Accept {
    fn new(transport: Transport) -> Self {
        Self(transport)
    }

    fn accept(&mut self) {
        let accepted = poll_now(WebSocketAcceptor::default().accept(Stream(self.0.clone())));
        std::hint::black_box(accepted.is_some_and(|accepted| accepted.is_ok()));
    }
}

struct Client(Responder);

impl StreamReader for Client {
    async fn read(&mut self, bytes: &mut [u8]) -> wtx::Result<usize> {
        match self.0.read(bytes) {
            Ok(len) => Ok(len),
            Err(_) => pending().await,
        }
    }
}

impl StreamWriter for Client {
    async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
        // It takes all.
        let _ = self.0.write_all(bytes);
        Ok(())
    }

    async fn write_all_vectored(&mut self, slices: &[&[u8]]) -> wtx::Result<()> {
        for slice in slices {
            self.write_all(slice).await?;
        }
        Ok(())
    }
}

pub(super) struct Opener(Responder);

impl Open for Opener {
    fn new(stream: Responder) -> Self {
        Self(stream)
    }

    fn open(&mut self) -> bool {
        let connector = WebSocketConnector::default().no_masking(false);
        let opened = poll_now(connector.connect(Client(self.0.clone()), &UriRef::new(URL)));
        std::hint::black_box(opened).is_some_and(|opened| opened.is_ok())
    }
}
