//! A client on `hyper`: its HTTP stack writes the request and parses the answer, ws-proto negotiates by fields.

use anyhow::Context;
use hyper::{Request, Version, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::io::{DuplexStream, duplex};
use ws_proto::{
    Client, Entropy,
    client::{self, HttpVersion, Offer},
    handshake::HandshakeError,
};
use ws_tokio::{AcceptError, Acceptor, Answer, CloseCode, Config, Message, OsEntropy, WebSocket};

type Opened = WebSocket<Client<OsEntropy>, TokioIo<hyper::upgrade::Upgraded>>;

const OFFERED: [&str; 2] = ["chat.v2", "chat.v1"];

/// Opens a WebSocket on `stream`, and returns the subprotocol that the server has chosen.
async fn open(stream: DuplexStream) -> anyhow::Result<(Opened, Option<&'static str>)> {
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
    let acceptance = accepted.with_context(|| format!("refused with status {}", response.status()))?;
    let (negotiated, subprotocol) = (acceptance.negotiated(), acceptance.subprotocol());
    let stream = TokioIo::new(hyper::upgrade::on(response).await?);
    let role = Client::new(OsEntropy);
    Ok((WebSocket::from_handshake(role, stream, Vec::new(), negotiated, &Config::default()), subprotocol))
}

/// Serves one connection that is answered like this, and echoes until the end.
async fn serve(stream: DuplexStream, refusal: Option<u16>) -> anyhow::Result<()> {
    let exchange = Acceptor::new().receive(stream).await?;
    let favourite = exchange.subprotocols().next().unwrap_or_default().to_owned();
    let accept = Answer::accept().subprotocol(exchange.select(&[&favourite]));
    let mut ws = exchange.accept_with(refusal.map_or(accept, Answer::refuse)).await?;
    while let Some(mut received) = ws.read().await? {
        received.reply.queue(received.message).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_client_on_hyper_exchanges_messages() {
    let (near, far) = duplex(1_024);
    let server = tokio::spawn(serve(far, None));
    let (mut ws, subprotocol) = open(near).await.unwrap();
    assert_eq!(subprotocol, Some("chat.v2"));
    let long = vec![7; 100_000];
    for message in [Message::Text("Grüße"), Message::Binary(&long), Message::Binary(&[])] {
        ws.send(message).await.unwrap();
        assert_eq!(ws.read().await.unwrap().unwrap().message, message);
    }
    assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_on_hyper_is_told_of_a_refusal() {
    let (near, far) = duplex(1_024);
    let server = tokio::spawn(serve(far, Some(403)));
    let refused = open(near).await.err().unwrap();
    assert_eq!(refused.to_string(), "refused with status 403 Forbidden");
    let refused = server.await.unwrap().unwrap_err();
    assert!(matches!(refused.downcast_ref(), Some(AcceptError::Refused(403))), "{refused:?}");
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
