//! Names, texts and queries of users, cleaned.

use std::str::FromStr;

use sha1::{Digest, Sha1};
use url::form_urlencoded;

use crate::{log::Place, program::is_plain};

/// The longest name in characters.
const LONGEST_NAME: usize = 32;
/// The longest text in characters.
const LONGEST_TEXT: usize = 1_000;
/// The longest name of a room, and of an author, in bytes.
const LONGEST_KEY: usize = 64;

/// Returns the value of a key in a query.
pub(crate) fn value_of(query: Option<&str>, key: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find(|(found, _)| found == key).map(|(_, value)| value.into_owned())
}

/// Returns the value of a key in a query, or the default if it has none.
pub(crate) fn parsed<X: FromStr + Default>(query: Option<&str>, key: &str) -> X {
    value_of(query, key).and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// Returns the name that a user has chosen in a query, cut and cleaned; "guest" if none is left.
pub(crate) fn name_in(query: Option<&str>) -> String {
    let name: String = plain(&value_of(query, "name").unwrap_or_default()).chars().take(LONGEST_NAME).collect();
    if name.is_empty() { "guest".into() } else { name }
}

/// Returns the id of an author in a query, if it is one.
pub(crate) fn author_in(query: Option<&str>) -> Option<String> {
    value_of(query, "author").filter(|author| is_key(author))
}

/// Returns the place of a client's last request, or of its last connection.
pub(crate) fn place_in(query: Option<&str>) -> Place {
    Place { epoch: value_of(query, "epoch").unwrap_or_default(), position: parsed(query, "at") }
}

/// Returns whether a text can name a room or an author: letters, digits, `-` and `_`.
pub(crate) fn is_key(text: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(is_known)
}

/// Returns the name under which others see an author. The id itself is a secret: who knows it can use up its numbers.
pub(crate) fn shown(author: &str) -> String {
    Sha1::digest(author)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a text without characters that are invisible or change how others are shown.
pub(crate) fn plain(text: &str) -> String {
    let text = text.replace('\t', " ");
    let plain: String = text.chars().filter(|&character| is_plain(character)).take(LONGEST_TEXT).collect();
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_lines_have_no_characters_that_deceive() {
        let hidden = "a\u{1b}\u{202E}\u{2066}\u{200E}\u{061C}\u{200B}\u{2060}\u{FEFF}\r\n\u{85}b\tc ";
        assert_eq!(plain(hidden), "ab c");
        assert_eq!(plain(&"x".repeat(5_000)).len(), LONGEST_TEXT);
        assert_eq!(shown("an author"), shown("an author"));
        assert_ne!(shown("an author"), shown("another"));
        assert_eq!(plain("Grüße, 世界 🦀"), "Grüße, 世界 🦀");
        assert_eq!(name_in(Some("x=1&name=%E2%80%AEEve+")), "Eve");
        assert_eq!(name_in(Some(&format!("name={}", "x".repeat(100)))).len(), LONGEST_NAME);
        assert_eq!([name_in(None), name_in(Some("name=%E2%80%8B"))], ["guest", "guest"]);
    }

    #[test]
    fn rooms_and_authors_have_short_plain_names() {
        assert!(["lobby", "A-1_b", &"x".repeat(LONGEST_KEY)].iter().all(|text| is_key(text)));
        assert!(!["", "a b", "a/b", "ä", "{a}", &"x".repeat(LONGEST_KEY + 1)].iter().any(|text| is_key(text)));
    }
}
