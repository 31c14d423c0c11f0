//! The calls of a connection and of its halves, one by one.

use core::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};
use ws_tests::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, frame, masked, parse};
use ws_tokio::{CloseCode, Config, Control, Error, Event, Message, MessageKind, Part, Traffic, TrySendError};

use crate::peer::Peer;

/// Returns the result of a future that needs no wait.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn a_read_may_be_given_up_at_every_await_point() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let long = "long ".repeat(100);
    let bytes = [
        masked(FIN | TEXT, b"one"),
        masked(TEXT, b"in "),
        masked(PING, b"ping"),
        masked(FIN | CONTINUATION, b"parts"),
        masked(FIN | TEXT, long.as_bytes()),
        masked(FIN | TEXT, b""),
        masked(CLOSE, b"\x03\xE8"),
    ]
    .concat();
    let expected = ["one", "in parts", &long, ""];
    for (capacity, step) in [(1, 1), (3, 7), (64, 5), (4_096, 4_096)] {
        let (Peer { stream: mut peer }, mut ws) = Peer::client(capacity, &Config::new());
        let (mut replies, mut messages): (Vec<u8>, Vec<String>) = Default::default();
        let (mut sent, mut given_up, mut ended) = (0, 0, false);
        // Each future is polled once and then dropped.
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100_000 {
            let rest = &bytes[sent..bytes.len().min(sent + step)];
            if let (false, Poll::Ready(written)) = (rest.is_empty(), pin!(peer.write(rest)).poll(&mut cx)) {
                sent += written.unwrap();
            }
            match pin!(ws.read()).poll(&mut cx) {
                Poll::Ready(Ok(Some(mut received))) => {
                    messages.push(received.message.as_str().unwrap().to_owned());
                    at_once(received.reply.queue(received.message)).unwrap();
                }
                Poll::Ready(Ok(None)) => ended = true,
                Poll::Ready(Err(error)) => panic!("{error}"),
                Poll::Pending => given_up += 1,
            }
            let mut reply = vec![0; step];
            if let Poll::Ready(len) = pin!(peer.read(&mut reply)).poll(&mut cx) {
                let len = len.unwrap();
                replies.extend(&reply[..len]);
                if ended && len == 0 {
                    break;
                }
            }
        }
        assert!(ended, "capacity {capacity}: the closing handshake is complete");
        assert_eq!(messages, expected);
        assert!(given_up > 0, "capacity {capacity}: no read was given up");
        let echoes = [
            frame(FIN | TEXT, b"one"),
            frame(PONG, b"ping"),
            frame(FIN | TEXT, b"in parts"),
            frame(FIN | TEXT, long.as_bytes()),
            frame(FIN | TEXT, b""),
            frame(CLOSE, b"\x03\xE8"),
        ];
        assert_eq!(replies, echoes.concat(), "capacity {capacity}");
    }
}

#[tokio::test]
async fn parts_and_control_frames_are_returned_as_they_come() {
    let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
    peer.send(&masked(TEXT, b"one ")).await;
    let data = ws.read_part().await.unwrap().unwrap().data;
    assert_eq!((data.as_bytes(), data.part()), (&b"one "[..], Part::First));
    peer.send(&[masked(PING, b"?"), masked(FIN | CONTINUATION, b"two")].concat()).await;
    assert!(matches!(ws.read_part_event().await.unwrap(), Some(Event::Control(Control::Ping))));
    assert_eq!(*ws.control_payload(), *b"?");
    let data = ws.read_part().await.unwrap().unwrap().data;
    assert_eq!((data.as_bytes(), data.part()), (&b"two"[..], Part::Last));
    peer.send(&[masked(PONG, b"!"), masked(FIN | BINARY, b"whole"), masked(CLOSE, b"\x03\xE8")].concat()).await;
    let (mut reader, _writer) = ws.split();
    assert_eq!(reader.read_event().await.unwrap(), Some(Event::Control(Control::Pong)));
    assert_eq!(*reader.control_payload(), *b"!");
    assert_eq!(reader.read_event().await.unwrap(), Some(Event::Data(Message::Binary(b"whole"))));
    assert_eq!(reader.read_event().await.unwrap(), Some(Event::Control(Control::Close)));
    assert_eq!(reader.close_frame(), Some((CloseCode::NORMAL, String::new())));
    assert_eq!(reader.read_event().await.unwrap(), None);
    assert_eq!(peer.frame().await, parse(&frame(PONG, b"?"))[0]);
    assert_eq!(peer.frame().await.first, CLOSE);
}

/// Receives the frames that have been written by now.
async fn frames(peer: &mut Peer<tokio::io::DuplexStream>) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Ok(frame) = timeout(Duration::from_millis(1), peer.frame()).await {
        frames.push((frame.first, frame.payload));
    }
    frames
}

fn expected(frames: &[(u8, &[u8])]) -> Vec<(u8, Vec<u8>)> {
    frames.iter().map(|(first, payload)| (*first, payload.to_vec())).collect()
}

#[tokio::test(start_paused = true)]
async fn writer_sends_parts_pings_streams_and_queued_messages() {
    let (mut peer, ws) = Peer::client(4_096, &Config::new());
    let (_reader, mut writer) = ws.split();
    writer.send_part(MessageKind::Text, Part::First, b"one ").await.unwrap();
    writer.ping(b"between").await.unwrap();
    writer.send_part(MessageKind::Text, Part::Last, b"two").await.unwrap();
    let sent: [(u8, &[u8]); 3] = [(TEXT, b"one "), (PING, b"between"), (FIN | CONTINUATION, b"two")];
    assert_eq!(frames(&mut peer).await, expected(&sent));
    writer.queue("queued").await.unwrap();
    writer.try_send("this too").unwrap();
    assert_eq!((frames(&mut peer).await, writer.pending_len()), (Vec::new(), 18));
    writer.flush().await.unwrap();
    assert_eq!(frames(&mut peer).await, expected(&[(FIN | TEXT, b"queued"), (FIN | TEXT, b"this too")]));
    let mut stream = writer.message_writer(MessageKind::Binary);
    stream.write_all(b"first").await.unwrap();
    stream.flush().await.unwrap();
    stream.write_all(b"last").await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(frames(&mut peer).await, expected(&[(BINARY, b"first"), (FIN | CONTINUATION, b"last")]));
    writer.send_close(CloseCode::NORMAL, "").await.unwrap();
    writer.send_close(CloseCode::GOING_AWAY, "").await.unwrap();
    assert_eq!(frames(&mut peer).await, expected(&[(CLOSE, b"\x03\xE8")]), "the first is the only one");
    assert!(matches!(writer.ping(b"").await, Err(Error::Send(_))));
    assert!(matches!(writer.try_send("late"), Err(TrySendError::Failed(Error::Send(_)))));
}

// K-reply
#[tokio::test(start_paused = true)]
async fn reply_writes_at_once_or_with_others_as_it_is_told() {
    let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
    peer.send(&masked(FIN | TEXT, b"question")).await;
    let mut received = ws.read().await.unwrap().unwrap();
    let reply = &mut received.reply;
    reply.queue("queued").await.unwrap();
    reply.queue_part(MessageKind::Binary, Part::First, b"queued too").await.unwrap();
    assert_eq!(frames(&mut peer).await, []);
    reply.send_part(MessageKind::Binary, Part::Last, b"at once").await.unwrap();
    let sent: [(u8, &[u8]); 3] =
        [(FIN | TEXT, b"queued"), (BINARY, b"queued too"), (FIN | CONTINUATION, b"at once")];
    assert_eq!(frames(&mut peer).await, expected(&sent));
    reply.send(received.message).await.unwrap();
    reply.queue("flushed").await.unwrap();
    reply.flush().await.unwrap();
    let mut stream = reply.message_writer(MessageKind::Text);
    stream.write_all(b"streamed").await.unwrap();
    stream.finish().await.unwrap();
    reply.send_close(CloseCode::new(4_000), "enough").await.unwrap();
    let sent: [(u8, &[u8]); 4] = [
        (FIN | TEXT, b"question"),
        (FIN | TEXT, b"flushed"),
        (FIN | TEXT, b"streamed"),
        (CLOSE, b"\x0F\xA0enough"),
    ];
    assert_eq!(frames(&mut peer).await, expected(&sent));
    assert!(matches!(reply.send("late").await, Err(Error::Send(_))));
}

// K-full
#[tokio::test(start_paused = true)]
async fn full_output_takes_no_more_until_the_peer_takes_some() {
    let (mut peer, mut ws) = Peer::client(1_000, &Config::new());
    for _ in 0..5 {
        ws.try_send(&[1; 15_000]).unwrap();
    }
    assert!(matches!(ws.try_send("more"), Err(TrySendError::Full)));
    let pending = ws.pending_len();
    assert!(timeout(Duration::from_secs(1), ws.queue("more")).await.is_err());
    assert!(ws.pending_len() <= pending, "no more is queued");
    let receiving = tokio::spawn(async move {
        let mut lens = Vec::new();
        for _ in 0..6 {
            lens.push(peer.frame().await.payload.len());
        }
        (lens, peer)
    });
    ws.send("more").await.unwrap();
    assert_eq!(receiving.await.unwrap().0, [15_000, 15_000, 15_000, 15_000, 15_000, 4]);
    assert_eq!(ws.pending_len(), 0);
}

#[tokio::test(start_paused = true)]
async fn set_write_timeout_bounds_writes_from_then_on() {
    let (mut peer, mut ws) = Peer::client(2, &Config::new());
    ws.set_write_timeout(Some(Duration::from_secs(3)));
    let begun = Instant::now();
    assert!(matches!(ws.send("stuck").await, Err(Error::Io(_))));
    assert_eq!(begun.elapsed().as_secs(), 3);
    let (written, frame) = tokio::join!(ws.flush(), peer.frame());
    written.unwrap();
    assert_eq!(frame.payload, b"stuck");
}

#[tokio::test(start_paused = true)]
async fn held_bytes_counts_output_that_waits_and_input_that_came() {
    let (mut peer, mut ws) = Peer::client(64 * 1_024, &Config::new());
    assert_eq!(ws.held_bytes(), 0);
    ws.queue(&[0; 10_000]).await.unwrap();
    assert!(ws.held_bytes() >= 10_000);
    peer.send(&masked(BINARY, &[0; 50_000])).await;
    assert!(timeout(Duration::from_millis(1), ws.read()).await.is_err());
    assert!(ws.held_bytes() >= 50_000);
    peer.send(&masked(FIN | CONTINUATION, b"")).await;
    assert_eq!(ws.read().await.unwrap().unwrap().message.as_bytes().len(), 50_000);
    assert!(timeout(Duration::from_millis(1), ws.read()).await.is_err());
    assert_eq!(ws.held_bytes(), 0, "an idle connection holds no buffer");
}

#[tokio::test]
async fn into_inner_returns_the_stream_and_input_that_was_not_processed() {
    let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
    peer.send(&[masked(FIN | TEXT, b"taken"), masked(FIN | TEXT, b"not taken")].concat()).await;
    assert_eq!(ws.read().await.unwrap().unwrap().message, Message::Text("taken"));
    assert!(ws.with_stream(|_| ()).is_some());
    let (mut stream, unread) = ws.into_inner().unwrap();
    assert_eq!(unread, masked(FIN | TEXT, b"not taken"));
    stream.write_all(b"raw").await.unwrap();
    assert_eq!(peer.bytes(3).await, b"raw");
}

#[tokio::test]
async fn debug_output_of_a_connection_and_its_halves_names_them() {
    let (mut peer, mut ws) = Peer::client(4_096, &Config::new());
    peer.send(&masked(FIN | TEXT, b"secret")).await;
    let mut received = ws.read().await.unwrap().unwrap();
    assert!(!format!("{:?}", received.reply).contains("secret"));
    assert!(format!("{:?}", received.reply.message_writer(MessageKind::Text)).starts_with("MessageWriter"));
    assert!(format!("{ws:?}").starts_with("WebSocket"));
    let (reader, writer) = ws.split();
    assert!(format!("{reader:?}").starts_with("Reader"));
    assert!(format!("{writer:?}").starts_with("Writer"));
    let other = Peer::client(4_096, &Config::new()).1.split().1;
    let error = reader.reunite(other).unwrap_err();
    assert!(format!("{error:?}").starts_with("ReuniteError"));
    assert_eq!(error.to_string(), "halves are of two connections, or there are more writers");
}

#[tokio::test(start_paused = true)]
async fn counters_are_those_of_both_directions_and_the_last_round_trip() {
    let mut config = Config::new();
    config.keepalive_interval = Some(Duration::from_secs(1));
    let (mut peer, mut ws) = Peer::client(4_096, &config);
    peer.send(&[masked(TEXT, b"in "), masked(PING, b"?"), masked(FIN | CONTINUATION, b"parts")].concat()).await;
    ws.read().await.unwrap().unwrap().reply.send(&b"answer"[..]).await.unwrap();
    for (first, payload) in [(PONG, "?"), (FIN | BINARY, "answer")] {
        assert_eq!(peer.frame().await, parse(&frame(first, payload.as_bytes()))[0]);
    }
    let counters = ws.counters();
    let of = |traffic: Traffic| (traffic.messages, traffic.frames, traffic.payload_len);
    assert_eq!((of(counters.received), of(counters.sent)), ((1, 3, 9), (1, 2, 7)));
    assert_eq!(counters.last_round_trip, None);
    let answering = async {
        assert_eq!(peer.frame().await.first, PING);
        tokio::time::sleep(Duration::from_millis(250)).await;
        peer.send(&[masked(PONG, b""), masked(FIN | TEXT, b"more")].concat()).await;
    };
    let (_, read) = tokio::join!(answering, ws.read());
    assert_eq!(read.unwrap().unwrap().message, Message::Text("more"));
    let (reader, writer) = ws.split();
    let counters = writer.counters();
    assert_eq!((of(counters.received), of(counters.sent)), ((2, 5, 13), (1, 3, 7)));
    assert_eq!(counters.last_round_trip, Some(Duration::from_millis(250)));
    assert_eq!(reader.counters(), counters);
}
