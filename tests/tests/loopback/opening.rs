use core::time::Duration;
use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Instant,
};

use ws_std::{
    AcceptError, Acceptor, Answer, CloseCode, Config, ConnectError, Connector, Message, NetStream, Page, Socket,
    connect,
    proto::{
        handshake::HandshakeError,
        handshake::LooksLike,
        server::{OriginPolicy, Request},
    },
};
#[cfg(target_os = "linux")]
use ws_tests::SilentAddress;
use ws_tests::{FIN, TEXT, frame, masked};

use crate::{
    SHORT, pair,
    peer::{Peer, REQUEST},
    sockets, tcp_pair,
};

/// A port of this machine, as a URL, and who listens there.
fn listener(host: &str) -> (TcpListener, String) {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    (listener, format!("ws://{host}:{port}"))
}

/// Has one message echoed by a server at the address of `listener`.
fn echo_once(listener: &TcpListener, url: &str) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut ws = ws_std::accept(listener.accept().unwrap().0).unwrap();
            while let Some(mut received) = ws.read().unwrap() {
                received.reply.queue(received.message).unwrap();
            }
        });
        let mut ws = connect(url).unwrap();
        ws.send("hello").unwrap();
        assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("hello"));
        assert!(ws.close(CloseCode::NORMAL, "").unwrap().clean);
    });
}

// R4.1-1
#[test]
fn a_name_is_looked_up_and_all_its_addresses_are_tried() {
    let (listener, url) = listener("127.0.0.1");
    // Where localhost is ::1 first, nobody listens there.
    echo_once(&listener, &url.replace("127.0.0.1", "localhost"));
}

#[test]
fn an_ipv6_address_is_connected_to() {
    if TcpListener::bind("[::1]:0").is_ok() {
        let (listener, url) = listener("::1");
        echo_once(&listener, &url);
    }
}

#[cfg(unix)]
#[test]
fn a_unix_socket_carries_a_connection() {
    let (client, server) = std::os::unix::net::UnixStream::pair().unwrap();
    let (client, server) = (Socket::try_from(client).unwrap(), Socket::try_from(server).unwrap());
    let (mut client, mut server) = crate::peer::open_over(client, server);
    client.send("hello").unwrap();
    assert_eq!(server.read().unwrap().unwrap().message, Message::Text("hello"));
    thread::scope(|scope| {
        scope.spawn(move || assert!(server.close(CloseCode::NORMAL, "").unwrap().clean));
        assert!(client.read().unwrap().is_none());
    });
}

// R3-2, R4.1-6, R4.1-11, R4.2.2-6
#[test]
fn server_sees_the_request_and_client_the_answer() {
    let (client, server) = sockets();
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            Acceptor::new().accept_over(server, |request| {
                assert_eq!((request.path(), request.query()), ("/room", Some("x=1")));
                assert_eq!(request.host(), "example.com:81");
                assert_eq!(request.origin(), Some("http://example.com:81"));
                assert_eq!(request.header("x-who"), Some(b"me".as_slice()));
                Answer::accept().subprotocol(request.select(&["b", "a"])).header("X-Served-By", "loopback")
            })
        });
        let mut served_by = Vec::new();
        let client = Connector::new()
            .subprotocols(&["c", "b", "a"])
            .header("X-Who", "me")
            .origin("http://example.com:81")
            .connect_over("ws://example.com:81/room?x=1", client, |response| {
                served_by = response.header("x-served-by").unwrap().to_vec();
            })
            .unwrap();
        assert_eq!(client.subprotocol(), Some("b"));
        assert_eq!(serving.join().unwrap().unwrap().subprotocol(), Some("b"));
        assert_eq!(served_by, b"loopback");
    });
}

// R4.1-16, R4.2.2-2, R7.2.2-1
#[test]
fn refusal_reaches_the_client_with_its_status_and_fields() {
    let (client, server) = sockets();
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            Acceptor::new()
                .accept_over(server, |_| Answer::refuse(401).header("WWW-Authenticate", "Basic realm=\"r\""))
        });
        match Connector::new().connect_over("ws://localhost/", client, |_| ()) {
            Err(ConnectError::Refused(refused)) => {
                assert_eq!(refused.status(), 401);
                assert_eq!(refused.header("www-authenticate"), Some(b"Basic realm=\"r\"".as_slice()));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(serving.join().unwrap(), Err(AcceptError::Refused(401))));
    });
}

// R10.2-1, R4.2.2-3
#[test]
fn pages_of_other_hosts_are_let_in_only_if_the_policy_says_so() {
    for (policy, opened) in [
        (OriginPolicy::SameHost, false),
        (OriginPolicy::allow(&["https://friend.example"]).unwrap(), true),
        (OriginPolicy::AllowAny, true),
    ] {
        let (client, server) = sockets();
        thread::scope(|scope| {
            scope.spawn(move || {
                let result = Acceptor::new().origin(policy).accept_over(server, |_| Answer::accept());
                assert_eq!(result.is_ok(), opened);
            });
            let connector = Connector::new().origin("https://friend.example");
            match connector.connect_over("ws://localhost/", client, |_| ()) {
                Ok(_) => assert!(opened),
                Err(ConnectError::Refused(refused)) => assert_eq!((refused.status(), opened), (403, false)),
                Err(error) => panic!("{error}"),
            }
        });
    }
}

/// What a plain request is answered, to the end of the connection; `None` is no page for it.
fn served(request: &str) -> String {
    let (client, server) = tcp_pair();
    let mut client = Peer::new(client);
    client.send(request.as_bytes());
    thread::scope(|scope| {
        scope.spawn(|| {
            let server = Socket::try_from(server).unwrap();
            let page = |path: &str| match path {
                "/" => Some(Page::html("<p>hello")),
                "/none" => Some(Page::not_found()),
                _ => None,
            };
            let result = Acceptor::new().serve(server, |_| Answer::accept(), |request| page(request.path()));
            match result {
                Ok(None) | Err(AcceptError::Handshake(HandshakeError::UpgradeRequired)) => {}
                other => panic!("{other:?}"),
            }
        });
        let answer = String::from_utf8(client.rest()).unwrap();
        drop(client);
        answer
    })
}

#[test]
fn plain_requests_get_a_page_or_are_told_to_ask_for_a_connection() {
    let get = |path| served(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let page = get("/");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("\r\nContent-Length: 8\r\n") && page.ends_with("\r\n\r\n<p>hello"), "{page}");
    assert!(get("/none").starts_with("HTTP/1.1 404 "));
    // R9110-6
    let upgrade = get("/socket");
    assert!(upgrade.starts_with("HTTP/1.1 426 ") && upgrade.contains("Upgrade: websocket\r\n"), "{upgrade}");
    let head = served("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(head.contains("\r\nContent-Length: 8\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    // As a proxy asks that speaks HTTP/1.0 to its backends.
    let old = served("GET / HTTP/1.0\r\nConnection: close\r\n\r\n");
    assert!(old.starts_with("HTTP/1.1 200 OK\r\n") && old.ends_with("\r\n\r\n<p>hello"), "{old}");
}

// R9110-9
#[test]
fn no_refusal_of_head_has_a_body() {
    for (request, status) in
        [("HEAD /socket HTTP/1.1\r\nHost: localhost\r\n\r\n", 426), ("HEAD /none HTTP/1.0\r\n\r\n", 404)]
    {
        let answer = served(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

// R9110-8
#[test]
fn frames_right_behind_the_heads_are_not_lost() {
    let (client, server) = tcp_pair();
    let mut peer = Peer::new(client);
    peer.send(&[REQUEST.as_bytes(), &masked(FIN | TEXT, b"first"), &masked(FIN | TEXT, b"second")[..4]].concat());
    let mut ws = ws_std::accept(server).unwrap();
    assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("first"));
    peer.send(&masked(FIN | TEXT, b"second")[4..]);
    assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("second"));

    let (mut ws, _peer) = Peer::server(&Connector::new(), &frame(FIN | TEXT, b"welcome"));
    assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("welcome"));
}

/// Opens a connection with cookies of so many bytes, both ways, within these limits.
fn open_with_cookies(len: usize, config: &Config) -> Result<(), ConnectError> {
    let (client, server) = sockets();
    let cookies = "c".repeat(len);
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let answer = |request: &Request<'_>| {
                assert_eq!(request.header("cookie").unwrap().len(), len);
                Answer::accept().header("Set-Cookie", &*cookies)
            };
            Acceptor::new().config(config.clone()).accept_over(server, answer).map(|_| ())
        });
        let connector = Connector::new().config(config.clone()).header("Cookie", &cookies);
        let opened = connector.connect_over("ws://localhost/", client, |response| {
            assert_eq!(response.header("set-cookie").unwrap().len(), len);
        });
        let accepted = serving.join().unwrap();
        assert_eq!(opened.is_ok(), accepted.is_ok(), "{accepted:?}");
        opened.map(|_| ())
    })
}

// R9110-7
#[test]
fn heads_are_as_long_as_the_limits_say() {
    assert!(open_with_cookies(8_700, &Config::new()).is_ok());
    match open_with_cookies(40_000, &Config::new()) {
        Err(ConnectError::Refused(refused)) => {
            assert_eq!(refused.status(), 431);
            assert_eq!(refused.body(), format!("{}\n", HandshakeError::HeadTooLong).as_bytes());
        }
        other => panic!("{other:?}"),
    }
    let mut config = Config::new();
    config.max_head_len = 64 << 10;
    assert!(open_with_cookies(40_000, &config).is_ok());
}

// R3-1, R3-3
#[test]
fn what_is_no_url_of_a_websocket_is_not_connected_to() {
    for url in [
        "ws://localhost/#fragment",
        "ws://localhost/#",
        "ftp://localhost/",
        "localhost",
        "/",
        "ws://",
        "ws://localhost:65536/",
        "ws://local host/",
        "ws://[::1/",
        "",
    ] {
        assert!(matches!(connect(url), Err(ConnectError::InvalidUrl(_))), "{url}");
    }
    #[cfg(not(feature = "rustls"))]
    assert!(matches!(connect("wss://localhost/"), Err(ConnectError::NeedsTls)));
}

#[test]
fn fields_that_would_inject_others_are_not_sent() {
    let (client, server) = sockets();
    let connector = Connector::new().header("X-Who", "me\r\nX-Admin: yes");
    match connector.connect_over("ws://localhost/", client, |_| ()) {
        Err(ConnectError::Header(name)) => assert_eq!(name, "X-Who"),
        other => panic!("{other:?}"),
    }
    let result = Acceptor::new().accept_over(server, |_| Answer::accept());
    assert!(matches!(result, Err(AcceptError::NoRequest)));
}

#[test]
fn whatever_is_a_socket_is_accepted() {
    fn accepts<S>(accept: impl FnOnce(TcpStream) -> S)
    where
        S: TryInto<Socket>,
        AcceptError: From<S::Error>,
    {
        let (client, server) = tcp_pair();
        let mut peer = Peer::new(client);
        peer.send(REQUEST.as_bytes());
        ws_std::accept(accept(server)).unwrap();
        assert!(peer.head().starts_with("HTTP/1.1 101 "));
    }
    accepts(|stream| stream);
    accepts(|stream| Socket::try_from(stream).unwrap());
    accepts(|stream| Socket::try_from(stream).unwrap().into_socket2().unwrap());
    #[cfg(unix)]
    {
        let (client, server) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(client);
        assert!(matches!(ws_std::accept(server), Err(AcceptError::NoRequest)));
    }
}

#[test]
fn port_where_nobody_listens_is_an_error_at_once() {
    let (listener, url) = listener("127.0.0.1");
    drop(listener);
    match connect(&url) {
        Err(error @ ConnectError::Connect { .. }) => {
            let port = url.rsplit(':').next().unwrap();
            assert_eq!(error.to_string(), format!("can't connect to 127.0.0.1:{port}"));
            let source = std::error::Error::source(&error).unwrap().downcast_ref::<io::Error>().unwrap();
            assert_eq!(source.kind(), io::ErrorKind::ConnectionRefused);
        }
        other => panic!("{other:?}"),
    }
}

// Elsewhere a full backlog refuses.
#[cfg(target_os = "linux")]
#[test]
fn connect_timeout_covers_all_addresses() {
    let server = SilentAddress::new();
    let url = format!("ws://{}", server.address);
    let started = Instant::now();
    match Connector::new().connect_timeout(Some(4 * SHORT)).connect(&url) {
        Err(ConnectError::Connect { address: tried, error }) => {
            assert_eq!((tried, error.kind()), (server.address, io::ErrorKind::TimedOut));
        }
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() >= 4 * SHORT);
}

fn impatient() -> Config {
    let mut config = Config::new();
    config.handshake_timeout = Some(3 * SHORT);
    config
}

// R7.2.2-1
#[test]
fn handshake_timeout_is_one_for_the_whole_request_though_bytes_drip() {
    let (client, server) = tcp_pair();
    let started = Instant::now();
    thread::scope(|scope| {
        let serving = scope.spawn(|| Acceptor::new().config(impatient()).accept(server).map(|_| ()));
        let mut peer = Peer::new(client);
        // A byte at every turn, of a request that does not end; the read between two is what takes time.
        peer.stream.set_read_timeout(Some(SHORT / 10)).unwrap();
        let mut answer = vec![0; 12];
        for byte in REQUEST.trim_end().bytes().chain(std::iter::repeat(b'x')) {
            if peer.stream.read_exact(&mut answer).is_ok() {
                break;
            }
            peer.send(&[byte]);
        }
        assert_eq!(answer, b"HTTP/1.1 408");
        drop(peer);
        let result = serving.join().unwrap();
        assert!(matches!(result, Err(AcceptError::Handshake(HandshakeError::Timeout))), "{result:?}");
    });
    assert!(started.elapsed() >= 3 * SHORT, "{:?}", started.elapsed());
}

#[test]
fn server_that_never_answers_is_given_up() {
    let (client, server) = sockets();
    let started = Instant::now();
    match Connector::new().config(impatient()).connect_over("ws://localhost/", client, |_| ()) {
        Err(ConnectError::Handshake(HandshakeError::Timeout)) => {}
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() >= 3 * SHORT);
    drop(server);
}

#[test]
fn transport_that_ends_in_the_handshake_is_an_error() {
    for sent in ["", "HTTP/1.1 101 Switching"] {
        match answered(sent.as_bytes()) {
            Err(error @ ConnectError::Closed(_)) => {
                assert_eq!(sent, "");
                assert!(error.to_string().contains("does it speak TLS?"), "{error}");
            }
            Err(ConnectError::Io(error)) => {
                assert_eq!((error.kind(), sent.is_empty()), (io::ErrorKind::UnexpectedEof, false));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Connects to a server that sends these bytes and ends the transport.
fn answered(bytes: &[u8]) -> Result<ws_std::WebSocket<ws_std::role::Client>, ConnectError> {
    let (client, mut server) = tcp_pair();
    server.write_all(bytes).unwrap();
    server.shutdown(std::net::Shutdown::Write).unwrap();
    Connector::new().connect_over("ws://localhost/", NetStream::try_from(client).unwrap(), |_| ())
}

#[test]
fn server_that_resets_before_it_answers_is_told_from_a_transport_that_failed() {
    let (client, server) = tcp_pair();
    // Closing with input unread resets.
    (&client).write_all(b"x").unwrap();
    server.peek(&mut [0]).unwrap();
    drop(server);
    let client = Socket::try_from(client).unwrap();
    // Whether the write or the read is told of it.
    let result = Connector::new().connect_over("ws://localhost/", client, |_| ());
    assert!(matches!(result, Err(ConnectError::Closed(_))), "{result:?}");
}

#[test]
fn server_of_another_protocol_is_told_at_once_though_it_does_not_close() {
    let (client, mut server) = sockets_and_peer();
    server.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").unwrap();
    match Connector::new().connect_over("ws://localhost/", client, |_| ()) {
        Err(ConnectError::Handshake(HandshakeError::NotHttp(LooksLike::Ssh))) => {}
        other => panic!("{other:?}"),
    }
}

/// A client's end as a socket, a server's as a stream.
fn sockets_and_peer() -> (Socket, TcpStream) {
    let (client, server) = tcp_pair();
    (Socket::try_from(client).unwrap(), server)
}

#[test]
fn refusal_shows_the_begin_of_its_body() {
    let long = "x".repeat(10_000);
    let long_answer = format!("HTTP/1.1 404 No\r\nContent-Length: 10000\r\n\r\n{long}");
    for (answer, body) in [
        ("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nHello, World", "Hello"),
        (
            "HTTP/1.1 403 No\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nHello\r\n1;a=b\r\n!\r\n0\r\n\r\n",
            "Hello!",
        ),
        ("HTTP/1.0 502 Bad Gateway\r\n\r\nHello", "Hello"),
        ("HTTP/1.1 403 No\r\nContent-Length: 500\r\n\r\nincomplete", "incomplete"),
        ("HTTP/1.1 403 No\r\nContent-Length: x\r\n\r\nHello", ""),
        ("HTTP/1.1 204 No Content\r\n\r\nHello", ""),
        (&long_answer, &long[..8 * 1_024]),
    ] {
        match answered(answer.as_bytes()) {
            Err(ConnectError::Refused(refused)) => assert_eq!(refused.body(), body.as_bytes(), "{answer}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn body_of_a_refusal_is_awaited_no_longer_than_the_handshake() {
    let (client, mut server) = sockets_and_peer();
    server.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nnot").unwrap();
    let mut config = impatient();
    config.handshake_timeout = Some(20 * SHORT);
    let started = Instant::now();
    match Connector::new().config(config).connect_over("ws://localhost/", client, |_| ()) {
        Err(ConnectError::Refused(refused)) => assert_eq!((refused.status(), refused.body()), (403, &b"not"[..])),
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() >= 20 * SHORT);
}

#[test]
fn body_of_our_own_refusal_says_why() {
    let (client, server) = sockets();
    thread::scope(|scope| {
        scope.spawn(|| Acceptor::new().accept_over(server, |_| Answer::accept()).map(|_| ()));
        let connector = Connector::new().origin("https://evil.example");
        match connector.connect_over("ws://localhost/", client, |_| ()) {
            Err(ConnectError::Refused(refused)) => {
                assert_eq!(refused.body(), format!("{}\n", HandshakeError::Origin).as_bytes());
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn request_that_the_server_does_not_take_is_given_up_with_the_handshake() {
    let (client, server) = sockets();
    client.as_socket2().set_send_buffer_size(64 * 1_024).unwrap();
    server.as_socket2().set_recv_buffer_size(64 * 1_024).unwrap();
    // More than the buffers of both sockets hold.
    let long = "x".repeat(1 << 20);
    let connector = Connector::new().config(impatient()).header("X-Long", &long);
    let started = Instant::now();
    match connector.connect_over("ws://localhost/", client, |_| ()) {
        Err(ConnectError::Handshake(HandshakeError::Timeout)) => {}
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() >= 3 * SHORT, "{:?}", started.elapsed());
    drop(server);
}

#[test]
fn answer_that_the_client_does_not_take_is_given_up_with_the_handshake() {
    let (mut client, server) = tcp_pair();
    client.write_all(REQUEST.as_bytes()).unwrap();
    let server = Socket::try_from(server).unwrap();
    server.as_socket2().set_send_buffer_size(64 * 1_024).unwrap();
    socket2::SockRef::from(&client).set_recv_buffer_size(64 * 1_024).unwrap();
    // More than the buffers of both sockets hold.
    let long = "x".repeat(1 << 20);
    let started = Instant::now();
    let result = Acceptor::new()
        .config(impatient())
        .accept_over(server, |_| Answer::accept().header("X-Long", &*long))
        .map(|_| ());
    match result {
        Err(AcceptError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() >= 3 * SHORT, "{:?}", started.elapsed());
    drop(client);
}

#[test]
fn answer_that_opens_a_connection_can_be_seen() {
    let (listener, url) = listener("127.0.0.1");
    thread::scope(|scope| {
        scope.spawn(|| {
            let socket = Socket::try_from(listener.accept().unwrap().0).unwrap();
            Acceptor::new().accept_over(socket, |_| Answer::accept().header("X-Served-By", "loopback")).map(|_| ())
        });
        let mut seen = Vec::new();
        let ws = Connector::new().connect_with(&url, |response| {
            seen = response.header("x-served-by").unwrap().to_vec();
        });
        assert!(ws.is_ok());
        assert_eq!(seen, b"loopback");
    });
}

#[test]
fn no_error_says_again_what_its_source_says() {
    let io = || io::Error::other("the cause");
    let address = "127.0.0.1:80".parse().unwrap();
    let connect: [ConnectError; 7] = [
        ConnectError::Resolve(io()),
        ConnectError::Connect { address, error: io() },
        ConnectError::Closed(io()),
        ConnectError::Io(io()),
        ConnectError::Request(ws_std::proto::handshake::WriteError::InvalidHost),
        ConnectError::Handshake(HandshakeError::Accept),
        ConnectError::Entropy(ws_std::proto::EntropyError),
    ];
    let sent = [ws_std::Error::Io(io()), ws_std::Error::Send(ws_std::proto::SendError::Closing)];
    let errors = connect.into_iter().map(Box::<dyn std::error::Error>::from).chain(sent.map(Into::into));
    for error in errors {
        let (text, source) = (error.to_string(), error.source().unwrap().to_string());
        assert!(!text.contains(&source), "{text}: {source}");
    }
    let handshake = ConnectError::Handshake(HandshakeError::Accept).to_string();
    assert!(handshake.contains("Sec-WebSocket-Accept"), "{handshake}");
}

#[test]
fn connection_is_open_on_both_sides_after_the_handshake() {
    let (mut client, mut server) = pair();
    assert_eq!((client.state(), server.state()), (ws_std::State::Open, ws_std::State::Open));
    assert_eq!((client.subprotocol(), server.subprotocol()), (None, None));
    client.set_read_timeout(Some(Duration::ZERO));
    assert!(matches!(client.read(), Err(ws_std::Error::TimedOut)));
}
