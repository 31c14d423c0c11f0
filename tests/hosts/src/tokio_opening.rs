//! The opening handshake over any stream of `tokio`, for both sides.

use std::io;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout_at},
};
use ws_proto::{
    Client, Config, Connection, Entropy, EntropyError, Next, Pending, Server,
    client::{Answer, Request},
    connection::Opens,
    server::{self, Accept, OriginPolicy, Reject},
};

use crate::tokio_websocket::{Reader, Writer, since, split};

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
    stream: S,
    config: &Config,
    origin: OriginPolicy<'_>,
    mut answer: impl FnMut(&server::Request<'_>) -> Result<Accept<'s>, u16>,
) -> io::Result<(Reader<Server, S>, Writer<Server, S>)> {
    let epoch = Instant::now();
    let connection = Connection::accept(config, origin, since(epoch));
    open(stream, connection, config, epoch, |next| match next {
        Next::Opening(mut request) => {
            let answered = match answer(&request) {
                Ok(accept) => request.accept(&accept),
                Err(status) => request.reject(&Reject::new(status)),
            };
            // An answer that cannot be sent is a fault of this server.
            answered.or_else(|_| request.reject(&Reject::new(500))).map_err(io::Error::other)
        }
        _ => Ok(()),
    })
    .await
}

/// Opens a connection on `stream`.
///
/// # Errors
///
/// Those of the stream, a request that can't be sent, an answer that does not open the connection.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    config: &Config,
    request: Request<'_>,
) -> io::Result<(Reader<Client<OsEntropy>, S>, Writer<Client<OsEntropy>, S>)> {
    let epoch = Instant::now();
    let connection = Connection::connect(request, OsEntropy, config, since(epoch)).map_err(io::Error::other)?;
    open(stream, connection, config, epoch, |next| match next {
        Next::Opening(Answer::Refused(refusal)) => {
            Err(io::Error::other(format!("refused with status {}", refusal.status())))
        }
        Next::Closed(Err(failure)) => Err(io::Error::other(failure)),
        _ => Ok(()),
    })
    .await
}

/// Reads and writes until the connection is open, or has been refused.
async fn open<R: Opens, S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    mut connection: Connection<'_, R>,
    config: &Config,
    epoch: Instant,
    mut on_next: impl FnMut(Next<'_, '_, R, ws_proto::Message<'_>, Vec<u8>>) -> io::Result<()>,
) -> io::Result<(Reader<R, S>, Writer<R, S>)> {
    // One deadline for all that is read and written.
    let deadline = config.handshake_timeout.map(|timeout| epoch + timeout);
    loop {
        while let Some(Pending::Bytes(bytes)) = connection.pending() {
            let written = by(deadline, stream.write(bytes)).await?;
            connection.written(since(epoch), written);
        }
        if connection.endpoint().is_some() {
            let Some((buffer, outgoing)) = connection.split() else {
                return Err(io::ErrorKind::NotConnected.into());
            };
            return Ok(split(stream, outgoing, buffer, epoch));
        }
        match by(deadline, stream.read(connection.room())).await {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => connection.received(since(epoch), len),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => connection.handle_timeout(since(epoch)),
            Err(error) => return Err(error),
        }
        if let Some(next) = connection.next() {
            on_next(next)?;
        }
    }
}

/// Returns the result of `operation`, or `TimedOut` if the deadline passes first.
async fn by<T>(deadline: Option<Instant>, operation: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, operation).await?,
        None => operation.await,
    }
}
