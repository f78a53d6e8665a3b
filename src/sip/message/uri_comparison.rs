//! When two URIs are the same (RFC 3261 §19.1.4, RFC 3966 §4).

use super::parameters::Parameters;
use super::{Host, SipUri, TelUri, Uri, lex, unescape};

/// Parameters that make a difference even when only one of the URIs has them.
const NEVER_IGNORED: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

impl Uri<'_> {
    /// Whether both name the same resource. Not an equivalence (RFC 3261 §19.1.4: it is not transitive), which is
    /// why it is not `==`. URIs of other schemes are compared octet by octet.
    pub fn is_equivalent(&self, other: &Uri<'_>) -> bool {
        match (self, other) {
            (Uri::Sip(one), Uri::Sip(two)) => sip(one, two),
            (Uri::Tel(one), Uri::Tel(two)) => tel(one, two),
            (Uri::Other(one), Uri::Other(two)) => one.raw == two.raw,
            _ => false,
        }
    }
}

fn sip(one: &SipUri<'_>, two: &SipUri<'_>) -> bool {
    let both = |one: Option<&[u8]>, two: Option<&[u8]>| match (one, two) {
        (Some(one), Some(two)) => same_text(one, two, false),
        (None, None) => true,
        _ => false,
    };
    one.secure == two.secure
        && both(one.user, two.user)
        && both(one.password, two.password)
        && same_host(&one.host, &two.host)
        && one.port == two.port
        && sip_parameters(&one.parameters, &two.parameters)
        && sip_parameters(&two.parameters, &one.parameters)
        && same_headers(one.headers, two.headers)
}

fn tel(one: &TelUri<'_>, two: &TelUri<'_>) -> bool {
    let digits = |number: &[u8]| -> Vec<u8> {
        let dialled = number.iter().filter(|octet| !matches!(octet, b'-' | b'.' | b'(' | b')'));
        dialled.map(u8::to_ascii_lowercase).collect()
    };
    let covers =
        |one: &Parameters<'_>, two: &Parameters<'_>| one.iter().all(|parameter| has_same(two, &parameter));
    digits(one.number) == digits(two.number)
        && covers(&one.parameters, &two.parameters)
        && covers(&two.parameters, &one.parameters)
}

fn same_host(one: &Host<'_>, two: &Host<'_>) -> bool {
    match (one, two) {
        (Host::Name(one), Host::Name(two)) => one.eq_ignore_ascii_case(two),
        _ => one == two,
    }
}

/// Whether no parameter of `one` speaks against `two`.
fn sip_parameters(one: &Parameters<'_>, two: &Parameters<'_>) -> bool {
    one.iter().all(|parameter| {
        let weighty = NEVER_IGNORED.iter().any(|name| parameter.name.eq_ignore_ascii_case(name.as_bytes()));
        let shared = two.iter().any(|other| same_text(other.name, parameter.name, true));
        if shared || weighty { has_same(two, &parameter) } else { true }
    })
}

fn has_same(parameters: &Parameters<'_>, wanted: &super::Parameter<'_>) -> bool {
    parameters.iter().any(|other| {
        let values = match (other.value, wanted.value) {
            (Some(one), Some(two)) => same_text(one, two, true),
            (None, None) => true,
            _ => false,
        };
        same_text(other.name, wanted.name, true) && values
    })
}

/// Header fields are never ignored; their order does not matter.
fn same_headers(one: Option<&[u8]>, two: Option<&[u8]>) -> bool {
    let split = |headers: Option<&[u8]>| -> Vec<(Vec<u8>, Vec<u8>)> {
        let each =
            headers.unwrap_or_default().split(|octet| *octet == b'&').filter(|header| !header.is_empty());
        let mut headers: Vec<_> = each
            .map(|header| {
                let (name, value) = lex::split_once(header, b'=').unwrap_or((header, b""));
                (unescape(name).to_ascii_lowercase(), unescape(value).into_owned())
            })
            .collect();
        headers.sort();
        headers
    };
    split(one) == split(two)
}

/// Octet by octet, where `%HH` equals the octet it stands for unless that one is reserved.
fn same_text(one: &[u8], two: &[u8], ignore_case: bool) -> bool {
    let fold = |(octet, escaped): (u8, bool)| {
        (if ignore_case { octet.to_ascii_lowercase() } else { octet }, escaped)
    };
    units(one).map(fold).eq(units(two).map(fold))
}

/// The characters of `text`: the octet, and whether it is a reserved one in its escaped form.
fn units(text: &[u8]) -> impl Iterator<Item = (u8, bool)> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || {
        let escape = rest.get(..3).filter(|escape| escape.starts_with(b"%")).map(unescape);
        if let Some([octet]) = escape.as_deref() {
            rest = rest.get(3..).unwrap_or_default();
            return Some((*octet, is_reserved(*octet)));
        }
        let (octet, after) = rest.split_first()?;
        rest = after;
        Some((*octet, false))
    })
}

/// `reserved` (RFC 3261 §25.1).
const fn is_reserved(octet: u8) -> bool {
    matches!(octet, b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b',')
}

#[cfg(test)]
mod tests {
    use crate::sip::message::Uri;

    fn equivalent(one: &str, two: &str) -> bool {
        let (one, two) = (Uri::parse(one.as_bytes()).unwrap(), Uri::parse(two.as_bytes()).unwrap());
        assert_eq!(one.is_equivalent(&two), two.is_equivalent(&one), "{one:?} {two:?}");
        one.is_equivalent(&two)
    }

    /// The lists of RFC 3261 §19.1.4.
    #[test]
    fn the_examples_of_the_rfc() {
        for (one, two) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
        ] {
            assert!(equivalent(one, two), "{one} {two}");
        }
        for (one, two) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ] {
            assert!(!equivalent(one, two), "{one} {two}");
        }
    }

    #[test]
    fn other_cases() {
        assert!(equivalent("tel:+355-67-212.3456", "tel:+355672123456"));
        assert!(!equivalent("tel:130;phone-context=+355", "tel:130"));
        assert!(!equivalent("sip:a@b", "sips:a@b"));
        assert!(!equivalent("sip:a%3Bb@c", "sip:a;b@c"), "an escaped reserved character is not the bare one");
        assert!(equivalent("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]"));
        assert!(!equivalent("sip:%00@host5.example.com", "sip:%00%00@host5.example.com"));
        assert!(equivalent("urn:service:sos", "urn:service:sos"));
    }
}
