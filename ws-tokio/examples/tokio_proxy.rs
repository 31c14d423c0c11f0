//! Passes connections on to another server: parts as soon as they have come, and the codes and reasons of both sides' Close.
//!
//! ```sh
//! cargo run --release --example tokio_proxy ws://127.0.0.1:9001/ 127.0.0.1:9000
//! ```

use anyhow::Context;
use clap::Parser;
use ws_tokio::{
    Acceptor, Answer, CloseCode, CloseReply, Config, Connector, Control, Error, Event, Exchange, HandlerResult,
    Reader, Server, Writer, deflate::Settings, proto::server::OriginPolicy, role::Role,
};

mod program;

/// Accepts connections on ws://ADDR/ and passes each on to a connection of its own to URL, with the subprotocols that the
/// client offers and its Origin. Messages are not held: their parts go on as soon as they have come, and a side that takes
/// none keeps the other one from sending. Pings and compression are each side's own. 502 if the server can't be reached or
/// opens no connection. Ctrl-C closes all connections and exits after 10 seconds at most; a second Ctrl-C exits at once.
#[derive(Parser)]
struct Arguments {
    url: String,
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:9000")]
    address: String,
    /// Compress messages on both sides: small (default), balanced, best
    #[arg(short, long, value_name = "PROFILE", value_parser = program::profile)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "small")]
    deflate: Option<Settings>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { url, address, deflate } = Arguments::parse();
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    // The server judges the origin.
    let mut acceptor = Acceptor::new().config(config()).origin(OriginPolicy::AllowAny);
    if let Some(settings) = deflate {
        acceptor = acceptor.deflate(settings);
    }
    let server = Server::bind(&address).await.with_context(|| format!("can't listen on {address}"))?;
    let server = server.acceptor(acceptor);
    tokio::spawn(program::stop_at_ctrl_c(server.handle()));
    println!("listening on ws://{}/", server.local_addr()?);
    let url: &'static str = url.leak();
    Ok(server.run(move |exchange| serve(exchange, url, deflate)).await?)
}

/// The settings of both sides: parts take no memory however long their message is, and a Close is answered by the other side.
fn config() -> Config {
    let mut config = Config::default();
    config.max_message_len = u64::MAX;
    config.close_reply = CloseReply::ByHost;
    config
}

async fn serve(exchange: Exchange, url: &str, deflate: Option<Settings>) -> HandlerResult {
    let origin = exchange.origin().map(str::to_owned);
    let offered: Vec<_> = exchange.subprotocols().map(str::to_owned).collect();
    let offered: Vec<_> = offered.iter().map(String::as_str).collect();
    let mut connector = Connector::new().config(config()).subprotocols(&offered);
    if let Some(origin) = &origin {
        connector = connector.origin(origin);
    }
    if let Some(settings) = deflate {
        connector = connector.deflate(settings);
    }
    let server = match connector.connect(url).await {
        Ok(server) => server,
        Err(error) => {
            exchange.refuse(502).await?;
            return Err(error.into());
        }
    };
    let chosen = exchange.select(server.subprotocol().as_slice());
    let client = exchange.accept_with(Answer::accept().subprotocol(chosen)).await?;
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let (up, down) = tokio::join!(
        forward(from_client, to_server, CloseCode::GOING_AWAY),
        forward(from_server, to_client, CloseCode::BAD_GATEWAY)
    );
    Ok(up.and(down)?)
}

/// Passes on all that comes from one side. If that side fails, the other one gets a Close with the code `failure`.
async fn forward<A: Role, B: Role>(
    mut from: Reader<A>,
    mut to: Writer<B>,
    failure: CloseCode,
) -> Result<(), Error> {
    loop {
        match from.read_part_event().await {
            Ok(Some(Event::Data(data))) => match to.send_part(data.kind(), data.part(), data.as_bytes()).await {
                // A side that is closing takes no more: what still comes for it is dropped, up to the Close.
                Ok(()) | Err(Error::Send(_)) => {}
                // The task that reads from that side sees its end, and closes this one.
                Err(_) => to.abort(),
            },
            Ok(Some(Event::Control(Control::Close))) => {
                let (code, reason) = from.close_frame().unwrap_or((CloseCode::NO_STATUS, String::new()));
                // The first Close of the two sides, or the answer to it.
                let _ = to.send_close(code, &reason).await;
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(error) => {
                let _ = to.send_close(failure, "").await;
                return Err(error);
            }
        }
    }
}
