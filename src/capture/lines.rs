//! From what is kept to what is said over the trace socket.

use super::mask::mask;
use super::message::Captured;
use super::protocol::{CallLine, MessageLine, characters};
use super::record::Call;
use crate::net::Direction;
use crate::sip::message::{Message, Method, NameAddr, Uri};
use crate::units::Msisdn;
use jiff::Timestamp;
use std::borrow::Cow;

/// The octets that may be shown.
fn shown(message: &Captured, hide_numbers: bool) -> Cow<'_, [u8]> {
    if hide_numbers { Cow::Owned(mask(&message.octets)) } else { Cow::Borrowed(&message.octets) }
}

/// A message, as a line.
pub(super) fn message_line(message: &Captured, hide_numbers: bool) -> MessageLine {
    MessageLine {
        at: time(message.at.wall),
        received: message.direction == Direction::Received,
        transport: message.flow.transport.via_name().to_owned(),
        local: message.flow.local.to_string(),
        remote: message.flow.remote.to_string(),
        octets: characters(&shown(message, hide_numbers)),
    }
}

fn time(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// A call, as a line.
pub(super) fn call_line(call: &Call, hide_numbers: bool) -> CallLine {
    let named = call.named.clone().unwrap_or_default();
    let (mut line, first) = match call.messages.first() {
        Some(first) => (first_request(&shown(first, hide_numbers)), first),
        None => return CallLine::default(),
    };
    let last = call.messages.last().unwrap_or(first);
    line.call_id = call_id(call);
    line.began = time(first.at.wall);
    line.lasted_ms = u64::try_from((last.at.instant - first.at.instant).as_millis()).unwrap_or(u64::MAX);
    line.status = call
        .messages
        .iter()
        .filter_map(|message| final_status(message, &line.method))
        .next_back()
        .unwrap_or(0);
    if !named.caller.is_empty() {
        line.caller = named.caller;
    }
    (line.id, line.flow, line.end) = (named.id, named.flow, named.end);
    (line.messages, line.left_out) = (call.messages.len(), call.left_out);
    line
}

/// The Call-ID as text.
pub(super) fn call_id(call: &Call) -> String {
    String::from_utf8_lossy(&call.call_id).into_owned()
}

fn first_request(octets: &[u8]) -> CallLine {
    let Ok(message) = Message::parse(octets) else { return CallLine::default() };
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let user = |uri: &Uri<'_>| uri.user().map_or_else(|| text(uri.raw()), |user| text(&user));
    let asserted = message.asserted_identities().flatten().next();
    let from = asserted.or_else(|| message.from().ok());
    CallLine {
        method: message.method().map_or_else(String::new, |method| text(method.as_octets())),
        caller: from.map_or_else(String::new, |from| user(&from.uri)),
        called: message.request_uri().map_or_else(|_| String::new(), |uri| user(&uri)),
        ..CallLine::default()
    }
}

/// The final status of a response to a request of that method.
fn final_status(message: &Captured, method: &str) -> Option<u16> {
    let message = Message::parse(&message.octets).ok()?;
    let status = message.status().filter(|status| *status >= 200)?;
    let answers = message.cseq().is_ok_and(|cseq| cseq.method.as_octets() == method.as_bytes());
    answers.then_some(status)
}

/// A telephone number that is looked for, by its last digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted(String);

impl Wanted {
    /// Reads a number as people write it; `None` when there is no digit in it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = match Msisdn::parse(text) {
            Ok(number) => number.national(),
            Err(_) => digits(text.as_bytes()),
        };
        let digits = digits.trim_start_matches('0');
        (!digits.is_empty()).then(|| Self(digits.to_owned()))
    }

    /// Whether an INVITE says that this number calls: in From, P-Asserted-Identity or P-Preferred-Identity.
    pub(super) fn calls(&self, octets: &[u8]) -> bool {
        let Ok(message) = Message::parse(octets) else { return false };
        if message.method() != Some(Method::Invite) {
            return false;
        }
        let is_wanted = |address: &NameAddr<'_>| {
            address.uri.user().is_some_and(|user| {
                digits(user.split(|o| *o == b';').next().unwrap_or_default()).ends_with(&self.0)
            })
        };
        let preferred =
            message.values(crate::sip::message::HeaderName::PPreferredIdentity).filter_map(NameAddr::parse);
        message
            .from()
            .ok()
            .into_iter()
            .chain(message.asserted_identities().flatten())
            .chain(preferred)
            .any(|a| is_wanted(&a))
    }
}

fn digits(text: &[u8]) -> String {
    text.iter().filter(|octet| octet.is_ascii_digit()).copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_found_however_the_number_is_written() {
        let invite = |fields: &str| format!("INVITE sip:130@x SIP/2.0\r\n{fields}\r\n\r\n").into_bytes();
        for text in ["0672123456", "+355672123456", "00355 67 212 3456"] {
            let wanted = Wanted::parse(text).unwrap();
            for field in [
                "From: <sip:+355672123456@x>;tag=1",
                "From: <sip:0672123456;npdi@x>",
                "From: <sip:anonymous@x>\r\nP-Asserted-Identity: <tel:+355-67-212-3456>",
                "f: <sip:a@x>\r\nP-Preferred-Identity: \"A\" <sip:672123456@x>",
            ] {
                assert!(wanted.calls(&invite(field)), "{text} in {field}");
            }
            assert!(!wanted.calls(&invite("From: <sip:0682123456@x>")));
            assert!(!wanted.calls(&invite("To: <sip:0672123456@x>")));
            assert!(!wanted.calls(b"BYE sip:x SIP/2.0\r\nFrom: <sip:0672123456@x>\r\n\r\n"));
        }
        assert_eq!(Wanted::parse("anna"), None);
        assert!(Wanted::parse("3456").unwrap().calls(&invite("From: <sip:0672123456@x>")));
    }
}
