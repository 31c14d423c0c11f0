//! No runtime and no heap: an echo server polled by hand over the traits of `embedded-io`, one connection at a time.
//!
//! All that a connection needs is an endpoint and two buffers of fixed size. A message can be longer than they are,
//! and as long as it likes: it is echoed in the parts that it comes in. But for `main` this is what a firmware would
//! have, which would forbid panics too; `tests/bare-metal` shows that.
//!
//! ```sh
//! cargo run -p ws-hosts --example embedded_io 127.0.0.1:9001
//! ```

mod board;

use std::{io, net::TcpListener, ops::Range};

use board::{Board, Desk};
use ws_proto::{
    Closed, Config, Endpoint, Event, HandshakeError, MessageBuffer, SendError, Server, State, Transmit,
    server::{Accept, Handshake, Head, OriginPolicy},
};

/// The longest head, and the longest part of a message; what it takes to send such a part, or to answer.
const INPUT_LEN: usize = 1024;
const OUTPUT_LEN: usize = INPUT_LEN + 14;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let listener = TcpListener::bind(address)?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let (mut input, mut output) = ([0; INPUT_LEN], [0; OUTPUT_LEN]);
    loop {
        let ended = Desk::new(listener.accept()?.0).and_then(|mut desk| serve(&mut desk, &mut input, &mut output));
        println!("{ended:?}");
    }
}

/// Accepts a connection and echoes until it ends.
fn serve<B: Board>(board: &mut B, input: &mut [u8], output: &mut [u8]) -> Result<Closed, B::Error> {
    let mut config = Config::default();
    config.max_message_len = u64::MAX;
    let (mut endpoint, received) = open(board, &config, input, output)?;
    let mut buffer = MessageBuffer::with_received(input, received);
    loop {
        let found = buffer.next_part(&mut endpoint, board.now());
        while let Some(transmit) = endpoint.poll_transmit() {
            match transmit {
                Transmit::Control(frame) => board.write_all(frame.as_bytes())?,
                Transmit::Shutdown => board.half_close()?,
            }
        }
        match (found, endpoint.state()) {
            (Ok(Some(Event::Data(()))), _) => {
                if let Some(part) = buffer.take_part() {
                    match endpoint.write_part(part.kind(), part.part(), part.as_bytes(), output) {
                        Ok(len) => board.write_all(&output[..len])?,
                        Err(SendError::Closing) => {} // nobody waits for an echo any more
                        Err(error) => unreachable!("parts are echoed in order, in room enough: {error}"),
                    }
                }
            }
            (Ok(Some(_)), _) => {}
            (Ok(None) | Err(_), State::Closed(closed)) => return Ok(closed),
            // An error has become a Close, and the peer may read that.
            (Ok(None) | Err(_), _) => {
                board.flush()?;
                match board.read_until(buffer.unfilled(&endpoint), endpoint.poll_timeout())? {
                    Some(0) => endpoint.receive_eof(),
                    Some(len) => buffer.filled(len),
                    None => endpoint.handle_timeout(board.now()),
                }
            }
        }
    }
}

/// Answers the request, and tells where in `input` the first frames are.
fn open<B: Board>(
    board: &mut B,
    config: &Config,
    input: &mut [u8],
    output: &mut [u8],
) -> Result<(Endpoint<Server>, Range<usize>), B::Error> {
    let mut handshake = Handshake::new(board.now(), config);
    let mut received = 0;
    let head = loop {
        let (head, room) = input.split_at_mut(received);
        match handshake.poll_head(board.now(), head) {
            Ok(None) if room.is_empty() => break Err(HandshakeError::HeadTooLong),
            Ok(None) => match board.read_until(room, handshake.poll_timeout())? {
                Some(0) => break Err(HandshakeError::Syntax),
                // At the deadline the next look at the head fails.
                read => received += read.unwrap_or_default(),
            },
            Ok(Some(len)) => break Ok(len),
            Err(error) => break Err(error),
        }
    };
    let request = head.and_then(|len| {
        Ok((len, handshake.request(input, OriginPolicy::AllowAny).and_then(Head::into_request)?.upgrade()))
    });
    let (len, endpoint, first) = match request {
        Ok((first, upgrade)) => {
            let answer = upgrade.accept(&Accept::new(), config, board.now(), output);
            let (len, endpoint) = answer.expect("the output has room for the answer");
            (len, endpoint, first..received)
        }
        Err(error) => {
            let len =
                error.write_response(&input[..received], output).expect("the output has room for the answer");
            (len, Endpoint::refused(config, board.now()), 0..0)
        }
    };
    board.write_all(&output[..len])?;
    Ok((endpoint, first))
}
