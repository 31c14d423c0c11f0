use core::fmt;

/// The reason why a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedirectError {
    /// The answer has no field Location.
    NoLocation,
    /// Location is not the URL of a WebSocket. The text says what is wrong with it.
    InvalidLocation(&'static str),
    /// Location leads from TLS to a plain transport.
    Downgrade,
    /// There were as many redirects before this one as are allowed.
    TooMany,
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLocation => f.write_str("redirect has no location (RFC 9110 section 10.2.2)"),
            Self::InvalidLocation(fault) => write!(f, "location of the redirect is invalid: {fault}"),
            Self::Downgrade => f.write_str("redirect leads from TLS to a plain transport"),
            Self::TooMany => f.write_str("more redirects than allowed: check for a loop (RFC 9110 section 15.4)"),
        }
    }
}

impl std::error::Error for RedirectError {}
