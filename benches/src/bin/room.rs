//! A room whose members all get what each of them says, on one thread of tokio or in threads: `room NAME`.
//!
//! A task for each member waits for what the member says and for what the room has. Each library shares a message as well as it
//! can: ws-tokio encodes it once, the others share its payload. In ws-std's room a thread for each member waits for what the member
//! says, encodes it once and writes it to all.

use std::{
    collections::BTreeMap,
    io,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use axum::extract::ws::{self, WebSocketUpgrade};
use futures::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast::{Receiver, Sender},
};
use tokio_tungstenite::tungstenite;
use ws_std::{Writer, role::Server};
use ws_tokio::{Message, Prepared};

/// How many messages a member may be late.
const LATE: usize = 64;
/// The stack of a member's thread, in bytes.
const STACK: usize = 128 * 1024;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let name = std::env::args().nth(1).unwrap_or_default();
        if ["axum", "tokio-tungstenite", "ws-std", "ws-tokio"].contains(&&*name) {
            println!("listening on ws://{address}/");
        }
        match &*name {
            "axum" => serve_axum(listener).await?,
            "tokio-tungstenite" => serve(listener, tokio_tungstenite_member).await?,
            "ws-std" => serve_threads(listener.into_std()?)?,
            "ws-tokio" => serve(listener, ws_tokio_member).await?,
            _ => {
                eprintln!("usage: room axum|tokio-tungstenite|ws-std|ws-tokio");
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

/// Needs no runtime: it blocks.
fn serve_threads(listener: std::net::TcpListener) -> io::Result<()> {
    listener.set_nonblocking(false)?;
    let room = Arc::new(Mutex::new(BTreeMap::new()));
    for (id, stream) in listener.incoming().enumerate() {
        let (stream, room) = (stream?, Arc::clone(&room));
        let member = move || {
            let _ = ws_std_member(stream, id, &room);
            lock(&room).remove(&id);
        };
        thread::Builder::new().stack_size(STACK).spawn(member)?;
    }
    Ok(())
}

type Members = Mutex<BTreeMap<usize, Writer<Server>>>;

fn ws_std_member(stream: std::net::TcpStream, id: usize, room: &Members) -> Result<()> {
    let (mut reader, writer) = ws_std::accept(stream)?.split();
    lock(room).insert(id, writer);
    while let Some(message) = reader.read()? {
        let message = prepare(message)?;
        lock(room).retain(|_, member| member.send_prepared(&message).is_ok());
    }
    Ok(())
}

fn lock(room: &Members) -> MutexGuard<'_, BTreeMap<usize, Writer<Server>>> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
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
