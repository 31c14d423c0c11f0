//! No runtime and no heap: both roles polled by hand over the traits of `embedded-io`.
//!
//! All that a connection needs is an endpoint and two buffers of fixed size. What is here is what a firmware would
//! have, but for `main`.
//!
//! ```sh
//! cargo run -p ws-hosts --example embedded_io
//! ```

mod board;

use std::{
    error,
    net::{TcpListener, TcpStream},
    ops::Range,
    thread,
};

use board::{Board, Desk};
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

/// Waits for the end of the head of a request or a response, where `poll_head` finds it; the first bytes of frames
/// are in the range then.
fn receive_head<B: Board>(
    board: &mut B,
    input: &mut [u8],
    deadline: Option<Instant>,
    mut poll_head: impl FnMut(Instant, &[u8]) -> Result<Option<usize>, HandshakeError>,
) -> Result<Range<usize>, Error<B::Error>> {
    let mut received = 0;
    loop {
        let (read, room) = input.split_at_mut(received);
        if let Some(len) = poll_head(board.now(), read).map_err(Error::Handshake)? {
            return Ok(len..received);
        }
        if room.is_empty() {
            return Err(Error::Handshake(HandshakeError::HeadTooLong));
        }
        match board.read_until(room, deadline).map_err(Error::Io)? {
            Some(0) => return Err(Error::Handshake(HandshakeError::Syntax)),
            // At the deadline the next look at the head fails.
            len => received += len.unwrap_or_default(),
        }
    }
}

/// Accepts a connection and echoes until it ends.
fn serve<B: Board>(board: &mut B, input: &mut [u8], output: &mut [u8]) -> Result<State, Error<B::Error>> {
    let config = Config::default();
    let mut handshake = server::Handshake::new(board.now(), &config);
    let deadline = handshake.poll_timeout();
    let head = receive_head(board, input, deadline, |now, received| handshake.poll_head(now, received));
    let opened = head.and_then(|received| {
        let head = server::Request::parse(&input[..received.start], OriginPolicy::SameHost);
        let upgrade = head.and_then(Head::into_request).map_err(Error::Handshake)?.upgrade();
        let accepted = upgrade.accept(&Accept::new(), &config, board.now(), output).map_err(Error::Write);
        accepted.map(|(len, endpoint)| (len, endpoint, received))
    });
    let (len, endpoint, received) = match opened {
        Err(Error::Handshake(error)) => {
            let len = error.write_response(output).map_err(Error::Write)?;
            (len, Endpoint::refused(&config, board.now()), 0..0)
        }
        opened => opened?,
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

/// Opens a connection, sends a text in two parts with a Ping between, and a Close, and expects the answers.
fn visit<B: Board>(board: &mut B, input: &mut [u8], output: &mut [u8]) -> Result<State, Error<B::Error>> {
    let mut entropy = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|_| EntropyError);
    let mut nonce = [0; 16];
    entropy.fill(&mut nonce).map_err(|error| Error::Send(error.into()))?;
    let (config, request) = (Config::default(), client::Request::new("board", "/"));
    let mut handshake = client::Handshake::new(request, nonce, board.now(), &config).map_err(Error::Write)?;
    let len = handshake.write_request(output).map_err(Error::Write)?;
    board.write_all(&output[..len]).and_then(|()| board.flush()).map_err(Error::Io)?;
    let deadline = handshake.poll_timeout();
    let received = receive_head(board, input, deadline, |now, received| handshake.poll_head(now, received))?;
    let endpoint = match handshake.answer(&input[..received.start]).map_err(Error::Handshake)? {
        Answer::Open(response) => response.open(Client::new(entropy), &config, board.now()),
        Answer::Refused(refusal) => panic!("refused: {refusal:?}"),
    };
    let mut buffer = MessageBuffer::with_received(input, received);
    let mut link = Link { endpoint, board, output };

    link.send(|endpoint, _, output| endpoint.write_part(MessageKind::Text, Part::First, b"in two ", output))?;
    link.send(|endpoint, _, output| endpoint.write_ping(b"there?", output))?;
    link.send(|endpoint, _, output| endpoint.write_part(MessageKind::Text, Part::Last, b"parts", output))?;
    assert_eq!(link.next(&mut buffer)?, Some(Incoming::Pong));
    assert_eq!(link.endpoint.control_payload(), b"there?");
    assert_eq!(link.next(&mut buffer)?, Some(Incoming::Message(Message::Text("in two parts"))));
    link.send(|endpoint, now, output| endpoint.write_close(now, CloseCode::NORMAL, "bye", output))?;
    assert_eq!(link.next(&mut buffer)?, None);
    Ok(link.endpoint.state())
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
