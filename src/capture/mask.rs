//! Hides telephone numbers in a SIP message that is to be shown or sent away.
//!
//! The middle of each number becomes dots, which may stand wherever its digits stood (RFC 3966 visual separators, RFC
//! 3261 §25.1 `mark`): the message keeps its length and still parses. `+355672123456` becomes `+35567...3456`. What
//! names the call and the transaction (Call-ID, CSeq, Via, tags) is left, so that a trace can be followed.

use crate::sip::message::{HeaderName, Message, StartLine};

/// Digits from which on a run of them is taken for a telephone number.
pub const NUMBER_DIGITS_MIN: usize = 6;
/// Visual separators that may stand between two digits of one number.
const SEPARATORS_MAX: usize = 2;
/// Digits that stay at the end of a number of nine or more: those that a caller gives to name himself.
const TAIL_DIGITS: usize = 4;
/// Digits that stay at its beginning at most: the country and the network.
const HEAD_DIGITS_MAX: usize = 5;
/// Digits that are hidden at least.
const HIDDEN_DIGITS_MIN: usize = 3;

/// The message with its telephone numbers hidden; of the same length. Octets that are no SIP message are searched as
/// text.
///
/// Numbers in the octets of other protocols (an ISUP body has them as packed digits) are not recognised.
pub fn mask(octets: &[u8]) -> Vec<u8> {
    let mut masked = octets.to_vec();
    let Ok(message) = Message::parse(octets) else {
        mask_text(&mut masked, Runs::Bounded);
        return masked;
    };
    match message.start() {
        StartLine::Request { uri, .. } => {
            if let Some(uri) = same_place(&mut masked, octets, uri) {
                mask_text(uri, Runs::Any);
            }
        }
        StartLine::Response { reason, .. } => {
            if let Some(reason) = same_place(&mut masked, octets, reason) {
                mask_text(reason, Runs::Bounded);
            }
        }
    }
    for field in message.fields() {
        let Some(value) = same_place(&mut masked, octets, field.value) else { continue };
        match Care::of(field.name) {
            Care::None => {}
            Care::Identity => mask_token(value),
            Care::Text(runs) => mask_text(value, runs),
        }
    }
    let is_description =
        message.content_type().is_ok_and(|kind| kind.is_some_and(|k| k.is("application", "sdp")));
    if let Some(body) = same_place(&mut masked, octets, message.body()) {
        if is_description { mask_description(body) } else { mask_text(body, Runs::Bounded) }
    }
    masked
}

/// Where `part`, a piece of `whole`, lies in `copy`, which is as long.
fn same_place<'a>(copy: &'a mut [u8], whole: &[u8], part: &[u8]) -> Option<&'a mut [u8]> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    copy.get_mut(start..start.checked_add(part.len())?)
}

/// Which runs of digits count as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runs {
    /// Every one.
    Any,
    /// Those that do not touch a letter: what may as well be an identifier is left. Within a URI every one.
    Bounded,
}

/// What a header field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// No number, or an identifier that must stay whole.
    None,
    /// A PASSporT (RFC 8225), which says both numbers in base64.
    Identity,
    /// Addresses or text.
    Text(Runs),
}

impl Care {
    fn of(name: HeaderName) -> Self {
        use HeaderName as Name;
        match name {
            Name::Via
            | Name::CallId
            | Name::CSeq
            | Name::RAck
            | Name::RSeq
            | Name::InReplyTo
            | Name::Replaces
            | Name::MaxForwards
            | Name::ContentLength
            | Name::ContentType
            | Name::Timestamp
            | Name::Date
            | Name::Expires
            | Name::MinExpires
            | Name::MinSe
            | Name::SessionExpires
            | Name::RetryAfter
            | Name::UserAgent
            | Name::Server
            | Name::Allow
            | Name::Supported
            | Name::Require
            | Name::ProxyRequire
            | Name::WwwAuthenticate
            | Name::ProxyAuthenticate => Self::None,
            Name::Identity => Self::Identity,
            Name::From
            | Name::To
            | Name::Contact
            | Name::PAssertedIdentity
            | Name::PPreferredIdentity
            | Name::Diversion
            | Name::HistoryInfo
            | Name::ReferTo
            | Name::ReferredBy => Self::Text(Runs::Any),
            _ => Self::Text(Runs::Bounded),
        }
    }
}

/// Everything between the first and the last dot of a JSON web signature: its payload.
fn mask_token(value: &mut [u8]) {
    let end = value.iter().position(|octet| *octet == b';').unwrap_or(value.len());
    let token = value.get_mut(..end).unwrap_or_default();
    let Some(first) = token.iter().position(|octet| *octet == b'.') else { return };
    let last = token.iter().rposition(|octet| *octet == b'.').filter(|last| *last > first);
    let payload = token.get_mut(first..last.unwrap_or(end)).unwrap_or_default();
    payload.iter_mut().filter(|octet| octet.is_ascii_alphanumeric()).for_each(|octet| *octet = b'x');
}

/// The lines of a session description that people write: the origin's user name, the names, e-mail and telephone.
fn mask_description(body: &mut [u8]) {
    for line in body.split_mut(|octet| matches!(octet, b'\r' | b'\n')) {
        match line {
            [b's' | b'i' | b'u' | b'e' | b'p', b'=', text @ ..] => mask_text(text, Runs::Any),
            [b'o', b'=', text @ ..] => {
                let end = text.iter().position(|octet| *octet == b' ').unwrap_or(text.len());
                mask_text(text.get_mut(..end).unwrap_or_default(), Runs::Any);
            }
            _ => {}
        }
    }
}

/// Hides the numbers of a text that may hold URIs.
fn mask_text(text: &mut [u8], runs: Runs) {
    let mut uri = Extent::default();
    let mut at = 0;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        if let Some(octets) = tag_octets(text, at) {
            at += octets;
        } else if let Some(octets) = address_octets(text, at).filter(|_| at >= uri.number_end) {
            at += octets;
        } else if let Some(scheme) = scheme(text, at).filter(|_| at >= uri.end) {
            uri = Extent::of(text, at, &scheme);
            at = uri.number_start;
        } else if rest.first() == Some(&b'@') {
            at += 1 + host_octets(rest.get(1..).unwrap_or_default());
        } else if let Some(run) = Run::at(rest) {
            let touches = |octet: Option<&u8>| octet.is_some_and(|o| o.is_ascii_alphabetic() || *o == b'_');
            let bounded = !touches(at.checked_sub(1).and_then(|before| text.get(before)))
                && !touches(text.get(at + run.octets));
            if run.digits >= NUMBER_DIGITS_MIN && (runs == Runs::Any || at < uri.end || bounded) {
                run.hide(text.get_mut(at..at + run.octets).unwrap_or_default());
            }
            at += run.octets;
        } else {
            at += 1;
        }
    }
}

/// Where a URI lies, and where in it a number may stand for the user: there four groups of digits are no IPv4 address.
#[derive(Debug, Default)]
struct Extent {
    number_start: usize,
    number_end: usize,
    end: usize,
}

impl Extent {
    fn of(text: &[u8], at: usize, scheme: &Scheme) -> Self {
        let start = at + scheme.octets;
        let rest = text.get(start..).unwrap_or_default();
        let octets = rest.iter().position(|octet| is_uri_end(*octet)).unwrap_or(rest.len());
        let (uri, end) = (rest.get(..octets).unwrap_or_default(), start + octets);
        match uri.iter().position(|octet| *octet == b'@') {
            _ if !scheme.has_host => Self { number_start: start, number_end: end, end },
            Some(user) => Self { number_start: start, number_end: start + user, end },
            // Without a user part the host follows at once.
            None => {
                let after = start + host_octets(uri);
                Self { number_start: after, number_end: after, end }
            }
        }
    }
}

/// The octets of a parameter that begins at `at` and names a dialog or a transaction (RFC 3261 §19.3).
fn tag_octets(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let before = at.checked_sub(1).and_then(|before| text.get(before))?;
    let named = |name: &&[u8]| rest.get(..name.len()).is_some_and(|octets| octets.eq_ignore_ascii_case(name));
    let is_tag = matches!(before, b';' | b' ' | b'\t' | b'\n')
        && [&b"tag="[..], b"ftag=", b"branch="].iter().any(named);
    if !is_tag {
        return None;
    }
    Some(rest.iter().position(|octet| is_uri_end(*octet) || *octet == b';').unwrap_or(rest.len()))
}

/// The octets of an IPv4 address that begins at `at`.
fn address_octets(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let begins = at.checked_sub(1).and_then(|before| text.get(before)).is_none_or(|o| !is_address_octet(*o));
    let end = rest.iter().position(|octet| !is_address_octet(*octet)).unwrap_or(rest.len());
    let address = std::str::from_utf8(rest.get(..end)?).ok()?;
    // Digits that go on after a separator make it a number that only looks like an address.
    let goes_on = matches!(rest.get(end..), Some([b'-' | b'(' | b')', b'0'..=b'9', ..]));
    (begins && !goes_on && address.parse::<std::net::Ipv4Addr>().is_ok()).then_some(end)
}

fn is_address_octet(octet: u8) -> bool {
    octet.is_ascii_digit() || octet == b'.'
}

/// A URI's scheme with its colon.
struct Scheme {
    octets: usize,
    has_host: bool,
}

fn scheme(text: &[u8], at: usize) -> Option<Scheme> {
    let begins =
        at.checked_sub(1).and_then(|before| text.get(before)).is_none_or(|o| !o.is_ascii_alphanumeric());
    let rest = text.get(at..)?;
    let of = |name: &[u8]| rest.get(..name.len()).is_some_and(|octets| octets.eq_ignore_ascii_case(name));
    match begins {
        true if of(b"sip:") => Some(Scheme { octets: 4, has_host: true }),
        true if of(b"sips:") => Some(Scheme { octets: 5, has_host: true }),
        true if of(b"tel:") => Some(Scheme { octets: 4, has_host: false }),
        _ => None,
    }
}

fn is_uri_end(octet: u8) -> bool {
    matches!(octet, b'<' | b'>' | b'"' | b',' | b' ' | b'\t' | b'\r' | b'\n')
}

/// The octets of a host and its port.
fn host_octets(text: &[u8]) -> usize {
    text.iter()
        .position(|octet| is_uri_end(*octet) || matches!(octet, b';' | b'?' | b'&'))
        .unwrap_or(text.len())
}

/// A run of digits, with the visual separators between them.
struct Run {
    octets: usize,
    digits: usize,
}

/// A digit as it may stand in a URI, by its octets: itself, or escaped.
fn digit_octets(text: &[u8]) -> Option<usize> {
    match text {
        [b'0'..=b'9', ..] => Some(1),
        [b'%', b'3', b'0'..=b'9', ..] => Some(3),
        _ => None,
    }
}

impl Run {
    fn at(text: &[u8]) -> Option<Self> {
        let mut run = Self { octets: digit_octets(text)?, digits: 1 };
        loop {
            let rest = text.get(run.octets..).unwrap_or_default();
            let is_separator = |octet: &&u8| matches!(octet, b'-' | b'.' | b'(' | b')' | b' ');
            let separators = rest.iter().take(SEPARATORS_MAX).take_while(is_separator).count();
            let next = rest.get(separators..).unwrap_or_default();
            let Some(octets) = digit_octets(next) else { return Some(run) };
            run = Self { octets: run.octets + separators + octets, digits: run.digits + 1 };
        }
    }

    /// How many digits stay at the beginning and at the end.
    fn shown(&self) -> (usize, usize) {
        let tail = if self.digits >= 9 { TAIL_DIGITS } else { 2 };
        let head = self.digits.saturating_sub(tail + HIDDEN_DIGITS_MIN).min(HEAD_DIGITS_MAX);
        (head, tail)
    }

    /// Makes dots of the digits in the middle.
    fn hide(&self, run: &mut [u8]) {
        let (head, tail) = self.shown();
        let (mut at, mut digit) = (0, 0);
        while at < run.len() {
            let Some(octets) = digit_octets(run.get(at..).unwrap_or_default()) else {
                at += 1;
                continue;
            };
            if digit >= head && digit < self.digits - tail {
                let dot: &[u8] = if octets == 1 { b"." } else { b"%2E" };
                if let Some(place) = run.get_mut(at..at + octets) {
                    place.copy_from_slice(dot);
                }
            }
            (at, digit) = (at + octets, digit + 1);
        }
    }
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
