//! Foreign text and errors for a terminal, also in the examples.

use core::error::Error;

/// Returns a foreign text for a terminal. Characters that control a terminal or are invisible are escaped.
#[allow(dead_code, reason = "some programs show no text of others")]
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => escaped.extend(character.escape_default()),
            _ if is_plain(character) => escaped.push(character),
            _ => escaped.extend(character.escape_unicode()),
        }
    }
    escaped
}

/// Returns whether a character is visible and stays in its place: it is no control character, has a width and does not
/// change the direction of text.
#[allow(dead_code, reason = "some programs show no text of others")]
pub(crate) fn is_plain(character: char) -> bool {
    let is_hidden = matches!(
        character,
        '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
    );
    !character.is_control() && !is_hidden
}

/// Returns an error and its sources in one line.
pub(crate) fn explained(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
