//! The lexical rules of RFC 3261 §25.1 that the readers share. A field value is handed over as it stood on the
//! wire: folding is still in it, so a CR or LF inside a value is white space (the scanner has already recorded
//! a bare one as a defect).

/// Linear white space, folding included (`LWS`).
pub(super) const fn is_lws(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// `token` characters.
pub(super) const fn is_token(octet: u8) -> bool {
    TOKEN[octet as usize]
}

/// `unreserved`: may stand in a URI without an escape.
pub(super) const fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(octet, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
}

static TOKEN: [bool; 256] = token_table();

const fn token_table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut octet = 0u8;
    while octet < 128 {
        table[octet as usize] = octet.is_ascii_alphanumeric()
            || matches!(octet, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        octet += 1;
    }
    table
}

/// Whether `text` is one non-empty token.
pub(super) fn is_token_text(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_token)
}

/// `text` without white space at its start.
pub(super) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_lws(*first)
    {
        text = rest;
    }
    text
}

/// `text` without white space at its end.
pub(super) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., last] = text
        && is_lws(*last)
    {
        text = rest;
    }
    text
}

/// `text` without white space at either end.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    trim_end(trim_start(text))
}

/// Splits at the first octet for which `stop` holds; the second part starts with it (or is empty).
pub(super) fn split_where(text: &[u8], stop: impl FnMut(&u8) -> bool) -> (&[u8], &[u8]) {
    let at = text.iter().position(stop).unwrap_or(text.len());
    text.split_at_checked(at).unwrap_or((text, &[]))
}

/// The octets before and after the first `separator`.
pub(super) fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    match split_where(text, |octet| *octet == separator) {
        (before, [_, after @ ..]) => Some((before, after)),
        _ => None,
    }
}

/// `text` starts with `"`: the quoted string with its quotes, and what follows. `None` when it is not closed.
pub(super) fn split_quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return text.split_at_checked(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Decimal digits only, at least one, no sign; `None` also when the number exceeds `u32`.
/// Leading zeros are allowed (RFC 4475 §3.1.1.1 has `Max-Forwards: 0068`).
pub(super) fn number(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u32, |sum, octet| match octet {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u32::from(octet - b'0')),
        _ => None,
    })
}

/// The elements of a comma-separated field value: commas in quoted strings and in angle brackets do not
/// separate. Elements come trimmed and may be empty; a quote left open swallows the rest, which no reader of
/// an element accepts.
#[derive(Debug, Clone)]
pub(super) struct Elements<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Elements<'a> {
    pub(super) const fn of(value: &'a [u8]) -> Self {
        Self { rest: Some(value) }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
        for (at, octet) in rest.iter().enumerate() {
            match octet {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' if !bracketed => quoted = !quoted,
                b'<' if !quoted => bracketed = true,
                b'>' if !quoted => bracketed = false,
                b',' if !quoted && !bracketed => {
                    self.rest = rest.get(at + 1..);
                    return Some(trim(rest.get(..at)?));
                }
                _ => {}
            }
        }
        Some(trim(rest))
    }
}
