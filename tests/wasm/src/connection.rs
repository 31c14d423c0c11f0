//! A client from its request to its end. It does no I/O, like the endpoint in it.

use alloc::{vec, vec::Vec};
use core::mem;

use ws_proto::{
    Client, CloseCode, Config, Control, Endpoint, EntropyError, Event, Instant, MessageBuffer,
    MessageKind, Output, SendError, State,
    client::{Answer, Handshake, Request},
};

pub(crate) type Random = fn(&mut [u8]) -> Result<(), EntropyError>;

pub struct Connection {
    config: Config,
    random: Random,
    phase: Phase,
    pub(crate) output: Output,
}

enum Phase {
    Opening {
        handshake: Handshake<'static>,
        head: Vec<u8>,
        received: usize,
    },
    Open {
        endpoint: Endpoint<Client<Random>>,
        buffer: MessageBuffer<Vec<u8>>,
    },
    /// The opening handshake has failed.
    Failed,
}

/// What [`Connection::next`] has found.
#[repr(u32)]
pub enum Found {
    Nothing,
    Open,
    Text,
    Binary,
    Ping,
    Pong,
    Close,
    Failure,
}

impl Connection {
    /// A client that asks `host` for its root; `None` if that is not a host.
    pub(crate) fn new(host: &'static str, random: Random, now: Instant) -> Option<Self> {
        let config = Config::default();
        let mut nonce = [0; 16];
        random(&mut nonce).ok()?;
        let handshake = Handshake::new(Request::new(host, "/"), nonce, now, &config).ok()?;
        let mut output = Output::new();
        handshake.write_request_to(output.buffer());
        let phase = Phase::Opening { handshake, head: vec![0; 16 * 1024], received: 0 };
        Some(Self { config, random, phase, output })
    }

    /// Where the next bytes from the server go.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        match &mut self.phase {
            Phase::Opening { head, received, .. } => head.get_mut(*received..).unwrap_or_default(),
            Phase::Open { endpoint, buffer } => buffer.unfilled(endpoint),
            Phase::Failed => &mut [],
        }
    }

    /// `len` bytes have been put into [`room`](Self::room); 0 is the end of the transport.
    pub(crate) fn filled(&mut self, len: usize) {
        match &mut self.phase {
            Phase::Open { endpoint, .. } if len == 0 => endpoint.receive_eof(),
            Phase::Open { buffer, .. } => buffer.filled(len),
            phase @ Phase::Opening { .. } if len == 0 => *phase = Phase::Failed,
            Phase::Opening { received, .. } => *received += len,
            Phase::Failed => {}
        }
    }

    /// What the bytes received so far hold next; the output may have grown after that.
    pub(crate) fn next(&mut self, now: Instant) -> Found {
        let Phase::Open { endpoint, buffer } = &mut self.phase else {
            return self.open(now).unwrap_or_else(|| {
                self.phase = Phase::Failed;
                Found::Failure
            });
        };
        let found = match buffer.next(endpoint, now) {
            Ok(None) => Found::Nothing,
            Ok(Some(Event::Data(message))) => match message.kind() {
                MessageKind::Text => Found::Text,
                MessageKind::Binary => Found::Binary,
            },
            Ok(Some(Event::Control(Control::Ping))) => Found::Ping,
            Ok(Some(Event::Control(Control::Pong))) => Found::Pong,
            Ok(Some(_)) => Found::Close,
            Err(_) => Found::Failure,
        };
        self.output.drain(endpoint);
        found
    }

    /// `None` if that has failed.
    fn open(&mut self, now: Instant) -> Option<Found> {
        let Phase::Opening { handshake, head, received } = &mut self.phase else { return None };
        let Some(len) = handshake.poll_head(now, &head[..*received]).ok()? else { return Some(Found::Nothing) };
        let Answer::Open(response) = handshake.answer(&head[..len]).ok()? else { return None };
        let endpoint = response.open(Client::new(self.random), &self.config, now);
        let buffer = MessageBuffer::with_received(mem::take(head), len..*received);
        self.phase = Phase::Open { endpoint, buffer };
        Some(Found::Open)
    }

    /// The payload of what [`next`](Self::next) has found last.
    pub(crate) fn payload(&self) -> &[u8] {
        match &self.phase {
            Phase::Open { endpoint, buffer } => match buffer.message() {
                Some(message) => message.as_bytes(),
                None => endpoint.control_payload(),
            },
            Phase::Opening { .. } | Phase::Failed => &[],
        }
    }

    /// Whether that could be sent.
    pub(crate) fn send(
        &mut self,
        write: impl FnOnce(&mut Endpoint<Client<Random>>, &mut Output) -> Result<(), SendError>,
    ) -> bool {
        match &mut self.phase {
            Phase::Open { endpoint, .. } => write(endpoint, &mut self.output).is_ok(),
            Phase::Opening { .. } | Phase::Failed => false,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Opening { handshake, .. } => handshake.poll_timeout(),
            Phase::Open { endpoint, .. } => endpoint.poll_timeout(),
            Phase::Failed => None,
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            // Then the next look at the head fails.
            Phase::Opening { .. } | Phase::Failed => {}
            Phase::Open { endpoint, .. } => endpoint.handle_timeout(now),
        }
    }

    /// The code that the connection was closed with, if that was done cleanly; `None` as long as it is not closed.
    pub(crate) fn closed(&self) -> Option<CloseCode> {
        match &self.phase {
            Phase::Opening { .. } => None,
            Phase::Open { endpoint, .. } => match endpoint.state() {
                State::Closed(closed) if closed.clean => Some(closed.code),
                State::Closed(_) => Some(CloseCode::ABNORMAL),
                State::Open | State::Closing => None,
            },
            Phase::Failed => Some(CloseCode::ABNORMAL),
        }
    }
}
