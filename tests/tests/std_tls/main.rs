//! ws-std through TLS, over real sockets of this machine and over a transport that does what a test says.

mod certificates;
mod connections;
mod ends;
mod faults;
mod odd;
mod pipe;
mod proxies;
mod records;
mod two_threads;

use core::time::Duration;
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

use ws_std::{
    Acceptor, ClientTls, Connector, NetStream, ServerTls, TlsStream, WebSocket,
    role::{Client, Server},
    rustls::pki_types::ServerName,
};
use ws_tests::Authority;

/// The longest that any wait of a test may take; none takes so long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
/// A timeout that is meant to pass.
const SHORT: Duration = Duration::from_millis(60);

fn soon() -> Option<Instant> {
    Instant::now().checked_add(SHORT)
}

fn patient() -> Option<Instant> {
    Instant::now().checked_add(PATIENCE)
}

/// Both ends of a TCP connection.
fn sockets() -> (NetStream, NetStream) {
    ws_tests::watch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client.try_into().unwrap(), listener.accept().unwrap().0.try_into().unwrap())
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// The settings of a client and of a server that it trusts.
fn settings() -> (ClientTls, ServerTls) {
    let authority = Authority::new();
    (certificates::client(&authority), certificates::server(&authority))
}

/// Both ends of a TLS connection over TCP.
fn streams((client_tls, server_tls): &(ClientTls, ServerTls)) -> (TlsStream<NetStream>, TlsStream<NetStream>) {
    let (client, server) = sockets();
    thread::scope(|scope| {
        let accepting = scope.spawn(|| TlsStream::accept(server, server_tls, patient()).unwrap());
        let client = TlsStream::connect(client, client_tls, name(), patient()).unwrap();
        (client, accepting.join().unwrap())
    })
}

/// Both ends of a WebSocket connection through TLS.
fn pair_with(
    (connector, acceptor): (&Connector<'_>, &Acceptor<'_>),
    tls: &(ClientTls, ServerTls),
) -> (WebSocket<Client>, WebSocket<Server>) {
    let (client, server) = streams(tls);
    let (client, server) = (NetStream::from(client), NetStream::from(server));
    let (mut client, mut server) = thread::scope(|scope| {
        let accepting = scope.spawn(|| acceptor.receive(server).unwrap().accept().unwrap());
        let client = connector.connect_over("wss://localhost/", client, |_| ()).unwrap();
        (client, accepting.join().unwrap())
    });
    client.set_read_timeout(Some(PATIENCE));
    server.set_read_timeout(Some(PATIENCE));
    (client, server)
}

fn pair() -> (WebSocket<Client>, WebSocket<Server>) {
    pair_with((&Connector::new(), &Acceptor::new()), &settings())
}

/// The URL of a server at `address`, by a name that its certificate has.
fn url(address: SocketAddr) -> String {
    format!("wss://localhost:{}/", address.port())
}
