//! INFO within a call: keys that a peer sends as `application/dtmf-relay` or `application/dtmf`, the use of INFO older
//! than its packages (RFC 6086 §2 and Appendix A, which call it legacy).

use super::{SessionId, State};
use crate::sip::counters::Counter;
use crate::sip::endpoint::capabilities::{ACCEPT_ENCODING, ACCEPT_IN_INFO};
use crate::sip::endpoint::receive::Received;
use crate::sip::endpoint::{Endpoint, Event};
use crate::sip::identifier::Tag;
use crate::sip::message::{HeaderName, Message};
use std::time::Instant;

/// What an INFO brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Info {
    /// Nothing for us: no body, a body that may be passed over, or a signal that is no key.
    Nothing,
    /// A key that was pressed.
    Key(char),
    /// It belongs to an Info Package; we take none (RFC 6086 §4.2.2).
    Package,
    /// More octets than are taken.
    TooLarge,
    /// A body of a type or in a coding that is not understood.
    NotUnderstood,
    /// A body of a type that is understood and says no key.
    Malformed,
}

impl Info {
    fn of(request: &Message<'_>, max_body_octets: usize) -> Self {
        if request.values(HeaderName::InfoPackage).next().is_some() {
            return Self::Package;
        }
        let body = request.body();
        if body.is_empty() {
            return Self::Nothing;
        }
        if body.len() > max_body_octets {
            return Self::TooLarge;
        }
        let is_key = request.content_type().is_ok_and(|media| {
            media
                .is_some_and(|media| media.is("application", "dtmf-relay") || media.is("application", "dtmf"))
        });
        let mut codings = request.content_encoding().flatten();
        let is_plain = codings.all(|coding| coding.eq_ignore_ascii_case(ACCEPT_ENCODING.as_bytes()));
        match (is_key && is_plain, request.is_optional()) {
            (true, _) => signal(body).unwrap_or(Self::Malformed),
            (false, true) => Self::Nothing,
            (false, false) => Self::NotUnderstood,
        }
    }
}

/// The key of a body: the value of `Signal=` where there are lines of `name=value`, else all there is. Keys stand as
/// themselves, or as the number of their event (RFC 4733 §3.2: 10 is `*`, 11 is `#`, 12–15 are A–D); 16, a flash of
/// the hook, and higher ones are no keys.
fn signal(body: &[u8]) -> Option<Info> {
    let text = std::str::from_utf8(body).ok()?;
    let named = |line: &str| {
        let (name, value) = line.split_once('=')?;
        name.trim().eq_ignore_ascii_case("signal").then(|| value.trim().to_owned())
    };
    let value = match text.contains('=') {
        true => text.lines().find_map(named)?,
        false => text.trim().to_owned(),
    };
    let mut characters = value.chars();
    match (characters.next()?.to_ascii_uppercase(), characters.as_str()) {
        (key @ ('0'..='9' | '*' | '#' | 'A'..='D'), "") => Some(Info::Key(key)),
        _ => Some(match value.parse::<u8>().ok()? {
            10 => Info::Key('*'),
            11 => Info::Key('#'),
            letter @ 12..=15 => Info::Key(char::from(b'A' + letter - 12)),
            _ => Info::Nothing,
        }),
    }
}

impl Endpoint {
    /// An INFO whose CSeq is in order.
    pub(in crate::sip) fn handle_info(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        id: SessionId,
        tag: Tag,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if matches!(session.state, State::Ending) {
            self.counters.count(Counter::RefusedNoCall);
            self.answer(now, received, tag, 481, &[]);
            return;
        }
        let info = Info::of(received.message, self.config.limits.max_body_octets);
        let accept = [(HeaderName::Accept, ACCEPT_IN_INFO), (HeaderName::AcceptEncoding, ACCEPT_ENCODING)];
        let (counter, status, fields): (_, _, &[(HeaderName, &str)]) = match info {
            Info::Nothing | Info::Key(_) => (None, 200, &[]),
            // RFC 6086 §4.2.2: with the packages that are taken, which are none.
            Info::Package => (Some(Counter::RefusedInfoPackage), 469, &[(HeaderName::RecvInfo, "")]),
            Info::TooLarge => (Some(Counter::RefusedBodyTooLarge), 413, &[]),
            Info::NotUnderstood => (Some(Counter::RefusedMediaType), 415, &accept),
            Info::Malformed => (Some(Counter::RefusedMalformed), 400, &[]),
        };
        if let Some(counter) = counter {
            self.counters.count(counter);
        }
        if self.answer(now, received, tag, status, fields)
            && let Info::Key(key) = info
        {
            self.counters.count(Counter::KeysByInfo);
            self.emit(Event::Key { session: id, key, at: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_equipment_writes_them() {
        for (body, read) in [
            ("Signal= 5\r\nDuration= 160\r\n", Some(Info::Key('5'))),
            ("Signal=5\r\nDuration=160", Some(Info::Key('5'))),
            ("Duration=250\nsignal = *\n", Some(Info::Key('*'))),
            ("Signal=#", Some(Info::Key('#'))),
            ("Signal=11\r\n", Some(Info::Key('#'))),
            ("Signal=10\r\n", Some(Info::Key('*'))),
            ("Signal=d\r\n", Some(Info::Key('D'))),
            ("Signal=12\r\n", Some(Info::Key('A'))),
            ("Signal=16\r\n", Some(Info::Nothing)),
            ("Signal=flash\r\n", None),
            ("Signal=\r\nDuration=1\r\n", None),
            ("Duration=160\r\n", None),
            ("5", Some(Info::Key('5'))),
            ("5\r\n", Some(Info::Key('5'))),
            (" 0 ", Some(Info::Key('0'))),
            ("-1", None),
            ("300", None),
            (" ", None),
            ("\u{201c}5\u{201d}", None),
        ] {
            assert_eq!(signal(body.as_bytes()), read, "{body:?}");
        }
        assert_eq!(signal(b"Signal=\xff"), None);
    }
}
