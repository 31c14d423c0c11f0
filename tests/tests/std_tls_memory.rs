//! The memory of a TLS connection, in a process of its own: the pool of buffers is one for all threads.

use core::time::Duration;
use std::{
    io::{ErrorKind, IoSlice},
    net::{TcpListener, TcpStream},
    thread,
    time::Instant,
};

use ws_std::{ClientTls, ServerTls, Socket, TlsStream, Transport, rustls::pki_types::ServerName};
use ws_tests::{Authority, Counting, Days, growth};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes of the heap that an idle connection holds; the documentation of `TlsStream` names it.
const MOST_HELD: usize = 4 * 1024;

fn soon() -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(50))
}

fn patient() -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(60))
}

/// Writes and reads 64 KiB, then reads in vain.
fn exchange(stream: &TlsStream<Socket>) {
    let mut buffer = vec![0; 65_536];
    let (mut written, mut read) = (0, 0);
    while written < buffer.len() {
        written += stream.write(&[IoSlice::new(&buffer[written..])], patient()).unwrap();
    }
    while read < buffer.len() {
        read += stream.read(&mut buffer[read..], patient()).unwrap();
    }
    assert_eq!(stream.read(&mut buffer, soon()).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn an_idle_tls_connection_holds_little_memory_even_after_a_long_message() {
    ws_tests::watch();
    let authority = Authority::new();
    let identity = authority.issue("localhost", Days::NOW);
    let server = ServerTls::new(identity.chain, identity.key).unwrap();
    let client = ClientTls::builder().add_roots(&authority.root).unwrap().only_added_roots().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let serve = || {
        let socket = Socket::new(listener.accept().unwrap().0).unwrap();
        TlsStream::accept(socket, &server, patient()).unwrap()
    };
    let connect = || {
        let socket = Socket::new(TcpStream::connect(address).unwrap()).unwrap();
        TlsStream::connect(socket, &client, name.clone(), patient()).unwrap()
    };
    thread::scope(|scope| {
        let serving = scope.spawn(|| connections(serve));
        // The connections last until both sides have measured theirs.
        let held = [connections(connect), serving.join().unwrap()].map(|connections| least_held(&connections));
        println!("{held:?} and {} in itself", size_of::<TlsStream<Socket>>());
        assert!(held.iter().all(|held| *held <= MOST_HELD), "{held:?}");
    });
}

/// Makes some connections, each with its exchange and the memory that it holds after that.
fn connections(mut open: impl FnMut() -> TlsStream<Socket>) -> [(TlsStream<Socket>, usize); 4] {
    core::array::from_fn(|_| {
        let (stream, held, _) = growth(|| {
            let stream = open();
            exchange(&stream);
            stream
        });
        (stream, held)
    })
}

/// Returns the least memory that one of the connections holds: others have filled the pool of buffers.
fn least_held(connections: &[(TlsStream<Socket>, usize)]) -> usize {
    connections.iter().map(|(_, held)| *held).min().unwrap()
}
