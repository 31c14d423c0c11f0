//! Hosts and ports (RFC 3986 section 3.2).

use core::net::Ipv6Addr;

use super::field::ByteSet;
use crate::part::sure;

/// A host with an optional port, `uri-host [ ":" port ]`, as in the field Host, in targets and in origins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Authority<'h> {
    /// The authority as it was received.
    pub(super) text: &'h str,
    host: Host<'h>,
    pub(super) port: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
enum Host<'h> {
    /// A name or an IPv4 address.
    Name(&'h str),
    Ipv6(Ipv6Addr),
}

impl<'h> Authority<'h> {
    /// Parses the whole of `text`. User information is not allowed: HTTP does not accept it (RFC 9110 section
    /// 4.2.4).
    pub(super) fn parse(text: &'h str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(literal) => {
                let (address, port) = literal.split_once(']')?;
                (Host::Ipv6(address.parse().ok()?), port)
            }
            None => {
                let (name, port) = text.split_at_checked(reg_name_len(text)?)?;
                (Host::Name(Some(name).filter(|name| !name.is_empty())?), port)
            }
        };
        Some(Self { text, host, port: parse_port(port)? })
    }

    /// Returns whether both name the same host, without regard to the ports.
    pub(super) fn same_host(&self, other: &Authority<'_>) -> bool {
        match (self.host, other.host) {
            (Host::Name(a), Host::Name(b)) => is_same_name(a, b),
            (Host::Ipv6(a), Host::Ipv6(b)) => a == b,
            (Host::Name(_), Host::Ipv6(_)) | (Host::Ipv6(_), Host::Name(_)) => false,
        }
    }
}

impl Authority<'_> {
    /// Returns whether this is a name below that of `other`, at any depth, without regard to the ports.
    pub(super) fn is_below(&self, other: &Authority<'_>) -> bool {
        let (Host::Name(name), Host::Name(domain)) = (self.host, other.host) else { return false };
        is_name_below(name, domain)
    }

    /// Returns whether other names can be below this one: it is not an address.
    pub(super) fn is_domain(&self) -> bool {
        let Host::Name(name) = self.host else { return false };
        // Browsers take a host that ends in a number for an IPv4 address, or for invalid.
        let last = sure(without_root(name).as_bytes().rsplit(|&byte| byte == b'.').next());
        !last.is_empty() && !last.iter().all(u8::is_ascii_digit)
    }
}

/// Returns whether two names are the same, without regard to case and to the dot of the root.
pub(crate) fn is_same_name(one: &str, other: &str) -> bool {
    without_root(one).eq_ignore_ascii_case(without_root(other))
}

/// Returns whether `name` is below `domain` at any depth, without regard to case and to the dot of the root.
pub(crate) fn is_name_below(name: &str, domain: &str) -> bool {
    let (name, domain) = (without_root(name), without_root(domain));
    let split = name.len().checked_sub(domain.len()).and_then(|at| name.split_at_checked(at));
    split.is_some_and(|(below, end)| {
        end.eq_ignore_ascii_case(domain) && below.strip_suffix('.').is_some_and(|below| !below.is_empty())
    })
}

/// Returns `name` without the dot that stands for the root of the name system.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Parses the port after a host: empty, or a colon and any number of digits.
fn parse_port(text: &str) -> Option<Option<u16>> {
    if matches!(text, "" | ":") {
        return Some(None);
    }
    let digits = text.strip_prefix(':')?;
    // The standard parser would accept a sign.
    let valid = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| valid).map(Some)
}

/// Returns the length of the registered name (RFC 3986 section 3.2.2) or IPv4 address at the start of `text`, or
/// `None` if a percent-encoding is malformed.
fn reg_name_len(text: &str) -> Option<usize> {
    const NAME: ByteSet = ByteSet::alphanumeric().with(b"-._~!$&'()*+,;=");
    let bytes = text.as_bytes();
    let mut len = 0;
    while let Some(&byte) = bytes.get(len) {
        len += match byte {
            _ if NAME.contains(byte) => 1,
            b'%' if bytes.get(len + 1..len + 3)?.iter().all(u8::is_ascii_hexdigit) => 3,
            b'%' => return None,
            _ => break,
        };
    }
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_split() {
        // R9112-6
        for (text, port) in [
            ("example.com", None),
            ("example.com:", None),
            ("example.com:80", Some(80)),
            ("example.com:00080", Some(80)),
            ("127.0.0.1:65535", Some(65_535)),
            ("[::1]", None),
            ("[::ffff:127.0.0.1]:443", Some(443)),
            ("a%2Db.example", None),
            ("x_y.example.", None),
        ] {
            assert_eq!(Authority::parse(text).map(|authority| authority.port), Some(port), "{text}");
        }
    }

    #[test]
    fn a_malformed_host_is_refused() {
        for text in [
            "",
            ":80",
            "a b",
            "a/b",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:-1",
            "a:+1",
            "u@a",
            "a?b",
            "a#b",
            "[::1",
            "::1",
            "[::1]80",
            "[]",
            "[1.2.3.4]",
            "[fe80::1%25eth0]",
            "[v1.x]",
            "a%2",
            "a%zz",
            "a\\b",
            "ä",
            "<a>",
            "a,b c",
        ] {
            assert!(Authority::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn hosts_are_compared_as_names_or_addresses() {
        let same = |a: &str, b: &str| Authority::parse(a).unwrap().same_host(&Authority::parse(b).unwrap());
        assert!(same("Example.COM", "example.com.:80"));
        assert!(same("[0:0::1]", "[::1]:1"));
        assert!(!same("example.com..", "example.com"));
        assert!(!same("example.com", "example.org"));
        assert!(!same("[::1]", "127.0.0.1"));
    }

    #[test]
    fn names_below_a_domain_are_at_any_depth_but_not_the_domain() {
        let below = |a: &str, b: &str| Authority::parse(a).unwrap().is_below(&Authority::parse(b).unwrap());
        for name in ["a.example.com", "A.B.EXAMPLE.com.", "a.example.com:81"] {
            assert!(below(name, "example.com"), "{name}");
        }
        for name in ["example.com", ".example.com", "notexample.com", "example.com.evil", "com", "[::1]"] {
            assert!(!below(name, "example.com"), "{name}");
        }
        for (name, expected) in [
            ("example.com", true),
            ("localhost", true),
            ("10.0.0.1", false),
            ("[::1]", false),
            ("a.7.", false),
            (".", false),
        ] {
            assert_eq!(Authority::parse(name).unwrap().is_domain(), expected, "{name}");
        }
    }
}
