//! A stream of HTTP/2 as a stream of `tokio`.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use ws_hosts::tokio_websocket::{Reader, Writer, split};
use ws_proto::{Config, Endpoint, Negotiated, Output, Role};

/// Both directions of a stream of HTTP/2.
pub(crate) struct Tunnel {
    sender: SendStream<Bytes>,
    receiver: RecvStream,
    unread: Bytes,
}

pub(crate) type Halves<R> = (Reader<R, Tunnel>, Writer<R, Tunnel>);

impl Tunnel {
    /// The WebSocket that has been negotiated for a stream.
    pub(crate) fn open<R: Role>(
        sender: SendStream<Bytes>,
        receiver: RecvStream,
        role: R,
        negotiated: Negotiated,
    ) -> Halves<R> {
        let endpoint = Endpoint::new(role, &Config::default(), negotiated, ws_proto::Instant::ZERO);
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

/// All fields but those that HTTP/2 begins with a colon.
pub(crate) fn fields(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}
