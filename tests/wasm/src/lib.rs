//! A WebSocket client for JavaScript that moves the bytes itself: ws-proto behind C functions.
//!
//! JavaScript holds the objects by address and hands them back; `endpoint.mjs` is its side. Times are
//! `performance.now()`: milliseconds as `f64`. A function that returns `bool` tells whether it was possible.
#![no_std]

extern crate alloc;

mod connection;

use alloc::{boxed::Box, vec, vec::Vec};
use core::str;

use connection::{Connection, Found};
use ws_proto::{CloseCode, ControlFrame, EntropyError, Instant, MessageKind, Part, Pending};

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
pub extern "C" fn connect(host: Box<Bytes>, now: f64) -> Option<Box<Connection>> {
    // Leaked, because the handshake borrows it; an instance of this module serves one connection.
    let host = str::from_utf8(host.0.leak()).ok()?;
    Connection::new(host, random, instant(now)).map(Box::new)
}

/// Where the next bytes from the server go.
#[unsafe(no_mangle)]
pub extern "C" fn room(connection: &mut Connection) -> View {
    view(connection.room())
}

/// `len` bytes have been put into [`room`]; 0 is the end of the transport.
#[unsafe(no_mangle)]
pub extern "C" fn filled(connection: &mut Connection, len: usize) {
    connection.filled(len);
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
    let kind = if text { MessageKind::Text } else { MessageKind::Binary };
    let part = match part {
        0 => Part::Middle,
        1 => Part::First,
        2 => Part::Last,
        _ => Part::Whole,
    };
    connection.send(|endpoint, output| endpoint.write_part_to(kind, part, &payload.0, output.buffer()))
}

#[unsafe(no_mangle)]
pub extern "C" fn ping(connection: &mut Connection, payload: &Bytes) -> bool {
    connection.send(|endpoint, output| {
        let mut frame = [0; ControlFrame::MAX_LEN];
        let len = endpoint.write_ping(&payload.0, &mut frame)?;
        output.buffer().extend_from_slice(frame.get(..len).unwrap_or_default());
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn close(connection: &mut Connection, code: u16, now: f64) -> bool {
    connection.send(|endpoint, output| output.close(endpoint, instant(now), CloseCode::new(code), ""))
}

/// What is to be written to the transport; then call [`output_written`].
#[unsafe(no_mangle)]
pub extern "C" fn output(connection: &Connection) -> View {
    match connection.output.pending() {
        Some(Pending::Bytes(bytes)) => view(bytes),
        Some(Pending::Shutdown) | None => view(&[]),
    }
}

/// All of the output has been written; whether the transport is to be ended behind it.
#[unsafe(no_mangle)]
pub extern "C" fn output_written(connection: &mut Connection) -> bool {
    drop(connection.output.take_bytes());
    let shutdown = !connection.output.is_empty();
    connection.output.shut_down();
    shutdown
}

/// When to call [`handle_timeout`] at the latest; infinity for never.
#[unsafe(no_mangle)]
pub extern "C" fn timeout(connection: &Connection) -> f64 {
    #[allow(clippy::cast_precision_loss)] // 2⁵³ ns are 104 days
    connection.poll_timeout().map_or(f64::INFINITY, |timeout| timeout.as_nanos() as f64 / 1e6)
}

#[unsafe(no_mangle)]
pub extern "C" fn handle_timeout(connection: &mut Connection, now: f64) {
    connection.handle_timeout(instant(now));
}

/// The code that the connection was closed with if that was done cleanly, 1006 if not; 0 as long as it is not closed.
#[unsafe(no_mangle)]
pub extern "C" fn closed(connection: &Connection) -> u16 {
    connection.closed().map_or(0, CloseCode::get)
}
