//! A connection from the first byte of its opening handshake to the last of its close, for both roles, with its buffers.

mod assembly;
mod failure;
mod memory;
mod message_buffer;
mod next;
mod opening;
mod outgoing;
mod output;
#[cfg(feature = "bytes")]
mod owned;
mod queue;
mod reading;
mod retention;
mod room;
mod storage;
#[cfg(feature = "std")]
mod stream;
mod waiting;
mod write_deadline;
mod write_len;

use core::fmt;

use self::opening::{Accepting, Connecting, Parts, Phase, hold};
use crate::{
    client,
    close::CloseCode,
    config::Config,
    endpoint::{Endpoint, Prepared},
    error::SendError,
    handshake::{HandshakeError, WriteError},
    message::{Data, Message, MessageKind, Part},
    role::{Client, Entropy, Server},
    server::OriginPolicy,
    time::{Instant, earliest},
};

pub use crate::endpoint::{Cause, Closed, State};
pub use failure::Failure;
pub use memory::{Allocation, DefaultStorage, Holder, Memory};
pub use message_buffer::MessageBuffer;
use next::to_next;
pub use next::{Next, Reply};
pub use opening::{Opens, Request};
pub use outgoing::Outgoing;
pub use output::{DefaultQueue, Output, Pending};
pub use queue::{FixedQueue, Queue};
pub use reading::Reading;
pub use retention::Retention;
pub use storage::Storage;
#[cfg(feature = "std")]
pub(crate) use stream::attempt;
pub use write_deadline::WriteDeadline;
pub use write_len::{joins_write, write_len};

/// A connection from the first byte of its opening handshake to the last of its close.
///
/// It does no I/O. The host reads into [`room`](Self::room) and reports the length by [`received`](Self::received), takes
/// everything that [`next`](Self::next) returns, writes what is [`pending`](Self::pending) and reports the length by
/// [`written`](Self::written). It waits no longer than [`poll_timeout`](Self::poll_timeout), after which it calls
/// [`handle_timeout`](Self::handle_timeout). The connection answers Pings, completes the closing handshake and ends itself if
/// the peer is dead. When it [is over](Self::is_over), drop the transport.
///
/// ```
/// use std::io::{self, Read, Write};
/// use ws_proto::{Config, Instant, Server};
/// use ws_proto::connection::{Connection, Next, Pending};
/// use ws_proto::server::{Accept, OriginPolicy};
///
/// /// Echoes until the connection is over.
/// fn echo(mut stream: impl Read + Write, now: impl Fn() -> Instant) -> io::Result<()> {
///     let mut connection = Connection::accept(&Config::default(), OriginPolicy::SameHost, now());
///     while !connection.is_over() {
///         let len = stream.read(connection.room())?;
///         connection.received(now(), len);
///         while let Some(next) = connection.next() {
///             match next {
///                 Next::Opening(mut request) => request.accept(&Accept::new()).map_err(io::Error::other)?,
///                 Next::Data(message, mut reply) => reply.send(message).map_err(io::Error::other)?,
///                 Next::Control(_) => {}
///                 Next::Closed(end) => println!("{end:?}"),
///             }
///         }
///         connection.flush(now(), |pending| match pending {
///             Pending::Bytes(bytes) => stream.write(bytes),
///             Pending::Shutdown => Ok(0), // here a socket is half-closed
///         })?;
///     }
///     Ok(())
/// }
/// # struct Both<'b>(&'b [u8], Vec<u8>);
/// # impl Read for Both<'_> { fn read(&mut self, to: &mut [u8]) -> io::Result<usize> { self.0.read(to) } }
/// # impl Write for Both<'_> {
/// #     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> { self.1.write(bytes) }
/// #     fn flush(&mut self) -> io::Result<()> { Ok(()) }
/// # }
/// # let request = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
/// #     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x82\0\0\0\0Hi";
/// # let mut stream = Both(request, Vec::new());
/// # struct Lent<'l, 'b>(&'l mut Both<'b>);
/// # impl Read for Lent<'_, '_> { fn read(&mut self, to: &mut [u8]) -> io::Result<usize> { self.0.read(to) } }
/// # impl Write for Lent<'_, '_> {
/// #     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> { self.0.write(bytes) }
/// #     fn flush(&mut self) -> io::Result<()> { Ok(()) }
/// # }
/// # echo(Lent(&mut stream), || Instant::ZERO)?;
/// # assert!(stream.1.starts_with(b"HTTP/1.1 101 ") && stream.1.ends_with(b"\x81\x02Hi"));
/// # Ok::<(), io::Error>(())
/// ```
///
/// # Memory
///
/// `S` is where it keeps what it receives. On `Vec<u8>` (feature `alloc`) its [`Memory`] is on the heap, grows with what
/// arrives and shrinks again; an event loop with many connections lends one `Memory` to whichever has something to do
/// ([`attach`](Self::attach), [`detach`](Self::detach)), and an idle connection is then no more than its endpoint. The
/// same holds on `bytes::BytesMut` (feature `bytes`), where messages can own their payload without a copy
/// (`Memory::with_bytes`, `next_owned`). On `&mut [u8]` there is no heap at all: [`accept_in`](Self::accept_in),
/// [`connect_in`](Self::connect_in).
///
/// # Failures
///
/// A peer cannot make a call fail: [`next`](Self::next) returns its errors as [`Next::Closed`], after which the connection
/// ends by itself: it first queues the Close or the refusal that gives the reason. Calls that send return a [`SendError`] if
/// they are refused, and have changed nothing then.
///
/// [`SendError`], [`WriteError`] and [`Failure`] implement [`core::error::Error`], but do not convert into `std::io::Error`: in
/// a function that returns `io::Result`, call `map_err(io::Error::other)`.
pub struct Connection<'a, R: Opens, S: Allocation = DefaultStorage> {
    phase: Phase<'a, R>,
    memory: S::Held,
}

#[cfg(feature = "alloc")]
impl<'a> Connection<'a, Server> {
    /// Creates a server's connection that waits for a request from `now` on, admitting pages by `origin`.
    ///
    /// The connection itself answers a request that is invalid or not for a WebSocket, with an error status such as 400 or 426.
    /// [`next`](Self::next) then returns [`Next::Closed`] with [`Failure::Handshake`], and no [`Next::Opening`]. A host that
    /// serves pages on the same port begins with a [`server::Handshake`](crate::server::Handshake), and
    /// [opens](Connection::open) the connection when it has accepted a request for one.
    #[must_use]
    pub fn accept(config: &Config, origin: OriginPolicy<'a>, now: Instant) -> Self {
        Self::accept_in(Some(alloc::boxed::Box::new(Memory::new(config))), config, origin, now)
    }
}

impl<'a, S: Allocation> Connection<'a, Server, S> {
    /// Creates a server's connection with this memory; see [`accept`](Connection::accept).
    ///
    /// The memory is a [`Memory::fixed`] without a heap, where the type has to be said:
    ///
    /// ```
    /// use ws_proto::{Config, Connection, Instant, Server};
    /// use ws_proto::connection::Memory;
    /// use ws_proto::server::OriginPolicy;
    ///
    /// let (mut input, mut output) = ([0; 1024], [0; 1024 + 14]);
    /// let memory = Memory::fixed(&mut input, &mut output, &Config::default());
    /// let connection: Connection<Server, &mut [u8]> =
    ///     Connection::accept_in(memory, &Config::default(), OriginPolicy::SameHost, Instant::ZERO);
    /// ```
    ///
    /// With a heap, it is `None` for a connection that is
    /// [lent](Self::attach) its memory.
    #[must_use]
    pub fn accept_in(memory: S::Held, config: &Config, origin: OriginPolicy<'a>, now: Instant) -> Self {
        Self { phase: Phase::Opening(hold(Accepting::new(config, origin, now))), memory }
    }

    /// Sends a message that was encoded once for many connections, at `now`, without a copy if that can be.
    ///
    /// If no output is pending, `write` is called once. It offers header and payload to the transport, in one vectored
    /// write, and returns how many of their bytes the transport has taken: 0 if it takes none for now, or has failed. A
    /// copy of the rest is queued; [`written`](Self::written) is included. If output is pending, a copy of the whole
    /// message is queued after it and `write` is not called.
    ///
    /// So a host that keeps the messages itself copies none for a slow peer: it offers a message only while
    /// [`pending`](Self::pending) returns `None`, and the next one when the transport has taken the rest.
    ///
    /// ```
    /// use std::io::{IoSlice, Write};
    /// use ws_proto::{Connection, Instant, SendError, Server};
    /// use ws_proto::endpoint::Prepared;
    ///
    /// /// Sends a message of a room to one of its members.
    /// fn deliver(
    ///     said: &Prepared<Vec<u8>>,
    ///     member: &mut Connection<'_, Server>,
    ///     socket: &mut impl Write,
    ///     now: Instant,
    /// ) -> Result<(), SendError> {
    ///     // An error is found again by the next read or write.
    ///     member.send_prepared(now, said, |slices| socket.write_vectored(&slices.map(IoSlice::new)).unwrap_or(0))
    /// }
    /// # use ws_proto::{Config, Endpoint, MessageKind, endpoint::Negotiated};
    /// # let endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
    /// # let mut member = Connection::open(endpoint, Vec::new(), &Config::default());
    /// # let mut room = [0; 5];
    /// # let said = Prepared::new(MessageKind::Text, b"hello".to_vec())?;
    /// # deliver(&said, &mut member, &mut &mut room[..], Instant::ZERO)?;
    /// # assert_eq!((&room, member.pending_len()), (b"\x81\x05hel", 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`sender`](Self::sender), [`Endpoint::send_prepared`], and [`SendError::BufferTooSmall`] if output of fixed
    /// length has no room for the whole message. `write` has not been called then, and no byte is queued.
    pub fn send_prepared<B: AsRef<[u8]>>(
        &mut self,
        now: Instant,
        prepared: &Prepared<B>,
        write: impl FnOnce([&[u8]; 2]) -> usize,
    ) -> Result<(), SendError> {
        let Reply { endpoint, sending } = self.sender()?;
        sending.output.send_prepared(endpoint, now, prepared, write)
    }
}

#[cfg(feature = "alloc")]
impl<'a, E: Entropy> Connection<'a, Client<E>> {
    /// Creates a client's connection at `now`, whose request is pending.
    ///
    /// `entropy` fills its slice with bytes that cannot be predicted: the operating system's source, a hardware generator.
    ///
    /// ```
    /// use ws_proto::{Config, Connection, Control, EntropyError, Instant, Next, Pending};
    /// use ws_proto::client::{Answer, Request};
    ///
    /// # fn fill(bytes: &mut [u8]) -> Result<(), ()> { bytes.fill(7); Ok(()) } // of course not in earnest
    /// let entropy = |bytes: &mut [u8]| fill(bytes).map_err(|()| EntropyError);
    /// let request = Request::new("example.com", "/chat");
    /// let mut connection = Connection::connect(request, entropy, &Config::default(), Instant::ZERO)?;
    /// let Some(Pending::Bytes(bytes)) = connection.pending() else { panic!("the request is pending") };
    /// assert!(bytes.starts_with(b"GET /chat HTTP/1.1\r\nHost: example.com\r\n")); // the host writes it
    ///
    /// // After each read:
    /// while let Some(next) = connection.next() {
    ///     match next {
    ///         // From here on `connection.send` works.
    ///         Next::Opening(Answer::Open(response)) => println!("open, {:?}", response.subprotocol()),
    ///         Next::Opening(Answer::Refused(refusal)) => println!("refused with {}", refusal.status()),
    ///         Next::Data(message, _reply) => println!("{message:?}"),
    ///         Next::Control(Control::Ping | Control::Pong | Control::Close) => {}
    ///         Next::Closed(end) => println!("{end:?}"),
    ///     }
    /// }
    /// # Ok::<(), ws_proto::handshake::WriteError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The request has a part that cannot be sent, or `entropy` has failed ([`WriteError::Entropy`]).
    pub fn connect(
        request: client::Request<'a>,
        entropy: E,
        config: &Config,
        now: Instant,
    ) -> Result<Self, WriteError> {
        Self::connect_in(Some(alloc::boxed::Box::new(Memory::new(config))), request, entropy, config, now)
    }
}

impl<'a, E: Entropy, S: Allocation> Connection<'a, Client<E>, S> {
    /// Creates a client's connection with this memory; see [`connect`](Connection::connect) and
    /// [`accept_in`](Self::accept_in).
    ///
    /// # Errors
    ///
    /// As [`connect`](Connection::connect), and [`WriteError::BufferTooSmall`] if the output has no room for the request.
    pub fn connect_in(
        mut memory: S::Held,
        request: client::Request<'a>,
        mut entropy: E,
        config: &Config,
        now: Instant,
    ) -> Result<Self, WriteError> {
        let mut nonce = [0; 16];
        entropy.fill(&mut nonce).map_err(|_| WriteError::Entropy)?;
        let handshake = client::Handshake::new(request, nonce, now, config)?;
        let memory_now = memory.get();
        memory_now.now = now;
        memory_now.sending.output.append_head(|out| Ok((handshake.write_request(out)?, ())))?;
        #[cfg(feature = "deflate")]
        if let Some(settings) = request.settings() {
            memory_now.set_deflate(settings);
        }
        let state = Connecting::new(handshake, config.clone(), Client::new(entropy));
        Ok(Self { phase: Phase::Opening(hold(state)), memory })
    }
}

#[cfg(feature = "alloc")]
impl<R: Opens> Connection<'_, R> {
    /// Creates a connection that is open already: its opening handshake was made by an HTTP library.
    ///
    /// `received` is what has been read after the handshake's head.
    #[must_use]
    pub fn open(endpoint: Endpoint<R>, received: alloc::vec::Vec<u8>, config: &Config) -> Self {
        let memory = Memory { incoming: MessageBuffer::from(received), ..Memory::new(config) };
        Self { phase: Phase::Open(endpoint), memory: Some(alloc::boxed::Box::new(memory)) }
    }
}

#[cfg(feature = "alloc")]
impl<R: Opens, S> Connection<'_, R, S>
where
    S: Allocation<Queue = alloc::vec::Vec<u8>, Held = Option<alloc::boxed::Box<Memory<S>>>> + Default,
{
    /// Splits an open connection into halves: what has been received, for the one that reads, and the rest, which all that
    /// send share under a lock. `None` if the connection is not open, which drops it.
    #[must_use]
    pub fn split(self) -> Option<(MessageBuffer<S>, Outgoing<R>)> {
        let Phase::Open(endpoint) = self.phase else { return None };
        let memory = self.memory.map_or_else(|| Memory::empty(&Config::new()), |memory| *memory);
        Some((memory.incoming, Outgoing::new(endpoint, memory.sending.output)))
    }

    /// Lends the connection memory, unless it holds some: then `memory` is returned.
    ///
    /// Attach memory before the connection reads, writes or sends: without any it makes its own, with the deadlines of
    /// [`Config::default`]. The calls that only return something need none.
    pub fn attach(&mut self, memory: alloc::boxed::Box<Memory<S>>) -> Option<alloc::boxed::Box<Memory<S>>> {
        if self.memory.is_some() {
            return Some(memory);
        }
        self.memory = Some(memory);
        None
    }

    /// Returns whether the connection holds memory.
    #[must_use]
    pub const fn has_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Takes the memory back, if nothing in it is unfinished: otherwise the connection keeps it.
    pub fn detach(&mut self) -> Option<alloc::boxed::Box<Memory<S>>> {
        self.memory.take_if(|memory| memory.is_empty())
    }

    /// Lends what is pending to a transport that owns what it writes, at `now`; empty if no bytes are pending.
    /// [`put_back`](Self::put_back) ends the loan. Until then more can be sent, but not lent.
    pub fn lend_output(&mut self, now: Instant) -> alloc::vec::Vec<u8> {
        self.memory.get().sending.output.lend_bytes(now)
    }

    /// Takes back what was [lent](Self::lend_output), of which the transport took the first `len` bytes at `now`. The rest
    /// goes before what was sent meanwhile. [`written`](Self::written) is included.
    pub fn put_back(&mut self, now: Instant, bytes: alloc::vec::Vec<u8>, len: usize) {
        let tell = self.memory.get().sending.output.restore(now, bytes, len);
        if let (Phase::Open(endpoint), true) = (&mut self.phase, tell) {
            endpoint.written(now);
        }
    }
}

impl<'a, R: Opens, S: Allocation> Connection<'a, R, S> {
    /// Creates a connection with this memory that is open already: its opening handshake was made by an HTTP library. Bytes that
    /// have been read after the handshake's head are passed to [`received_in`](Self::received_in) first.
    #[must_use]
    pub const fn open_in(memory: S::Held, endpoint: Endpoint<R>) -> Self {
        Self { phase: Phase::Open(endpoint), memory }
    }

    /// Returns the room for the next read. It is empty only when the connection [is over](Self::is_over), or storage of fixed
    /// length is full of bytes that [`next`](Self::next) has not taken yet.
    pub fn room(&mut self) -> &mut [u8] {
        let incoming = &mut self.memory.get().incoming;
        match &self.phase {
            Phase::Opening(_) => incoming.head_room(),
            Phase::Open(endpoint) => incoming.unfilled(endpoint),
            Phase::Over => &mut [],
        }
    }

    /// Takes note of a read at `now` that has put `len` bytes into [`room`](Self::room). 0 reports that the transport has
    /// ended, as it does for a read of a socket; it is ignored if `room` is empty. Report a read or a write that has failed as 0
    /// too; after a write that has failed, drop the transport as soon as [`next`](Self::next) has returned [`Next::Closed`]:
    /// output that no transport takes keeps the connection from [being over](Self::is_over) until the write timeout.
    ///
    /// The bytes that came before the end are still taken by [`next`](Self::next). Bytes are a sign of life as soon as they
    /// are reported here.
    pub fn received(&mut self, now: Instant, len: usize) {
        if len > 0 {
            let memory = self.memory.get();
            memory.now = now;
            memory.incoming.filled(len);
            self.heard(now);
        } else if !self.room().is_empty() {
            self.receive_eof(now);
        }
    }

    /// Takes note that the transport has ended.
    fn receive_eof(&mut self, now: Instant) {
        let memory = self.memory.get();
        memory.now = now;
        memory.ending.eof = true;
        if memory.incoming.unread().is_empty() {
            self.end_input();
        }
    }

    /// Bytes have been read at `now`: the peer is alive, whenever they are looked at.
    fn heard(&mut self, now: Instant) {
        if let Phase::Open(endpoint) = &mut self.phase {
            endpoint.heard(now);
        }
    }

    /// Ends the input, of which all has been taken that can be.
    fn end_input(&mut self) {
        let memory = self.memory.get();
        memory.ending.eof = false;
        match &mut self.phase {
            Phase::Opening(_) => {
                memory.ending.result =
                    Some(Ok(Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::Eof }));
                memory.sending.output.abandon();
                self.phase = Phase::Over;
            }
            Phase::Open(endpoint) => endpoint.receive_eof(),
            Phase::Over => {}
        }
    }

    /// Returns the next thing that has happened; `None` if more must be read, or a deadline pass. Call it until then.
    ///
    /// The result borrows the connection, which is therefore no `Iterator`: loop by `while let Some(next) = connection.next()`.
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "what it returns borrows the connection")]
    pub fn next(&mut self) -> Option<Next<'_, 'a, R, Message<'_>, S>> {
        if !matches!(self.phase, Phase::Open(_)) {
            return self.next_opening();
        }
        let memory = self.memory.get();
        let Phase::Open(endpoint) = &mut self.phase else { return None };
        let found = memory.incoming.next(endpoint, memory.now);
        to_next(found, endpoint, &mut memory.sending, &mut memory.ending)
    }

    /// Like [`next`](Self::next), for messages too big to be held: payload comes in parts.
    ///
    /// May be called between messages, and where it was called before in a message.
    pub fn next_part(&mut self) -> Option<Next<'_, 'a, R, Data<'_>, S>> {
        if !matches!(self.phase, Phase::Open(_)) {
            return self.next_opening();
        }
        let memory = self.memory.get();
        let Phase::Open(endpoint) = &mut self.phase else { return None };
        let found = memory.incoming.next_part(endpoint, memory.now);
        let incoming = &mut memory.incoming;
        let found = found.map(|event| event.and_then(|event| event.fetch(|| incoming.take_part())));
        to_next(found, endpoint, &mut memory.sending, &mut memory.ending)
    }

    /// [`next`](Self::next) before the connection is open, and after it.
    #[cold]
    fn next_opening<P>(&mut self) -> Option<Next<'_, 'a, R, P, S>> {
        let (parts, error) = match self.poll_head() {
            Ok(None) => {
                if self.memory.get().ending.eof {
                    self.end_input();
                }
                return self.memory.get().ending.result.take().map(Next::Closed);
            }
            Ok(Some(head_len)) => match R::open(self.parts(), head_len) {
                Ok(opening) => return Some(Next::Opening(opening)),
                Err(refused) => refused,
            },
            Err(error) => (self.parts(), error),
        };
        R::fail(parts, error);
        Some(Next::Closed(Err(Failure::Handshake(error))))
    }

    /// Looks for the end of the head that the opening handshake awaits.
    fn poll_head(&mut self) -> Result<Option<usize>, HandshakeError> {
        let Phase::Opening(state) = &mut self.phase else { return Ok(None) };
        let memory = self.memory.get();
        match R::poll_head(state, memory.now, memory.incoming.unread()) {
            Ok(None) if memory.incoming.is_full() => Err(HandshakeError::HeadTooLong),
            found => found,
        }
    }

    fn parts(&mut self) -> Parts<'_, 'a, R, S> {
        let memory = self.memory.get();
        let (received, start) = memory.incoming.head();
        Parts {
            phase: &mut self.phase,
            received,
            start,
            sending: &mut memory.sending,
            ending: &mut memory.ending,
            now: memory.now,
        }
    }

    /// Returns the way to send on an open connection.
    ///
    /// # Errors
    ///
    /// [`SendError::NotOpen`] before the opening handshake is complete, [`SendError::Closing`] when the connection is over.
    pub fn sender(&mut self) -> Result<Reply<'_, R, S>, SendError> {
        match &mut self.phase {
            Phase::Opening(_) => Err(SendError::NotOpen),
            Phase::Over => Err(SendError::Closing),
            Phase::Open(endpoint) => Ok(Reply { endpoint, sending: &mut self.memory.get().sending }),
        }
    }

    /// Queues a message, compressed if that has been agreed on.
    ///
    /// Takes a [`Message`], `&str` or `&String` for a text, `&[u8]`, `&[u8; N]` or `&Vec<u8>` for bytes, and with the feature
    /// `bytes` `&OwnedMessage`.
    ///
    /// # Errors
    ///
    /// As [`sender`](Self::sender) and [`Reply::send`].
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        self.sender()?.send(message)
    }

    /// Queues part of a message as a frame of its own.
    ///
    /// # Errors
    ///
    /// As [`sender`](Self::sender) and [`Reply::send_part`].
    pub fn send_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<(), SendError> {
        self.sender()?.send_part(kind, part, payload)
    }

    /// Queues a Ping; the answer is a [`Control::Pong`](crate::Control::Pong).
    ///
    /// # Errors
    ///
    /// As [`sender`](Self::sender) and [`Reply::ping`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender()?.ping(payload)
    }

    /// Queues our Close at `now` and begins the closing handshake. What the peer still sends is returned by
    /// [`next`](Self::next) until its Close has come.
    ///
    /// # Errors
    ///
    /// As [`sender`](Self::sender) and [`Reply::close`].
    pub fn close(&mut self, now: Instant, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.sender()?.close(now, code, reason)
    }

    /// Returns what is to be done next with the transport; `None` if there is nothing.
    #[must_use]
    pub fn pending(&self) -> Option<Pending<'_>> {
        self.memory.peek().and_then(|memory| memory.sending.output.pending())
    }

    /// Takes note of an attempt to write at `now`, of which the transport took `len` bytes.
    ///
    /// Call it after every attempt, with 0 after one that took nothing: from then on the peer's time counts. What has waited for
    /// room in an output of fixed length is queued.
    pub fn written(&mut self, now: Instant, len: usize) {
        let memory = self.memory.get();
        let tell = memory.sending.output.advance(now, len);
        if let Phase::Open(endpoint) = &mut self.phase {
            if tell {
                endpoint.written(now);
            }
            memory.sending.output.drain(endpoint);
        }
    }

    /// Takes note that the transport is half-closed, and returns whether [`Pending::Shutdown`] asked for that. Call it when all
    /// bytes are written.
    pub fn shut_down(&mut self) -> bool {
        self.memory.get().sending.output.shut_down()
    }

    /// Does all that is pending, through `write`: it returns how many bytes the transport has taken, and for
    /// [`Pending::Shutdown`] any number. 0 bytes end the call, as an error does: the transport takes no more for now. Includes
    /// [`written`](Self::written) and [`shut_down`](Self::shut_down).
    ///
    /// # Errors
    ///
    /// Those of `write`, `WouldBlock` among them, which is no reason to drop the connection: call `flush` again when the
    /// transport takes more. An error of the half-close may be ignored: the peer is gone then.
    pub fn flush<X>(&mut self, now: Instant, write: impl FnMut(Pending<'_>) -> Result<usize, X>) -> Result<(), X> {
        self.flush_by(|| now, write)
    }

    /// Does what [`flush`](Self::flush) does, by a clock.
    fn flush_by<X>(
        &mut self,
        now: impl Fn() -> Instant,
        mut write: impl FnMut(Pending<'_>) -> Result<usize, X>,
    ) -> Result<(), X> {
        while let Some(pending) = self.pending() {
            let is_shutdown = pending == Pending::Shutdown;
            let result = write(pending);
            if is_shutdown {
                self.shut_down();
                result?;
                continue;
            }
            self.written(now(), *result.as_ref().unwrap_or(&0));
            if result? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout) at the latest; `None` if no call is needed. It has
    /// passed already if the connection has ended and [`next`](Self::next) has not returned that yet.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = match &self.phase {
            Phase::Opening(state) => R::poll_timeout(state),
            Phase::Open(endpoint) if endpoint.owes_end() => Some(Instant::ZERO),
            Phase::Open(endpoint) => endpoint.poll_timeout(),
            Phase::Over => None,
        };
        let output = self.memory.peek().and_then(|memory| memory.sending.output.poll_timeout());
        earliest(own, output)
    }

    /// Does what is due at `now`; too early is harmless. Take what has arrived before, or a busy moment of the host's counts
    /// against the peer.
    ///
    /// If the peer has taken too little output for too long, the output is dropped and the connection is over.
    /// Ask [`next`](Self::next) after it: the end may have become certain.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|deadline| deadline > now) {
            return;
        }
        let memory = self.memory.get();
        memory.now = now;
        if memory.sending.output.is_overdue(now) {
            memory.sending.output.abandon();
            // An end that has been returned stays the end.
            let is_told = matches!(&self.phase, Phase::Open(endpoint) if endpoint.is_end_taken());
            if !is_told {
                memory.ending.result = Some(Err(Failure::WriteTimeout));
            }
            self.phase = Phase::Over;
        }
        match &mut self.phase {
            Phase::Opening(_) => {
                let error = HandshakeError::Timeout;
                R::fail(self.parts(), error);
                self.memory.get().ending.result = Some(Err(Failure::Handshake(error)));
            }
            Phase::Open(endpoint) => {
                // A deadline that is due shows that the connection has been idle. Its memory goes first: a Ping that becomes
                // due now would keep it.
                memory.release();
                memory.sending.output.handle_timeout(endpoint, now);
                memory.ending.result = memory.ending.take(endpoint);
            }
            Phase::Over => {}
        }
    }

    /// Returns whether all is done: drop the transport. A host that asks [`next`](Self::next) after each read and each
    /// [`handle_timeout`](Self::handle_timeout) has got the end by then.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let is_over = match &self.phase {
            Phase::Opening(_) => false,
            Phase::Open(endpoint) => matches!(endpoint.state(), State::Closed(_)) && !endpoint.owes_end(),
            Phase::Over => true,
        };
        is_over && self.memory.peek().is_none_or(|memory| memory.sending.output.is_written())
    }

    /// Returns the endpoint, for everything else; `None` before the connection is open or a server has refused it, after a
    /// client's opening handshake has failed, and after [`Failure::WriteTimeout`].
    #[must_use]
    pub const fn endpoint(&self) -> Option<&Endpoint<R>> {
        match &self.phase {
            Phase::Open(endpoint) => Some(endpoint),
            Phase::Opening(_) | Phase::Over => None,
        }
    }

    /// Returns how many bytes are waiting to be written. A host reads no more from a peer that lets too many wait: ws-std stops at
    /// 64 KiB.
    #[must_use]
    pub fn pending_len(&self) -> usize {
        self.memory.peek().map_or(0, |memory| memory.sending.output.len())
    }

    /// Returns the payload of the Ping or Pong that [`next`](Self::next) has returned last, until it is called again.
    #[must_use]
    pub fn control_payload(&self) -> &[u8] {
        self.endpoint().map_or(&[], Endpoint::control_payload)
    }

    /// Returns the code and the reason of the peer's Close; see [`Endpoint::close_frame`]. It returns them from the moment the
    /// Close has come, and also when [`next`](Self::next) has returned [`Next::Closed`] and when the connection
    /// [is over](Self::is_over). `None` if no Close has come, and after [`Failure::WriteTimeout`].
    #[must_use]
    pub fn close_frame(&self) -> Option<(CloseCode, &str)> {
        self.endpoint()?.close_frame()
    }
}

impl<R: Opens, S: Allocation> fmt::Debug for Connection<'_, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("side", &R::SIDE)
            .field("state", &self.endpoint().map(Endpoint::state))
            .finish_non_exhaustive()
    }
}
