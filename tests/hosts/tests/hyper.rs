//! A client on `hyper`: its HTTP stack writes the request and parses the answer, ws-proto negotiates by fields.

use std::error::Error;

use hyper::{Request, Version, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::io::{DuplexStream, duplex};
use ws_hosts::{
    tokio_opening::{OsEntropy, accept},
    tokio_websocket::{Reader, Writer, split_open},
};
use ws_proto::{
    Client, CloseCode, Config, Entropy, Instant, Message,
    client::{self, HttpVersion, Offer},
    handshake::HandshakeError,
    server::{Accept, OriginPolicy},
};

type AnyError = Box<dyn Error + Send + Sync>;
type Stream = TokioIo<hyper::upgrade::Upgraded>;
type Halves = (Reader<Client<OsEntropy>, Stream>, Writer<Client<OsEntropy>, Stream>);

const OFFERED: [&str; 2] = ["chat.v2", "chat.v1"];

/// Opens a WebSocket on `stream`, and returns the subprotocol that the server has chosen.
async fn open(stream: DuplexStream) -> Result<(Halves, Option<&'static str>), AnyError> {
    let mut nonce = [0; 16];
    OsEntropy.fill(&mut nonce)?;
    let offer = Offer::new(client::Request::new("example.com", "/").subprotocols(&OFFERED), nonce)?;
    let (mut http, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::get("/").header(HOST, "example.com");
    let request = offer.fields().fold(request, |request, (name, value)| request.header(name, value.to_string()));
    let response = http.send_request(request.body(String::new())?).await?;

    let version = match response.version() {
        Version::HTTP_10 => HttpVersion::Http10,
        Version::HTTP_11 => HttpVersion::Http11,
        _ => HttpVersion::Other,
    };
    let fields = || response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let accepted = offer.check(version, response.status().as_u16(), fields)?;
    let acceptance = accepted.ok_or_else(|| format!("refused with status {}", response.status()))?;
    let endpoint = acceptance.open(Client::new(OsEntropy), &Config::default(), Instant::ZERO);
    let subprotocol = acceptance.subprotocol();
    let stream = TokioIo::new(hyper::upgrade::on(response).await?);
    let now = tokio::time::Instant::now();
    Ok((split_open(stream, endpoint, now), subprotocol))
}

/// Serves one connection that is answered like this, and echoes until the end.
async fn serve(stream: DuplexStream, answer: Result<Accept<'static>, u16>) -> std::io::Result<()> {
    let config = Config::default();
    let (reader, writer) = accept(stream, &config, OriginPolicy::SameHost, |_| answer).await?;
    reader.read_to_end(|message| writer.queue(message).unwrap_or(())).await
}

#[tokio::test]
async fn a_client_on_hyper_exchanges_messages() {
    let (near, far) = duplex(1_024);
    let server = tokio::spawn(serve(far, Ok(Accept::new().any_subprotocol())));
    let ((mut reader, writer), subprotocol) = open(near).await.unwrap();
    assert_eq!(subprotocol, Some("chat.v2"));
    let long = vec![7; 100_000];
    for message in [Message::Text("Grüße"), Message::Binary(&long), Message::Binary(&[])] {
        let (sent, read) = tokio::join!(writer.send(message), reader.read());
        sent.unwrap();
        assert_eq!(read.unwrap(), Some(message));
    }
    writer.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(reader.read().await.unwrap(), None);
    reader.drain().await;
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_on_hyper_is_told_of_a_refusal() {
    let (near, far) = duplex(1_024);
    let server = tokio::spawn(serve(far, Err(403)));
    let refused = open(near).await.err().unwrap();
    assert_eq!(refused.to_string(), "refused with status 403 Forbidden");
    server.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_client_on_hyper_takes_no_answer_to_another_key() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (near, mut far) = duplex(1_024);
    let server = tokio::spawn(async move {
        far.read_buf(&mut Vec::new()).await.unwrap();
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        far.write_all(answer).await.unwrap();
    });
    let error = open(near).await.err().unwrap();
    assert_eq!(error.downcast_ref(), Some(&HandshakeError::Accept));
    server.await.unwrap();
}
