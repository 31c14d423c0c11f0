//! A connection over a stream of the standard library.

use std::io::{self, ErrorKind, Read, Write};

use super::{
    Connection, Pending,
    memory::{Allocation, Holder},
    opening::Opens,
};
use crate::time::Instant;

impl<R: Opens, S: Allocation> Connection<'_, R, S> {
    /// Writes to `stream` all that is pending, then reads from it once. Call it until the connection [is over](Self::is_over), and
    /// after each call take all that [`next`](Self::next) returns.
    ///
    /// The stream blocks no longer than its timeouts, which the host has set: one that passes is no error, but the time for what
    /// is due ([`handle_timeout`](Self::handle_timeout) is included), and for other work of the host. As long as the stream does
    /// not take all output it is not read from: two sides that both send more than the sockets hold before they read stop each other,
    /// until the write timeout.
    ///
    /// `now` reads the clock. `half_close` ends the output of the stream; that it fails is ignored, because the peer is gone then.
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
    ///     let now = || epoch.elapsed().into();
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
    /// Those of `stream` other than [`WouldBlock`](ErrorKind::WouldBlock) and [`TimedOut`](ErrorKind::TimedOut). Leave the loop and
    /// drop the stream then: output that no stream takes keeps the connection from [being over](Self::is_over) until the write
    /// timeout. After [`received`](Self::received) with 0, [`next`](Self::next) returns how the connection has ended.
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
            Pending::Bytes(bytes) => attempt(|| stream.write(bytes)).map(Option::unwrap_or_default),
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
