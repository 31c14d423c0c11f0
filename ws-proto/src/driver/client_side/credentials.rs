//! A user name and a password from a URL.

use core::fmt;
use std::{format, string::String, vec::Vec};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use url::Url;

/// A user name and a password, which are never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: Vec<u8>,
    pub(super) password: Vec<u8>,
}

impl Credentials {
    /// Returns the credentials of a URL, percent-decoded (RFC 3986 section 2.1); `None` if it has none.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let (user, password) = (url.username(), url.password());
        let has_any = !user.is_empty() || password.is_some();
        has_any.then(|| Self { user: decoded(user), password: decoded(password.unwrap_or_default()) })
    }

    /// Returns the value of Authorization or Proxy-Authorization (RFC 7617 section 2).
    pub(super) fn basic(&self) -> String {
        let pair = [&self.user[..], b":", &self.password[..]].concat();
        format!("Basic {}", STANDARD.encode(pair))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// Decodes the escapes `%XX`. Any other `%` stands for itself, as WHATWG has it.
fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_other_percent_signs_stay() {
        for (text, expected) in [
            ("", &b""[..]),
            ("user", b"user"),
            ("%40", b"@"),
            ("a%3ab%3A", b"a:b:"),
            ("%00%ff", b"\x00\xFF"),
            ("%", b"%"),
            ("%4", b"%4"),
            ("%4g%+1", b"%4g%+1"),
            ("%%41", b"%A"),
            ("a+b", b"a+b"),
        ] {
            assert_eq!(decoded(text), expected, "{text}");
        }
    }

    #[test]
    fn basic_joins_user_and_password_by_a_colon() {
        // RFC 7617 section 2: the example.
        let url = Url::parse("http://Aladdin:open%20sesame@localhost").unwrap();
        assert_eq!(Credentials::of(&url).unwrap().basic(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(Credentials::of(&Url::parse("http://localhost").unwrap()), None);
        let only_user = Credentials::of(&Url::parse("http://user@localhost").unwrap()).unwrap();
        assert_eq!((only_user.user, only_user.password), (b"user".to_vec(), Vec::new()));
    }
}
