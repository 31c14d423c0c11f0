//! The halves of a connection in tasks of their own.

use core::time::Duration;

use tokio::{
    io::{AsyncReadExt, DuplexStream, duplex},
    time::{Instant, timeout},
};
use ws_proto::role::Role;
use ws_tests::{CLOSE, FIN, PING, PONG, TEXT, frame, masked, noise, parse};
use ws_tokio::{
    Acceptor, Cause, CloseCode, Closed, Config, Connector, Control, Error, Event, Message, MessageKind,
    OwnedMessage, Part, Prepared, Reader, WebSocket, Writer,
};

use crate::{
    messages::pair,
    peer::{Peer, code},
};

fn big() -> Config {
    let mut config = Config::new();
    config.max_message_len = 64 << 20;
    config
}

/// Returns both ends of a connection for big messages, over a stream that holds `capacity` bytes each way.
async fn open(
    capacity: usize,
) -> (WebSocket<ws_tokio::role::Client, DuplexStream>, WebSocket<ws_tokio::role::Server, DuplexStream>) {
    let (left, right) = duplex(capacity);
    let (acceptor, connector) = (Acceptor::new().config(big()), Connector::new().config(big()));
    let (client, server) =
        tokio::join!(connector.connect_over("ws://localhost/", left, |_| ()), acceptor.accept(right));
    (client.unwrap(), server.unwrap())
}

/// Sends `count` messages of `len` bytes, numbered, and receives as many of the peer's.
async fn flood<R: Role + Send + 'static>(
    (mut reader, mut writer): (Reader<R, DuplexStream>, Writer<R, DuplexStream>),
    count: u32,
    len: usize,
) {
    let sending = tokio::spawn(async move {
        let mut payload = noise(len);
        for number in 0..count {
            payload[..4].copy_from_slice(&number.to_be_bytes());
            writer.send(payload.as_slice()).await.unwrap();
        }
    });
    for number in 0..count {
        let Some(Message::Binary(payload)) = reader.read().await.unwrap() else {
            panic!("the connection ended after {number} messages");
        };
        assert_eq!((payload.len(), &payload[..4]), (len, number.to_be_bytes().as_slice()));
    }
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn both_directions_carry_big_and_small_messages_at_once() {
    for (capacity, count, len) in [(64 * 1_024, 4, 4 << 20), (1_000, 200, 10_000), (1_000, 5_000, 100)] {
        let (client, server) = open(capacity).await;
        // The clock jumps ahead only when all tasks wait.
        let begun = Instant::now();
        tokio::join!(flood(client.split(), count, len), flood(server.split(), count, len));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn unsplit_sides_that_both_send_first_finish() {
    async fn exchange<R: Role>(mut ws: WebSocket<R, DuplexStream>, count: usize, len: usize) {
        for _ in 0..count {
            ws.send(&*vec![7; len]).await.unwrap();
            assert_eq!(ws.read().await.unwrap().unwrap().message.as_bytes().len(), len);
        }
    }
    for (count, len) in [(20, 4 << 20), (200, 64 << 10)] {
        let (client, server) = open(64 * 1_024).await;
        let begun = Instant::now();
        tokio::join!(exchange(client, count, len), exchange(server, count, len));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn readers_that_have_to_write_for_both_sides_still_read() {
    const MESSAGES: usize = 60;
    async fn exchange<R: Role>(ws: WebSocket<R, DuplexStream>) {
        let (mut reader, mut writer) = ws.split();
        for _ in 0..MESSAGES {
            writer.queue(&[0; 1_000]).await.unwrap();
        }
        for _ in 0..MESSAGES {
            assert_eq!(reader.read().await.unwrap().unwrap().as_bytes().len(), 1_000);
        }
        // Output for which the peer still waits.
        writer.flush().await.unwrap();
    }
    let (client, server) = open(4 * 1_024).await;
    tokio::join!(exchange(client), exchange(server));
}

// R5.5.2-1
#[tokio::test(start_paused = true)]
async fn ping_during_a_long_write_is_answered_after_it() {
    for flushed in [true, false] {
        let (mut peer, ws) = Peer::client(4_096, &big());
        let (mut reader, mut writer) = ws.split();
        let writing = tokio::spawn(async move {
            writer.queue(&[0; 1 << 20]).await.unwrap();
            if flushed {
                writer.flush().await.unwrap();
            }
            writer
        });
        let reading = tokio::spawn(async move { while let Ok(Some(_)) = reader.read_event().await {} });
        peer.bytes(10).await;
        peer.send(&masked(PING, b"are you there?")).await;
        peer.bytes(1 << 20).await;
        assert_eq!(peer.frame().await, parse(&frame(PONG, b"are you there?"))[0]);
        drop((writing.await.unwrap(), peer));
        reading.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn ping_flood_during_a_long_write_is_not_hoarded() {
    const PINGS: usize = 20_000;
    let (mut peer, ws) = Peer::client(4_096, &big());
    let (mut reader, mut writer) = ws.split();
    let (all_received, received) = tokio::sync::oneshot::channel();
    tokio::spawn(async move { writer.send(&[0; 1 << 20]).await.unwrap() });
    tokio::spawn(async move {
        let (mut pings, mut all_received) = (0, Some(all_received));
        while let Ok(Some(event)) = reader.read_event().await {
            pings += usize::from(matches!(event, Event::Control(Control::Ping)));
            if pings == PINGS {
                all_received.take().unwrap().send(reader.pending_len()).unwrap();
            }
        }
    });
    peer.bytes(10).await;
    for _ in 0..PINGS / 500 {
        peer.send(&masked(PING, &[0; 125]).repeat(500)).await;
    }
    let pending = received.await.unwrap();
    assert!(pending <= (1 << 20) + 64 * 1_024 + 200, "{pending}");
    peer.bytes(1 << 20).await;
    peer.send(&masked(CLOSE, &[])).await;
    let answers = parse(&peer.rest().await);
    // At most 64 KiB of them wait.
    assert!((1..700).contains(&answers.len()), "{} answers", answers.len());
}

// R5.4-3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clones_of_a_writer_send_whole_messages_each_in_its_order() {
    const TASKS: u8 = 4;
    const MESSAGES: u32 = 500;
    ws_tests::watch();
    let (client, server) = pair(4_096);
    let (mut reader, _writer) = client.split();
    let (_reader, writer) = server.split();
    for task in 0..TASKS {
        let mut writer = writer.clone();
        tokio::spawn(async move {
            for number in 0..MESSAGES {
                let len = if number % 10 == 0 { 20_000 } else { 20 };
                let mut payload = vec![task; len];
                payload[..4].copy_from_slice(&number.to_be_bytes());
                writer.send(payload.as_slice()).await.unwrap();
            }
        });
    }
    let mut next = [0_u32; TASKS as usize];
    for _ in 0..u32::from(TASKS) * MESSAGES {
        let Some(Message::Binary(payload)) = reader.read().await.unwrap() else {
            panic!("the connection ended");
        };
        let (number, rest) = payload.split_at(4);
        let expected = &mut next[usize::from(rest[0])];
        assert!(rest.iter().all(|byte| *byte == rest[0]));
        assert_eq!(number, expected.to_be_bytes());
        assert_eq!(payload.len(), if *expected % 10 == 0 { 20_000 } else { 20 });
        *expected += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn close_of_the_writer_waits_for_the_reader_to_see_the_end() {
    let (mut peer, ws) = Peer::client(4_096, &Config::new());
    let (mut reader, mut writer) = ws.split();
    let begun = Instant::now();
    let reading = tokio::spawn(async move { reader.read().await.map(|message| message.is_none()) });
    let closing = tokio::spawn(async move { writer.close(CloseCode::GOING_AWAY, "restart").await });
    let close = peer.frame().await;
    assert_eq!((code(&close), &close.payload[2..]), (1_001, &b"restart"[..]));
    assert!(!closing.is_finished());
    peer.send(&masked(CLOSE, &1_001_u16.to_be_bytes())).await;
    let closed = closing.await.unwrap().unwrap();
    assert_eq!(closed, Closed { clean: true, code: CloseCode::GOING_AWAY, cause: Cause::Local });
    assert!(reading.await.unwrap().unwrap());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn close_of_the_writer_wakes_a_reader_whose_peer_is_silent() {
    let (mut peer, ws) = Peer::client(4_096, &Config::new());
    let (mut reader, mut writer) = ws.split();
    let begun = Instant::now();
    let reading = tokio::spawn(async move { matches!(reader.read().await, Err(Error::Unclean(_))) });
    assert_eq!(writer.close(CloseCode::NORMAL, "").await.unwrap().cause, Cause::CloseTimeout);
    assert!(reading.await.unwrap());
    assert_eq!(code(&peer.frame().await), 1_000);
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn close_of_the_writer_ends_though_no_task_reads() {
    let (_peer, ws) = Peer::client(4_096, &Config::new());
    let (reader, mut writer) = ws.split();
    let begun = Instant::now();
    drop(reader);
    assert!(!writer.close(CloseCode::NORMAL, "").await.unwrap().clean);
    assert!(begun.elapsed().as_secs() <= 11, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn close_of_the_reader_drops_messages_and_waits_for_the_peers_close() {
    let (mut peer, ws) = Peer::client(4_096, &Config::new());
    let (mut reader, mut writer) = ws.split();
    let closing = tokio::spawn(async move {
        let closed = reader.close(CloseCode::new(4_001), "that was all").await.unwrap();
        (closed, reader.close_frame())
    });
    assert_eq!(peer.frame().await, parse(&frame(CLOSE, b"\x0F\xA1that was all"))[0]);
    peer.send(&[masked(0x81, b"dropped"), masked(CLOSE, b"\x0F\xA2bye")].concat()).await;
    assert_eq!(peer.rest().await, b"");
    drop(peer);
    let (closed, close_frame) = closing.await.unwrap();
    assert_eq!(closed, Closed { clean: true, code: CloseCode::new(4_002), cause: Cause::Local });
    assert_eq!(close_frame, Some((CloseCode::new(4_002), "bye".to_owned())));
    assert!(matches!(writer.send("late").await, Err(Error::Send(_))));
}

#[tokio::test(start_paused = true)]
async fn abort_wakes_a_reader_and_a_writer_that_is_stuck() {
    let mut config = big();
    (config.keepalive_interval, config.write_timeout) = (None, None);
    let (mut peer, ws) = Peer::client(4_096, &config);
    let (mut reader, writer) = ws.split();
    let mut stuck = writer.clone();
    let begun = Instant::now();
    let reading = tokio::spawn(async move { reader.read().await.map(drop) });
    let writing = tokio::spawn(async move { while stuck.send(&[0; 100_000]).await.is_ok() {} });
    // Only some of it is ever taken.
    peer.bytes(1_000).await;
    writer.abort();
    assert!(matches!(reading.await.unwrap(), Err(Error::Unclean(_) | Error::Io(_))));
    writing.await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    drop(writer);
    peer.rest().await;
}

#[tokio::test(start_paused = true)]
async fn receive_error_ends_the_writers_too() {
    let (mut peer, ws) = Peer::client(4_096, &Config::new());
    let (mut reader, mut writer) = ws.split();
    let reading = tokio::spawn(async move { matches!(reader.read().await, Err(Error::Receive(_))) });
    let writing = tokio::spawn(async move { while writer.send(&[0; 30_000]).await.is_ok() {} });
    peer.bytes(100_000).await;
    peer.send(&[0xFF, 0xFF]).await;
    // The Close comes after the message that was being written.
    assert!(peer.rest().await.ends_with(&frame(CLOSE, b"\x03\xEAopcode is reserved")));
    drop(peer);
    assert!(reading.await.unwrap());
    writing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn close_of_a_failure_follows_a_long_write_though_its_time_is_over_before() {
    let (mut peer, ws) = Peer::client(4_096, &big());
    let (mut reader, mut writer) = ws.split();
    let writing = tokio::spawn(async move { writer.send(&[0; 1 << 20]).await });
    peer.bytes(10).await;
    peer.send(&[0xFF, 0xFF]).await;
    assert!(matches!(reader.read().await, Err(Error::Receive(_))));
    // Longer than a failed connection is drained.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let rest = peer.rest().await;
    let close = frame(CLOSE, b"\x03\xEAopcode is reserved");
    assert_eq!(rest.len(), (1 << 20) + close.len());
    assert!(rest.ends_with(&close));
    let _ = writing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lost_transport_ends_both_halves() {
    let (peer, ws) = Peer::client(4_096, &Config::new());
    let (mut reader, mut writer) = ws.split();
    let reading = tokio::spawn(async move { reader.read().await.is_err() });
    let writing = tokio::spawn(async move { while writer.send(&[0; 30_000]).await.is_ok() {} });
    drop(peer);
    assert!(reading.await.unwrap());
    writing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn writer_is_told_that_the_connection_is_closing_not_that_the_stream_has_failed() {
    let (mut peer, ws) = Peer::client(4_096, &Config::new());
    let (mut reader, mut writer) = ws.split();
    peer.send(&masked(CLOSE, &1_001_u16.to_be_bytes())).await;
    assert!(reader.read().await.unwrap().is_none());
    drop(peer);
    for _ in 0..3 {
        for result in [writer.send("late").await, writer.ping(b"").await, writer.flush().await] {
            assert!(matches!(result, Ok(()) | Err(Error::Send(_))), "{result:?}");
        }
    }
    assert!(matches!(writer.send("late").await, Err(Error::Send(_))));
}

#[tokio::test]
async fn halves_of_one_connection_are_one_again() {
    let (client, mut server) = pair(4_096);
    let (reader, mut writer) = client.split();
    let clone = writer.clone();
    writer.send("from a half").await.unwrap();
    let (reader, writer) = *reader.reunite(writer).expect_err("there is a clone").0;
    drop(clone);
    let (other, _writer) = pair(4_096).0.split();
    let (_, writer) = *other.reunite(writer).expect_err("another connection").0;
    let mut client = reader.reunite(writer).unwrap();
    client.send("from the whole").await.unwrap();
    for expected in ["from a half", "from the whole"] {
        assert_eq!(server.read().await.unwrap().unwrap().message, Message::Text(expected));
    }
}

#[tokio::test]
async fn message_encoded_once_is_sent_by_a_half() {
    let (mut client, server) = pair(4_096);
    let (_reader, mut writer) = server.split();
    let prepared = Prepared::new(MessageKind::Text, b"to all").unwrap();
    writer.send_prepared(&prepared).await.unwrap();
    writer.send_part(MessageKind::Text, Part::First, b"to ").await.unwrap();
    assert!(writer.send_prepared(&prepared).await.is_err());
    assert!(writer.try_send_prepared(&prepared).is_err());
    writer.ping(b"between").await.unwrap();
    writer.send_part(MessageKind::Text, Part::Last, b"one").await.unwrap();
    writer.try_send_prepared(&prepared).unwrap();
    writer.flush().await.unwrap();
    for expected in ["to all", "to one", "to all"] {
        assert_eq!(client.read().await.unwrap().unwrap().message, Message::Text(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn queued_messages_of_a_half_are_written_when_the_other_reads() {
    let (mut client, server) = pair(4_096);
    let (mut reader, mut writer) = server.split();
    writer.queue("queued").await.unwrap();
    assert!(timeout(Duration::from_millis(1), reader.read()).await.is_err());
    assert_eq!(client.read().await.unwrap().unwrap().message, Message::Text("queued"));
}

#[tokio::test]
async fn stream_ends_when_the_last_half_is_dropped() {
    let (mut peer, ws) = Peer::client(4_096, &Config::new());
    let (reader, writer) = ws.split();
    drop(reader);
    let clone = writer.clone();
    drop(writer);
    drop(clone);
    assert_eq!(peer.stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_another_task_tries_to_send_is_written_by_the_reader_that_waits() {
    let (mut peer, ws) = Peer::client(4_096, &Config::new());
    let (mut reader, mut writer) = ws.split();
    let reading = tokio::spawn(async move { reader.read_owned().await });
    tokio::task::yield_now().await;
    for text in ["to", "all"] {
        writer.try_send(text).unwrap();
        assert_eq!(peer.frame().await, parse(&frame(FIN | TEXT, text.as_bytes()))[0]);
    }
    peer.send(&masked(FIN | TEXT, b"enough")).await;
    assert_eq!(reading.await.unwrap().unwrap(), Some(OwnedMessage::from("enough")));
}

#[tokio::test(start_paused = true)]
async fn abort_ends_the_stream_though_halves_are_kept() {
    let (mut peer, ws) = Peer::client(4_096, &Config::new());
    let (mut reader, mut writer) = ws.split();
    writer.abort();
    assert_eq!(peer.rest().await, b"");
    assert!(writer.with_stream(|_| ()).is_none());
    assert!(writer.send("late").await.unwrap_err().is_closing());
    assert!(matches!(reader.read().await, Err(Error::Unclean(_))));
}
