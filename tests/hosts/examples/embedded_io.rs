//! No runtime and no heap: both roles polled by hand over the traits of `embedded-io`.
//!
//! All that a connection needs is an endpoint and two buffers of fixed size. [`serve`] and [`Link`] are what a
//! firmware would have; the board here is a socket of the operating system that is asked until it has something.
//!
//! ```sh
//! cargo run -p ws-hosts --example embedded_io
//! ```

use std::{
    error, io,
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use embedded_io::{ErrorType, Read, ReadReady, Write};
use ws_proto::{
    Client, CloseCode, Config, Endpoint, Entropy, EntropyError, Incoming, Instant, Message, MessageBuffer,
    MessageKind, Part, Role, SendError, State, Transmit,
    client::{self, Answer},
    handshake::{HandshakeError, WriteError},
    server::{self, Accept, Head, OriginPolicy},
};

/// The longest message and the longest head that are taken, and what it takes to send such a message.
const MESSAGE_LEN: usize = 1024;
const FRAME_LEN: usize = MESSAGE_LEN + 14;

/// A byte stream, a clock, and something to do until the next interrupt.
trait Board: Read + ReadReady + Write {
    fn now(&self) -> Instant;

    fn idle(&mut self);

    /// Ends our direction of the stream, for which `embedded-io` has no word.
    fn half_close(&mut self) -> Result<(), Self::Error>;

    /// Waits for input, and reads it; `None` if the deadline has come before.
    fn read_until(&mut self, room: &mut [u8], deadline: Option<Instant>) -> Result<Option<usize>, Self::Error> {
        while !self.read_ready()? {
            if deadline.is_some_and(|deadline| deadline <= self.now()) {
                return Ok(None);
            }
            self.idle();
        }
        self.read(room).map(Some)
    }
}

/// Why a connection was not opened, or ended before its time.
#[derive(Debug)]
#[expect(dead_code, reason = "to be shown")]
enum Error<E> {
    Io(E),
    Handshake(HandshakeError),
    Write(WriteError),
    Send(SendError),
}

/// An endpoint and what it sends to.
struct Link<'m, R: Role, B> {
    endpoint: Endpoint<R>,
    board: &'m mut B,
    output: &'m mut [u8],
}

impl<R: Role, B: Board> Link<'_, R, B> {
    /// Waits for what comes next; `None` when the connection is closed.
    fn next<'b>(
        &mut self,
        buffer: &'b mut MessageBuffer<&mut [u8]>,
    ) -> Result<Option<Incoming<'b>>, Error<B::Error>> {
        loop {
            // An error has become a Close that is owed: until the end, nothing is told any more.
            let told = buffer.next(&mut self.endpoint, self.board.now()).ok().flatten();
            self.transmit().map_err(Error::Io)?;
            match told {
                Some(Incoming::Message(_)) => return Ok(buffer.message().map(Incoming::Message)),
                Some(Incoming::Pong) => return Ok(Some(Incoming::Pong)),
                Some(_) => continue,
                None if matches!(self.endpoint.state(), State::Closed(_)) => return Ok(None),
                None => {}
            }
            let (room, deadline) = (buffer.unfilled(&self.endpoint), self.endpoint.poll_timeout());
            match self.board.read_until(room, deadline).map_err(Error::Io)? {
                Some(0) => self.endpoint.receive_eof(),
                Some(len) => buffer.filled(len),
                None => self.endpoint.handle_timeout(self.board.now()),
            }
        }
    }

    /// Writes what the endpoint owes.
    fn transmit(&mut self) -> Result<(), B::Error> {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            match transmit {
                Transmit::Control(frame) => self.board.write_all(frame.as_bytes())?,
                Transmit::Shutdown => self.board.half_close()?,
            }
        }
        self.board.flush()
    }

    /// Writes one frame.
    fn send(
        &mut self,
        encode: impl FnOnce(&mut Endpoint<R>, Instant, &mut [u8]) -> Result<usize, SendError>,
    ) -> Result<(), Error<B::Error>> {
        let len = encode(&mut self.endpoint, self.board.now(), self.output).map_err(Error::Send)?;
        self.board.write_all(&self.output[..len]).map_err(Error::Io)
    }
}

/// Waits for the head of a request or a response: its length, and that of all that has been received.
fn receive_head<B: Board>(
    board: &mut B,
    input: &mut [u8],
    deadline: Option<Instant>,
    mut poll: impl FnMut(Instant, &[u8]) -> Result<Option<usize>, HandshakeError>,
) -> Result<(usize, usize), Error<B::Error>> {
    let mut received = 0;
    loop {
        if let Some(head) = poll(board.now(), &input[..received]).map_err(Error::Handshake)? {
            return Ok((head, received));
        }
        let room = &mut input[received..];
        if room.is_empty() {
            return Err(Error::Handshake(HandshakeError::HeadTooLong));
        }
        match board.read_until(room, deadline).map_err(Error::Io)? {
            Some(0) => return Err(Error::Handshake(HandshakeError::Syntax)),
            Some(len) => received += len,
            // Then the next look at the head fails.
            None => {}
        }
    }
}

/// Accepts a connection and echoes until it ends.
fn serve<B: Board>(board: &mut B, input: &mut [u8], output: &mut [u8]) -> Result<State, Error<B::Error>> {
    let config = Config::default();
    let mut handshake = server::Handshake::new(board.now(), &config);
    let deadline = handshake.poll_timeout();
    let received = receive_head(board, input, deadline, |now, received| handshake.poll_head(now, received));
    let accepted = received.and_then(|(head, received)| {
        let request = server::Request::parse(&input[..head], OriginPolicy::SameHost).and_then(Head::into_request);
        let upgrade = request.map_err(Error::Handshake)?.upgrade();
        let (len, endpoint) =
            upgrade.accept(&Accept::new(), &config, board.now(), output).map_err(Error::Write)?;
        Ok((len, endpoint, head..received))
    });
    let (len, endpoint, received) = match accepted {
        Err(Error::Handshake(error)) => {
            let len = error.write_response(output).map_err(Error::Write)?;
            (len, Endpoint::refused(&config, board.now()), 0..0)
        }
        accepted => accepted?,
    };
    board.write_all(&output[..len]).map_err(Error::Io)?;
    let mut buffer = MessageBuffer::with_received(input, received);
    let mut link = Link { endpoint, board, output };
    while let Some(incoming) = link.next(&mut buffer)? {
        if let Incoming::Message(message) = incoming {
            match link.send(|endpoint, _, output| endpoint.write(message, output)) {
                // Nobody waits for an echo any more.
                Ok(()) | Err(Error::Send(SendError::Closing)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(link.endpoint.state())
}

/// A board made of an operating system.
struct Desk {
    stream: TcpStream,
    epoch: std::time::Instant,
}

impl Desk {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, epoch: std::time::Instant::now() })
    }
}

impl ErrorType for Desk {
    type Error = io::Error;
}

impl Read for Desk {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut self.stream, buf)
    }
}

impl ReadReady for Desk {
    fn read_ready(&mut self) -> io::Result<bool> {
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        Ok(!peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
    }
}

impl Write for Desk {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut self.stream, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::Write::flush(&mut self.stream)
    }
}

impl Board for Desk {
    fn now(&self) -> Instant {
        self.epoch.elapsed().into()
    }

    fn idle(&mut self) {
        thread::sleep(Duration::from_millis(1));
    }

    fn half_close(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}

fn main() -> Result<(), Box<dyn error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || {
        let mut board = listener.accept().and_then(|(stream, _)| Desk::new(stream)).map_err(Error::Io)?;
        serve(&mut board, &mut [0; MESSAGE_LEN], &mut [0; FRAME_LEN])
    });
    let mut board = Desk::new(TcpStream::connect(address)?)?;
    let state =
        visit(&mut board, &mut [0; MESSAGE_LEN], &mut [0; FRAME_LEN]).map_err(|error| format!("{error:?}"))?;
    println!("the client's end: {state:?}");
    let state = server.join().expect("the server does not panic").map_err(|error| format!("{error:?}"))?;
    println!("the server's end: {state:?}");
    Ok(())
}

/// Opens a connection, sends a text, a fragmented one with a Ping between, and a Close, and expects the answers.
fn visit<B: Board>(board: &mut B, input: &mut [u8], output: &mut [u8]) -> Result<State, Error<B::Error>> {
    let mut entropy = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|_| EntropyError);
    let mut nonce = [0; 16];
    entropy.fill(&mut nonce).map_err(|error| Error::Send(error.into()))?;
    let (config, request) = (Config::default(), client::Request::new("board", "/"));
    let mut handshake = client::Handshake::new(request, nonce, board.now(), &config).map_err(Error::Write)?;
    let len = handshake.write_request(output).map_err(Error::Write)?;
    board.write_all(&output[..len]).and_then(|()| board.flush()).map_err(Error::Io)?;
    let deadline = handshake.poll_timeout();
    let (head, received) =
        receive_head(board, input, deadline, |now, received| handshake.poll_head(now, received))?;
    let endpoint = match handshake.answer(&input[..head]).map_err(Error::Handshake)? {
        Answer::Open(response) => response.open(Client::new(entropy), &config, board.now()),
        Answer::Refused(refusal) => panic!("refused: {refusal:?}"),
    };
    let mut buffer = MessageBuffer::with_received(input, head..received);
    let mut link = Link { endpoint, board, output };

    link.send(|endpoint, _, output| endpoint.write(Message::Text("a text"), output))?;
    expect(link.next(&mut buffer)?, Incoming::Message(Message::Text("a text")));
    link.send(|endpoint, _, output| endpoint.write_part(MessageKind::Text, Part::First, b"in two ", output))?;
    link.send(|endpoint, _, output| endpoint.write_ping(b"there?", output))?;
    link.send(|endpoint, _, output| endpoint.write_part(MessageKind::Text, Part::Last, b"parts", output))?;
    expect(link.next(&mut buffer)?, Incoming::Pong);
    assert_eq!(link.endpoint.control_payload(), b"there?");
    expect(link.next(&mut buffer)?, Incoming::Message(Message::Text("in two parts")));
    link.send(|endpoint, now, output| endpoint.write_close(now, CloseCode::NORMAL, "bye", output))?;
    assert_eq!(link.next(&mut buffer)?, None);
    Ok(link.endpoint.state())
}

fn expect(told: Option<Incoming<'_>>, expected: Incoming<'_>) {
    assert_eq!(told, Some(expected));
    println!("{expected:?}");
}
