//! The pages that may open a connection (RFC 6455 section 10.2).

use core::fmt;

use super::authority::Authority;

/// A policy for the pages that may open a connection (RFC 6455 section 10.2).
///
/// A browser lets every page open a WebSocket to every host and sends the user's cookies along. Only the server
/// can distinguish its own pages from others, by the field Origin. A request without Origin does not come from a
/// browser and is admitted by every policy; a request with several origins is admitted by
/// [`AllowAny`](Self::AllowAny) alone. Fields that proxies add are not considered.
///
/// Programs that are not browsers can send any Origin: no policy replaces authentication.
///
/// ws-std and ws-tokio re-export it, as `ws_std::OriginPolicy` and `ws_tokio::OriginPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginPolicy<'a> {
    /// Pages of the host and the port that the request is for.
    ///
    /// Names are compared without regard to ASCII case and to one dot at the end. A missing port in the origin is
    /// the default of its scheme. A Host without a port matches both 80 and 443, since the server does not know
    /// here whether the connection is encrypted. Use [`allow`](Self::allow) behind a proxy that rewrites Host, and
    /// for services on a local network, whose Host a page could choose by rebinding its own name.
    #[default]
    SameHost,
    /// Pages of the origins and hosts of a list, made by [`allow`](Self::allow).
    Allow(AllowList<'a>),
    /// Any page of any site: for public services that do not rely on cookies, or on being reachable from one network only.
    AllowAny,
}

/// A list of origins and hosts, each of which some page can have; see [`OriginPolicy::allow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowList<'a> {
    entries: &'a [&'a str],
}

impl<'a> OriginPolicy<'a> {
    /// Creates a policy that admits the pages of these origins and hosts.
    ///
    /// | entry | admits |
    /// |---|---|
    /// | `https://example.com` | that scheme, host and port; a missing port is the scheme's default |
    /// | `https://*.example.com` | the same for every host below `example.com` at any depth, but not itself |
    /// | `example.com:8080` | that host and port, whatever the scheme; without a port, 80 and 443 |
    /// | `*.example.com` | the same for every host below it |
    /// | `null`, `file://`, `app://id` | exactly that; `null` is what every sandboxed page and many local ones send |
    ///
    /// Names are compared as for [`SameHost`](Self::SameHost).
    ///
    /// ```
    /// use ws_proto::server::OriginPolicy;
    ///
    /// let policy = OriginPolicy::allow(&["https://example.com", "https://*.example.com"])?;
    /// // No page's origin has a path.
    /// let error = OriginPolicy::allow(&["https://example.com", "https://example.com/"]).unwrap_err();
    /// assert_eq!(error.index(), 1);
    /// # Ok::<(), ws_proto::server::InvalidEntry>(())
    /// ```
    ///
    /// # Errors
    ///
    /// An entry admits no origin that a page can have.
    pub fn allow(entries: &'a [&'a str]) -> Result<Self, InvalidEntry> {
        match entries.iter().position(|entry| Entry::parse(entry).is_none()) {
            None => Ok(Self::Allow(AllowList { entries })),
            Some(index) => Err(InvalidEntry { index }),
        }
    }

    /// Returns whether the page at `origin` may open a connection to `host`.
    pub(super) fn admits(&self, origin: &str, host: &Authority<'_>) -> bool {
        match self {
            Self::AllowAny => true,
            Self::SameHost => {
                is_exactly_at(origin, host) || Origin::parse(origin).is_some_and(|origin| origin.is_at(host))
            }
            Self::Allow(list) => {
                list.entries.iter().filter_map(|entry| Entry::parse(entry)).any(|entry| entry.admits(origin))
            }
        }
    }
}

/// The error for an entry of an allow-list that admits no origin of any page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvalidEntry {
    index: usize,
}

impl InvalidEntry {
    /// Returns the index of the entry in the list.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }
}

impl fmt::Display for InvalidEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} of the allow-list (from 0) is no page's origin (RFC 6454 section 6.2)", self.index)
    }
}

impl core::error::Error for InvalidEntry {}

/// An entry of an allow-list.
#[derive(Clone, Copy)]
enum Entry<'e> {
    /// Exactly this text.
    Literal(&'e str),
    At {
        /// The scheme, or `None` for any.
        scheme: Option<&'e str>,
        authority: Authority<'e>,
        /// Set if the entry admits the hosts below the authority, and not the authority itself.
        below: bool,
    },
}

impl<'e> Entry<'e> {
    /// Parses an entry. Returns `None` if it admits no origin of any page.
    fn parse(entry: &'e str) -> Option<Self> {
        let (scheme, host) = match split_scheme(entry) {
            Some((scheme, host)) => (Some(scheme).filter(|scheme| is_scheme(scheme)).map(Some)?, host),
            None if entry == "null" => return Some(Self::Literal(entry)),
            None => (None, entry),
        };
        if scheme.is_some_and(|scheme| default_port(scheme).is_none()) {
            // The origin of an application, whose host may be empty.
            let valid = host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/*".contains(&byte));
            return valid.then_some(Self::Literal(entry));
        }
        let (below, host) = host.strip_prefix("*.").map_or((false, host), |domain| (true, domain));
        let authority = Authority::parse(host).filter(|authority| !below || authority.is_domain())?;
        (!host.contains('*')).then_some(Self::At { scheme, authority, below })
    }

    /// Returns whether the entry admits `origin`.
    fn admits(&self, origin: &str) -> bool {
        let (scheme, authority, below) = match *self {
            Self::Literal(entry) => return entry == origin,
            Self::At { scheme, authority, below } => (scheme, authority, below),
        };
        let Some(origin) = Origin::parse(origin) else { return false };
        let same_port = match scheme {
            Some(scheme) => {
                scheme.eq_ignore_ascii_case(origin.scheme)
                    && authority.port.or_else(|| default_port(scheme)) == origin.port()
            }
            None => origin.is_at_port(authority.port),
        };
        let host = &origin.authority;
        same_port && if below { host.is_below(&authority) } else { host.same_host(&authority) }
    }
}

/// Returns whether `origin` has literally the same host as `host`, as browsers send it: a fast path.
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
        let (scheme, authority) = split_scheme(text)?;
        is_scheme(scheme).then_some(())?;
        Some(Self { scheme, authority: Authority::parse(authority)? })
    }

    /// Returns the port, or the default of the scheme.
    fn port(&self) -> Option<u16> {
        self.authority.port.or_else(|| default_port(self.scheme))
    }

    /// Returns whether this is an origin at `host`.
    fn is_at(&self, host: &Authority<'_>) -> bool {
        self.is_at_port(host.port) && self.authority.same_host(host)
    }

    /// Returns whether this is an origin at `port`, or at a default port if `port` is `None`.
    fn is_at_port(&self, port: Option<u16>) -> bool {
        match (self.port(), port) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (Some(ours), None) => ours == 80 || ours == 443,
            (None, _) => false,
        }
    }
}

/// Returns the parts before and after `://`, or `None` if the first colon is not part of it.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    Some((scheme, rest.strip_prefix("//")?))
}

/// Returns whether `text` is a scheme (RFC 3986 section 3.1).
fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Returns the default port of a scheme, or `None` if the scheme is not known.
fn default_port(scheme: &str) -> Option<u16> {
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    match () {
        () if is("http") || is("ws") => Some(80),
        () if is("https") || is("wss") => Some(443),
        () => None,
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
        // The authority of a target that begins with http://example.com.
        let mut host = Authority::parse("example.com").unwrap();
        host.port = Some(80);
        assert!(OriginPolicy::SameHost.admits("http://example.com", &host));
        assert!(!OriginPolicy::SameHost.admits("https://example.com", &host));
    }

    #[test]
    fn an_allow_list_has_origins_and_hosts() {
        let entries = ["https://example.com", "other.example:81", "third.example", "app://id", "null", "file://"];
        let policy = OriginPolicy::allow(&entries).unwrap();
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
            ("app://other", false),
            ("null", true),
            ("file://", true),
            ("file:///", false),
            ("", false),
        ] {
            assert_eq!(admits(policy, origin, "internal"), expected, "{origin}");
        }
        assert!(!admits(OriginPolicy::allow(&["example.com"]).unwrap(), "null", "null"));
    }

    #[test]
    fn an_allow_list_has_all_hosts_below_a_domain() {
        let policy = OriginPolicy::allow(&["https://*.example.com", "*.other.example:81"]).unwrap();
        for (origin, expected) in [
            ("https://a.example.com", true),
            ("https://a.b.EXAMPLE.com:443", true),
            ("https://example.com", false),
            ("https://*.example.com", true),
            ("https://notexample.com", false),
            ("https://a.example.com.evil.example", false),
            ("http://a.example.com", false),
            ("https://a.example.com:8443", false),
            ("http://a.other.example:81", true),
            ("https://a.other.example:81", true),
            ("http://a.other.example", false),
        ] {
            assert_eq!(admits(policy, origin, "internal"), expected, "{origin}");
        }
    }

    #[test]
    fn an_entry_that_no_page_can_match_is_an_error() {
        for entry in [
            "",
            "*",
            "*.",
            "*.*.example.com",
            "a.*.example.com",
            "https://*",
            "https://a*.example.com",
            "*.10.0.0.1",
            "*.[::1]",
            "https://example.com/",
            "https://example.com/chat",
            "https://me@example.com",
            "https://",
            "http:/example.com",
            "1http://example.com",
            "://example.com",
            "example.com/",
            "example.com:http",
            "https://exämple.com",
            "file:///home",
            "app://a b",
            "app://*",
        ] {
            let error = OriginPolicy::allow(&["example.com", entry]).unwrap_err();
            assert_eq!(error.index(), 1, "{entry}");
            assert!(std::string::ToString::to_string(&error).contains("(RFC 6454 section 6.2)"));
        }
    }

    #[test]
    fn any_origin_is_admitted_only_on_request() {
        assert_eq!(OriginPolicy::default(), OriginPolicy::SameHost);
        assert!(admits(OriginPolicy::AllowAny, "null", "a"));
    }
}
