use core::time::Duration;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Instant,
};

use ws_std::{
    AcceptError, Acceptor, Answer, Config, ConnectError, Connector, Exchange, Handle, HandlerResult, Page,
    RedirectError, Server, Socket,
};
use ws_tests::{FIN, TEXT, masked};

use crate::{
    PATIENCE, SHORT,
    peer::{Peer, REQUEST, code},
};

/// A server that runs on a thread, and the lines of its log.
struct Running {
    address: SocketAddr,
    handle: Handle,
    thread: thread::JoinHandle<io::Result<()>>,
    log: Receiver<String>,
}

impl Running {
    fn new(
        settings: impl FnOnce(Server) -> Server,
        handler: impl Fn(Exchange) -> HandlerResult + Send + Sync + 'static,
    ) -> Self {
        ws_tests::watch();
        let (to_log, log) = channel();
        let to_log: Mutex<Sender<String>> = Mutex::new(to_log);
        let server = settings(Server::bind("127.0.0.1:0").unwrap().stop_timeout(SHORT))
            .on_error(move |incident| drop(to_log.lock().unwrap().send(incident.to_string())));
        let address = server.local_addr().unwrap();
        let handle = server.handle();
        Self { address, handle, thread: thread::spawn(move || server.run(handler)), log }
    }

    fn connect(&self) -> Peer {
        Peer::new(TcpStream::connect(self.address).unwrap())
    }

    /// A connection that is open.
    fn open(&self) -> Peer {
        let mut peer = self.connect();
        peer.send(REQUEST.as_bytes());
        let head = peer.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer
    }

    /// The whole answer to a request without an upgrade.
    fn answer(&self, request: &str) -> String {
        let mut peer = self.connect();
        peer.send(request.as_bytes());
        String::from_utf8(peer.rest()).unwrap()
    }

    /// A connection whose handler echoes: it has it, which it may not yet have when the peer has the 101.
    fn echoing(&self) -> Peer {
        let mut peer = self.open();
        peer.send(&masked(FIN | TEXT, b"hello"));
        assert_eq!(peer.frame().payload, b"hello");
        peer
    }

    fn is_served(&self) -> bool {
        drop(self.echoing());
        true
    }

    fn wait_for(&self, connections: usize) {
        let started = Instant::now();
        while self.handle.connections() != connections {
            assert!(started.elapsed() < PATIENCE, "{} connections", self.handle.connections());
            thread::yield_now();
        }
    }

    /// Stops the server; how long that took.
    fn stop(self) -> Duration {
        let started = Instant::now();
        self.handle.stop();
        while !self.thread.is_finished() {
            assert!(started.elapsed() < 2 * PATIENCE, "the server does not stop");
            thread::sleep(Duration::from_millis(1));
        }
        self.thread.join().unwrap().unwrap();
        started.elapsed()
    }
}

fn echo(exchange: Exchange) -> HandlerResult {
    let mut ws = exchange.accept()?;
    while let Some(mut received) = ws.read()? {
        received.reply.queue(received.message)?;
    }
    Ok(())
}

fn echoing() -> Running {
    Running::new(|server| server, echo)
}

#[test]
fn a_handler_answers_pages_and_connections() {
    let server = Running::new(
        |server| server,
        |exchange| {
            assert!(exchange.peer_addr().unwrap().ip().is_loopback());
            match (exchange.is_upgrade(), exchange.path()) {
                (true, "/") => echo(exchange),
                (false, "/page") => {
                    let seen = format!("{} {:?} {}", exchange.method(), exchange.query(), exchange.host());
                    Ok(exchange.page(&Page::html(seen).header("Content-Security-Policy", "default-src 'none'"))?)
                }
                (false, "/old") => Ok(exchange.refuse(410)?),
                _ => Ok(()),
            }
        },
    );
    assert!(server.is_served());
    let page = server.answer("GET /page?q=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("\r\n\r\nGET Some(\"q=1\") localhost"),
        "{page}"
    );
    assert!(page.contains("\r\nX-Content-Type-Options: nosniff\r\n"), "{page}");
    assert!(page.contains("\r\nContent-Security-Policy: default-src 'none'\r\n"), "{page}");
    assert!(server.answer("GET /old HTTP/1.1\r\nHost: localhost\r\n\r\n").starts_with("HTTP/1.1 410 "));
    server.stop();
}

#[test]
fn an_exchange_dropped_without_an_answer_is_answered() {
    let server = Running::new(
        |server| server,
        |exchange| {
            assert_ne!(exchange.path(), "/panic", "as the test wants it");
            Ok(())
        },
    );
    let upgrade = server.answer(&REQUEST.replacen("GET /", "GET /nothing", 1));
    assert!(upgrade.starts_with("HTTP/1.1 404 "), "{upgrade}");
    let plain = server.answer("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(plain.starts_with("HTTP/1.1 426 "), "{plain}");
    let panicked = server.answer(&REQUEST.replacen("GET /", "GET /panic", 1));
    assert!(panicked.starts_with("HTTP/1.1 500 "), "{panicked}");
    server.stop();
}

#[test]
fn a_panic_in_a_handler_ends_its_connection_only() {
    let server = Running::new(
        |server| server,
        |exchange| {
            let mut ws = exchange.accept()?;
            while let Some(mut received) = ws.read()? {
                assert_ne!(received.message, ws_std::Message::Text("panic"), "as the test wants it");
                received.reply.queue(received.message)?;
            }
            Ok(())
        },
    );
    let mut other = server.open();
    let mut peer = server.open();
    peer.send(&masked(FIN | TEXT, b"panic"));
    assert!(peer.stream.read(&mut [0; 64]).is_ok_and(|len| len == 0));
    server.wait_for(1);
    other.send(&masked(FIN | TEXT, b"still here?"));
    assert_eq!(other.frame().payload, b"still here?");
    assert!(server.is_served());
    drop(other);
    server.stop();
}

#[test]
fn connections_over_the_cap_are_told_503_until_one_ends() {
    let server = Running::new(|server| server.max_connections(2), echo);
    let (first, _second) = (server.open(), server.open());
    let answer = server.answer(REQUEST);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\nContent-Length: 0\r\n\r\n"), "{answer}");
    drop(first);
    server.wait_for(1);
    assert!(server.is_served());
    server.stop();
}

#[test]
fn beyond_a_bounded_number_of_refusals_connections_are_dropped() {
    let server = Running::new(|server| server.max_connections(1), echo);
    let _one = server.open();
    // None of them leaves by itself, so that each refusal takes its whole second.
    let mut refused: Vec<_> = (0..50).map(|_| server.connect()).collect();
    let answers: Vec<_> = refused
        .iter_mut()
        .map(|peer| {
            let mut answer = [0; 12];
            peer.stream.read(&mut answer).map(|len| answer[..len].to_vec()).unwrap_or_default()
        })
        .collect();
    assert!(answers.iter().filter(|answer| *answer == b"HTTP/1.1 503").count() >= 32);
    assert!(answers.iter().any(Vec::is_empty));
    server.stop();
}

#[test]
fn connections_that_have_not_opened_are_bounded_beside_open_ones() {
    let server = Running::new(|server| server.max_opening(2), echo);
    let mut open = server.echoing();
    let silent = [server.connect(), server.connect()];
    server.wait_for(3);
    assert!(server.answer(REQUEST).starts_with("HTTP/1.1 503 "));
    open.send(&masked(FIN | TEXT, b"hello"));
    assert_eq!(open.frame().payload, b"hello");
    drop(silent);
    server.wait_for(1);
    assert!(server.is_served());
    server.stop();
}

#[test]
fn connections_of_one_address_that_have_not_opened_are_bounded() {
    let server = Running::new(|server| server.max_opening_per_address(Some(1)), echo);
    let silent = server.connect();
    server.wait_for(1);
    assert!(server.answer(REQUEST).starts_with("HTTP/1.1 503 "));
    drop(silent);
    server.wait_for(0);
    assert!(server.is_served());
    server.stop();
}

#[test]
fn stop_closes_open_connections_with_1001_and_drops_the_others() {
    let server = Running::new(|server| server.stop_timeout(PATIENCE), echo);
    let mut open: Vec<_> = (0..8).map(|_| server.echoing()).collect();
    let mut silent = server.connect();
    server.wait_for(9);
    let address = server.address;
    let stopping = thread::spawn(|| server.stop());
    for peer in &mut open {
        assert_eq!(code(&peer.frame()), 1_001);
    }
    assert!(matches!(silent.stream.read(&mut [0]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).is_err());
    for peer in &mut open {
        peer.send(&masked(FIN | 8, &1_001_u16.to_be_bytes()));
        assert!(peer.rest().is_empty());
    }
    assert!(stopping.join().unwrap() < PATIENCE);
}

// K-abort
#[test]
fn stop_has_one_deadline_for_peers_that_do_not_answer() {
    let mut config = Config::new();
    config.close_timeout = None;
    config.keepalive_interval = None;
    let acceptor = Acceptor::new().config(config);
    let server = Running::new(|server| server.acceptor(acceptor).stop_timeout(4 * SHORT), echo);
    let mute: Vec<_> = (0..4).map(|_| server.echoing()).collect();
    server.wait_for(4);
    let took = server.stop();
    assert!((4 * SHORT..PATIENCE).contains(&took), "{took:?}");
    for mut peer in mute {
        assert_eq!(code(&peer.frame()), 1_001);
        assert!(peer.rest().is_empty());
    }
}

#[test]
fn stop_does_not_wait_for_a_handler_that_computes() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let server = Running::new(
        |server| server,
        move |exchange| {
            let mut ws = exchange.accept()?;
            let _ = released.lock().unwrap().recv();
            Ok(ws.send("too late")?)
        },
    );
    let _peer = server.open();
    assert!(server.stop() < PATIENCE);
    drop(release);
}

#[test]
fn a_server_that_is_stopped_first_does_not_run() {
    let server = Server::bind("127.0.0.1:0").unwrap();
    server.handle().stop();
    server.run(echo).unwrap();
}

#[test]
fn a_server_on_every_address_is_stopped() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let Ok(server) = Server::bind(address) else {
            continue;
        };
        let (handle, address) = (server.handle(), server.local_addr().unwrap());
        let running =
            Running { address, handle, thread: thread::spawn(move || server.run(echo)), log: channel().1 };
        // It waits in `accept` when it has no connection any more.
        drop(TcpStream::connect(("localhost", address.port())));
        running.wait_for(0);
        running.stop();
    }
}

#[test]
fn a_health_check_is_not_reported_but_a_bad_request_is() {
    let server = echoing();
    drop(server.connect());
    let reset = Socket::try_from(TcpStream::connect(server.address).unwrap()).unwrap();
    reset.as_socket2().set_linger(Some(Duration::ZERO)).unwrap();
    server.wait_for(1);
    drop(reset);
    server.wait_for(0);
    let mut bad = server.connect();
    bad.send(b"nonsense\r\n\r\n");
    assert!(bad.head().starts_with("HTTP/1.1 400 "));
    let line = server.log.recv_timeout(PATIENCE).unwrap();
    assert!(line.starts_with("127.0.0.1:") && line.contains("no opening handshake: "), "{line}");
    assert!(server.log.try_recv().is_err());
    drop(bad);
    server.stop();
}

#[test]
fn peers_cannot_flood_the_log() {
    let server = echoing();
    for _ in 0..100 {
        server.answer("nonsense\r\n\r\n");
    }
    server.wait_for(0);
    assert!(server.log.try_iter().count() < 50);
    server.stop();
}

#[test]
fn a_server_without_threads_survives_and_reports_it_once() {
    // No system maps so much.
    let server = Running::new(|server| server.stack_size(1 << 46), echo);
    for _ in 0..3 {
        let mut peer = server.connect();
        assert!(matches!(peer.stream.read(&mut [0]), Ok(0) | Err(_)));
    }
    assert!(server.log.recv_timeout(PATIENCE).unwrap().starts_with("server lacks something: "));
    assert!(server.log.try_recv().is_err());
    server.stop();
}

#[test]
fn a_listener_is_taken_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(listener).unwrap();
    assert_eq!(server.local_addr().unwrap(), address);
}

#[test]
fn an_answer_that_cannot_be_sent_is_a_500() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let server = Running::new(|server| server, {
        let errors = Arc::clone(&errors);
        move |exchange| {
            let answer = match exchange.path() {
                "/field" => Answer::accept().header("X-Bad", "a\r\nX-Injected: b"),
                "/refusal" => Answer::refuse(403).header("X-Bad", "a\r\nX-Injected: b"),
                "/status" => Answer::refuse(200),
                _ => {
                    let page = Page::html("").header("X-Bad", "a\r\nX-Injected: b");
                    errors.lock().unwrap().push(exchange.page(&page).unwrap_err().to_string());
                    return Ok(());
                }
            };
            errors.lock().unwrap().push(exchange.accept_with(answer).unwrap_err().to_string());
            Ok(())
        }
    });
    for path in ["/field", "/refusal", "/status"] {
        let answer = server.answer(&REQUEST.replacen("GET /", &format!("GET {path}"), 1));
        assert!(answer.starts_with("HTTP/1.1 500 ") && !answer.contains("Injected"), "{path}: {answer}");
    }
    let answer = server.answer("GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 500 ") && !answer.contains("Injected"), "{answer}");
    assert_eq!(*errors.lock().unwrap(), ["answer cannot be sent"; 4]);
    server.stop();
}

#[test]
fn an_answer_has_a_subprotocol_that_was_offered_or_none() {
    let server = Running::new(
        |server| server,
        |exchange| {
            let chosen = match exchange.path() {
                "/theirs" => exchange.subprotocols().last().unwrap().to_owned(),
                _ => "mine".to_owned(),
            };
            let answer = Answer::accept().subprotocol(exchange.select(&[&chosen]));
            let ws = exchange.accept_with(answer)?;
            assert_eq!(ws.subprotocol(), (chosen == "b").then_some("b"));
            Ok(())
        },
    );
    let head = |path: &str| {
        let mut peer = server.connect();
        let request = REQUEST.replacen("GET /", &format!("GET {path}"), 1);
        peer.send(request.replacen("\r\n", "\r\nSec-WebSocket-Protocol: a, b\r\n", 1).as_bytes());
        peer.head()
    };
    assert!(head("/theirs").contains("\r\nSec-WebSocket-Protocol: b\r\n"));
    let other = head("/mine");
    assert!(other.starts_with("HTTP/1.1 101 ") && !other.contains("Sec-WebSocket-Protocol"), "{other}");
    server.stop();
}

#[test]
fn an_answer_with_the_subprotocol_of_another_request_is_a_500() {
    let kept = Mutex::new(None);
    let server = Running::new(
        |server| server,
        move |exchange| {
            let mut kept = kept.lock().unwrap();
            let answer: &mut Answer =
                kept.get_or_insert_with(|| Answer::accept().subprotocol(exchange.select(&["chat"])));
            exchange.accept_with(answer.clone()).map(drop).map_err(Into::into)
        },
    );
    let offering = REQUEST.replacen("\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n", 1);
    assert!(server.answer(&offering).starts_with("HTTP/1.1 101 "));
    assert!(server.answer(REQUEST).starts_with("HTTP/1.1 500 "));
    server.stop();
}

#[test]
fn a_refusal_has_a_body_but_not_for_head() {
    let server = Running::new(
        |server| server,
        |exchange| {
            if exchange.is_upgrade() {
                let answer = Answer::refuse(403).body("text/html", "<p>no".as_bytes()).header("X-Why", "because");
                assert!(matches!(exchange.accept_with(answer), Err(AcceptError::Refused(403))));
            } else if exchange.path() == "/page" {
                exchange.page(&Page::html("<p>yes"))?;
            } else {
                exchange.refuse(404)?;
            }
            Ok(())
        },
    );
    let refused = server.answer(REQUEST);
    assert!(refused.starts_with("HTTP/1.1 403 ") && refused.ends_with("\r\n\r\n<p>no"), "{refused}");
    assert!(refused.contains("\r\nContent-Type: text/html\r\n") && refused.contains("\r\nX-Why: because\r\n"));
    for path in ["/", "/page", " /invalid"] {
        // HTTP/1.0 too, as load balancers ask whether a server is there.
        for rest in ["HTTP/1.0\r\n\r\n", "HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            let head = server.answer(&format!("HEAD {path} {rest}"));
            assert!(head.starts_with("HTTP/1.1 ") && head.ends_with("\r\n\r\n"), "{path}: {head}");
            assert!(head.contains("\r\nContent-Length: ") && !head.contains("\r\nContent-Length: 0"), "{head}");
        }
    }
    assert!(server.answer("GET /page HTTP/1.0\r\n\r\n").ends_with("\r\n\r\n<p>yes"));
    server.stop();
}

#[test]
fn the_log_names_the_page_and_the_host_of_a_403() {
    let server = echoing();
    let request = REQUEST.replacen("\r\n", "\r\nOrigin: http://evil.example\r\n", 1);
    assert!(server.answer(&request).starts_with("HTTP/1.1 403 "));
    let line = server.log.recv_timeout(PATIENCE).unwrap();
    assert!(line.contains("http://evil.example") && line.contains("localhost"), "{line}");
    server.stop();
}

#[test]
fn a_refused_peer_that_stays_is_drained_for_a_second() {
    let server = Running::new(|server| server, |exchange| Ok(exchange.refuse(404)?));
    let mut peer = server.connect();
    peer.send(REQUEST.as_bytes());
    let started = Instant::now();
    assert!(peer.rest().starts_with(b"HTTP/1.1 404 "));
    // The peer's own direction is open still.
    server.wait_for(0);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?}");
    server.stop();
}

#[test]
fn a_refused_peer_that_goes_on_sending_is_drained_of_64_kib() {
    let server = Running::new(|server| server, |exchange| Ok(exchange.refuse(404)?));
    let mut peer = server.connect();
    peer.send(REQUEST.as_bytes());
    let started = Instant::now();
    let mut sent = 0;
    // Until the server has gone.
    while peer.stream.write_all(&[0; 1_024]).is_ok() {
        sent += 1_024;
        assert!(started.elapsed() < PATIENCE);
    }
    // The rest is in buffers of the system; a second of draining would be far more.
    assert!((64 << 10..32 << 20).contains(&sent), "{sent}");
    server.wait_for(0);
    server.stop();
}

/// Redirects `/old` to `/new` and other paths to where the query says, and tells clients of `/new` whether they have sent
/// credentials.
fn redirecting(exchange: Exchange) -> HandlerResult {
    let to = match exchange.path() {
        "/new" => {
            let sent = exchange.header("Authorization").is_some();
            let answer = Answer::accept().header("X-Authorized", if sent { "yes" } else { "no" });
            exchange.accept_with(answer)?;
            return Ok(());
        }
        "/old" => "/new#here".to_owned(),
        _ => exchange.query().unwrap_or_default().to_owned(),
    };
    let refused = exchange.accept_with(Answer::refuse(302).header("Location", to));
    assert!(matches!(refused, Err(AcceptError::Refused(302))));
    Ok(())
}

#[test]
fn a_client_follows_redirects_and_takes_credentials_to_their_origin_only() {
    let servers = [(); 2].map(|()| Running::new(|server| server, redirecting));
    let [url, other] = servers.each_ref().map(|server| format!("ws://{}", server.address));
    let connector = Connector::new().header("Authorization", "Basic c2VjcmV0").max_redirects(1);
    let authorized = |path: &str| {
        let mut seen = None;
        let url = format!("{url}{path}");
        connector.connect_with(&url, |answer| seen = answer.header("X-Authorized").map(<[u8]>::to_vec))?;
        Ok::<_, ConnectError>(seen.unwrap())
    };
    assert_eq!(authorized("/old").unwrap(), b"yes");
    assert_eq!(authorized(&format!("/?{other}/new")).unwrap(), b"no");
    let twice = authorized("/?/old");
    assert!(matches!(twice, Err(ConnectError::Redirect(RedirectError::TooMany))), "{twice:?}");
    // Without the option a redirect is a refusal.
    match ws_std::connect(&format!("{url}/old")) {
        Err(ConnectError::Refused(refused)) => assert_eq!(refused.status(), 302),
        other => panic!("{other:?}"),
    }
}
