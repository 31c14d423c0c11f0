//! The errors after which a client may try again.

use super::{ConnectError, refused::is_transient_status};
use crate::{
    SendError,
    driver::{Error, transport_error::is_transient},
    handshake::HandshakeError,
};

impl Error {
    /// Returns whether another connection may do what this one has failed to do, even if the user changes nothing: if the
    /// transport has failed or ended, the peer was silent, or the connection was closing. A peer that breaks the protocol does it
    /// again, and a message that cannot be sent stays one.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Io(error) => is_transient(error),
            Self::TimedOut | Self::Unclean(_) | Self::Send(SendError::Closing) => true,
            Self::Receive(_) | Self::Fault(_) | Self::Send(_) => false,
        }
    }
}

impl ConnectError {
    /// Returns whether another try may succeed even if the user changes nothing.
    ///
    /// | error | another try may succeed |
    /// |---|---|
    /// | [`Resolve`](Self::Resolve), [`Connect`](Self::Connect), [`Dial`](Self::Dial), [`Closed`](Self::Closed), [`Io`](Self::Io) | yes: networks and servers come back; unless the system calls it invalid, unsupported or forbidden |
    /// | [`Handshake`](Self::Handshake) | after a [timeout](HandshakeError::Timeout) |
    /// | [`Refused`](Self::Refused) | with 408, 425, 429, and 5xx except 501, 505 and 511 |
    /// | [`Proxy`](Self::Proxy) | as [`ProxyError::is_transient`](super::ProxyError::is_transient) says |
    /// | `Tls`, `ProxyTls` | if the transport ended or failed, or the peer's alert is `internal_error` |
    /// | all others, such as an invalid URL, header field or certificate | no |
    ///
    /// A name that does not exist counts as transient, because systems report it as they report a name server that can't be
    /// reached. Limit the number of tries where that matters.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Resolve(error)
            | Self::Connect { error, .. }
            | Self::Dial { error, .. }
            | Self::Closed(error)
            | Self::Io(error) => is_transient(error),
            Self::Handshake(error) => matches!(error, HandshakeError::Timeout),
            Self::Refused(refused) => is_transient_status(refused.status()),
            Self::Proxy(error) => error.is_transient(),
            #[cfg(feature = "rustls")]
            Self::Tls(error) | Self::ProxyTls(error) => error.is_transient(),
            Self::InvalidUrl(_)
            | Self::NeedsTls
            | Self::NoSubprotocol
            | Self::Redirect(_)
            | Self::Header(_)
            | Self::Request(_)
            | Self::Entropy(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::error::Error as _;
    use std::{
        borrow::ToOwned,
        io,
        net::SocketAddr,
        string::{String, ToString},
    };

    use super::*;
    use crate::{
        Cause, CloseCode, Closed, EntropyError, ReceiveError,
        driver::{HeadError, ProxyError, ReconnectError, Refused, SocksReply},
        error::ReceiveErrorKind,
        handshake::WriteError,
    };

    fn io(kind: io::ErrorKind) -> io::Error {
        kind.into()
    }

    fn connect(kind: io::ErrorKind) -> ConnectError {
        ConnectError::Connect { address: SocketAddr::from(([127, 0, 0, 1], 80)), error: kind.into() }
    }

    fn proxy(status: u16) -> ConnectError {
        ProxyError::Refused { status, reason: String::new() }.into()
    }

    // K-transient
    #[test]
    fn errors_that_pass_by_themselves_are_transient() {
        use io::ErrorKind::*;
        for error in [
            ConnectError::Resolve(io::Error::other("temporary failure in name resolution")),
            ConnectError::Resolve(io(NotFound)),
            connect(ConnectionRefused),
            connect(TimedOut),
            connect(NetworkUnreachable),
            connect(HostUnreachable),
            connect(AddrNotAvailable),
            ConnectError::Closed(io(UnexpectedEof)),
            ConnectError::Closed(io(ConnectionReset)),
            ConnectError::Io(io(ConnectionReset)),
            ConnectError::Io(io(BrokenPipe)),
            ConnectError::Io(io(TimedOut)),
            HeadError::BeforeFirstByte(io(ConnectionReset)).into(),
            ConnectError::Handshake(HandshakeError::Timeout),
            ProxyError::Timeout.into(),
            ProxyError::Closed.into(),
            proxy(502),
            proxy(503),
            ProxyError::Socks(SocksReply::GeneralFailure).into(),
            ProxyError::Socks(SocksReply::NetworkUnreachable).into(),
            ProxyError::Socks(SocksReply::HostUnreachable).into(),
            ProxyError::Socks(SocksReply::ConnectionRefused).into(),
            ProxyError::Socks(SocksReply::TtlExpired).into(),
        ] {
            assert!(error.is_transient(), "{error:?}");
        }
    }

    // K-transient
    #[test]
    fn errors_that_need_a_change_are_not_transient() {
        use io::ErrorKind::*;
        for error in [
            ConnectError::InvalidUrl("x"),
            ConnectError::NeedsTls,
            ConnectError::Resolve(io(InvalidInput)),
            connect(PermissionDenied),
            connect(InvalidInput),
            connect(Unsupported),
            ConnectError::Io(io(InvalidData)),
            ConnectError::Header("X".to_owned()),
            ConnectError::Request(WriteError::InvalidHeader),
            ConnectError::Handshake(HandshakeError::Accept),
            ConnectError::Handshake(HandshakeError::Syntax),
            ConnectError::Handshake(HandshakeError::HeadTooLong),
            ConnectError::Entropy(EntropyError),
            ProxyError::InvalidUrl("x").into(),
            ProxyError::InvalidTarget("x").into(),
            ProxyError::AuthenticationRequired.into(),
            ProxyError::AuthenticationUnsupported.into(),
            ProxyError::CredentialsRefused.into(),
            ProxyError::Malformed("x").into(),
            proxy(403),
            proxy(501),
            ProxyError::Socks(SocksReply::NotAllowed).into(),
            ProxyError::Socks(SocksReply::CommandNotSupported).into(),
            ProxyError::Socks(SocksReply::AddressTypeNotSupported).into(),
            ProxyError::Socks(SocksReply::Unassigned(9)).into(),
        ] {
            assert!(!error.is_transient(), "{error:?}");
        }
    }

    // K-transient
    #[test]
    fn statuses_of_load_and_of_failures_are_transient() {
        let transient = |status: &u16| match status {
            408 | 425 | 429 => true,
            501 | 505 | 511 => false,
            status => *status >= 500,
        };
        for status in 100..600 {
            let error = ConnectError::Refused(Refused::with_status(status));
            assert_eq!(error.is_transient(), transient(&status), "{status}");
        }
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn tls_is_transient_if_the_transport_is_at_fault() {
        use crate::driver::TlsError::*;
        use io::ErrorKind::{ConnectionReset, InvalidData, TimedOut};
        use rustls::{AlertDescription, CertificateError};
        for error in [Closed, Io(io(ConnectionReset)), Io(io(TimedOut)), Alert(AlertDescription::InternalError)] {
            assert!(ConnectError::Tls(error).is_transient());
        }
        for error in [
            WrongName,
            Expired,
            NotYetValid,
            UnknownIssuer,
            Certificate(CertificateError::Revoked),
            NotTls,
            Alert(AlertDescription::HandshakeFailure),
            WrongProtocol,
            Io(io(InvalidData)),
            Settings("x"),
            Other(rustls::Error::DecryptError),
        ] {
            let shown = std::format!("{error:?}");
            assert!(!ConnectError::Tls(error).is_transient(), "{shown}");
        }
    }

    // K-transient
    #[test]
    fn errors_of_open_connections_are_transient_unless_they_come_again() {
        use io::ErrorKind::{ConnectionReset, InvalidData, TimedOut};
        let unclean = Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::Eof };
        for (error, expected) in [
            (Error::Io(io(ConnectionReset)), true),
            (Error::Io(io(InvalidData)), false),
            (Error::TimedOut, true),
            (Error::Unclean(unclean), true),
            (SendError::Closing.into(), true),
            (SendError::PayloadTooLong.into(), false),
            (Error::Receive(ReceiveError { kind: ReceiveErrorKind::Unmasked, offset: 0 }), false),
        ] {
            assert_eq!(error.is_transient(), expected, "{error:?}");
            let error = ReconnectError::from(error);
            assert_eq!(error.is_transient(), expected, "{error:?}");
        }
        assert!(ReconnectError::from(io(TimedOut)).is_transient());
        assert!(!ReconnectError::from(ConnectError::NeedsTls).is_transient());
    }

    #[test]
    fn errors_of_tries_name_the_step_and_have_the_cause_as_source() {
        for (error, text, source) in [
            (ConnectError::NeedsTls.into(), "no connection", ConnectError::NeedsTls.to_string()),
            (Error::TimedOut.into(), "connection was lost before it was ready", Error::TimedOut.to_string()),
            (io::Error::other("x").into(), "preparation of a connection failed", "x".to_owned()),
        ] {
            let error: ReconnectError = error;
            assert_eq!(
                (error.to_string(), error.source().map(ToString::to_string)),
                (text.to_owned(), Some(source))
            );
        }
    }
}
