//! The halves over `tokio`: reads that are given up lose nothing, nobody waits for anybody for ever, and an end is told.

#[path = "../examples/tokio_echo.rs"]
#[allow(dead_code, reason = "its main")]
mod tokio_echo;

use std::{
    io,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use ws_hosts::{
    tokio_opening::{accept, connect},
    tokio_websocket::{Reader, Writer, split_open},
};
use ws_proto::{
    CloseCode, Config, Endpoint, Instant, Message, Server, client,
    endpoint::Negotiated,
    role::Role,
    server::{Accept, OriginPolicy},
};

type Halves = (Reader<Server, DuplexStream>, Writer<Server, DuplexStream>);

/// A server's halves on a stream that holds `capacity` bytes each way, and the other end.
fn server(capacity: usize) -> (Halves, DuplexStream) {
    let (ours, theirs) = duplex(capacity);
    let endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
    (split_open(ours, endpoint, tokio::time::Instant::now()), theirs)
}

/// A frame with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap();
    let mut bytes = vec![first, 0x80 | 126];
    bytes.extend(len.to_be_bytes());
    if payload.len() < 126 {
        bytes = vec![first, 0x80 | len.to_be_bytes()[1]];
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

#[test]
fn a_read_may_be_given_up_at_every_await_point() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    let long = "long ".repeat(100);
    let bytes = [
        frame(0x81, b"one"),
        frame(0x01, b"in "),
        frame(0x89, b"ping"),
        frame(0x80, b"parts"),
        frame(0x81, long.as_bytes()),
        frame(0x81, b""),
        frame(0x88, b"\x03\xE8"),
    ]
    .concat();
    let expected = ["one", "in parts", &long, ""];
    for (capacity, step) in [(1, 1), (3, 7), (64, 5), (4096, 4096)] {
        let ((mut reader, writer), mut peer) = server(capacity);
        let (mut replies, mut messages): (Vec<u8>, Vec<String>) = Default::default();
        let (mut sent, mut given_up, mut ended) = (0, 0, false);
        // Nothing is ever awaited: each future is looked at once and then dropped.
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..100_000 {
            let rest = &bytes[sent..bytes.len().min(sent + step)];
            let written = pin!(peer.write(rest)).poll(&mut cx);
            if let (false, Poll::Ready(written)) = (rest.is_empty(), written) {
                sent += written.unwrap();
            }
            match pin!(reader.read()).poll(&mut cx) {
                Poll::Ready(Ok(Some(message))) => {
                    let Message::Text(text) = message else { panic!("{message:?}") };
                    messages.push(text.to_owned());
                    writer.queue(message).unwrap();
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
                if len == 0 {
                    assert!(pin!(peer.shutdown()).poll(&mut cx).is_ready());
                }
            }
        }
        assert!(ended, "capacity {capacity}: the closing handshake is complete");
        assert_eq!(messages, expected);
        assert!(given_up > 0, "capacity {capacity}: no read was given up");
        let unmasked = |first: u8, text: &str| {
            let masked = frame(first, text.as_bytes());
            let header = masked.len() - text.len() - 4;
            let mut bytes = masked[..header].to_vec();
            bytes[1] &= 0x7F;
            bytes.extend(text.bytes());
            bytes
        };
        let echoes = [
            unmasked(0x81, "one"),
            unmasked(0x8A, "ping"),
            unmasked(0x81, "in parts"),
            unmasked(0x81, &long),
            unmasked(0x81, ""),
            b"\x88\x02\x03\xE8".to_vec(),
        ];
        assert_eq!(replies, echoes.concat(), "capacity {capacity}");
    }
}

const COUNT: usize = 200;

async fn send_all<R: Role, S: AsyncWrite>(writer: &Writer<R, S>) -> io::Result<()> {
    for _ in 0..COUNT {
        writer.send(Message::Binary(&[7; 10_000])).await?;
    }
    Ok(())
}

async fn receive_all<R: Role, S: AsyncRead + AsyncWrite>(reader: &mut Reader<R, S>) -> io::Result<()> {
    for _ in 0..COUNT {
        assert_eq!(reader.read().await?, Some(Message::Binary(&[7; 10_000])));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_sends_and_who_receives_never_wait_for_each_other() {
    let (ours, theirs) = duplex(1_000);
    let config = Config::default();
    let client = connect(theirs, &config, client::Request::new("localhost", "/"));
    let server = accept(ours, &config, OriginPolicy::SameHost, |_| Ok(Accept::new()));
    let ((mut from_server, to_server), (mut from_client, to_client)) = tokio::try_join!(client, server).unwrap();
    // The clock is stopped: it jumps ahead only when everybody waits.
    let begun = tokio::time::Instant::now();
    tokio::try_join!(
        receive_all(&mut from_server),
        receive_all(&mut from_client),
        send_all(&to_server),
        send_all(&to_client)
    )
    .unwrap();
    to_client.close(CloseCode::GOING_AWAY, "").unwrap();
    assert!(matches!(tokio::join!(from_server.read(), from_client.read()), (Ok(None), Ok(None))));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_and_then_given_up() {
    let ((mut reader, _writer), mut peer) = server(4096);
    let begun = tokio::time::Instant::now();
    assert!(reader.read().await.is_err());
    // A Ping after 20 s, and 20 s for its answer. The end is told at once.
    assert_eq!(begun.elapsed().as_secs(), 40);
    reader.drain().await;
    // 1 s for the peer to end the transport.
    assert_eq!(begun.elapsed().as_secs(), 41);
    drop((reader, _writer));
    let mut received = Vec::new();
    peer.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"\x89\x00\x88\x15\x03\xF3no answer to a Ping");
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_ends_in_time_although_the_reader_sleeps() {
    let ((mut reader, writer), _peer) = server(4096);
    let begun = tokio::time::Instant::now();
    let close = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        writer.close(CloseCode::NORMAL, "").unwrap();
    };
    let (read, ()) = tokio::join!(reader.read(), close);
    assert!(read.is_err());
    assert_eq!(begun.elapsed().as_secs(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_not_answered_ends_in_time_however_much_comes_instead() {
    let ((mut reader, writer), mut peer) = server(4096);
    let begun = tokio::time::Instant::now();
    writer.close(CloseCode::NORMAL, "").unwrap();
    let mut result = Ok(());
    for _ in 0..20 {
        peer.write_all(&frame(0x8A, b"")).await.unwrap();
        // There is always something to read when the reader is asked, which takes no time.
        result = match tokio::time::timeout(Duration::ZERO, reader.read()).await {
            Ok(read) => read.map(drop),
            Err(_) => Ok(()),
        };
        if result.is_err() {
            break;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(result.is_err());
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn a_refused_client_is_told_so() {
    let (ours, theirs) = duplex(4096);
    let config = Config::default();
    let refuse = async {
        let (mut reader, _writer) = accept(ours, &config, OriginPolicy::SameHost, |_| Err(404)).await?;
        io::Result::Ok(reader.read().await.is_err())
    };
    let client = connect(theirs, &config, client::Request::new("localhost", "/"));
    let (refused, connected) = tokio::join!(refuse, client);
    assert!(refused.unwrap());
    assert_eq!(connected.err().map(|error| error.to_string()).unwrap(), "refused with status 404");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_stops_however_much_a_client_sends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let serving = tokio::spawn(async move { tokio_echo::serve(listener.accept().await?.0, stopped).await });
    let stream = TcpStream::connect(address).await.unwrap();
    let request = client::Request::new("localhost", "/");
    let (mut reader, writer) = connect(stream, &Config::default(), request).await.unwrap();
    let flood = tokio::spawn(async move { while writer.send(Message::Binary(&[7; 5_000])).await.is_ok() {} });
    let received = async {
        let mut echoed = 0;
        while reader.read().await.unwrap().is_some() {
            echoed += 1;
            if echoed == 1_000 {
                stop.cancel();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), received).await.unwrap();
    assert_eq!(reader.close_frame().unwrap().0, CloseCode::GOING_AWAY);
    flood.await.unwrap();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_stops_says_so_to_every_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let serving = tokio::spawn(async move { tokio_echo::serve(listener.accept().await?.0, stopped).await });
    let stream = TcpStream::connect(address).await.unwrap();
    let request = client::Request::new("localhost", "/");
    let (mut reader, writer) = connect(stream, &Config::default(), request).await.unwrap();
    writer.send(Message::Text("echo")).await.unwrap();
    assert_eq!(reader.read().await.unwrap(), Some(Message::Text("echo")));
    stop.cancel();
    assert!(reader.read().await.unwrap().is_none());
    let (code, reason) = reader.close_frame().unwrap();
    assert_eq!((code, &*reason), (CloseCode::GOING_AWAY, "the server stops"));
    serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_gets_a_long_reply_whole_and_one_that_takes_nothing_is_given_up() {
    const LEN: usize = 1 << 20;
    // 8 KiB each second: the reply takes three times as long as keepalive and Pong together.
    for (pace, complete) in [(8 * 1024, true), (0, false)] {
        let ((mut reader, writer), mut peer) = server(8 * 1024);
        writer.queue(Message::Binary(&[7; LEN])).unwrap();
        let begun = tokio::time::Instant::now();
        let reading = tokio::spawn(async move {
            let result = reader.read().await.map(|message| message.is_some());
            if result.is_err() {
                reader.drain().await;
            }
            result
        });
        let mut received = 0;
        let mut piece = vec![0; 8 * 1024];
        while received < LEN + 10 && pace > 0 {
            received += peer.read(&mut piece[..pace]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(received >= LEN + 10, complete);
        if complete {
            assert!(begun.elapsed().as_secs() > 120);
            // The Ping that came due meanwhile follows, and is answered.
            peer.write_all(&[frame(0x8A, b""), frame(0x82, b"thanks")].concat()).await.unwrap();
            assert!(reading.await.unwrap().unwrap());
        } else {
            let error = reading.await.unwrap().unwrap_err();
            assert_eq!((error.kind(), begun.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30), "{error}");
            drop(writer);
            let mut rest = Vec::new();
            peer.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest.len(), 8 * 1024, "nothing follows a frame that was cut");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_of_the_opening_handshake_is_given_up_in_its_time() {
    let begun = tokio::time::Instant::now();
    let (ours, mut theirs) = duplex(128);
    let request = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let config = Config::default();
    let accepting = accept(ours, &config, OriginPolicy::SameHost, |_| Ok(Accept::new()));
    let (sent, accepted) = tokio::join!(theirs.write_all(request.as_bytes()), accepting);
    sent.unwrap();
    assert_eq!(accepted.map(|_| ()).unwrap_err().kind(), io::ErrorKind::TimedOut);
    let (ours, _theirs) = duplex(64);
    let connected = connect(ours, &config, client::Request::new("h", "/")).await.map(|_| ());
    assert_eq!(connected.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test]
async fn a_stream_that_fails_after_the_peers_close_has_ended() {
    let ((mut reader, _writer), mut peer) = server(4096);
    peer.write_all(&frame(0x88, b"\x03\xE8")).await.unwrap();
    // Our reply meets a broken pipe.
    drop(peer);
    assert!(reader.read().await.unwrap().is_none());
    reader.drain().await;
    let ((mut reader, writer), peer) = server(4096);
    drop(peer);
    writer.queue(Message::Text("lost")).unwrap();
    assert!(reader.read().await.is_err());
}
