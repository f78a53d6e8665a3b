//! `auth-param` lists: `Digest name=value, name="value"` (RFC 3261 §25.1, RFC 7616 §3.3, §3.4).

use super::{AuthDefect, MAX_PARAMETERS};

/// The parameters of one field value, each as its name and its value without quotes and escapes.
#[derive(Debug)]
pub(super) struct AuthParameters<'a>(Vec<(&'a [u8], Vec<u8>)>);

impl<'a> AuthParameters<'a> {
    /// Reads what follows the scheme. Empty elements are passed over. A fold in a quoted value is one space; another
    /// control character is refused.
    pub(super) fn read(value: &'a [u8]) -> Result<Self, AuthDefect> {
        let (scheme, rest) = split_token(trim_start(value));
        if !scheme.eq_ignore_ascii_case(b"Digest") || !rest.first().is_some_and(|octet| is_lws(*octet)) {
            return Err(AuthDefect::Scheme);
        }
        Self::read_bare(rest)
    }

    /// Reads a list without a scheme before it, as Authentication-Info has it (RFC 7616 §3.5).
    pub(super) fn read_bare(mut rest: &'a [u8]) -> Result<Self, AuthDefect> {
        let mut found = Vec::new();
        loop {
            rest = trim_start(rest);
            rest = match rest {
                [] => return Ok(Self(found)),
                [b',', after @ ..] => after,
                _ if found.len() == MAX_PARAMETERS => return Err(AuthDefect::Syntax),
                _ => {
                    let (name, value, after) = parameter(rest).ok_or(AuthDefect::Syntax)?;
                    found.push((name, value));
                    let after = trim_start(after);
                    if !matches!(after, [] | [b',', ..]) {
                        return Err(AuthDefect::Syntax);
                    }
                    after
                }
            };
        }
    }

    /// Takes out the value of the parameter called `name`, in any case.
    pub(super) fn take(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, AuthDefect> {
        let mut at = None;
        for (index, (found, _)) in self.0.iter().enumerate() {
            if found.eq_ignore_ascii_case(name.as_bytes()) && at.replace(index).is_some() {
                return Err(AuthDefect::Repeated(name));
            }
        }
        Ok(at.map(|index| self.0.swap_remove(index).1))
    }

    /// As [`Self::take`], of a parameter that must be there.
    pub(super) fn required(&mut self, name: &'static str) -> Result<Vec<u8>, AuthDefect> {
        self.take(name)?.ok_or(AuthDefect::Missing(name))
    }
}

/// Appends `, name="value"`, escaped; without the comma after the scheme.
pub(super) fn write_quoted(line: &mut Vec<u8>, name: &str, value: &[u8]) {
    begin(line, name);
    line.push(b'"');
    for octet in value {
        match octet {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', *octet]),
            // What no reader lets through is not written either.
            _ if octet.is_ascii_control() => line.push(b' '),
            _ => line.push(*octet),
        }
    }
    line.push(b'"');
}

/// Appends `, name=value`, where the value is a token.
pub(super) fn write_token(line: &mut Vec<u8>, name: &str, value: &[u8]) {
    begin(line, name);
    line.extend_from_slice(value);
}

fn begin(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(if line.ends_with(b"Digest") { b" " } else { b", " });
    line.extend_from_slice(name.as_bytes());
    line.push(b'=');
}

fn parameter(text: &[u8]) -> Option<(&[u8], Vec<u8>, &[u8])> {
    let (name, rest) = split_token(text);
    let [b'=', rest @ ..] = trim_start(rest) else { return None };
    if name.is_empty() {
        return None;
    }
    match trim_start(rest) {
        [b'"', quoted @ ..] => unquote(quoted).map(|(value, rest)| (name, value, rest)),
        bare => {
            // Some peers leave the quotes off a nonce or a URI; all but what separates is taken then.
            let at = bare
                .iter()
                .position(|octet| is_lws(*octet) || matches!(octet, b',' | b'"'))
                .unwrap_or(bare.len());
            let (value, rest) = bare.split_at_checked(at)?;
            let sound = !value.is_empty() && !value.iter().any(u8::is_ascii_control);
            sound.then(|| (name, value.to_vec(), rest))
        }
    }
}

/// Reads a quoted string whose opening quote is gone.
fn unquote(mut text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    loop {
        text = match text {
            [b'"', after @ ..] => return Some((value, after)),
            [b'\\', escaped, after @ ..] if !escaped.is_ascii_control() => {
                value.push(*escaped);
                after
            }
            [b'\r', b'\n', b' ' | b'\t', after @ ..] => {
                value.push(b' ');
                trim_start(after)
            }
            [b'\t', after @ ..] => {
                value.push(b' ');
                after
            }
            [b'\\', ..] | [] => return None,
            [octet, _after @ ..] if octet.is_ascii_control() => return None,
            [octet, after @ ..] => {
                value.push(*octet);
                after
            }
        };
    }
}

const fn is_lws(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_lws(*first)
    {
        text = rest;
    }
    text
}

fn split_token(text: &[u8]) -> (&[u8], &[u8]) {
    let is_token = |octet: &u8| octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(octet);
    let at = text.iter().position(|octet| !is_token(octet)).unwrap_or(text.len());
    text.split_at_checked(at).unwrap_or((text, &[]))
}
