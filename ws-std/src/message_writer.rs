use core::fmt;
use std::io::{self, Write};

use ws_proto::{
    MessageKind, Part,
    driver::{Error, Result},
};

use crate::{outgoing, shared::Link};

/// Length of a part in bytes.
const PART_LEN: usize = 16 * 1024;

/// A writer of one message in parts of 16 KiB, for a message that does not fit in memory or is not complete yet.
///
/// Text may be written in any pieces. [`finish`](Self::finish) ends the message. If the writer is dropped before, the
/// message stays unfinished and no other message can be sent: close the connection then.
pub struct MessageWriter<'a> {
    parts: &'a mut dyn Parts,
    kind: MessageKind,
    begun: bool,
    part: Vec<u8>,
}

/// A destination of parts: any [`Link`].
pub(crate) trait Parts {
    fn queue_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()>;
    fn flush(&mut self) -> Result<()>;
}

impl<L: Link> Parts for L {
    fn queue_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
        outgoing::queue_part(self, kind, part, payload)
    }

    fn flush(&mut self) -> Result<()> {
        outgoing::flush(self)
    }
}

impl<'a> MessageWriter<'a> {
    pub(crate) fn new(parts: &'a mut dyn Parts, kind: MessageKind) -> Self {
        Self { parts, kind, begun: false, part: Vec::new() }
    }

    /// Sends the rest as the last part, and writes all queued output.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`](crate::WebSocket::send), and
    /// [`SendError::InvalidUtf8`](ws_proto::SendError::InvalidUtf8) if a text is not UTF-8 or ends inside a code point.
    pub fn finish(mut self) -> Result<()> {
        self.send_part(true)?;
        self.parts.flush()
    }

    fn send_part(&mut self, last: bool) -> Result<()> {
        let part = match (self.begun, last) {
            (false, false) => Part::First,
            (false, true) => Part::Whole,
            (true, false) => Part::Middle,
            (true, true) => Part::Last,
        };
        let queued = self.parts.queue_part(self.kind, part, &self.part);
        // After an `Io` error the part is queued, so a repeated call must not queue it again.
        if matches!(queued, Ok(()) | Err(Error::Io(_))) {
            self.begun = true;
            self.part.clear();
        }
        queued
    }
}

impl Write for MessageWriter<'_> {
    /// Takes some of `bytes` and returns how many. On an error it has taken none of them; after a timeout the call may
    /// be repeated.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.len() >= PART_LEN {
            self.send_part(false).map_err(io::Error::from)?;
        }
        let taken = bytes.get(..PART_LEN - self.part.len()).unwrap_or(bytes);
        self.part.extend_from_slice(taken);
        Ok(taken.len())
    }

    /// Sends the bytes written so far as a part, and writes all queued output.
    fn flush(&mut self) -> io::Result<()> {
        if !self.part.is_empty() {
            self.send_part(false).map_err(io::Error::from)?;
        }
        self.parts.flush().map_err(io::Error::from)
    }
}

impl fmt::Debug for MessageWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWriter")
            .field("kind", &self.kind)
            .field("begun", &self.begun)
            .finish_non_exhaustive()
    }
}
