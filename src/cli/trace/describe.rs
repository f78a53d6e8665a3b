//! What a row of the ladder says of its message.

use super::text;
use crate::sdp::{Address, Description};
use crate::sip::message::{HeaderName, Message, StartLine};
use crate::units::rtp::Direction;

/// What kind of message it is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Request,
    Provisional,
    Success,
    Redirection,
    Failure,
    /// No SIP at all.
    Unreadable,
}

/// A message in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) kind: Kind,
    /// `INVITE`, or `180 Ringing`.
    pub(super) label: String,
    /// Like `1 INVITE  audio 192.0.2.9:4000 PCMA`.
    pub(super) notes: String,
    pub(super) call_id: String,
}

/// Fields that explain a refusal or an end.
const TELLING: [HeaderName; 5] = [
    HeaderName::RetryAfter,
    HeaderName::Warning,
    HeaderName::Reason,
    HeaderName::Unsupported,
    HeaderName::Require,
];

/// Describes a message, all text escaped.
pub(super) fn describe(octets: &[u8]) -> Described {
    let Ok(message) = Message::parse(octets) else {
        let label = if octets.iter().all(|octet| matches!(octet, b'\r' | b'\n' | 0)) {
            "keep-alive"
        } else {
            "no SIP"
        };
        let notes = format!("{} octets", octets.len());
        return Described { kind: Kind::Unreadable, label: label.to_owned(), notes, call_id: String::new() };
    };
    let (kind, label) = match message.start() {
        StartLine::Request { method, .. } => (Kind::Request, text::line(method.as_octets())),
        StartLine::Response { status, reason } => (kind(status), format!("{status} {}", text::line(reason))),
    };
    let mut notes = vec![message.cseq().map_or_else(
        |_| "?".to_owned(),
        |cseq| format!("{} {}", cseq.number, text::line(cseq.method.as_octets())),
    )];
    notes.extend(description(&message));
    for name in TELLING {
        notes.extend(message.values(name).map(|value| format!("{name}: {}", text::line(value))));
    }
    let call_id = message.call_id().map_or_else(|_| String::new(), text::line);
    Described { kind, label: label.trim_end().to_owned(), notes: notes.join("  "), call_id }
}

fn kind(status: u16) -> Kind {
    match status / 100 {
        1 => Kind::Provisional,
        2 => Kind::Success,
        3 => Kind::Redirection,
        _ => Kind::Failure,
    }
}

/// The media that a description offers or answers with.
fn description(message: &Message<'_>) -> Option<String> {
    if message.body().is_empty() {
        return None;
    }
    match message.content_type() {
        Ok(Some(kind)) if kind.is("application", "sdp") => {}
        Ok(Some(kind)) => return Some(format!("{}/{}", text::line(kind.kind), text::line(kind.subtype))),
        _ => return Some("a body of no type".to_owned()),
    }
    let Ok(description) = Description::parse(message.body()) else {
        return Some("SDP that cannot be read".to_owned());
    };
    let media = description.media.iter().map(|media| {
        let address = match &media.address {
            Some(Address::Ip(ip)) => std::net::SocketAddr::new(*ip, media.port).to_string(),
            Some(Address::Unusable(other)) => format!("{}:{}", text::escaped(other), media.port),
            None => format!("port {}", media.port),
        };
        let formats: Vec<String> =
            media.formats.iter().map(|format| name_of(&format.encoding_name, format.payload_type)).collect();
        let direction = match media.direction {
            Direction::SendRecv => "",
            Direction::SendOnly => " sendonly",
            Direction::RecvOnly => " recvonly",
            Direction::Inactive => " inactive",
        };
        format!("{} {address} {}{direction}", text::escaped(&media.media), formats.join("/"))
    });
    Some(media.collect::<Vec<_>>().join(", "))
}

fn name_of(encoding_name: &str, payload_type: u8) -> String {
    match encoding_name {
        "" => payload_type.to_string(),
        name => text::escaped(name),
    }
}
