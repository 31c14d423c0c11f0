//! The turn of a connection in an event loop.

use core::{fmt, ops::ControlFlow, time::Duration};
use std::io::{self, Read, Write};

use alloc::{vec, vec::Vec};

use super::{Deadlines, Pool};
use crate::{
    connection::{Connection, Opens, Reading, attempt},
    time::Instant,
};

/// The number of reads after which it is another connection's turn.
const READS: usize = 16;
/// The length of the buffer that all connections read into, in bytes.
const INPUT_LEN: usize = 128 * 1024;

/// The connections of an event loop take turns: memory, a buffer to read into and deadlines are theirs together.
///
/// In its [`turn`](Self::turn) a connection writes, reads and does what is due, on a stream that does not block. It gives its
/// turn up after some reads, so that no peer starves others, and is not read from as long as its output waits.
///
/// - Create a connection without memory, by `Connection::accept_in(None, ..)`. Give it its first turn at once, without waiting
///   for its stream: that arms its deadline.
/// - With edge-triggered readiness, such as that of `mio`, register each stream once, for input and output. With
///   level-triggered readiness, wait for the stream to take output while [`Connection::pending`] is `Some`, and for input
///   otherwise.
/// - After `Break`, drop the connection and its stream. Its deadline is disarmed, and its id is free for another connection.
///
/// The examples `mio_echo` and `mio_room` of the repository, in `tests/hosts/examples`, are whole event loops.
///
/// ```no_run
/// use std::{io, net::{Shutdown, TcpStream}};
/// use ws_proto::{Config, Connection, Instant, Next, Server};
/// use ws_proto::host::{Deadlines, Pool, Turns};
/// use ws_proto::server::{Accept, OriginPolicy};
///
/// let config = Config::default();
/// let pool = Pool::new(&config);
/// let mut turns = Turns::new(pool, Deadlines::new(), |stream: &mut TcpStream| stream.shutdown(Shutdown::Write));
///
/// /// Echoes: connection `id` is new, its stream is ready, or its deadline has passed. `false`: to be dropped.
/// fn run(
///     turns: &mut Turns<TcpStream>,
///     id: usize,
///     (stream, connection): &mut (TcpStream, Connection<'_, Server>),
///     now: Instant,
/// ) -> bool {
///     let turn = turns.turn(id, now).run(stream, connection, |reading| {
///         while let Some(next) = reading.each_message(|message, reply| _ = reply.send(message)) {
///             if let Next::Opening(mut request) = next {
///                 request.accept(&Accept::new()).expect("there is no other field");
///             }
///         }
///     });
///     turn.is_continue()
/// }
///
/// // The loop: wait for streams, no longer than `turns.wait(now)`; `run` those that are ready, and all that `turns.due(now)`
/// // returns. For a stream that has been accepted:
/// # fn accepted(turns: &mut Turns<TcpStream>, config: &Config, stream: TcpStream, id: usize, now: Instant) -> bool {
/// stream.set_nonblocking(true).expect("the stream is a socket");
/// let mut peer = (stream, Connection::accept_in(None, config, OriginPolicy::SameHost, now));
/// let is_kept = run(turns, id, &mut peer, now);
/// # is_kept
/// # }
/// ```
pub struct Turns<T> {
    pool: Pool,
    deadlines: Deadlines,
    /// The buffer that all connections read into.
    input: Vec<u8>,
    half_close: fn(&mut T) -> io::Result<()>,
}

impl<T> Turns<T> {
    /// Creates the turns of connections that use the memory of `pool`. `half_close` ends the output of a stream; its error is
    /// ignored, because the peer is gone then.
    #[must_use]
    pub fn new(pool: Pool, deadlines: Deadlines, half_close: fn(&mut T) -> io::Result<()>) -> Self {
        Self { pool, deadlines, input: vec![0; INPUT_LEN], half_close }
    }

    /// Returns how long to wait for streams; `None` for as long as it takes.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.deadlines.wait(now)
    }

    /// Returns a connection that is to have its [`turn`](Self::turn) whether or not its stream is ready; `None` if there is none.
    /// Call it until then, after the turns of those that are ready. Ignore the id of a connection that the host has dropped
    /// without a `Break`.
    pub fn due(&mut self, now: Instant) -> Option<usize> {
        self.deadlines.pop(now)
    }

    /// Begins the turn of connection `id`, a small number; see [`Deadlines`]. A new connection has its first turn at once.
    pub const fn turn(&mut self, id: usize, now: Instant) -> Turn<'_, T> {
        Turn { turns: self, id, now, until: ReadUntil::WouldBlock }
    }
}

impl<T> fmt::Debug for Turns<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// The read that ends a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadUntil {
    /// One that would block.
    WouldBlock,
    /// One that does not fill the buffer, which saves a read: for event loops that announce bytes that come after it. `epoll` does
    /// so, unless it has announced the end of the stream already.
    Short,
}

/// The turn of one connection; see [`Turns`].
#[must_use]
#[derive(Debug)]
pub struct Turn<'t, T> {
    turns: &'t mut Turns<T>,
    id: usize,
    now: Instant,
    until: ReadUntil,
}

/// The state of a connection after its turn.
enum Rest {
    /// It waits for its stream or its deadline.
    Waits,
    /// It can go on, after all others that are ready.
    Ready,
    Over,
}

impl<T: Read + Write> Turn<'_, T> {
    /// Returns this turn, ended by another read than one that would block.
    pub const fn until(mut self, until: ReadUntil) -> Self {
        self.until = until;
        self
    }

    /// Reads and writes until the stream would block or the turn is over, and does what is due.
    ///
    /// `on_read` takes all that [`Reading::next`] or [`Reading::each_message`] returns. It is called after each read, the one that
    /// finds the end of the stream included, and after a deadline that has passed.
    ///
    /// Returns `Break` when the connection and the stream are to be dropped: with `Ok` if the connection is over, with the error
    /// if the stream has failed. `on_read` is not called for such an error, so the connection's
    /// [`Next::Closed`](crate::Next::Closed) may not have been returned.
    pub fn run<R: Opens>(
        self,
        stream: &mut T,
        connection: &mut Connection<'_, R>,
        on_read: impl FnMut(&mut Reading<'_, '_, R>),
    ) -> ControlFlow<io::Result<()>> {
        self.lend(connection, |turn, connection| turn.work(stream, connection, on_read))
    }

    /// Sends at any time, also while the stream is not ready: `send` sends, such as by
    /// [`Connection::send_prepared`], and output that is pending after it is written as far as the stream takes it. Nothing is
    /// read.
    ///
    /// Returns `Break` as [`run`](Self::run) does.
    pub fn send<R: Opens>(
        self,
        stream: &mut T,
        connection: &mut Connection<'_, R>,
        send: impl FnOnce(&mut T, &mut Connection<'_, R>),
    ) -> ControlFlow<io::Result<()>> {
        self.lend(connection, |turn, connection| {
            send(stream, connection);
            turn.write(stream, connection)?;
            Ok(if connection.is_over() { Rest::Over } else { Rest::Waits })
        })
    }

    /// Lends memory for `work`, and arms the deadline after it.
    fn lend<R: Opens>(
        mut self,
        connection: &mut Connection<'_, R>,
        work: impl FnOnce(&mut Self, &mut Connection<'_, R>) -> io::Result<Rest>,
    ) -> ControlFlow<io::Result<()>> {
        self.turns.pool.lend(connection);
        let rest = work(&mut self, connection);
        let deadline = match rest {
            Ok(Rest::Waits) => connection.poll_timeout(),
            Ok(Rest::Ready) => Some(self.now.saturating_add(Duration::from_nanos(1))),
            Ok(Rest::Over) | Err(_) => None,
        };
        self.turns.deadlines.arm(self.id, deadline);
        self.turns.pool.take_back(connection);
        match rest {
            Ok(Rest::Waits | Rest::Ready) => ControlFlow::Continue(()),
            Ok(Rest::Over) => ControlFlow::Break(Ok(())),
            Err(error) => ControlFlow::Break(Err(error)),
        }
    }

    /// Does all of the turn but to lend memory.
    fn work<R: Opens>(
        &mut self,
        stream: &mut T,
        connection: &mut Connection<'_, R>,
        mut on_read: impl FnMut(&mut Reading<'_, '_, R>),
    ) -> io::Result<Rest> {
        let rest = self.read(stream, connection, &mut on_read)?;
        if connection.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
            connection.handle_timeout(self.now);
            // The end may have become certain.
            on_read(&mut connection.reading(&mut []));
        }
        self.write(stream, connection)?;
        Ok(if connection.is_over() { Rest::Over } else { rest })
    }

    /// Writes all that is pending; returns whether the stream has taken all of it.
    fn write<R: Opens>(&self, stream: &mut T, connection: &mut Connection<'_, R>) -> io::Result<bool> {
        connection.write_to(stream, || self.now, self.turns.half_close)
    }

    /// Reads as often as may be, and writes before each read.
    fn read<R: Opens>(
        &mut self,
        stream: &mut T,
        connection: &mut Connection<'_, R>,
        on_read: &mut impl FnMut(&mut Reading<'_, '_, R>),
    ) -> io::Result<Rest> {
        for _ in 0..READS {
            if !self.write(stream, connection)? {
                return Ok(Rest::Waits);
            }
            let mut reading = connection.reading(&mut self.turns.input);
            let room_len = reading.room().len();
            let Some(len) = attempt(|| stream.read(reading.room()))? else { return Ok(Rest::Waits) };
            reading.received(self.now, len);
            on_read(&mut reading);
            if len == 0 || self.until == ReadUntil::Short && len < room_len {
                return Ok(Rest::Waits);
            }
        }
        Ok(Rest::Ready)
    }
}
