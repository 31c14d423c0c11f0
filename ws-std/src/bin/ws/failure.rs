//! Failures in one line: the fault, its place, and a remedy.

use core::error::Error;
use std::{io, process::ExitCode};

use ws_std::{
    CloseCode, ConnectError, ProxyError, Refused, TlsError,
    proto::{
        driver::ServerUrl,
        handshake::{HandshakeError, LooksLike},
    },
    rustls::AlertDescription,
};

use crate::plain::{self, escaped};

/// The most characters of a refusal's body, or of a reason, that are printed.
const LONGEST_QUOTE: usize = 200;

/// The exit status. `--help` documents all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// No failure.
    Clean = 0,
    /// No connection.
    Connect = 1,
    /// An option that cannot be used.
    Usage = 2,
    /// The peer has closed with a code that tells of a fault.
    Closed = 3,
    /// The connection ended without a closing handshake, or the peer broke the protocol.
    Lost = 4,
    /// A file, standard input or output, or an address of this machine.
    Local = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The end of the program, if it is not a good one.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) text: String,
    /// Whether another try may succeed.
    pub(crate) is_transient: bool,
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, text: text.into(), is_transient: false }
    }

    /// Returns the failure of a file, a stream or an address of this machine.
    pub(crate) fn local(place: &str, error: &io::Error) -> Self {
        Self { exit: Exit::Local, text: format!("{place}: {error}"), is_transient: false }
    }

    /// Returns the failure to open a connection.
    pub(crate) fn connect(url: &str, error: &ConnectError) -> Self {
        let exit = match error {
            ConnectError::InvalidUrl(_) | ConnectError::Header(_) | ConnectError::Request(_) => Exit::Usage,
            ConnectError::Tls(TlsError::Settings(_)) => Exit::Usage,
            ConnectError::Proxy(ProxyError::InvalidUrl(_)) => Exit::Usage,
            _ => Exit::Connect,
        };
        Self { exit, text: Place::of(url).explain(error), is_transient: error.is_transient() }
    }

    /// Returns the failure of a connection that the peer has closed; `None` if the code tells of no fault.
    pub(crate) fn closed(code: CloseCode, reason: &str) -> Option<Self> {
        if matches!(code, CloseCode::NORMAL | CloseCode::GOING_AWAY | CloseCode::NO_STATUS) {
            return None;
        }
        let is_transient = matches!(code.get(), 1011..=1014);
        Some(Self {
            exit: Exit::Closed,
            text: format!("closed by the server: {}", closing(code, reason)),
            is_transient,
        })
    }

    /// Returns the end of a connection whose server goes down: a good one, unless the user wants to connect again.
    pub(crate) fn going_away() -> Self {
        Self { exit: Exit::Clean, text: "the server goes away".into(), is_transient: true }
    }

    /// Returns the failure of a connection that the server has closed too early, in good order.
    pub(crate) fn early() -> Self {
        Self { exit: Exit::Lost, text: "the server closed before the end".into(), is_transient: true }
    }

    /// Returns the failure of a server that answers with other messages.
    pub(crate) fn wrong_echoes(count: u64) -> Self {
        let text = format!("{count} answers are not the message that was sent: does the server echo?");
        Self { exit: Exit::Lost, text, is_transient: false }
    }

    /// Returns the failure of an open connection.
    pub(crate) fn lost(error: &ws_std::Error) -> Self {
        use ws_std::{Cause, Error};
        let (exit, text) = match error {
            Error::Unclean(closed) => (
                Exit::Lost,
                match closed.cause {
                    Cause::PongTimeout => "the server does not answer Pings any more".into(),
                    Cause::CloseTimeout => "the server did not answer the Close".into(),
                    Cause::Eof => "the server ended the connection without a Close".into(),
                    cause => format!("ended without a Close: {cause:?}"),
                },
            ),
            Error::Fault(_) => (Exit::Local, explained(error)),
            error => (Exit::Lost, explained(error)),
        };
        Self { exit, text: format!("connection lost: {text}"), is_transient: exit == Exit::Lost }
    }
}

/// Returns a code and a reason for a terminal.
pub(crate) fn closing(code: CloseCode, reason: &str) -> String {
    let name = match code.get() {
        1000 => " (normal)",
        1001 => " (going away)",
        1002 => " (protocol error)",
        1003 => " (unsupported data)",
        1005 => " (no code)",
        1007 => " (invalid payload)",
        1008 => " (policy violation)",
        1009 => " (message too big)",
        1010 => " (extension missing)",
        1011 => " (internal error)",
        1012 => " (service restart)",
        1013 => " (try again later)",
        1014 => " (bad gateway)",
        _ => "",
    };
    let reason = if reason.is_empty() { String::new() } else { format!(": {}", quoted(reason)) };
    format!("{}{name}{reason}", code.get())
}

fn explained(error: &dyn Error) -> String {
    escaped(&plain::explained(error))
}

fn quoted(text: &str) -> String {
    escaped(&text.trim().chars().take(LONGEST_QUOTE).collect::<String>())
}

/// The server of a URL, as errors name it.
struct Place {
    host: String,
    address: String,
    is_secure: bool,
}

impl Place {
    fn of(url: &str) -> Self {
        match ServerUrl::parse(url) {
            Ok(url) => {
                let host = url.host_name().to_owned();
                let brackets = if host.contains(':') { ["[", "]"] } else { [""; 2] };
                let address = format!("{}{host}{}:{}", brackets[0], brackets[1], url.port());
                Self { host, address, is_secure: url.is_secure() }
            }
            Err(_) => Self { host: escaped(url), address: escaped(url), is_secure: false },
        }
    }

    fn explain(&self, error: &ConnectError) -> String {
        let Self { host, address: place, is_secure } = self;
        match error {
            ConnectError::InvalidUrl(fault) => {
                format!("{place} is not the URL of a WebSocket, {fault}: write ws://HOST:PORT/PATH or wss://…")
            }
            ConnectError::Connect { address, error } => unreachable(&address.to_string(), error),
            ConnectError::Dial { target, error } if error.kind() == io::ErrorKind::NotFound => {
                format!("no socket {}: is the server running?", escaped(&target.to_string()))
            }
            ConnectError::Dial { target, error } => unreachable(&escaped(&target.to_string()), error),
            ConnectError::Resolve(error) => format!("no address of {host} is found ({error}): is the name right?"),
            ConnectError::Tls(error) => tls(host, place, error),
            ConnectError::ProxyTls(error) => {
                format!("the proxy of --proxy or the environment: {}", explained(error))
            }
            ConnectError::Proxy(error) => format!("on the way to {place}: {}", explained(error)),
            ConnectError::Closed(_) if *is_secure => {
                format!("{place} ended the connection without an answer: is it a server of WebSockets?")
            }
            ConnectError::Closed(_) => {
                format!("{place} ended the connection without an answer: does it speak TLS? Try wss://")
            }
            ConnectError::Handshake(HandshakeError::Timeout) => {
                format!(
                    "{place} did not answer in time: is it a server of WebSockets? --connect-timeout waits longer"
                )
            }
            ConnectError::Handshake(HandshakeError::NotHttp(LooksLike::Tls)) => {
                format!("{place} speaks TLS: try wss:// in place of ws://")
            }
            ConnectError::Handshake(_) => {
                format!("{place} does not answer as a server of WebSockets: {}", explained(error))
            }
            ConnectError::Refused(refused) => refusal(place, refused),
            ConnectError::Redirect(error) => format!("{place} redirects, and that is not followed: {error}"),
            error => format!("{place}: {}", explained(error)),
        }
    }
}

fn unreachable(address: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("{address} refused the connection: is a server listening there?")
        }
        io::ErrorKind::TimedOut => {
            format!("{address} does not answer: is the address right, does a firewall stand between?")
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("{address} cannot be reached from here ({error}): is the network up?")
        }
        _ => format!("{address} cannot be connected to: {error}"),
    }
}

fn tls(host: &str, place: &str, error: &TlsError) -> String {
    match error {
        TlsError::UnknownIssuer => {
            format!("certificate of {host} is by an unknown issuer: name its root by --ca FILE")
        }
        TlsError::WrongName => {
            format!(
                "certificate of {place} is for another name than {host}: write the name that it is for in the URL"
            )
        }
        TlsError::Expired => format!("certificate of {host} has expired: its operator has to renew it"),
        TlsError::NotYetValid => {
            format!("certificate of {host} is not valid yet: is the clock of this machine right?")
        }
        TlsError::NotTls => format!("{place} does not speak TLS: try ws:// in place of wss://"),
        TlsError::Alert(AlertDescription::CertificateRequired) => {
            format!("{place} wants a certificate of the client: name it by --cert FILE --key FILE")
        }
        TlsError::Closed => {
            format!("{place} ended the connection in the TLS handshake: does it speak TLS? Try ws://")
        }
        TlsError::Settings(fault) => format!("--ca, --cert or --key cannot be used: {fault}"),
        error => format!("{place}: {}", explained(error)),
    }
}

fn refusal(place: &str, refused: &Refused) -> String {
    let field = |name| refused.header(name).map(|value| quoted(&String::from_utf8_lossy(value)));
    let status = refused.status();
    let remedy = match status {
        401 => match field("WWW-Authenticate") {
            Some(scheme) => format!("it wants credentials ({scheme}): --auth USER:PASSWORD"),
            None => "it wants credentials: --auth USER:PASSWORD, or a field by -H".into(),
        },
        403 => "it forbids this: other credentials (--auth, -H), or an --origin that it allows".into(),
        404 => "no such path: is the URL's right?".into(),
        407 => "a proxy wants credentials: --proxy http://USER:PASSWORD@HOST:PORT".into(),
        426 => "it wants another version or protocol".into(),
        429 => match field("Retry-After") {
            Some(after) => format!("too many requests: try again after {after} seconds"),
            None => "too many requests: try again later, or --reconnect".into(),
        },
        300..=399 => match field("Location") {
            Some(location) => format!("it redirects to {location}: follow by --redirects 5"),
            None => "it redirects nowhere".into(),
        },
        200..=299 => "no WebSocket is served at this path".into(),
        500..=599 => "it, or a server after it, has a fault: try again later, or --reconnect".into(),
        _ => "it opens no WebSocket".into(),
    };
    let body = String::from_utf8_lossy(refused.body());
    let first = quoted(body.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default());
    let first = if first.is_empty() || first.starts_with('<') { String::new() } else { format!(" (\"{first}\")") };
    format!("{place} answered {status}{first}: {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(url: &str, error: &ConnectError) -> (Exit, String) {
        let failure = Failure::connect(url, error);
        (failure.exit, failure.text)
    }

    #[test]
    fn failures_name_the_place_and_a_remedy() {
        let refused = io::ErrorKind::ConnectionRefused.into();
        let address = ([127, 0, 0, 1], 9001).into();
        let (exit, text) = explain("ws://localhost:9001/", &ConnectError::Connect { address, error: refused });
        assert_eq!(
            (exit as u8, text.as_str()),
            (1, "127.0.0.1:9001 refused the connection: is a server listening there?")
        );
        for (url, error, place, remedy) in [
            ("wss://a/", ConnectError::Tls(TlsError::UnknownIssuer), "certificate of a ", "--ca FILE"),
            ("wss://a/", ConnectError::Tls(TlsError::WrongName), "certificate of a:443", "name that it is for"),
            ("wss://a/", ConnectError::Tls(TlsError::NotTls), "a:443", "ws://"),
            (
                "ws://[::1]:81/",
                ConnectError::Handshake(HandshakeError::NotHttp(LooksLike::Tls)),
                "[::1]:81",
                "wss://",
            ),
            ("ws://a/", ConnectError::Handshake(HandshakeError::Timeout), "a:80", "--connect-timeout"),
            ("ws://a/", ConnectError::Closed(io::ErrorKind::UnexpectedEof.into()), "a:80", "wss://"),
            ("ws://a/", ConnectError::Resolve(io::Error::other("x")), "a ", "is the name right?"),
        ] {
            let (exit, text) = explain(url, &error);
            assert!(exit == Exit::Connect && text.contains(place) && text.contains(remedy), "{text}");
            assert!(!text.contains('\n'), "{text}");
        }
        assert_eq!(explain("http//", &ConnectError::InvalidUrl("it has no scheme")).0, Exit::Usage);
    }

    #[test]
    fn codes_of_a_good_end_are_no_failure() {
        for code in [1000, 1001, 1005] {
            assert!(Failure::closed(CloseCode::new(code), "").is_none(), "{code}");
        }
        let failure = Failure::closed(CloseCode::POLICY_VIOLATION, "no\u{1b}[2J").unwrap();
        assert_eq!(failure.text, r"closed by the server: 1008 (policy violation): no\u{1b}[2J");
        assert!(!failure.is_transient && Failure::closed(CloseCode::TRY_AGAIN_LATER, "").unwrap().is_transient);
    }
}
