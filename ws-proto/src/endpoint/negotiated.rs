/// What the two sides agreed on in the opening handshake beyond RFC 6455 itself.
///
/// Without an extension there is nothing to agree on: `Negotiated::default()`. The same for HTTP/1.1, HTTP/2 and HTTP/3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// How messages may be compressed; `None`: not at all.
    #[cfg(feature = "deflate")]
    pub deflate: Option<crate::deflate::Parameters>,
}

impl Negotiated {
    /// No extension.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// With messages compressed as agreed on.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn with_deflate(self, deflate: Option<crate::deflate::Parameters>) -> Self {
        Self { deflate }
    }

    /// Whether the first reserved bit has a meaning.
    pub(crate) const fn compression(self) -> bool {
        #[cfg(feature = "deflate")]
        return self.deflate.is_some();
        #[cfg(not(feature = "deflate"))]
        false
    }
}
