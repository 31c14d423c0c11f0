//! What connections compress with: of their own while they have to remember something, else from a pool.

#[cfg(feature = "deflate")]
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "deflate")]
use ws_proto::deflate::{Deflater, Inflater, Settings};
use ws_proto::{Endpoint, Message, MessageBuffer, MessageKind, Part, SendError};

/// Compressors that no connection needs just now.
#[cfg(feature = "deflate")]
#[derive(Debug)]
#[allow(clippy::vec_box, reason = "they move between here and connections as they are")]
pub(crate) struct Pool {
    pub(crate) settings: Settings,
    deflaters: Mutex<Vec<Box<Deflater>>>,
    inflaters: Mutex<Vec<Box<Inflater>>>,
}

/// More than threads that compress at the same moment.
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

/// One direction of a connection's compression; by default there is none.
#[derive(Default)]
pub(crate) struct Compression {
    #[cfg(feature = "deflate")]
    pool: Option<Arc<Pool>>,
    /// What sends, if it remembers something.
    #[cfg(feature = "deflate")]
    deflater: Option<Box<Deflater>>,
    /// The buffer that receives has an inflater of the pool's.
    #[cfg(feature = "deflate")]
    lent: bool,
}

impl Compression {
    /// What `endpoint` needs, from `pool`.
    #[cfg(feature = "deflate")]
    pub(crate) fn new<R: ws_proto::Role>(endpoint: &Endpoint<R>, pool: Option<&Arc<Pool>>) -> Self {
        Self { pool: pool.filter(|_| endpoint.deflate().is_some()).cloned(), ..Self::default() }
    }

    /// Another direction's, of the same pool.
    pub(crate) fn other(&self) -> Self {
        #[cfg(feature = "deflate")]
        return Self { pool: self.pool.clone(), ..Self::default() };
        #[cfg(not(feature = "deflate"))]
        Self::default()
    }

    pub(crate) const fn is_on(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.pool.is_some();
        #[cfg(not(feature = "deflate"))]
        false
    }

    /// Appends a message to `out`, compressed if that is on and worth it.
    #[inline(always)]
    pub(crate) fn write<R: ws_proto::Role>(
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
    fn write_deflated<R: ws_proto::Role>(
        &mut self,
        endpoint: &mut Endpoint<R>,
        message: Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.deflating(|deflater| endpoint.write_deflated_to(message, deflater, out))
    }

    /// Appends part of a message to `out`, compressed if that is on.
    pub(crate) fn write_part<R: ws_proto::Role>(
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

    /// `buffer`, with the limits of what may come compressed.
    pub(crate) fn limit(&self, buffer: MessageBuffer<Vec<u8>>) -> MessageBuffer<Vec<u8>> {
        #[cfg(feature = "deflate")]
        if let Some(pool) = &self.pool {
            let mut buffer = buffer;
            buffer.set_inflate_limits(pool.settings.inflate);
            return buffer;
        }
        buffer
    }

    /// Sees to an inflater of the pool's before `buffer` is used.
    #[inline]
    pub(crate) fn lend(&mut self, buffer: &mut MessageBuffer<Vec<u8>>) {
        #[cfg(feature = "deflate")]
        if let (Some(pool), false) = (&self.pool, self.lent) {
            if let Some(inflater) = take(&pool.inflaters) {
                buffer.set_inflater(inflater);
            }
            // If there was none, `buffer` makes one when it needs it.
            self.lent = true;
        }
        #[cfg(not(feature = "deflate"))]
        let _ = buffer;
    }

    /// Takes the inflater back before a long wait, if it has nothing to remember.
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

    /// Bytes of memory that are this connection's.
    pub(crate) fn held_bytes(&self) -> usize {
        #[cfg(feature = "deflate")]
        return self.deflater.as_ref().map_or(0, |deflater| deflater.held_bytes());
        #[cfg(not(feature = "deflate"))]
        0
    }
}
