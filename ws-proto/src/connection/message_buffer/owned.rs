//! Messages that are taken out of the storage.

use bytes::BytesMut;

use super::MessageBuffer;
use crate::message::OwnedMessage;

impl MessageBuffer<BytesMut> {
    /// Takes the message that [`next`](Self::next) has returned last out of the storage, without copying its payload. `None` if
    /// there is none, or it has been taken.
    ///
    /// Messages of one read share an allocation. Storage that is used up is replaced by 64 KiB (two allocations), or by what a
    /// longer message needs. It is used again instead if all messages in it have been dropped before the next read.
    ///
    /// A compressed message lies in the inflater, and is copied once.
    pub fn take_message(&mut self) -> Option<OwnedMessage> {
        #[cfg(feature = "deflate")]
        if let Some(message) = self.inflated.message().map(OwnedMessage::from) {
            self.forget_inflated();
            return Some(message);
        }
        self.assembly.take_out()
    }
}
