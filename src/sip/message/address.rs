//! `name-addr` and `addr-spec` with header field parameters: From, To, Contact, Route, Record-Route,
//! P-Asserted-Identity (RFC 3261 §20, §25.1).

use super::lex::{self, class};
use super::parameters::Parameters;
use super::uri::Uri;
use std::borrow::Cow;

/// An address with its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The whole value, trimmed.
    pub raw: &'a [u8],
    /// As on the wire: tokens, or a quoted string with its quotes. Empty where there is none.
    pub display: &'a [u8],
    /// Without angle brackets.
    pub uri: Uri<'a>,
    /// The header field's parameters (`tag`, `expires`, `q` …), not the URI's.
    pub parameters: Parameters<'a>,
}

/// One value of Contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // lives on the stack while one field is read
pub enum Contact<'a> {
    /// `*`: every binding (REGISTER only).
    Any,
    /// An address.
    Address(NameAddr<'a>),
}

impl<'a> NameAddr<'a> {
    /// Reads one address; `None` when it is none.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let raw = lex::trim(value);
        let (display, rest) = match raw {
            [b'"', ..] => {
                let (display, rest) = lex::split_quoted(raw)?;
                (display, lex::trim_start(rest))
            }
            // Tokens up to the bracket; where something else comes first, there is no display name.
            _ => match lex::split_where(raw, |octet| !lex::is(*octet, class::DISPLAY)) {
                (display, rest @ [b'<', ..]) => (lex::trim_end(display), rest),
                _ => return Self::parse_bare(raw),
            },
        };
        let [b'<', rest @ ..] = rest else { return None };
        let (uri, parameters) = lex::split_once(rest, b'>')?;
        let (uri, parameters) = (Uri::parse(uri)?, Parameters::parse(parameters)?);
        Some(Self { raw, display, uri, parameters })
    }

    /// Without brackets every parameter belongs to the header field, and a URI with a comma, a question mark
    /// or a semicolon may not stand (RFC 3261 §20).
    fn parse_bare(raw: &'a [u8]) -> Option<Self> {
        let (uri, parameters) = lex::split_where(raw, |octet| *octet == b';');
        let uri = lex::trim_end(uri);
        if uri.iter().any(|octet| matches!(octet, b'?' | b',')) {
            return None;
        }
        let (uri, parameters) = (Uri::parse(uri)?, Parameters::parse(parameters)?);
        Some(Self { raw, display: b"", uri, parameters })
    }

    /// The `tag` parameter (RFC 3261 §19.3).
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.parameters.value("tag")
    }

    /// The display name without quotes and escapes.
    pub fn display_name(&self) -> Cow<'a, [u8]> {
        unquoted(self.display)
    }
}

/// A quoted string without its quotes and escapes; anything else as it is.
pub(super) fn unquoted(text: &[u8]) -> Cow<'_, [u8]> {
    match text {
        [b'"', quoted @ .., b'"'] => unquote(quoted),
        tokens => Cow::Borrowed(tokens),
    }
}

/// Resolves `\x` inside a quoted string.
fn unquote(quoted: &[u8]) -> Cow<'_, [u8]> {
    if !quoted.contains(&b'\\') {
        return Cow::Borrowed(quoted);
    }
    let mut octets = Vec::with_capacity(quoted.len());
    let mut escaped = false;
    for octet in quoted {
        escaped = !escaped && *octet == b'\\';
        if !escaped {
            octets.push(*octet);
        }
    }
    Cow::Owned(octets)
}
