//! Echo servers of async peers, all on one thread of tokio, a task for each connection: `echo_peers NAME`.
//!
//! Those that are streams and sinks are driven at their best: whatever has arrived is answered before anything is flushed.

use std::{io, process::ExitCode};

use fastwebsockets::{FragmentCollector, Frame, OpCode, Role};
use futures::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::net::{TcpListener, TcpStream};

fn main() -> io::Result<ExitCode> {
    let Some(peer) = std::env::args().nth(1).and_then(|name| Peer::from_name(&name)) else {
        eprintln!("usage: echo_peers fastwebsockets|sockudo-ws|tokio-tungstenite|tokio-websockets|yawc");
        return Ok(ExitCode::from(2));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(peer))?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Clone, Copy)]
enum Peer {
    Fastwebsockets,
    Sockudo,
    TokioTungstenite,
    TokioWebsockets,
    Yawc,
}

impl Peer {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "fastwebsockets" => Self::Fastwebsockets,
            "sockudo-ws" => Self::Sockudo,
            "tokio-tungstenite" => Self::TokioTungstenite,
            "tokio-websockets" => Self::TokioWebsockets,
            "yawc" => Self::Yawc,
            _ => return None,
        })
    }
}

async fn serve(peer: Peer) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(echo(peer, stream));
    }
}

/// Whatever goes wrong ends the connection, which the load notices.
async fn echo(peer: Peer, mut stream: TcpStream) {
    match peer {
        Peer::Fastwebsockets => {
            // It leaves the opening handshake to an HTTP server.
            if sockudo_ws::handshake::server_handshake(&mut stream).await.is_ok() {
                echo_fastwebsockets(stream).await;
            }
        }
        Peer::Sockudo => {
            if sockudo_ws::handshake::server_handshake(&mut stream).await.is_ok() {
                let stream = sockudo_ws::WebSocketStream::server(stream, sockudo_ws::Config::default());
                echo_all(stream, |message| message.is_text() || message.is_binary()).await;
            }
        }
        Peer::TokioTungstenite => {
            if let Ok(stream) = tokio_tungstenite::accept_async(stream).await {
                echo_all(stream, |message| message.is_text() || message.is_binary()).await;
            }
        }
        Peer::TokioWebsockets => {
            if let Ok((_, stream)) = tokio_websockets::ServerBuilder::new().accept(stream).await {
                echo_all(stream, |message| message.is_text() || message.is_binary()).await;
            }
        }
        Peer::Yawc => {
            let options = yawc::Options::default().without_compression().with_utf8();
            if sockudo_ws::handshake::server_handshake(&mut stream).await.is_ok()
                && let Ok(socket) = yawc::WebSocket::from_stream(stream, yawc::Role::Server, options)
            {
                let is_data = |frame: &yawc::frame::Frame| {
                    matches!(frame.opcode(), yawc::frame::OpCode::Text | yawc::frame::OpCode::Binary)
                };
                echo_all(socket.map(Ok::<_, yawc::WebSocketError>), is_data).await;
            }
        }
    }
}

async fn echo_all<S, M, E>(mut stream: S, is_data: impl Fn(&M) -> bool)
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    while let Some(Ok(message)) = stream.next().await {
        let mut next = Some(message);
        while let Some(message) = next {
            if is_data(&message) && stream.feed(message).await.is_err() {
                return;
            }
            next = stream.next().now_or_never().flatten().and_then(Result::ok);
        }
        if stream.flush().await.is_err() {
            return;
        }
    }
}

/// It has no way to put off the write.
async fn echo_fastwebsockets(stream: TcpStream) {
    let mut socket = FragmentCollector::new(fastwebsockets::WebSocket::after_handshake(stream, Role::Server));
    while let Ok(frame) = socket.read_frame().await {
        let answer = match frame.opcode {
            OpCode::Text => Frame::text(frame.payload),
            OpCode::Binary => Frame::binary(frame.payload),
            _ => continue,
        };
        if socket.write_frame(answer).await.is_err() {
            return;
        }
    }
}
