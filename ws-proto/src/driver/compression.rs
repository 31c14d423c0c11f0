//! The compressors of connections. A connection owns one while it has to remember earlier data, and otherwise uses one
//! of a pool.

use core::fmt;
use std::vec::Vec;
#[cfg(feature = "deflate")]
use std::{
    boxed::Box,
    sync::{Arc, Mutex, PoisonError},
};

use super::MaskedFrame;
#[cfg(feature = "deflate")]
use crate::deflate::{Deflater, Inflater, Settings};
use crate::{
    Endpoint, Message, MessageBuffer, MessageKind, Part, SendError,
    connection::Storage,
    endpoint::Trace,
    frame::Frame,
    role::{Role, Side},
};

/// Idle compressors and inflaters, which connections with the same settings share.
#[cfg(feature = "deflate")]
#[derive(Debug)]
#[allow(clippy::vec_box, reason = "they move between here and connections as they are")]
struct Pool {
    settings: Settings,
    deflaters: Mutex<Vec<Box<Deflater>>>,
    inflaters: Mutex<Vec<Box<Inflater>>>,
}

/// The most idle objects of each kind that are kept: more than the threads that compress at the same moment.
#[cfg(feature = "deflate")]
const POOLED: usize = 64;

/// The compressors of connections with the same settings, or none. Clones share them.
///
/// It keeps at most 64 idle objects for each direction.
#[derive(Clone, Debug, Default)]
pub struct Compressors {
    #[cfg(feature = "deflate")]
    pool: Option<Arc<Pool>>,
}

impl Compressors {
    /// Returns no compressors, for connections that are not compressed.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            #[cfg(feature = "deflate")]
            pool: None,
        }
    }

    /// Creates an empty pool of compressors.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let pool = Pool { settings, deflaters: Mutex::default(), inflaters: Mutex::default() };
        Self { pool: Some(Arc::new(pool)) }
    }

    /// Returns the settings to negotiate with; `None` without compression.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn settings(&self) -> Option<Settings> {
        self.pool.as_ref().map(|pool| pool.settings)
    }

    /// Returns the compression that `endpoint` has negotiated, with compressors of this pool.
    #[must_use]
    #[cfg_attr(not(feature = "deflate"), allow(clippy::unused_self, unused_variables))]
    pub fn negotiated<R: Role, T: Trace>(&self, endpoint: &Endpoint<R, T>) -> Compression {
        #[cfg(feature = "deflate")]
        return Compression {
            pool: self.pool.clone().filter(|_| endpoint.deflate().is_some()),
            ..Compression::default()
        };
        #[cfg(not(feature = "deflate"))]
        Compression::default()
    }
}

#[cfg(feature = "deflate")]
fn take<X>(pool: &Mutex<Vec<X>>) -> Option<X> {
    pool.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

#[cfg(feature = "deflate")]
fn give_back<X>(pool: &Mutex<Vec<X>>, object: X) {
    let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
    if pool.len() < POOLED {
        pool.push(object);
    }
}

/// The compression of a connection's output. The default compresses no messages.
///
/// A connection owns a compressor while that has to remember earlier data, and otherwise uses one of the pool.
#[derive(Default)]
pub struct Compression {
    #[cfg(feature = "deflate")]
    pool: Option<Arc<Pool>>,
    /// The compressor, while it has to remember earlier data.
    #[cfg(feature = "deflate")]
    deflater: Option<Box<Deflater>>,
}

/// The decompression of a connection's input. The default decompresses no messages.
///
/// The buffer for input has an inflater while that has to remember earlier data, and otherwise is lent one of the pool.
#[derive(Default)]
pub struct Decompression {
    #[cfg(feature = "deflate")]
    pool: Option<Arc<Pool>>,
    /// The buffer has an inflater that goes to the pool when it is idle.
    #[cfg(feature = "deflate")]
    lent: bool,
}

impl Compression {
    /// Creates the decompression of the same connection's input, with the same pool.
    #[must_use]
    pub fn decompression(&self) -> Decompression {
        Decompression {
            #[cfg(feature = "deflate")]
            pool: self.pool.clone(),
            #[cfg(feature = "deflate")]
            lent: false,
        }
    }

    /// Returns whether compression has been negotiated.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.pool.is_some();
        #[cfg(not(feature = "deflate"))]
        false
    }

    /// Appends a message to `out`, compressed if that has been negotiated and the message is long enough.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::write_to`].
    #[inline(always)]
    pub fn write<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        message: Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if self.pool.is_some() {
            return self.write_deflated(endpoint, &message, out);
        }
        endpoint.write_to(message, out)
    }

    /// Frames a message in the caller's memory, as [`Endpoint::send_shared`] does. `None`: its payload has to be copied, as
    /// this side masks or compresses it.
    pub fn frame_shared<'p, R: Role, T: Trace>(
        &self,
        endpoint: &mut Endpoint<R, T>,
        message: Message<'p>,
    ) -> Option<Result<Frame<'p>, SendError>> {
        let copies = R::SIDE == Side::Client || self.is_on();
        (!copies).then(|| endpoint.frame_message(message))
    }

    /// Frames a message in a client's memory that is longer than a `piece`, in bytes. `None`: it is shorter, is compressed, or
    /// is not masked.
    pub fn frame_masked<'p, R: Role, T: Trace>(
        &self,
        endpoint: &mut Endpoint<R, T>,
        message: Message<'p>,
        piece: usize,
    ) -> Option<Result<MaskedFrame<'p>, SendError>> {
        let payload = message.as_bytes();
        if R::SIDE == Side::Server || self.is_on() || payload.len() <= piece {
            return None;
        }
        Some(endpoint.admit_message(message).map(|header| {
            endpoint.commit_message(&header);
            MaskedFrame::new(&header, payload)
        }))
    }

    /// [`write`](Self::write) with compression. It borrows the message, so that the other way need not have a copy of it.
    #[cfg(feature = "deflate")]
    #[inline(never)]
    fn write_deflated<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        message: &Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.deflating(|deflater| endpoint.write_deflated_to(*message, deflater, out))
    }

    /// Appends part of a message to `out`, compressed if that has been negotiated.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::write_part_to`].
    pub fn write_part<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        kind: MessageKind,
        part: Part,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if self.pool.is_some() {
            return self.deflating(|deflater| endpoint.write_part_deflated_to(kind, part, payload, deflater, out));
        }
        endpoint.write_part_to(kind, part, payload, out)
    }

    #[cfg(feature = "deflate")]
    fn deflating<X>(&mut self, encode: impl FnOnce(&mut Deflater) -> X) -> X {
        let Self { pool: Some(pool), deflater: own } = self else {
            return encode(&mut Deflater::new(Settings::small()));
        };
        let mut deflater =
            own.take().or_else(|| take(&pool.deflaters)).unwrap_or_else(|| Box::new(Deflater::new(pool.settings)));
        let result = encode(&mut deflater);
        if deflater.is_idle() {
            give_back(&pool.deflaters, deflater);
        } else {
            *own = Some(deflater);
        }
        result
    }

    /// Returns the bytes of memory of the connection's own compressor.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        #[cfg(feature = "deflate")]
        return self.deflater.as_ref().map_or(0, |deflater| deflater.held_bytes());
        #[cfg(not(feature = "deflate"))]
        0
    }
}

impl Decompression {
    /// Sets the limits of compressed messages in `buffer`, if compression has been negotiated.
    pub fn limit<S: Storage>(&self, buffer: &mut MessageBuffer<S>) {
        #[cfg(feature = "deflate")]
        if let Some(pool) = &self.pool {
            buffer.set_inflate_limits(pool.settings.inflate);
        }
        #[cfg(not(feature = "deflate"))]
        let _ = buffer;
    }

    /// Lends `buffer` an inflater of the pool, before the buffer is used.
    #[inline]
    pub fn lend<S: Storage>(&mut self, buffer: &mut MessageBuffer<S>) {
        #[cfg(feature = "deflate")]
        if let (Some(pool), false) = (&self.pool, self.lent) {
            if let Some(inflater) = take(&pool.inflaters) {
                buffer.set_inflater(inflater);
            }
            // If the pool is empty, `buffer` creates an inflater when it needs one.
            self.lent = true;
        }
        #[cfg(not(feature = "deflate"))]
        let _ = buffer;
    }

    /// Takes the inflater back before a wait, unless it has to remember earlier data.
    pub fn take_back<S: Storage>(&mut self, buffer: &mut MessageBuffer<S>) {
        #[cfg(feature = "deflate")]
        if let (Some(pool), true) = (&self.pool, self.lent) {
            if let Some(inflater) = buffer.take_inflater() {
                give_back(&pool.inflaters, inflater);
                self.lent = false;
            }
        }
        #[cfg(not(feature = "deflate"))]
        let _ = buffer;
    }
}

impl fmt::Debug for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compression").field("is_on", &self.is_on()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Decompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompression").finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "deflate"))]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use std::string::String;

    use crate::{Config, Instant, Server, deflate::Inflater, endpoint::Negotiated, server};

    use super::*;

    /// Creates an endpoint that has negotiated compression with these settings, and its compression.
    fn compressing(settings: Settings) -> (Endpoint<Server>, Compressors, Compression) {
        let fields = [
            ("sec-websocket-version", &b"13"[..]),
            ("sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
        ];
        let policy = server::OriginPolicy::AllowAny;
        let offer = server::negotiate_extended_connect("localhost", || fields.into_iter(), policy).unwrap();
        let negotiated = Negotiated::new().with_deflate(offer.deflate(&settings));
        let endpoint = Endpoint::new(Server, &Config::new(), negotiated, Instant::ZERO);
        let pool = Compressors::new(settings);
        let compression = pool.negotiated(&endpoint);
        assert!(compression.is_on());
        (endpoint, pool, compression)
    }

    fn pooled(compressors: &Compressors) -> (usize, usize) {
        let pool = compressors.pool.as_ref().unwrap();
        (pool.deflaters.lock().unwrap().len(), pool.inflaters.lock().unwrap().len())
    }

    fn text() -> String {
        "again and ".repeat(100)
    }

    // K-pool
    #[test]
    fn a_compressor_goes_to_the_pool_only_without_context() {
        let (mut endpoint, pool, mut compression) = compressing(Settings::small());
        let mut out = Vec::new();
        compression.write(&mut endpoint, Message::Text(&text()), &mut out).unwrap();
        assert_eq!((pooled(&pool), compression.held_bytes()), ((1, 0), 0));
        // The next message takes the same compressor.
        compression.write(&mut endpoint, Message::Text(&text()), &mut out).unwrap();
        assert_eq!(pooled(&pool), (1, 0));

        let (mut endpoint, pool, mut compression) = compressing(Settings::balanced());
        for _ in 0..2 {
            compression.write(&mut endpoint, Message::Text(&text()), &mut out).unwrap();
            assert_eq!(pooled(&pool), (0, 0));
            assert!(compression.held_bytes() > 0);
        }
    }

    // K-pool
    #[test]
    fn a_compressor_in_the_middle_of_a_message_is_the_connections_own() {
        let (mut endpoint, pool, mut compression) = compressing(Settings::small());
        let mut out = Vec::new();
        for (part, given_back) in [(Part::First, 0), (Part::Middle, 0), (Part::Last, 1)] {
            compression.write_part(&mut endpoint, MessageKind::Text, part, text().as_bytes(), &mut out).unwrap();
            assert_eq!(pooled(&pool), (given_back, 0), "{part:?}");
            assert_eq!(compression.held_bytes() > 0, given_back == 0);
        }
    }

    #[test]
    fn an_inflater_is_lent_once_and_taken_back_only_without_context() {
        let (_, pool, compression) = compressing(Settings::small());
        let mut incoming = compression.decompression();
        let mut buffer = MessageBuffer::<Vec<u8>>::default();
        // The pool is empty: the buffer creates an inflater when it needs one.
        incoming.lend(&mut buffer);
        incoming.take_back(&mut buffer);
        assert_eq!(pooled(&pool), (0, 0));
        give_back(&pool.pool.as_ref().unwrap().inflaters, Box::new(Inflater::new()));
        let mut other = compression.decompression();
        other.lend(&mut buffer);
        assert_eq!(pooled(&pool), (0, 0));
        other.lend(&mut buffer);
        other.take_back(&mut buffer);
        assert_eq!(pooled(&pool), (0, 1));
        other.take_back(&mut buffer);
        assert_eq!(pooled(&pool), (0, 1));
    }

    #[test]
    fn the_pool_keeps_no_more_than_threads_need() {
        let pool = Compressors::new(Settings::small());
        for _ in 0..=POOLED {
            give_back(&pool.pool.as_ref().unwrap().inflaters, Box::new(Inflater::new()));
        }
        assert_eq!(pooled(&pool), (0, POOLED));
    }

    #[test]
    fn nothing_is_compressed_unless_it_was_agreed_on() {
        let mut endpoint = Endpoint::new(Server, &Config::new(), Negotiated::default(), Instant::ZERO);
        let mut compression = Compressors::new(Settings::small()).negotiated(&endpoint);
        assert!(!compression.is_on() && compression.decompression().pool.is_none());
        let mut out = Vec::new();
        compression.write(&mut endpoint, Message::Text(&text()), &mut out).unwrap();
        compression.write_part(&mut endpoint, MessageKind::Text, Part::Whole, b"a", &mut out).unwrap();
        assert!(out.len() > text().len());
        assert_eq!(compression.held_bytes(), 0);
    }
}
