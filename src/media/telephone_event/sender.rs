//! Sending keys (RFC 4733 §2.5.1): marker on the first packet, an update in every packet interval, the end three times,
//! all with the timestamp of the start.

use super::{Event, LAST_KEY};
use std::collections::VecDeque;

/// How often the end is sent (RFC 4733 §2.5.1.4).
const END_PACKETS: u8 = 3;
/// Power of the keys we send, −dBm0: what telephones send.
const VOLUME: u8 = 10;
/// Most keys that wait to be sent.
pub const MAX_WAITING: usize = 64;

/// One packet to send in place of audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPacket {
    /// The start of the press.
    pub timestamp: u32,
    /// First packet of the press.
    pub marker: bool,
    /// The event.
    pub event: Event,
}

/// Presses keys one after the other.
#[derive(Debug, Default)]
pub struct DigitSender {
    waiting: VecDeque<Waiting>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    event: u8,
    on_ms: u16,
    off_ms: u16,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Pressed {
        key: Waiting,
        timestamp: u32,
        elapsed_ms: u16,
    },
    Released {
        timestamp: u32,
        event: Event,
        ends_left: u8,
        rest_ms: u16,
    },
}

impl DigitSender {
    /// Adds a key; false when it is no key or [`MAX_WAITING`] are waiting. `on_ms` is how long it is pressed, `off_ms` the
    /// pause after it.
    pub fn push(&mut self, event: u8, on_ms: u16, off_ms: u16) -> bool {
        if event > LAST_KEY || self.waiting.len() >= MAX_WAITING {
            return false;
        }
        self.waiting.push_back(Waiting { event, on_ms, off_ms });
        true
    }

    /// True when no key is being sent or waits.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.waiting.is_empty()
    }

    /// The packet of this packet interval, or `None` when it carries audio. `clock_rate_hz` is that of the durations.
    pub fn poll(&mut self, timestamp: u32, ptime_ms: u8, clock_rate_hz: u32) -> Option<EventPacket> {
        if let State::Released { rest_ms: 0, ends_left: 0, .. } = self.state {
            self.state = State::Idle;
        }
        if let State::Idle = self.state {
            let key = self.waiting.pop_front()?;
            self.state = State::Pressed { key, timestamp, elapsed_ms: 0 };
        }
        match &mut self.state {
            State::Idle => None,
            State::Pressed { key, timestamp, elapsed_ms } => {
                let marker = *elapsed_ms == 0;
                *elapsed_ms = elapsed_ms.saturating_add(ptime_ms.into()).min(key.on_ms);
                let end = *elapsed_ms >= key.on_ms;
                let duration = u32::from(*elapsed_ms) * (clock_rate_hz / 1_000);
                let duration = u16::try_from(duration).unwrap_or(u16::MAX);
                let event = Event { event: key.event, end, volume: VOLUME, duration };
                let timestamp = *timestamp;
                if end {
                    let rest_ms = key.off_ms;
                    self.state = State::Released { timestamp, event, ends_left: END_PACKETS - 1, rest_ms };
                }
                Some(EventPacket { timestamp, marker, event })
            }
            State::Released { timestamp, event, ends_left, rest_ms } => {
                *rest_ms = rest_ms.saturating_sub(ptime_ms.into());
                *ends_left = ends_left.checked_sub(1)?;
                Some(EventPacket { timestamp: *timestamp, marker: false, event: *event })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_as_the_rfc_sends_them() {
        let mut sender = DigitSender::default();
        assert!(sender.push(5, 100, 60) && sender.push(11, 40, 0) && !sender.push(16, 100, 60));
        let sent: Vec<_> = (0..13_u32)
            .map(|tick| {
                sender.poll(1_000 + tick * 160, 20, 8_000).map(|packet| {
                    let EventPacket { timestamp, marker, event } = packet;
                    (timestamp, marker, event.event, event.end, event.duration)
                })
            })
            .collect();
        let five = |marker, end, duration| Some((1_000, marker, 5, end, duration));
        let hash = |marker, end, duration| Some((1_000 + 8 * 160, marker, 11, end, duration));
        let expected = [
            five(true, false, 160),
            five(false, false, 320),
            five(false, false, 480),
            five(false, false, 640),
            five(false, true, 800),
            five(false, true, 800),
            five(false, true, 800),
            None,
            hash(true, false, 160),
            hash(false, true, 320),
            hash(false, true, 320),
            hash(false, true, 320),
            None,
        ];
        assert_eq!(sent, expected);
        assert!(sender.is_idle());
    }
}
