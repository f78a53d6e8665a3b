//! Text from the network for a terminal: nothing in it may steer the terminal or turn its writing around.

/// Whether a character could do something to a terminal or to the reader's eye: controls (C0, DEL, C1), line and paragraph
/// separators, marks that turn the direction of writing, and marks without width.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}')
}

/// The text with such characters written out, like `\u{1b}`.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if steers(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Octets as text for one line: UTF-8, or else Latin-1; escaped.
pub(super) fn line(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => escaped(text),
        Err(_) => escaped(&octets.iter().copied().map(char::from).collect::<String>()),
    }
}

/// The text, or its beginning and `…`, in so many characters.
pub(super) fn shortened(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let kept = text.chars().take(characters.saturating_sub(1));
    kept.chain((characters > 0).then_some('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_steers_a_terminal_is_written_out() {
        assert_eq!(escaped("a\x1b[2Jb\rc\n\u{9b}31m\u{202e}ë•"), "a\\u{1b}[2Jb\\rc\\n\\u{9b}31m\\u{202e}ë•");
        assert_eq!(line(b"caf\xe9\x1b\x07"), "café\\u{1b}\\u{7}");
        assert_eq!((shortened("abcdef", 4).as_str(), shortened("abcd", 4).as_str()), ("abc…", "abcd"));
    }

    proptest! {
        #[test]
        fn whatever_the_octets_no_character_steers(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!line(&octets).chars().any(steers));
        }
    }
}
