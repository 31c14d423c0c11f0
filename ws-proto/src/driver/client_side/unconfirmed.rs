//! Messages whose arrival the peer has not confirmed.

use core::mem;
use std::{borrow::ToOwned, collections::VecDeque, string::String, vec::Vec};

use crate::Message;

/// The payload of Pings of an [`Unconfirmed`] begins with these bytes, so that those of others are told apart.
const TAG: [u8; 4] = *b"sent";

/// Messages that were sent and whose arrival the peer has not confirmed yet. If the connection is lost, they are handed back.
///
/// That a message was sent means that the system has taken it: if the server or the network fails, it may never arrive. But a peer
/// answers a Ping after it has read all messages before it (RFC 6455 section 5.5.3), so a Pong confirms them:
///
/// 1. [`push`](Self::push) each message that is sent.
/// 2. Send a Ping with the payload that [`ping`](Self::ping) returns, after each message, or now and then.
/// 3. Give the payload of each Pong to [`pong`](Self::pong).
/// 4. When the connection is lost, [`take`](Self::take) what may not have arrived.
///
/// What is taken may have arrived nevertheless, if only the Pong was lost. Sent again, each message arrives at least once; a number
/// in each lets the server drop those that it has. A proxy that speaks WebSocket itself confirms what *it* has read. That the
/// server's program has acted on a message only an answer of the program says.
///
/// ```
/// use ws_proto::{Message, driver::Unconfirmed};
///
/// let mut unconfirmed = Unconfirmed::new();
/// unconfirmed.push(Message::Text("one"));
/// let ping = unconfirmed.ping();
/// unconfirmed.push(Message::Text("two"));
/// assert_eq!(unconfirmed.pong(&ping), 1);
/// // The connection is lost.
/// let lost = unconfirmed.take();
/// assert_eq!(lost.iter().map(|kept| kept.message()).collect::<Vec<_>>(), [Message::Text("two")]);
/// ```
#[derive(Debug, Default)]
pub struct Unconfirmed {
    messages: VecDeque<KeptMessage>,
    /// The number of all messages that were pushed before the first of `messages`.
    before: u64,
    payload_len: usize,
}

/// A message that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptMessage {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
}

impl KeptMessage {
    /// Returns the message, to be sent again.
    #[must_use]
    pub fn message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }

    /// Returns the length of the payload in bytes.
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

impl Unconfirmed {
    /// The length of a Ping's payload in bytes.
    pub const PING_LEN: usize = 12;

    /// Creates an empty list, which needs no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { messages: VecDeque::new(), before: 0, payload_len: 0 }
    }

    /// Keeps a copy of a message that is sent.
    pub fn push<'m>(&mut self, message: impl Into<Message<'m>>) {
        let kept = match message.into() {
            Message::Text(text) => KeptMessage::Text(text.to_owned()),
            Message::Binary(bytes) => KeptMessage::Binary(bytes.to_owned()),
        };
        self.payload_len += kept.len();
        self.messages.push_back(kept);
    }

    /// Returns the payload of a Ping, whose Pong confirms all messages that have been pushed.
    #[must_use]
    pub fn ping(&self) -> [u8; Self::PING_LEN] {
        let mut payload = [0; Self::PING_LEN];
        let (tag, number) = payload.split_at_mut(TAG.len());
        tag.copy_from_slice(&TAG);
        number.copy_from_slice(&self.pushed().to_be_bytes());
        payload
    }

    /// Returns the number of all messages that were pushed.
    fn pushed(&self) -> u64 {
        self.before.saturating_add(u64::try_from(self.messages.len()).unwrap_or(u64::MAX))
    }

    /// Drops the messages that a Pong with this payload confirms, and returns their number: 0 if it answers no Ping with a payload
    /// of [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> usize {
        let number = payload.strip_prefix(&TAG).and_then(|number| number.try_into().ok()).map(u64::from_be_bytes);
        // A hostile peer may confirm what was not sent.
        let Some(number) = number.filter(|number| *number <= self.pushed()) else {
            return 0;
        };
        let confirmed = usize::try_from(number.saturating_sub(self.before)).unwrap_or(usize::MAX);
        for kept in self.messages.drain(..confirmed.min(self.messages.len())) {
            self.payload_len -= kept.len();
        }
        self.before = self.before.max(number);
        confirmed
    }

    /// Takes all messages that are not confirmed, the oldest first.
    #[must_use]
    pub fn take(&mut self) -> Vec<KeptMessage> {
        self.before = self.pushed();
        self.payload_len = 0;
        mem::take(&mut self.messages).into()
    }

    /// Returns the number of messages that are not confirmed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns whether all messages are confirmed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Returns the length of their payloads in bytes, by which a sender can wait before it sends more.
    #[must_use]
    pub const fn payload_len(&self) -> usize {
        self.payload_len
    }
}

#[cfg(test)]
mod tests {
    use std::{format, vec, vec::Vec};

    use super::*;

    /// Returns a list with texts of these numbers.
    fn with(numbers: core::ops::Range<u64>) -> Unconfirmed {
        let mut unconfirmed = Unconfirmed::new();
        numbers.for_each(|number| unconfirmed.push(&*format!("{number}")));
        unconfirmed
    }

    fn texts(kept: &[KeptMessage]) -> Vec<&str> {
        kept.iter().filter_map(text).collect()
    }

    fn text(kept: &KeptMessage) -> Option<&str> {
        if let KeptMessage::Text(text) = kept { Some(text) } else { None }
    }

    // K-unconfirmed
    #[test]
    fn a_pong_confirms_all_messages_before_its_ping_and_no_other() {
        let mut unconfirmed = with(0..3);
        let first = unconfirmed.ping();
        unconfirmed.push(&b"\xFF"[..]);
        let second = unconfirmed.ping();
        unconfirmed.push("4");
        assert_eq!((unconfirmed.len(), unconfirmed.payload_len()), (5, 5));
        assert_eq!((unconfirmed.pong(&first), unconfirmed.len(), unconfirmed.payload_len()), (3, 2, 2));
        assert_eq!(unconfirmed.pong(&first), 0, "again");
        assert_eq!((unconfirmed.pong(&second), unconfirmed.pong(&first)), (1, 0), "an older one");
        assert_eq!(
            (unconfirmed.pong(&second), unconfirmed.len()),
            (0, 1),
            "one that came before, after an older one"
        );
        assert_eq!(texts(&unconfirmed.take()), ["4"]);
        assert!(unconfirmed.is_empty() && unconfirmed.payload_len() == 0);
    }

    #[test]
    fn messages_are_handed_back_as_they_were_sent() {
        let mut unconfirmed = Unconfirmed::new();
        let sent = [Message::Text("a"), Message::Binary(b"\xFF"), Message::Text("")];
        sent.iter().for_each(|message| unconfirmed.push(*message));
        assert_eq!(unconfirmed.payload_len(), 2);
        let kept = unconfirmed.take();
        assert_eq!(kept.iter().map(KeptMessage::message).collect::<Vec<_>>(), sent);
    }

    // K-unconfirmed
    #[test]
    fn the_pong_to_the_last_ping_is_enough() {
        let mut unconfirmed = with(0..2);
        let _ = unconfirmed.ping();
        unconfirmed.push("2");
        let last = unconfirmed.ping();
        assert_eq!((unconfirmed.pong(&last), unconfirmed.len()), (3, 0));
    }

    // K-unconfirmed
    #[test]
    fn pongs_of_others_and_of_earlier_connections_confirm_nothing() {
        let mut unconfirmed = with(0..2);
        let earlier = unconfirmed.ping();
        assert_eq!(texts(&unconfirmed.take()), ["0", "1"]);
        unconfirmed.push("2");
        let beyond = [&TAG[..], &4_u64.to_be_bytes()].concat();
        let last = [&TAG[..], &u64::MAX.to_be_bytes()].concat();
        let cut = unconfirmed.ping()[..11].to_vec();
        let long = [&unconfirmed.ping()[..], b"x"].concat();
        for payload in [&b""[..], b"sent", &[0; 12], &earlier, &beyond, &last, &cut, &long] {
            assert_eq!((unconfirmed.pong(payload), unconfirmed.len()), (0, 1), "{payload:02x?}");
        }
        assert_eq!(unconfirmed.take(), vec![KeptMessage::Text("2".into())]);
    }
}
