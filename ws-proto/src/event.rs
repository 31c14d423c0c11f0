//! Events of an open connection.

/// The next item received: payload, whose type `P` says who owns it, or a control frame.
///
/// [`Endpoint::receive`](crate::Endpoint::receive) lends parts of messages,
/// [`MessageBuffer::next`](crate::MessageBuffer::next) whole messages. `P` is `()` where another call fetches the
/// payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event<P> {
    /// Payload of a message.
    Data(P),
    /// A control frame (RFC 6455 section 5.5).
    Control(Control),
}

/// The kind of a control frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// A Ping. The Pong is owed; [`Endpoint::control_payload`](crate::Endpoint::control_payload) returns the
    /// payload.
    Ping,
    /// A Pong, solicited or not. [`Endpoint::control_payload`](crate::Endpoint::control_payload) returns the
    /// payload.
    Pong,
    /// The peer's Close, the last event. [`Endpoint::close_frame`](crate::Endpoint::close_frame) returns its code
    /// and reason.
    Close,
}

impl<P> Event<P> {
    /// Returns this event with its payload, if it has one, converted by `f`.
    pub fn map<Q>(self, f: impl FnOnce(P) -> Q) -> Event<Q> {
        match self {
            Self::Data(payload) => Event::Data(f(payload)),
            Self::Control(control) => Event::Control(control),
        }
    }

    /// Returns the control frame, or `None` for payload.
    #[must_use]
    pub const fn control(&self) -> Option<Control> {
        match self {
            Self::Data(_) => None,
            Self::Control(control) => Some(*control),
        }
    }
}

impl Event<()> {
    /// Returns this event with its payload, if it has one, as `fetch` returns that; `None` if `fetch` does.
    pub fn fetch<P>(self, fetch: impl FnOnce() -> Option<P>) -> Option<Event<P>> {
        match self {
            Self::Data(()) => fetch().map(Event::Data),
            Self::Control(control) => Some(Event::Control(control)),
        }
    }
}
