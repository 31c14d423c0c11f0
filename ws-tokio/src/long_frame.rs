//! A frame whose payload lies in the caller's memory for as long as it is written.

use ws_proto::{driver::MaskedFrame, frame::Frame};

use crate::memory;

/// A frame that the endpoint counts as sent, and of which a part may have been written.
pub(crate) enum LongFrame<'p> {
    /// It is written as it lies there.
    Shared { frame: Frame<'p>, written: usize },
    /// It is masked in pieces, of which the first `written` bytes of the last one are written.
    Masked { frame: MaskedFrame<'p>, piece: Vec<u8>, written: usize },
}

impl<'p> LongFrame<'p> {
    pub(crate) const fn shared(frame: Frame<'p>) -> Self {
        Self::Shared { frame, written: 0 }
    }

    pub(crate) fn masked(frame: MaskedFrame<'p>) -> Self {
        Self::Masked { frame, piece: memory::take_output(), written: 0 }
    }

    /// Returns the number of bytes that are still to be written.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Shared { frame, written } => frame.remaining(*written).iter().map(|slice| slice.len()).sum(),
            Self::Masked { frame, piece, written } => piece.len() - written + frame.len(),
        }
    }

    /// Returns bytes that are to be written next; none if all is written.
    pub(crate) fn slices(&mut self) -> [&[u8]; 2] {
        match self {
            Self::Shared { frame, written } => frame.remaining(*written),
            Self::Masked { frame, piece, written } => {
                if *written == piece.len() {
                    piece.clear();
                    *written = 0;
                    frame.fill(piece, MaskedFrame::PIECE);
                }
                [piece.get(*written..).unwrap_or_default(), &[]]
            }
        }
    }

    /// Takes note that the first `len` bytes of these have been written.
    pub(crate) const fn advance(&mut self, len: usize) {
        let (Self::Shared { written, .. } | Self::Masked { written, .. }) = self;
        *written += len;
    }

    /// Returns all that is still to be written.
    pub(crate) fn into_rest(mut self) -> Vec<u8> {
        match &mut self {
            Self::Shared { frame, written } => frame.remaining(*written).concat(),
            Self::Masked { frame, piece, written } => {
                piece.drain(..core::mem::take(written));
                frame.fill(piece, usize::MAX);
                core::mem::take(piece)
            }
        }
    }
}

/// Gives the memory of the last piece back.
impl Drop for LongFrame<'_> {
    fn drop(&mut self) {
        if let Self::Masked { piece, .. } = self {
            piece.clear();
            memory::give_output(core::mem::take(piece));
        }
    }
}
