//! One pass over the octets of a header: the first line and an index of the fields. Knows nothing of bodies,
//! so that a reader of streams can use it too.

use super::{Defect, Field, HeaderName, Malformed, Method, StartLine, lex};
use arrayvec::ArrayVec;

/// The most octets of a message: what a UDP datagram can hold.
pub const MAX_MESSAGE_OCTETS: usize = 65_535;

/// The most header fields of a message. RFC 4475's longest message has 43; a proxy adds two.
pub const MAX_HEADER_FIELDS: usize = 128;

/// The most octets of one header field, or of the first line, folding included.
pub const MAX_FIELD_OCTETS: usize = 8_192;

/// Where one field lies in the datagram.
#[derive(Debug, Clone, Copy)]
struct Slot {
    name: HeaderName,
    name_start: u16,
    name_end: u16,
    value_start: u16,
    value_end: u16,
}

/// The header of a message.
#[derive(Debug, Clone)]
pub(super) struct Head<'a> {
    octets: &'a [u8],
    pub(super) start: StartLine<'a>,
    slots: ArrayVec<Slot, MAX_HEADER_FIELDS>,
    /// One bit for each [`HeaderName`] there is: most readers ask for a field that is not there.
    present: u64,
    /// Where the body begins.
    pub(super) end: usize,
    /// The first thing wrong with the header's shape.
    pub(super) defect: Option<Defect>,
    /// Whether a field is not in the index, being too long or one too many.
    pub(super) has_unread: bool,
}

impl<'a> Head<'a> {
    pub(super) fn fields(&self) -> impl Iterator<Item = Field<'a>> + '_ {
        self.slots.iter().map(|slot| Field {
            name: slot.name,
            spelled: self.text(slot.name_start, slot.name_end),
            value: self.text(slot.value_start, slot.value_end),
        })
    }

    pub(super) fn values(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> + '_ {
        let slots = if self.present & bit(name) == 0 { &[] } else { &self.slots[..] };
        slots
            .iter()
            .filter(move |slot| slot.name == name)
            .map(|slot| self.text(slot.value_start, slot.value_end))
    }

    fn text(&self, start: u16, end: u16) -> &'a [u8] {
        self.octets.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }

    /// Keeps the first defect: the one that explains those after it.
    fn note(&mut self, defect: Defect) {
        self.defect.get_or_insert(defect);
    }

    /// Indexes the field in `start..end`, folding included, line end excluded.
    fn index(&mut self, start: usize, end: usize) {
        let line = self.octets.get(start..end).unwrap_or_default();
        if line.len() > MAX_FIELD_OCTETS {
            self.has_unread = true;
            return self.note(Defect::HeaderTooLarge);
        }
        let (name, rest) = lex::split_where(line, |octet| !lex::is_token(*octet));
        // HCOLON has blanks before the colon, and no fold.
        let (_, rest) = lex::split_where(rest, |octet| !matches!(octet, b' ' | b'\t'));
        let [b':', value @ ..] = rest else { return self.note(Defect::FieldLine) };
        if name.is_empty() {
            return self.note(Defect::FieldLine);
        }
        let value = lex::trim_start(value);
        let value_start = end - value.len();
        let value_end = value_start + lex::trim_end(value).len();
        // Below MAX_MESSAGE_OCTETS, so the conversions hold.
        let offset = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        let slot = Slot {
            name: HeaderName::from_octets(name),
            name_start: offset(start),
            name_end: offset(start + name.len()),
            value_start: offset(value_start),
            value_end: offset(value_end),
        };
        match self.slots.try_push(slot) {
            Ok(()) => self.present |= bit(slot.name),
            Err(_) => {
                self.has_unread = true;
                self.note(Defect::HeaderTooLarge);
            }
        }
    }
}

/// The bit of `name` in [`Head::present`].
const fn bit(name: HeaderName) -> u64 {
    const { assert!((HeaderName::Other as u8) < 64, "more header names than bits") };
    1 << name as u8
}

/// Reads the header at the start of `octets`.
///
/// # Errors
/// When there is no first line of SIP.
pub(super) fn head(octets: &[u8]) -> Result<Head<'_>, Malformed> {
    if octets.len() > MAX_MESSAGE_OCTETS {
        return Err(Malformed::TooLong);
    }
    let begin =
        octets.iter().position(|octet| !matches!(octet, b'\r' | b'\n' | 0)).ok_or(Malformed::KeepAlive)?;
    let first = line(octets, begin);
    let (start, defect) = start_line(octets.get(begin..first.end).unwrap_or_default())?;
    let mut head = Head {
        octets,
        start,
        slots: ArrayVec::new(),
        present: 0,
        end: octets.len(),
        defect,
        has_unread: false,
    };
    if first.bare {
        head.note(Defect::LineEnd);
    }
    let mut at = first.next;
    while at < octets.len() {
        let mut current = line(octets, at);
        if current.end == at {
            if current.bare {
                head.note(Defect::LineEnd);
            }
            head.end = current.next;
            return Ok(head);
        }
        let mut bare = current.bare;
        while matches!(octets.get(current.next), Some(b' ' | b'\t')) {
            current = line(octets, current.next);
            bare |= current.bare;
        }
        head.index(at, current.end);
        if bare {
            head.note(Defect::LineEnd);
        }
        at = current.next;
    }
    head.note(Defect::Unended);
    Ok(head)
}

/// One line: where its text ends, where the next begins, and whether it has a CR or LF that is not a CRLF at
/// its end.
struct Line {
    end: usize,
    next: usize,
    bare: bool,
}

fn line(octets: &[u8], from: usize) -> Line {
    let mut bare = false;
    let mut at = from;
    loop {
        let rest = octets.get(at..).unwrap_or_default();
        at += lex::find_line_end(rest);
        match octets.get(at..) {
            Some([b'\r', b'\n', ..]) => return Line { end: at, next: at + 2, bare },
            Some([b'\n', ..]) => return Line { end: at, next: at + 1, bare: true },
            Some([_, ..]) => (bare, at) = (true, at + 1),
            _ => return Line { end: at, next: at, bare },
        }
    }
}

/// Tells a request from a response. A request line that is recognisable but not as it should be is reported,
/// so that the sender can be answered.
fn start_line(text: &[u8]) -> Result<(StartLine<'_>, Option<Defect>), Malformed> {
    let (first, rest) = lex::split_once(text, b' ').ok_or(Malformed::NotSip)?;
    if first.len() >= 4 && first.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"SIP/")) {
        return status_line(first, rest).map(|start| (start, None));
    }
    let trimmed = lex::trim(rest);
    let space = trimmed.iter().rposition(|octet| lex::is_lws(*octet)).ok_or(Malformed::NotSip)?;
    let (uri, version) = trimmed.split_at_checked(space).ok_or(Malformed::NotSip)?;
    let (uri, version) = (lex::trim(uri), lex::trim(version));
    if !lex::is_token_text(first) || !is_version(version) {
        return Err(Malformed::NotSip);
    }
    let exact =
        first.len() + uri.len() + version.len() + 2 == text.len() && trimmed.get(space) == Some(&b' ');
    let defect = if text.len() > MAX_FIELD_OCTETS {
        Some(Defect::HeaderTooLarge)
    } else if !exact {
        Some(Defect::RequestLine)
    } else {
        None
    };
    Ok((StartLine::Request { method: Method::from_octets(first), uri, version }, defect))
}

fn status_line<'a>(version: &[u8], rest: &'a [u8]) -> Result<StartLine<'a>, Malformed> {
    let (code, reason) = match lex::split_once(rest, b' ') {
        Some((code, reason)) => (code, reason),
        // The space before an empty reason is easily lost on the way.
        None => (rest, &[][..]),
    };
    let status = lex::number(code).and_then(|status| u16::try_from(status).ok());
    match status {
        Some(status @ 100..=699) if code.len() == 3 && version.eq_ignore_ascii_case(SIP_2_0) => {
            Ok(StartLine::Response { status, reason })
        }
        _ => Err(Malformed::StatusLine),
    }
}

/// The version this service speaks; compared without regard to case (RFC 3261 §7.1).
pub(super) const SIP_2_0: &[u8] = b"SIP/2.0";

/// `SIP/` digits `.` digits.
fn is_version(text: &[u8]) -> bool {
    let Some((protocol, version)) = lex::split_once(text, b'/') else { return false };
    let Some((major, minor)) = lex::split_once(version, b'.') else { return false };
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    protocol.eq_ignore_ascii_case(b"SIP") && digits(major) && digits(minor)
}
