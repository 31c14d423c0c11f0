//! Which pages may open a connection (RFC 6455 section 10.2).

use super::authority::Authority;

/// Which pages may open a connection (RFC 6455 section 10.2).
///
/// A browser lets every page open a WebSocket to every host and sends the user's cookies along; only the
/// server can tell its own pages from others, by the field Origin. A request without Origin does not come from a
/// browser and is admitted by every policy; one from an opaque origin (`null`) or from several is admitted by
/// [`AllowAny`](Self::AllowAny) alone. Fields that proxies add are never looked at.
///
/// Programs that are not browsers can write what they like: no policy replaces authentication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginPolicy<'a> {
    /// Pages of the host and the port that the request is for.
    ///
    /// Names are compared without regard to ASCII case and to one dot at the end. A missing port is the
    /// default of the origin's scheme; a Host without a port matches both 80 and 443, since nobody here knows
    /// whether the connection is encrypted. Behind a proxy that rewrites Host, use [`Allow`](Self::Allow); so
    /// too for services on a local network, whose Host a page could choose by rebinding its own name.
    #[default]
    SameHost,
    /// Pages of these origins (`https://example.com`), or of these hosts whatever the scheme
    /// (`example.com:8080`; without a port, 80 and 443).
    Allow(&'a [&'a str]),
    /// Any page of any site: for public services that neither cookies nor the network's borders guard.
    AllowAny,
}

impl OriginPolicy<'_> {
    /// Whether the page at `origin` may open a connection to `host`.
    pub(super) fn admits(&self, origin: &str, host: &Authority<'_>) -> bool {
        match self {
            Self::AllowAny => true,
            Self::SameHost => {
                is_exactly_at(origin, host) || Origin::parse(origin).is_some_and(|origin| origin.is_at(host))
            }
            Self::Allow(entries) => {
                Origin::parse(origin).is_some_and(|origin| entries.iter().any(|entry| origin.matches(entry)))
            }
        }
    }
}

/// Whether `origin` is at `host`, told by what browsers send: the same letters.
fn is_exactly_at(origin: &str, host: &Authority<'_>) -> bool {
    host.port.is_none() && matches!(origin.strip_suffix(host.text), Some("http://" | "https://"))
}

/// `scheme "://" host [ ":" port ]` (RFC 6454 section 6.2).
#[derive(Clone, Copy)]
struct Origin<'h> {
    scheme: &'h str,
    authority: Authority<'h>,
}

impl<'h> Origin<'h> {
    fn parse(text: &'h str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let authority = rest.strip_prefix("//")?;
        let mut bytes = scheme.bytes();
        let valid = bytes.next()?.is_ascii_alphabetic()
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        Some(Self { scheme: Some(scheme).filter(|_| valid)?, authority: Authority::parse(authority)? })
    }

    fn port(&self) -> Option<u16> {
        let default = || match self.scheme {
            scheme if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("ws") => Some(80),
            scheme if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss") => Some(443),
            _ => None,
        };
        self.authority.port.or_else(default)
    }

    /// Whether this is an origin at `host`.
    fn is_at(&self, host: &Authority<'_>) -> bool {
        let same_port = match (self.port(), host.port) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (Some(ours), None) => ours == 80 || ours == 443,
            (None, _) => false,
        };
        same_port && self.authority.same_host(host)
    }

    /// Whether an entry of an allow-list means this origin.
    fn matches(&self, entry: &str) -> bool {
        if let Some(entry) = Origin::parse(entry) {
            return self.scheme.eq_ignore_ascii_case(entry.scheme)
                && self.port() == entry.port()
                && self.authority.same_host(&entry.authority);
        }
        Authority::parse(entry).is_some_and(|host| self.is_at(&host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(policy: OriginPolicy<'_>, origin: &str, host: &str) -> bool {
        policy.admits(origin, &Authority::parse(host).unwrap())
    }

    #[test]
    fn same_host_compares_host_and_port() {
        // R10.2-1
        for (origin, host, expected) in [
            ("http://example.com", "example.com", true),
            ("https://example.com", "example.com", true),
            ("https://EXAMPLE.com", "example.com.", true),
            ("https://example.com", "example.com:443", true),
            ("http://example.com", "example.com:443", false),
            ("http://example.com:8080", "example.com", false),
            ("http://example.com:8080", "example.com:8080", true),
            ("http://example.com", "example.com:8080", false),
            ("http://[::1]:9001", "[0::1]:9001", true),
            ("http://evil.example", "example.com", false),
            ("http://example.com.evil.example", "example.com", false),
            ("app://example.com", "example.com", false),
            ("null", "null", false),
            ("http://example.com http://example.com", "example.com", false),
            ("http://example.com/", "example.com", false),
            ("http://user@example.com", "example.com", false),
            ("", "example.com", false),
        ] {
            assert_eq!(admits(OriginPolicy::SameHost, origin, host), expected, "{origin} at {host}");
        }
        // As a target says it that begins with http://example.com.
        let mut host = Authority::parse("example.com").unwrap();
        host.port = Some(80);
        assert!(OriginPolicy::SameHost.admits("http://example.com", &host));
        assert!(!OriginPolicy::SameHost.admits("https://example.com", &host));
    }

    #[test]
    fn an_allow_list_has_origins_and_hosts() {
        let policy =
            OriginPolicy::Allow(&["https://example.com", "other.example:81", "third.example", "app://id"]);
        for (origin, expected) in [
            ("https://example.com", true),
            ("https://example.com:443", true),
            ("http://example.com", false),
            ("http://other.example:81", true),
            ("http://other.example", false),
            ("http://third.example", true),
            ("https://third.example", true),
            ("https://third.example:8443", false),
            ("app://id", true),
            ("null", false),
        ] {
            assert_eq!(admits(policy, origin, "internal"), expected, "{origin}");
        }
        assert!(!admits(OriginPolicy::Allow(&["null", "*", ""]), "null", "null"));
    }

    #[test]
    fn any_origin_has_to_be_asked_for() {
        assert_eq!(OriginPolicy::default(), OriginPolicy::SameHost);
        assert!(admits(OriginPolicy::AllowAny, "null", "a"));
    }
}
