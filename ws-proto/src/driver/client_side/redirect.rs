//! Answers that send a client to another URL (RFC 6455 section 4.1, RFC 9110 section 15.4).

use std::str;

use url::Url;

use super::{RedirectError, ServerUrl, server_url::scheme_of};

/// The fields that belong to the origin that they were made for.
const FIELDS_OF_ORIGIN: [&str; 4] = ["Authorization", "Cookie", "Host", "Proxy-Authorization"];

/// The redirects of one try to connect.
///
/// A redirect leads only to `ws`, `wss`, `http` and `https`, of which the last two stand for the first two, and never from
/// TLS to a plain transport. A fragment is dropped.
///
/// ```
/// use ws_proto::driver::{Redirects, ServerUrl};
///
/// let mut redirects = Redirects::new(5);
/// let url = ServerUrl::parse("ws://example.com/chat")?;
/// let next = redirects.follow(&url, 301, Some(b"https://example.com/chat/"))?.expect("301 is followed");
/// assert!(next.is_secure() && next.resource() == "/chat/");
/// // The scheme is part of the origin.
/// assert!(!redirects.keeps_field("Cookie") && redirects.keeps_field("User-Agent"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Redirects {
    limit: u16,
    followed: u16,
    has_left_origin: bool,
}

impl Redirects {
    /// Allows `limit` redirects. They end loops too. With 0, none is followed, and none is an error.
    #[must_use]
    pub const fn new(limit: u16) -> Self {
        Self { limit, followed: 0, has_left_origin: false }
    }

    /// Returns the URL that an answer leads to, given its status and its field Location; `None`: the answer is not a redirect
    /// to follow, but a refusal as any other. `from` is the URL of the request.
    ///
    /// # Errors
    ///
    /// The answer is a redirect that may not be followed.
    pub fn follow(
        &mut self,
        from: &ServerUrl,
        status: u16,
        location: Option<&[u8]>,
    ) -> Result<Option<ServerUrl>, RedirectError> {
        // RFC 9110 section 15.4: 300 leaves the choice to the user, 304 is about caches. All others keep the method GET.
        if self.limit == 0 || !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = location.ok_or(RedirectError::NoLocation)?;
        let next = target(from.as_url(), location)?;
        if from.is_secure() && next.scheme() == "ws" {
            return Err(RedirectError::Downgrade);
        }
        if self.followed >= self.limit {
            return Err(RedirectError::TooMany);
        }
        self.followed += 1;
        self.has_left_origin |= next.origin() != from.as_url().origin();
        Ok(Some(from.redirected(next)))
    }

    /// Returns whether the credentials of the first request may be sent with the next one. They may not after a redirect to
    /// another origin, which is a scheme, a host and a port (RFC 6454 section 4), nor after one from there back.
    #[must_use]
    pub const fn keeps_credentials(&self) -> bool {
        !self.has_left_origin
    }

    /// Returns whether a field of the first request may be sent with the next one: Authorization, Cookie, Host and
    /// Proxy-Authorization belong to an origin, all others do not (RFC 9110 section 15.4).
    #[must_use]
    pub fn keeps_field(&self, name: &str) -> bool {
        self.keeps_credentials() || !FIELDS_OF_ORIGIN.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// Returns the URL in a field Location, which may be relative to that of the request (RFC 9110 section 10.2.2), with the
/// scheme `ws` or `wss`.
fn target(from: &Url, location: &[u8]) -> Result<Url, RedirectError> {
    const INVALID: RedirectError = RedirectError::InvalidLocation("it does not parse");
    let location = str::from_utf8(location).map_err(|_| INVALID)?;
    let mut url = from.join(location).map_err(|_| INVALID)?;
    url.set_fragment(None);
    const OTHER: RedirectError = RedirectError::InvalidLocation("its scheme is none of ws, wss, http and https");
    let scheme = scheme_of(&url).ok_or(OTHER)?;
    url.set_scheme(scheme).map_err(|()| INVALID)?;
    // A server must not make the client send credentials of the server's choice. A relative URL has those of the request.
    let has_own = !url.username().is_empty() || url.password().is_some();
    let has_those_of_request =
        url.origin() == from.origin() && (url.username(), url.password()) == (from.username(), from.password());
    if has_own && !has_those_of_request {
        return Err(RedirectError::InvalidLocation("it has credentials"));
    }
    if url.origin() == from.origin() {
        url.set_username(from.username())
            .and_then(|()| url.set_password(from.password()))
            .map_err(|()| INVALID)?;
    }
    Ok(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use std::{format, string::String};

    use super::{
        RedirectError::{Downgrade, InvalidLocation, NoLocation, TooMany},
        *,
    };

    fn url(text: &str) -> ServerUrl {
        ServerUrl::parse(text).unwrap()
    }

    /// Returns the URL that a redirect leads to, and whether the credentials are kept.
    fn followed(from: &str, location: &str) -> Result<(String, bool), RedirectError> {
        let mut redirects = Redirects::new(1);
        let next = redirects.follow(&url(from), 302, Some(location.as_bytes()))?.unwrap();
        Ok((next.as_url().as_str().into(), redirects.keeps_credentials()))
    }

    // K-redirect
    #[test]
    fn locations_are_followed_and_keep_credentials_within_an_origin() {
        for (from, location, expected, keeps) in [
            // Relative: path, query, host.
            ("ws://a/x/y?q", "z", "ws://a/x/z", true),
            ("ws://a/x/y?q", "../z?r", "ws://a/z?r", true),
            ("ws://a/x/y?q", "/z", "ws://a/z", true),
            ("ws://a/x/y?q", "?r", "ws://a/x/y?r", true),
            ("ws://a/x/y?q", "", "ws://a/x/y?q", true),
            ("wss://a/x", "//b/y", "wss://b/y", false),
            ("wss://a/x", "//a/y", "wss://a/y", true),
            // Absolute, with the schemes of HTTP as aliases.
            ("ws://a/", "ws://a/x", "ws://a/x", true),
            ("ws://a/", "http://a/x", "ws://a/x", true),
            ("ws://a/", "HTTP://A:80/x", "ws://a/x", true),
            ("ws://a:443/", "http://a:443/x", "ws://a:443/x", true),
            ("wss://a/", "https://a:443/x", "wss://a/x", true),
            ("wss://a:80/", "https://a:80/x", "wss://a:80/x", true),
            // Another scheme, host or port is another origin.
            ("ws://a/", "wss://a/", "wss://a/", false),
            ("ws://a/", "https://a/", "wss://a/", false),
            ("ws://a:8080/", "wss://a:8080/", "wss://a:8080/", false),
            ("ws://a/", "ws://a:8080/", "ws://a:8080/", false),
            ("ws://a.example/", "ws://b.a.example/", "ws://b.a.example/", false),
            ("ws://a/", "http://[::1]/", "ws://[::1]/", false),
            // Credentials of the request stay with relative locations.
            ("ws://u:p@a/x", "/y", "ws://u:p@a/y", true),
            ("ws://u:p@a/x", "ws://a/y", "ws://u:p@a/y", true),
            ("ws://u:p@a/x", "//b/y", "ws://b/y", false),
            // The fragment is dropped, and what is not ASCII is escaped.
            ("ws://a/", "/x#y", "ws://a/x", true),
            ("ws://a/", "/\u{fc}", "ws://a/%C3%BC", true),
        ] {
            assert_eq!(followed(from, location), Ok((expected.into(), keeps)), "{from} {location}");
        }
    }

    // K-redirect
    #[test]
    fn a_zone_and_a_unix_socket_stay_within_their_origin() {
        for (from, location, resolved, socket) in [
            ("ws://[fe80::1%25eth0]/", "/x", "fe80::1%eth0", None),
            ("ws://[fe80::1%25eth0]/", "http://[fe80::1]/x", "fe80::1%eth0", None),
            ("ws://[fe80::1%25eth0]/", "ws://[fe80::1]:81/x", "fe80::1", None),
            ("ws+unix:/run/a:/", "/x", "localhost", Some("/run/a")),
            ("ws+unix:/run/a:/", "ws://localhost/x", "localhost", Some("/run/a")),
            ("ws+unix:/run/a:/", "ws://b/x", "b", None),
        ] {
            let next = Redirects::new(1).follow(&url(from), 302, Some(location.as_bytes())).unwrap().unwrap();
            assert_eq!(next.resolved_name(), resolved, "{from} {location}");
            assert_eq!(next.unix_socket(), socket.map(std::path::Path::new), "{from} {location}");
        }
    }

    // K-redirect
    #[test]
    fn locations_that_may_not_be_followed_are_named() {
        const SCHEME: RedirectError = InvalidLocation("its scheme is none of ws, wss, http and https");
        const CREDENTIALS: RedirectError = InvalidLocation("it has credentials");
        for (from, location, error) in [
            ("wss://a/", "ws://a/", Downgrade),
            ("wss://a/", "http://a/", Downgrade),
            ("wss://a/", "ws://b:443/", Downgrade),
            ("ws://a/", "ftp://a/", SCHEME),
            ("ws://a/", "file:///etc/passwd", SCHEME),
            ("ws://a/", "javascript:x", SCHEME),
            ("ws://a/", "unix:/run/x", SCHEME),
            ("wss://a/", "data:,x", SCHEME),
            ("ws://a/", "ws://user:pw@a/", CREDENTIALS),
            ("ws://a/", "//user@b/", CREDENTIALS),
            ("ws://a/", "http://:pw@a/", CREDENTIALS),
            ("ws://a/", "http://", InvalidLocation("it does not parse")),
            ("ws://a/", "ws://a:99999/", InvalidLocation("it does not parse")),
        ] {
            assert_eq!(followed(from, location), Err(error), "{from} {location}");
        }
        let mut redirects = Redirects::new(1);
        assert_eq!(redirects.follow(&url("ws://a"), 302, None).unwrap_err(), NoLocation);
        let location = Some(&b"/\xFF"[..]);
        assert_eq!(
            redirects.follow(&url("ws://a"), 302, location).unwrap_err(),
            InvalidLocation("it does not parse")
        );
    }

    #[test]
    fn five_statuses_are_redirects_and_all_others_are_refusals() {
        for status in 0..=999 {
            let next = Redirects::new(1).follow(&url("ws://a"), status, Some(b"/x"));
            let is_followed = next.unwrap().is_some();
            assert_eq!(is_followed, [301, 302, 303, 307, 308].contains(&status), "{status}");
            let ignored = Redirects::new(0).follow(&url("wss://a"), status, Some(b"ws://a"));
            assert!(ignored.unwrap().is_none(), "{status}");
        }
    }

    // K-redirect
    #[test]
    fn a_loop_ends_at_the_limit() {
        let (mut redirects, mut at) = (Redirects::new(20), url("ws://a/x"));
        for location in ["/y", "/x"].iter().cycle().take(20) {
            at = redirects.follow(&at, 307, Some(location.as_bytes())).unwrap().unwrap();
        }
        assert_eq!(redirects.follow(&at, 307, Some(b"/y")).unwrap_err(), TooMany);
        assert_eq!(redirects.follow(&at, 307, Some(b"/y")).unwrap_err(), TooMany);
    }

    // K-redirect
    #[test]
    fn credentials_are_not_sent_again_after_the_way_back() {
        let mut redirects = Redirects::new(5);
        let first = url("wss://a/");
        assert!(redirects.keeps_credentials());
        let mut at = first;
        for location in ["/x", "wss://b/", "/x", "wss://a/", "/x"] {
            at = redirects.follow(&at, 302, Some(location.as_bytes())).unwrap().unwrap();
            let is_first = redirects.followed == 1;
            assert_eq!(redirects.keeps_credentials(), is_first, "{location}");
        }
    }

    // K-redirect
    #[test]
    fn fields_of_an_origin_stay_there() {
        let mut redirects = Redirects::new(5);
        let fields = ["Authorization", "cookie", "HOST", "proxy-authorization"];
        assert!(fields.iter().all(|name| redirects.keeps_field(name)));
        redirects.follow(&url("wss://a/"), 302, Some(b"wss://b/")).unwrap();
        assert!(!fields.iter().any(|name| redirects.keeps_field(name)));
        assert!(["User-Agent", "X-Cookie", "Origin"].iter().all(|name| redirects.keeps_field(name)));
    }

    #[test]
    fn each_error_is_one_line() {
        for error in [NoLocation, InvalidLocation("x"), Downgrade, TooMany] {
            let shown = format!("{error}");
            assert!(
                shown.starts_with(|first: char| first.is_ascii_lowercase()) && !shown.ends_with('.'),
                "{shown}"
            );
        }
    }
}
