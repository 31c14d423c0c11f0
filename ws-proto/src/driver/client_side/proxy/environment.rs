use std::{env, string::String};

use super::{Proxy, ProxyError, bypass::Bypass};

/// The proxies that the environment names, as curl reads it.
///
/// | variables, the first that is set and not empty | used for |
/// |---|---|
/// | `wss_proxy`, `WSS_PROXY`, `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` | `wss` |
/// | `ws_proxy`, `WS_PROXY`, `http_proxy`, `HTTP_PROXY`, `all_proxy`, `ALL_PROXY` | `ws` |
/// | `no_proxy`, `NO_PROXY` | hosts that are reached without a proxy |
///
/// `HTTP_PROXY` is ignored if `REQUEST_METHOD` is set: the program then runs behind a web server by CGI (RFC 3875), where the
/// client's header field `Proxy` becomes this variable ("httpoxy"). curl never reads it.
///
/// `no_proxy` is `*`, for all hosts, or a list with commas or blanks between its entries:
///
/// | entry | hosts |
/// |---|---|
/// | `example.com`, `.example.com` | this name and all names below it, without regard to case and to a dot at the end |
/// | `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]` | this address, however it is written |
/// | `192.0.2.0/24`, `2001:db8::/32` | the addresses with the same first bits |
/// | any of these, except those with `/`, and `:port` (IPv6 in brackets) | the same, if the server's port is this one |
///
/// Names are not resolved for this: an address in the list does not stand for the names that have it. curl knows no entries
/// with ports, which match nothing there.
///
/// ```
/// use ws_proto::driver::ProxyEnvironment;
///
/// let environment = ProxyEnvironment::new(|name| match name {
///     "https_proxy" => Some("http://proxy.example:3128".to_owned()),
///     "no_proxy" => Some("localhost,.internal".to_owned()),
///     _ => None,
/// });
/// let proxy = environment.proxy_for(true, "example.com", 443)?;
/// assert_eq!(proxy.map(|proxy| proxy.port()), Some(3128));
/// assert_eq!(environment.proxy_for(true, "chat.internal", 443)?, None);
/// assert_eq!(environment.proxy_for(false, "example.com", 80)?, None);
/// # Ok::<(), ws_proto::driver::ProxyError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProxyEnvironment {
    secure: Setting,
    plain: Setting,
    bypass: Bypass,
}

/// The value of a variable, if one is set. The error is kept for the connections that need the proxy.
type Setting = Option<Result<Proxy, ProxyError>>;

impl ProxyEnvironment {
    /// Reads the variables by `lookup`, each at most once.
    pub fn new(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| lookup(name).filter(|value| !value.is_empty()));
        let for_all = first(&["all_proxy", "ALL_PROXY"]);
        let is_cgi = lookup("REQUEST_METHOD").is_some();
        let for_http: &[&str] = if is_cgi { &["http_proxy"] } else { &["http_proxy", "HTTP_PROXY"] };
        let secure = first(&["wss_proxy", "WSS_PROXY", "https_proxy", "HTTPS_PROXY"]);
        let plain = first(&["ws_proxy", "WS_PROXY"]).or_else(|| first(for_http));
        let setting = |own: Option<String>| own.as_ref().or(for_all.as_ref()).map(|url| Proxy::parse(url));
        let bypass = Bypass::parse(&first(&["no_proxy", "NO_PROXY"]).unwrap_or_default());
        Self { secure: setting(secure), plain: setting(plain), bypass }
    }

    /// Reads the variables of this process. Later changes of them have no effect.
    #[must_use]
    pub fn from_env() -> Self {
        // A value that is not Unicode becomes one that does not parse: without its proxy, nothing may be sent.
        Self::new(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Returns the proxy for a server; `None`: it is reached without one. `is_secure`: its scheme is `wss`. `host` is a name or
    /// an address, with or without brackets.
    ///
    /// # Errors
    ///
    /// [`ProxyError::InvalidUrl`]: the variable that counts is not the URL of a proxy.
    pub fn proxy_for(&self, is_secure: bool, host: &str, port: u16) -> Result<Option<Proxy>, ProxyError> {
        let setting = if is_secure { &self.secure } else { &self.plain };
        match setting {
            Some(proxy) if !self.bypass.has(host, port) => proxy.clone().map(Some),
            Some(_) | None => Ok(None),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use std::{borrow::ToOwned, format, string::ToString};

    use super::*;

    type Variables<'v> = &'v [(&'v str, &'v str)];

    fn environment(variables: Variables<'_>) -> ProxyEnvironment {
        ProxyEnvironment::new(|name| {
            variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned())
        })
    }

    /// Returns the host of the proxy for `wss` and of that for `ws`.
    fn hosts(variables: Variables<'_>) -> [Option<String>; 2] {
        let environment = environment(variables);
        [true, false].map(|is_secure| {
            let proxy = environment.proxy_for(is_secure, "example.com", 9_000).unwrap();
            proxy.map(|proxy| proxy.host_name().to_string())
        })
    }

    // K-no-proxy
    #[test]
    fn each_scheme_has_its_variables_in_their_order() {
        let cases: [(Variables<'_>, Option<&str>, Option<&str>); 16] = [
            (&[], None, None),
            (&[("https_proxy", "a")], Some("a"), None),
            (&[("HTTPS_PROXY", "a")], Some("a"), None),
            // Lower case has precedence.
            (&[("HTTPS_PROXY", "b"), ("https_proxy", "a")], Some("a"), None),
            (&[("HTTP_PROXY", "b"), ("http_proxy", "a")], None, Some("a")),
            (&[("http_proxy", "a")], None, Some("a")),
            (&[("HTTP_PROXY", "a")], None, Some("a")),
            // Under CGI, upper case is a header field of the client. Its lower case is not.
            (&[("HTTP_PROXY", "a"), ("REQUEST_METHOD", "GET")], None, None),
            (&[("http_proxy", "a"), ("REQUEST_METHOD", "")], None, Some("a")),
            (&[("HTTP_PROXY", "a"), ("ALL_PROXY", "b"), ("REQUEST_METHOD", "GET")], Some("b"), Some("b")),
            // ALL_PROXY is for what has no variable of its own.
            (&[("all_proxy", "a"), ("ALL_PROXY", "b")], Some("a"), Some("a")),
            (&[("ALL_PROXY", "b"), ("https_proxy", "a")], Some("a"), Some("b")),
            // An empty variable is none.
            (&[("https_proxy", ""), ("HTTPS_PROXY", "a")], Some("a"), None),
            (&[("https_proxy", ""), ("ALL_PROXY", "b")], Some("b"), Some("b")),
            // A variable for the scheme itself has precedence.
            (&[("wss_proxy", "a"), ("https_proxy", "b")], Some("a"), None),
            (&[("WS_PROXY", "a"), ("http_proxy", "b")], None, Some("a")),
        ];
        for (variables, secure, plain) in cases {
            assert_eq!(hosts(variables), [secure, plain].map(|host| host.map(str::to_owned)), "{variables:?}");
        }
    }

    // K-no-proxy
    #[test]
    fn hosts_of_no_proxy_need_none_even_if_the_proxy_is_invalid() {
        let environment = environment(&[("https_proxy", "ftp://proxy"), ("NO_PROXY", "localhost")]);
        assert_eq!(environment.proxy_for(true, "localhost", 443), Ok(None));
        assert!(matches!(environment.proxy_for(true, "example.com", 443), Err(ProxyError::InvalidUrl(_))));
        assert_eq!(environment.proxy_for(false, "example.com", 80), Ok(None));
    }

    #[test]
    fn an_empty_no_proxy_gives_way_to_that_in_upper_case() {
        let environment = environment(&[("all_proxy", "proxy"), ("no_proxy", ""), ("NO_PROXY", "localhost")]);
        assert_eq!(environment.proxy_for(true, "localhost", 443), Ok(None));
    }

    #[test]
    fn credentials_of_the_environment_are_not_shown() {
        let environment =
            environment(&[("all_proxy", "http://somebody:secret@proxy"), ("http_proxy", "http://x:secret@")]);
        let shown = format!("{environment:?}");
        assert!(!shown.contains("secret") && !shown.contains("somebody"), "{shown}");
    }
}
