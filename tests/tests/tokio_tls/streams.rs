//! Connections over a TLS stream: its end, its keys, both directions at once.

use core::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::{
    io::{self, ErrorKind},
    net::Shutdown,
    time::Instant,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use ws_proto::{Server, endpoint::Negotiated, role::Role};
use ws_tests::{CLOSE, FIN, noise};
use ws_tokio::{CloseCode, Config, Error, NetStream, OsEntropy, Reader, WebSocket, Writer, role::Client};

use crate::{settings, tcp};

/// Returns two ends of a TLS stream.
async fn tls() -> (NetStream, NetStream) {
    ws_tests::watch();
    let (server, client) = settings();
    let (near, far) = tcp().await;
    let name = "localhost".try_into().unwrap();
    let (near, far) =
        tokio::join!(NetStream::connect_tls(near, &client, name), NetStream::accept_tls(far, &server));
    (near.unwrap(), far.unwrap())
}

fn open<R: Role, S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(role: R, stream: S) -> WebSocket<R, S> {
    WebSocket::from_handshake(role, stream, Vec::new(), Negotiated::default(), &Config::default())
}

#[tokio::test]
async fn an_end_without_close_notify_is_told_apart_from_an_end() {
    for cuts in [true, false] {
        let (near, far) = tls().await;
        let mut ws = open(Client::new(OsEntropy), near);
        if cuts {
            // The TCP stream ends, the TLS stream does not.
            end_tcp(&far);
        } else {
            let mut far = far;
            far.shutdown().await.unwrap();
        }
        match ws.read().await {
            Err(Error::Io(error)) => assert!(cuts && error.kind() == ErrorKind::UnexpectedEof, "{error:?}"),
            Err(Error::Unclean(_)) => assert!(!cuts),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn after_the_closing_handshake_a_missing_close_notify_does_not_matter() {
    let (near, mut far) = tls().await;
    let mut client = open(Client::new(OsEntropy), near);
    let closing = tokio::spawn(async move { client.close(CloseCode::NORMAL, "").await });
    let mut close = [0; 8];
    far.read_exact(&mut close).await.unwrap();
    far.write_all(&[FIN | CLOSE, 2, 0x03, 0xE8]).await.unwrap();
    far.flush().await.unwrap();
    end_tcp(&far);
    assert!(closing.await.unwrap().unwrap().clean);
}

/// Ends the TCP stream, and not the TLS stream that it carries.
fn end_tcp(stream: &NetStream) {
    SockRef::from(stream.tcp().unwrap()).shutdown(Shutdown::Write).unwrap();
}

/// A TLS stream that changes its keys with one of so many writes.
struct Rekeying {
    stream: TlsStream<TcpStream>,
    writes: u32,
}

impl AsyncRead for Rekeying {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Rekeying {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes += 1;
        if self.writes % 50 == 0 {
            match &mut self.stream {
                TlsStream::Client(stream) => stream.get_mut().1.refresh_traffic_keys().unwrap(),
                TlsStream::Server(stream) => stream.get_mut().1.refresh_traffic_keys().unwrap(),
            }
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Returns two ends of a TLS stream that change their keys again and again.
async fn rekeying() -> (Rekeying, Rekeying) {
    ws_tests::watch();
    let (server, client) = settings();
    let (near, far) = tcp().await;
    let (connector, acceptor) = (TlsConnector::from(client.config().unwrap()), TlsAcceptor::from(server.config()));
    let name = "localhost".try_into().unwrap();
    let (near, far) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    (
        Rekeying { stream: near.unwrap().into(), writes: 0 },
        Rekeying { stream: far.unwrap().into(), writes: 0 },
    )
}

/// Returns for how long both directions are saturated: 2 s, or as many as `SATURATED_S` says.
fn saturated() -> Duration {
    let seconds = std::env::var("SATURATED_S").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// Sends numbered messages and Pings as fast as they go; returns how many messages were sent.
async fn flood<R: Role>(mut writer: Writer<R, Rekeying>, until: Instant) -> u32 {
    let mut payload = noise(16 << 10);
    let mut number = 0_u32;
    while Instant::now() < until {
        payload[..4].copy_from_slice(&number.to_be_bytes());
        let len = if number % 2 == 0 { payload.len() } else { 20 };
        writer.send(&payload[..len]).await.unwrap();
        number += 1;
        if number % 100 == 0 {
            writer.ping(b"still there").await.unwrap();
        }
    }
    writer.send_close(CloseCode::NORMAL, "").await.unwrap();
    number
}

/// Reads messages, with a deadline that passes again and again; returns how many came, in order.
async fn drain<R: Role>(mut reader: Reader<R, Rekeying>) -> u32 {
    let mut number = 0_u32;
    loop {
        match timeout(Duration::from_millis(50), reader.read()).await {
            Err(_) => {}
            Ok(Ok(Some(message))) => {
                assert_eq!(message.as_bytes()[..4], number.to_be_bytes());
                number += 1;
            }
            Ok(Ok(None)) => return number,
            Ok(Err(error)) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_directions_are_saturated_while_keys_change() {
    let (near, far) = rekeying().await;
    let (client, server) = (open(Client::new(OsEntropy), near).split(), open(Server, far).split());
    let until = Instant::now() + saturated();
    let tasks = (
        tokio::spawn(flood(client.1, until)),
        tokio::spawn(drain(server.0)),
        tokio::spawn(flood(server.1, until)),
        tokio::spawn(drain(client.0)),
    );
    let (to_server, at_server) = (tasks.0.await.unwrap(), tasks.1.await.unwrap());
    let (to_client, at_client) = (tasks.2.await.unwrap(), tasks.3.await.unwrap());
    assert_eq!((to_server, to_client), (at_server, at_client));
    assert!(to_server > 100 && to_client > 100, "{to_server} and {to_client} messages");
}
