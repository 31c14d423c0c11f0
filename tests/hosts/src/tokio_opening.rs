//! The opening handshake of both roles over any stream of `tokio`.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::Instant,
};
use ws_proto::{
    Client, Config, Entropy, EntropyError, Output, Server,
    client::{Answer, Handshake, Request},
    server::{self, Accept, Opening, OriginPolicy},
};

use crate::tokio_websocket::{Reader, Writer, since, split, until};

/// The operating system's source of randomness.
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(|_| EntropyError)
    }
}

/// Accepts the connection that a client opens on `stream`, if `answer` does; else the first [`Reader::read`]
/// tells the client so, and fails.
///
/// # Errors
///
/// Those of the stream.
pub async fn accept<'s, S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    config: &Config,
    origin: OriginPolicy<'_>,
    mut answer: impl FnMut(&server::Request<'_>) -> Result<Accept<'s>, u16>,
) -> io::Result<(Reader<Server, S>, Writer<Server, S>)> {
    let epoch = Instant::now();
    let mut opening = Opening::new(config, origin, since(epoch));
    // One deadline for all that is read and written.
    let deadline = opening.poll_timeout();
    let mut output = Output::new();
    let mut input = vec![0; 4096];
    loop {
        let len = tokio::select! {
            read = stream.read(&mut input) => match read? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => len,
            },
            () = until(epoch, deadline) => 0,
        };
        let opened = opening.receive(since(epoch), &input[..len], &mut output, &mut answer);
        if let Some((endpoint, received)) = opened {
            let (reader, writer) = split(stream, endpoint, output, received, epoch);
            by(epoch, deadline, writer.flush()).await?;
            return Ok((reader, writer));
        }
    }
}

/// Returns the result of `writing`, or `TimedOut` if the deadline passes first.
async fn by(
    epoch: Instant,
    deadline: Option<ws_proto::Instant>,
    writing: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    tokio::select! {
        written = writing => written,
        () = until(epoch, deadline) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Opens a connection on `stream`.
///
/// # Errors
///
/// Those of the stream, a request that can't be sent, an answer that does not open the connection.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    config: &Config,
    request: Request<'_>,
) -> io::Result<(Reader<Client<OsEntropy>, S>, Writer<Client<OsEntropy>, S>)> {
    let epoch = Instant::now();
    let mut nonce = [0; 16];
    OsEntropy.fill(&mut nonce).map_err(io::Error::other)?;
    let mut handshake = Handshake::new(request, nonce, since(epoch), config).map_err(io::Error::other)?;
    let mut received = Vec::new();
    handshake.write_request_to(&mut received);
    by(epoch, handshake.poll_timeout(), stream.write_all(&received)).await?;
    received.clear();
    let len = loop {
        if let Some(len) = handshake.poll_head(since(epoch), &received).map_err(io::Error::other)? {
            break len;
        }
        tokio::select! {
            read = stream.read_buf(&mut received) => if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            },
            // Then the next look at the head fails.
            () = until(epoch, handshake.poll_timeout()) => {}
        }
    };
    match handshake.answer(&received).map_err(io::Error::other)? {
        Answer::Refused(refusal) => Err(io::Error::other(format!("refused with status {}", refusal.status()))),
        Answer::Open(response) => {
            let endpoint = response.open(Client::new(OsEntropy), config, since(epoch));
            Ok(split(stream, endpoint, Output::new(), received.split_off(len), epoch))
        }
    }
}
