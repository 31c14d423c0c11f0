//! ws-std over real sockets of this machine: what only a system with buffers, threads and clocks can show.

mod calls;
mod closing;
#[cfg(feature = "deflate")]
mod deflate;
mod dialing;
mod errors;
mod exchange;
mod messages;
mod opening;
mod peer;
mod reconnecting;
mod server;
mod split;
mod timeouts;
mod transports;
mod waits;

use core::time::Duration;
use std::{
    io,
    net::{TcpListener, TcpStream},
    thread,
};

use ws_std::{
    Acceptor, Answer, Config, Connector, NetStream, Socket, Transport, WebSocket,
    role::{Client, Server},
};

/// The longest that any wait of a test may take; none takes so long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
/// For timeouts that must not be what ends a wait: a test that needs one hangs, which [`watch`](ws_tests::watch) ends.
const NEVER: Duration = Duration::from_secs(3_600);
/// A timeout that is meant to pass.
const SHORT: Duration = Duration::from_millis(60);

/// Both ends of a TCP connection: who connected, who accepted.
fn tcp_pair() -> (TcpStream, TcpStream) {
    ws_tests::watch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn sockets() -> (Socket, Socket) {
    let (client, server) = tcp_pair();
    (client.try_into().unwrap(), server.try_into().unwrap())
}

/// Both ends of a WebSocket connection on two transports.
fn open<C: Transport, S: Transport>(
    (connector, client): (&Connector<'_>, C),
    (acceptor, server): (&Acceptor<'_>, S),
) -> (WebSocket<Client, C>, WebSocket<Server, S>) {
    let (mut client, mut server) = thread::scope(|scope| {
        let accepting = scope.spawn(|| acceptor.accept_over(server, |_| Answer::accept()).unwrap());
        let client = connector.connect_over("ws://localhost/", client, |_| ()).unwrap();
        (client, accepting.join().unwrap())
    });
    client.set_read_timeout(Some(PATIENCE));
    server.set_read_timeout(Some(PATIENCE));
    (client, server)
}

/// Both ends of a WebSocket connection over TCP.
fn pair_with(client: Config, server: Config) -> (WebSocket<Client>, WebSocket<Server>) {
    let (from, to) = sockets();
    let (from, to) = (NetStream::from(from), NetStream::from(to));
    open((&Connector::new().config(client), from), (&Acceptor::new().config(server), to))
}

fn pair() -> (WebSocket<Client>, WebSocket<Server>) {
    pair_with(Config::new(), Config::new())
}

/// For messages of any length.
fn big() -> Config {
    let mut config = Config::new();
    config.max_message_len = 64 << 20;
    config
}

fn is_timeout<T>(result: Result<T, ws_std::Error>) -> bool {
    match result {
        Err(ws_std::Error::TimedOut) => true,
        Err(ws_std::Error::Io(error)) => error.kind() == io::ErrorKind::TimedOut,
        _ => false,
    }
}
