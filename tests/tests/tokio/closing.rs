//! The closing handshake, clean and unclean ends, and the last words to a peer.

use core::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::Instant,
};
use ws_proto::{endpoint::Negotiated, role::Role};
use ws_tests::{BINARY, CLOSE, FIN, PING, TEXT, frame, masked, noise};
use ws_tokio::{
    Cause, CloseCode, Closed, Config, Control, Error, Event, Message, OsEntropy, SendError, State, WebSocket,
    role::Client,
};

use crate::{
    messages::pair,
    peer::{Peer, code},
};

async fn close_one<A: Role + Send + 'static, B: Role>(
    mut one: WebSocket<A, DuplexStream>,
    mut other: WebSocket<B, DuplexStream>,
) {
    let closing = tokio::spawn(async move { one.close(CloseCode::new(4_000), "that was all").await.unwrap() });
    assert!(other.read().await.unwrap().is_none());
    assert!(other.read().await.unwrap().is_none(), "the end stays");
    assert_eq!(other.close_frame(), Some((CloseCode::new(4_000), "that was all".to_owned())));
    match other.state() {
        State::Closed(closed) => assert!(closed.clean && closed.cause == Cause::Peer),
        state => panic!("{state:?}"),
    }
    assert!(matches!(other.send("late").await, Err(Error::Send(_))));
    assert!(other.close(CloseCode::NORMAL, "").await.unwrap().clean, "closing twice is harmless");
    drop(other);
    let closed = closing.await.unwrap();
    assert_eq!(closed, Closed { clean: true, code: CloseCode::new(4_000), cause: Cause::Local });
}

#[tokio::test(start_paused = true)]
async fn close_from_either_side_is_clean_with_code_and_reason() {
    let (client, server) = pair(1_000);
    close_one(client, server).await;
    let (client, server) = pair(1_000);
    close_one(server, client).await;
}

#[tokio::test(start_paused = true)]
async fn peer_reads_everything_that_was_sent_before_a_close() {
    let (mut client, mut server) = pair(4_096);
    let reading = tokio::spawn(async move {
        // These messages are still unread when the server closes.
        for _ in 0..100 {
            client.send("unread").await.unwrap();
        }
        for number in 0..100_u8 {
            assert_eq!(client.read().await.unwrap().unwrap().message, Message::Binary(&[number; 50_000]));
        }
        assert!(client.read().await.unwrap().is_none());
        assert_eq!(client.close_frame().unwrap().0, CloseCode::GOING_AWAY);
    });
    for number in 0..100 {
        server.queue(&[number; 50_000]).await.unwrap();
    }
    assert!(server.close(CloseCode::GOING_AWAY, "").await.unwrap().clean);
    drop(server);
    reading.await.unwrap();
}

/// Bytes that break the protocol or a limit, and the code of the Close that follows.
fn faults() -> [(Vec<u8>, u16); 4] {
    let empty_then_big =
        [masked(FIN | BINARY, &[]), ws_tests::header(FIN | BINARY, 2 << 20, Some([0; 4]))].concat();
    [
        (vec![0x83, 0x80, 0, 0, 0, 0], 1_002),
        (frame(FIN | TEXT, b"unmasked"), 1_002),
        (masked(FIN | TEXT, b"\xFF"), 1_007),
        (empty_then_big, 1_009),
    ]
}

async fn read_to_error(ws: &mut WebSocket<ws_tokio::role::Server>) -> Error {
    loop {
        match ws.read().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error"),
            Err(error) => return error,
        }
    }
}

#[tokio::test]
async fn receive_error_is_told_the_peer_before_the_transport_ends() {
    for (bytes, expected) in faults() {
        let (mut peer, mut ws) = Peer::tcp_client(&Config::new()).await;
        peer.send(&bytes).await;
        // More is under way than the server will ever look at.
        peer.send(&noise(10_000)).await;
        let reading = tokio::spawn(async move {
            let error = read_to_error(&mut ws).await;
            match &error {
                Error::Receive(error) => assert_eq!(error.close_code().get(), expected),
                error => panic!("{error}"),
            }
            assert_eq!(ws.read().await.unwrap_err().to_string(), error.to_string(), "it stays");
        });
        assert_eq!(code(&peer.frame().await), expected);
        assert_eq!(peer.rest().await, b"");
        drop(peer);
        reading.await.unwrap();
    }
}

#[tokio::test]
async fn connection_that_is_dropped_after_an_error_still_tells_the_peer_why() {
    for (bytes, expected) in faults() {
        let (mut peer, mut ws) = Peer::tcp_client(&Config::new()).await;
        peer.send(&bytes).await;
        peer.send(&noise(30_000)).await;
        read_to_error(&mut ws).await;
        drop(ws);
        // The peer goes on sending; a reset would be an error of its reads.
        for _ in 0..10 {
            peer.send(&noise(3_000)).await;
        }
        assert_eq!(code(&peer.frame().await), expected);
        assert_eq!(peer.rest().await, b"");
    }
}

#[tokio::test]
async fn client_that_is_dropped_at_its_end_still_sends_its_close() {
    for (bytes, expected) in [(frame(CLOSE, b"\x0F\xA2"), 4_002), (vec![0xFF, 0x00], 1_002)] {
        let (mut peer, stream) = Peer::tcp().await;
        let role = Client::new(OsEntropy);
        let mut ws = WebSocket::from_handshake(role, stream, Vec::new(), Negotiated::default(), &Config::new());
        // More than one read takes: a socket that is closed with unread input is reset.
        peer.send(&[bytes, noise(100_000)].concat()).await;
        assert!(!matches!(ws.read().await, Ok(Some(_))));
        drop(ws);
        assert_eq!(code(&peer.frame().await), expected);
        assert_eq!(peer.rest().await, b"");
    }
}

#[tokio::test]
async fn connection_that_is_dropped_after_its_close_is_not_reset() {
    let (mut peer, mut ws) = Peer::tcp_client(&Config::new()).await;
    peer.send(&masked(FIN | BINARY, &noise(30_000))).await;
    ws.send_close(CloseCode::GOING_AWAY, "").await.unwrap();
    drop(ws);
    assert_eq!(code(&peer.frame().await), 1_001);
    assert_eq!(peer.rest().await, b"");
}

#[tokio::test(start_paused = true)]
async fn server_ends_the_transport_first_and_drains_for_a_second() {
    let begun = Instant::now();
    let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
    peer.send(&masked(CLOSE, &1_000_u16.to_be_bytes())).await;
    assert!(ws.read().await.unwrap().is_none());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let draining = tokio::spawn(async move { ws.read().await.map(|end| end.is_none()) });
    assert_eq!(code(&peer.frame().await), 1_000);
    // The peer has not ended its direction.
    assert_eq!(peer.rest().await, b"");
    assert!(draining.await.unwrap().unwrap());
    assert_eq!(begun.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn client_waits_for_the_server_to_end_the_transport() {
    let begun = Instant::now();
    let (mut ws, mut peer) = Peer::server(4_096, &Config::new());
    peer.send(&frame(CLOSE, &[])).await;
    // The end is told at once, before the wait.
    assert!(ws.read().await.unwrap().is_none());
    assert_eq!(peer.frame().await.first, CLOSE);
    assert_eq!((ws.state(), begun.elapsed()), (State::Closing, Duration::ZERO));
    assert!(ws.read().await.unwrap().is_none());
    assert!(matches!(ws.state(), State::Closed(_)));
    assert_eq!(begun.elapsed().as_secs(), 5);

    let begun = Instant::now();
    let (mut ws, mut peer) = Peer::server(4_096, &Config::new());
    peer.send(&frame(CLOSE, &[])).await;
    peer.stream.shutdown().await.unwrap();
    while !matches!(ws.state(), State::Closed(_)) {
        assert!(ws.read().await.unwrap().is_none());
    }
    assert_eq!(peer.frame().await.first, CLOSE);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn bytes_after_a_close_are_taken_so_that_the_answer_is_not_reset() {
    let (mut peer, mut ws) = Peer::tcp_client(&Config::new()).await;
    peer.send(&[masked(CLOSE, &1_001_u16.to_be_bytes()), noise(50_000)].concat()).await;
    assert!(ws.read().await.unwrap().is_none());
    drop(ws);
    assert_eq!(code(&peer.frame().await), 1_001);
    peer.send(&noise(5_000)).await;
    peer.stream.shutdown().await.unwrap();
    assert_eq!(peer.rest().await, b"");
}

#[tokio::test(start_paused = true)]
async fn close_in_the_middle_of_a_message_read_in_parts_is_clean() {
    let (mut client, mut server) = pair(4_096);
    let sending = tokio::spawn(async move {
        client.send(noise(1 << 20).as_slice()).await.unwrap();
        // The Close may have come by now.
        let second = client.send(noise(1 << 20).as_slice()).await;
        assert!(matches!(second, Ok(()) | Err(Error::Send(_))), "{second:?}");
        assert!(client.read().await.unwrap().is_none());
    });
    assert!(!server.read_part().await.unwrap().unwrap().data.part().is_last());
    assert!(server.close(CloseCode::NORMAL, "enough").await.unwrap().clean);
    drop(server);
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn close_in_the_middle_of_a_message_being_read_is_clean() {
    let (mut peer, mut ws) = Peer::client(200_000, &Config::new());
    let message = masked(FIN | BINARY, &noise(100_000));
    peer.send(&message[..50_000]).await;
    assert!(tokio::time::timeout(Duration::from_secs(1), ws.read()).await.is_err());
    let closing = tokio::spawn(async move { ws.close(CloseCode::NORMAL, "").await.unwrap().clean });
    peer.send(&message[50_000..]).await;
    peer.send(&masked(CLOSE, &[])).await;
    assert_eq!(code(&peer.frame().await), 1_000);
    assert_eq!(peer.rest().await, b"");
    drop(peer);
    assert!(closing.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn lost_transport_is_an_unclean_end() {
    let (peer, mut ws) = Peer::client(4_096, &Config::new());
    drop(peer);
    match ws.read().await {
        Err(Error::Unclean(closed)) => {
            assert_eq!(closed, Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::Eof });
        }
        other => panic!("{other:?}"),
    }
    assert!(!ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
}

#[tokio::test]
async fn messages_of_a_peer_that_has_gone_are_read_though_writing_fails() {
    let (mut peer, mut ws) = Peer::tcp_client(&Config::new()).await;
    peer.send(&[masked(FIN | TEXT, b"farewell"), masked(CLOSE, &1_001_u16.to_be_bytes())].concat()).await;
    // The end of a socket with unread input is a reset, and sooner or later our writes fail.
    ws.send("unread").await.unwrap();
    drop(peer);
    let mut message = None;
    while message.is_none() {
        if ws.send("into the void").await.is_err() {
            message = ws.read_owned().await.unwrap();
        }
    }
    assert_eq!(message.unwrap().as_message(), Message::Text("farewell"));
    assert_eq!(ws.read_event().await.unwrap(), Some(Event::Control(Control::Close)));
    assert_eq!(ws.close_frame().unwrap().0, CloseCode::GOING_AWAY);
}

#[tokio::test]
async fn codes_that_may_not_be_sent_are_refused_without_effect() {
    let (mut client, mut server) = pair(4_096);
    for code in [0, 999, 1_004, 1_006, 1_015, 1_016, 2_999, 5_000] {
        assert!(matches!(client.send_close(CloseCode::new(code), "").await, Err(Error::Send(_))), "{code}");
    }
    let refused = server.close(CloseCode::MANDATORY_EXTENSION, "").await;
    assert!(matches!(refused, Err(Error::Send(_))));
    let refused = client.close(CloseCode::NO_STATUS, "a Close without a code has no reason").await;
    assert!(matches!(refused, Err(Error::Send(SendError::InvalidCloseCode))));
    client.send("still open").await.unwrap();
    assert_eq!(server.read().await.unwrap().unwrap().message, Message::Text("still open"));
    client.send_close(CloseCode::NO_STATUS, "").await.unwrap();
    assert!(matches!(server.read_event().await, Ok(Some(Event::Control(Control::Close)))));
    assert_eq!(server.close_frame(), Some((CloseCode::NO_STATUS, String::new())));
}

#[tokio::test]
async fn long_reason_is_cut_at_the_end_of_a_character() {
    let (mut client, mut server) = pair(4_096);
    client.send_close(CloseCode::NORMAL, &"é".repeat(62)).await.unwrap();
    assert!(server.read().await.unwrap().is_none());
    assert_eq!(server.close_frame(), Some((CloseCode::NORMAL, "é".repeat(61))));
}

#[tokio::test(start_paused = true)]
async fn messages_still_come_after_our_close_until_the_peer_closes_too() {
    let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
    ws.send_close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!(code(&peer.frame().await), 1_000);
    peer.send(&[masked(FIN | TEXT, b"on the way"), masked(PING, b""), masked(CLOSE, &[])].concat()).await;
    peer.stream.shutdown().await.unwrap();
    assert_eq!(ws.read().await.unwrap().unwrap().message, Message::Text("on the way"));
    assert!(ws.read().await.unwrap().is_none());
    // No Pong follows a Close.
    assert_eq!(peer.stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn reset_after_a_complete_closing_handshake_is_a_clean_end() {
    let (mut peer, mut ws) = Peer::tcp_client(&Config::new()).await;
    ws.send_close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!(code(&peer.frame().await), 1_000);
    peer.send(&masked(CLOSE, &1_000_u16.to_be_bytes())).await;
    peer.reset();
    assert!(ws.read().await.unwrap().is_none());
    assert!(ws.read().await.unwrap().is_none());
}

#[tokio::test]
async fn stream_that_fails_while_open_is_an_error_and_while_closing_is_none() {
    let (peer, mut ws) = Peer::tcp_client(&Config::new()).await;
    peer.reset();
    while ws.send("lost").await.is_ok() {}
    assert!(matches!(ws.send("lost").await, Err(Error::Io(_))));
    assert!(matches!(ws.ping(b"").await, Err(Error::Io(_))), "it stays");
    assert!(matches!(ws.read().await, Err(Error::Io(_) | Error::Unclean(_))));

    let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
    peer.send(&masked(CLOSE, b"\x03\xE8")).await;
    // Our reply meets a broken pipe.
    drop(peer);
    assert!(ws.read().await.unwrap().is_none());
    assert!(ws.read().await.unwrap().is_none());
    assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
    assert!(matches!(ws.send("late").await, Err(Error::Send(_))));
    assert!(ws.send_close(CloseCode::NORMAL, "").await.is_ok());

    let (peer, mut ws) = Peer::client(4_096, &Config::new());
    drop(peer);
    ws.queue("lost").await.unwrap();
    assert!(ws.read().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn failure_is_told_before_the_peer_has_ended_the_transport() {
    let begun = Instant::now();
    let (mut ws, mut peer) = Peer::server(4_096, &Config::new());
    peer.send(&[0xFF, 0x00]).await;
    assert!(matches!(ws.read().await, Err(Error::Receive(_))));
    assert_eq!((ws.state(), code(&peer.frame().await)), (State::Closing, 1_002));
    assert!(matches!(ws.send("late").await, Err(Error::Send(_))));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn end_of_our_direction_follows_all_output() {
    let (mut peer, mut ws) = Peer::client(3, &Config::new());
    ws.queue("before").await.unwrap();
    let reading = tokio::spawn(async move { ws.read().await.map(|end| end.is_none()) });
    peer.send(&masked(CLOSE, b"\x03\xE8")).await;
    let rest = peer.rest().await;
    assert_eq!(rest, [frame(FIN | TEXT, b"before"), frame(CLOSE, b"\x03\xE8")].concat());
    assert!(reading.await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn dropped_connection_writes_its_last_words() {
    let (mut peer, mut ws) = Peer::client(3, &Config::new());
    let reading = tokio::spawn(async move {
        assert!(matches!(ws.read().await, Err(Error::Receive(_))), "it is told at once");
    });
    peer.send(&[0xFF; 2]).await;
    reading.await.unwrap();
    let close = peer.rest().await;
    assert_eq!(close, frame(CLOSE, b"\x03\xEAopcode is reserved"));
}

#[tokio::test(start_paused = true)]
async fn dropped_connection_is_not_held_for_ever_by_its_peer() {
    let mut config = Config::new();
    config.drain_timeout = None;
    let (mut peer, mut ws) = Peer::client(4_096, &config);
    peer.send(&masked(CLOSE, &1_000_u16.to_be_bytes())).await;
    assert!(ws.read().await.unwrap().is_none());
    drop(ws);
    assert_eq!(code(&peer.frame().await), 1_000);
    assert_eq!(peer.rest().await, b"");
    // Until its end the stream takes bytes.
    while peer.stream.write_all(&[0]).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn state_and_close_frame_follow_the_connection_to_its_end() {
    async fn check<A: Role, B: Role>(
        mut ours: WebSocket<A, DuplexStream>,
        mut theirs: WebSocket<B, DuplexStream>,
    ) {
        assert_eq!((ours.state(), ours.close_frame()), (State::Open, None));
        theirs.send_close(CloseCode::new(3_000), "why").await.unwrap();
        assert_eq!((theirs.state(), theirs.close_frame()), (State::Closing, None));
        assert!(ours.read().await.unwrap().is_none());
        assert_ne!(ours.state(), State::Open);
        assert_eq!(ours.close_frame(), Some((CloseCode::new(3_000), "why".to_owned())));
        assert!(theirs.read().await.unwrap().is_none());
        assert_eq!(theirs.close_frame().unwrap().0, CloseCode::new(3_000));
    }
    let (client, server) = pair(4_096);
    check(client, server).await;
    let (client, server) = pair(4_096);
    check(server, client).await;
}
