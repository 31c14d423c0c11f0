//! Our proxies between a client and a server of ours.

use std::{
    net::TcpListener,
    sync::mpsc::{self, Receiver},
    thread,
};

use libtest_mimic::Trial;
use ws_std::{
    Acceptor, Answer, CloseCode, CloseReply, Config, ConnectError, Connector, Control, Error, Event, Message,
    MessageKind, Part, WebSocket, deflate::Settings, role::Client,
};

use super::{Driver, PATIENCE, Program, with};

type Server = WebSocket<ws_std::proto::Server>;

type Test = (&'static str, fn(Driver));

pub(super) fn trials(driver: Driver) -> Vec<Trial> {
    let tests: [Test; 8] = [
        ("messages_go_through_both_ways", messages_go_through_both_ways),
        ("compressed_messages_go_through", compressed_messages_go_through),
        (
            "close_code_and_reason_of_each_side_reach_the_other",
            close_code_and_reason_of_each_side_reach_the_other,
        ),
        ("part_arrives_before_its_message_is_complete", part_arrives_before_its_message_is_complete),
        ("server_that_is_down_is_a_bad_gateway", server_that_is_down_is_a_bad_gateway),
        ("server_that_is_lost_is_a_bad_gateway", server_that_is_lost_is_a_bad_gateway),
        ("client_that_is_lost_has_gone_away", client_that_is_lost_has_gone_away),
        ("side_that_takes_nothing_holds_the_other_one_up", side_that_takes_nothing_holds_the_other_one_up),
    ];
    let trial = |(name, test): Test| {
        Trial::test(format!("{}proxy_{name}", driver.0), move || {
            test(driver);
            Ok(())
        })
    };
    tests.into_iter().map(trial).collect()
}

/// A running proxy with a connection through it.
struct Through {
    client: WebSocket<Client>,
    server: Server,
    _proxy: Program,
}

impl Through {
    fn new(driver: Driver) -> Self {
        Self::with(driver, &[], Connector::new(), Acceptor::new())
    }

    fn with(driver: Driver, options: &[&str], connector: Connector<'_>, acceptor: Acceptor<'static>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = proxy(driver, &listener, options);
        let accepted = accept(listener, acceptor);
        let mut client = connector.connect(&proxy.url()).unwrap();
        let mut server = accepted.recv_timeout(PATIENCE).unwrap();
        client.set_read_timeout(Some(PATIENCE));
        server.set_read_timeout(Some(PATIENCE));
        Self { client, server, _proxy: proxy }
    }
}

/// Starts a proxy in front of a server that listens.
fn proxy(driver: Driver, listener: &TcpListener, options: &[&str]) -> Program {
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    Program::start(with(with(driver.example("proxy"), &[&url, "127.0.0.1:0"]), options))
}

/// Accepts one connection on a thread, in the first subprotocol that is offered.
fn accept(listener: TcpListener, acceptor: Acceptor<'static>) -> Receiver<Server> {
    let (sender, accepted) = mpsc::channel();
    thread::spawn(move || {
        let exchange =
            acceptor.receive(ws_std::NetStream::try_from(listener.accept().unwrap().0).unwrap()).unwrap();
        let favourite = exchange.subprotocols().next().unwrap_or_default().to_owned();
        let answer = Answer::accept().subprotocol(exchange.select(&[&favourite]));
        sender.send(exchange.accept_with(answer).unwrap()).unwrap();
    });
    accepted
}

fn by_host() -> Config {
    let mut config = Config::default();
    config.close_reply = CloseReply::ByHost;
    config
}

fn messages_go_through_both_ways(driver: Driver) {
    let connector = Connector::new().subprotocols(&["chat", "other"]);
    let Through { mut client, mut server, _proxy } = Through::with(driver, &[], connector, Acceptor::new());
    assert_eq!((client.subprotocol(), server.subprotocol()), (Some("chat"), Some("chat")));
    let big = vec![7; 300_000];
    for message in [Message::Text("Grüße, 世界"), Message::Text(""), Message::Binary(&big), Message::Binary(b"")]
    {
        client.send(message).unwrap();
        assert_eq!(server.read().unwrap().unwrap().message, message);
        server.send(message).unwrap();
        assert_eq!(client.read().unwrap().unwrap().message, message);
    }
    // The proxy answers itself.
    client.ping(b"are you there").unwrap();
    assert_eq!(client.read_event().unwrap(), Some(Event::Control(Control::Pong)));
}

fn compressed_messages_go_through(driver: Driver) {
    let settings = Settings::small();
    let (connector, acceptor) = (Connector::new().deflate(settings), Acceptor::new().deflate(settings));
    let Through { mut client, mut server, _proxy } = Through::with(driver, &["--deflate"], connector, acceptor);
    let text = "round and ".repeat(50_000);
    client.send(text.as_str()).unwrap();
    assert_eq!(server.read().unwrap().unwrap().message, Message::Text(&text));
    server.send(text.as_str()).unwrap();
    assert_eq!(client.read().unwrap().unwrap().message, Message::Text(&text));
}

fn close_code_and_reason_of_each_side_reach_the_other(driver: Driver) {
    let both =
        || Through::with(driver, &[], Connector::new().config(by_host()), Acceptor::new().config(by_host()));
    let Through { mut client, mut server, _proxy } = both();
    client.send_close(CloseCode::new(4_001), "enough").unwrap();
    assert_eq!(server.read_event().unwrap(), Some(Event::Control(Control::Close)));
    assert_eq!(server.close_frame(), Some((CloseCode::new(4_001), "enough".to_owned())));
    server.send_close(CloseCode::new(4_002), "me too").unwrap();
    assert!(client.read().unwrap().is_none());
    assert_eq!(client.close_frame(), Some((CloseCode::new(4_002), "me too".to_owned())));

    let Through { mut client, mut server, _proxy } = both();
    server.send_close(CloseCode::new(4_001), "enough").unwrap();
    assert_eq!(client.read_event().unwrap(), Some(Event::Control(Control::Close)));
    assert_eq!(client.close_frame(), Some((CloseCode::new(4_001), "enough".to_owned())));
    client.send_close(CloseCode::NO_STATUS, "").unwrap();
    assert!(server.read().unwrap().is_none());
    assert_eq!(server.close_frame(), Some((CloseCode::NO_STATUS, String::new())));
}

fn part_arrives_before_its_message_is_complete(driver: Driver) {
    let Through { mut client, mut server, _proxy } = Through::new(driver);
    for part in [Part::First, Part::Middle, Part::Last] {
        client.send_part(MessageKind::Text, part, b"part").unwrap();
        let received = server.read_part().unwrap().unwrap();
        assert_eq!((received.data.part(), received.data.as_bytes()), (part, &b"part"[..]));
    }
}

fn server_that_is_down_is_a_bad_gateway(driver: Driver) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = proxy(driver, &listener, &[]);
    let url = proxy.url();
    drop(listener);
    match ws_std::connect(&url) {
        Err(ConnectError::Refused(refused)) => assert_eq!(refused.status(), 502),
        other => panic!("{other:?}"),
    }
}

fn server_that_is_lost_is_a_bad_gateway(driver: Driver) {
    let Through { mut client, server, _proxy } = Through::new(driver);
    drop(server);
    assert!(client.read().unwrap().is_none());
    assert_eq!(client.close_frame().unwrap().0, CloseCode::BAD_GATEWAY);
}

fn client_that_is_lost_has_gone_away(driver: Driver) {
    let Through { client, mut server, _proxy } = Through::new(driver);
    drop(client);
    assert!(server.read().unwrap().is_none());
    assert_eq!(server.close_frame().unwrap().0, CloseCode::GOING_AWAY);
}

fn side_that_takes_nothing_holds_the_other_one_up(driver: Driver) {
    let Through { mut client, mut server, _proxy } = Through::new(driver);
    client.set_write_timeout(Some(core::time::Duration::from_secs(1)));
    let payload = vec![7; 1 << 20];
    let sent = (0..100).take_while(|_| client.send(payload.as_slice()).is_ok()).count();
    assert!(sent < 100, "sockets hold some messages, the proxy holds none");
    let mut received = 0;
    client.set_write_timeout(Some(PATIENCE));
    let reading = thread::spawn(move || {
        while let Some(message) = match server.read() {
            Ok(message) => message,
            Err(Error::TimedOut) => panic!("messages are lost"),
            Err(error) => panic!("{error}"),
        } {
            assert_eq!(message.message.as_bytes().len(), 1 << 20);
            received += 1;
        }
        received
    });
    assert!(client.close(CloseCode::NORMAL, "").unwrap().clean);
    // The message that met the timeout stays queued.
    assert_eq!(reading.join().unwrap(), sent + 1);
}
