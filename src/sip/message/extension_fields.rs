//! Typed, strict readers of the header fields of RFC 3262 (reliable provisional responses) and RFC 4028 (session
//! timers).

use super::lex;
use super::{Defect, HeaderName, Message, Method, Parameters};
use std::fmt;

/// RAck (RFC 3262 §7.2): which reliable provisional response a PRACK acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RAck<'a> {
    /// The response's RSeq.
    pub rseq: u32,
    /// The number in the response's CSeq.
    pub cseq: u32,
    /// The method in the response's CSeq.
    pub method: Method<'a>,
}

/// Who refreshes a session, seen from the request that the field belongs to (RFC 4028 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refresher {
    /// The sender of the request.
    Uac,
    /// The one who answers it.
    Uas,
}

impl fmt::Display for Refresher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Uac => "uac",
            Self::Uas => "uas",
        })
    }
}

/// Session-Expires (RFC 4028 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionExpires {
    /// The session interval, s.
    pub interval_s: u32,
    /// `None` where it is left open.
    pub refresher: Option<Refresher>,
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refresher {
            Some(refresher) => write!(formatter, "{};refresher={refresher}", self.interval_s),
            None => write!(formatter, "{}", self.interval_s),
        }
    }
}

impl<'a> Message<'a> {
    /// RSeq (RFC 3262 §7.1).
    ///
    /// # Errors
    /// Repeated, or not a number below 2³².
    pub fn rseq(&self) -> Result<Option<u32>, Defect> {
        let name = HeaderName::RSeq;
        self.single(name)?.map(|value| lex::number(value).ok_or(Defect::Syntax(name))).transpose()
    }

    /// RAck (RFC 3262 §7.2).
    ///
    /// # Errors
    /// Repeated, or not well formed.
    pub fn rack(&self) -> Result<Option<RAck<'a>>, Defect> {
        let name = HeaderName::RAck;
        self.single(name)?.map(|value| RAck::parse(value).ok_or(Defect::Syntax(name))).transpose()
    }

    /// Session-Expires (RFC 4028 §4).
    ///
    /// # Errors
    /// Repeated, or not well formed.
    pub fn session_expires(&self) -> Result<Option<SessionExpires>, Defect> {
        let name = HeaderName::SessionExpires;
        self.single(name)?.map(|value| SessionExpires::parse(value).ok_or(Defect::Syntax(name))).transpose()
    }

    /// Min-SE (RFC 4028 §5), s.
    ///
    /// # Errors
    /// Repeated, or not well formed.
    pub fn min_se(&self) -> Result<Option<u32>, Defect> {
        let name = HeaderName::MinSe;
        let seconds = |value| Some(number_with_parameters(value)?.0);
        self.single(name)?.map(|value| seconds(value).ok_or(Defect::Syntax(name))).transpose()
    }

    /// Whether `tag` stands in Supported; option tags are compared in any case (RFC 3261 §7.3.1).
    pub fn supports(&self, tag: &str) -> bool {
        self.supported().flatten().any(|supported| supported.eq_ignore_ascii_case(tag.as_bytes()))
    }

    /// Whether `tag` stands in Require.
    pub fn requires(&self, tag: &str) -> bool {
        self.require().flatten().any(|required| required.eq_ignore_ascii_case(tag.as_bytes()))
    }
}

impl<'a> RAck<'a> {
    /// `response-num LWS CSeq-num LWS Method`.
    fn parse(value: &'a [u8]) -> Option<Self> {
        let (rseq, rest) = number_before_space(value)?;
        let (cseq, method) = number_before_space(rest)?;
        lex::is_token_text(method).then(|| Self { rseq, cseq, method: Method::from_octets(method) })
    }
}

impl SessionExpires {
    fn parse(value: &[u8]) -> Option<Self> {
        let (interval_s, parameters) = number_with_parameters(value)?;
        let refresher = match parameters.value("refresher") {
            Some(value) if value.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            Some(value) if value.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            Some(_) => return None,
            None => None,
        };
        Some(Self { interval_s, refresher })
    }
}

/// A number, the white space after it, and the rest.
fn number_before_space(text: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = lex::split_where(text, |octet| !octet.is_ascii_digit());
    let after = lex::trim_start(rest);
    (after.len() < rest.len()).then_some((lex::number(number)?, after))
}

/// `delta-seconds *(;parameter)`.
fn number_with_parameters(value: &[u8]) -> Option<(u32, Parameters<'_>)> {
    let (seconds, parameters) = lex::split_where(value, |octet| *octet == b';');
    Some((lex::number(lex::trim_end(seconds))?, Parameters::parse(parameters)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sound response with one more field.
    fn with(field: &str) -> Vec<u8> {
        format!(
            "SIP/2.0 183 Session Progress\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:130@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n{field}\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn reliable_responses_and_their_acknowledgements() {
        let octets = with("RSeq: 988789");
        assert_eq!(Message::parse(&octets).unwrap().rseq(), Ok(Some(988_789)));
        let octets = with("RAck: 776656  1\tINVITE");
        let rack = RAck { rseq: 776_656, cseq: 1, method: Method::Invite };
        assert_eq!(Message::parse(&octets).unwrap().rack(), Ok(Some(rack)));
        assert_eq!(Message::parse(&with("X: 1")).unwrap().rack(), Ok(None));
        for bad in
            ["RSeq: x", "RSeq: 4294967296", "RAck: 1 1", "RAck: 1 1 INV ITE", "RAck: 1 x INVITE", "RAck:"]
        {
            let octets = with(bad);
            let check = Message::parse(&octets).unwrap().check();
            assert!(matches!(check, Err(Defect::Syntax(_))), "{bad}: {check:?}");
        }
        let octets = with("RAck: 1 1 INVITE\r\nRAck: 2 1 INVITE");
        assert_eq!(Message::parse(&octets).unwrap().check(), Err(Defect::Repeated(HeaderName::RAck)));
    }

    #[test]
    fn session_timers() {
        let read = |field: &str| Message::parse(&with(field)).unwrap().session_expires();
        for (field, interval_s, refresher) in [
            ("Session-Expires: 1800", 1800, None),
            ("x: 4000;refresher=UAC", 4000, Some(Refresher::Uac)),
            ("Session-Expires: 90 ; refresher = uas;x=y", 90, Some(Refresher::Uas)),
        ] {
            assert_eq!(read(field), Ok(Some(SessionExpires { interval_s, refresher })), "{field}");
        }
        for bad in ["Session-Expires: soon", "x: 90;refresher=me", "x: 90 s", "Min-SE: -1", "Min-SE: 90, 91"]
        {
            let octets = with(bad);
            let check = Message::parse(&octets).unwrap().check();
            assert!(matches!(check, Err(Defect::Syntax(_))), "{bad}: {check:?}");
        }
        assert_eq!(Message::parse(&with("Min-SE: 120;lr")).unwrap().min_se(), Ok(Some(120)));
        let written = SessionExpires { interval_s: 90, refresher: Some(Refresher::Uas) };
        assert_eq!(written.to_string(), "90;refresher=uas");
    }

    #[test]
    fn option_tags_are_compared_in_any_case() {
        let octets = with("k: Timer, x\r\nRequire: 100REL");
        let message = Message::parse(&octets).unwrap();
        assert!(message.supports("timer") && message.requires("100rel"));
        assert!(!message.supports("100rel") && !message.requires("timer"));
    }
}
