//! A room on one thread of tokio, whose members all get what each of them says: `room NAME`.
//!
//! A task for each member waits for what the member says and for what the room has. Each library shares a message as well as it
//! can: ws-tokio encodes it once, the others share its payload.

use std::{io, process::ExitCode, sync::Arc};

use axum::extract::ws::{self, WebSocketUpgrade};
use futures::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast::{Receiver, Sender},
};
use tokio_tungstenite::tungstenite;
use ws_tokio::{Message, Prepared};

/// How many messages a member may be late.
const LATE: usize = 64;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let name = std::env::args().nth(1).unwrap_or_default();
        if ["axum", "tokio-tungstenite", "ws-tokio"].contains(&&*name) {
            println!("listening on ws://{address}/");
        }
        match &*name {
            "axum" => serve_axum(listener).await?,
            "tokio-tungstenite" => serve(listener, tokio_tungstenite_member).await?,
            "ws-tokio" => serve(listener, ws_tokio_member).await?,
            _ => {
                eprintln!("usage: room axum|tokio-tungstenite|ws-tokio");
                return Ok(ExitCode::from(2));
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Whatever goes wrong ends a connection, which the load notices.
async fn serve<M, F>(
    listener: TcpListener,
    member: impl Fn(TcpStream, Sender<M>, Receiver<M>) -> F,
) -> io::Result<()>
where
    M: Clone,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let room = Sender::new(LATE);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(member(stream, room.clone(), room.subscribe()));
    }
}

type Shared = Arc<Prepared<Vec<u8>>>;

async fn ws_tokio_member(stream: TcpStream, room: Sender<Shared>, mut messages: Receiver<Shared>) -> Result<()> {
    let mut ws = ws_tokio::accept(stream).await?;
    loop {
        tokio::select! {
            received = ws.read() => match received? {
                Some(received) => drop(room.send(prepare(received.message)?)),
                None => return Ok(()),
            },
            message = messages.recv() => ws.send_prepared(&*message?).await?,
        }
    }
}

fn prepare(message: Message<'_>) -> Result<Shared> {
    Ok(Arc::new(Prepared::new(message.kind(), message.as_bytes().to_vec())?))
}

async fn tokio_tungstenite_member(
    stream: TcpStream,
    room: Sender<tungstenite::Message>,
    mut messages: Receiver<tungstenite::Message>,
) -> Result<()> {
    let mut ws = tokio_tungstenite::accept_async(stream).await?;
    loop {
        tokio::select! {
            received = ws.next() => match received.transpose()? {
                Some(message) if message.is_text() || message.is_binary() => drop(room.send(message)),
                Some(_) => {}
                None => return Ok(()),
            },
            message = messages.recv() => ws.send(message?).await?,
        }
    }
}

async fn serve_axum(listener: TcpListener) -> io::Result<()> {
    let room = Sender::new(LATE);
    let route = axum::routing::get(move |upgrade: WebSocketUpgrade| {
        let (room, messages) = (room.clone(), room.subscribe());
        async { upgrade.on_upgrade(|socket| async { drop(axum_member(socket, room, messages).await) }) }
    });
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, axum::Router::new().route("/chat", route)).await
}

async fn axum_member(
    mut socket: ws::WebSocket,
    room: Sender<ws::Message>,
    mut messages: Receiver<ws::Message>,
) -> Result<()> {
    loop {
        tokio::select! {
            received = socket.recv() => match received.transpose()? {
                Some(message @ (ws::Message::Text(_) | ws::Message::Binary(_))) => drop(room.send(message)),
                Some(_) => {}
                None => return Ok(()),
            },
            message = messages.recv() => socket.send(message?).await?,
        }
    }
}
