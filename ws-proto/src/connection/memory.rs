//! The buffers of a connection.

use core::fmt;

#[cfg(feature = "alloc")]
use alloc::{boxed::Box, vec::Vec};

use super::{
    failure::Failure, message_buffer::MessageBuffer, output::Output, queue::FixedQueue, queue::Queue,
    storage::Storage,
};
#[cfg(feature = "deflate")]
use crate::deflate::{Deflater, Settings};
use crate::{
    config::Config,
    endpoint::{Closed, Endpoint},
    role::Role,
    time::Instant,
};

/// The memory of a [`Connection`](super::Connection) that has something to do: bytes that have been received and not been
/// taken, and bytes that are to be written.
pub struct Memory<S: Allocation = DefaultStorage> {
    pub(super) incoming: MessageBuffer<S>,
    pub(super) sending: Sending<S::Queue>,
    pub(super) ending: Ending,
    /// The time of the last read.
    pub(super) now: Instant,
}

/// The part of a connection's memory that it sends from.
pub(super) struct Sending<Q> {
    pub(super) output: Output<Q>,
    #[cfg(feature = "deflate")]
    pub(super) deflater: Option<Deflater>,
}

/// The part of a connection's end that its endpoint does not know.
#[derive(Default)]
pub(super) struct Ending {
    /// `true` if the transport has ended after the bytes that are unread.
    pub(super) eof: bool,
    /// The end that the next call for an event returns.
    pub(super) result: Option<Result<Closed, Failure>>,
}

impl Ending {
    /// Takes the end of a connection with this `endpoint` once, when it is certain.
    #[cold]
    #[inline(never)]
    pub(super) fn take<R: Role>(&mut self, endpoint: &mut Endpoint<R>) -> Option<Result<Closed, Failure>> {
        self.result.take().or_else(|| endpoint.take_end().map(|end| end.map_err(Failure::Receive)))
    }
}

/// Where a connection keeps what it receives if it does not say otherwise.
#[cfg(feature = "alloc")]
pub type DefaultStorage = Vec<u8>;
/// Where a connection keeps what it receives if it does not say otherwise.
#[cfg(not(feature = "alloc"))]
pub type DefaultStorage = &'static mut [u8];

impl<'m> Memory<&'m mut [u8]> {
    /// Creates memory of fixed length.
    ///
    /// `input` holds the opening handshake's head, or a message, or with [`next_part`](super::Connection::next_part) a part of
    /// one; a longer message fails with 1009. `output` holds what the transport has not taken: to echo, as much as `input` and
    /// 14 bytes more; [`ControlFrame::MAX_LEN`](crate::endpoint::ControlFrame::MAX_LEN) bytes are the least, and a frame that
    /// does not fit is refused with [`SendError::BufferTooSmall`](crate::SendError::BufferTooSmall).
    #[must_use]
    pub fn fixed(input: &'m mut [u8], output: &'m mut [u8], config: &Config) -> Self {
        Self::on(input, FixedQueue::new(output), config)
    }
}

#[cfg(feature = "alloc")]
impl Memory<Vec<u8>> {
    /// Creates memory that grows and shrinks, which is empty at first, with the deadlines for output of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self::empty(config)
    }

    /// Returns this memory, keeping up to `len` bytes of a message's room for the next one, in any case: for memory that
    /// many connections use in turn.
    #[must_use]
    pub fn keeping(self, len: usize) -> Self {
        Self { incoming: self.incoming.keeping(len), ..self }
    }
}

#[cfg(feature = "alloc")]
impl<S: Allocation<Queue = Vec<u8>> + Default> Memory<S> {
    pub(super) fn empty(config: &Config) -> Self {
        Self::on(S::default(), Vec::new(), config)
    }

    /// Takes all bytes that wait to be written out for good: their writing is the host's.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.sending.output.take_bytes()
    }
}

impl<S: Allocation> Memory<S> {
    fn on(storage: S, queue: S::Queue, config: &Config) -> Self {
        Self {
            incoming: MessageBuffer::new(storage),
            sending: Sending {
                output: Output::on(queue, config),
                #[cfg(feature = "deflate")]
                deflater: None,
            },
            ending: Ending::default(),
            now: Instant::ZERO,
        }
    }

    /// Returns this memory with a compressor, and limits of what is inflated, as `settings` say. A server then accepts a
    /// client's offer of compression.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, settings: Settings) -> Self {
        self.set_deflate(settings);
        self
    }

    #[cfg(feature = "deflate")]
    pub(super) fn set_deflate(&mut self, settings: Settings) {
        self.incoming.set_inflate_limits(settings.inflate);
        self.sending.deflater = Some(Deflater::new(settings));
    }

    /// Returns whether nothing is unfinished, so that another connection can have it. Output that is
    /// lent (`Connection::lend_output`) is unfinished until it is put back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        #[cfg(feature = "deflate")]
        if self.sending.deflater.as_ref().is_some_and(|deflater| !deflater.is_idle()) {
            return false;
        }
        !self.ending.eof
            && self.ending.result.is_none()
            && self.incoming.is_empty()
            && self.sending.output.is_written()
    }

    /// Returns the memory that it holds now, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        #[cfg(feature = "deflate")]
        let deflater = self.sending.deflater.as_ref().map_or(0, Deflater::held_bytes);
        #[cfg(not(feature = "deflate"))]
        let deflater = 0;
        self.incoming.held_bytes() + self.sending.output.held_bytes() + deflater
    }

    /// Gives back what has grown, as far as nothing in it is unfinished.
    pub(super) fn release(&mut self) {
        self.incoming.release();
        self.sending.output.release();
    }
}

impl<S: Allocation> fmt::Debug for Memory<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("held_bytes", &self.held_bytes())
            .field("is_empty", &self.is_empty())
            .finish_non_exhaustive()
    }
}

/// How a connection's memory is allocated: on a heap, as `Vec<u8>` or `bytes::BytesMut`, or beforehand, as
/// `&mut [u8]`.
pub trait Allocation: Storage + Sized {
    /// Where output is kept.
    type Queue: Queue;
    /// How a connection holds its memory: on a heap it can be lent.
    type Held: Holder<Self>;
}

impl<'m> Allocation for &'m mut [u8] {
    type Queue = FixedQueue<'m>;
    type Held = Memory<Self>;
}

#[cfg(feature = "alloc")]
impl Allocation for Vec<u8> {
    type Queue = Self;
    type Held = Option<Box<Memory<Self>>>;
}

#[cfg(feature = "bytes")]
impl Allocation for bytes::BytesMut {
    type Queue = Vec<u8>;
    type Held = Option<Box<Memory<Self>>>;
}

/// How a connection holds its [`Memory`].
pub trait Holder<S: Allocation>: sealed::Sealed {
    /// The memory; where there is none it is made.
    #[doc(hidden)]
    fn get(&mut self) -> &mut Memory<S>;

    /// The memory, if there is any.
    #[doc(hidden)]
    fn peek(&self) -> Option<&Memory<S>>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Memory<&mut [u8]> {}
    #[cfg(feature = "alloc")]
    impl<S: super::Allocation> Sealed for Option<alloc::boxed::Box<super::Memory<S>>> {}
}

impl<'m> Holder<&'m mut [u8]> for Memory<&'m mut [u8]> {
    #[inline]
    fn get(&mut self) -> &mut Self {
        self
    }

    #[inline]
    fn peek(&self) -> Option<&Self> {
        Some(self)
    }
}

#[cfg(feature = "alloc")]
impl<S: Allocation<Queue = Vec<u8>> + Default> Holder<S> for Option<Box<Memory<S>>> {
    #[inline]
    fn get(&mut self) -> &mut Memory<S> {
        self.get_or_insert_with(|| Box::new(Memory::empty(&Config::new())))
    }

    #[inline]
    fn peek(&self) -> Option<&Memory<S>> {
        self.as_deref()
    }
}
