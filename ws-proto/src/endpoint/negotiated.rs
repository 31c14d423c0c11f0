/// The extensions that the two sides agreed on in the opening handshake (RFC 6455 section 9.1).
///
/// Without an extension it is `Negotiated::default()`. It is the same for HTTP/1.1, HTTP/2 and HTTP/3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// The parameters of compression; `None`: messages are not compressed.
    #[cfg(feature = "deflate")]
    pub deflate: Option<crate::deflate::Parameters>,
}

impl Negotiated {
    /// Creates the value for a connection without extensions.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Returns these extensions with messages compressed as agreed on.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn with_deflate(self, deflate: Option<crate::deflate::Parameters>) -> Self {
        Self { deflate }
    }

    /// Returns whether the first reserved bit has a meaning.
    pub(crate) const fn compression(self) -> bool {
        #[cfg(feature = "deflate")]
        return self.deflate.is_some();
        #[cfg(not(feature = "deflate"))]
        false
    }
}
