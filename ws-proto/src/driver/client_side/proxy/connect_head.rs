//! The answer to HTTP CONNECT (RFC 9110 section 9.3.6).

use std::{borrow::ToOwned, format, string::String, vec::Vec};

use super::{ProxyError, tunnel_target::Target};
use crate::driver::client_side::credentials::Credentials;

/// Bytes of all heads of an answer, interim ones included. Proxies send a few hundred.
const MAX_HEAD_LEN: usize = 16 * 1024;
/// Fields of a head.
const MAX_FIELDS: usize = 64;
/// Bytes of a reason phrase that an error keeps.
const MAX_REASON_LEN: usize = 80;

const HEAD_END: &[u8] = b"\r\n\r\n";
/// The length of the shortest head, `HTTP/1.1 200` with its end.
const MIN_HEAD_LEN: usize = 16;
const VERSION_START: &[u8] = b"HTTP/";

const TOO_LONG: ProxyError = ProxyError::Malformed("its head is over 16 KiB or 64 fields");
const NO_HEAD: ProxyError = ProxyError::Malformed("it is not an HTTP/1.1 head (RFC 9112 section 4)");

/// The head of the answer while it arrives.
pub(super) struct ConnectHead {
    received: Vec<u8>,
    /// The bytes of interim heads, which are not kept.
    interim_len: usize,
    has_credentials: bool,
}

/// Returns the request for a tunnel. It has the field Host too (RFC 9112 section 3.2).
pub(super) fn request(target: &Target, credentials: Option<&Credentials>) -> Vec<u8> {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(credentials) = credentials {
        request += &format!("Proxy-Authorization: {}\r\n", credentials.basic());
    }
    request += "\r\n";
    request.into_bytes()
}

impl ConnectHead {
    pub(super) const fn new(has_credentials: bool) -> Self {
        Self { received: Vec::new(), interim_len: 0, has_credentials }
    }

    /// Returns how many bytes are missing at least: the next ones may already be those of the tunnel.
    pub(super) fn wanted(&self) -> usize {
        let len = self.received.len();
        let end =
            (1..HEAD_END.len()).rev().find(|&len| HEAD_END.get(..len).is_some_and(|end| self.ends_with(end)));
        (HEAD_END.len() - end.unwrap_or(0)).max(MIN_HEAD_LEN.saturating_sub(len))
    }

    fn ends_with(&self, end: &[u8]) -> bool {
        self.received.ends_with(end)
    }

    /// Takes the next byte. Returns whether the tunnel is open.
    pub(super) fn push(&mut self, byte: u8) -> Result<bool, ProxyError> {
        if byte == b'\n' && !self.ends_with(b"\r") {
            return Err(ProxyError::Malformed("a line of its head ends without CR (RFC 9112 section 2.2)"));
        }
        if VERSION_START.get(self.received.len()).is_some_and(|&expected| expected != byte) {
            return Err(self.foreign(byte));
        }
        if self.interim_len + self.received.len() >= MAX_HEAD_LEN {
            return Err(TOO_LONG);
        }
        self.received.push(byte);
        if self.ends_with(HEAD_END) { self.evaluate() } else { Ok(false) }
    }

    /// Returns the error of an answer that does not begin as HTTP does, at `byte`.
    fn foreign(&self, byte: u8) -> ProxyError {
        match (self.received.is_empty(), byte) {
            // RFC 8446 section 5.1: an alert or a handshake.
            (true, 0x15 | 0x16) => ProxyError::Malformed("it is TLS: write https:// before the proxy's host"),
            // RFC 1928 section 3.
            (true, 0x05) => ProxyError::Malformed("it is SOCKS5: write socks5h:// before the proxy's host"),
            _ => NO_HEAD,
        }
    }

    /// Evaluates a complete head.
    fn evaluate(&mut self) -> Result<bool, ProxyError> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(&self.received) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(TOO_LONG),
            Ok(httparse::Status::Partial) | Err(_) => return Err(NO_HEAD),
        }
        match response.code.unwrap_or_default() {
            // RFC 9110 section 9.3.6: any 2xx, and its fields about a body have no meaning.
            200..=299 => Ok(true),
            // RFC 9110 section 15.2: interim answers, but none to an upgrade, which was not asked for.
            100 | 102..=199 => {
                self.interim_len += self.received.len();
                self.received.clear();
                Ok(false)
            }
            407 if !accepts_basic(response.headers) => Err(ProxyError::AuthenticationUnsupported),
            // tinyproxy answers a wrong password with 401.
            401 | 407 if self.has_credentials => Err(ProxyError::CredentialsRefused),
            407 => Err(ProxyError::AuthenticationRequired),
            status => Err(ProxyError::Refused { status, reason: excerpt(response.reason.unwrap_or_default()) }),
        }
    }
}

/// Returns whether the challenges allow Basic, or there are none (RFC 9110 section 11.7.1).
fn accepts_basic(fields: &[httparse::Header<'_>]) -> bool {
    let is_basic = |challenge: &[u8]| {
        let scheme = challenge.trim_ascii_start().split(|&byte| byte == b' ').next();
        scheme.is_some_and(|scheme| scheme.trim_ascii_end().eq_ignore_ascii_case(b"basic"))
    };
    let mut challenges =
        fields.iter().filter(|field| field.name.eq_ignore_ascii_case("proxy-authenticate")).peekable();
    challenges.peek().is_none() || challenges.any(|field| field.value.split(|&byte| byte == b',').any(is_basic))
}

/// Returns the start of a reason phrase, which httparse has checked for control characters.
fn excerpt(reason: &str) -> String {
    reason.get(..MAX_REASON_LEN).unwrap_or(reason).to_owned()
}
