//! One press, and which packets are of it.

use super::Event;
use crate::media::rtp::{sequence_distance, timestamp_distance};
use std::time::{Duration, Instant};

/// Longest step between updates that is believed where a timestamp changes within a press, ms.
const MAX_STEP_MS: u32 = 100;
/// Packets that may be missing where a timestamp changes within a press.
const MAX_GAP: i16 = 4;
/// Packets that may be missing where a press goes on as another segment.
const MAX_SEGMENT_GAP: i16 = 100;
/// A segment that may be followed by another lasts at least so many units: half of the shortest, which are as long as the 14
/// bits of RFC 2198's offset (RFC 4733 §2.5.1.3).
const MIN_SEGMENT: i64 = 0x3fff / 2;
/// Segments that a press may be ahead of the last one that anything was heard of.
const MAX_SEGMENTS: i64 = 4;
/// How much of a press may be missing where another segment begins, ms.
const MAX_MISSING_MS: u32 = 1_500;
/// End packets that repeat under a changed timestamp come within this.
const END_REPEAT_WINDOW: Duration = Duration::from_millis(200);
/// Milliseconds in a second.
const MS: u32 = 1_000;

/// A press that is on, or was.
#[derive(Debug, Clone, Copy)]
pub struct Press {
    pub ssrc: u32,
    pub timestamp: u32,
    pub event: u8,
    pub duration: u16,
    pub sequence: u16,
    pub seen_at: Instant,
    /// Its end came; without, an end that was made up may have been none.
    pub has_end: bool,
    /// Units of each of its segments: what the field can say, or what was seen of the sender.
    pub segment: u16,
}

/// One event block with what its packet says.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    pub ssrc: u32,
    pub timestamp: u32,
    pub sequence: u16,
    pub marker: bool,
    pub event: Event,
    /// It repeats what an earlier packet held (RFC 2198).
    pub is_redundant: bool,
}

impl Press {
    pub fn is(&self, block: &Block) -> bool {
        self.ssrc == block.ssrc && self.timestamp == block.timestamp && self.event == block.event.event
    }

    fn is_of_same_key(&self, block: &Block) -> bool {
        self.ssrc == block.ssrc && self.event == block.event.event
    }

    pub fn update(&mut self, now: Instant, block: &Block) {
        if sequence_distance(block.sequence, self.sequence) > 0 {
            self.sequence = block.sequence;
        }
        self.duration = self.duration.max(block.event.duration);
        self.has_end |= block.event.end;
        self.seen_at = now;
    }

    /// True when a packet with another timestamp goes on with this press, which is not over: a sender that wrongly changes
    /// the timestamp within it. The duration goes on growing, which that of a new press cannot do where nothing is missing
    /// in between.
    pub fn runs_on(&self, block: &Block, clock_rate_hz: u32) -> bool {
        let gap = sequence_distance(block.sequence, self.sequence);
        if block.is_redundant || !self.is_of_same_key(block) || !(1..=MAX_GAP).contains(&gap) {
            return false;
        }
        let step = timestamp_distance(block.timestamp, self.timestamp);
        let most = units(MAX_STEP_MS, clock_rate_hz) * i64::from(gap);
        let growth = i64::from(block.event.duration) - i64::from(self.duration);
        let grows = if block.event.end { growth >= 0 } else { growth > 0 };
        !block.marker && grows && growth <= most && (gap == 1 || i64::from(step) == growth)
    }

    /// RFC 4733 §2.5.1.3: a press longer than the duration field goes on as a segment that starts where the last ended,
    /// without a marker.
    pub fn is_followed_by(&self, block: &Block, clock_rate_hz: u32) -> bool {
        // The last report of a segment is repeated in the midst of the next one's, or in the same packet with it, so this one
        // may be no newer.
        let gap = sequence_distance(block.sequence, self.sequence).saturating_abs();
        let step = i64::from(timestamp_distance(block.timestamp, self.timestamp));
        let (whole, seen) = (i64::from(self.segment), i64::from(self.duration));
        // However much of both was lost, it starts there; behind a long loss it may be the one after the next.
        let is_in_step = step > 0
            && step % whole <= 1
            && seen >= whole / 4
            && step - seen <= units(MAX_MISSING_MS, clock_rate_hz);
        // Some part a press elsewhere, as must who repeats by RFC 2198. It goes on where its last report ended; where that was
        // lost, the report that is repeated says how long a segment is.
        let length = if block.is_redundant && !block.event.end { block.event.duration.into() } else { seen };
        let most = if block.is_redundant { MAX_SEGMENTS } else { 1 };
        let adjoins = length >= MIN_SEGMENT && step > 0 && step % length == 0 && step / length <= most;
        self.is_of_same_key(block)
            && !self.has_end
            && !block.marker
            && gap <= MAX_SEGMENT_GAP
            && (is_in_step || adjoins)
    }

    /// The press where it goes on as another segment, which counts from zero again.
    pub fn next_segment(mut self, now: Instant, block: &Block) -> Self {
        let step = timestamp_distance(block.timestamp, self.timestamp);
        if step == i32::from(self.duration) {
            self.segment = self.duration;
        }
        (self.duration, self.timestamp) = (0, block.timestamp);
        self.update(now, block);
        self
    }

    /// True when an end packet with another timestamp repeats the end of this press, which is over: it would begin before
    /// this press ended, with the same duration, at once.
    pub fn is_echoed_by(&self, now: Instant, block: &Block) -> bool {
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

/// Milliseconds in units of a clock.
fn units(milliseconds: u32, clock_rate_hz: u32) -> i64 {
    i64::from(clock_rate_hz) * i64::from(milliseconds) / i64::from(MS)
}
