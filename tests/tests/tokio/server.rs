//! The server: limits, pages, refusals, panics and its end.

use core::{future::Future, time::Duration};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
    time::{Instant, timeout},
};
use ws_tests::{CLOSE, FIN, TEXT, masked};
use ws_tokio::{
    AcceptError, Acceptor, Answer, CloseCode, Config, ConnectError, Connector, Exchange, Handle, HandlerResult,
    Message, Page, RedirectError, Server,
};

use crate::peer::{Peer, REQUEST, code};

/// The longest that any wait of a test may take; none takes so long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
/// A timeout that is meant to pass.
const SHORT: Duration = Duration::from_millis(60);

/// A server that runs in a task, and the lines of its log.
struct Running {
    address: SocketAddr,
    handle: Handle,
    task: JoinHandle<io::Result<()>>,
    log: UnboundedReceiver<String>,
}

impl Running {
    async fn new<F: Future<Output = HandlerResult> + Send + 'static>(
        settings: impl FnOnce(Server) -> Server,
        handler: impl Fn(Exchange) -> F + Send + Sync + 'static,
    ) -> Self {
        ws_tests::watch();
        let (to_log, log) = unbounded_channel();
        let server = settings(Server::bind("127.0.0.1:0").await.unwrap().stop_timeout(SHORT))
            .on_error(move |incident| drop(to_log.send(incident.to_string())));
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        Self { address, handle, task: tokio::spawn(server.run(handler)), log }
    }

    async fn echoing() -> Self {
        Self::new(|server| server, echo).await
    }

    async fn connect(&self) -> Peer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Peer { stream }
    }

    /// Opens a connection.
    async fn open(&self) -> Peer {
        let mut peer = self.connect().await;
        peer.send(REQUEST.as_bytes()).await;
        let head = peer.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer
    }

    /// Opens a connection and has a message echoed.
    async fn exchange(&self) -> Peer {
        let mut peer = self.open().await;
        peer.send(&masked(FIN | TEXT, b"hello")).await;
        assert_eq!(peer.frame().await.payload, b"hello");
        peer
    }

    /// Returns the whole answer to a request.
    async fn answer(&self, request: &str) -> String {
        let mut peer = self.connect().await;
        peer.send(request.as_bytes()).await;
        String::from_utf8(peer.rest().await).unwrap()
    }

    async fn wait_for(&self, connections: usize) {
        let started = Instant::now();
        while self.handle.connections() != connections {
            assert!(started.elapsed() < PATIENCE, "{} connections", self.handle.connections());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn log_line(&mut self) -> String {
        timeout(PATIENCE, self.log.recv()).await.unwrap().unwrap()
    }

    /// Stops the server, and returns the time that this took.
    async fn stop(self) -> Duration {
        let started = Instant::now();
        self.handle.stop();
        timeout(2 * PATIENCE, self.task).await.expect("the server stops").unwrap().unwrap();
        started.elapsed()
    }
}

async fn echo(exchange: Exchange) -> HandlerResult {
    let mut ws = exchange.accept().await?;
    while let Some(mut received) = ws.read().await? {
        received.reply.queue(received.message).await?;
    }
    Ok(())
}

/// Returns a request for a connection on `path`.
fn request(path: &str) -> String {
    REQUEST.replacen("GET /", &format!("GET {path}"), 1)
}

#[tokio::test]
async fn a_handler_answers_pages_and_connections() {
    let handler = |exchange: Exchange| async {
        assert!(exchange.peer_addr().unwrap().ip().is_loopback());
        match (exchange.is_upgrade(), exchange.path()) {
            (true, "/") => echo(exchange).await,
            (false, "/page") => {
                let seen = format!("{} {:?} {}", exchange.method(), exchange.query(), exchange.host());
                let page = Page::html(seen).header("Content-Security-Policy", "default-src 'none'");
                Ok(exchange.page(&page).await?)
            }
            (false, "/old") => Ok(exchange.refuse(410).await?),
            _ => Ok(()),
        }
    };
    let server = Running::new(|server| server, handler).await;
    server.exchange().await;
    let page = server.answer("GET /page?q=1 HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(
        page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("\r\n\r\nGET Some(\"q=1\") localhost"),
        "{page}"
    );
    assert!(page.contains("\r\nX-Content-Type-Options: nosniff\r\n"), "{page}");
    assert!(page.contains("\r\nContent-Security-Policy: default-src 'none'\r\n"), "{page}");
    let old = server.answer("GET /old HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.1 410 "), "{old}");
    server.stop().await;
}

#[tokio::test]
async fn an_exchange_dropped_without_an_answer_is_answered() {
    let handler = |exchange: Exchange| async move {
        assert_ne!(exchange.path(), "/panic", "as the test wants it");
        Ok(())
    };
    let server = Running::new(|server| server, handler).await;
    let upgrade = server.answer(&request("/nothing")).await;
    assert!(upgrade.starts_with("HTTP/1.1 404 "), "{upgrade}");
    let plain = server.answer("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(plain.starts_with("HTTP/1.1 426 "), "{plain}");
    let panicked = server.answer(&request("/panic")).await;
    assert!(panicked.starts_with("HTTP/1.1 500 "), "{panicked}");
    server.stop().await;
}

#[tokio::test]
async fn answer_of_a_dropped_exchange_is_not_reset_by_what_the_client_sends_after_its_request() {
    let server = Running::new(|server| server, async |_| Ok(())).await;
    let mut peer = server.connect().await;
    peer.send(&[REQUEST.as_bytes(), &masked(FIN | TEXT, &[b'x'; 5_000])].concat()).await;
    server.wait_for(0).await;
    let answer = String::from_utf8(peer.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_its_connection_only() {
    let handler = |exchange: Exchange| async {
        let mut ws = exchange.accept().await?;
        while let Some(mut received) = ws.read().await? {
            assert_ne!(received.message, Message::Text("panic"), "as the test wants it");
            received.reply.queue(received.message).await?;
        }
        Ok(())
    };
    let server = Running::new(|server| server, handler).await;
    let (mut other, mut peer) = (server.open().await, server.open().await);
    peer.send(&masked(FIN | TEXT, b"panic")).await;
    assert!(peer.stream.read(&mut [0; 64]).await.is_ok_and(|len| len == 0));
    server.wait_for(1).await;
    other.send(&masked(FIN | TEXT, b"still here?")).await;
    assert_eq!(other.frame().await.payload, b"still here?");
    server.exchange().await;
    drop(other);
    server.stop().await;
}

#[tokio::test]
async fn connections_over_the_cap_are_told_503_until_one_ends() {
    let server = Running::new(|server| server.max_connections(2), echo).await;
    let (first, _second) = (server.open().await, server.open().await);
    let answer = server.answer(REQUEST).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\nContent-Length: 0\r\n\r\n"), "{answer}");
    drop(first);
    server.wait_for(1).await;
    server.exchange().await;
    server.stop().await;
}

#[tokio::test]
async fn beyond_a_bounded_number_of_refusals_connections_are_dropped() {
    let server = Running::new(|server| server.max_connections(1), echo).await;
    let _one = server.open().await;
    // Each of them stays, so that each refusal takes its whole second.
    let mut refused = Vec::new();
    for _ in 0..50 {
        refused.push(server.connect().await);
    }
    let mut answers = Vec::new();
    for peer in &mut refused {
        let mut answer = [0; 12];
        let len = peer.stream.read(&mut answer).await.unwrap_or_default();
        answers.push(answer[..len].to_vec());
    }
    assert!(answers.iter().filter(|answer| *answer == b"HTTP/1.1 503").count() >= 32);
    assert!(answers.iter().any(Vec::is_empty));
    server.stop().await;
}

#[tokio::test]
async fn connections_that_have_not_opened_are_bounded_beside_open_ones() {
    let server = Running::new(|server| server.max_opening(2), echo).await;
    let mut open = server.exchange().await;
    let silent = [server.connect().await, server.connect().await];
    server.wait_for(3).await;
    assert!(server.answer(REQUEST).await.starts_with("HTTP/1.1 503 "));
    open.send(&masked(FIN | TEXT, b"hello")).await;
    assert_eq!(open.frame().await.payload, b"hello");
    drop(silent);
    server.wait_for(1).await;
    server.exchange().await;
    server.stop().await;
}

#[tokio::test]
async fn connections_of_one_address_that_have_not_opened_are_bounded() {
    let server = Running::new(|server| server.max_opening_per_address(Some(1)), echo).await;
    let silent = server.connect().await;
    server.wait_for(1).await;
    assert!(server.answer(REQUEST).await.starts_with("HTTP/1.1 503 "));
    drop(silent);
    server.wait_for(0).await;
    server.exchange().await;
    server.stop().await;
}

#[tokio::test]
async fn stop_closes_open_connections_with_1001_and_drops_the_others() {
    let server = Running::new(|server| server.stop_timeout(PATIENCE), echo).await;
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(server.exchange().await);
    }
    let mut silent = server.connect().await;
    server.wait_for(9).await;
    let address = server.address;
    let stopping = tokio::spawn(server.stop());
    for peer in &mut open {
        assert_eq!(code(&peer.frame().await), 1_001);
    }
    assert!(matches!(silent.stream.read(&mut [0]).await, Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).await.is_err());
    for peer in &mut open {
        peer.send(&masked(CLOSE, &1_001_u16.to_be_bytes())).await;
        assert!(peer.rest().await.is_empty());
    }
    assert!(stopping.await.unwrap() < PATIENCE);
}

#[tokio::test]
async fn stop_has_one_deadline_for_peers_that_do_not_answer() {
    let mut config = Config::new();
    config.close_timeout = None;
    config.keepalive_interval = None;
    let acceptor = Acceptor::new().config(config);
    let server = Running::new(|server| server.acceptor(acceptor).stop_timeout(4 * SHORT), echo).await;
    let mut mute = Vec::new();
    for _ in 0..4 {
        mute.push(server.exchange().await);
    }
    server.wait_for(4).await;
    let took = server.stop().await;
    assert!((4 * SHORT..PATIENCE).contains(&took), "{took:?}");
    for mut peer in mute {
        assert_eq!(code(&peer.frame().await), 1_001);
        assert!(peer.rest().await.is_empty());
    }
}

#[tokio::test]
async fn stop_closes_a_connection_that_its_handler_has_split() {
    let handler = |exchange: Exchange| async {
        let (mut reader, mut writer) = exchange.accept().await?.split();
        while let Some(message) = reader.read().await? {
            writer.send(message).await?;
        }
        Ok(())
    };
    let server = Running::new(|server| server.stop_timeout(PATIENCE), handler).await;
    let mut peer = server.exchange().await;
    let stopping = tokio::spawn(server.stop());
    let close = peer.frame().await;
    assert_eq!((code(&close), &close.payload[2..]), (1_001, &b"server is going down"[..]));
    peer.send(&masked(CLOSE, &1_001_u16.to_be_bytes())).await;
    assert!(peer.rest().await.is_empty());
    assert!(stopping.await.unwrap() < PATIENCE);
}

#[tokio::test]
async fn stop_does_not_wait_for_a_handler_that_is_stuck() {
    let handler = |exchange: Exchange| async {
        let _ws = exchange.accept().await?;
        core::future::pending().await
    };
    let server = Running::new(|server| server, handler).await;
    let mut peer = server.open().await;
    let stopping = tokio::spawn(server.stop());
    assert_eq!(code(&peer.frame().await), 1_001);
    assert!(stopping.await.unwrap() < PATIENCE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_stops_however_much_a_client_sends() {
    let handler = |exchange: Exchange| async {
        let mut ws = exchange.accept().await?;
        while let Some(mut received) = ws.read().await? {
            // Refused while the connection is closing: then the client waits for no echo.
            let _ = received.reply.queue(received.message).await;
        }
        Ok(())
    };
    let server = Running::new(|server| server.stop_timeout(PATIENCE), handler).await;
    let ws = ws_tokio::connect(&format!("ws://{}/", server.address)).await.unwrap();
    let (mut reader, mut writer) = ws.split();
    let flood = tokio::spawn(async move { while writer.send(&[7; 5_000]).await.is_ok() {} });
    let mut echoed = 0;
    let handle = server.handle.clone();
    while timeout(PATIENCE, reader.read()).await.unwrap().unwrap().is_some() {
        echoed += 1;
        if echoed == 1_000 {
            handle.stop();
        }
    }
    assert_eq!(reader.close_frame().unwrap().0, CloseCode::GOING_AWAY);
    drop(reader);
    flood.await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_stopped_first_does_not_run() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    server.handle().stop();
    server.run(echo).await.unwrap();
}

#[tokio::test]
async fn a_server_on_every_address_is_stopped() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let Ok(server) = Server::bind(address).await else {
            continue;
        };
        let (handle, address) = (server.handle(), server.local_addr().unwrap());
        let running =
            Running { address, handle, task: tokio::spawn(server.run(echo)), log: unbounded_channel().1 };
        drop(TcpStream::connect(("localhost", address.port())).await);
        running.wait_for(0).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn a_health_check_is_not_reported_but_a_bad_request_is() {
    let mut server = Running::echoing().await;
    drop(server.connect().await);
    let reset = server.connect().await;
    server.wait_for(1).await;
    reset.reset();
    server.wait_for(0).await;
    let mut bad = server.connect().await;
    bad.send(b"nonsense\r\n\r\n").await;
    assert!(bad.head().await.starts_with("HTTP/1.1 400 "));
    drop(bad);
    let line = server.log_line().await;
    assert!(line.starts_with("127.0.0.1:") && line.contains("no opening handshake: "), "{line}");
    assert!(server.log.try_recv().is_err());
    server.stop().await;
}

#[tokio::test]
async fn peers_cannot_flood_the_log() {
    let mut server = Running::echoing().await;
    for _ in 0..100 {
        server.answer("nonsense\r\n\r\n").await;
    }
    server.wait_for(0).await;
    let mut lines = 0;
    while server.log.try_recv().is_ok() {
        lines += 1;
    }
    assert!((1..50).contains(&lines), "{lines}");
    server.stop().await;
}

#[tokio::test]
async fn a_listener_is_taken_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(Server::new(listener).local_addr().unwrap(), address);
}

#[tokio::test]
async fn an_answer_that_cannot_be_sent_is_a_500() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&errors);
    let handler = move |exchange: Exchange| {
        let noted = Arc::clone(&noted);
        async move {
            let result = match exchange.path() {
                "/status" => exchange.refuse(200).await,
                "/field" => {
                    let answer = Answer::accept().header("X-Bad", "a\r\nInjected: yes");
                    exchange.accept_with(answer).await.map(drop)
                }
                _ => exchange.page(&Page::html("").header("X-Bad", "a\r\nInjected: yes")).await,
            };
            noted.lock().unwrap().push(result.unwrap_err().to_string());
            Ok(())
        }
    };
    let server = Running::new(|server| server, handler).await;
    for path in ["/status", "/field", "/page"] {
        let answer = server.answer(&request(path)).await;
        assert!(answer.starts_with("HTTP/1.1 500 ") && !answer.contains("Injected"), "{path}: {answer}");
    }
    server.wait_for(0).await;
    assert_eq!(*errors.lock().unwrap(), ["answer cannot be sent"; 3]);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_has_a_subprotocol_that_was_offered_or_none() {
    let handler = |exchange: Exchange| async {
        let chosen = match exchange.path() {
            "/theirs" => exchange.subprotocols().last().unwrap().to_owned(),
            _ => "mine".to_owned(),
        };
        let answer = Answer::accept().subprotocol(exchange.select(&[&chosen]));
        let ws = exchange.accept_with(answer).await?;
        assert_eq!(ws.subprotocol(), (chosen == "b").then_some("b"));
        Ok(())
    };
    let server = Running::new(|server| server, handler).await;
    for (path, field) in [("/theirs", true), ("/mine", false)] {
        let mut peer = server.connect().await;
        let request = request(path).replacen("\r\n", "\r\nSec-WebSocket-Protocol: a, b\r\n", 1);
        peer.send(request.as_bytes()).await;
        let head = peer.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(head.contains("\r\nSec-WebSocket-Protocol: b\r\n"), field, "{head}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_has_a_body_but_not_for_head() {
    let handler = |exchange: Exchange| async {
        if exchange.is_upgrade() {
            let answer = Answer::refuse(403).body("text/html", "<p>no".as_bytes()).header("X-Why", "because");
            assert!(matches!(exchange.accept_with(answer).await, Err(AcceptError::Refused(403))));
        } else if exchange.path() == "/page" {
            exchange.page(&Page::html("<p>yes")).await?;
        } else {
            exchange.refuse(404).await?;
        }
        Ok(())
    };
    let server = Running::new(|server| server, handler).await;
    let refused = server.answer(REQUEST).await;
    assert!(refused.starts_with("HTTP/1.1 403 ") && refused.ends_with("\r\n\r\n<p>no"), "{refused}");
    assert!(refused.contains("\r\nContent-Type: text/html\r\n") && refused.contains("\r\nX-Why: because\r\n"));
    for path in ["/", "/page", " /invalid"] {
        // HTTP/1.0 too, as load balancers ask whether a server is there.
        for rest in ["HTTP/1.0\r\n\r\n", "HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            let head = server.answer(&format!("HEAD {path} {rest}")).await;
            assert!(head.starts_with("HTTP/1.1 ") && head.ends_with("\r\n\r\n"), "{path}: {head}");
            assert!(head.contains("\r\nContent-Length: ") && !head.contains("\r\nContent-Length: 0"), "{head}");
        }
    }
    assert!(server.answer("GET /page HTTP/1.0\r\n\r\n").await.ends_with("\r\n\r\n<p>yes"));
    server.stop().await;
}

#[tokio::test]
async fn the_log_names_the_page_and_the_host_of_a_403() {
    let mut server = Running::echoing().await;
    let request = REQUEST.replacen("\r\n", "\r\nOrigin: http://evil.example\r\n", 1);
    assert!(server.answer(&request).await.starts_with("HTTP/1.1 403 "));
    let line = server.log_line().await;
    assert!(line.contains("http://evil.example") && line.contains("localhost"), "{line}");
    server.stop().await;
}

#[tokio::test]
async fn a_refused_peer_that_stays_is_drained_for_a_second() {
    let server = Running::new(|server| server, async |exchange| Ok(exchange.refuse(404).await?)).await;
    let mut peer = server.connect().await;
    peer.send(REQUEST.as_bytes()).await;
    let started = Instant::now();
    assert!(peer.rest().await.starts_with(b"HTTP/1.1 404 "));
    // The peer's own direction is open still.
    server.wait_for(0).await;
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_refused_peer_that_goes_on_sending_is_drained_of_64_kib() {
    let server = Running::new(|server| server, async |exchange| Ok(exchange.refuse(404).await?)).await;
    let mut peer = server.connect().await;
    peer.send(REQUEST.as_bytes()).await;
    let mut sent = 0;
    // Until the server has gone.
    while peer.stream.write_all(&[0; 1_024]).await.is_ok() {
        sent += 1_024;
    }
    // The rest is in buffers of the system; a second of draining would be far more.
    assert!((64 << 10..32 << 20).contains(&sent), "{sent}");
    server.wait_for(0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_tracked_connection_is_closed_and_waited_for() {
    let tracker = ws_tokio::Tracker::new();
    let (mut client, server) = crate::messages::pair(1_000);
    let (mut server, tracked) = tracker.track(server);
    assert_eq!(tracker.connections(), 1);
    let serving = tokio::spawn(async move {
        let read = server.read().await.map(|received| received.is_none());
        drop(tracked);
        read
    });
    tracker.close_all();
    assert!(client.read().await.unwrap().is_none());
    assert_eq!(client.close_frame().unwrap().0, CloseCode::GOING_AWAY);
    tracker.ended().await;
    assert_eq!(tracker.connections(), 0);
    assert!(serving.await.unwrap().unwrap());
}

/// Redirects `/loop` to itself, `/old` to `/new` and other paths to where the query says, and tells clients of `/new` whether
/// they have sent credentials.
async fn redirecting(exchange: Exchange) -> HandlerResult {
    let to = match exchange.path() {
        "/new" => {
            let sent = exchange.header("Authorization").is_some();
            let answer = Answer::accept().header("X-Authorized", if sent { "yes" } else { "no" });
            exchange.accept_with(answer).await?;
            return Ok(());
        }
        "/old" => "/new#here".to_owned(),
        "/loop" => "/loop".to_owned(),
        _ => exchange.query().unwrap_or_default().to_owned(),
    };
    let refused = exchange.accept_with(Answer::refuse(307).header("Location", to)).await;
    assert!(matches!(refused, Err(AcceptError::Refused(307))));
    Ok(())
}

#[tokio::test]
async fn a_client_follows_redirects_and_takes_credentials_to_their_origin_only() {
    let servers =
        [Running::new(|server| server, redirecting).await, Running::new(|server| server, redirecting).await];
    let [url, other] = servers.each_ref().map(|server| format!("ws://{}", server.address));
    let connector = Connector::new().header("Authorization", "Basic c2VjcmV0").max_redirects(3);
    let authorized = async |path: &str| {
        let mut seen = None;
        let url = format!("{url}{path}");
        connector.connect_with(&url, |answer| seen = answer.header("X-Authorized").map(<[u8]>::to_vec)).await?;
        Ok::<_, ConnectError>(seen.unwrap())
    };
    assert_eq!(authorized("/new").await.unwrap(), b"yes");
    assert_eq!(authorized("/old").await.unwrap(), b"yes");
    // HTTP's scheme stands for that of WebSocket.
    assert_eq!(authorized(&format!("/?{}/old", other.replace("ws:", "http:"))).await.unwrap(), b"no");
    let there_and_back = format!("/?{other}/?{url}/new");
    assert_eq!(authorized(&there_and_back).await.unwrap(), b"no");
    let refused = |result| match result {
        Err(ConnectError::Redirect(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(authorized("/loop").await), RedirectError::TooMany);
    assert!(matches!(refused(authorized("/?ftp://example.com/").await), RedirectError::InvalidLocation(_)));
    // Without the option a redirect is a refusal.
    match ws_tokio::connect(&format!("{url}/old")).await {
        Err(ConnectError::Refused(refused)) => assert_eq!(refused.status(), 307),
        other => panic!("{other:?}"),
    }
}
