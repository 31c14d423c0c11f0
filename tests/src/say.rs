use ws_proto::{CloseCode, Message, MessageKind, Part, SendError, endpoint::Trace, role::Role};

use crate::Host;

/// Something that an application tells its endpoint to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// Part of a message, as one frame.
    Part(MessageKind, Part, Vec<u8>),
    /// A Ping.
    Ping(Vec<u8>),
    /// A Pong that nobody asked for.
    Pong(Vec<u8>),
    /// A Close; `None` has neither code nor reason.
    Close(Option<u16>, &'static str),
}

/// Something that an endpoint tells its application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A Ping.
    Ping(Vec<u8>),
    /// A Pong.
    Pong(Vec<u8>),
    /// A Close, with 1005 for one without a code.
    Close(u16, String),
}

impl Told {
    /// The whole message of `kind`.
    ///
    /// # Panics
    ///
    /// A text is not UTF-8: the endpoint under test has let it through.
    #[must_use]
    pub fn message(kind: MessageKind, payload: Vec<u8>) -> Self {
        match kind {
            MessageKind::Text => Self::Text(String::from_utf8(payload).expect("a text that was told is UTF-8")),
            MessageKind::Binary => Self::Binary(payload),
        }
    }
}

impl From<Message<'_>> for Told {
    fn from(message: Message<'_>) -> Self {
        Self::message(message.kind(), message.as_bytes().into())
    }
}

impl Say {
    /// A whole text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Part(MessageKind::Text, Part::Whole, text.into())
    }

    /// A whole binary message.
    #[must_use]
    pub fn binary(payload: &[u8]) -> Self {
        Self::Part(MessageKind::Binary, Part::Whole, payload.into())
    }

    /// Has `host` send this; the bytes are behind its output then.
    ///
    /// # Errors
    ///
    /// The endpoint refuses.
    pub fn by<R: Role, T: Trace>(&self, host: &mut Host<R, T>) -> Result<(), SendError> {
        let mut control = [0; 131];
        let endpoint = &mut host.endpoint;
        let len = match self {
            Self::Part(kind, part, payload) => {
                return endpoint.write_part_to(*kind, *part, payload, &mut host.output);
            }
            Self::Ping(payload) => endpoint.write_ping(payload, &mut control)?,
            Self::Pong(payload) => endpoint.write_pong(payload, &mut control)?,
            Self::Close(code, reason) => {
                let code = code.map_or(CloseCode::NO_STATUS, CloseCode::new);
                endpoint.write_close(host.now, code, reason, &mut control)?
            }
        };
        host.output.extend(&control[..len]);
        Ok(())
    }
}

/// What an endpoint that receives all of `said` tells.
#[must_use]
pub fn told_of(said: &[Say]) -> Vec<Told> {
    let mut told = Vec::new();
    let mut message = Vec::new();
    for say in said {
        match say {
            Say::Part(kind, part, payload) => {
                message.extend(payload);
                if part.is_last() {
                    told.push(Told::message(*kind, std::mem::take(&mut message)));
                }
            }
            Say::Ping(payload) => told.push(Told::Ping(payload.clone())),
            Say::Pong(payload) => told.push(Told::Pong(payload.clone())),
            Say::Close(code, reason) => told.push(Told::Close(code.unwrap_or(1005), (*reason).into())),
        }
    }
    told
}
