//! URIs: `sip:`, `sips:` (RFC 3261 §19.1), `tel:` (RFC 3966) and, kept raw, any other scheme.

use super::lex::{self, class};
use super::parameters::{Parameters, escapes_are_whole};
use arrayvec::ArrayString;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A URI as it stands on the wire, without angle brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uri<'a> {
    /// `sip:` or `sips:`.
    Sip(SipUri<'a>),
    /// `tel:`.
    Tel(TelUri<'a>),
    /// Another scheme: not looked into.
    Other(OtherUri<'a>),
}

/// A SIP or SIPS URI (RFC 3261 §19.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SipUri<'a> {
    /// The whole URI.
    pub raw: &'a [u8],
    /// `sips:`.
    pub secure: bool,
    /// Before the `@` (and before `:`); still escaped. [`unescape`] resolves it.
    pub user: Option<&'a [u8]>,
    /// After the `:` in the userinfo.
    pub password: Option<&'a [u8]>,
    /// Where it points.
    pub host: Host<'a>,
    /// 0–65 535 as written.
    pub port: Option<u16>,
    /// `;name=value`, still escaped.
    pub parameters: Parameters<'a>,
    /// After the `?`, still escaped.
    pub headers: Option<&'a [u8]>,
}

/// A telephone URI (RFC 3966).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelUri<'a> {
    /// The whole URI.
    pub raw: &'a [u8],
    /// As written, visual separators (`-`, `.`, `(`, `)`) included; `+` first in a global number.
    pub number: &'a [u8],
    /// `;name=value`, such as `phone-context`.
    pub parameters: Parameters<'a>,
}

/// A URI of a scheme that this service does not route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherUri<'a> {
    /// The whole URI.
    pub raw: &'a [u8],
    /// Before the first `:`.
    pub scheme: &'a [u8],
}

/// A host as it may stand in a URI or a Via.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Host<'a> {
    /// A domain name, unresolved.
    Name(&'a [u8]),
    /// A literal address; an IPv6 one stands in brackets on the wire (RFC 3261 §25.1, RFC 5118).
    Address(IpAddr),
}

impl<'a> Uri<'a> {
    /// Reads a URI; `None` when it is none by RFC 3261 §25.1 (white space, angle brackets, a broken escape …).
    pub fn parse(raw: &'a [u8]) -> Option<Self> {
        let (scheme, rest) = lex::split_once(raw, b':')?;
        if !is_scheme(scheme) {
            return None;
        }
        if scheme.eq_ignore_ascii_case(b"sip") {
            return SipUri::parse(raw, false, rest).map(Self::Sip);
        }
        if scheme.eq_ignore_ascii_case(b"sips") {
            return SipUri::parse(raw, true, rest).map(Self::Sip);
        }
        if scheme.eq_ignore_ascii_case(b"tel") {
            return TelUri::parse(raw, rest).map(Self::Tel);
        }
        let sound = !rest.is_empty() && rest.iter().copied().all(is_uri_octet);
        sound.then_some(Self::Other(OtherUri { raw, scheme }))
    }

    /// The whole URI as on the wire.
    pub const fn raw(&self) -> &'a [u8] {
        match self {
            Self::Sip(uri) => uri.raw,
            Self::Tel(uri) => uri.raw,
            Self::Other(uri) => uri.raw,
        }
    }

    /// The user part of a `sip:` URI or the number of a `tel:` URI, escapes resolved.
    pub fn user(&self) -> Option<Cow<'a, [u8]>> {
        match self {
            Self::Sip(uri) => uri.user.map(unescape),
            Self::Tel(uri) => Some(unescape(uri.number)),
            Self::Other(_) => None,
        }
    }
}

impl<'a> SipUri<'a> {
    fn parse(raw: &'a [u8], secure: bool, rest: &'a [u8]) -> Option<Self> {
        // `@` stands nowhere else in a SIP URI but escaped, while `;`, `?` and `,` may stand in the user part.
        let (userinfo, rest) = match lex::split_once(rest, b'@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, rest),
        };
        let (user, password) = match userinfo.map(|info| (info, lex::split_once(info, b':'))) {
            None => (None, None),
            Some((_, Some((user, password)))) => (Some(user), Some(password)),
            Some((info, None)) => (Some(info), None),
        };
        let user_is_sound = user.is_none_or(|u| !u.is_empty() && escapes_are_whole(u, class::USER));
        if !user_is_sound || !password.is_none_or(|p| escapes_are_whole(p, class::USER)) {
            return None;
        }
        let (hostport, rest) = lex::split_where(rest, |octet| matches!(octet, b';' | b'?'));
        let (host, port) = host_and_port(hostport)?;
        let (parameters, headers) = lex::split_where(rest, |octet| *octet == b'?');
        let headers = match headers {
            [_, headers @ ..] => Some(headers),
            [] => None,
        };
        if !headers.is_none_or(|h| !h.is_empty() && escapes_are_whole(h, class::URI_HEADER)) {
            return None;
        }
        let parameters = Parameters::parse_in_uri(parameters)?;
        Some(Self { raw, secure, user, password, host, port, parameters, headers })
    }
}

impl<'a> TelUri<'a> {
    fn parse(raw: &'a [u8], rest: &'a [u8]) -> Option<Self> {
        let (number, parameters) = lex::split_where(rest, |octet| *octet == b';');
        let digits = number.strip_prefix(b"+").unwrap_or(number);
        let local = !number.starts_with(b"+");
        let dialled = |octet: &u8| {
            octet.is_ascii_digit() || local && (octet.is_ascii_hexdigit() || matches!(octet, b'*' | b'#'))
        };
        let sound = digits.iter().all(|o| dialled(o) || matches!(o, b'-' | b'.' | b'(' | b')'))
            && digits.iter().any(dialled);
        let parameters = Parameters::parse_in_uri(parameters)?;
        sound.then_some(Self { raw, number, parameters })
    }
}

/// `text` with every `%HH` resolved; borrowed when there is none. A broken escape stays as it is.
pub fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return Cow::Owned(octets),
            [b'%', high, low, after @ ..] if let (Some(high), Some(low)) = (hex(*high), hex(*low)) => {
                octets.push(high << 4 | low);
                after
            }
            [octet, after @ ..] => {
                octets.push(*octet);
                after
            }
        };
    }
}

fn hex(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The longest text of an IPv6 address: eight groups, the last two as an IPv4 address.
const IPV6_TEXT_MAX: usize = 45;

/// An IPv6 address. The grammar of RFC 3261 has a third colon where `::` stands before an IPv4 address, which "an
/// implementation must tolerate" (RFC 5118 §4.10).
fn ipv6_address(text: &str) -> Option<Ipv6Addr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (groups, ipv4) = text.split_once(":::")?;
    ipv4.parse::<Ipv4Addr>().ok()?;
    let mut corrected = ArrayString::<IPV6_TEXT_MAX>::new();
    for part in [groups, "::", ipv4] {
        corrected.try_push_str(part).ok()?;
    }
    corrected.parse().ok()
}

/// `host [":" port]` without white space.
pub(super) fn host_and_port(text: &[u8]) -> Option<(Host<'_>, Option<u16>)> {
    let (host, after) = match text {
        [b'[', ..] => {
            let (reference, after) = lex::split_once(text, b']')?;
            let address = ipv6_address(std::str::from_utf8(reference.get(1..)?).ok()?)?;
            (Host::Address(address.into()), after)
        }
        _ => {
            let (name, after) = lex::split_where(text, |octet| *octet == b':');
            (named_host(name)?, after)
        }
    };
    match after {
        [] => Some((host, None)),
        [b':', port @ ..] => Some((host, Some(u16::try_from(lex::number(port)?).ok()?))),
        _ => None,
    }
}

/// A domain name or an IPv4 address.
fn named_host(name: &[u8]) -> Option<Host<'_>> {
    let numeric = name.iter().all(|octet| octet.is_ascii_digit() || *octet == b'.');
    if numeric {
        let address = std::str::from_utf8(name).ok()?.parse::<Ipv4Addr>().ok()?;
        return Some(Host::Address(address.into()));
    }
    let sound = name.iter().all(|octet| lex::is(*octet, class::HOST));
    sound.then_some(Host::Name(name))
}

fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'))
}

/// What may stand in a URI of an unknown scheme: printable ASCII but for delimiters of the header field.
fn is_uri_octet(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'<' | b'>' | b'"')
}
