//! Sending keys (RFC 4733 §2.5.1): marker on the first packet, an update in every packet interval, the end three times,
//! all with the timestamp of the start.

use super::{EVENT_OCTETS, Event, LAST_KEY};
use crate::media::red;
use crate::media::rtp::timestamp_distance;
use arrayvec::ArrayVec;
use std::collections::VecDeque;

/// How often the end is sent (RFC 4733 §2.5.1.4).
const END_PACKETS: u8 = 3;
/// Power of the keys we send, −dBm0: what telephones send.
const VOLUME: u8 = 10;
/// Most keys that wait to be sent.
pub const MAX_WAITING: usize = 64;
/// Earlier presses, or segments of this one, whose last report is repeated (RFC 4733 §2.5.1.4).
const MAX_REPEATED: usize = 2;
/// The longest payload of reports, octets.
pub const MAX_REPORT_OCTETS: usize = MAX_REPEATED * (4 + EVENT_OCTETS) + 1 + EVENT_OCTETS;

/// One packet to send in place of audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPacket {
    /// The start of the press.
    pub timestamp: u32,
    /// First packet of the press.
    pub marker: bool,
    /// The event.
    pub event: Event,
    /// The last reports of earlier ones that are repeated with it, the oldest first, each with how far its start lies
    /// before this one's. Empty without redundancy.
    pub repeated: ArrayVec<(u16, Event), MAX_REPEATED>,
}

impl EventPacket {
    /// The payload as telephone-event, or as `red` (RFC 2198) of events of `payload_type` where anything is repeated.
    pub fn write(&self, payload_type: u8, payload: &mut [u8]) -> usize {
        let reports = self.repeated.iter().copied().chain([(0, self.event)]);
        let reports: ArrayVec<_, { MAX_REPEATED + 1 }> =
            reports.map(|(offset, event)| (offset, event.write())).collect();
        let written = match reports.as_slice() {
            [(_, event)] => payload.get_mut(..EVENT_OCTETS).map(|payload| {
                payload.copy_from_slice(event);
                EVENT_OCTETS
            }),
            reports => {
                let blocks: ArrayVec<_, { MAX_REPEATED + 1 }> = reports
                    .iter()
                    .map(|(offset, event)| red::Block { payload_type, offset: *offset, payload: event })
                    .collect();
                red::write(&blocks, payload)
            }
        };
        written.unwrap_or(0)
    }
}

/// Presses keys one after the other.
#[derive(Debug, Default)]
pub struct DigitSender {
    waiting: VecDeque<Waiting>,
    state: State,
    /// The last reports of what is over, with the timestamps of their starts.
    last_reports: ArrayVec<(u32, Event), MAX_REPEATED>,
}

/// What the keys of a stream are sent by.
#[derive(Debug, Clone, Copy)]
pub struct Reporting {
    /// From one packet to the next, ms.
    pub ptime_ms: u8,
    /// Of the durations, Hz.
    pub clock_rate_hz: u32,
    /// Whether the last reports of earlier presses are repeated (RFC 2198).
    pub repeats: bool,
}

impl Reporting {
    /// The longest duration that is reported before a press goes on as another segment (RFC 4733 §2.5.1.3): that of the
    /// field, or what leaves room for the offsets of the reports that are repeated.
    fn longest_segment(&self) -> u32 {
        let packet = u32::from(self.ptime_ms) * (self.clock_rate_hz / 1_000);
        let layers = (MAX_REPEATED as u32 - 1) * packet;
        if self.repeats { red::MAX_OFFSET.saturating_sub(layers).max(packet) } else { u16::MAX.into() }
    }
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
        /// Of its start, or of the start of its segment.
        timestamp: u32,
        elapsed_ms: u16,
        /// Units that earlier segments have reported.
        reported: u32,
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

    /// The packet of this packet interval, or `None` when it carries audio.
    pub fn poll(&mut self, timestamp: u32, reporting: Reporting) -> Option<EventPacket> {
        if let State::Released { rest_ms: 0, ends_left: 0, .. } = self.state {
            self.state = State::Idle;
        }
        if let State::Idle = self.state {
            let key = self.waiting.pop_front()?;
            self.state = State::Pressed { key, timestamp, elapsed_ms: 0, reported: 0 };
        }
        match &mut self.state {
            State::Idle => None,
            State::Pressed { .. } => self.press(reporting),
            State::Released { timestamp, event, ends_left, rest_ms } => {
                *rest_ms = rest_ms.saturating_sub(reporting.ptime_ms.into());
                *ends_left = ends_left.checked_sub(1)?;
                let (timestamp, event) = (*timestamp, *event);
                Some(self.packet(timestamp, false, event, reporting))
            }
        }
    }

    /// The next report of the key that is down.
    fn press(&mut self, reporting: Reporting) -> Option<EventPacket> {
        let State::Pressed { key, timestamp, elapsed_ms, reported } = &mut self.state else { return None };
        let marker = *elapsed_ms == 0;
        *elapsed_ms = elapsed_ms.saturating_add(reporting.ptime_ms.into()).min(key.on_ms);
        let duration = u32::from(*elapsed_ms) * (reporting.clock_rate_hz / 1_000) - *reported;
        let longest = reporting.longest_segment();
        let is_whole = duration > longest;
        let end = *elapsed_ms >= key.on_ms && !is_whole;
        let duration = u16::try_from(duration.min(longest)).unwrap_or(u16::MAX);
        let event = Event { event: key.event, end, volume: VOLUME, duration };
        let (begun, rest_ms) = (*timestamp, key.off_ms);
        if is_whole {
            *timestamp = timestamp.wrapping_add(duration.into());
            *reported += u32::from(duration);
        }
        if end {
            let ends_left = END_PACKETS - 1;
            self.state = State::Released { timestamp: begun, event, ends_left, rest_ms };
        }
        let packet = self.packet(begun, marker, event, reporting);
        if end || is_whole {
            if self.last_reports.is_full() {
                self.last_reports.remove(0);
            }
            self.last_reports.push((begun, event));
        }
        Some(packet)
    }

    /// A report, and what is repeated beside it.
    fn packet(&self, timestamp: u32, marker: bool, event: Event, reporting: Reporting) -> EventPacket {
        let earlier = self.last_reports.iter().filter_map(|(begun, event)| {
            let offset = u16::try_from(timestamp_distance(timestamp, *begun)).ok()?;
            (offset > 0 && u32::from(offset) <= red::MAX_OFFSET).then_some((offset, *event))
        });
        let repeated = earlier.filter(|_| reporting.repeats).collect();
        EventPacket { timestamp, marker, event, repeated }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Reporting = Reporting { ptime_ms: 20, clock_rate_hz: 8_000, repeats: false };

    #[test]
    fn two_keys_as_the_rfc_sends_them() {
        let mut sender = DigitSender::default();
        assert!(sender.push(5, 100, 60) && sender.push(11, 40, 0) && !sender.push(16, 100, 60));
        let sent: Vec<_> = (0..13_u32)
            .map(|tick| {
                sender.poll(1_000 + tick * 160, PLAIN).map(|packet| {
                    let EventPacket { timestamp, marker, event, repeated } = packet;
                    assert!(repeated.is_empty());
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

    /// The last report of a segment: its timestamp, duration and end, and the offset and duration of what was repeated with it.
    type Segment = (u32, u16, bool, Option<(u16, u16)>);

    /// What a press of 9 s comes to.
    fn segments(reporting: Reporting) -> Vec<Segment> {
        let mut sender = DigitSender::default();
        assert!(sender.push(8, 9_000, 0));
        let packets: Vec<_> = (0..460_u32).map_while(|tick| sender.poll(tick * 160, reporting)).collect();
        assert!(sender.is_idle() && packets.iter().filter(|packet| packet.marker).count() == 1);
        let last = packets.chunk_by(|one, two| one.timestamp == two.timestamp).filter_map(<[_]>::last);
        last.map(|packet| {
            let repeated = packet.repeated.last().map(|(offset, event)| (*offset, event.duration));
            (packet.timestamp, packet.event.duration, packet.event.end, repeated)
        })
        .collect()
    }

    #[test]
    fn a_long_press_goes_on_in_segments() {
        assert_eq!(segments(PLAIN), [(0, 65_535, false, None), (65_535, 6_465, true, None)]);
        // RFC 4733 §2.5.1.3: 0x3fff less one packet for the second of two generations.
        let longest = 0x3fff - 160;
        let before = Some((longest, longest));
        let begun = |segment: u32| segment * u32::from(longest);
        assert_eq!(
            segments(Reporting { repeats: true, ..PLAIN }),
            [
                (begun(0), longest, false, None),
                (begun(1), longest, false, before),
                (begun(2), longest, false, before),
                (begun(3), longest, false, before),
                (begun(4), 7_108, true, before),
            ]
        );
    }

    #[test]
    fn the_last_two_presses_are_repeated_while_their_offsets_fit() {
        let mut sender = DigitSender::default();
        for event in [1, 2, 3] {
            assert!(sender.push(event, 40, 40));
        }
        assert!(sender.push(4, 40, 0));
        let reporting = Reporting { repeats: true, ..PLAIN };
        // The fourth is keyed 2.06 s after the second, so that the third alone is repeated with it.
        let mut firsts = Vec::new();
        for tick in 0..200_u32 {
            let timestamp = if firsts.len() < 3 { tick * 160 } else { tick * 160 + 15_200 };
            if let Some(packet) = sender.poll(timestamp, reporting).filter(|packet| packet.marker) {
                firsts.push(packet);
            }
        }
        let repeated: Vec<Vec<u8>> = firsts
            .iter()
            .map(|packet| packet.repeated.iter().map(|(_, event)| event.event).collect())
            .collect();
        assert_eq!(repeated, [vec![], vec![1], vec![1, 2], vec![3]]);
        let mut payload = [0; MAX_REPORT_OCTETS];
        assert_eq!(firsts[0].write(101, &mut payload), EVENT_OCTETS);
        assert_eq!(payload[..4], [1, 10, 0, 160]);
        assert_eq!(firsts[2].write(101, &mut payload), MAX_REPORT_OCTETS);
        // Two headers of 14 bits of offset and 10 of length, the header of the primary block, and the three of them.
        let headers = [0xe5, 20, 0, 4, 0xe5, 10, 0, 4, 0x65];
        let reports = [[1, 0x8a, 1, 64], [2, 0x8a, 1, 64], [3, 10, 0, 160]].concat();
        assert_eq!(payload, [&headers[..], &reports].concat()[..]);
    }
}
