//! Replaces (RFC 3891 §6.1).

use super::{Defect, HeaderName, Message, Parameters, lex};

/// The dialog that a Replaces names, as its receiver sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaces<'a> {
    /// Call-ID.
    pub call_id: &'a [u8],
    /// The receiver's tag.
    pub to_tag: &'a [u8],
    /// The tag of the receiver's peer; `0` where the peer has none.
    pub from_tag: &'a [u8],
    /// Only a dialog that is not confirmed may be replaced.
    pub early_only: bool,
}

impl<'a> Replaces<'a> {
    /// Reads `callid *(;replaces-param)`, with exactly one of each tag.
    fn parse(value: &'a [u8]) -> Option<Self> {
        let (call_id, parameters) = lex::split_where(value, |octet| *octet == b';');
        let (call_id, parameters) = (lex::trim(call_id), Parameters::parse(parameters)?);
        let only = |name: &str| {
            let mut named = parameters.iter().filter(|p| p.name.eq_ignore_ascii_case(name.as_bytes()));
            named.next().filter(|_| named.next().is_none())?.value
        };
        let sound =
            !call_id.is_empty() && call_id.iter().all(|octet| octet.is_ascii_graphic() && *octet != b',');
        let early_only = parameters.has("early-only");
        sound.then_some(Self { call_id, to_tag: only("to-tag")?, from_tag: only("from-tag")?, early_only })
    }
}

impl<'a> Message<'a> {
    /// Replaces, of which there may be one.
    ///
    /// # Errors
    /// Repeated, or not well formed.
    pub fn replaces(&self) -> Result<Option<Replaces<'a>>, Defect> {
        let name = HeaderName::Replaces;
        self.single(name)?.map(|value| Replaces::parse(value).ok_or(Defect::Syntax(name))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaces_names_one_dialog() {
        let read =
            Replaces::parse(b"98732@x ;from-tag=r33th4x0r;to-tag=ff87ff;Early-Only;a=b").expect("reads");
        let expected =
            Replaces { call_id: b"98732@x", to_tag: b"ff87ff", from_tag: b"r33th4x0r", early_only: true };
        assert_eq!(read, expected);
        for bad in [
            "",
            ";to-tag=1;from-tag=2",
            "a;to-tag=1",
            "a;from-tag=2",
            "a;to-tag;from-tag=2",
            "a;to-tag=1;to-tag=1;from-tag=2",
            "a;to-tag=1;from-tag=2, b;to-tag=1;from-tag=2",
            "a, b;to-tag=1;from-tag=2",
        ] {
            assert_eq!(Replaces::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
