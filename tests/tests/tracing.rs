//! Reports to `tracing`: `cargo test -p ws-tests --features tracing --test tracing`

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::{Level, subscriber::set_default};

/// Returns the lines of the events that `act` causes on this thread.
fn lines(act: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .without_time()
        .with_ansi(false)
        .with_target(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = set_default(subscriber);
    act();
    drop(guard);
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(|line| line.trim_start().to_owned()).collect()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the lines with this field of their span, without the span.
fn of_side<'l>(lines: &'l [String], side: &str) -> Vec<(&'l str, &'l str)> {
    let span = format!("websocket{{side={side} subprotocol=\"chat\"}}: ");
    let of_span = |line: &'l String| line.split_once(&*span).map(|(level, event)| (level.trim_end(), event));
    lines.iter().filter_map(of_span).collect()
}

#[test]
fn a_connection_of_ws_tokio_reports_its_frames_states_and_end() {
    use ws_tokio::{Acceptor, Answer, CloseCode, Connector};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lines = lines(|| {
        runtime.block_on(async {
            let (ours, theirs) = tokio::io::duplex(4_096);
            let connector = Connector::new().subprotocols(&["chat"]);
            let accept = async {
                let exchange = Acceptor::new().receive(theirs).await?;
                let answer = Answer::accept().subprotocol(exchange.select(&["chat"]));
                exchange.accept_with(answer).await
            };
            let (client, server) = tokio::join!(connector.connect_over("ws://localhost/", ours, |_| ()), accept);
            let (mut client, mut server) = (client.unwrap(), server.unwrap());
            client.send("hello").await.unwrap();
            assert!(server.read().await.unwrap().is_some());
            let (closed, read) = tokio::join!(client.close(CloseCode::NORMAL, ""), server.read());
            assert!(closed.unwrap().clean && read.unwrap().is_none());
        });
    });
    let text = "frame received opcode=Text fin=true payload_len=5";
    let expected = [
        ("DEBUG", "open"),
        ("TRACE", text),
        ("TRACE", "frame received opcode=Close fin=true payload_len=2"),
        ("DEBUG", "closing"),
        ("TRACE", "frame sent opcode=Close fin=true payload_len=2"),
    ];
    let server = of_side(&lines, "Server");
    assert_eq!(server[..5], expected, "{lines:#?}");
    let client = of_side(&lines, "Client");
    assert_eq!(
        client[..2],
        [("DEBUG", "open"), ("TRACE", "frame sent opcode=Text fin=true payload_len=5")],
        "{lines:#?}"
    );
    assert!(client.contains(&("DEBUG", "closed clean=true code=1000 cause=Local")), "{lines:#?}");
}

#[test]
fn a_connection_of_ws_std_reports_its_failure() {
    use std::net::{TcpListener, TcpStream};

    use ws_std::{
        Config, Socket, WebSocket,
        proto::{Server, endpoint::Negotiated},
    };

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let stream = listener.accept().unwrap().0;
    let lines = lines(|| {
        let socket = Socket::try_from(stream).unwrap();
        let mut ws = WebSocket::from_handshake(Server, socket, Vec::new(), Negotiated::default(), &Config::new());
        io::Write::write_all(&mut peer, b"\x81\x01a").unwrap();
        ws.read().unwrap_err();
    });
    let failed = |line: &String| {
        line.starts_with("DEBUG websocket{side=Server}: failed error=") && line.contains("not masked")
    };
    assert!(lines.iter().any(failed), "{lines:#?}");
}

#[test]
fn incidents_of_a_server_are_warnings_by_default() {
    let lines = lines(|| {
        let error = ws_std::AcceptError::NoRequest;
        ws_std::proto::driver::Log::default().report(Some(([127, 0, 0, 1], 80).into()), &error);
    });
    assert_eq!(lines, ["WARN 127.0.0.1:80: peer left without a request"]);
}
