//! A WebSocket client for JavaScript that moves the bytes itself: ws-proto behind C functions.
//!
//! JavaScript holds the objects by address and hands them back; `endpoint.mjs` is its side. Times are
//! `performance.now()`: milliseconds as `f64`. A function that returns `bool` tells whether it was possible.
#![no_std]

extern crate alloc;

use alloc::{boxed::Box, vec, vec::Vec};
use core::{mem, str};

use ws_proto::{
    Client, CloseCode, Config, ControlFrame, Endpoint, EntropyError, Incoming, Instant, MessageBuffer,
    MessageKind, Part, SendError, State, Transmit,
    client::{Answer, Handshake, Request},
};

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// `crypto.getRandomValues`.
    fn fill_random(at: *mut u8, len: usize);
}

/// A slice: its address, and its length from bit 32 on.
type View = u64;

fn view(slice: &[u8]) -> View {
    (slice.len() as u64) << 32 | slice.as_ptr().addr() as u64
}

/// Bytes that JavaScript hands over.
pub struct Bytes(Vec<u8>);

pub struct Connection {
    config: Config,
    phase: Phase,
    output: Vec<u8>,
    shutdown: bool,
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

type Random = fn(&mut [u8]) -> Result<(), EntropyError>;

/// What [`next`] has found.
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

fn random(bytes: &mut [u8]) -> Result<(), EntropyError> {
    // SAFETY: the host writes to these bytes and to no other.
    unsafe { fill_random(bytes.as_mut_ptr(), bytes.len()) };
    Ok(())
}

/// The resolution of `performance.now()` is not that of an `Instant`, but far finer than any timeout's.
fn instant(now: f64) -> Instant {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates
    Instant::from_nanos((now * 1e6) as u64)
}

#[unsafe(no_mangle)]
pub extern "C" fn bytes(len: usize) -> Box<Bytes> {
    Box::new(Bytes(vec![0; len]))
}

#[unsafe(no_mangle)]
pub extern "C" fn bytes_view(bytes: &mut Bytes) -> View {
    view(&bytes.0)
}

#[unsafe(no_mangle)]
pub extern "C" fn bytes_free(_: Box<Bytes>) {}

/// A client that asks `host` for its root; `None` if that is not a host.
#[unsafe(no_mangle)]
pub extern "C" fn connect(host: Box<Bytes>, now: f64) -> Option<Box<Connection>> {
    let config = Config::default();
    // Leaked, because the handshake borrows it; an instance of this module serves one connection.
    let host = str::from_utf8(host.0.leak()).ok()?;
    let mut nonce = [0; 16];
    random(&mut nonce).ok()?;
    let handshake = Handshake::new(Request::new(host, "/"), nonce, instant(now), &config).ok()?;
    let mut output = Vec::new();
    handshake.write_request_to(&mut output);
    let phase = Phase::Opening { handshake, head: vec![0; 16 * 1024], received: 0 };
    Some(Box::new(Connection { config, phase, output, shutdown: false }))
}

impl Connection {
    fn room(&mut self) -> &mut [u8] {
        match &mut self.phase {
            Phase::Opening { head, received, .. } => head.get_mut(*received..).unwrap_or_default(),
            Phase::Open { endpoint, buffer } => buffer.unfilled(endpoint),
            Phase::Failed => &mut [],
        }
    }

    fn payload(&self) -> &[u8] {
        match &self.phase {
            Phase::Open { endpoint, buffer } => match buffer.message() {
                Some(message) => message.as_bytes(),
                None => endpoint.control_payload(),
            },
            Phase::Opening { .. } | Phase::Failed => &[],
        }
    }

    /// `None` if that has failed.
    fn open(&mut self, now: Instant) -> Option<Found> {
        let Phase::Opening { handshake, head, received } = &mut self.phase else { return None };
        let Some(len) = handshake.poll_head(now, &head[..*received]).ok()? else { return Some(Found::Nothing) };
        let Answer::Open(response) = handshake.answer(&head[..len]).ok()? else { return None };
        let endpoint = response.open(Client::new(random as Random), &self.config, now);
        let buffer = MessageBuffer::with_received(mem::take(head), len..*received);
        self.phase = Phase::Open { endpoint, buffer };
        Some(Found::Open)
    }

    fn next(&mut self, now: Instant) -> Found {
        let Phase::Open { endpoint, buffer } = &mut self.phase else {
            return self.open(now).unwrap_or_else(|| {
                self.phase = Phase::Failed;
                Found::Failure
            });
        };
        let found = match buffer.next(endpoint, now) {
            Ok(None) => Found::Nothing,
            Ok(Some(Incoming::Message(message))) => match message.kind() {
                MessageKind::Text => Found::Text,
                MessageKind::Binary => Found::Binary,
            },
            Ok(Some(Incoming::Ping)) => Found::Ping,
            Ok(Some(Incoming::Pong)) => Found::Pong,
            Ok(Some(_)) => Found::Close,
            Err(_) => Found::Failure,
        };
        while let Some(transmit) = endpoint.poll_transmit() {
            match transmit {
                Transmit::Control(frame) => self.output.extend_from_slice(frame.as_bytes()),
                Transmit::Shutdown => self.shutdown = true,
            }
        }
        found
    }
}

/// Where the next bytes from the server go.
#[unsafe(no_mangle)]
pub extern "C" fn room(connection: &mut Connection) -> View {
    view(connection.room())
}

/// `len` bytes have been put into [`room`]; 0 is the end of the transport.
#[unsafe(no_mangle)]
pub extern "C" fn filled(connection: &mut Connection, len: usize) {
    match &mut connection.phase {
        Phase::Open { endpoint, .. } if len == 0 => endpoint.receive_eof(),
        Phase::Open { buffer, .. } => buffer.filled(len),
        phase @ Phase::Opening { .. } if len == 0 => *phase = Phase::Failed,
        Phase::Opening { received, .. } => *received += len,
        Phase::Failed => {}
    }
}

/// What the bytes received so far hold next; the output may have grown after that.
#[unsafe(no_mangle)]
pub extern "C" fn next(connection: &mut Connection, now: f64) -> Found {
    connection.next(instant(now))
}

/// The payload of what [`next`] has found last.
#[unsafe(no_mangle)]
pub extern "C" fn payload(connection: &Connection) -> View {
    view(connection.payload())
}

/// A message, or a part of it: bit 0 of `part` is its beginning, bit 1 its end.
#[unsafe(no_mangle)]
pub extern "C" fn send(connection: &mut Connection, text: bool, part: u32, payload: &Bytes) -> bool {
    let Phase::Open { endpoint, .. } = &mut connection.phase else { return false };
    let kind = if text { MessageKind::Text } else { MessageKind::Binary };
    let part = match part {
        0 => Part::Middle,
        1 => Part::First,
        2 => Part::Last,
        _ => Part::Whole,
    };
    endpoint.write_part_to(kind, part, &payload.0, &mut connection.output).is_ok()
}

#[unsafe(no_mangle)]
pub extern "C" fn ping(connection: &mut Connection, payload: &Bytes) -> bool {
    connection.write_control(|endpoint, out| endpoint.write_ping(&payload.0, out))
}

#[unsafe(no_mangle)]
pub extern "C" fn close(connection: &mut Connection, code: u16, now: f64) -> bool {
    connection.write_control(|endpoint, out| endpoint.write_close(instant(now), CloseCode::new(code), "", out))
}

impl Connection {
    fn write_control(
        &mut self,
        write: impl FnOnce(&mut Endpoint<Client<Random>>, &mut [u8]) -> Result<usize, SendError>,
    ) -> bool {
        let Phase::Open { endpoint, .. } = &mut self.phase else { return false };
        let mut frame = [0; ControlFrame::MAX_LEN];
        let written = write(endpoint, &mut frame);
        self.output.extend_from_slice(written.ok().and_then(|len| frame.get(..len)).unwrap_or_default());
        written.is_ok()
    }
}

/// What is to be written to the transport; then call [`output_written`].
#[unsafe(no_mangle)]
pub extern "C" fn output(connection: &Connection) -> View {
    view(&connection.output)
}

/// All of the output has been written; whether the transport is to be ended behind it.
#[unsafe(no_mangle)]
pub extern "C" fn output_written(connection: &mut Connection) -> bool {
    connection.output = Vec::new();
    mem::take(&mut connection.shutdown)
}

/// When to call [`handle_timeout`] at the latest; infinity for never.
#[unsafe(no_mangle)]
pub extern "C" fn timeout(connection: &Connection) -> f64 {
    let timeout = match &connection.phase {
        Phase::Opening { handshake, .. } => handshake.poll_timeout(),
        Phase::Open { endpoint, .. } => endpoint.poll_timeout(),
        Phase::Failed => None,
    };
    #[allow(clippy::cast_precision_loss)] // 2⁵³ ns are 104 days
    timeout.map_or(f64::INFINITY, |timeout| timeout.as_nanos() as f64 / 1e6)
}

#[unsafe(no_mangle)]
pub extern "C" fn handle_timeout(connection: &mut Connection, now: f64) {
    match &mut connection.phase {
        Phase::Opening { handshake, .. } => {
            if handshake.handle_timeout(instant(now)).is_err() {
                connection.phase = Phase::Failed;
            }
        }
        Phase::Open { endpoint, .. } => endpoint.handle_timeout(instant(now)),
        Phase::Failed => {}
    }
}

/// The code that the connection was closed with if that was done cleanly, 1006 if not; 0 as long as it is not closed.
#[unsafe(no_mangle)]
pub extern "C" fn closed(connection: &Connection) -> u16 {
    match &connection.phase {
        Phase::Opening { .. } => 0,
        Phase::Open { endpoint, .. } => match endpoint.state() {
            State::Open | State::Closing => 0,
            State::Closed(closed) if closed.clean => closed.code.get(),
            State::Closed(_) => CloseCode::ABNORMAL.get(),
        },
        Phase::Failed => CloseCode::ABNORMAL.get(),
    }
}
