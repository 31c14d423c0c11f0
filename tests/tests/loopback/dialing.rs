//! The ways to a server: URLs, addresses, sockets of the user.

use core::time::Duration;
use std::{
    io,
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};

use ws_std::{Answer, ConnectError, Connector, NetStream, ReceivedRequest, Socket, Target};
#[cfg(target_os = "linux")]
use ws_tests::SilentAddress;

use crate::sockets;

/// Returns the request that `connector` sends for `url`, which the server accepts with `answer`, and the result.
fn requested<X: Send>(
    connector: &Connector<'_>,
    url: &str,
    answer: impl FnOnce(&ReceivedRequest) -> Answer + Send,
    request: impl FnOnce(&ReceivedRequest) -> X + Send,
) -> (X, Result<(), ConnectError>) {
    let (client, server) = sockets();
    thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let exchange = ws_std::Acceptor::new().receive(server).unwrap();
            let seen = request(&exchange);
            let answer = answer(&exchange);
            exchange.accept_with(answer).map(drop).unwrap();
            seen
        });
        let result = connector.connect_over(url, client, |_| ()).map(drop);
        (serving.join().unwrap(), result)
    })
}

#[test]
fn credentials_of_the_url_are_sent_unless_the_caller_has_others() {
    let authorization = |connector: &Connector<'_>, url: &str| {
        let field = |request: &ReceivedRequest| {
            (request.host().to_owned(), request.header("Authorization").map(<[u8]>::to_vec))
        };
        requested(connector, url, |_| Answer::accept(), field).0
    };
    let plain = Connector::new();
    // RFC 7617 section 2: the example.
    let basic = Some(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_vec());
    assert_eq!(
        authorization(&plain, "http://Aladdin:open%20sesame@localhost:81/"),
        ("localhost:81".into(), basic)
    );
    assert_eq!(authorization(&plain, "ws://localhost/"), ("localhost".into(), None));
    let own = Connector::new().header("authorization", "Bearer 1").host("example.com");
    assert_eq!(authorization(&own, "ws://a:b@localhost/"), ("example.com".into(), Some(b"Bearer 1".to_vec())));
}

#[test]
fn a_server_that_chooses_no_subprotocol_is_refused_only_if_one_is_required() {
    let offered = Connector::new().subprotocols(&["chat"]);
    let required = offered.clone().require_subprotocol(true);
    let result = |connector: &Connector<'_>, known: &[&str]| {
        let answer = |request: &ReceivedRequest| Answer::accept().subprotocol(request.select(known));
        requested(connector, "ws://localhost/", answer, |_| ()).1
    };
    assert!(matches!(result(&required, &[]), Err(ConnectError::NoSubprotocol)));
    assert!(result(&required, &["chat"]).is_ok());
    assert!(result(&offered, &[]).is_ok());
    let none_offered = Connector::new().require_subprotocol(true);
    assert!(result(&none_offered, &[]).is_ok());
}

// K-address
#[cfg(target_os = "linux")]
#[test]
fn an_address_that_does_not_answer_delays_the_next_by_a_quarter_of_a_second() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let answers = listener.local_addr().unwrap();
    let server = SilentAddress::new();
    let begun = Instant::now();
    let stream = NetStream::connect(vec![server.address, server.address, answers], None).unwrap();
    let took = begun.elapsed();
    assert!((Duration::from_millis(500)..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert_eq!(stream.socket().as_socket2().peer_addr().unwrap().as_socket(), Some(answers));
    assert!(!stream.socket().as_socket2().nonblocking().unwrap() || cfg!(windows));
    assert!(listener.accept().is_ok());
}

// K-address
#[cfg(target_os = "linux")]
#[test]
fn addresses_that_do_not_answer_are_given_up_at_the_deadline() {
    let server = SilentAddress::new();
    let deadline = Instant::now().checked_add(Duration::from_millis(300));
    match NetStream::connect(vec![server.address, server.address], deadline) {
        Err(ConnectError::Connect { address, error }) => {
            assert_eq!((address, error.kind()), (server.address, io::ErrorKind::TimedOut));
        }
        other => panic!("{other:?}"),
    }
    assert!(deadline < Some(Instant::now()));
    assert!(matches!(NetStream::connect(Vec::new(), None), Err(ConnectError::Resolve(_))));
}

#[test]
fn a_function_of_the_user_opens_the_transport() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let connector = Connector::new().proxy(None).dial({
        let asked = Arc::clone(&asked);
        move |target, deadline| {
            asked.lock().unwrap().push((target.to_string(), deadline.is_some()));
            NetStream::connect(vec![address], deadline)
        }
    });
    thread::scope(|scope| {
        scope.spawn(|| ws_std::accept(listener.accept().unwrap().0).unwrap());
        connector.connect("ws://name.invalid:81/").unwrap();
    });
    let failing = connector.connect_timeout(None).dial(|target, _| {
        let error = io::ErrorKind::ConnectionRefused.into();
        Err(ConnectError::Dial { target: target.clone(), error })
    });
    let error = failing.connect("ws://[fe80::1%251]/").unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("[fe80::1%1]:80"), "{error}");
    assert_eq!(*asked.lock().unwrap(), [("name.invalid:81".to_owned(), true)]);
}

#[cfg(unix)]
#[test]
fn a_url_names_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("ws-std {}", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let url = format!("ws+unix:{}:/room?x", path.display().to_string().replace(' ', "%20"));
    let seen = thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let exchange =
                ws_std::Acceptor::new().receive(Socket::new(listener.accept().unwrap().0).unwrap()).unwrap();
            let seen = (exchange.host().to_owned(), exchange.path().to_owned());
            let mut ws = exchange.accept().unwrap();
            ws.send("hello").unwrap();
            seen
        });
        let mut ws = ws_std::connect(&url).unwrap();
        assert_eq!(ws.read().unwrap().unwrap().message, ws_std::Message::Text("hello"));
        serving.join().unwrap()
    });
    drop(listener);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(seen, ("localhost".to_owned(), "/room".to_owned()));
    match ws_std::connect(&url) {
        Err(ConnectError::Dial { target, error }) => {
            assert_eq!((target, error.kind()), (Target::Unix(path), io::ErrorKind::NotFound));
        }
        other => panic!("{other:?}"),
    }
}
