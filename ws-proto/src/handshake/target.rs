//! Request targets and resource names (RFC 9112 section 3.2, RFC 6455 section 3).

use super::{HandshakeError, MAX_TARGET_LEN, authority::Authority, field::ByteSet};

/// A request target.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestTarget<'h> {
    /// The target as it was received.
    pub(super) text: &'h str,
    /// The authority of a target in absolute form, with the port of its scheme unless it names another.
    pub(super) authority: Option<Authority<'h>>,
    pub(super) path: &'h str,
    pub(super) query: Option<&'h str>,
}

impl<'h> RequestTarget<'h> {
    /// Parses the target of a request with this method.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::TargetTooLong`], [`HandshakeError::MethodNotAllowed`] for CONNECT, or
    /// [`HandshakeError::Target`].
    pub(super) fn parse(method: &str, text: &'h str) -> Result<Self, HandshakeError> {
        match (method, text) {
            _ if text.len() > MAX_TARGET_LEN => Err(HandshakeError::TargetTooLong),
            // The target of CONNECT is a host, which is for proxies.
            ("CONNECT", _) => Err(HandshakeError::MethodNotAllowed),
            ("OPTIONS", "*") => Ok(Self { text, authority: None, path: text, query: None }),
            _ if !text.bytes().all(is_target_byte) => Err(HandshakeError::Target),
            _ if text.starts_with('/') => Ok(Self::origin_form(text, text, None)),
            _ => Self::absolute_form(text).ok_or(HandshakeError::Target),
        }
    }

    fn origin_form(text: &'h str, resource: &'h str, authority: Option<Authority<'h>>) -> Self {
        let (path, query) = match resource.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (resource, None),
        };
        // §3: the resource name of an empty path is "/".
        let path = if path.is_empty() { "/" } else { path };
        Self { text, authority, path, query }
    }

    fn absolute_form(text: &'h str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let rest = rest.strip_prefix("//")?;
        let default_port = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => 80,
            _ if scheme.eq_ignore_ascii_case("https") => 443,
            _ => return None,
        };
        let (host, resource) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
        let mut authority = Authority::parse(host)?;
        authority.port.get_or_insert(default_port);
        Some(Self::origin_form(text, resource, Some(authority)))
    }
}

/// Returns whether `text` is a resource name: a path with an optional query.
pub(super) fn is_resource_name(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(is_target_byte)
}

/// Returns whether `byte` may stand in a target: every visible character except those that both RFC 3986 and
/// browsers encode. Browsers leave some characters as they are that RFC 3986 does not have, such as `|` and a `%`
/// that encodes nothing. They are opaque here.
const fn is_target_byte(byte: u8) -> bool {
    const TARGET: ByteSet = ByteSet::alphanumeric().with(b"!$%&'()*+,-./:;=?@[\\]^_`{|}~");
    TARGET.contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_split_into_their_parts() {
        // R4.2.1-10, R9112-8, R3-2
        for (text, host, path, query) in [
            ("/", None, "/", None),
            ("/a/b?c?d/e", None, "/a/b", Some("c?d/e")),
            ("//evil.example/", None, "//evil.example/", None),
            ("/?", None, "/", Some("")),
            ("http://a", Some(("a", 80)), "/", None),
            ("HTTPS://a:1/b", Some(("a:1", 1)), "/b", None),
            ("https://[::1]?q", Some(("[::1]", 443)), "/", Some("q")),
            ("/a|b^%zz{}", None, "/a|b^%zz{}", None),
        ] {
            let target = RequestTarget::parse("GET", text).unwrap();
            let authority = target.authority.map(|authority| (authority.text, authority.port.unwrap()));
            assert_eq!((authority, target.path, target.query), (host, path, query), "{text}");
        }
        assert_eq!(RequestTarget::parse("OPTIONS", "*").unwrap().path, "*");
    }

    #[test]
    fn a_malformed_target_is_refused() {
        // R3-1
        for text in [
            "",
            "*",
            "a",
            "a.example:80",
            "/#f",
            "/a b",
            "/ä",
            "/\"",
            "/<",
            "http://",
            "http:///a",
            "http://u@a/",
            "http://a:99999/",
            "http:/a",
            "ftp://a/",
            "ws://a/",
            "?q",
        ] {
            assert_eq!(RequestTarget::parse("GET", text).unwrap_err(), HandshakeError::Target, "{text}");
        }
        assert_eq!(RequestTarget::parse("CONNECT", "a:80").unwrap_err(), HandshakeError::MethodNotAllowed);
    }
}
