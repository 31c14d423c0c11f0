//! A connection as a stream of bytes.

use core::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::io;

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use ws_proto::{
    Cause, CloseCode, Closed, Control, Event, Message, MessageKind, SendError, State,
    driver::{Error, Result},
    error::Fault,
    role::Role,
};

use crate::{CloseReply, NetStream, Reader, WebSocket, Writer, incoming::Unit, output::Core};

/// The longest message that a write makes, in bytes. Longer ones are no faster: from 4 KiB on the socket takes most of the time,
/// and more output would wait.
const MESSAGE_LEN: usize = 16 * 1024;

/// A connection as a stream of bytes, from [`WebSocket::into_byte_stream`]: the payload of binary messages, whose boundaries
/// are not kept.
///
/// It does what code for TCP expects of a stream, `copy_bidirectional` and `tokio::io::split` included: each direction has its own
/// end.
///
/// ```no_run
/// use tokio::{io::copy_bidirectional, net::TcpStream};
///
/// # async fn tunnel() -> Result<(), Box<dyn std::error::Error>> {
/// let ws = ws_tokio::connect("ws://127.0.0.1:9001/ssh").await?;
/// let mut local = TcpStream::connect("127.0.0.1:22").await?;
/// copy_bidirectional(&mut ws.into_byte_stream(), &mut local).await?;
/// # Ok(()) }
/// ```
///
/// # Reading
///
/// Payload is returned as it comes; no message is put together. A message may therefore be of any length that the limits in
/// [`Config`](crate::Config) admit, at no cost of memory: for a peer that makes longer ones than 1 MiB raise
/// [`max_message_len`](crate::Config::max_message_len). Empty messages are skipped.
///
/// | event | result of a read |
/// |---|---|
/// | the peer's Close, with 1000 or without a code | the end: 0 bytes, again and again |
/// | its Close with another code, also 1001 and 1011 | `ConnectionReset` with code and reason, and the Close is answered |
/// | its Close in the middle of a message, or the end of the transport without one | `UnexpectedEof` |
/// | a text message | `InvalidData`; the connection fails with 1003 |
/// | a message beyond a limit, a fault of the peer | `InvalidData`, with an [`Error`](crate::Error) as the inner error |
/// | no Pong, no frame for the idle timeout | `TimedOut` |
///
/// Reading answers Pings and runs the timers of the connection. If this side does not read for long, because it can't pass the
/// bytes on, the peer ends the connection: because it [probes](crate::Config::keepalive_interval), or because its output does not
/// leave within its [`write_timeout`](crate::Config::write_timeout).
///
/// # Writing
///
/// A write makes a binary message of at most 16 KiB. As with other streams that have a buffer, written bytes are sent by a flush, by
/// a read that waits, or when 64 KiB have come together. A shutdown sends a Close with 1000 and returns when that has
/// left; a write after it, or after the connection has ended, is a `BrokenPipe`.
///
/// A stream that is dropped without a shutdown ends without a Close: its peer gets an error, not an end that looks complete.
/// Written bytes that have not been flushed may be lost then.
///
/// # Half-close
///
/// After the peer's end, writing goes on, and after a shutdown, reading: [`CloseReply::HalfClose`]. Both ends have to know
/// that. A peer that is not a `ByteStream` mostly answers a Close at once, which ends its direction too, and reads nothing after
/// its own Close. Once one direction has ended, [`idle_timeout`](crate::Config::idle_timeout) limits the silence of the other.
///
/// # Cancel safety
///
/// All progress is in the stream: a read or write that is dropped has taken no byte.
///
/// # Memory
///
/// None while it is idle. Otherwise up to 64 KiB of input (with compression 16 KiB of inflated bytes besides), and up to 64 KiB
/// and one message, 80 KiB, of output.
pub struct ByteStream<R: Role, S = NetStream> {
    reader: Reader<R, S>,
    writer: Writer<R, S>,
    /// The number of bytes that have been taken of the part at hand.
    taken: usize,
    /// The part at hand does not end its message.
    in_message: bool,
    /// The peer's Close has come.
    has_ended: bool,
    /// Our Close has left.
    is_shut: bool,
}

impl<R: Role, S> WebSocket<R, S> {
    /// Makes the connection a stream of bytes, for tunnels and multiplexers.
    ///
    /// A message that has been read in part is lost, as far as it has been read.
    #[must_use]
    pub fn into_byte_stream(self) -> ByteStream<R, S> {
        let (reader, writer) = self.split();
        reader.with_core(|core| core.set_close_reply(CloseReply::HalfClose));
        ByteStream { reader, writer, taken: 0, in_message: false, has_ended: false, is_shut: false }
    }
}

impl<R: Role, S> ByteStream<R, S> {
    /// Returns the subprotocol that both sides have agreed on in the opening handshake, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.reader.subprotocol()
    }

    /// Returns the code and the reason of the peer's Close, once it has come.
    #[must_use]
    pub fn close_frame(&self) -> Option<(CloseCode, String)> {
        self.reader.close_frame()
    }

    /// Returns the number of bytes of output that are waiting to be written.
    #[must_use]
    pub fn pending_len(&self) -> usize {
        self.reader.pending_len()
    }

    /// Looks at the stream below, by `look`. `None`: it has been handed out.
    pub fn with_stream<X>(&self, look: impl FnOnce(&S) -> X) -> Option<X> {
        self.reader.with_stream(look)
    }

    /// Returns the bytes that have come and have not been taken.
    fn available(&self) -> &[u8] {
        let bytes = self.reader.incoming.part().map_or(&[][..], |(_, _, payload)| payload);
        bytes.get(self.taken..).unwrap_or_default()
    }

    /// Returns whether the peer's direction is complete, after its Close.
    fn end(&self) -> io::Result<()> {
        match self.close_frame() {
            Some((CloseCode::NORMAL | CloseCode::NO_STATUS, _)) if !self.in_message => Ok(()),
            Some((CloseCode::NORMAL | CloseCode::NO_STATUS, _)) | None => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "connection ended inside of a message"))
            }
            Some((code, reason)) => {
                let text = format!("peer closed the connection with {}: {reason}", code.get());
                Err(io::Error::new(io::ErrorKind::ConnectionReset, text))
            }
        }
    }
}

impl<R: Role, S: AsyncRead + AsyncWrite + Unpin> ByteStream<R, S> {
    /// Waits until bytes are available, or the peer's direction has ended.
    fn poll_available(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.has_ended && self.available().is_empty() {
            match ready!(self.reader.poll_event(Unit::Part, cx)).map_err(of_io)? {
                Some(Event::Data(())) => self.begin_part(),
                Some(Event::Control(Control::Close)) | None => self.receive_end(cx),
                Some(Event::Control(_)) => {}
            }
        }
        Poll::Ready(if self.has_ended { self.end() } else { Ok(()) })
    }

    fn begin_part(&mut self) {
        let Some((kind, part, payload)) = self.reader.incoming.part() else {
            debug_assert!(false, "data has a part");
            return;
        };
        self.in_message = !part.is_last();
        self.taken = 0;
        if kind == MessageKind::Text {
            self.taken = payload.len();
            // The next look at the input returns the error.
            self.reader.with_core(|core| core.refuse(Fault::UnsupportedData));
        }
    }

    /// Takes note of the peer's Close, and gives up our direction if something went wrong.
    fn receive_end(&mut self, cx: &mut Context<'_>) {
        self.has_ended = true;
        if self.end().is_err() {
            self.reader.with_core(|core| core.set_close_reply(CloseReply::Echo));
        }
        // The last words, for the case that the application does not write any more. They are also sent when it is dropped.
        let _ = self.writer.outgoing().poll_flush(cx);
    }
}

impl<R: Role, S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ByteStream<R, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_available(cx))?;
        let bytes = self.available();
        let bytes = bytes.get(..room.remaining()).unwrap_or(bytes);
        room.put_slice(bytes);
        self.taken += bytes.len();
        Poll::Ready(Ok(()))
    }
}

impl<R: Role, S: AsyncRead + AsyncWrite + Unpin> AsyncBufRead for ByteStream<R, S> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_available(cx))?;
        Poll::Ready(Ok(this.available()))
    }

    fn consume(mut self: Pin<&mut Self>, len: usize) {
        self.taken += len.min(self.available().len());
    }
}

impl<R: Role, S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ByteStream<R, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = bytes.get(..MESSAGE_LEN).unwrap_or(bytes);
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let queued = self
            .writer
            .outgoing()
            .poll_with_room(cx, bytes.len(), |core, cx| core.write_message(Message::Binary(bytes), cx));
        ready!(queued).map_err(of_io)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_shut {
            return Poll::Ready(Ok(()));
        }
        self.writer.outgoing().poll_flush(cx).map_err(of_io)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            self.writer.outgoing().act(end_direction).map_err(of_io)?;
            ready!(self.writer.outgoing().poll_flush(cx)).map_err(of_io)?;
            self.is_shut = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// Queues the Close of our direction, unless that has been done.
///
/// # Errors
///
/// [`SendError::Closing`] if the connection has failed or ended before: then written bytes may be lost.
fn end_direction<R: Role, S>(core: &mut Core<R, S>) -> Result<()> {
    let is_lost = matches!(core.endpoint.state(), State::Closed(closed) if !closed.clean);
    if is_lost || core.endpoint.failure().is_some() {
        return Err(Error::Send(SendError::Closing));
    }
    core.queue_close(CloseCode::NORMAL, "")
}

/// Returns the error for code that knows only those of I/O, with the cause as its inner error.
fn of_io(error: Error) -> io::Error {
    let kind = match &error {
        Error::Receive(_) => io::ErrorKind::InvalidData,
        Error::Send(SendError::Closing) => io::ErrorKind::BrokenPipe,
        Error::Unclean(Closed {
            cause: Cause::PongTimeout | Cause::IdleTimeout | Cause::MessageTimeout | Cause::CloseTimeout,
            ..
        }) => io::ErrorKind::TimedOut,
        Error::Unclean(_) => io::ErrorKind::UnexpectedEof,
        // These have a kind of their own, or none.
        _ => return error.into(),
    };
    io::Error::new(kind, error)
}

impl<R: Role, S> fmt::Debug for ByteStream<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream")
            .field("available", &self.available().len())
            .field("has_ended", &self.has_ended)
            .field("is_shut", &self.is_shut)
            .finish_non_exhaustive()
    }
}
