use core::fmt;

/// The payload of a Ping or a Pong, at most 125 bytes; it dereferences to them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ControlPayload {
    bytes: [u8; 125],
    len: u8,
}

impl ControlPayload {
    /// Copies a payload, of which at most 125 bytes.
    #[must_use]
    pub fn new(payload: &[u8]) -> Self {
        let mut bytes = [0; 125];
        for (to, from) in bytes.iter_mut().zip(payload) {
            *to = *from;
        }
        Self { bytes, len: u8::try_from(payload.len().min(125)).unwrap_or_default() }
    }
}

impl core::ops::Deref for ControlPayload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
