//! tokio-tungstenite's echo server through tokio-rustls, on one thread: `echo_tungstenite_tls --cert FILE --key FILE`.

use std::{error::Error, fs::read};

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use ws_std::ServerTls;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, _, cert, _, key] = &arguments[..] else { return Err("usage: --cert FILE --key FILE".into()) };
    let acceptor = TlsAcceptor::from(ServerTls::new(read(cert)?, read(key)?)?.config());
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on wss://{}/", listener.local_addr()?);
        loop {
            tokio::spawn(echo(listener.accept().await?.0, acceptor.clone()));
        }
    })
}

async fn echo(stream: TcpStream, acceptor: TlsAcceptor) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut ws = tokio_tungstenite::accept_async(acceptor.accept(stream).await?).await?;
    while let Some(message) = ws.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            ws.send(message).await?;
        }
    }
    Ok(())
}
