//! Messages that are taken out of a connection's storage, without a copy.

use bytes::BytesMut;

use super::{
    Connection,
    memory::{Holder, Memory},
    next::{Next, to_next},
    opening::{Opens, Phase},
};
use crate::{config::Config, message::OwnedMessage};

impl Memory<BytesMut> {
    /// Creates memory from which messages can be [taken out](Connection::next_owned) without a copy, with the deadlines for
    /// output of `config`.
    #[must_use]
    pub fn with_bytes(config: &Config) -> Self {
        Self::empty(config)
    }
}

impl<'a, R: Opens> Connection<'a, R, BytesMut> {
    /// Like [`next`](Self::next), for messages that outlive the next read: each owns its payload, which is not copied unless it
    /// was compressed; see
    /// [`MessageBuffer::take_message`](super::MessageBuffer::take_message).
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use ws_proto::{Config, Connection, Instant, Next, Server};
    /// use ws_proto::connection::Memory;
    /// use ws_proto::message::OwnedMessage;
    /// use ws_proto::server::OriginPolicy;
    ///
    /// fn accept(config: &Config, now: Instant) -> Connection<'static, Server, BytesMut> {
    ///     let memory = Box::new(Memory::with_bytes(config));
    ///     Connection::accept_in(Some(memory), config, OriginPolicy::SameHost, now)
    /// }
    ///
    /// /// Takes what a read has brought.
    /// fn take(connection: &mut Connection<'_, Server, BytesMut>, inbox: &mut Vec<OwnedMessage>) {
    ///     while let Some(next) = connection.next_owned() {
    ///         if let Next::Data(message, _reply) = next {
    ///             inbox.push(message);
    ///         }
    ///     }
    /// }
    /// # let mut connection = accept(&Config::default(), Instant::ZERO);
    /// # take(&mut connection, &mut Vec::new());
    /// ```
    pub fn next_owned(&mut self) -> Option<Next<'_, 'a, R, OwnedMessage, BytesMut>> {
        if !matches!(self.phase, Phase::Open(_)) {
            return self.next_opening();
        }
        let memory = self.memory.get();
        let Phase::Open(endpoint) = &mut self.phase else { return None };
        let found = memory.incoming.next(endpoint, memory.now).map(|event| event.map(|event| event.map(drop)));
        let incoming = &mut memory.incoming;
        let found = found.map(|event| event.and_then(|event| event.fetch(|| incoming.take_message())));
        to_next(found, endpoint, &mut memory.sending, &mut memory.ending)
    }
}
