use bytes::BytesMut;
use ratchet_rs::{Message, NoExt, PayloadType, Role, WebSocket, WebSocketConfig};
use ws_proto::role::Side;

use crate::{
    contender::{Decode, Encode, Handshake, Open, URL},
    responder::Responder,
    transport::{LONGEST, Transport, poll_now},
};

const CONFIG: WebSocketConfig = WebSocketConfig { max_message_size: LONGEST };

pub(super) struct Connection {
    transport: Transport,
    socket: WebSocket<Transport, NoExt>,
    message: BytesMut,
    payload: &'static [u8],
}

impl Connection {
    fn open(transport: Transport, role: Role, payload: &'static [u8]) -> Self {
        let socket = WebSocket::from_upgraded(CONFIG, transport.clone(), None, BytesMut::new(), role);
        Self { transport, socket, message: BytesMut::new(), payload }
    }
}

impl Decode for Connection {
    fn new(transport: Transport) -> Self {
        Self::open(transport, Role::Server, &[])
    }

    fn decode(&mut self, each: &mut impl FnMut(&[u8])) {
        // A read that is given up leaves zeros behind in ratchet's buffer.
        while !self.transport.is_drained() {
            self.message.clear();
            let Some(Ok(Message::Text | Message::Binary)) = poll_now(self.socket.read(&mut self.message)) else {
                return;
            };
            each(&self.message);
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
        let sent = poll_now(self.socket.write(self.payload, PayloadType::Binary));
        sent.expect("memory takes all").expect("it is open");
    }

    fn flush(&mut self) {
        poll_now(self.socket.flush()).expect("memory takes all").expect("it is open");
    }
}

#[cfg(feature = "ratchet-deflate")]
pub(super) struct Deflating {
    socket: WebSocket<Transport, ratchet_rs::deflate::Deflate>,
    message: BytesMut,
}

#[cfg(feature = "ratchet-deflate")]
impl crate::deflate::Echo for Deflating {
    type Thread = ();

    fn new(transport: Transport) -> Self {
        use ratchet_rs::{
            ExtensionProvider, HeaderMap, HeaderValue,
            deflate::{Compression, DeflateConfig, DeflateExtProvider},
        };
        let provider = DeflateExtProvider::with_config(DeflateConfig {
            request_server_no_context_takeover: false,
            request_client_no_context_takeover: false,
            // Otherwise it does without even if nobody asks.
            accept_no_context_takeover: false,
            compression_level: Compression::new(6),
            ..DeflateConfig::default()
        });
        let mut headers = HeaderMap::new();
        headers.insert("sec-websocket-extensions", HeaderValue::from_static("permessage-deflate"));
        let (extension, _) = provider.negotiate_server(&headers).expect("a good offer").expect("an offer");
        let socket = WebSocket::from_upgraded(CONFIG, transport, Some(extension), BytesMut::new(), Role::Server);
        Self { socket, message: BytesMut::new() }
    }

    fn echo(&mut self, (): &mut (), count: usize) {
        // It counts, since a read that is given up leaves zeros behind in ratchet's buffer.
        for _ in 0..count {
            self.message.clear();
            let Some(Ok(Message::Text)) = poll_now(self.socket.read(&mut self.message)) else {
                return;
            };
            let sent = poll_now(self.socket.write(&self.message, PayloadType::Text));
            sent.expect("memory takes all").expect("it is open");
            poll_now(self.socket.flush()).expect("memory takes all").expect("it is open");
        }
    }
}

pub(super) struct Accept(Transport);

impl Handshake for Accept {
    fn new(transport: Transport) -> Self {
        Self(transport)
    }

    fn accept(&mut self) {
        let accepted = poll_now(async {
            let upgrader = ratchet_rs::accept(self.0.clone(), CONFIG).await?;
            upgrader.upgrade().await
        });
        std::hint::black_box(accepted.is_some_and(|accepted| accepted.is_ok()));
    }
}

pub(super) struct Opener(Responder);

impl Open for Opener {
    fn new(stream: Responder) -> Self {
        Self(stream)
    }

    fn open(&mut self) -> bool {
        let opened = poll_now(ratchet_rs::subscribe(CONFIG, self.0.clone(), URL));
        std::hint::black_box(opened).is_some_and(|opened| opened.is_ok())
    }
}
