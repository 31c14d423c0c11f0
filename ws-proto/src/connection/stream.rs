//! A connection over a stream of the standard library.

use std::io::{self, ErrorKind, Read, Write};

use super::{
    Connection, Pending,
    memory::{Allocation, Holder},
    opening::Opens,
    write_len::write_len,
};
use crate::{part::part, time::Instant};

impl<R: Opens, S: Allocation> Connection<'_, R, S> {
    /// Writes to `stream` all that is pending, then reads from it once. Call it until the connection [is over](Self::is_over), and
    /// after each call take all that [`next`](Self::next) returns. Replies that are queued meanwhile leave with the next call.
    ///
    /// Set a read timeout and a write timeout on a stream that blocks. When one passes, the call runs the timers that are due
    /// ([`handle_timeout`](Self::handle_timeout)) and returns without an error. Without them a call that waits for the peer
    /// misses every deadline.
    ///
    /// A stream that does not block works too. In an event loop, call `drive` when the stream is ready and when
    /// [`poll_timeout`](Self::poll_timeout) has passed. After it, wait for the stream to take output while
    /// [`pending`](Self::pending) is `Some`, and for input otherwise. Because a call reads once, the readiness has to be
    /// level-triggered; `host::Turns` also serves streams that are edge-triggered.
    ///
    /// As long as the stream does not take all output it is not read from. So two sides that both send more than the sockets
    /// hold before they read deadlock, until [`Config::write_timeout`](crate::Config::write_timeout) ends the connection. Small
    /// messages, each sent when [`pending_len`](Self::pending_len) is 0, make that unlikely. `split` (feature `alloc`) and a
    /// thread for each half rule it out.
    ///
    /// `now` reads the clock. `half_close` ends the output of the stream; its error is ignored, because the peer is gone then.
    ///
    /// ```no_run
    /// use std::{io, net::{Shutdown, TcpStream}, time::{Duration, Instant}};
    /// use ws_proto::{Config, Connection, Next};
    /// use ws_proto::server::{Accept, OriginPolicy};
    ///
    /// /// Echoes until the connection is over.
    /// fn echo(mut stream: TcpStream) -> io::Result<()> {
    ///     stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    ///     stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    ///     let epoch = Instant::now();
    ///     let now = || epoch.elapsed().into(); // a `ws_proto::Instant`: the time since `epoch`
    ///     let mut connection = Connection::accept(&Config::default(), OriginPolicy::SameHost, now());
    ///     while !connection.is_over() {
    ///         connection.drive(&mut stream, now, |stream| stream.shutdown(Shutdown::Write))?;
    ///         while let Some(next) = connection.next() {
    ///             match next {
    ///                 Next::Opening(mut request) => request.accept(&Accept::new()).map_err(io::Error::other)?,
    ///                 Next::Data(message, mut reply) => _ = reply.send(message), // refused while closing
    ///                 Next::Control(_) | Next::Closed(_) => {}
    ///             }
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of `stream` other than [`WouldBlock`](ErrorKind::WouldBlock) and [`TimedOut`](ErrorKind::TimedOut), such as a reset.
    /// Leave the loop and drop the stream then: output that no stream takes keeps the connection from
    /// [being over](Self::is_over) until the write timeout. To learn how the connection has ended, call
    /// [`received(now, 0)`](Self::received) and then [`next`](Self::next) until it returns [`Next::Closed`](super::Next::Closed),
    /// with [`Cause::Eof`](crate::Cause::Eof) unless the end was certain before. The end of the input is no error: `next` returns
    /// it as `Closed` by itself.
    pub fn drive<T: Read + Write>(
        &mut self,
        stream: &mut T,
        now: impl Fn() -> Instant,
        half_close: impl FnMut(&mut T) -> io::Result<()>,
    ) -> io::Result<()> {
        // As of the last read: input may have come since, and must not count against the peer.
        let read_at = self.memory.get().now;
        self.handle_timeout(read_at);
        let is_written = self.write_to(stream, &now, half_close)?;
        if self.is_over() {
            return Ok(());
        }
        let len = if is_written { attempt(|| stream.read(self.room()))? } else { None };
        match len {
            Some(len) => self.received(now(), len),
            None => self.handle_timeout(now()),
        }
        Ok(())
    }

    /// Writes to `stream` all that is pending; returns whether it has taken all of it.
    pub(crate) fn write_to<T: Write>(
        &mut self,
        stream: &mut T,
        now: impl Fn() -> Instant,
        mut half_close: impl FnMut(&mut T) -> io::Result<()>,
    ) -> io::Result<bool> {
        self.flush_by(now, |pending| match pending {
            Pending::Bytes(bytes) => {
                let bytes = part(bytes, ..write_len(bytes.len()));
                attempt(|| stream.write(bytes)).map(Option::unwrap_or_default)
            }
            // A peer that is gone needs no farewell.
            Pending::Shutdown => Ok(half_close(stream).map_or(0, |()| 0)),
        })?;
        Ok(self.pending().is_none())
    }
}

/// Reads or writes by `operation`; `None` if the stream can do nothing for now.
pub(crate) fn attempt<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<Option<T>> {
    loop {
        match operation() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
            result => return result.map(Some),
        }
    }
}
