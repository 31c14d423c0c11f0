//! Two tasks on one connection: a client on `tokio` that sends the lines of its input while it prints what comes.
//!
//! ```sh
//! cargo run -p ws-hosts --example tokio_client 127.0.0.1:9001 /
//! ```

use std::error::Error;

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
};
use ws_hosts::tokio_opening::connect;
use ws_proto::{CloseCode, Config, Message, client::Request};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next().unwrap_or_else(|| "127.0.0.1:9001".into());
    let resource = arguments.next().unwrap_or_else(|| "/".into());
    let stream = TcpStream::connect(&host).await?;
    stream.set_nodelay(true)?;
    let (reader, writer) = connect(stream, &Config::default(), Request::new(&host, &resource)).await?;
    let printing = tokio::spawn(reader.read_to_end(|message| match message {
        Message::Text(text) => println!("{text}"),
        Message::Binary(bytes) => println!("{} bytes", bytes.len()),
    }));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        writer.send(Message::Text(&line)).await?;
    }
    writer.close(CloseCode::NORMAL, "")?;
    Ok(printing.await??)
}
