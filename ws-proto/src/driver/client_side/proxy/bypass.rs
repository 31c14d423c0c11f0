//! The list of hosts that are reached without a proxy.

use std::{borrow::ToOwned, net::IpAddr, string::String, vec::Vec};

use crate::{
    driver::client_side::server_url::without_brackets,
    handshake::{is_name_below, is_same_name},
};

/// The hosts of a variable `no_proxy`.
#[derive(Clone, Debug, Default)]
pub(super) struct Bypass {
    has_all: bool,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug)]
enum Hosts {
    /// A name and all names below it.
    Domain(String),
    /// The addresses whose first bits are the same, as many as the number says.
    Network(IpAddr, u32),
}

impl Bypass {
    /// Parses a list. Entries that are not valid match no host.
    pub(super) fn parse(list: &str) -> Self {
        let entries = list.split([',', ' ', '\t']).filter_map(Entry::parse).collect();
        Self { has_all: list.trim() == "*", entries }
    }

    /// Returns whether a host is in the list.
    pub(super) fn has(&self, host: &str, port: u16) -> bool {
        let address = without_brackets(host).parse().ok();
        let has = |entry: &Entry| entry.port.is_none_or(|own| own == port) && entry.hosts.has(host, address);
        self.has_all || self.entries.iter().any(has)
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if let Some((network, bits)) = text.split_once('/') {
            let address: IpAddr = without_brackets(network).parse().ok()?;
            let bits = bits.parse().ok().filter(|&bits| bits <= address_bits(address))?;
            return Some(Self { hosts: Hosts::Network(address, bits), port: None });
        }
        if let Some(hosts) = Hosts::address(text) {
            return Some(Self { hosts, port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let hosts = Hosts::address(host).or_else(|| Hosts::domain(host))?;
        Some(Self { hosts, port })
    }
}

impl Hosts {
    fn address(text: &str) -> Option<Self> {
        let address = without_brackets(text).parse().ok()?;
        Some(Self::Network(address, address_bits(address)))
    }

    fn domain(text: &str) -> Option<Self> {
        let name = text.strip_prefix('.').unwrap_or(text);
        (!name.is_empty()).then(|| Self::Domain(name.to_owned()))
    }

    /// Returns whether a host, which is `address` if it is one, is among these.
    fn has(&self, host: &str, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::Network(network, bits), Some(address)) => same_start(*network, address, *bits),
            (Self::Domain(domain), None) => is_same_name(host, domain) || is_name_below(host, domain),
            (Self::Network(..), None) | (Self::Domain(_), Some(_)) => false,
        }
    }
}

/// Returns whether the first `bits` bits of two addresses are the same (RFC 4632 section 3.1).
fn same_start(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    let difference = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
        (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
        _ => return false,
    };
    difference.leading_zeros() >= bits
}

const fn address_bits(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row: the list, the host, its port, and whether the host is reached without a proxy. The rules are those that curl
    /// documents for `NO_PROXY` (its manual, section ENVIRONMENT; CURLOPT_NOPROXY), unless the row says otherwise.
    const ROWS: &[(&str, &str, u16, bool)] = &[
        // An empty list has no host.
        ("", "example.com", 443, false),
        (" , ,", "example.com", 443, false),
        // An asterisk alone is for all hosts, addresses too.
        ("*", "example.com", 443, true),
        ("*", "192.0.2.1", 80, true),
        ("*", "::1", 80, true),
        // Blanks around it are ignored (in curl, they make it a list).
        (" * ", "example.com", 443, true),
        // It is the only wildcard, and none inside a list or a name.
        ("localhost,*", "example.com", 443, false),
        ("*.example.com", "www.example.com", 443, false),
        ("exam*", "example.com", 443, false),
        // An entry matches the name itself.
        ("example.com", "example.com", 443, true),
        ("localhost", "localhost", 80, true),
        ("example.com", "example.org", 443, false),
        // It matches the names below it, at any depth.
        ("example.com", "www.example.com", 443, true),
        ("example.com", "a.b.example.com", 443, true),
        ("com", "example.com", 443, true),
        // It matches at the boundary of a label only.
        ("example.com", "notexample.com", 443, false),
        ("ample.com", "www.example.com", 443, false),
        ("ample.com", "ample.com.org", 443, false),
        // A name does not match the domains above it.
        ("www.example.com", "example.com", 443, false),
        ("www.example.com", "www2.example.com", 443, false),
        // A dot at the start changes nothing.
        (".example.com", "www.example.com", 443, true),
        (".example.com", "example.com", 443, true),
        (".example.com", "notexample.com", 443, false),
        (".", "example.com", 443, false),
        // A dot at the end changes nothing, on either side.
        ("example.com.", "www.example.com", 443, true),
        ("example.com", "example.com.", 443, true),
        (".example.com.", "www.example.com.", 443, true),
        // Case does not matter.
        ("EXAMPLE.com", "www.Example.COM", 443, true),
        // Commas and blanks stand between entries, any number of them.
        ("localhost,example.com", "example.com", 443, true),
        ("localhost, \texample.com ", "example.com", 443, true),
        ("localhost,,, ,example.com,", "example.com", 443, true),
        // Blanks alone do too, as in curl 7.88.
        ("localhost example.com", "example.com", 443, true),
        // An entry without a port is for all ports.
        ("local.com", "local.com", 80, true),
        ("local.com", "local.com", 8_443, true),
        // An entry with a port is for this port (not in curl, where it matches nothing).
        ("example.com:8443", "www.example.com", 8_443, true),
        ("example.com:8443", "example.com", 443, false),
        ("192.0.2.1:80", "192.0.2.1", 80, true),
        ("192.0.2.1:80", "192.0.2.1", 443, false),
        ("[::1]:80", "::1", 80, true),
        ("[::1]:80", "::1", 443, false),
        ("example.com:", "example.com", 443, false),
        ("example.com:99999", "example.com", 443, false),
        // An address matches itself, not those that begin or end with it.
        ("127.0.0.1", "127.0.0.1", 80, true),
        ("192.168.0.1", "192.168.0.11", 80, false),
        ("0.0.1", "127.0.0.1", 80, false),
        ("192.168.0.0", "192.168.0.1", 80, false),
        // A name does not match an address, nor an address a name.
        ("localhost", "127.0.0.1", 80, false),
        ("127.0.0.1", "localhost", 80, false),
        ("127.0.0.1", "x.127.0.0.1.example.com", 80, false),
        // IPv6 addresses have no brackets in the list. They are accepted all the same.
        ("example.com,::1,localhost", "::1", 80, true),
        ("::1", "[::1]", 80, true),
        ("[::1]", "::1", 80, true),
        ("::1", "::2", 80, false),
        // They are compared as addresses.
        ("0:0::1", "::1", 80, true),
        ("2001:DB8::A", "2001:db8:0:0::a", 80, true),
        // CIDR, since curl 7.86: the first bits count.
        ("192.168.0.0/16", "192.168.255.1", 80, true),
        ("192.168.0.0/16", "192.169.0.1", 80, false),
        ("192.168.0.0/24", "192.168.1.1", 80, false),
        ("192.168.0.1/31", "192.168.0.0", 80, true),
        ("192.168.0.0/32", "192.168.0.1", 80, false),
        ("192.168.0.1/32", "192.168.0.1", 80, true),
        ("foo, bar, 10.0.0.0/8", "10.9.8.7", 80, true),
        ("2001:db8::/32", "2001:db8:1::1", 80, true),
        ("2001:db8::/33", "2001:db8:8000::1", 80, false),
        ("fe80::/10", "febf::1", 80, true),
        ("[2001:db8::]/32", "2001:db8::1", 80, true),
        // No bits are all addresses of the family (in curl, the address itself).
        ("10.0.0.1/0", "192.0.2.1", 80, true),
        ("10.0.0.1/0", "::1", 80, false),
        ("::/0", "2001:db8::1", 80, true),
        // A prefix of another family or over its length matches nothing, nor does one that is no number (curl ignores such a
        // one).
        ("0.0.0.0/0", "::1", 80, false),
        ("192.168.0.1/33", "192.168.0.1", 80, false),
        ("::1/129", "::1", 80, false),
        ("192.168.0.1/", "192.168.0.1", 80, false),
        ("192.168.0.1/x", "192.168.0.1", 80, false),
        ("192.168.0.1/-1", "192.168.0.1", 80, false),
        // A network of a name is none.
        ("example.com/8", "example.com", 80, false),
        // An invalid entry does not spoil the others.
        ("192.168.0.1/33,[,:,example.com", "example.com", 80, true),
    ];

    // K-no-proxy
    #[test]
    fn the_rules_of_no_proxy_are_those_of_curl() {
        for &(list, host, port, expected) in ROWS {
            assert_eq!(Bypass::parse(list).has(host, port), expected, "no_proxy={list:?}, {host} port {port}");
        }
    }
}
