//! The answers of a SOCKS5 proxy (RFC 1928, RFC 1929).

use std::vec::Vec;

use super::{ProxyError, SocksReply, tunnel_target::Target};
use crate::driver::client_side::credentials::Credentials;

const VERSION: u8 = 0x05;
// RFC 1928 section 3.
const NO_AUTHENTICATION: u8 = 0x00;
const PASSWORD: u8 = 0x02;
const NO_METHOD: u8 = 0xFF;
// RFC 1929 section 2.
const PASSWORD_VERSION: u8 = 0x01;
// RFC 1928 section 4.
const CONNECT: u8 = 0x01;

/// The length of the answers before the last (RFC 1928 section 3, RFC 1929 section 2).
const SHORT_LEN: usize = 2;

/// The side of the client, which waits for an answer.
pub(super) struct Socks {
    step: Step,
    /// The received part of the answer.
    received: Vec<u8>,
    target: Target,
    credentials: Option<Credentials>,
}

/// The answer that is waited for.
#[derive(Clone, Copy)]
enum Step {
    Method,
    Authentication,
    Reply,
}

impl Socks {
    /// Begins, with the methods to offer appended to `output`.
    pub(super) fn begin(target: Target, credentials: Option<&Credentials>, output: &mut Vec<u8>) -> Self {
        match credentials {
            None => output.extend_from_slice(&[VERSION, 1, NO_AUTHENTICATION]),
            Some(_) => output.extend_from_slice(&[VERSION, 2, NO_AUTHENTICATION, PASSWORD]),
        }
        Self { step: Step::Method, received: Vec::new(), target, credentials: credentials.cloned() }
    }

    /// Returns how many bytes are missing of the answer, as far as its length is known.
    pub(super) fn wanted(&self) -> usize {
        let len = match self.step {
            Step::Method | Step::Authentication => SHORT_LEN,
            Step::Reply => reply_len(&self.received),
        };
        len.saturating_sub(self.received.len())
    }

    /// Takes the next byte, and appends the answer to it. Returns whether the tunnel is open.
    pub(super) fn push(&mut self, byte: u8, output: &mut Vec<u8>) -> Result<bool, ProxyError> {
        self.received.push(byte);
        match (self.step, &self.received[..]) {
            (Step::Method | Step::Reply, &[version]) => check_version(version).map(|()| false),
            (Step::Method, &[_, method]) => self.authenticate(method, output).map(|()| false),
            // RFC 1929 section 2. Servers disagree about the version of this answer, so it is not checked.
            (Step::Authentication, &[_, 0x00]) => {
                self.request(output);
                Ok(false)
            }
            (Step::Authentication, &[_, _]) => Err(ProxyError::CredentialsRefused),
            (Step::Reply, &[_, code]) if code != 0x00 => Err(ProxyError::Socks(SocksReply::of(code))),
            (Step::Reply, &[_, _, _, kind]) if !matches!(kind, 0x01 | 0x03 | 0x04) => {
                Err(ProxyError::Malformed("the type of its address is unknown (RFC 1928 section 6)"))
            }
            (Step::Reply, _) => Ok(self.wanted() == 0),
            (Step::Method | Step::Authentication, _) => Ok(false),
        }
    }

    /// Goes on with the method that the proxy has chosen.
    fn authenticate(&mut self, method: u8, output: &mut Vec<u8>) -> Result<(), ProxyError> {
        match (method, &self.credentials) {
            (NO_AUTHENTICATION, _) => self.request(output),
            (PASSWORD, Some(credentials)) => {
                output.push(PASSWORD_VERSION);
                for text in [&credentials.user, &credentials.password] {
                    // `Proxy::parse` has checked the lengths.
                    output.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
                    output.extend_from_slice(text);
                }
                self.await_answer(Step::Authentication);
            }
            (NO_METHOD, None) => return Err(ProxyError::AuthenticationRequired),
            (NO_METHOD, Some(_)) => return Err(ProxyError::AuthenticationUnsupported),
            _ => return Err(ProxyError::Malformed("it chose a method that was not offered (RFC 1928 section 3)")),
        }
        Ok(())
    }

    /// Asks for the target (RFC 1928 section 4).
    fn request(&mut self, output: &mut Vec<u8>) {
        output.extend_from_slice(&[VERSION, CONNECT, 0x00]);
        self.target.write_socks(output);
        self.await_answer(Step::Reply);
    }

    fn await_answer(&mut self, step: Step) {
        self.step = step;
        self.received.clear();
    }
}

/// Checks the first byte of an answer.
const fn check_version(version: u8) -> Result<(), ProxyError> {
    match version {
        VERSION => Ok(()),
        // RFC 9112 section 4: `HTTP/1.1 400`.
        b'H' => Err(ProxyError::Malformed("it is HTTP: write http:// before the proxy's host")),
        _ => Err(ProxyError::Malformed("its version is not SOCKS5 (RFC 1928 section 3)")),
    }
}

/// Returns the length of a reply (RFC 1928 section 6), or the part of it that says how long it is: up to the byte after the
/// type of the address, which is the length of a name.
const fn reply_len(received: &[u8]) -> usize {
    match received {
        [_, _, _, 0x01, ..] => 4 + 4 + 2,
        [_, _, _, 0x03, len, ..] => 4 + 1 + *len as usize + 2,
        [_, _, _, 0x04, ..] => 4 + 16 + 2,
        _ => 5,
    }
}
