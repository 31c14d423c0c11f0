//! The ways to a server: URLs, addresses, streams of the user.

use core::time::Duration;
use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::{io::duplex, net::TcpListener, time::Instant};
#[cfg(target_os = "linux")]
use ws_tests::SilentAddress;
use ws_tokio::{Acceptor, Answer, ConnectError, Connector, NetStream, ReceivedRequest, Target};

/// Returns the request that `connector` sends for `url`, which the server accepts with `answer`, and the result.
async fn requested<X>(
    connector: &Connector<'_>,
    url: &str,
    answer: impl FnOnce(&ReceivedRequest) -> Answer,
    request: impl FnOnce(&ReceivedRequest) -> X,
) -> (X, Result<(), ConnectError>) {
    let (ours, theirs) = duplex(4_096);
    let serving = async {
        let exchange = Acceptor::new().receive(theirs).await.unwrap();
        let seen = request(&exchange);
        let answer = answer(&exchange);
        exchange.accept_with(answer).await.map(drop).unwrap();
        seen
    };
    let (seen, result) = tokio::join!(serving, connector.connect_over(url, ours, |_| ()));
    (seen, result.map(drop))
}

#[tokio::test]
async fn credentials_of_the_url_are_sent_unless_the_caller_has_others() {
    let field = |request: &ReceivedRequest| {
        (request.host().to_owned(), request.header("Authorization").map(<[u8]>::to_vec))
    };
    let plain = Connector::new();
    // RFC 7617 section 2: the example.
    let url = "http://Aladdin:open%20sesame@localhost:81/";
    let (seen, _) = requested(&plain, url, |_| Answer::accept(), field).await;
    assert_eq!(seen, ("localhost:81".into(), Some(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_vec())));
    let own = Connector::new().header("authorization", "Bearer 1").host("example.com");
    let (seen, _) = requested(&own, "ws://a:b@localhost/", |_| Answer::accept(), field).await;
    assert_eq!(seen, ("example.com".into(), Some(b"Bearer 1".to_vec())));
}

#[tokio::test]
async fn a_server_that_chooses_no_subprotocol_is_refused_only_if_one_is_required() {
    let offered = Connector::new().subprotocols(&["chat"]);
    let required = offered.clone().require_subprotocol(true);
    let result = async |connector: &Connector<'_>, known: &[&str]| {
        let answer = |request: &ReceivedRequest| Answer::accept().subprotocol(request.select(known));
        requested(connector, "ws://localhost/", answer, |_| ()).await.1
    };
    assert!(matches!(result(&required, &[]).await, Err(ConnectError::NoSubprotocol)));
    assert!(result(&required, &["chat"]).await.is_ok());
    assert!(result(&offered, &[]).await.is_ok());
    let none_offered = Connector::new().require_subprotocol(true);
    assert!(result(&none_offered, &[]).await.is_ok());
}

// K-address
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_does_not_answer_delays_the_next_by_a_quarter_of_a_second() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let answers = listener.local_addr().unwrap();
    let server = SilentAddress::new();
    let begun = Instant::now();
    let stream = NetStream::connect(vec![server.address, server.address, answers], None).await.unwrap();
    let took = begun.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert_eq!(stream.tcp().unwrap().peer_addr().unwrap(), answers);
}

// K-address
#[cfg(target_os = "linux")]
#[tokio::test]
async fn addresses_that_do_not_answer_are_given_up_at_the_deadline() {
    let server = SilentAddress::new();
    let deadline = Instant::now() + Duration::from_millis(300);
    match NetStream::connect(vec![server.address, server.address], Some(deadline)).await {
        Err(ConnectError::Connect { address, error }) => {
            assert_eq!((address, error.kind()), (server.address, io::ErrorKind::TimedOut));
        }
        other => panic!("{other:?}"),
    }
    assert!(deadline < Instant::now());
    assert!(matches!(NetStream::connect(Vec::new(), None).await, Err(ConnectError::Resolve(_))));
}

#[tokio::test]
async fn a_function_of_the_user_opens_the_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let connector = Connector::new().proxy(None).dial({
        let asked = Arc::clone(&asked);
        move |target| {
            asked.lock().unwrap().push(target.to_string());
            NetStream::connect(vec![address], None)
        }
    });
    let serving = async { ws_tokio::accept(listener.accept().await.unwrap().0).await.unwrap() };
    let (ws, _server) = tokio::join!(connector.connect("ws://name.invalid:81/"), serving);
    ws.unwrap();
    assert_eq!(*asked.lock().unwrap(), ["name.invalid:81"]);
    let waiting = connector.connect_timeout(Some(Duration::from_millis(20))).dial(|_| core::future::pending());
    match waiting.connect("ws://[fe80::1%251]/").await {
        Err(ConnectError::Dial { target, error }) => {
            assert_eq!((target.to_string(), error.kind()), ("[fe80::1%1]:80".to_owned(), io::ErrorKind::TimedOut));
        }
        other => panic!("{other:?}"),
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_url_names_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("ws-tokio {}", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let url = format!("ws+unix:{}:/room?x", path.display().to_string().replace(' ', "%20"));
    let serving = async {
        let exchange = Acceptor::new().receive(listener.accept().await.unwrap().0).await.unwrap();
        let seen = (exchange.host().to_owned(), exchange.path().to_owned());
        exchange.accept().await.unwrap().send("hello").await.unwrap();
        seen
    };
    let client = async {
        let mut ws = ws_tokio::connect(&url).await.unwrap();
        assert_eq!(ws.read().await.unwrap().unwrap().message, ws_tokio::Message::Text("hello"));
    };
    let (seen, ()) = tokio::join!(serving, client);
    drop(listener);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(seen, ("localhost".to_owned(), "/room".to_owned()));
    match ws_tokio::connect(&url).await {
        Err(ConnectError::Dial { target, error }) => {
            assert_eq!((target, error.kind()), (Target::Unix(path), io::ErrorKind::NotFound));
        }
        other => panic!("{other:?}"),
    }
}
