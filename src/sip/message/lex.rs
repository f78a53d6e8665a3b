//! The lexical rules of RFC 3261 §25.1 that the readers share. A field value is handed over as it stood on the
//! wire: folding is still in it, so a CR or LF inside a value is white space (the scanner has already recorded
//! a bare one as a defect).

/// Sets of characters, each a bit, so that one table answers for all of them.
pub(super) mod class {
    /// `token`.
    pub const TOKEN: u8 = 1;
    /// `unreserved`: may stand in a URI without an escape.
    pub const UNRESERVED: u8 = 1 << 1;
    /// `paramchar` of a URI but for the escapes.
    pub const URI_PARAMETER: u8 = 1 << 2;
    /// User part and password. `#` must be escaped by the grammar, yet telephones send it bare in dialled
    /// strings; octets from 0x80 on are let through because nothing is gained by refusing the call.
    pub const USER: u8 = 1 << 3;
    /// `hnv-unreserved` and what joins headers in a URI.
    pub const URI_HEADER: u8 = 1 << 4;
    /// What may stand unquoted after the `=` of a parameter: a token, a host, or what URIs allow there. Octets
    /// from 0x80 on are let through, since some stacks put bare UTF-8 or Latin-1 here and nothing of it is
    /// interpreted.
    pub const VALUE: u8 = 1 << 5;
    /// A display name without quotes: tokens, the white space between them, and octets from 0x80 on, since bare
    /// Latin-1 and UTF-8 names are common and harmless.
    pub const DISPLAY: u8 = 1 << 6;
    /// A domain name. `_` is not in RFC 3261's grammar but in the names of real hosts.
    pub const HOST: u8 = 1 << 7;
}

/// Whether `octet` is in one of the sets of `class`.
pub(super) const fn is(octet: u8, class: u8) -> bool {
    CLASSES[octet as usize] & class != 0
}

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        table[at] = classes_of(at as u8);
        at += 1;
    }
    table
}

const fn classes_of(octet: u8) -> u8 {
    use class::{DISPLAY, HOST, TOKEN, UNRESERVED, URI_HEADER, URI_PARAMETER, USER, VALUE};
    match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => 0xff,
        b'-' | b'.' | b'_' => 0xff,
        b'!' | b'~' | b'*' | b'\'' => !HOST,
        b'(' | b')' => UNRESERVED | URI_PARAMETER | USER | URI_HEADER | VALUE,
        b'%' | b'`' => TOKEN | VALUE | DISPLAY,
        b'+' => TOKEN | URI_PARAMETER | USER | URI_HEADER | VALUE | DISPLAY,
        b'[' | b']' | b':' => URI_PARAMETER | URI_HEADER | VALUE,
        b'/' | b'$' => URI_PARAMETER | USER | URI_HEADER | VALUE,
        b'&' => URI_PARAMETER | USER | URI_HEADER | VALUE,
        b'=' | b'?' => USER | URI_HEADER,
        b',' | b';' | b'#' => USER,
        b' ' | b'\t' | b'\r' | b'\n' => DISPLAY,
        0x80.. => USER | VALUE | DISPLAY,
        _ => 0,
    }
}

/// Linear white space, folding included (`LWS`).
pub(super) const fn is_lws(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// `token` characters.
pub(super) const fn is_token(octet: u8) -> bool {
    is(octet, class::TOKEN)
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
        let mut at = 0;
        // Jumps from one telling character to the next.
        while let Some(tail) = rest.get(at..)
            && let Some(found) = tail.iter().position(|octet| matches!(octet, b',' | b'"' | b'<'))
        {
            let (before, tail) = tail.split_at_checked(found)?;
            at += before.len();
            let taken = match tail {
                [b'"', ..] => split_quoted(tail).map(|(quoted, _)| quoted.len()),
                [b'<', ..] => tail.iter().position(|octet| *octet == b'>'),
                _ => {
                    self.rest = tail.get(1..);
                    return Some(trim(rest.get(..at)?));
                }
            };
            match taken {
                Some(octets) => at += octets,
                None => break,
            }
        }
        Some(trim(rest))
    }
}

/// Where the first CR or LF stands; the length where there is none. Looks at blocks first, which the compiler
/// turns into a few instructions each.
pub(super) fn find_line_end(text: &[u8]) -> usize {
    const BLOCK: usize = 32;
    let ends_line = |octet: &u8| matches!(octet, b'\r' | b'\n');
    let plain = |block: &&[u8]| !block.iter().fold(false, |found, octet| found | ends_line(octet));
    let skipped = text.chunks_exact(BLOCK).take_while(plain).count() * BLOCK;
    let rest = text.get(skipped..).unwrap_or_default();
    skipped + rest.iter().position(ends_line).unwrap_or(rest.len())
}
