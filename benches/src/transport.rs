//! A connection in memory: gives what it has at once, takes what it is given, never waits.

#![allow(unsafe_code)]

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    rc::Rc,
};

use ws_proto::frame::FrameHeader;

/// The longest read of a workload that is not about reads: as much as a busy server's.
pub const READ_LEN: usize = 64 << 10;

/// The longest message of any workload, and some room.
pub const LONGEST: usize = 8 << 20;

/// One end of a connection whose other end is the harness. Clones are the same end.
#[derive(Clone)]
pub struct Transport {
    wire: Rc<Wire>,
    output: &'static RefCell<Vec<u8>>,
    longest_read: usize,
    room: usize,
    longest_message: usize,
}

struct Wire {
    input: Rc<[u8]>,
    read: Cell<usize>,
}

thread_local! {
    /// What was sent on the transport that is in use, which forgets what was sent before. All have the same memory for it: where
    /// memory lies decides how soon the processor has it.
    static OUTPUT: &'static RefCell<Vec<u8>> = Box::leak(Box::new(RefCell::new(Vec::with_capacity(4 << 20))));
}

// SAFETY: some contenders ask for streams that can be sent to other threads. The harness has one thread, and so
// have they when they are polled by `poll_now`.
unsafe impl Send for Transport {}
// SAFETY: as above.
unsafe impl Sync for Transport {}

/// More than this the C library may copy by string instructions. On some processors these take 14 times as long if the
/// bytes go up to 15 bytes, modulo 4 KiB, behind where they come from: whom that met would be chance.
const PIECE: usize = 2 << 10;

#[inline(always)]
fn append(output: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.len() <= PIECE { output.extend_from_slice(bytes) } else { append_pieces(output, bytes) }
}

#[inline(never)]
fn append_pieces(output: &mut Vec<u8>, bytes: &[u8]) {
    bytes.chunks(PIECE).for_each(|piece| output.extend_from_slice(piece));
}

impl Transport {
    /// A transport on which `input` has arrived and is read at most `longest_read` bytes at a time.
    #[must_use]
    pub fn new(input: impl Into<Rc<[u8]>>, longest_read: usize) -> Self {
        let wire = Wire { input: input.into(), read: Cell::new(0) };
        let room = longest_read.max(READ_LEN);
        let output = OUTPUT.with(|output| *output);
        output.borrow_mut().clear();
        Self { wire: Rc::new(wire), output, longest_read, room, longest_message: LONGEST }
    }

    /// Returns the same transport for a contender that reads at most `room` bytes at a time.
    #[must_use]
    pub fn with_room(self, room: usize) -> Self {
        Self { room, longest_read: self.longest_read.min(room), ..self }
    }

    /// Returns the room that a contender's reads should have: a read may bring less.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.room
    }

    /// Returns the same transport, on which no message of more than `len` bytes arrives.
    #[must_use]
    pub const fn with_longest_message(mut self, len: usize) -> Self {
        self.longest_message = len;
        self
    }

    /// Returns the length of storage for a contender that has to be given some: room for the longest message's frame, and for
    /// a read.
    #[must_use]
    pub const fn storage_len(&self) -> usize {
        self.longest_message + FrameHeader::MAX_LEN + self.room
    }

    /// Lets the same input arrive once more.
    pub fn rewind(&self) {
        self.wire.read.set(0);
    }

    /// Whether all of the input has been read.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.wire.read.get() == self.wire.input.len()
    }

    /// Reads what has arrived and fits; 0 bytes if nothing is left.
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> usize {
        let arrived = &self.wire.input[self.wire.read.get()..];
        let len = arrived.len().min(buffer.len()).min(self.longest_read);
        for (to, from) in buffer[..len].chunks_mut(PIECE).zip(arrived[..len].chunks(PIECE)) {
            to.copy_from_slice(from);
        }
        self.wire.read.set(self.wire.read.get() + len);
        len
    }

    /// Reads to the end of what `buffer` holds, without filling it with zeros first.
    #[cfg(feature = "bytes")]
    #[inline]
    pub fn receive_to(&self, buffer: &mut bytes::BytesMut) -> usize {
        let arrived = &self.wire.input[self.wire.read.get()..];
        let len = arrived.len().min(self.longest_read);
        buffer.reserve(len);
        arrived[..len].chunks(PIECE).for_each(|piece| buffer.extend_from_slice(piece));
        self.wire.read.set(self.wire.read.get() + len);
        len
    }

    /// Takes all of `bytes`.
    #[inline]
    pub fn send(&self, bytes: &[u8]) {
        append(&mut self.output.borrow_mut(), bytes);
    }

    /// Takes all of `slices`, in this order, as one vectored write does.
    #[inline(always)]
    pub fn send_vectored(&self, slices: [&[u8]; 2]) {
        let mut output = self.output.borrow_mut();
        output.extend_from_slice(slices[0]);
        append(&mut output, slices[1]);
    }

    /// Forgets what was sent; the memory stays.
    pub fn clear_output(&self) {
        self.output.borrow_mut().clear();
    }

    /// What was sent.
    #[must_use]
    pub fn output(&self) -> Vec<u8> {
        self.output.borrow().clone()
    }

    fn send_slices(&self, slices: &[IoSlice<'_>]) -> usize {
        let mut output = self.output.borrow_mut();
        let before = output.len();
        slices.iter().for_each(|slice| append(&mut output, slice));
        output.len() - before
    }
}

impl io::Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.receive(buffer) {
            0 if !buffer.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }
}

impl io::Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.send_slices(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "tokio")]
mod for_tokio {
    use std::{
        io::{self, IoSlice},
        pin::Pin,
        task::{Context, Poll},
    };

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::{PIECE, Transport};

    impl AsyncRead for Transport {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            // `put_slice` instead of a slice to read to: it need not be initialised.
            let wire = &self.wire;
            let arrived = &wire.input[wire.read.get()..];
            let len = arrived.len().min(buffer.remaining()).min(self.longest_read);
            if len == 0 && buffer.remaining() > 0 {
                return Poll::Pending;
            }
            arrived[..len].chunks(PIECE).for_each(|piece| buffer.put_slice(piece));
            wire.read.set(wire.read.get() + len);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Transport {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.send(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(self.send_slices(slices)))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}

#[cfg(feature = "futures")]
mod for_futures {
    use std::{
        io::{self, IoSlice},
        pin::Pin,
        task::{Context, Poll},
    };

    use futures::io::{AsyncRead, AsyncWrite};

    use super::Transport;

    impl AsyncRead for Transport {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
            match self.receive(buffer) {
                0 if !buffer.is_empty() => Poll::Pending,
                len => Poll::Ready(Ok(len)),
            }
        }
    }

    impl AsyncWrite for Transport {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.send(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(self.send_slices(slices)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}

#[cfg(feature = "calls")]
mod for_ws_std {
    use std::{
        io::{self, IoSlice},
        net::Shutdown,
        time::Instant,
    };

    use super::Transport;

    impl ws_std::Transport for Transport {
        fn read(&self, buffer: &mut [u8], _: Option<Instant>) -> io::Result<usize> {
            match self.receive(buffer) {
                0 if !buffer.is_empty() => Err(io::ErrorKind::TimedOut.into()),
                len => Ok(len),
            }
        }

        fn write(&self, slices: &[IoSlice<'_>], _: Option<Instant>) -> io::Result<usize> {
            Ok(self.send_slices(slices))
        }

        fn shutdown(&self, _: Shutdown) -> io::Result<()> {
            Ok(())
        }
    }
}

/// Polls once; `None` if the future waits, which here means that the input is used up.
#[inline]
pub fn poll_now<F: Future>(future: F) -> Option<F::Output> {
    use std::task::{Context, Poll, Waker};
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
