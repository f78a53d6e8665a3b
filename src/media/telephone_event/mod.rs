//! Named telephone events (RFC 4733): the payload, the reader that counts each press once, the sender.

mod press;
mod reader;
mod sender;

pub use reader::{EventReader, HOLD_OFF, Key, KeyStatistics};
pub use sender::{DigitSender, EventPacket, MAX_REPORT_OCTETS, Reporting};

/// Octets of one event in a payload (RFC 4733 §2.3).
pub const EVENT_OCTETS: usize = 4;
/// Highest event that is a key: 0–9, `*` (10), `#` (11), A–D (12–15), RFC 4733 §3.2 table 3.
pub const LAST_KEY: u8 = 15;

/// One event block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The event code.
    pub event: u8,
    /// E bit: the event is over.
    pub end: bool,
    /// Power of the tone, −dBm0, 0–63.
    pub volume: u8,
    /// How long it has lasted, in units of the event's clock.
    pub duration: u16,
}

impl Event {
    /// Reads a block; `None` when it is short.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let [event, flags, high, low] = *octets.first_chunk()?;
        Some(Event {
            event,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    /// The block's octets.
    pub fn write(self) -> [u8; EVENT_OCTETS] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, u8::from(self.end) << 7 | self.volume & 0x3f, high, low]
    }
}

/// The key of an event code, `0`–`9`, `*`, `#`, `A`–`D`.
pub const fn key_of(event: u8) -> Option<char> {
    Some(match event {
        0..=9 => (b'0' + event) as char,
        10 => '*',
        11 => '#',
        12..=15 => (b'A' + event - 12) as char,
        _ => return None,
    })
}

/// The event code of a key; letters in either case.
pub const fn event_of(key: char) -> Option<u8> {
    Some(match key {
        '0'..='9' => key as u8 - b'0',
        '*' => 10,
        '#' => 11,
        'A'..='D' => key as u8 - b'A' + 12,
        'a'..='d' => key as u8 - b'a' + 12,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
