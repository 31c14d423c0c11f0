//! A stream of HTTP/2 as a stream of `tokio`.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both directions of a stream of HTTP/2.
pub(crate) struct Tunnel {
    sender: SendStream<Bytes>,
    receiver: RecvStream,
    unread: Bytes,
}

impl Tunnel {
    pub(crate) fn new(sender: SendStream<Bytes>, receiver: RecvStream) -> Self {
        Self { sender, receiver, unread: Bytes::new() }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            let Some(data) = ready!(self.receiver.poll_data(cx)) else { return Poll::Ready(Ok(())) };
            self.unread = data.map_err(io::Error::other)?;
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
            let Some(assigned) = ready!(self.sender.poll_capacity(cx)) else {
                let reason = ready!(self.sender.poll_reset(cx)).map_err(io::Error::other)?;
                return Poll::Ready(Err(io::Error::other(h2::Error::from(reason))));
            };
            assigned.map_err(io::Error::other)?;
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
