//! `Stream` and `Sink` of the futures crates, for connections and their halves.

use core::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::{Stream, stream::FusedStream};
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use ws_proto::{
    CloseCode,
    driver::{Error, Result},
    message::OwnedMessage,
    role::Role,
};

use crate::{Reader, WebSocket, Writer, outgoing::Outgoing, shared::Link};

macro_rules! stream {
    ($reading:ident) => {
        /// Messages, each with a payload of its own. It ends after an error, and when both sides have closed.
        impl<R: Role, S: AsyncRead + AsyncWrite + Unpin> Stream for $reading<R, S> {
            type Item = Result<OwnedMessage>;

            fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<OwnedMessage>>> {
                if self.is_terminated() {
                    return Poll::Ready(None);
                }
                self.poll_owned(cx).map(Result::transpose)
            }
        }

        impl<R: Role, S: AsyncRead + AsyncWrite + Unpin> FusedStream for $reading<R, S> {
            fn is_terminated(&self) -> bool {
                self.incoming.is_told()
            }
        }
    };
}

macro_rules! sink {
    ($writing:ident) => {
        /// A sink is ready while less than 64 KiB of output are waiting. Closing it sends a Close with 1000; reading completes the
        /// closing handshake.
        impl<R: Role, S: AsyncRead + AsyncWrite + Unpin> Sink<OwnedMessage> for $writing<R, S> {
            type Error = Error;

            fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                self.outgoing().poll_room(cx)
            }

            fn start_send(mut self: Pin<&mut Self>, message: OwnedMessage) -> Result<()> {
                self.outgoing().start_send(&message)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                self.outgoing().poll_flush(cx)
            }

            fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
                self.outgoing().poll_close(CloseCode::NORMAL, "", cx)
            }
        }
    };
}

stream!(WebSocket);
stream!(Reader);
sink!(WebSocket);
sink!(Writer);

impl<L: Link<Stream: AsyncRead + AsyncWrite + Unpin>> Outgoing<'_, L> {
    fn start_send(&mut self, message: &OwnedMessage) -> Result<()> {
        self.act(|core| core.queue(message.as_message()))
    }
}
