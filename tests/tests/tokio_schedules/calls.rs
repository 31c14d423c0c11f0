//! The calls that connections and their halves have in common.

use core::future::Future;

use futures_util::{SinkExt, StreamExt};
use ws_proto::{Server, endpoint::Prepared};
use ws_tokio::{
    CloseCode, Closed, Control, Event, Message, MessageKind, MessageWriter, OwnedMessage, Part, Reader, Result,
    TrySendError, WebSocket, Writer, role::Client,
};

use crate::pipe::End;

/// The result of a call that reads.
pub(crate) enum Received {
    Message(Vec<u8>),
    Part(Vec<u8>, Part),
    Control(Control),
    End,
}

/// A form of reading.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Read,
    Event,
    Owned,
    Next,
    Part,
    PartEvent,
}

pub(crate) trait Sends {
    fn send(&mut self, message: Message<'_>) -> impl Future<Output = Result<()>>;
    fn queue(&mut self, message: Message<'_>) -> impl Future<Output = Result<()>>;
    fn try_send(&mut self, message: Message<'_>) -> core::result::Result<(), TrySendError>;
    fn send_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> impl Future<Output = Result<()>>;
    fn message_writer(&mut self, kind: MessageKind) -> MessageWriter<'_>;
    fn ping(&mut self, payload: &[u8]) -> impl Future<Output = Result<()>>;
    fn flush(&mut self) -> impl Future<Output = Result<()>>;
    fn send_close(&mut self) -> impl Future<Output = Result<()>>;
    fn close(&mut self) -> impl Future<Output = Result<Closed>>;
    fn sink_send(&mut self, message: OwnedMessage) -> impl Future<Output = Result<()>>;
    fn sink_feed(&mut self, message: OwnedMessage) -> impl Future<Output = Result<()>>;
    fn sink_close(&mut self) -> impl Future<Output = Result<()>>;
    /// Sends a message that is prepared, on the side that can.
    fn send_prepared(&mut self, message: Message<'_>) -> impl Future<Output = Result<()>>;
    fn queue_prepared(&mut self, message: Message<'_>) -> impl Future<Output = Result<()>>;
}

pub(crate) trait Reads {
    fn receive(&mut self, form: Form) -> impl Future<Output = Result<Received>>;
    fn pong(&mut self) -> Vec<u8>;
    fn close(&mut self) -> impl Future<Output = Result<Closed>>;
}

fn prepared(message: Message<'_>) -> Prepared<&[u8]> {
    let kind = if matches!(message, Message::Text(_)) { MessageKind::Text } else { MessageKind::Binary };
    let bytes = match message {
        Message::Text(text) => text.as_bytes(),
        Message::Binary(bytes) => bytes,
    };
    Prepared::new(kind, bytes).unwrap()
}

macro_rules! sends {
    ($type:ty, $this:ident, $message:ident, $send:expr, $queue:expr) => {
        impl Sends for $type {
            async fn send(&mut self, message: Message<'_>) -> Result<()> {
                self.send(message).await
            }
            async fn queue(&mut self, message: Message<'_>) -> Result<()> {
                self.queue(message).await
            }
            fn try_send(&mut self, message: Message<'_>) -> core::result::Result<(), TrySendError> {
                self.try_send(message)
            }
            async fn send_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
                self.send_part(kind, part, payload).await
            }
            fn message_writer(&mut self, kind: MessageKind) -> MessageWriter<'_> {
                self.message_writer(kind)
            }
            async fn ping(&mut self, payload: &[u8]) -> Result<()> {
                self.ping(payload).await
            }
            async fn flush(&mut self) -> Result<()> {
                self.flush().await
            }
            async fn send_close(&mut self) -> Result<()> {
                self.send_close(CloseCode::NORMAL, "").await
            }
            async fn close(&mut self) -> Result<Closed> {
                self.close(CloseCode::NORMAL, "").await
            }
            async fn sink_send(&mut self, message: OwnedMessage) -> Result<()> {
                SinkExt::send(self, message).await
            }
            async fn sink_feed(&mut self, message: OwnedMessage) -> Result<()> {
                SinkExt::feed(self, message).await
            }
            async fn sink_close(&mut self) -> Result<()> {
                SinkExt::close(self).await
            }
            async fn send_prepared(&mut self, $message: Message<'_>) -> Result<()> {
                let $this = self;
                $send.await
            }
            async fn queue_prepared(&mut self, $message: Message<'_>) -> Result<()> {
                let $this = self;
                $queue.await
            }
        }
    };
}

sends!(WebSocket<Client, End>, this, message, this.send(message), this.queue(message));
sends!(Writer<Client, End>, this, message, this.send(message), this.queue(message));
sends!(
    WebSocket<Server, End>,
    this,
    message,
    this.send_prepared(&prepared(message)),
    this.queue_prepared(&prepared(message))
);
sends!(
    Writer<Server, End>,
    this,
    message,
    this.send_prepared(&prepared(message)),
    this.queue_prepared(&prepared(message))
);

fn part(data: Option<ws_proto::message::Data<'_>>) -> Received {
    data.map_or(Received::End, |data| Received::Part(data.as_bytes().to_vec(), data.part()))
}

macro_rules! reads {
    ($name:ident, $message:ident => $bytes:expr, $data:ident => $part:expr) => {
        impl<R: ws_tokio::role::Role> Reads for $name<R, End> {
            async fn receive(&mut self, form: Form) -> Result<Received> {
                let owned = |message: Option<OwnedMessage>| {
                    message.map_or(Received::End, |message| Received::Message(message.as_bytes().to_vec()))
                };
                Ok(match form {
                    Form::Read => match self.read().await? {
                        Some($message) => Received::Message($bytes.as_bytes().to_vec()),
                        None => Received::End,
                    },
                    Form::Event => match self.read_event().await? {
                        Some(Event::Data(message)) => Received::Message(message.as_bytes().to_vec()),
                        Some(Event::Control(control)) => Received::Control(control),
                        None => Received::End,
                    },
                    Form::Owned => owned(self.read_owned().await?),
                    Form::Next => owned(self.next().await.transpose()?),
                    Form::Part => part(self.read_part().await?.map(|$data| $part)),
                    Form::PartEvent => match self.read_part_event().await? {
                        Some(Event::Data(data)) => part(Some(data)),
                        Some(Event::Control(control)) => Received::Control(control),
                        None => Received::End,
                    },
                })
            }
            fn pong(&mut self) -> Vec<u8> {
                self.control_payload().to_vec()
            }
            async fn close(&mut self) -> Result<Closed> {
                self.close(CloseCode::NORMAL, "").await
            }
        }
    };
}

reads!(WebSocket, received => received.message, received => received.data);
reads!(Reader, message => message, data => data);
