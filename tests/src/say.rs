use ws_proto::{CloseCode, Message, MessageKind, Part, SendError, endpoint::Trace, role::Role};

use crate::Host;

/// An order of an application to its endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// Part of a message, as one frame.
    Part(MessageKind, Part, Vec<u8>),
    /// A Ping.
    Ping(Vec<u8>),
    /// An unsolicited Pong.
    Pong(Vec<u8>),
    /// A Close. `None`: without code and reason.
    Close(Option<u16>, &'static str),
}

/// An event that an endpoint reports to its application.
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
    /// A Close. Without a code it has 1005.
    Close(u16, String),
}

impl Told {
    /// Creates the event of a whole message.
    ///
    /// # Panics
    ///
    /// A text is not UTF-8, so the endpoint under test has a defect.
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
    /// Creates the order to send a whole text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Part(MessageKind::Text, Part::Whole, text.into())
    }

    /// Creates the order to send a whole binary message.
    #[must_use]
    pub fn binary(payload: &[u8]) -> Self {
        Self::Part(MessageKind::Binary, Part::Whole, payload.into())
    }

    /// Makes `host` send this. The frame is appended to its output.
    ///
    /// # Errors
    ///
    /// The endpoint refuses the order.
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

/// Returns the events of an endpoint that receives all of `said`.
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
