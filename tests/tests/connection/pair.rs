//! A client and a server talk to each other, and each of them to a recording of the other.

use ws_proto::{
    Message, MessageKind, Part, SendError, State,
    connection::{Cause, Reply},
};
use ws_tests::{noise, two_way_splits};

use super::*;

/// A client and a server with a transport between them.
struct Pair {
    client: Host<TestClient>,
    server: Host<Server>,
    /// How many bytes of either direction have been delivered.
    delivered: [usize; 2],
}

const WAYS: [Way; 10] = [
    Way::Own,
    Way::Parts,
    Way::Attached(1),
    Way::Attached(7),
    Way::Attached(100),
    Way::Attached(4096),
    Way::Given(1),
    Way::Given(7),
    Way::Given(100),
    Way::Given(4096),
];

impl Pair {
    fn new(deflate: Option<Settings>) -> Self {
        let config = Config::default();
        Self { client: client_with(&config, deflate), server: server_with(&config, deflate), delivered: [0; 2] }
    }

    /// Moves bytes and ends both ways until nothing moves any more.
    fn deliver(&mut self, way: Way) {
        let [to_server, to_client] = &mut self.delivered;
        while deliver_to(&mut self.client, &mut self.server, to_server, way)
            | deliver_to(&mut self.server, &mut self.client, to_client, way)
        {}
    }

    fn states(&self) -> [Option<State>; 2] {
        [
            self.client.connection.endpoint().map(|it| it.state()),
            self.server.connection.endpoint().map(|it| it.state()),
        ]
    }
}

/// Moves what `from` has to send to `to`; whether anything moved.
fn deliver_to<F: Role, T: Role>(from: &mut Host<F>, to: &mut Host<T>, delivered: &mut usize, way: Way) -> bool {
    from.flush();
    let news = from.log.sent[*delivered..].to_vec();
    *delivered += news.len();
    to.receive(&news, way);
    let ended = from.log.half_closed || from.connection.is_over();
    let was_over = to.connection.is_over();
    if ended {
        to.receive_eof();
    }
    !news.is_empty() || to.connection.is_over() != was_over
}

/// Says something of each kind.
fn say<R: Opens>(mut to: Reply<'_, R, Vec<u8>>) -> Result<(), SendError> {
    to.send("hello")?;
    to.send_part(MessageKind::Text, Part::First, "frag\u{e9}".as_bytes())?;
    to.ping(b"between")?;
    assert_eq!(to.send("no"), Err(SendError::MessageInProgress));
    to.send_part(MessageKind::Text, Part::Middle, b"")?;
    to.send_part(MessageKind::Text, Part::Last, b"ments")?;
    to.send(Message::Binary(&[0x55; 200]))?;
    to.send(Message::Binary(b""))
}

/// The events of the other side, without its own Pong.
fn said() -> Vec<Told> {
    vec![
        Told::Text("hello".into()),
        Told::Ping(b"between".to_vec()),
        Told::Text("frag\u{e9}ments".into()),
        Told::Binary(vec![0x55; 200]),
        Told::Binary(Vec::new()),
    ]
}

/// Has both say something, and then `closer` close.
fn talk(pair: &mut Pair, closer: Side, way: Way) {
    pair.deliver(way);
    assert_eq!(pair.states(), [Some(State::Open); 2]);
    assert_eq!([pair.client.log.opened, pair.server.log.opened], [1; 2]);
    say(pair.client.connection.sender().unwrap()).unwrap();
    pair.deliver(way);
    say(pair.server.connection.sender().unwrap()).unwrap();
    pair.deliver(way);
    match closer {
        Side::Client => pair.client.connection.close(Instant::ZERO, CloseCode::NORMAL, "bye").unwrap(),
        Side::Server => pair.server.connection.close(Instant::ZERO, CloseCode::NORMAL, "bye").unwrap(),
    }
    pair.deliver(way);
}

/// Compares what both have seen with what was said.
fn check(pair: &Pair, closer: Side) {
    let pong = [Told::Pong(b"between".to_vec())];
    let (close, echo) = ([Told::Close(1000, "bye".into())], [Told::Close(1000, String::new())]);
    let (to_client, to_server) = match closer {
        Side::Client => (&echo, &close),
        Side::Server => (&close, &echo),
    };
    assert_eq!(pair.client.log.told, [&pong, &said()[..], to_client].concat());
    assert_eq!(pair.server.log.told, [&said()[..], &pong, to_server].concat());
    let [by_client, by_server] = match closer {
        Side::Client => [Cause::Local, Cause::Peer],
        Side::Server => [Cause::Peer, Cause::Local],
    };
    for (end, cause) in [(pair.client.end(), by_client), (pair.server.end(), by_server)] {
        assert_eq!(end, Ok(Closed { clean: true, code: CloseCode::NORMAL, cause }));
    }
    // The server ends the transport first (section 7.1.1).
    assert!(pair.server.log.half_closed);
}

fn settings() -> [Option<Settings>; 2] {
    [None, Some(Settings::small())]
}

#[test]
fn a_client_and_a_server_talk_from_the_first_byte_to_the_last_however_they_read() {
    for deflate in settings() {
        for closer in [Side::Client, Side::Server] {
            for way in WAYS {
                let mut pair = Pair::new(deflate);
                talk(&mut pair, closer, way);
                check(&pair, closer);
                let endpoint = pair.client.connection.endpoint().unwrap();
                assert_eq!(endpoint.deflate().is_some(), deflate.is_some());
            }
        }
    }
}

/// A conversation that was recorded.
fn recorded(deflate: Option<Settings>, closer: Side) -> Pair {
    let mut pair = Pair::new(deflate);
    talk(&mut pair, closer, Way::Own);
    check(&pair, closer);
    pair
}

/// Checks that a connection that receives `pieces` sees what `expected` saw.
fn replay<R: Role>(mut host: Host<R>, pieces: &[&[u8]], way: Way, expected: &Host<R>) {
    if R::SIDE == Side::Client {
        host.flush();
    }
    for piece in pieces {
        host.receive(piece, way);
    }
    host.receive_eof();
    host.flush();
    assert_eq!((host.log.opened, &host.log.told), (1, &expected.log.told), "{way:?}");
    let end = host.end().unwrap();
    assert_eq!((end.clean, end.code), (true, CloseCode::NORMAL));
}

#[test]
fn every_cut_of_the_bytes_in_two_gives_the_same_events() {
    for deflate in settings() {
        let pair = recorded(deflate, Side::Client);
        let config = Config::default();
        for way in [Way::Own, Way::Parts, Way::Attached(4096), Way::Given(4096)] {
            for pieces in two_way_splits(&pair.client.log.sent) {
                replay(server_with(&config, deflate), &pieces, way, &pair.server);
            }
            for pieces in two_way_splits(&pair.server.log.sent) {
                replay(client_with(&config, deflate), &pieces, way, &pair.client);
            }
        }
    }
}

#[test]
fn the_bytes_one_by_one_and_in_one_go_give_the_same_events() {
    for (deflate, closer) in settings().into_iter().flat_map(|it| [(it, Side::Client), (it, Side::Server)]) {
        let pair = recorded(deflate, closer);
        let config = Config::default();
        for way in WAYS {
            for len in [1, usize::MAX] {
                let pieces: Vec<_> = pair.client.log.sent.chunks(len).collect();
                replay(server_with(&config, deflate), &pieces, way, &pair.server);
                let pieces: Vec<_> = pair.server.log.sent.chunks(len).collect();
                replay(client_with(&config, deflate), &pieces, way, &pair.client);
            }
        }
    }
}

#[test]
fn messages_of_all_lengths_pass_both_ways_compressed_or_not() {
    for deflate in settings() {
        for way in [Way::Own, Way::Parts, Way::Attached(7), Way::Attached(4096), Way::Given(4096)] {
            let mut pair = Pair::new(deflate);
            pair.deliver(way);
            for len in [0, 1, 125, 126, 4_095, 4_096, 65_535, 65_536, 200_000] {
                let payload = [&noise(len / 2)[..], &vec![7; len - len / 2]].concat();
                pair.client.connection.send(Message::Binary(&payload)).unwrap();
                pair.server.connection.send(Message::Binary(&payload)).unwrap();
                pair.deliver(way);
                for told in [pair.client.log.told.pop(), pair.server.log.told.pop()] {
                    assert!(told == Some(Told::Binary(payload.clone())), "{len} {way:?}");
                }
            }
        }
    }
}

#[test]
fn both_may_close_at_once() {
    let mut pair = Pair::new(None);
    pair.deliver(Way::Own);
    pair.client.connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
    pair.server.connection.close(Instant::ZERO, CloseCode::GOING_AWAY, "").unwrap();
    pair.deliver(Way::Own);
    assert_eq!(pair.client.end(), Ok(Closed { clean: true, code: CloseCode::GOING_AWAY, cause: Cause::Local }));
    assert_eq!(pair.server.end(), Ok(Closed { clean: true, code: CloseCode::NORMAL, cause: Cause::Local }));
}
