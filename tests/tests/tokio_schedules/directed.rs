//! Faults that schedules have found or could not find, each by itself.

use core::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use std::{
    io::{self, IoSlice},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Wake, Waker},
};

use fastrand::Rng;
use futures_util::{SinkExt, Stream, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    task::coop,
    time::{Instant, timeout},
};
use ws_proto::{Server, endpoint::Negotiated};
use ws_tokio::{
    Acceptor, CloseCode, Config, Control, Error, Event, Message, OsEntropy, OwnedMessage, Part, Prepared, Tracker,
    WebSocket,
    role::{Client, Role},
};

use crate::pipe::{Habits, Pipe};

/// Returns two ends of an open connection, whose stream holds `len` bytes for each direction.
fn pair(len: usize) -> (WebSocket<Client, DuplexStream>, WebSocket<Server, DuplexStream>) {
    let (left, right) = duplex(len);
    (client(left), server(right))
}

fn client<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> WebSocket<Client, S> {
    let (config, agreed) = (Config::default(), Negotiated::default());
    WebSocket::from_handshake(Client::new(OsEntropy), stream, Vec::new(), agreed, &config)
}

fn server<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> WebSocket<Server, S> {
    let (config, agreed) = (Config::default(), Negotiated::default());
    WebSocket::from_handshake(Server, stream, Vec::new(), agreed, &config)
}

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn new() -> (Arc<Self>, Waker) {
        let count = Arc::<Self>::default();
        (Arc::clone(&count), Waker::from(count))
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[tokio::test]
async fn a_message_that_a_dropped_call_has_begun_to_read_comes_whole_as_a_part() {
    let (mut client, mut server) = pair(1_000);
    let payload = [b'x'; 3_000];
    let mut send = pin!(client.send(Message::Binary(&payload)));
    let waker = Waker::noop();
    assert!(poll(send.as_mut(), waker).is_pending());
    assert!(poll(pin!(server.read()), waker).is_pending());
    let (sent, ()) = tokio::join!(send, async {
        let received = server.read_part().await.unwrap().unwrap();
        assert_eq!((received.data.part(), received.data.as_bytes()), (Part::Whole, &payload[..]));
    });
    sent.unwrap();
}

#[tokio::test]
async fn a_stream_and_a_sink_in_two_tasks_are_both_woken() {
    let (mut client, server) = pair(1_000);
    let (mut sink, mut stream) = StreamExt::split(server);
    let ((read, reader), (written, writer)) = (Count::new(), Count::new());
    assert!(Pin::new(&mut stream).poll_next(&mut Context::from_waker(&reader)).is_pending());
    let mut send = pin!(sink.send(OwnedMessage::from(vec![7; 3_000])));
    assert!(poll(send.as_mut(), &writer).is_pending());
    assert_eq!((read.get(), written.get()), (0, 0));
    // The stream takes output and brings a message: either task may be the one that has to act.
    let mut sent = pin!(client.send("hello"));
    assert!(poll(sent.as_mut(), Waker::noop()).is_ready());
    assert!(read.get() > 0 && written.get() > 0);
    let received = stream.next().await.unwrap().unwrap();
    assert_eq!(received, OwnedMessage::from("hello"));
}

#[tokio::test]
async fn a_close_that_waits_to_be_written_does_not_wake_its_own_task() {
    let (client, _server) = pair(100);
    let (_reader, mut writer) = client.split();
    writer.try_send(Message::Binary(&[7; 300])).unwrap();
    let (woken, waker) = Count::new();
    let mut close = pin!(writer.send_close(CloseCode::NORMAL, ""));
    assert!(poll(close.as_mut(), &waker).is_pending());
    for _ in 0..3 {
        assert!(poll(close.as_mut(), &waker).is_pending());
    }
    assert_eq!(woken.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_returns_when_the_reading_half_has_seen_the_close_and_reads_no_more() {
    let (client, mut server) = pair(1_000);
    let (mut reader, mut writer) = client.split();
    let begun = Instant::now();
    let close = tokio::spawn(async move { writer.close(CloseCode::NORMAL, "").await });
    let peer = tokio::spawn(async move { server.read().await.map(|_| ()) });
    assert_eq!(reader.read_event().await.unwrap(), Some(Event::Control(Control::Close)));
    assert!(close.await.unwrap().unwrap().clean);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    peer.await.unwrap().unwrap();
}

#[tokio::test]
async fn output_that_reaches_the_mark_is_written_at_once() {
    let (mut client, mut server) = pair(100_000);
    client.queue(Message::Binary(&[7; 70_000])).await.unwrap();
    assert!(poll(pin!(server.read()), Waker::noop()).is_ready());
}

#[tokio::test]
async fn output_is_written_before_a_message_that_would_make_it_too_long_for_one_write() {
    let (mut client, mut server) = pair(100_000);
    for waiting in [15_008, 30_016, 45_024, 60_032, 15_008] {
        client.queue(Message::Binary(&[7; 15_000])).await.unwrap();
        assert_eq!(client.pending_len(), waiting);
    }
    for _ in 0..4 {
        assert!(poll(pin!(server.read()), Waker::noop()).is_ready());
    }
    assert!(poll(pin!(server.read()), Waker::noop()).is_pending());
}

#[tokio::test]
async fn a_call_that_waits_for_room_needs_no_more_than_room() {
    let (mut client, _server) = pair(1_000);
    client.queue(Message::Binary(&[7; 66_000])).await.unwrap();
    // The stream has taken 1,000 bytes, so less than 64 KiB wait.
    assert!(client.pending_len() < 65_536);
    let mut queue = pin!(client.queue("more"));
    assert!(poll(queue.as_mut(), Waker::noop()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn pongs_do_not_keep_a_message_from_being_read_while_output_waits() {
    let (mut client, mut server) = pair(1_000);
    server.ping(b"").await.unwrap();
    client.ping(b"").await.unwrap();
    assert!(poll(pin!(client.read_event()), Waker::noop()).is_ready());
    assert!(poll(pin!(server.read_event()), Waker::noop()).is_ready());
    let payload = vec![7; 100_000];
    tokio::join!(send_and_read(&mut client, &payload), send_and_read(&mut server, &payload));
}

#[tokio::test(start_paused = true)]
async fn the_last_pong_that_comes_while_a_call_waits_to_write_is_returned_before_the_message_after_it() {
    let (mut client, mut server) = pair(1_000);
    for payload in [b"first", b"later"] {
        client.ping(payload).await.unwrap();
        assert_eq!(server.read_event().await.unwrap(), Some(Event::Control(Control::Ping)));
    }
    server.queue("hello").await.unwrap();
    let payload = vec![7; 100_000];
    let (sent, ()) = tokio::join!(client.send(&*payload), async {
        assert_eq!(server.read().await.unwrap().unwrap().message, Message::Binary(&payload));
    });
    sent.unwrap();
    assert_eq!(client.read_event().await.unwrap(), Some(Event::Control(Control::Pong)));
    assert_eq!(client.control_payload().as_ref(), b"later");
    assert_eq!(client.read_event().await.unwrap(), Some(Event::Data(Message::Text("hello"))));
}

async fn send_and_read<R: Role>(ws: &mut WebSocket<R, DuplexStream>, payload: &[u8]) {
    ws.send(payload).await.unwrap();
    assert_eq!(ws.read().await.unwrap().unwrap().message, Message::Binary(payload));
}

/// A stream that takes all bytes and never passes them on.
struct Hoard;

impl AsyncRead for Hoard {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Hoard {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_keeps_output_for_itself_passes_the_write_deadline() {
    let (_reader, mut writer) = client(Hoard).split();
    let begun = Instant::now();
    let sent = timeout(Duration::from_secs(100), writer.send("hello")).await.expect("a deadline");
    assert!(matches!(sent, Err(Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut));
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(30) && waited < Duration::from_secs(31), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tracker_writes_more_closes_at_once_than_a_task_has_budget() {
    let tracker = Tracker::new();
    let (mut clients, servers): (Vec<_>, Vec<_>) = (0..300).map(|_| pair(1_000)).unzip();
    let tracked: Vec<_> = servers.into_iter().map(|server| tracker.track(server)).collect();
    tracker.close_all();
    for client in &mut clients {
        let event = timeout(Duration::from_secs(1), client.read_event()).await.expect("a Close");
        assert_eq!(event.unwrap(), Some(Event::Control(Control::Close)));
    }
    drop(tracked);
}

/// Drops the exchange of a request for a page, and returns the answer.
async fn drop_exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut client: S, stream: S) -> String {
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let exchange = Acceptor::new().receive(stream).await.unwrap();
    while coop::has_budget_remaining() {
        coop::consume_budget().await;
    }
    drop(exchange);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_dropped_exchange_answers_although_its_task_has_used_up_its_budget() {
    let (client, stream) = duplex(1_000);
    let answer = drop_exchange(client, stream).await;
    assert!(answer.starts_with("HTTP/1.1 426 ") && answer.ends_with('\n'), "{answer:?}");
}

#[tokio::test]
async fn a_dropped_exchange_answers_in_as_many_pieces_as_the_stream_takes() {
    let habits = Habits { stalls: 0, piece: 1, vectored: true, buffered: false };
    let (_pipe, client, stream) = Pipe::new(habits, Rng::with_seed(0));
    let answer = drop_exchange(client, stream).await;
    assert!(answer.starts_with("HTTP/1.1 426 ") && answer.ends_with('\n'), "{answer:?}");
}

/// A stream that takes `room` bytes and notes where those of each slice lie.
struct Places {
    room: usize,
    slices: Vec<(usize, usize)>,
}

impl Places {
    /// Returns the places of the slices that a server writes for `message`, by each way to send it.
    async fn of(room: usize, message: &OwnedMessage) -> Vec<Vec<(usize, usize)>> {
        let mut found = Vec::new();
        for way in 0..3 {
            let mut ws = server(Self { room, slices: Vec::new() });
            ws.set_write_timeout(Some(Duration::from_millis(1)));
            let sent = match way {
                0 => ws.send(message).await,
                1 => ws.queue(message).await,
                _ => ws.send_prepared(&Prepared::new(message.kind(), message.as_bytes()).unwrap()).await,
            };
            assert_eq!(sent.is_ok(), way == 1 || room > message.as_bytes().len(), "way {way}");
            found.push(ws.into_inner().unwrap().0.slices);
        }
        found
    }
}

impl AsyncRead for Places {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Places {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = self.room;
        for slice in slices {
            let len = slice.len().min(self.room);
            self.room -= len;
            if len > 0 {
                self.slices.push((slice.as_ptr().addr(), len));
            }
        }
        if room == self.room { Poll::Pending } else { Poll::Ready(Ok(room - self.room)) }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_server_writes_a_big_message_from_the_callers_memory() {
    let message = OwnedMessage::from(vec![7; 100_000]);
    let place = message.as_bytes().as_ptr().addr();
    for slices in Places::of(200_000, &message).await {
        let [(_, header), payload] = slices[..] else { panic!("{slices:?}") };
        assert_eq!((header, payload), (10, (place, 100_000)));
    }
    // The peer takes a part only: the rest waits.
    for slices in Places::of(5_010, &message).await {
        let [(_, header), payload] = slices[..] else { panic!("{slices:?}") };
        assert_eq!((header, payload), (10, (place, 5_000)));
    }
}
