//! A WebSocket client for JavaScript that moves the bytes itself: ws-proto behind C functions.
//!
//! JavaScript holds the objects by address and hands them back; `endpoint.mjs` is its side. Times are
//! `performance.now()`: milliseconds as `f64`. A function that returns `bool` tells whether it was possible.
#![no_std]

extern crate alloc;

use alloc::{boxed::Box, vec, vec::Vec};
use core::str;

use ws_proto::{
    Client, CloseCode, Config, Connection, Control, EntropyError, Instant, MessageKind, Next, Part, Pending,
    client::{Answer, Request},
};

type Random = fn(&mut [u8]) -> Result<(), EntropyError>;

/// A client from its request to its end.
pub struct Peer {
    connection: Connection<'static, Client<Random>>,
    /// The payload of what [`next`] has found last; it stays where it is until the connection is used again.
    payload: View,
    /// The code that the connection was closed with, 1006 if that was not clean; 0 as long as it is not closed.
    closed: u16,
}

/// An event as [`next`] returns it.
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
pub extern "C" fn connect(host: Box<Bytes>, now: f64) -> Option<Box<Peer>> {
    // Leaked, because the handshake borrows it; an instance of this module serves one connection.
    let host = str::from_utf8(host.0.leak()).ok()?;
    let request = Request::new(host, "/");
    let connection = Connection::connect(request, random as Random, &Config::default(), instant(now)).ok()?;
    Some(Box::new(Peer { connection, payload: 0, closed: 0 }))
}

/// Where the next bytes from the server go.
#[unsafe(no_mangle)]
pub extern "C" fn room(peer: &mut Peer) -> View {
    view(peer.connection.room())
}

/// `len` bytes have been put into [`room`]; 0 is the end of the transport.
#[unsafe(no_mangle)]
pub extern "C" fn received(peer: &mut Peer, len: usize, now: f64) {
    peer.connection.received(instant(now), len);
}

/// Returns the next event of the bytes received so far; the output may have grown after that.
#[unsafe(no_mangle)]
pub extern "C" fn next(peer: &mut Peer) -> Found {
    peer.payload = view(&[]);
    let found = match peer.connection.next() {
        None => return Found::Nothing,
        Some(Next::Opening(Answer::Open(_))) => Found::Open,
        Some(Next::Data(message, _)) => {
            peer.payload = view(message.as_bytes());
            return if message.kind() == MessageKind::Text { Found::Text } else { Found::Binary };
        }
        Some(Next::Control(Control::Ping)) => Found::Ping,
        Some(Next::Control(Control::Pong)) => Found::Pong,
        Some(Next::Control(Control::Close)) => Found::Close,
        Some(Next::Opening(Answer::Refused(_)) | Next::Closed(Err(_))) => {
            peer.closed = CloseCode::ABNORMAL.get();
            Found::Failure
        }
        Some(Next::Closed(Ok(closed))) => {
            let code = if closed.clean { closed.code } else { CloseCode::ABNORMAL };
            peer.closed = code.get();
            return Found::Nothing;
        }
    };
    peer.payload = view(peer.connection.control_payload());
    found
}

/// The payload of what [`next`] has found last.
#[unsafe(no_mangle)]
pub extern "C" fn payload(peer: &Peer) -> View {
    peer.payload
}

/// A message, or a part of it: bit 0 of `part` is its beginning, bit 1 its end.
#[unsafe(no_mangle)]
pub extern "C" fn send(peer: &mut Peer, text: bool, part: u32, payload: &Bytes) -> bool {
    let kind = if text { MessageKind::Text } else { MessageKind::Binary };
    let part = [Part::Middle, Part::First, Part::Last, Part::Whole][part as usize % 4];
    peer.connection.send_part(kind, part, &payload.0).is_ok()
}

#[unsafe(no_mangle)]
pub extern "C" fn ping(peer: &mut Peer, payload: &Bytes) -> bool {
    peer.connection.ping(&payload.0).is_ok()
}

#[unsafe(no_mangle)]
pub extern "C" fn close(peer: &mut Peer, code: u16, now: f64) -> bool {
    peer.connection.close(instant(now), CloseCode::new(code), "").is_ok()
}

/// Returns the bytes that are to be written to the transport; then call [`output_written`].
#[unsafe(no_mangle)]
pub extern "C" fn output(peer: &Peer) -> View {
    match peer.connection.pending() {
        Some(Pending::Bytes(bytes)) => view(bytes),
        Some(Pending::Shutdown) | None => view(&[]),
    }
}

/// All of the output has been written; whether the transport is to be ended after it.
#[unsafe(no_mangle)]
pub extern "C" fn output_written(peer: &mut Peer, now: f64) -> bool {
    let written = peer.connection.pending_len();
    peer.connection.written(instant(now), written);
    peer.connection.shut_down()
}

/// When to call [`handle_timeout`] at the latest; infinity for never.
#[unsafe(no_mangle)]
pub extern "C" fn timeout(peer: &Peer) -> f64 {
    #[allow(clippy::cast_precision_loss)] // 2⁵³ ns are 104 days
    peer.connection.poll_timeout().map_or(f64::INFINITY, |timeout| timeout.as_nanos() as f64 / 1e6)
}

#[unsafe(no_mangle)]
pub extern "C" fn handle_timeout(peer: &mut Peer, now: f64) {
    peer.connection.handle_timeout(instant(now));
}

/// The code that the connection was closed with if that was done cleanly, 1006 if not; 0 as long as it is not closed.
#[unsafe(no_mangle)]
pub extern "C" fn closed(peer: &Peer) -> u16 {
    peer.closed
}
