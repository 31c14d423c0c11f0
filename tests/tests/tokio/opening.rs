//! The opening handshake over any stream: refusals, and peers that are slow, dead or of another protocol.

use core::time::Duration;
use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::TcpListener,
    time::{Instant, sleep, timeout},
};
use ws_proto::{
    handshake::{HandshakeError, LooksLike},
    server::OriginPolicy,
};
#[cfg(target_os = "linux")]
use ws_tests::SilentAddress;
use ws_tests::{FIN, TEXT, masked};
use ws_tokio::{
    AcceptError, Acceptor, Answer, CloseCode, Config, ConnectError, Connector, Message, State, WebSocket, connect,
    role::Client,
};

use crate::peer::{Peer, REQUEST};

type Connected = Result<WebSocket<Client, DuplexStream>, ConnectError>;

/// Connects to a server that sends these bytes and ends the transport.
async fn answered(bytes: &[u8]) -> Connected {
    let (ours, mut server) = duplex(64 * 1_024);
    server.write_all(bytes).await.unwrap();
    server.shutdown().await.unwrap();
    Connector::new().connect_over("ws://localhost/", ours, |_| ()).await
}

/// Connects to a server that answers as `answer` says, both with these settings.
async fn open(
    (connector, url): (Connector<'_>, &str),
    acceptor: Acceptor<'_>,
    answer: impl FnOnce(&ws_tokio::ReceivedRequest) -> Answer,
) -> (Connected, Result<WebSocket<ws_tokio::role::Server, DuplexStream>, AcceptError>) {
    let (ours, theirs) = duplex(4_096);
    let accepting = async {
        let exchange = acceptor.receive(theirs).await?;
        let answer = answer(&exchange);
        exchange.accept_with(answer).await
    };
    tokio::join!(connector.connect_over(url, ours, |_| ()), accepting)
}

// R3-2, R4.1-6, R4.1-11, R4.2.2-6
#[tokio::test]
async fn server_sees_the_request_and_client_the_answer() {
    let (ours, theirs) = duplex(4_096);
    let serving = tokio::spawn(async move {
        let exchange = Acceptor::new().receive(theirs).await?;
        assert_eq!((exchange.path(), exchange.query()), ("/room", Some("x=1")));
        assert_eq!(exchange.host(), "example.com:81");
        assert_eq!(exchange.origin(), Some("http://example.com:81"));
        assert_eq!(exchange.header("x-who"), Some(b"me".as_slice()));
        let chosen = exchange.select(&["b", "a"]);
        exchange.accept_with(Answer::accept().subprotocol(chosen).header("X-Served-By", "memory")).await
    });
    let mut served_by = Vec::new();
    let client = Connector::new()
        .subprotocols(&["c", "b", "a"])
        .header("X-Who", "me")
        .origin("http://example.com:81")
        .connect_over("ws://example.com:81/room?x=1", ours, |response| {
            served_by = response.header("x-served-by").unwrap().to_vec();
        })
        .await
        .unwrap();
    let mut server = serving.await.unwrap().unwrap();
    assert_eq!((client.subprotocol(), server.subprotocol()), (Some("b"), Some("b")));
    assert_eq!((&*served_by, server.state()), (&b"memory"[..], State::Open));
    let (reader, writer) = client.split();
    assert_eq!((reader.subprotocol(), writer.subprotocol()), (Some("b"), Some("b")));
    assert_eq!(reader.reunite(writer).unwrap().subprotocol(), Some("b"));
}

#[tokio::test]
async fn a_name_is_looked_up_and_a_connection_over_tcp_is_opened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://localhost:{}/", listener.local_addr().unwrap().port());
    let serving = tokio::spawn(async move {
        let mut ws = ws_tokio::accept(listener.accept().await.unwrap().0).await.unwrap();
        while let Some(mut received) = ws.read().await.unwrap() {
            received.reply.queue(received.message).await.unwrap();
        }
    });
    // Where localhost is ::1 first, no server listens there.
    let mut ws = connect(&url).await.unwrap();
    ws.send("hello").await.unwrap();
    assert_eq!(ws.read().await.unwrap().unwrap().message, Message::Text("hello"));
    assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
    serving.await.unwrap();
}

// R4.1-16, R4.2.2-2, R7.2.2-1
#[tokio::test(start_paused = true)]
async fn refusal_reaches_the_client_with_its_status_fields_and_body() {
    let refuse =
        Answer::refuse(401).header("WWW-Authenticate", "Basic realm=\"r\"").body("text/plain", "no".as_bytes());
    let (connected, accepted) = open((Connector::new(), "ws://localhost/"), Acceptor::new(), |_| refuse).await;
    match connected {
        Err(ConnectError::Refused(refused)) => {
            assert_eq!((refused.status(), refused.body()), (401, &b"no"[..]));
            assert_eq!(refused.header("www-authenticate"), Some(b"Basic realm=\"r\"".as_slice()));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(accepted, Err(AcceptError::Refused(401))));
}

// R10.2-1, R4.2.2-3
#[tokio::test(start_paused = true)]
async fn pages_of_other_hosts_are_let_in_only_if_the_policy_says_so() {
    for (policy, opened) in [
        (OriginPolicy::SameHost, false),
        (OriginPolicy::allow(&["https://friend.example"]).unwrap(), true),
        (OriginPolicy::AllowAny, true),
    ] {
        let connector = Connector::new().origin("https://friend.example");
        let acceptor = Acceptor::new().origin(policy);
        let (connected, accepted) = open((connector, "ws://localhost/"), acceptor, |_| Answer::accept()).await;
        assert_eq!(accepted.is_ok(), opened);
        match connected {
            Ok(_) => assert!(opened),
            Err(ConnectError::Refused(refused)) => {
                assert_eq!((refused.status(), opened), (403, false));
                assert_eq!(refused.body(), format!("{}\n", HandshakeError::Origin).as_bytes());
            }
            Err(error) => panic!("{error}"),
        }
    }
}

// R9110-8
#[tokio::test]
async fn frames_right_after_the_heads_are_not_lost() {
    let (ours, stream) = duplex(4_096);
    let mut peer = Peer { stream };
    let second = masked(FIN | TEXT, b"second");
    peer.send(&[REQUEST.as_bytes(), &masked(FIN | TEXT, b"first"), &second[..4]].concat()).await;
    let mut ws = ws_tokio::accept(ours).await.unwrap();
    assert_eq!(ws.read().await.unwrap().unwrap().message, Message::Text("first"));
    peer.send(&second[4..]).await;
    assert_eq!(ws.read().await.unwrap().unwrap().message, Message::Text("second"));
    ws.send("more").await.unwrap();

    let (ours, theirs) = duplex(4_096);
    let serving = tokio::spawn(async move {
        let mut ws = ws_tokio::accept(theirs).await.unwrap();
        ws.send("welcome").await.unwrap();
        ws
    });
    // The answer and the message are there together.
    let connector = Connector::new();
    let mut ws = connector.connect_over("ws://localhost/", ours, |_| ()).await.unwrap();
    let _server = serving.await.unwrap();
    assert_eq!(ws.read().await.unwrap().unwrap().message, Message::Text("welcome"));
}

// R9110-7
#[tokio::test(start_paused = true)]
async fn heads_are_as_long_as_the_limits_say() {
    let mut wide = Config::new();
    wide.max_head_len = 64 << 10;
    for (len, config, opened) in
        [(8_700, Config::new(), true), (40_000, Config::new(), false), (40_000, wide, true)]
    {
        let cookies = "c".repeat(len);
        let connector = Connector::new().config(config.clone()).header("Cookie", &cookies);
        let (connected, accepted) =
            open((connector, "ws://localhost/"), Acceptor::new().config(config), |request| {
                assert_eq!(request.header("cookie").unwrap().len(), len);
                Answer::accept().header("Set-Cookie", &*cookies)
            })
            .await;
        assert_eq!((connected.is_ok(), accepted.is_ok()), (opened, opened), "{connected:?} {accepted:?}");
        if let Err(error) = connected {
            let ConnectError::Refused(refused) = error else { panic!("{error:?}") };
            assert_eq!(refused.status(), 431);
        }
    }
}

#[tokio::test]
async fn url_that_is_none_of_a_websocket_is_not_connected_to() {
    for url in ["ws://localhost/#fragment", "ftp://localhost/", "localhost", "ws://", "ws+unix:run/a", ""] {
        assert!(matches!(connect(url).await, Err(ConnectError::InvalidUrl(_))), "{url}");
    }
    #[cfg(not(feature = "rustls"))]
    assert!(matches!(connect("wss://localhost/").await, Err(ConnectError::NeedsTls)));
}

#[tokio::test]
async fn fields_that_would_inject_others_are_not_sent() {
    let connector = Connector::new().header("X-Who", "me\r\nX-Admin: yes");
    let (connected, accepted) = open((connector, "ws://localhost/"), Acceptor::new(), |_| Answer::accept()).await;
    assert!(matches!(connected, Err(ConnectError::Header(name)) if name == "X-Who"));
    assert!(matches!(accepted, Err(AcceptError::NoRequest)));
}

#[tokio::test]
async fn port_where_no_server_listens_is_an_error_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    match connect(&format!("ws://{address}")).await {
        Err(ConnectError::Connect { address: tried, error }) => {
            assert_eq!((tried, error.kind()), (address, io::ErrorKind::ConnectionRefused));
        }
        other => panic!("{other:?}"),
    }
}

// Elsewhere a full backlog refuses.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn connect_timeout_covers_all_addresses() {
    const TIMEOUT: Duration = Duration::from_millis(240);
    let server = SilentAddress::new();
    let started = Instant::now();
    match Connector::new().connect_timeout(Some(TIMEOUT)).connect(&format!("ws://{}", server.address)).await {
        Err(ConnectError::Connect { address: tried, error }) => {
            assert_eq!((tried, error.kind()), (server.address, io::ErrorKind::TimedOut));
        }
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() >= TIMEOUT);
}

// R7.2.2-1
#[tokio::test(start_paused = true)]
async fn handshake_timeout_is_one_for_the_whole_request_though_bytes_drip() {
    let begun = Instant::now();
    let (ours, stream) = duplex(4_096);
    let mut peer = Peer { stream };
    let accepting = tokio::spawn(async move { ws_tokio::accept(ours).await.map(drop) });
    for byte in REQUEST.trim_end().bytes().cycle() {
        if accepting.is_finished() || peer.stream.write_all(&[byte]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let result = accepting.await.unwrap();
    assert!(matches!(result, Err(AcceptError::Handshake(HandshakeError::Timeout))), "{result:?}");
    // 10 s, and 1 s in which a refused client may end.
    assert!((10..=11).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!(peer.rest().await.starts_with(b"HTTP/1.1 408 "));
}

#[tokio::test(start_paused = true)]
async fn server_that_never_answers_or_takes_no_request_is_given_up() {
    for capacity in [4_096, 64] {
        let begun = Instant::now();
        let (ours, _server) = duplex(capacity);
        let connected = Connector::new().connect_over("ws://localhost/", ours, |_| ()).await;
        assert!(matches!(connected, Err(ConnectError::Handshake(HandshakeError::Timeout))), "{connected:?}");
        assert_eq!(begun.elapsed().as_secs(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn client_that_does_not_take_the_answer_is_given_up_with_the_handshake() {
    let begun = Instant::now();
    let (ours, mut client) = duplex(64);
    let accepting = tokio::spawn(async move { ws_tokio::accept(ours).await.map(drop) });
    client.write_all(REQUEST.as_bytes()).await.unwrap();
    match accepting.await.unwrap() {
        Err(AcceptError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::TimedOut),
        other => panic!("{other:?}"),
    }
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn transport_that_ends_in_the_handshake_is_an_error() {
    for sent in ["", "HTTP/1.1 101 Switching"] {
        match answered(sent.as_bytes()).await {
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

#[tokio::test]
async fn server_that_resets_before_it_answers_is_told_from_a_transport_that_failed() {
    let (peer, ours) = Peer::tcp().await;
    peer.reset();
    // Whether the write or the read is told of it.
    let result = Connector::new().connect_over("ws://localhost/", ours, |_| ()).await;
    assert!(matches!(result, Err(ConnectError::Closed(_))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn server_of_another_protocol_is_told_at_once_though_it_does_not_close() {
    let (ours, mut server) = duplex(4_096);
    server.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap();
    match Connector::new().connect_over("ws://localhost/", ours, |_| ()).await {
        Err(ConnectError::Handshake(HandshakeError::NotHttp(LooksLike::Ssh))) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn refusal_shows_the_begin_of_its_body() {
    let long = "x".repeat(10_000);
    let long_answer = format!("HTTP/1.1 404 No\r\nContent-Length: 10000\r\n\r\n{long}");
    let chunked =
        "HTTP/1.1 403 No\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nHello\r\n1;a=b\r\n!\r\n0\r\n\r\n";
    let moved = "HTTP/1.1 301 Moved\r\nLocation: ws://other/\r\nContent-Length: 5\r\n\r\nThere";
    for (answer, body) in [
        ("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nHello, World", "Hello"),
        (chunked, "Hello!"),
        (moved, "There"),
        ("HTTP/1.0 502 Bad Gateway\r\n\r\nHello", "Hello"),
        ("HTTP/1.1 403 No\r\nContent-Length: 500\r\n\r\nincomplete", "incomplete"),
        ("HTTP/1.1 403 No\r\nContent-Length: x\r\n\r\nHello", ""),
        ("HTTP/1.1 204 No Content\r\n\r\nHello", ""),
        (&long_answer, &long[..8 * 1_024]),
    ] {
        match answered(answer.as_bytes()).await {
            Err(ConnectError::Refused(refused)) => assert_eq!(refused.body(), body.as_bytes(), "{answer}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn body_of_a_refusal_is_awaited_no_longer_than_the_handshake() {
    let (ours, mut server) = duplex(4_096);
    server.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nnot").await.unwrap();
    let begun = Instant::now();
    match Connector::new().connect_over("ws://localhost/", ours, |_| ()).await {
        Err(ConnectError::Refused(refused)) => assert_eq!((refused.status(), refused.body()), (403, &b"not"[..])),
        other => panic!("{other:?}"),
    }
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn connection_whose_opening_is_given_up_ends_its_stream() {
    let (ours, mut server) = duplex(4_096);
    let connector = Connector::new();
    let connecting = connector.connect_over("ws://localhost/", ours, |_| ());
    assert!(timeout(Duration::from_millis(1), connecting).await.is_err());
    let mut request = Vec::new();
    server.read_to_end(&mut request).await.unwrap();
    assert!(request.ends_with(b"\r\n\r\n"));
}
