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

use std::{io, net::TcpListener};

use board::{Board, Desk};
use ws_proto::{
    Config, Connection, Next, Pending, SendError, Server,
    connection::{Closed, Failure, Memory},
    server::{Accept, OriginPolicy},
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

/// Accepts a connection and echoes until it is over; returns how it has ended.
fn serve<B: Board>(
    board: &mut B,
    input: &mut [u8],
    output: &mut [u8],
) -> Result<Option<Result<Closed, Failure>>, B::Error> {
    let mut config = Config::default();
    config.max_message_len = u64::MAX;
    let memory = Memory::fixed(input, output, &config);
    let mut connection = Connection::accept_in(memory, &config, OriginPolicy::AllowAny, board.now());
    let mut ended = None;
    while !connection.is_over() {
        let deadline = connection.poll_timeout();
        match board.read_until(connection.room(), deadline)? {
            Some(len) => connection.received(board.now(), len),
            None => connection.handle_timeout(board.now()),
        }
        while let Some(next) = connection.next_part() {
            match next {
                Next::Opening(mut request) => {
                    request.accept(&Accept::new()).expect("the output has room for the answer");
                }
                Next::Data(part, mut reply) => {
                    match reply.send_part(part.kind(), part.part(), part.as_bytes()) {
                        Ok(()) | Err(SendError::Closing) => {} // then no peer waits for an echo
                        Err(error) => unreachable!("parts are echoed in order, in room enough: {error}"),
                    }
                }
                Next::Control(_) => {}
                Next::Closed(end) => ended = Some(end),
            }
            flush(&mut connection, board)?;
        }
        flush(&mut connection, board)?;
    }
    Ok(ended)
}

fn flush<B: Board>(connection: &mut Connection<'_, Server, &mut [u8]>, board: &mut B) -> Result<(), B::Error> {
    let now = board.now();
    connection.flush(now, |pending| match pending {
        Pending::Bytes(bytes) => board.write_all(bytes).map(|()| bytes.len()),
        Pending::Shutdown => board.half_close().map(|()| 0),
    })?;
    board.flush()
}
