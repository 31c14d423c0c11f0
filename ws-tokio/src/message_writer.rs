use core::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::io;

use tokio::io::AsyncWrite;
use ws_proto::{
    MessageKind, Part,
    driver::{Error, Result},
};

/// Length of a part in bytes.
const PART_LEN: usize = 16 * 1024;

/// A writer of one message in parts of 16 KiB, for a message that does not fit in memory or is not complete yet.
///
/// It implements [`AsyncWrite`]. Text may be written in any pieces. [`finish`](Self::finish) or a shutdown ends the message. If
/// the writer is dropped before that and has sent a part, the message stays unfinished and no other message can be sent: close
/// the connection then. If it has sent none, nothing of the message is sent.
pub struct MessageWriter<'a> {
    parts: Box<dyn Parts + Send + 'a>,
    kind: MessageKind,
    begun: bool,
    part: Vec<u8>,
    finished: bool,
}

/// A destination of parts.
pub(crate) trait Parts {
    fn poll_queue_part(
        &mut self,
        kind: MessageKind,
        part: Part,
        payload: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>>;

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;
}

impl<'a> MessageWriter<'a> {
    pub(crate) fn new(parts: impl Parts + Send + 'a, kind: MessageKind) -> Self {
        Self { parts: Box::new(parts), kind, begun: false, part: Vec::new(), finished: false }
    }

    /// Sends the rest as the last part, and writes all queued output.
    ///
    /// # Cancel safety
    ///
    /// The future owns the writer. If it is dropped, the last part has been queued whole, or it is lost and the message is as if
    /// the writer had been dropped. Where the call may be dropped, call
    /// [`shutdown`](tokio::io::AsyncWriteExt::shutdown) until it returns instead: it ends the message too, and loses nothing.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`](crate::WebSocket::send), and [`SendError::InvalidUtf8`](ws_proto::SendError::InvalidUtf8) if a
    /// text is not UTF-8 or ends inside a code point.
    pub async fn finish(mut self) -> Result<()> {
        poll_fn(|cx| self.poll_finish(cx)).await
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.finished {
            ready!(self.poll_send_part(true, cx))?;
            self.finished = true;
        }
        self.parts.poll_flush(cx)
    }

    fn poll_send_part(&mut self, last: bool, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let part = match (self.begun, last) {
            (false, false) => Part::First,
            (false, true) => Part::Whole,
            (true, false) => Part::Middle,
            (true, true) => Part::Last,
        };
        ready!(self.parts.poll_queue_part(self.kind, part, &self.part, cx))?;
        self.begun = true;
        self.part.clear();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MessageWriter<'_> {
    /// Takes some of `bytes` and returns how many. On an error it has taken none of them.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.part.len() >= PART_LEN {
            ready!(self.poll_send_part(false, cx)).map_err(io::Error::from)?;
        }
        let taken = bytes.get(..PART_LEN - self.part.len()).unwrap_or(bytes);
        self.part.extend_from_slice(taken);
        Poll::Ready(Ok(taken.len()))
    }

    /// Sends the bytes written so far as a part, and writes all queued output.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.part.is_empty() {
            ready!(self.poll_send_part(false, cx)).map_err(io::Error::from)?;
        }
        self.parts.poll_flush(cx).map_err(|error: Error| error.into())
    }

    /// Ends the message, as [`MessageWriter::finish`] does.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_finish(cx).map_err(|error: Error| error.into())
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
