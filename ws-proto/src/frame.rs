//! Frames on the wire (RFC 6455 section 5.2): header, opcode, reserved bits.

mod decoder;
mod encode;
mod header;
mod opcode;

#[cfg(feature = "alloc")]
pub(crate) use encode::append_frame;
#[cfg(feature = "deflate")]
pub(crate) use encode::compressed;
pub(crate) use encode::{EncodedHeader, encode_frame, encode_frame_uninit, header};
pub(crate) use header::{CommonHeader, Continuation, FrameLen, MAX_CONTROL_LEN};

pub use decoder::Decoder;
pub use encode::Frame;
pub use header::{FrameError, FrameHeader, Rsv};
pub use opcode::Opcode;
