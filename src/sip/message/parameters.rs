//! `;name=value` lists: header field parameters and URI parameters.

use super::lex::{self, class};

/// Parameters that were found well formed. A name stands alone or has a value; a quoted value keeps its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters<'a> {
    raw: &'a [u8],
}

/// One parameter, as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Case-insensitive.
    pub name: &'a [u8],
    /// `None` where there is no `=`.
    pub value: Option<&'a [u8]>,
}

impl<'a> Parameters<'a> {
    /// No parameters.
    pub const NONE: Parameters<'static> = Parameters { raw: &[] };

    /// Header field parameters (`generic-param`): white space may stand around `;` and `=`. `raw` is empty or
    /// starts with `;`. `None` when any of it is not a parameter.
    pub(super) fn parse(raw: &'a [u8]) -> Option<Self> {
        let mut rest = lex::trim(raw);
        while !rest.is_empty() {
            (_, rest) = step(rest)?;
        }
        Some(Self { raw })
    }

    /// URI parameters (`uri-parameters`): no white space, no quoted strings, escapes checked.
    pub(super) fn parse_in_uri(raw: &'a [u8]) -> Option<Self> {
        let mut rest = raw;
        while let [b';', after @ ..] = rest {
            let (parameter, next) = lex::split_where(after, |octet| *octet == b';');
            let (name, value) = match lex::split_once(parameter, b'=') {
                Some((name, value)) => (name, Some(value)),
                None => (parameter, None),
            };
            let sound = |text: &[u8]| !text.is_empty() && escapes_are_whole(text, class::URI_PARAMETER);
            if !sound(name) || !value.is_none_or(sound) {
                return None;
            }
            rest = next;
        }
        rest.is_empty().then_some(Self { raw })
    }

    /// As on the wire, from the first `;`.
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Each parameter, in order.
    pub fn iter(&self) -> impl Iterator<Item = Parameter<'a>> + use<'a> {
        let mut rest = lex::trim(self.raw);
        std::iter::from_fn(move || {
            let (parameter, next) = step(rest)?;
            rest = next;
            Some(parameter)
        })
    }

    /// The first parameter called `name` (in any case).
    pub fn get(&self, name: &str) -> Option<Parameter<'a>> {
        self.iter().find(|parameter| parameter.name.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The value of the first parameter called `name`; `None` when it is absent or has no value.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.get(name)?.value
    }

    /// Whether there is a parameter called `name`.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Whether every octet is of `class` or part of a whole `%HH`.
pub(super) fn escapes_are_whole(text: &[u8], class: u8) -> bool {
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return true,
            [b'%', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            [octet, after @ ..] if lex::is(*octet, class) => after,
            _ => return false,
        };
    }
}

/// One parameter off the front of `rest`, which starts at its `;`.
fn step(rest: &[u8]) -> Option<(Parameter<'_>, &[u8])> {
    let [b';', after @ ..] = rest else { return None };
    // URI parameters may hold `/`, `&`, `$` … too; they were checked by their own, tighter rule.
    let (name, after) = lex::split_where(lex::trim_start(after), |octet| {
        !lex::is(*octet, class::TOKEN | class::URI_PARAMETER)
    });
    if name.is_empty() {
        return None;
    }
    let after = lex::trim_start(after);
    let [b'=', after @ ..] = after else {
        return Some((Parameter { name, value: None }, after));
    };
    let after = lex::trim_start(after);
    let (value, after) = match after {
        [b'"', ..] => lex::split_quoted(after)?,
        _ => lex::split_where(after, |octet| !lex::is(*octet, class::VALUE)),
    };
    if value.is_empty() {
        return None;
    }
    Some((Parameter { name, value: Some(value) }, lex::trim_start(after)))
}
