//! The last gate before text leaves by a log or an event line: whatever a message from the network brought, one record is
//! one line, and no control character in it is anything but text.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// `line` with its control characters escaped, as `\x1b`, `\r` or `\u{9b}`; a line end at its very end stays. Besides ASCII's
/// these are C1, which some terminals obey, and those that turn the direction of text or end a line in Unicode.
pub(super) fn escaped(line: &str) -> Cow<'_, str> {
    let (body, end) = match line.strip_suffix('\n') {
        Some(body) => (body, "\n"),
        None => (line, ""),
    };
    if !body.chars().any(is_control) {
        return Cow::Borrowed(line);
    }
    let mut clean = String::with_capacity(line.len() + 16);
    for c in body.chars() {
        match c {
            '\r' => clean.push_str("\\r"),
            '\n' => clean.push_str("\\n"),
            '\t' => clean.push_str("\\t"),
            // Writing to a String cannot fail.
            c if c.is_ascii() && is_control(c) => drop(write!(clean, "\\x{:02x}", u32::from(c))),
            c if is_control(c) => drop(write!(clean, "{}", c.escape_unicode())),
            c => clean.push(c),
        }
    }
    clean.push_str(end);
    Cow::Owned(clean)
}

/// As [`escaped`], for JSON, where the escapes are JSON's own. What is left of the rest of a record is as it was: a
/// control character can only stand in a string.
pub(super) fn escaped_json(line: &str) -> Cow<'_, str> {
    let (body, end) = match line.strip_suffix('\n') {
        Some(body) => (body, "\n"),
        None => (line, ""),
    };
    if !body.chars().any(is_control) {
        return Cow::Borrowed(line);
    }
    let mut clean = String::with_capacity(line.len() + 16);
    for c in body.chars() {
        match is_control(c) {
            // All of them are of the basic plane.
            true => drop(write!(clean, "\\u{:04x}", u32::from(c))),
            false => clean.push(c),
        }
    }
    clean.push_str(end);
    Cow::Owned(clean)
}

const fn is_control(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// Writes records, each with one `write`, and cleans them.
#[derive(Debug)]
pub(super) struct CleanWriter<W> {
    out: W,
    escape: fn(&str) -> Cow<'_, str>,
}

impl<W: Write> CleanWriter<W> {
    /// For lines for people.
    pub(super) fn text(out: W) -> Self {
        Self { out, escape: escaped }
    }

    /// For JSON lines.
    pub(super) fn json(out: W) -> Self {
        Self { out, escape: escaped_json }
    }
}

impl<W: Write> Write for CleanWriter<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        self.out.write_all((self.escape)(&text).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_is_one_line_without_control_characters() {
        assert_eq!(escaped("plain ë %n\n"), "plain ë %n\n");
        assert!(matches!(escaped("plain\n"), Cow::Borrowed(_)));
        assert_eq!(
            escaped("a\r\nINFO b\x1b[31m\x07\x7f\0\t\n"),
            "a\\r\\nINFO b\\x1b[31m\\x07\\x7f\\x00\\t\n"
        );
        assert_eq!(escaped("\u{9b}31m \u{202e}\u{2028}"), "\\u{9b}31m \\u{202e}\\u{2028}");
    }

    #[test]
    fn json_stays_json() {
        let said = "x\u{7f}\u{9b}\u{202e}\u{1}\r\n";
        let line = serde_json::to_string(said).unwrap() + "\n";
        let clean = escaped_json(&line);
        assert_eq!(clean, "\"x\\u007f\\u009b\\u202e\\u0001\\r\\n\"\n");
        assert_eq!(serde_json::from_str::<String>(&clean).unwrap(), said);
    }

    #[test]
    fn a_writer_takes_records_whole() {
        let mut text = CleanWriter::text(Vec::new());
        text.write_all(b"a\nb\xff\x1b\n").unwrap();
        assert_eq!(text.out, "a\\nb\u{fffd}\\x1b\n".as_bytes());
        let mut json = CleanWriter::json(Vec::new());
        json.write_all("\"\u{9b}\"\n".as_bytes()).unwrap();
        assert_eq!(json.out, b"\"\\u009b\"\n");
    }
}
