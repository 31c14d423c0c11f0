use core::fmt;
use std::{
    borrow::ToOwned,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    string::String,
    vec::Vec,
};

use super::ProxyError;
use crate::driver::client_side::server_url::without_brackets;

/// The longest name: SOCKS has one byte for its length (RFC 1928 section 5), and DNS has the same limit (RFC 1035).
const MAX_NAME_LEN: u8 = 255;

/// The host and the port that a proxy is asked for. Its text is the authority of a URL, with the port.
pub(super) struct Target {
    host: Host,
    port: u16,
}

enum Host {
    /// At most [`MAX_NAME_LEN`] bytes.
    Name(String),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
}

impl Target {
    /// Checks the host: an address, with or without brackets, or a name. Other text could end the line of a request.
    pub(super) fn new(host: &str, port: u16) -> Result<Self, ProxyError> {
        let host = match without_brackets(host).parse() {
            Ok(IpAddr::V4(address)) => Host::Ipv4(address),
            Ok(IpAddr::V6(address)) => Host::Ipv6(address),
            Err(_) => Host::Name(checked_name(host)?.to_owned()),
        };
        Ok(Self { host, port })
    }

    /// Appends type, address and port as in a request of SOCKS (RFC 1928 section 4).
    pub(super) fn write_socks(&self, output: &mut Vec<u8>) {
        match &self.host {
            Host::Ipv4(address) => {
                output.push(0x01);
                output.extend_from_slice(&address.octets());
            }
            Host::Name(name) => {
                output.extend_from_slice(&[0x03, u8::try_from(name.len()).unwrap_or(MAX_NAME_LEN)]);
                output.extend_from_slice(name.as_bytes());
            }
            Host::Ipv6(address) => {
                output.push(0x04);
                output.extend_from_slice(&address.octets());
            }
        }
        output.extend_from_slice(&self.port.to_be_bytes());
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Ipv4(address) => write!(f, "{address}:{}", self.port),
            Host::Ipv6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// Returns `name` if it can stand in an authority (RFC 3986 section 3.2.2) and is not too long.
fn checked_name(name: &str) -> Result<&str, ProxyError> {
    if name.is_empty() || name.len() > usize::from(MAX_NAME_LEN) {
        return Err(ProxyError::InvalidTarget("its name is empty or over 255 bytes"));
    }
    if !name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@:[]\\".contains(&byte)) {
        return Err(ProxyError::InvalidTarget("its name has a character that no name has"));
    }
    Ok(name)
}
