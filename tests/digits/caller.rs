//! A caller who keys as RFC 4733 §2.5.1 has it, in each of the ways that it leaves to him, and which of his presses each
//! packet tells of.

use klikon::media::Packet;
use klikon::media::telephone_event::Event;
use rand::rngs::StdRng;
use rand::{Rng, RngExt};

pub const AUDIO_PAYLOAD_TYPE: u8 = 8;
pub const EVENT_PAYLOAD_TYPE: u8 = 101;
pub const REDUNDANT_PAYLOAD_TYPE: u8 = 121;

/// Audio in a packet, ms.
const PTIME_MS: u32 = 20;
/// The longest duration that an event can say (RFC 4733 §2.5.1.3).
const MAX_SEGMENT: u32 = u16::MAX as u32;
/// How far a redundant report may lie before its packet's (RFC 2198 §3: 14 bits).
const MAX_OFFSET: u32 = 0x3fff;
/// Last reports that are repeated in each packet, where they are.
const GENERATIONS: usize = 2;
/// The end is sent so often (RFC 4733 §2.5.1.4).
const END_PACKETS: u32 = 3;

/// What a caller's side keeps to for a whole call.
#[derive(Debug, Clone, Copy)]
pub struct Habit {
    /// Of timestamps and durations, Hz.
    pub clock_hz: u32,
    /// From one report of a press to the next, ms.
    interval_ms: u32,
    /// All three ends at once, instead of one in each interval, whatever has begun since.
    ends_at_once: bool,
    /// Audio between presses.
    speaks: bool,
    /// Marks the first packet of a press.
    marks: bool,
    /// Repeats the last reports of what was before in each report (RFC 4733 §2.5.1.4, RFC 2198).
    pub repeats: bool,
    typing: Typing,
}

#[derive(Debug, Clone, Copy)]
enum Typing {
    /// Presses of 60 to 300 ms, as long between them.
    Person,
    /// Presses and pauses of 40 to 60 ms.
    Machine,
    /// Anything from a millisecond on, and long presses among it.
    Anything,
}

#[derive(Debug, Clone, Copy)]
pub struct Press {
    pub event: u8,
    on_ms: u32,
    off_ms: u32,
}

/// A packet on its way.
#[derive(Debug)]
pub struct Sent {
    pub at_ms: u32,
    pub octets: Vec<u8>,
    /// What it tells of presses, oldest first; nothing for audio.
    pub tells: Vec<Report>,
}

/// One report of a press.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    pub press: usize,
    /// The first, or a later one of a press that is longer than its field.
    pub segment: usize,
    /// It says how long the segment is.
    pub is_last: bool,
    /// When the segment began, in units.
    begins: u32,
    event: Event,
}

/// A packet that has no sequence number yet.
struct Planned {
    at_ms: u32,
    payload_type: u8,
    marker: bool,
    timestamp: u32,
    payload: Vec<u8>,
    tells: Vec<Report>,
}

impl Report {
    /// For tests of what is concluded from reports.
    pub fn of(press: usize, segment: usize, is_last: bool) -> Self {
        let event = Event { event: 0, end: is_last, volume: 10, duration: 160 };
        Self { press, segment, is_last, begins: 0, event }
    }
}

impl Habit {
    pub fn any(random: &mut StdRng, repeats: bool) -> Self {
        Self {
            clock_hz: [8_000, 8_000, 8_000, 16_000, 48_000][random.random_range(0..5)],
            interval_ms: [20, 40, 50][random.random_range(0..3)],
            ends_at_once: random.random(),
            speaks: random.random(),
            marks: random.random_range(0..4) > 0,
            repeats,
            typing: [Typing::Person, Typing::Machine, Typing::Anything][random.random_range(0..3)],
        }
    }

    /// Presses at random; every third key is the one before.
    pub fn presses(&self, random: &mut StdRng, count: usize) -> Vec<Press> {
        let mut presses: Vec<Press> = Vec::new();
        for _ in 0..count {
            let again = presses.last().filter(|_| random.random_range(0..3) == 0);
            let event = again.map_or_else(|| random.random_range(0..16), |press| press.event);
            let (on_ms, off_ms) = match self.typing {
                Typing::Person => (random.random_range(60..300), random.random_range(60..300)),
                Typing::Machine => (random.random_range(40..60), random.random_range(40..60)),
                Typing::Anything => match random.random_range(0..100) {
                    0 if random.random_range(0..3) == 0 => (random.random_range(8_000..20_000), 100),
                    0..4 => (random.random_range(1_000..3_000), 100),
                    4..30 => (random.random_range(1..20), random.random_range(0..30)),
                    _ => (random.random_range(20..400), random.random_range(0..500)),
                },
            };
            presses.push(Press { event, on_ms, off_ms });
        }
        presses
    }
}

/// All packets of a call, in the order they are sent.
pub fn call(random: &mut StdRng, habit: Habit, presses: &[Press]) -> Vec<Sent> {
    let origin = random.next_u32();
    let mut line = Line { habit, origin, now_ms: 0, planned: Vec::new(), last_reports: Vec::new() };
    line.speak(200);
    for (index, press) in presses.iter().enumerate() {
        line.press(index, press);
        line.speak(press.off_ms);
    }
    line.speak(400);
    let (ssrc, first) = (random.next_u32(), random.next_u32() as u16);
    // Those of one millisecond stay in their order.
    line.planned.sort_by_key(|planned| planned.at_ms);
    let number = |(index, planned): (usize, Planned)| {
        let Planned { at_ms, payload_type, marker, timestamp, payload, tells } = planned;
        let sequence = first.wrapping_add(index as u16);
        let packet = Packet { payload_type, marker, sequence, timestamp, ssrc, payload: &payload };
        let mut octets = vec![0; 12 + payload.len()];
        assert_eq!(packet.write(&mut octets), octets.len());
        Sent { at_ms, octets, tells }
    };
    line.planned.into_iter().enumerate().map(number).collect()
}

/// What a caller's side has sent so far.
struct Line {
    habit: Habit,
    origin: u32,
    now_ms: u32,
    planned: Vec<Planned>,
    last_reports: Vec<Report>,
}

impl Line {
    fn timestamp(&self, at_units: u32) -> u32 {
        self.origin.wrapping_add(at_units)
    }

    fn units(&self, milliseconds: u32) -> u32 {
        milliseconds * (self.habit.clock_hz / 1_000)
    }

    fn speak(&mut self, for_ms: u32) {
        let until_ms = self.now_ms + for_ms;
        if self.habit.speaks {
            for at_ms in (self.now_ms..until_ms).step_by(PTIME_MS as usize) {
                self.planned.push(Planned {
                    at_ms,
                    payload_type: AUDIO_PAYLOAD_TYPE,
                    marker: false,
                    timestamp: self.timestamp(self.units(at_ms)),
                    payload: vec![0xd5; 160],
                    tells: vec![],
                });
            }
        }
        self.now_ms = until_ms;
    }

    fn press(&mut self, index: usize, press: &Press) {
        let Habit { interval_ms, ends_at_once, marks, repeats, .. } = self.habit;
        let (whole, began, longest) =
            (self.units(press.on_ms), self.units(self.now_ms), self.longest_segment());
        let report = |segment: usize, elapsed: u32| {
            let begins = segment as u32 * longest;
            let (duration, end) =
                ((elapsed - begins).min(longest), elapsed == whole && elapsed - begins <= longest);
            let event = Event { event: press.event, end, volume: 10, duration: duration as u16 };
            let is_last = end || elapsed - begins > longest;
            Report { press: index, segment, is_last, begins: began + begins, event }
        };
        let (mut segment, mut elapsed) = (0, 0);
        let end = loop {
            let is_first = elapsed == 0;
            elapsed = whole.min(elapsed + self.units(interval_ms));
            let last = report(segment, elapsed);
            if last.is_last && !last.event.end {
                // It is sent as often as an end, in the midst of the reports of the next segment.
                for again in 0..if repeats { 1 } else { END_PACKETS } {
                    self.send(self.now_ms + again * interval_ms, false, last);
                }
                self.last_reports.push(last);
                segment += 1;
            }
            let report = report(segment, elapsed);
            self.send(self.now_ms, is_first && marks, report);
            if report.event.end {
                break report;
            }
            self.now_ms += interval_ms;
        };
        for again in 1..END_PACKETS {
            self.send(self.now_ms + if ends_at_once { 0 } else { again * interval_ms }, false, end);
        }
        self.last_reports.push(end);
        self.now_ms += interval_ms;
    }

    /// RFC 4733 §2.5.1.3, for two generations.
    fn longest_segment(&self) -> u32 {
        let Habit { repeats, interval_ms, .. } = self.habit;
        if repeats { MAX_OFFSET - self.units(interval_ms) } else { MAX_SEGMENT }
    }

    /// Sends a report, and with it what is repeated.
    fn send(&mut self, at_ms: u32, marker: bool, report: Report) {
        let offset = |earlier: &Report| report.begins.wrapping_sub(earlier.begins);
        let earlier = self.last_reports.iter().rev().take(GENERATIONS).rev().copied();
        let mut tells: Vec<Report> = earlier
            .filter(|earlier| self.habit.repeats && (1..=MAX_OFFSET).contains(&offset(earlier)))
            .collect();
        let mut payload: Vec<u8> = tells
            .iter()
            .flat_map(|earlier| {
                let header = 1 << 31 | u32::from(EVENT_PAYLOAD_TYPE) << 24 | offset(earlier) << 10 | 4;
                header.to_be_bytes()
            })
            .collect();
        let payload_type = if payload.is_empty() { EVENT_PAYLOAD_TYPE } else { REDUNDANT_PAYLOAD_TYPE };
        if !payload.is_empty() {
            payload.push(EVENT_PAYLOAD_TYPE);
        }
        tells.push(report);
        payload.extend(tells.iter().flat_map(|report| report.event.write()));
        let timestamp = self.timestamp(report.begins);
        self.planned.push(Planned { at_ms, payload_type, marker, timestamp, payload, tells });
    }
}
