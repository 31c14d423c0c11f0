use core::fmt;
use std::string::String;

use crate::driver::client_side::refused::is_transient_status;

/// The reason why a proxy opened no tunnel.
///
/// A failure to reach the proxy itself is none of these: it is [`ConnectError::Connect`](crate::driver::ConnectError::Connect)
/// or [`ConnectError::Resolve`](crate::driver::ConnectError::Resolve).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyError {
    /// The URL is not that of a proxy. The text says what is wrong with it.
    InvalidUrl(&'static str),
    /// A proxy can't be asked for the target. The text says why.
    InvalidTarget(&'static str),
    /// The proxy wants a user name and a password, and its URL has none.
    AuthenticationRequired,
    /// The proxy accepts neither a password nor a connection without one. It may want NTLM, Kerberos or Digest.
    AuthenticationUnsupported,
    /// The user name or the password is wrong.
    CredentialsRefused,
    /// The proxy answered CONNECT with a status other than 2xx and those about credentials.
    Refused {
        /// The status code.
        status: u16,
        /// The reason phrase: at most 80 bytes, empty if the answer has none.
        reason: String,
    },
    /// A SOCKS proxy did not connect to the target.
    Socks(SocksReply),
    /// The answer is not one of the proxy's protocol. The text says what is wrong with it.
    Malformed(&'static str),
    /// The proxy closed or reset the transport before the tunnel was open.
    Closed,
    /// The proxy did not answer in time.
    Timeout,
}

impl ProxyError {
    /// Returns whether another try may succeed even if the user changes nothing: after a timeout, an end of the transport, a
    /// status such as 503, or a reply that the host can't be reached now.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Closed | Self::Timeout => true,
            Self::Refused { status, .. } => is_transient_status(*status),
            Self::Socks(reply) => reply.is_transient(),
            Self::InvalidUrl(_)
            | Self::InvalidTarget(_)
            | Self::AuthenticationRequired
            | Self::AuthenticationUnsupported
            | Self::CredentialsRefused
            | Self::Malformed(_) => false,
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidUrl(fault) => write!(f, "not the URL of a proxy: {fault}"),
            Self::InvalidTarget(fault) => write!(f, "proxy can't be asked for the host: {fault}"),
            Self::AuthenticationRequired => f.write_str(
                "proxy wants credentials: write user:password@ before its host (RFC 9110 section 15.5.8, RFC 1928 section 3)",
            ),
            Self::AuthenticationUnsupported => {
                f.write_str("proxy wants another authentication than a password: use a proxy that accepts one")
            }
            Self::CredentialsRefused => f.write_str("proxy refused the credentials: check user and password"),
            Self::Refused { status, reason } if reason.is_empty() => {
                write!(f, "proxy answered with status {status}: check that it allows the host and the port")
            }
            Self::Refused { status, reason } => {
                write!(
                    f,
                    "proxy answered with status {status} ({reason}): check that it allows the host and the port"
                )
            }
            Self::Socks(_) => f.write_str("proxy did not connect to the host (RFC 1928 section 6)"),
            Self::Malformed(fault) => write!(f, "proxy's answer is invalid: {fault}"),
            Self::Closed => f.write_str("proxy closed before it answered: check its scheme and port"),
            Self::Timeout => f.write_str("proxy did not answer in time: check its scheme and port"),
        }
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Socks(reply) => Some(reply),
            _ => None,
        }
    }
}

/// The reason that a SOCKS proxy gives (RFC 1928 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocksReply {
    /// 0x01: a failure of the proxy.
    GeneralFailure,
    /// 0x02: the rules of the proxy do not allow the connection.
    NotAllowed,
    /// 0x03: the proxy has no route to the network.
    NetworkUnreachable,
    /// 0x04: the host can't be reached, or its name is not known.
    HostUnreachable,
    /// 0x05: the host refused the connection.
    ConnectionRefused,
    /// 0x06: the host is too many hops away, or did not answer.
    TtlExpired,
    /// 0x07: the proxy does not know CONNECT.
    CommandNotSupported,
    /// 0x08: the proxy does not know names, or not this version of IP.
    AddressTypeNotSupported,
    /// A code that is not assigned.
    Unassigned(u8),
}

impl SocksReply {
    /// Returns the meaning of a code other than 0, which is success.
    pub(super) const fn of(code: u8) -> Self {
        match code {
            0x01 => Self::GeneralFailure,
            0x02 => Self::NotAllowed,
            0x03 => Self::NetworkUnreachable,
            0x04 => Self::HostUnreachable,
            0x05 => Self::ConnectionRefused,
            0x06 => Self::TtlExpired,
            0x07 => Self::CommandNotSupported,
            0x08 => Self::AddressTypeNotSupported,
            code => Self::Unassigned(code),
        }
    }

    /// Returns whether the same request may succeed later.
    const fn is_transient(self) -> bool {
        match self {
            Self::GeneralFailure
            | Self::NetworkUnreachable
            | Self::HostUnreachable
            | Self::ConnectionRefused
            | Self::TtlExpired => true,
            Self::NotAllowed | Self::CommandNotSupported | Self::AddressTypeNotSupported | Self::Unassigned(_) => {
                false
            }
        }
    }
}

impl fmt::Display for SocksReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GeneralFailure => "failure of the proxy: see its log",
            Self::NotAllowed => "not allowed by the rules of the proxy",
            Self::NetworkUnreachable => "network can't be reached from the proxy",
            Self::HostUnreachable => "host can't be reached from the proxy, or its name is not known",
            Self::ConnectionRefused => "host refused the connection: check its port",
            Self::TtlExpired => "host did not answer the proxy",
            Self::CommandNotSupported => "proxy does not know CONNECT",
            Self::AddressTypeNotSupported => "proxy does not know this kind of address",
            Self::Unassigned(code) => return write!(f, "unassigned code {code:#04x}"),
        })
    }
}

impl std::error::Error for SocksReply {}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, string::ToString};

    use super::*;

    #[test]
    fn each_code_of_socks_has_a_text_of_its_own() {
        let texts: BTreeSet<_> = (1..=10).map(|code| SocksReply::of(code).to_string()).collect();
        assert_eq!(texts.len(), 10);
        assert!(texts.contains("unassigned code 0x0a"));
    }
}
