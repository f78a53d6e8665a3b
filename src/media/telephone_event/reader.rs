//! Reading keys so that each press counts once (RFC 4733 §2.5.2).
//!
//! A press is its source, its timestamp and its event. Everything else about it may be lost, repeated or late: the first
//! packet, the marker bit, updates, all three end packets. The reader never filters by duration and never waits for an
//! end that does not come.

use super::press::{Block, Press};
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
/// How many packets after the first one of the next press a repeated end of this one may come.
const MAX_INTERLEAVED: i16 = 8;
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
    /// Presses that were first heard of from a redundant block (RFC 2198): everything sent of them before was lost.
    pub recovered: u64,
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

/// The highest sequence number and the latest timestamp of the source's event packets.
#[derive(Debug, Clone, Copy)]
struct Newest {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    seen_at: Instant,
}

impl EventReader {
    /// Reads one event packet. `clock_rate_hz` is that of the durations. Reports through `report`.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        clock_rate_hz: u32,
        report: impl FnMut(Key),
    ) {
        self.handle_blocks(now, packet, false, clock_rate_hz, report);
    }

    /// Reads what a packet repeats of an earlier one (RFC 2198), under the earlier one's timestamp and its own sequence
    /// number; before what it says itself.
    pub fn handle_redundant(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        clock_rate_hz: u32,
        report: impl FnMut(Key),
    ) {
        self.handle_blocks(now, packet, true, clock_rate_hz, report);
    }

    fn handle_blocks(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        is_redundant: bool,
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
            let block = Block { ssrc, timestamp, sequence, marker, event, is_redundant };
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
        } else if let Some(segment) = self.current.filter(|press| press.is_followed_by(block, clock_rate_hz))
        {
            self.remember(segment);
            self.current = Some(segment.next_segment(now, block));
            self.statistics.changed_timestamps += 1;
        } else if let Some(press) = self.current.as_mut().filter(|press| press.runs_on(block, clock_rate_hz))
        {
            press.timestamp = block.timestamp;
            press.update(now, block);
            self.statistics.changed_timestamps += 1;
        } else if let Some(segment) =
            self.unended().filter(|press| press.is_followed_by(block, clock_rate_hz))
        {
            // Its end was made up, and was none.
            self.remember(segment.next_segment(now, block));
            self.statistics.repeated += 1;
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

    /// The press that was over last, where its end was made up and nothing else is on.
    fn unended(&self) -> Option<Press> {
        self.ended.last().copied().filter(|press| !press.has_end && self.current.is_none())
    }

    /// Keeps a press that is over, or a segment of one: packets of it may be repeated or late.
    fn remember(&mut self, press: Press) {
        if self.ended.is_full() {
            self.ended.remove(0);
        }
        self.ended.push(press);
    }

    /// True for a packet of an older press than the newest one, which was sent before it, or beside it: the end may be
    /// repeated while the next press is on. It is older in time and, by as much as a network may delay it, in sequence. A
    /// source that numbers anew, as one that plays recordings, is hardly both.
    fn is_late(&self, now: Instant, block: &Block) -> bool {
        self.newest.is_some_and(|newest| {
            let behind = sequence_distance(newest.sequence, block.sequence);
            let older = timestamp_distance(newest.timestamp, block.timestamp);
            let is_interleaved = block.event.end && (-MAX_INTERLEAVED..0).contains(&behind);
            let is_behind = (1..=MAX_MISORDER.cast_signed()).contains(&behind);
            newest.ssrc == block.ssrc
                && (is_behind || is_interleaved || block.is_redundant)
                && (1..=MAX_AGE_UNITS).contains(&older)
                && now.saturating_duration_since(newest.seen_at) <= REPEAT_WINDOW
        })
    }

    fn advance_newest(&mut self, now: Instant, block: &Block) {
        let Block { ssrc, sequence, timestamp, .. } = *block;
        let Some(newest) = self.newest.as_mut().filter(|newest| newest.ssrc == ssrc) else {
            self.newest = Some(Newest { ssrc, sequence, timestamp, seen_at: now });
            return;
        };
        if sequence_distance(sequence, newest.sequence) > 0 {
            (newest.sequence, newest.seen_at) = (sequence, now);
        }
        if timestamp_distance(timestamp, newest.timestamp) > 0 {
            newest.timestamp = timestamp;
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
            has_end: block.event.end,
            segment: u16::MAX,
        });
        self.statistics.presses += 1;
        self.statistics.recovered += u64::from(block.is_redundant);
        if let Some(key) = super::key_of(block.event.event) {
            report(Key::Began(key));
        }
    }

    fn end(&mut self, report: &mut impl FnMut(Key)) {
        let Some(press) = self.current.take() else { return };
        self.remember(press);
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
