//! Connections of ours to ours.

use std::{
    net::SocketAddr,
    sync::mpsc::{Receiver, channel},
    thread,
};

use ws_std::{
    AcceptError, Acceptor, ClientTls, CloseCode, Config, ConnectError, Connector, Exchange, Handle, HandlerResult,
    Message, Server, ServerTls, TlsError, WebSocket,
    role::Client,
    rustls::{AlertDescription, ProtocolVersion, version},
};
use ws_tests::{Authority, noise};

use crate::{
    PATIENCE,
    certificates::{self, client_with, demanding_server, identity},
    pair_with, settings, url,
};

/// A server that echoes on a thread, and the errors of its connections.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    handle: Handle,
    thread: thread::JoinHandle<std::io::Result<()>>,
    pub(crate) log: Receiver<String>,
}

impl Running {
    pub(crate) fn new(tls: ServerTls, settings: impl FnOnce(Server) -> Server) -> Self {
        ws_tests::watch();
        let (to_log, log) = channel();
        let server = Server::bind("127.0.0.1:0").unwrap().tls(tls).on_error({
            let to_log = std::sync::Mutex::new(to_log);
            move |incident| drop(to_log.lock().unwrap().send(incident.to_string()))
        });
        let server = settings(server);
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        Self { address, handle, thread: thread::spawn(move || server.run(echo)), log }
    }

    pub(crate) fn connect(&self, connector: &Connector<'_>) -> Result<WebSocket<Client>, ConnectError> {
        connector.connect(&url(self.address))
    }

    /// Waits until all connections have ended, then stops.
    pub(crate) fn stop_and_expect_no_incident(self) {
        let started = std::time::Instant::now();
        while self.handle.connections() > 0 {
            assert!(started.elapsed() < PATIENCE);
            thread::yield_now();
        }
        assert_eq!(self.log.try_recv().ok(), None);
        self.stop();
    }

    pub(crate) fn stop(self) {
        self.handle.stop();
        self.thread.join().unwrap().unwrap();
    }
}

// R4.1-4
fn echo(exchange: Exchange) -> HandlerResult {
    assert!(exchange.peer_addr().unwrap().ip().is_loopback());
    let mut ws = exchange.accept()?;
    let stream = ws.transport().tls().expect("the server has TLS");
    assert_eq!(stream.server_name().as_deref(), Some("localhost"));
    while let Some(mut received) = ws.read()? {
        received.reply.queue(received.message)?;
    }
    Ok(())
}

/// Expects that messages of all lengths come back, and closes.
pub(crate) fn converse(ws: &mut WebSocket<Client>) {
    ws.set_read_timeout(Some(PATIENCE));
    for len in [0, 1, 125, 126, 4_000, 16_383, 16_384, 16_385, 65_536, 1 << 20] {
        let message = noise(len);
        ws.send(&*message).unwrap();
        assert!(ws.read().unwrap().unwrap().message == Message::Binary(&message), "{len}");
    }
    ws.ping(b"there?").unwrap();
    assert!(ws.close(CloseCode::NORMAL, "done").unwrap().clean);
}

#[test]
fn a_client_by_url_and_a_server_talk_through_tls() {
    let (client, server) = settings();
    let server = Running::new(server, |server| server);
    let mut ws = server.connect(&Connector::new().tls(client)).unwrap();
    assert!(ws.transport().is_tls());
    let stream = ws.transport().tls().unwrap();
    assert_eq!(stream.state(|state| state.protocol_version()), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(stream.state(|state| state.alpn_protocol().map(<[u8]>::to_vec)), Some(b"http/1.1".to_vec()));
    assert_eq!(stream.state(|state| state.peer_certificates().map(<[_]>::len)), Some(1));
    assert_eq!(stream.server_name(), None);
    converse(&mut ws);
    server.stop();
}

#[test]
fn tls_1_2_carries_connections_too() {
    let authority = Authority::new();
    let client = client_with(&authority, &[], &[&version::TLS12]);
    let server = Running::new(certificates::server(&authority), |server| server);
    let mut ws = server.connect(&Connector::new().tls(client)).unwrap();
    let stream = ws.transport().tls().unwrap();
    assert_eq!(stream.state(|state| state.protocol_version()), Some(ProtocolVersion::TLSv1_2));
    converse(&mut ws);
    server.stop();
}

#[test]
fn a_client_presents_its_certificate_to_a_server_that_wants_one() {
    let authority = Authority::new();
    let server = Running::new(demanding_server(&authority), |server| server);
    match server.connect(&Connector::new().tls(certificates::client(&authority))) {
        Err(ConnectError::Tls(TlsError::Alert(AlertDescription::CertificateRequired))) => {}
        other => panic!("{other:?}"),
    }
    assert!(server.log.recv_timeout(PATIENCE).unwrap().contains("no TLS handshake"));
    let identity = identity(&authority);
    let builder = ClientTls::builder().add_roots(&authority.root).unwrap().only_added_roots();
    let client = builder.certificate(identity.chain, identity.key).unwrap().build().unwrap();
    converse(&mut server.connect(&Connector::new().tls(client)).unwrap());
    server.stop();
}

#[test]
fn added_roots_are_trusted_beside_those_of_the_platform() {
    let authority = Authority::new();
    let client = ClientTls::builder().add_roots(&authority.root).unwrap().build().unwrap();
    let server = Running::new(certificates::server(&authority), |server| server);
    converse(&mut server.connect(&Connector::new().tls(client)).unwrap());
    // The platform's roots alone do not have it.
    let refused = server.connect(&Connector::new());
    assert!(matches!(refused, Err(ConnectError::Tls(TlsError::UnknownIssuer))), "{refused:?}");
    server.stop();
}

#[test]
fn halves_for_two_threads_talk_through_tls() {
    let mut config = Config::new();
    config.max_message_len = 4 << 20;
    let settings_of = (Connector::new().config(config.clone()), Acceptor::new().config(config));
    let (client, server) = pair_with((&settings_of.0, &settings_of.1), &settings());
    let (mut from_client, mut to_server) = (client.split(), server.split());
    let message = noise(3 << 20);
    thread::scope(|scope| {
        scope.spawn(|| from_client.1.send(&*message).unwrap());
        scope.spawn(|| to_server.1.send(&*message).unwrap());
        for read in [from_client.0.read().unwrap(), to_server.0.read().unwrap()] {
            assert!(read.unwrap() == Message::Binary(&message));
        }
    });
}

#[cfg(feature = "deflate")]
#[test]
fn messages_are_compressed_through_tls() {
    use ws_std::deflate::Settings;
    let (connector, acceptor) =
        (Connector::new().deflate(Settings::balanced()), Acceptor::new().deflate(Settings::balanced()));
    let (mut client, mut server) = pair_with((&connector, &acceptor), &settings());
    let text = "again and again ".repeat(10_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut received = server.read().unwrap().unwrap();
            received.reply.send(received.message).unwrap();
        });
        client.send(&*text).unwrap();
        assert!(client.read().unwrap().unwrap().message == Message::Text(&text));
    });
    assert!(client.is_compressed());
}

#[test]
fn clients_over_the_limit_of_a_server_with_tls_are_dropped() {
    let (client, server) = settings();
    let server = Running::new(server, |server| server.max_connections(1));
    let connector = Connector::new().tls(client);
    let ws = server.connect(&connector).unwrap();
    match server.connect(&connector) {
        Err(ConnectError::Tls(TlsError::Closed | TlsError::Io(_))) => {}
        other => panic!("{other:?}"),
    }
    drop(ws);
    server.stop();
}

#[test]
fn a_stop_ends_connections_in_the_middle_of_a_tls_handshake() {
    let server = Running::new(settings().1, |server| server.stop_timeout(PATIENCE));
    let silent = std::net::TcpStream::connect(server.address).unwrap();
    let started = std::time::Instant::now();
    while server.handle.connections() == 0 {
        assert!(started.elapsed() < PATIENCE);
        thread::yield_now();
    }
    // Waits for the thread of the connection, whose handshake timeout is shorter than the stop timeout.
    server.stop();
    assert!(started.elapsed() < Config::new().handshake_timeout.unwrap(), "{:?}", started.elapsed());
    drop(silent);
}

#[test]
fn the_settings_of_tls_are_checked_before_any_address_is_tried() {
    let nowhere = Connector::new().connect("wss://192.0.2.1.invalid/");
    assert!(matches!(nowhere, Err(ConnectError::Resolve(_))), "{nowhere:?}");
    assert_eq!(AcceptError::Tls(TlsError::NotTls).to_string(), "no TLS handshake");
}
