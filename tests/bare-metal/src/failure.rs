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
    use ws_proto::{SendError, handshake::WriteError};

    impl From<WriteError> for Failure {
        fn from(_: WriteError) -> Self {
            Self(c"the opening handshake can't be written")
        }
    }

    impl From<SendError> for Failure {
        fn from(_: SendError) -> Self {
            Self(c"a frame can't be sent")
        }
    }
}
