//! Reading keys so that each press counts once (RFC 4733 §2.5.2).
//!
//! A press is its source, its timestamp and its event. Everything else about it may be lost, repeated or late: the first
//! packet, the marker bit, updates, all three end packets. The reader never filters by duration and never waits for an
//! end that does not come.

use super::{EVENT_OCTETS, Event, LAST_KEY};
use crate::media::rtp::{MAX_MISORDER, Packet, sequence_distance, timestamp_distance};
use arrayvec::ArrayVec;
use std::time::{Duration, Instant};

/// Without an update for this long, a press is over and its end made up. RFC 4733 §2.5.1.2 wants updates every 50 ms or
/// oftener; this lets four of them be lost.
pub const HOLD_OFF: Duration = Duration::from_millis(250);
/// How long packets of a press that is over are known as its own.
const REPEAT_WINDOW: Duration = Duration::from_secs(3);
/// Presses that are remembered for that.
const REMEMBERED: usize = 8;
/// Audio this far beyond a press's last known duration says that its end was lost, ms of media time.
const AUDIO_RESUMED_MS: u32 = 100;
/// Audio further beyond than this says nothing: the timestamps are not of one run. ms of media time.
const AUDIO_UNRELATED_MS: u32 = 4_000;
/// Longest step between updates that is believed where a timestamp changes within a press, ms.
const MAX_STEP_MS: u32 = 100;
/// Packets that may be missing where a timestamp changes within a press.
const MAX_GAP: i16 = 4;
/// End packets that repeat under a changed timestamp come within this.
const END_REPEAT_WINDOW: Duration = Duration::from_millis(200);
/// Event blocks that are read in one packet.
const MAX_BLOCKS: usize = 8;
/// How much older than the newest packet's the timestamp of a late packet can be: ten seconds of a 48 kHz clock.
const MAX_AGE_UNITS: i32 = 480_000;
/// Milliseconds in a second.
const MS: u32 = 1_000;

/// What the reader reports, once each for a press, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The first packet of a press came.
    Began(char),
    /// The press is over, or has to be taken for over.
    Ended(char),
}

/// What the reader counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeyStatistics {
    /// Presses.
    pub presses: u64,
    /// Ends that were made up since none came.
    pub made_up_ends: u64,
    /// Packets of a press that was already over: repeated ends, late updates.
    pub repeated: u64,
    /// Packets of a press older than the last one, of which nothing else ever came: ignored.
    pub late: u64,
    /// Packets that changed the timestamp within a press.
    pub changed_timestamps: u64,
    /// Events that are no keys (flash, modem tones): ignored.
    pub other_events: u64,
    /// Payloads shorter than an event.
    pub malformed: u64,
}

/// Turns event packets into presses. One for each call.
#[derive(Debug, Default)]
pub struct EventReader {
    current: Option<Press>,
    ended: ArrayVec<Press, REMEMBERED>,
    /// The newest event packet.
    newest: Option<Newest>,
    statistics: KeyStatistics,
}

#[derive(Debug, Clone, Copy)]
struct Press {
    ssrc: u32,
    timestamp: u32,
    event: u8,
    duration: u16,
    sequence: u16,
    seen_at: Instant,
}

/// The event packet with the highest sequence number of its source.
#[derive(Debug, Clone, Copy)]
struct Newest {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    seen_at: Instant,
}

/// One event block with what its packet says.
#[derive(Debug, Clone, Copy)]
struct Block {
    ssrc: u32,
    timestamp: u32,
    sequence: u16,
    marker: bool,
    event: Event,
}

impl Press {
    fn is(&self, block: &Block) -> bool {
        self.ssrc == block.ssrc && self.timestamp == block.timestamp && self.event == block.event.event
    }

    fn is_of_same_key(&self, block: &Block) -> bool {
        self.ssrc == block.ssrc && self.event == block.event.event
    }

    fn update(&mut self, now: Instant, block: &Block) {
        if sequence_distance(block.sequence, self.sequence) > 0 {
            self.sequence = block.sequence;
        }
        self.duration = self.duration.max(block.event.duration);
        self.seen_at = now;
    }

    /// True when a packet with another timestamp goes on with this press, which is not over.
    fn continues(&self, block: &Block, clock_rate_hz: u32) -> bool {
        let gap = sequence_distance(block.sequence, self.sequence);
        if !self.is_of_same_key(block) || !(1..=MAX_GAP).contains(&gap) {
            return false;
        }
        let step = timestamp_distance(block.timestamp, self.timestamp);
        let most = i64::from(clock_rate_hz.saturating_mul(MAX_STEP_MS) / MS) * i64::from(gap);
        if self.is_next_segment(step, most) {
            return true;
        }
        // A sender that changes the timestamp within a press: the duration goes on growing, which that of a new press
        // cannot do where nothing is missing in between.
        let growth = i64::from(block.event.duration) - i64::from(self.duration);
        let grows = if block.event.end { growth >= 0 } else { growth > 0 };
        !block.marker && grows && growth <= most && (gap == 1 || i64::from(step) == growth)
    }

    /// RFC 4733 §2.5.1.3: a press longer than the duration field goes on as a segment that starts where the last ended.
    fn is_next_segment(&self, step: i32, most: i64) -> bool {
        let step = i64::from(step);
        i64::from(self.duration) + most >= i64::from(u16::MAX)
            && step + most >= i64::from(u16::MAX)
            && step <= i64::from(u16::MAX) + most
    }

    /// True when an end packet with another timestamp repeats the end of this press, which is over: it would begin before
    /// this press ended, with the same duration, at once.
    fn is_echoed_by(&self, now: Instant, block: &Block) -> bool {
        let step = timestamp_distance(block.timestamp, self.timestamp);
        self.is_of_same_key(block)
            && block.event.end
            && !block.marker
            && block.event.duration == self.duration
            && step > 0
            && step < i32::from(self.duration)
            && (1..=MAX_GAP).contains(&sequence_distance(block.sequence, self.sequence))
            && now.saturating_duration_since(self.seen_at) <= END_REPEAT_WINDOW
    }
}

impl EventReader {
    /// Reads one event packet. `clock_rate_hz` is that of the durations. Reports through `report`.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        clock_rate_hz: u32,
        mut report: impl FnMut(Key),
    ) {
        if packet.payload.len() < EVENT_OCTETS {
            self.statistics.malformed += 1;
            return;
        }
        let mut timestamp = packet.timestamp;
        // Several events in one packet follow each other in time (RFC 4733 §2.5.1.5).
        for event in packet.payload.chunks_exact(EVENT_OCTETS).take(MAX_BLOCKS).filter_map(Event::read) {
            let Packet { ssrc, sequence, marker, .. } = *packet;
            let block = Block { ssrc, timestamp, sequence, marker, event };
            if event.event <= LAST_KEY {
                self.block(now, &block, clock_rate_hz, &mut report);
            } else {
                self.statistics.other_events += 1;
            }
            timestamp = timestamp.wrapping_add(event.duration.into());
        }
    }

    /// An audio packet of the same source: when it lies well beyond the press, the end was lost. The clocks are those of
    /// the audio's timestamps and of the durations.
    pub fn handle_audio(
        &mut self,
        packet: &Packet<'_>,
        audio_clock_hz: u32,
        clock_rate_hz: u32,
        report: impl FnMut(Key),
    ) {
        let Some(press) = &self.current else { return };
        if press.ssrc != packet.ssrc || sequence_distance(packet.sequence, press.sequence) <= 0 {
            return;
        }
        let per_ms = i64::from(audio_clock_hz / MS);
        let duration =
            i64::from(press.duration) * i64::from(audio_clock_hz) / i64::from(clock_rate_hz.max(1));
        let beyond = i64::from(timestamp_distance(packet.timestamp, press.timestamp)) - duration;
        if beyond >= per_ms * i64::from(AUDIO_RESUMED_MS) && beyond <= per_ms * i64::from(AUDIO_UNRELATED_MS)
        {
            self.make_up_end(report);
        }
    }

    /// When the press that is on is taken for over, if nothing more is heard of it.
    pub fn deadline(&self) -> Option<Instant> {
        self.current.as_ref().map(|press| press.seen_at + HOLD_OFF)
    }

    /// Makes up the end of a press whose deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant, report: impl FnMut(Key)) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.make_up_end(report);
        }
    }

    /// What was counted so far.
    pub fn statistics(&self) -> KeyStatistics {
        self.statistics
    }

    fn block(&mut self, now: Instant, block: &Block, clock_rate_hz: u32, report: &mut impl FnMut(Key)) {
        let late = self.is_late(now, block);
        if let Some(press) = self.current.as_mut().filter(|press| press.is(block)) {
            press.update(now, block);
        } else if let Some(press) = self.known_ended(now, block) {
            press.update(now, block);
            self.statistics.repeated += 1;
        } else if let Some(press) =
            self.current.as_mut().filter(|press| press.continues(block, clock_rate_hz))
        {
            // A segment counts from zero again.
            press.duration = 0;
            press.timestamp = block.timestamp;
            press.update(now, block);
            self.statistics.changed_timestamps += 1;
        } else if let Some(press) = self.ended.last_mut().filter(|press| press.is_echoed_by(now, block)) {
            press.timestamp = block.timestamp;
            press.update(now, block);
            self.statistics.repeated += 1;
        } else if late {
            self.statistics.late += 1;
            return;
        } else {
            self.make_up_end(&mut *report);
            self.newest = None;
            self.begin(now, block, report);
        }
        self.advance_newest(now, block);
        if block.event.end && self.current.as_ref().is_some_and(|press| press.is(block)) {
            self.end(report);
        }
    }

    /// The press that is over and that this packet repeats.
    fn known_ended(&mut self, now: Instant, block: &Block) -> Option<&mut Press> {
        self.ended
            .iter_mut()
            .find(|press| press.is(block) && now.saturating_duration_since(press.seen_at) <= REPEAT_WINDOW)
    }

    /// True for a packet that was sent before the newest one: older in sequence and in time, by as much as a network may
    /// delay it. A source that numbers anew, as one that plays recordings, is hardly both.
    fn is_late(&self, now: Instant, block: &Block) -> bool {
        self.newest.is_some_and(|newest| {
            let behind = sequence_distance(newest.sequence, block.sequence);
            let older = timestamp_distance(newest.timestamp, block.timestamp);
            newest.ssrc == block.ssrc
                && (1..=MAX_MISORDER.cast_signed()).contains(&behind)
                && (1..=MAX_AGE_UNITS).contains(&older)
                && now.saturating_duration_since(newest.seen_at) <= REPEAT_WINDOW
        })
    }

    fn advance_newest(&mut self, now: Instant, block: &Block) {
        let Block { ssrc, sequence, timestamp, .. } = *block;
        let ahead = |newest: &Newest| newest.ssrc != ssrc || sequence_distance(sequence, newest.sequence) > 0;
        if self.newest.as_ref().is_none_or(ahead) {
            self.newest = Some(Newest { ssrc, sequence, timestamp, seen_at: now });
        }
    }

    fn begin(&mut self, now: Instant, block: &Block, report: &mut impl FnMut(Key)) {
        self.current = Some(Press {
            ssrc: block.ssrc,
            timestamp: block.timestamp,
            event: block.event.event,
            duration: block.event.duration,
            sequence: block.sequence,
            seen_at: now,
        });
        self.statistics.presses += 1;
        if let Some(key) = super::key_of(block.event.event) {
            report(Key::Began(key));
        }
    }

    fn end(&mut self, report: &mut impl FnMut(Key)) {
        let Some(press) = self.current.take() else { return };
        if self.ended.is_full() {
            self.ended.remove(0);
        }
        self.ended.push(press);
        if let Some(key) = super::key_of(press.event) {
            report(Key::Ended(key));
        }
    }

    fn make_up_end(&mut self, mut report: impl FnMut(Key)) {
        if self.current.is_some() {
            self.statistics.made_up_ends += 1;
            self.end(&mut report);
        }
    }
}
