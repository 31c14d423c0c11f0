//! One thread, one epoll, tens of thousands of connections: an echo server on `mio`.
//!
//! All connections read into one buffer. What else it takes to receive and to send is lent to a connection, which keeps it
//! only while something is unfinished: a cut message, output that the socket has not taken. All replies to one read go out
//! in one write; a peer that does not take its replies is not read from. The event loop is in `mio_loop/mod.rs`.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example mio_echo 127.0.0.1:9001 [--deflate]
//! ```
//!
//! With `--deflate`, messages are compressed without context takeover: then compressors are among what is lent.

mod mio_loop;

use std::error::Error;

use mio_loop::main_loop;
use ws_proto::{Config, Next, deflate::Settings, host::Pool, server::Accept};

fn main() -> Result<(), Box<dyn Error>> {
    let (options, values): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|value| value.starts_with("--"));
    let address = values.first().map_or("127.0.0.1:9001", String::as_str);
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let mut pool = Pool::new(&config);
    if options.iter().any(|option| option == "--deflate") {
        pool = pool.deflate(Settings::small());
    }
    main_loop(address, pool, &config, |host, id, now, ended| {
        host.turn(id, now, ended, |_: &mut (), reading| {
            // Refused once the connection is closing: then nobody waits for an echo.
            while let Some(next) = reading.each_message(|message, reply| _ = reply.send(message)) {
                if let Next::Opening(mut request) = next {
                    request.accept(&Accept::new().any_subprotocol()).expect("there is no other field");
                }
            }
        });
    })
}
