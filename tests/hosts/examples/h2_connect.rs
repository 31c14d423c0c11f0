//! WebSockets over HTTP/2 (RFC 8441): many of them on one connection, as server and as client, on `h2`.
//!
//! An extended CONNECT makes a stream of HTTP/2 a tunnel, and a tunnel is one more stream of `tokio`: its end is
//! END_STREAM, its failure RST_STREAM, and its windows are its back pressure. What runs on it is the same
//! endpoint, without a key and without an upgrade. `tests/hosts/h2` runs both roles against Node's HTTP/2.
//!
//! ```sh
//! cargo run -p ws-hosts --example h2_connect serve 127.0.0.1:9001
//! cargo run -p ws-hosts --example h2_connect connect 127.0.0.1:9001/chat
//! ```

use std::{
    error::Error,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    RecvStream, SendStream, client,
    ext::Protocol,
    server::{self, SendResponse},
};
use http::{Method, Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use ws_hosts::{
    tokio_opening::OsEntropy,
    tokio_websocket::{Reader, Writer, split},
};
use ws_proto::{
    Client, CloseCode, Config, Endpoint, Message, Negotiated, Output, Role, Server,
    server::{OriginPolicy, negotiate_extended_connect},
};

type AnyError = Box<dyn Error + Send + Sync>;
type Halves<R> = (Reader<R, Tunnel>, Writer<R, Tunnel>);

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => serve(address).await,
        ["connect", url] => connect(url).await,
        _ => Err("usage: h2_connect serve ADDR | connect ADDR[/PATH]".into()),
    }
}

/// Both directions of a stream of HTTP/2.
struct Tunnel {
    sender: SendStream<Bytes>,
    receiver: RecvStream,
    unread: Bytes,
}

impl Tunnel {
    fn open<R: Role>(sender: SendStream<Bytes>, receiver: RecvStream, role: R) -> Halves<R> {
        let endpoint = Endpoint::new(role, &Config::default(), Negotiated::default(), ws_proto::Instant::ZERO);
        let tunnel = Self { sender, receiver, unread: Bytes::new() };
        split(tunnel, endpoint, Output::new(), Vec::new(), Instant::now())
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(self.receiver.poll_data(cx)) {
                Some(data) => self.unread = data.map_err(io::Error::other)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let len = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread.split_to(len));
        // Only what has been taken makes room for more.
        Poll::Ready(self.receiver.flow_control().release_capacity(len).map_err(io::Error::other))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.sender.reserve_capacity(bytes.len());
        if self.sender.capacity() == 0 {
            match ready!(self.sender.poll_capacity(cx)) {
                Some(assigned) => drop(assigned.map_err(io::Error::other)?),
                None => {
                    let reason = ready!(self.sender.poll_reset(cx)).map_err(io::Error::other)?;
                    return Poll::Ready(Err(io::Error::other(h2::Error::from(reason))));
                }
            }
        }
        let len = self.sender.capacity().min(bytes.len());
        let sent = self.sender.send_data(Bytes::copy_from_slice(&bytes[..len]), false);
        Poll::Ready(sent.map(|()| len).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.sender.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}

/// Echoes on every stream of every connection.
async fn serve(address: &str) -> Result<(), AnyError> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut connection = server::Builder::new().enable_connect_protocol().handshake(stream).await?;
            while let Some((request, respond)) = connection.accept().await.transpose()? {
                tokio::spawn(async move {
                    let path = request.uri().path().to_owned();
                    match echo(request, respond).await {
                        Ok(()) => println!("{path}: closed"),
                        Err(error) => println!("{path}: {error}"),
                    }
                });
            }
            Ok::<_, h2::Error>(())
        });
    }
}

async fn echo(request: Request<RecvStream>, respond: SendResponse<Bytes>) -> Result<(), AnyError> {
    let (mut reader, writer) = accept(request, respond)?;
    while let Some(message) = reader.read().await? {
        // Refused once the connection is closing: then nobody waits for an echo.
        let _ = writer.queue(message);
    }
    Ok(())
}

fn accept(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<Halves<Server>, AnyError> {
    let (head, receiver) = request.into_parts();
    let fields = || head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let authority = head.uri.authority().map_or("", |authority| authority.as_str());
    let offer = match head.extensions.get::<Protocol>().map(Protocol::as_str) {
        Some("websocket") => negotiate_extended_connect(authority, fields, OriginPolicy::SameHost)
            .map_err(|error| (error.status(), error.into())),
        _ => Err((501, AnyError::from("neither a WebSocket nor anything else that is served"))),
    };
    match offer {
        Ok(offer) => {
            let subprotocol = offer.select(&["echo"]).map(|name| ("sec-websocket-protocol", name.as_str()));
            let response = subprotocol
                .into_iter()
                .fold(Response::builder(), |response, (name, value)| response.header(name, value));
            Ok(Tunnel::open(respond.send_response(response.body(())?, false)?, receiver, Server))
        }
        Err((status, error)) => {
            respond.send_response(Response::builder().status(status).body(())?, true)?;
            Err(error)
        }
    }
}

async fn connect(url: &str) -> Result<(), AnyError> {
    let address = url.split('/').next().unwrap_or(url);
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (client, connection) = client::handshake(stream).await?;
    let connection = tokio::spawn(connection);
    let visited = visit(&client, url).await;
    // A connection that nobody uses writes what is left, and ends.
    drop(client);
    connection.await??;
    visited
}

/// Several WebSockets on one connection, one of them given up; then another one.
async fn visit(client: &client::SendRequest<Bytes>, url: &str) -> Result<(), AnyError> {
    // The server's first SETTINGS tell whether it knows RFC 8441.
    timeout(Duration::from_secs(5), async {
        while !client.is_extended_connect_protocol_enabled() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .map_err(|_| "the server does not know RFC 8441")?;
    tokio::try_join!(exchange(client, url), exchange(client, url), async {
        let (_, writer) = open(client, url).await?;
        // Both halves are dropped: the stream is reset.
        Ok(writer.send(Message::Text("in vain")).await?)
    })?;
    exchange(client, url).await
}

async fn exchange(client: &client::SendRequest<Bytes>, url: &str) -> Result<(), AnyError> {
    let (mut reader, writer) = open(client, url).await?;
    let big: Vec<_> = (0..=250).cycle().take(1 << 20).collect();
    for message in [Message::Text("Grüße"), Message::Binary(&big), Message::Binary(&[]), Message::Text("bye")] {
        writer.send(message).await?;
        let echo = reader.read().await?.ok_or("closed too early")?;
        println!("{} bytes have come back", echo.as_bytes().len());
        if echo != message {
            return Err("not what was sent".into());
        }
    }
    writer.close(CloseCode::NORMAL, "")?;
    while reader.read().await?.is_some() {}
    println!("closed");
    Ok(())
}

async fn open(client: &client::SendRequest<Bytes>, url: &str) -> Result<Halves<Client<OsEntropy>>, AnyError> {
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{url}"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13");
    let (response, sender) = client.clone().ready().await?.send_request(request.body(())?, false)?;
    let response = response.await?;
    if !response.status().is_success() {
        return Err(format!("refused with status {}", response.status()).into());
    }
    // None has been offered.
    if ["sec-websocket-protocol", "sec-websocket-extensions"]
        .iter()
        .any(|name| response.headers().contains_key(*name))
    {
        return Err("the server has chosen what was not offered".into());
    }
    Ok(Tunnel::open(sender, response.into_body(), Client::new(OsEntropy)))
}
