/// What the two sides agreed on in the opening handshake beyond RFC 6455 itself.
///
/// Without an extension there is nothing to agree on: `Negotiated::default()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {}
