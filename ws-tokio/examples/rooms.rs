//! A chat with rooms: each message goes to all members of the room that the path of the URL names.
//!
//! ```sh
//! cargo run --release --example rooms 127.0.0.1:9001
//! ```
//!
//! Each message is encoded once, whatever the number of members. The messages of a room wait in one queue, and
//! a member whose place in it has been overwritten is dropped, as is one that takes nothing for 10 s. Neither delays the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::broadcast::{self, Receiver, Sender};
use ws_tokio::{
    Acceptor, Config, Error, Exchange, HandlerResult, Page, Prepared, Reader, Server, Writer, role::Server as Role,
};

mod program;

/// The most messages that wait for the slowest member of a room, each of at most `LONGEST` bytes.
const MOST_WAITING: usize = 64;
const LONGEST: u64 = 4_096;

type Room = Sender<Arc<Prepared<Vec<u8>>>>;
type Rooms = Mutex<HashMap<String, Weak<Room>>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut config = Config::default();
    config.max_message_len = LONGEST;
    let acceptor = Acceptor::new().config(config).write_timeout(Some(Duration::from_secs(10)));
    let server = Server::bind(&address).await?.acceptor(acceptor);
    println!("listening on ws://{}/ROOM", server.local_addr()?);
    tokio::spawn(program::stop_at_ctrl_c(server.handle()));
    let rooms = Arc::<Rooms>::default();
    Ok(server.run(move |exchange| serve(rooms.clone(), exchange)).await?)
}

async fn serve(rooms: Arc<Rooms>, exchange: Exchange) -> HandlerResult {
    if !exchange.is_upgrade() {
        return Ok(exchange
            .page(&Page::html("Connect with a WebSocket client; the path of the URL is the room."))
            .await?);
    }
    let room = enter(&rooms, exchange.path());
    let messages = room.subscribe();
    let (reader, writer) = exchange.accept().await?.split();
    // The end of either half is the end of the member.
    tokio::select! {
        result = publish(reader, &room) => result,
        result = deliver(writer, messages) => result,
    }
}

/// Returns the room of this name, which exists as long as it has members.
fn enter(rooms: &Rooms, name: &str) -> Arc<Room> {
    let mut rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
    rooms.retain(|_, room| room.strong_count() > 0);
    let known = rooms.get(name).and_then(Weak::upgrade);
    known.unwrap_or_else(|| {
        let room = Arc::new(broadcast::channel(MOST_WAITING).0);
        rooms.insert(name.to_owned(), Arc::downgrade(&room));
        room
    })
}

async fn publish(mut reader: Reader<Role>, room: &Room) -> HandlerResult {
    while let Some(message) = reader.read().await? {
        // The member itself is one of those that receive it.
        let _ = room.send(Arc::new(Prepared::new(message.kind(), message.as_bytes().to_vec())?));
    }
    Ok(())
}

/// Writes messages to a member until it is too slow or its stream fails.
async fn deliver(mut writer: Writer<Role>, mut messages: Receiver<Arc<Prepared<Vec<u8>>>>) -> HandlerResult {
    loop {
        // An error means that messages for this member have been overwritten.
        let message = messages.recv().await?;
        let mut written = writer.queue_prepared(&message).await;
        if written.is_ok() && messages.is_empty() {
            written = writer.flush().await;
        }
        // The half that reads completes the end of a connection that is closing.
        if let Err(error @ Error::Io(_)) = written {
            return Err(error.into());
        }
    }
}
