use core::ffi::CStr;

/// Why the run has failed; a text without parameters, because the image does without `core::fmt`.
pub struct Failure(pub &'static CStr);

#[cfg(any(feature = "client", feature = "server"))]
impl Failure {
    pub fn unless(condition: bool, reason: &'static CStr) -> Result<(), Self> {
        if condition { Ok(()) } else { Err(Self(reason)) }
    }
}

#[cfg(any(feature = "client", feature = "server"))]
mod from_protocol {
    use super::Failure;
    use ws_proto::{HandshakeError, ReceiveError, SendError, handshake::WriteError};

    impl From<HandshakeError> for Failure {
        fn from(_: HandshakeError) -> Self {
            Self(c"the opening handshake failed")
        }
    }

    impl From<WriteError> for Failure {
        fn from(_: WriteError) -> Self {
            Self(c"the opening handshake can't be written")
        }
    }

    impl From<ReceiveError> for Failure {
        fn from(error: ReceiveError) -> Self {
            if error.is_peers_fault() {
                return Self(c"the peer broke the protocol, or a message was over the limit");
            }
            Self(c"this side has no room for a message, or was misused")
        }
    }

    impl From<SendError> for Failure {
        fn from(_: SendError) -> Self {
            Self(c"a frame can't be sent")
        }
    }
}
