//! The compressors of connections. A connection owns one while it has to remember earlier data, and otherwise uses one
//! of a pool.

#[cfg(feature = "deflate")]
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "deflate")]
use ws_proto::deflate::{Deflater, Inflater, Settings};
use ws_proto::{Endpoint, Message, MessageBuffer, MessageKind, Part, SendError};

/// Idle compressors and inflaters, which connections with the same settings share.
#[cfg(feature = "deflate")]
#[derive(Debug)]
#[allow(clippy::vec_box, reason = "they move between here and connections as they are")]
pub(crate) struct Pool {
    pub(crate) settings: Settings,
    deflaters: Mutex<Vec<Box<Deflater>>>,
    inflaters: Mutex<Vec<Box<Inflater>>>,
}

/// The most idle objects of each kind that are kept: more than the threads that compress at the same moment.
#[cfg(feature = "deflate")]
const POOLED: usize = 64;

#[cfg(feature = "deflate")]
impl Pool {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self { settings, deflaters: Mutex::default(), inflaters: Mutex::default() })
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

/// The compression of one direction of a connection. The default compresses no messages.
#[derive(Default)]
pub(crate) struct Compression {
    #[cfg(feature = "deflate")]
    pool: Option<Arc<Pool>>,
    /// The compressor for output, while it has to remember earlier data.
    #[cfg(feature = "deflate")]
    deflater: Option<Box<Deflater>>,
    /// The buffer for input has an inflater that goes to the pool when it is idle.
    #[cfg(feature = "deflate")]
    lent: bool,
}

impl Compression {
    /// Creates the compression that `endpoint` has negotiated, with compressors of `pool`.
    #[cfg(feature = "deflate")]
    pub(crate) fn new<R: ws_proto::role::Role>(endpoint: &Endpoint<R>, pool: Option<&Arc<Pool>>) -> Self {
        Self { pool: pool.filter(|_| endpoint.deflate().is_some()).cloned(), ..Self::default() }
    }

    /// Creates the compression of the other direction, with the same pool.
    pub(crate) fn other(&self) -> Self {
        #[cfg(feature = "deflate")]
        return Self { pool: self.pool.clone(), ..Self::default() };
        #[cfg(not(feature = "deflate"))]
        Self::default()
    }

    /// Returns whether compression has been negotiated.
    pub(crate) const fn is_on(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.pool.is_some();
        #[cfg(not(feature = "deflate"))]
        false
    }

    /// Appends a message to `out`, compressed if that has been negotiated and the message is long enough.
    #[inline(always)]
    pub(crate) fn write<R: ws_proto::role::Role>(
        &mut self,
        endpoint: &mut Endpoint<R>,
        message: Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if self.pool.is_some() {
            return self.write_deflated(endpoint, message, out);
        }
        endpoint.write_to(message, out)
    }

    #[cfg(feature = "deflate")]
    #[inline(never)]
    fn write_deflated<R: ws_proto::role::Role>(
        &mut self,
        endpoint: &mut Endpoint<R>,
        message: Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.deflating(|deflater| endpoint.write_deflated_to(message, deflater, out))
    }

    /// Appends part of a message to `out`, compressed if that has been negotiated.
    pub(crate) fn write_part<R: ws_proto::role::Role>(
        &mut self,
        endpoint: &mut Endpoint<R>,
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
        let Self { pool: Some(pool), deflater: own, .. } = self else {
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

    /// Sets the limits of compressed messages in `buffer`, and returns it.
    pub(crate) fn limit(&self, buffer: MessageBuffer<Vec<u8>>) -> MessageBuffer<Vec<u8>> {
        #[cfg(feature = "deflate")]
        if let Some(pool) = &self.pool {
            let mut buffer = buffer;
            buffer.set_inflate_limits(pool.settings.inflate);
            return buffer;
        }
        buffer
    }

    /// Lends `buffer` an inflater of the pool, before the buffer is used.
    #[inline]
    pub(crate) fn lend(&mut self, buffer: &mut MessageBuffer<Vec<u8>>) {
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
    pub(crate) fn take_back(&mut self, buffer: &mut MessageBuffer<Vec<u8>>) {
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

    /// Returns the bytes of memory of the connection's own compressor.
    pub(crate) fn held_bytes(&self) -> usize {
        #[cfg(feature = "deflate")]
        return self.deflater.as_ref().map_or(0, |deflater| deflater.held_bytes());
        #[cfg(not(feature = "deflate"))]
        0
    }
}

#[cfg(all(test, feature = "deflate"))]
mod tests {
    use ws_proto::{Config, Instant, Server, deflate::Inflater, endpoint::Negotiated, server};

    use super::*;

    /// Creates an endpoint that has negotiated compression with these settings, and its compression.
    fn compressing(settings: Settings) -> (Endpoint<Server>, Arc<Pool>, Compression) {
        let fields = [
            ("sec-websocket-version", &b"13"[..]),
            ("sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
        ];
        let policy = server::OriginPolicy::AllowAny;
        let offer = server::negotiate_extended_connect("localhost", || fields.into_iter(), policy).unwrap();
        let negotiated = Negotiated::new().with_deflate(offer.deflate(&settings));
        let endpoint = Endpoint::new(Server, &Config::new(), negotiated, Instant::ZERO);
        let pool = Pool::new(settings);
        let compression = Compression::new(&endpoint, Some(&pool));
        assert!(compression.is_on());
        (endpoint, pool, compression)
    }

    fn pooled(pool: &Pool) -> (usize, usize) {
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
        let mut incoming = compression.other();
        let mut buffer = MessageBuffer::default();
        // The pool is empty: the buffer creates an inflater when it needs one.
        incoming.lend(&mut buffer);
        incoming.take_back(&mut buffer);
        assert_eq!(pooled(&pool), (0, 0));
        give_back(&pool.inflaters, Box::new(Inflater::new()));
        let mut other = compression.other();
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
        let pool = Pool::new(Settings::small());
        for _ in 0..=POOLED {
            give_back(&pool.inflaters, Box::new(Inflater::new()));
        }
        assert_eq!(pooled(&pool), (0, POOLED));
    }

    #[test]
    fn nothing_is_compressed_unless_it_was_agreed_on() {
        let mut endpoint = Endpoint::new(Server, &Config::new(), Negotiated::default(), Instant::ZERO);
        let mut compression = Compression::new(&endpoint, Some(&Pool::new(Settings::small())));
        assert!(!compression.is_on() && !compression.other().is_on());
        let mut out = Vec::new();
        compression.write(&mut endpoint, Message::Text(&text()), &mut out).unwrap();
        compression.write_part(&mut endpoint, MessageKind::Text, Part::Whole, b"a", &mut out).unwrap();
        assert!(out.len() > text().len());
        assert_eq!(compression.held_bytes(), 0);
    }
}
