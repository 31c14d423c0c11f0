//! A task for each connection: an echo server on `tokio`.
//!
//! Reading can be given up at any time, so that it fits into `select!`; replies to what one read has brought go
//! out together with the next one. At Ctrl-C every connection is closed with 1001, and the server ends when all
//! clients have answered, after ten seconds, or at a second Ctrl-C.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example tokio_echo 127.0.0.1:9001
//! ```

use std::{io, pin::pin, time::Duration};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use ws_hosts::{
    tokio_opening::accept,
    tokio_websocket::{Reader, Writer},
};
use ws_proto::{
    CloseCode, Config, Server,
    server::{Accept, OriginPolicy, Request},
};

/// How long clients have to answer when the server stops.
const STOP_TIME: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, stop.clone()))),
                // Out of files, say.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            interrupted = tokio::signal::ctrl_c() => break interrupted?,
        }
    }
    stop.cancel();
    connections.close();
    // One deadline for all, and a second Ctrl-C ends it: what is left is dropped.
    tokio::select! {
        () = connections.wait() => Ok(()),
        () = tokio::time::sleep(STOP_TIME) => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

/// Echoes until the peer closes, or until `stop`.
pub(crate) async fn serve(stream: TcpStream, stop: CancellationToken) -> io::Result<()> {
    // Replies are written together as it is.
    stream.set_nodelay(true)?;
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let answer = |_: &Request<'_>| Ok(Accept::new().any_subprotocol());
    let (mut reader, writer) = accept(stream, &config, OriginPolicy::AllowAny, answer).await?;
    let result = echo(&mut reader, &writer, stop).await;
    reader.drain().await;
    result
}

async fn echo(
    reader: &mut Reader<Server, TcpStream>,
    writer: &Writer<Server, TcpStream>,
    stop: CancellationToken,
) -> io::Result<()> {
    let mut stopped = pin!(stop.cancelled());
    loop {
        tokio::select! {
            message = reader.read() => match message? {
                // Refused once the connection is closing: then nobody waits for an echo.
                Some(message) => drop(writer.queue(message)),
                None => return Ok(()),
            },
            () = &mut stopped => break,
        }
    }
    let _ = writer.close(CloseCode::GOING_AWAY, "the server stops");
    while reader.read().await?.is_some() {}
    Ok(())
}
