use core::convert::Infallible;
use std::{
    future::pending,
    io::{Read as _, Write as _},
};

use embedded_io_async::{ErrorType, Read, Write};
use rand_core::TryRng;
use websocketz::{
    Message, WebSocket, WebSocketRead, WebSocketWrite,
    http::Header,
    next,
    options::{AcceptOptions, ConnectOptions},
};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode, HOST, Handshake, Open, TARGET},
    ours::Keys,
    responder::Responder,
    transport::{LONGEST, Transport, poll_now},
};

struct Stream(Transport);

impl ErrorType for Stream {
    type Error = Infallible;
}

impl Read for Stream {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        Ok(self.0.receive(buffer))
    }
}

impl Write for Stream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.0.send(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// It has no source of keys of its own.
impl TryRng for Keys {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.write(bytes);
        Ok(())
    }
}

/// It borrows its storage, and a pass ends with a message's end.
pub(super) struct Reader {
    transport: Transport,
    read: Vec<u8>,
    fragments: Vec<u8>,
}

impl Decode for Reader {
    fn new(transport: Transport) -> Self {
        let storage = vec![0; transport.storage_len()];
        Self { transport, read: storage.clone(), fragments: storage }
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        let stream = Stream(self.transport.clone());
        let mut socket = WebSocketRead::server(stream, &mut self.read, &mut self.fragments);
        poll_now(async {
            loop {
                match next!(socket) {
                    Some(Ok(Message::Binary(payload))) => each(payload),
                    Some(Ok(Message::Text(text))) => each(text.as_bytes()),
                    Some(Ok(_)) => {}
                    None | Some(Err(_)) => return,
                }
            }
        });
    }
}

pub(super) struct Writer {
    socket: WebSocketWrite<'static, Stream, Keys>,
    payload: &'static [u8],
}

impl Encode for Writer {
    fn new(transport: Transport, side: Side, payload: &'static [u8]) -> Self {
        let (stream, keys, buffer) = (Stream(transport), Keys::default(), Vec::leak(vec![0; LONGEST]));
        let socket = match side {
            Side::Server => WebSocketWrite::server(stream, keys, buffer),
            Side::Client => WebSocketWrite::client(stream, keys, buffer),
        };
        Self { socket, payload }
    }

    fn send(&mut self) {
        let sent = poll_now(self.socket.send(Message::Binary(self.payload)));
        sent.expect("memory takes all").expect("it is open");
    }

    fn flush(&mut self) {}
}

/// The most fields of a head, as in its documentation.
const FIELDS: usize = 16;

/// Storage that each handshake uses again.
struct Storage {
    read: Vec<u8>,
    write: Vec<u8>,
    fragments: Vec<u8>,
}

impl Storage {
    fn new() -> Self {
        Self { read: vec![0; 4096], write: vec![0; 4096], fragments: vec![0; 4096] }
    }
}

pub(super) struct Accept(Transport, Storage);

impl Handshake for Accept {
    fn new(transport: Transport) -> Self {
        Self(transport, Storage::new())
    }

    fn accept(&mut self) {
        let Storage { read, write, fragments } = &mut self.1;
        let (options, stream) = (AcceptOptions::default(), Stream(self.0.clone()));
        let accepted =
            poll_now(WebSocket::accept::<FIELDS>(options, stream, Keys::default(), read, write, fragments));
        std::hint::black_box(accepted.is_some_and(|accepted| accepted.is_ok()));
    }
}

struct Client(Responder);

impl ErrorType for Client {
    type Error = Infallible;
}

impl Read for Client {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        match self.0.read(buffer) {
            Ok(len) => Ok(len),
            Err(_) => pending().await,
        }
    }
}

impl Write for Client {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        // It takes all.
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

pub(super) struct Opener(Responder, Storage);

impl Open for Opener {
    fn new(stream: Responder) -> Self {
        Self(stream, Storage::new())
    }

    fn open(&mut self) -> bool {
        let Storage { read, write, fragments } = &mut self.1;
        let headers = [Header { name: "Host", value: HOST.as_bytes() }];
        let options = ConnectOptions::new_unchecked(TARGET).with_headers(&headers);
        let (stream, keys) = (Client(self.0.clone()), Keys::default());
        let opened = poll_now(WebSocket::connect::<FIELDS>(options, stream, keys, read, write, fragments));
        std::hint::black_box(opened).is_some_and(|opened| opened.is_ok())
    }
}
