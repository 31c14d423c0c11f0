//! Handshakes and records as few peers send them, or none that keeps to the rules.

use std::{
    io::{IoSlice, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Instant,
};

use ws_std::{
    ClientTls, ServerTls, Socket, TlsStream, Transport,
    rustls::{
        self, AlertDescription, ClientConnection, HandshakeKind, ServerConfig, StreamOwned,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};
use ws_tests::{Authority, noise};

use crate::{
    SHORT,
    certificates::{self, identity},
    name, patient,
    pipe::{ends, streams},
    settings, soon, streams as tcp_streams,
};

/// Sends `bytes` from one side to the other.
fn pass(from: &impl Transport, to: &impl Transport, bytes: &[u8]) {
    assert_eq!(from.write(&[IoSlice::new(bytes)], patient()).unwrap(), bytes.len());
    let mut buffer = vec![0; bytes.len() + 1];
    let mut read = 0;
    while read < bytes.len() {
        read += to.read(&mut buffer[read..], patient()).unwrap();
    }
    assert!(&buffer[..read] == bytes);
}

#[test]
fn a_message_of_the_handshake_may_fill_several_records() {
    let authority = Authority::new();
    let identity = identity(&authority);
    let certificate = CertificateDer::from_pem_slice(identity.chain.as_bytes()).unwrap();
    let chain = vec![certificate; 120];
    assert!(chain.iter().map(|certificate| certificate.len()).sum::<usize>() > 2 << 14);
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (client, server) = tcp_streams(&(certificates::client(&authority), Arc::new(config).into()));
    pass(&client, &server, b"hello");
    pass(&server, &client, &noise(100_000));
}

#[test]
fn a_resumed_connection_tells_the_name_too() {
    let settings = settings();
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let (client, server) = tcp_streams(&settings);
        // The tickets come before it.
        pass(&server, &client, b"hello");
        assert_eq!(client.state(|state| state.handshake_kind()), Some(kind));
        assert_eq!(server.server_name().as_deref(), Some("localhost"));
    }
}

// Early data can be sent again by whoever has seen it (RFC 8446 section 8).
#[test]
fn early_data_is_not_admitted_whatever_the_settings_say() {
    let authority = Authority::new();
    let mut config = ServerConfig::clone(&certificates::server(&authority).config());
    config.max_early_data_size = 1_000;
    let server_tls = ServerTls::from(Arc::new(config));
    let mut config = (*certificates::client(&authority).config().unwrap()).clone();
    config.enable_early_data = true;
    let config = Arc::new(config);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let other = Socket::new(listener.accept().unwrap().0).unwrap();
        let mut connection = ClientConnection::new(Arc::clone(&config), name()).unwrap();
        assert!(connection.early_data().is_none());
        thread::scope(|scope| {
            scope.spawn(|| {
                let server = TlsStream::accept(other, &server_tls, patient()).unwrap();
                let mut buffer = [0; 2_048];
                assert_eq!(server.read(&mut buffer, patient()).unwrap(), 5);
                server.write(&[IoSlice::new(b"answer")], patient()).unwrap();
            });
            let mut client = StreamOwned::new(connection, one);
            client.write_all(b"hello").unwrap();
            let mut answer = [0; 6];
            client.read_exact(&mut answer).unwrap();
            assert_eq!((&answer, client.conn.handshake_kind()), (b"answer", Some(kind)));
        });
    }
}

/// The bytes of a record of the handshake that is not encrypted.
fn plain_record(payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    [&[22, 3, 1], &len.to_be_bytes()[..], payload].concat()
}

#[test]
fn a_message_in_too_many_records_is_a_fault_before_it_is_whole() {
    let (one, other) = ends();
    // A ClientHello of 65,000 bytes, one in each record.
    let mut bytes = plain_record(&[1, 0, 0xFD, 0xE8]);
    bytes.extend(plain_record(&[0]).repeat(65_000));
    one.write(&[IoSlice::new(&bytes)], None).unwrap();
    let error = TlsStream::accept(other, &settings().1, patient()).map(drop).unwrap_err();
    assert!(format!("{error:?}").contains("TooManyEmptyFragments"), "{error:?}");
    // 128 KiB have been held, and 64 KiB are discarded after a fault.
    assert!((180_000..200_000).contains(&one.under_way()), "{}", one.under_way());
}

#[test]
fn the_alert_of_a_fault_goes_out_although_a_write_finds_it() {
    for len in [2, 2_048] {
        let (client, server) = streams(&settings());
        client.write(&[IoSlice::new(b"good")], patient()).unwrap();
        client.write(&[IoSlice::new(b"damaged")], patient()).unwrap();
        client.transport().damage();
        assert!(server.read(&mut vec![0; len], patient()).is_ok());
        assert!(server.write(&[IoSlice::new(b"answer")], patient()).is_err() || len == 2);
        drop(server);
        let mut buffer = [0; 2_048];
        let error = loop {
            match client.read(&mut buffer, patient()) {
                Ok(0) => panic!("no alert"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        assert_eq!(alert, Some(&rustls::Error::AlertReceived(AlertDescription::BadRecordMac)), "{error:?}");
    }
}

#[test]
fn writing_goes_on_while_a_record_has_come_in_part() {
    let (client, server) = streams(&settings());
    let message = noise(10_000);
    client.transport().takes({
        let mut left = 5_000;
        move || std::mem::take(&mut left)
    });
    assert!(client.write(&[IoSlice::new(&message)], Some(Instant::now())).is_err());
    let mut buffer = vec![0; 1_024];
    for written in 0..8 {
        assert!(server.read(&mut buffer, Some(Instant::now())).is_err());
        server.refresh_traffic_keys().unwrap();
        pass(&server, &client, &noise(written * 5_000 + 1));
    }
    server.shutdown(Shutdown::Write).unwrap();
    client.transport().takes(|| usize::MAX);
    client.write(&[IoSlice::new(&message)], patient()).unwrap();
    let mut received = Vec::new();
    while received.len() < message.len() {
        let len = server.read(&mut buffer, patient()).unwrap();
        received.extend_from_slice(&buffer[..len]);
    }
    assert!(received == message);
    assert_eq!(client.read(&mut buffer, patient()).unwrap(), 0);
}

/// Shakes hands while byte `at` of what one side sends is changed, and says something each way. Returns whether all went well.
fn is_unharmed((client, server): &(ClientTls, ServerTls), of_client: bool, at: usize) -> bool {
    let (one, other) = ends();
    if of_client { &one } else { &other }.change(at);
    let talk = |stream: TlsStream<_>| -> Option<()> {
        let mut buffer = [0; 2_048];
        stream.write(&[IoSlice::new(b"hello")], soon()).ok()?;
        let len = stream.read(&mut buffer, soon()).ok()?;
        assert!(b"hellomore".starts_with(&buffer[..len]) && len >= 5);
        stream.write(&[IoSlice::new(b"more")], soon()).ok()?;
        Some(())
    };
    thread::scope(|scope| {
        let accepting = scope.spawn(|| talk(TlsStream::accept(other, server, soon()).ok()?));
        let connected = TlsStream::connect(one, client, name(), soon()).ok().and_then(talk);
        accepting.join().unwrap().is_some() && connected.is_some()
    })
}

#[test]
fn a_changed_byte_anywhere_is_an_error_within_the_deadline() {
    let settings = settings();
    let mut harmed = 0;
    for of_client in [true, false] {
        for at in (0..1_800).step_by(7) {
            let started = Instant::now();
            harmed += usize::from(!is_unharmed(&settings, of_client, at));
            assert!(started.elapsed() < 100 * SHORT, "{at}: {:?}", started.elapsed());
        }
    }
    assert!(harmed > 50, "{harmed} times");
}
