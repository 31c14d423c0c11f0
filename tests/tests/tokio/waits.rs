//! Every wait ends at a deadline, on a clock that jumps ahead when all tasks wait.

use core::time::Duration;
use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Instant, sleep, timeout},
};
use ws_proto::role::{Role, Side};
use ws_tests::{CLOSE, FIN, PING, PONG, RawFrame, TEXT, frame, masked, noise, parse};
use ws_tokio::{Cause, CloseCode, Config, Error, Message, WebSocket};

use crate::peer::{Peer, code};

const SECOND: Duration = Duration::from_secs(1);

fn is_timeout<X>(result: Result<X, Error>) -> bool {
    matches!(result, Err(Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut)
}

/// Returns a configuration for messages of any length.
fn big() -> Config {
    let mut config = Config::new();
    config.max_message_len = 64 << 20;
    config
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_and_then_given_up() {
    let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
    let begun = Instant::now();
    match ws.read().await {
        Err(Error::Unclean(closed)) => assert_eq!((closed.clean, closed.cause), (false, Cause::PongTimeout)),
        other => panic!("{other:?}"),
    }
    // A Ping after 20 s, and 20 s for its answer. The end is told at once.
    assert_eq!(begun.elapsed().as_secs(), 40);
    assert!(matches!(ws.read().await, Err(Error::Unclean(_))));
    // 1 s for the peer to end the transport.
    assert_eq!(begun.elapsed().as_secs(), 41);
    drop(ws);
    assert_eq!(peer.rest().await, b"\x89\x00\x88\x15\x03\xF3no answer to a Ping");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_pings_is_kept() {
    let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
    let reading = tokio::spawn(async move { ws.read_owned().await });
    for _ in 0..5 {
        assert_eq!(peer.frame().await.first, PING);
        peer.send(&masked(PONG, b"")).await;
    }
    peer.send(&masked(FIN | TEXT, b"still here")).await;
    assert_eq!(reading.await.unwrap().unwrap().unwrap().as_message(), Message::Text("still here"));
}

#[tokio::test(start_paused = true)]
async fn pong_that_has_come_is_seen_though_the_application_reads_too_late() {
    let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
    assert!(timeout(21 * SECOND, ws.read()).await.is_err());
    assert_eq!(peer.frame().await.first, PING);
    peer.send(&[masked(PONG, b""), masked(FIN | TEXT, b"in time")].concat()).await;
    // The application is busy meanwhile.
    sleep(100 * SECOND).await;
    assert_eq!(ws.read().await.unwrap().unwrap().message, Message::Text("in time"));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_message_does_not_begin_while_the_application_is_busy() {
    let mut config = Config::new();
    config.message_timeout = Some(3 * SECOND);
    let (mut peer, mut ws) = Peer::client(4_096, &config);
    let second = masked(FIN | TEXT, b"a text whose end comes later");
    let (begun, rest) = second.split_at(25);
    // Both lie in the buffer after one read.
    peer.send(&[&masked(FIN | TEXT, b"one"), begun].concat()).await;
    assert_eq!(ws.read().await.unwrap().unwrap().message, Message::Text("one"));
    sleep(4 * SECOND).await;
    let reading = tokio::spawn(async move { ws.read_owned().await });
    for piece in rest.chunks(4) {
        sleep(SECOND / 2).await;
        peer.send(piece).await;
    }
    assert_eq!(
        reading.await.unwrap().unwrap().unwrap().as_message(),
        Message::Text("a text whose end comes later")
    );
}

#[tokio::test(start_paused = true)]
async fn keepalive_goes_on_though_every_read_is_given_up_soon() {
    let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
    let begun = Instant::now();
    let error = loop {
        if let Ok(read) = timeout(Duration::from_millis(10), ws.read()).await {
            break read.map(drop).unwrap_err();
        }
    };
    assert!(matches!(error, Error::Unclean(closed) if closed.cause == Cause::PongTimeout), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 40);
    assert_eq!(peer.frame().await.first, PING);
    assert_eq!(code(&peer.frame().await), 1_011);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_with_1001() {
    let mut config = Config::new();
    config.idle_timeout = Some(7 * SECOND);
    let (mut peer, mut ws) = Peer::client(4_096, &config);
    let begun = Instant::now();
    let reading = tokio::spawn(async move { ws.read().await.map(|end| end.is_none()) });
    assert_eq!(code(&peer.frame().await), 1_001);
    assert_eq!(begun.elapsed(), 7 * SECOND);
    peer.send(&masked(CLOSE, b"\x03\xE9")).await;
    assert!(reading.await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn without_timeouts_a_read_waits_and_is_woken_by_input() {
    let mut config = Config::new();
    config.keepalive_interval = None;
    let (mut peer, mut ws) = Peer::client(4_096, &config);
    assert!(timeout(1_000_000 * SECOND, ws.read()).await.is_err());
    let reading = tokio::spawn(async move { ws.read_owned().await });
    sleep(SECOND).await;
    peer.send(&masked(FIN | TEXT, b"hello")).await;
    assert_eq!(reading.await.unwrap().unwrap().unwrap().as_message(), Message::Text("hello"));
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_ends_in_time_although_the_reader_sleeps() {
    let (_peer, ws) = Peer::client(4_096, &Config::new());
    let (mut reader, mut writer) = ws.split();
    let begun = Instant::now();
    let close = async {
        sleep(SECOND).await;
        writer.send_close(CloseCode::NORMAL, "").await.unwrap();
    };
    match tokio::join!(reader.read(), close).0 {
        Err(Error::Unclean(closed)) => assert_eq!(closed.cause, Cause::CloseTimeout),
        other => panic!("{other:?}"),
    }
    assert_eq!(begun.elapsed().as_secs(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_ends_in_time_however_much_comes_instead() {
    // A message that came in time is returned before the end is.
    for (input, end) in [(masked(PONG, b""), 10), (masked(FIN | TEXT, b"never mind"), 11)] {
        let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
        let begun = Instant::now();
        ws.send_close(CloseCode::NORMAL, "").await.unwrap();
        let error = loop {
            peer.send(&input).await;
            // There is always something to read when the reader is asked, which takes no time.
            if let Ok(Err(error)) = timeout(Duration::ZERO, ws.read()).await {
                break error;
            }
            assert!(begun.elapsed() <= 20 * SECOND);
            tokio::time::advance(SECOND).await;
        };
        assert!(matches!(error, Error::Unclean(closed) if closed.cause == Cause::CloseTimeout), "{error}");
        assert_eq!(begun.elapsed().as_secs(), end);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_gets_a_long_reply_whole() {
    const LEN: usize = 1 << 20;
    let (mut peer, mut ws) = Peer::client(8 * 1_024, &Config::new());
    let begun = Instant::now();
    ws.queue(&[7; LEN]).await.unwrap();
    let reading = tokio::spawn(async move { ws.read().await.map(|message| message.is_some()) });
    let mut received = 0;
    let mut piece = vec![0; 8 * 1_024];
    // 8 KiB each second: the reply takes three times as long as keepalive and Pong together.
    while received < LEN + 10 {
        received += peer.stream.read(&mut piece).await.unwrap();
        sleep(SECOND).await;
    }
    assert!(begun.elapsed() > 120 * SECOND);
    // The Ping that came due meanwhile follows, and is answered.
    peer.send(&[masked(PONG, b""), masked(FIN | TEXT, b"thanks")].concat()).await;
    assert!(reading.await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_of_a_queued_reply_is_given_up() {
    let (mut peer, mut ws) = Peer::client(8 * 1_024, &Config::new());
    let begun = Instant::now();
    ws.queue(&[7; 60_000]).await.unwrap();
    assert!(is_timeout(ws.read().await));
    assert_eq!(begun.elapsed(), 30 * SECOND);
    drop(ws);
    assert_eq!(peer.rest().await.len(), 8 * 1_024, "a frame that was cut is the last");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_little_now_and_then_is_too_slow() {
    let mut config = big();
    config.write_timeout = Some(4 * SECOND);
    config.min_write_rate = 1 << 20;
    let (mut peer, mut ws) = Peer::client(8 * 1_024, &config);
    let begun = Instant::now();
    let sending = tokio::spawn(async move { is_timeout(ws.send(noise(8 << 20).as_slice()).await) });
    while !sending.is_finished() {
        peer.bytes(1_000).await;
        sleep(SECOND).await;
    }
    assert!(sending.await.unwrap());
    // 4 s, and 8 s for 8 MiB.
    assert!((12..=13).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_times_out_goes_on_where_it_stopped() {
    let mut config = big();
    config.keepalive_interval = None;
    let (mut ws, mut peer) = Peer::server(8 * 1_024, &config);
    let begun = Instant::now();
    let message = noise(1 << 20);
    assert!(is_timeout(ws.send(message.as_slice()).await));
    assert_eq!(begun.elapsed(), 30 * SECOND);
    // Over the mark no more is queued.
    let pending = ws.pending_len();
    assert!(is_timeout(ws.send("more").await));
    assert_eq!((ws.pending_len(), begun.elapsed()), (pending, 60 * SECOND));
    let receiving = tokio::spawn(async move {
        assert!(peer.frame().await.payload == noise(1 << 20));
        assert_eq!(peer.frame().await.payload, b"more");
    });
    ws.flush().await.unwrap();
    ws.send("more").await.unwrap();
    receiving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn input_that_is_there_is_read_though_output_waits() {
    let (mut peer, mut ws) = Peer::client(8 * 1_024, &big());
    peer.send(&masked(FIN | TEXT, b"already there")).await;
    assert!(is_timeout(ws.send(noise(1 << 20).as_slice()).await));
    ws.set_write_timeout(None);
    assert_eq!(ws.read().await.unwrap().unwrap().message, Message::Text("already there"));
}

#[tokio::test(start_paused = true)]
async fn a_close_that_cannot_be_written_ends_both_halves() {
    let (_peer, ws) = Peer::client(8 * 1_024, &big());
    let (mut reader, mut writer) = ws.split();
    let begun = Instant::now();
    let reading = tokio::spawn(async move { reader.read().await.map(drop) });
    // The peer takes none of it. The half that waits first reports that.
    let sent = writer.send(noise(1 << 20).as_slice()).await;
    let closed = writer.close(CloseCode::NORMAL, "").await;
    assert!(closed.is_err() || !closed.unwrap().clean, "{sent:?}");
    assert!(reading.await.unwrap().is_err());
    assert!(begun.elapsed() <= 100 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_takes_longer_than_a_pong_may_keeps_the_connection() {
    const LEN: usize = 1 << 20;
    let (mut peer, ws) = Peer::client(8 * 1_024, &big());
    let (mut reader, mut writer) = ws.split();
    let writing = tokio::spawn(async move { writer.send(&[0; LEN]).await });
    let reading = tokio::spawn(async move { reader.read().await.map(|end| end.is_none()) });
    for _ in 0..128 {
        peer.bytes(LEN / 128).await;
        sleep(SECOND).await;
    }
    peer.bytes(10).await;
    writing.await.unwrap().unwrap();
    // The Ping that has waited comes, and its answer keeps the connection.
    assert_eq!(peer.frame().await, parse(&frame(PING, &[]))[0]);
    peer.send(&[masked(PONG, &[]), masked(CLOSE, &1_000_u16.to_be_bytes())].concat()).await;
    while peer.frame().await.first != CLOSE {}
    assert!(reading.await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_reader_whose_pongs_are_not_taken_gives_up_after_the_write_timeout() {
    let (mut peer, ws) = Peer::client(8 * 1_024, &Config::new());
    let (mut reader, _writer) = ws.split();
    let begun = Instant::now();
    let reading = tokio::spawn(async move { is_timeout(reader.read().await) });
    let pings = masked(PING, &[0; 125]).repeat(100);
    // The peer takes none of them, but sends on.
    while !reading.is_finished() {
        let _ = timeout(SECOND, peer.stream.write_all(&pings)).await;
        sleep(SECOND).await;
    }
    assert!(reading.await.unwrap());
    assert!((30..=120).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_send_that_waits_learns_at_once_that_the_connection_has_failed() {
    let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
    // A text that is no text, from a peer that takes nothing.
    peer.send(&masked(FIN | TEXT, b"\xFF")).await;
    let begun = Instant::now();
    assert!(matches!(ws.send(&[7; 100_000]).await, Err(Error::Receive(_))));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(matches!(ws.read().await, Err(Error::Receive(_))), "a call that reads returns it too");
}

/// Sends a long message and drops the future when the peer has taken `taken` bytes and sent a Ping; then sends a short one.
/// Returns what the peer gets.
async fn dropped_send<R: Role>(
    (mut peer, mut ws): (Peer<DuplexStream>, WebSocket<R, DuplexStream>),
    message: &[u8],
    taken: usize,
) -> Vec<RawFrame> {
    let ping = masked(PING, b"there?");
    let mut bytes = tokio::select! {
        biased;
        sent = ws.send(message) => panic!("{sent:?}"),
        bytes = async {
            peer.send(if R::SIDE == Side::Server { &ping } else { b"\x89\x06there?" }).await;
            peer.bytes(taken).await
        } => bytes,
    };
    let rest = async {
        ws.send("after").await.unwrap();
        drop(ws);
    };
    bytes.extend(tokio::join!(peer.rest(), rest).0);
    parse(&bytes)
}

#[tokio::test(start_paused = true)]
async fn a_long_message_whose_send_is_dropped_anywhere_comes_whole() {
    let message = noise(200_000);
    for taken in [1, 9, 13, 14, 15, 8_191, 8_192, 49_151, 49_152, 49_153, 100_000, 190_000] {
        let (client, peer) = Peer::server(8 * 1_024, &big());
        let of_client = dropped_send((peer, client), &message, taken).await;
        let of_server = dropped_send(Peer::client(8 * 1_024, &big()), &message, taken).await;
        for frames in [of_client, of_server] {
            assert!(frames[0].payload == message, "{taken}");
            let rest: Vec<_> = frames[1..3].iter().map(|frame| (frame.first, &*frame.payload)).collect();
            assert_eq!(rest, [(PONG, &b"there?"[..]), (FIN | TEXT, b"after")], "{taken}");
        }
    }
}
