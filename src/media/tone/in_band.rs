//! From the audio packets of a stream to its keys.

use super::detector::{Detector, ToneEvent};
use crate::media::g711;
use crate::media::rtp::{MAX_MISORDER, Packet, sequence_distance, timestamp_distance};
use crate::media::telephone_event::{HOLD_OFF, Key};
use crate::units::rtp::Encoding;
use std::ops::AddAssign;
use std::time::Instant;

/// Samples that are decoded at once.
const BLOCK: usize = 160;
/// Longest silence that is heard out sample by sample: it ends every press.
const MAX_SILENCE: u32 = 400;
/// Steps of the timestamps beyond what came, up to which a sender merely corrects its clock.
const MAX_CORRECTION: i32 = 40;

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InBandStatistics {
    /// Presses.
    pub presses: u64,
    /// Ends that were made up since no more audio came.
    pub made_up_ends: u64,
    /// Packets that came too late or twice: not heard.
    pub late: u64,
}

impl AddAssign for InBandStatistics {
    fn add_assign(&mut self, other: Self) {
        self.presses += other.presses;
        self.made_up_ends += other.made_up_ends;
        self.late += other.late;
    }
}

/// Reads keys from a stream's audio. One for each call.
#[derive(Debug, Default)]
pub struct InBandKeys {
    detector: Detector,
    heard: Option<Heard>,
    /// The key that is down, as far as was reported.
    down: Option<char>,
    /// Until then keys come as events.
    deaf_until: Option<Instant>,
    statistics: InBandStatistics,
}

/// The last packet that was heard.
#[derive(Debug, Clone, Copy)]
struct Heard {
    ssrc: u32,
    sequence: u16,
    /// Of the sample after its last one.
    timestamp: u32,
    at: Instant,
}

/// What lies between the last packet and this one, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// Lost in the network: nobody knows what it was.
    Lost(u32),
    /// Never sent: silence.
    Silence(u32),
}

impl InBandKeys {
    /// Hears one audio packet. Reports through `report`.
    pub fn handle_audio(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        encoding: Encoding,
        mut report: impl FnMut(Key),
    ) {
        if self.deaf_until.is_some_and(|until| now < until) {
            return;
        }
        let Some(gap) = self.gap(packet) else {
            self.statistics.late += 1;
            return;
        };
        self.heard = Some(Heard {
            ssrc: packet.ssrc,
            sequence: packet.sequence,
            timestamp: packet.timestamp.wrapping_add(packet.payload.len() as u32),
            at: now,
        });
        let (down, statistics) = (&mut self.down, &mut self.statistics);
        let mut tell = |event| match event {
            ToneEvent::Began { digit } => {
                statistics.presses += 1;
                *down = Some(digit);
                report(Key::Began(digit));
            }
            // The end that was made up was reported already.
            ToneEvent::Ended { .. } => {
                if let Some(digit) = down.take() {
                    report(Key::Ended(digit));
                }
            }
        };
        let mut samples = [0; BLOCK];
        match gap {
            Gap::Lost(lost) => self.detector.skip(lost),
            Gap::Silence(silence) => {
                let mut left = silence.min(MAX_SILENCE) as usize;
                while left > 0 {
                    let block = left.min(BLOCK);
                    self.detector.push(&samples[..block], &mut tell);
                    left -= block;
                }
            }
        }
        for octets in packet.payload.chunks(BLOCK) {
            for (sample, octet) in samples.iter_mut().zip(octets) {
                *sample = g711::decode(encoding, *octet);
            }
            self.detector.push(&samples[..octets.len()], &mut tell);
        }
    }

    /// Whether this is audio of the source that is heard which lies behind all that was heard of it, if not by much.
    pub fn has_missed(&self, packet: &Packet<'_>) -> bool {
        self.heard.is_some_and(|heard| {
            heard.ssrc == packet.ssrc
                && (1..=MAX_MISORDER.cast_signed())
                    .contains(&sequence_distance(packet.sequence, heard.sequence))
        })
    }

    /// Comfort noise stands for silence that is not sent: what follows it was not lost.
    pub fn handle_comfort_noise(&mut self, packet: &Packet<'_>) {
        if let Some(heard) = self.heard.as_mut().filter(|heard| heard.ssrc == packet.ssrc)
            && sequence_distance(packet.sequence, heard.sequence) == 1
        {
            heard.sequence = packet.sequence;
        }
    }

    /// A key comes as an event, though it was agreed that none does any more: what is heard beside it is that key.
    pub fn defer_to_event(&mut self, now: Instant) {
        self.deaf_until = Some(now + HOLD_OFF);
    }

    /// Makes up the end of a press of which nothing more is heard, so that a key counts although its caller's side falls
    /// silent with it. If it goes on all the same, it is no other press.
    pub fn handle_timeout(&mut self, now: Instant, report: impl FnMut(Key)) {
        let silent = |heard: &Heard| now.saturating_duration_since(heard.at) >= HOLD_OFF;
        if self.down.is_some() && self.heard.as_ref().is_none_or(silent) {
            self.statistics.made_up_ends += 1;
            self.release(report);
        }
    }

    /// Ends the press that is on: other keys are agreed on.
    pub fn release(&mut self, mut report: impl FnMut(Key)) {
        if let Some(digit) = self.down.take() {
            report(Key::Ended(digit));
        }
    }

    /// What was counted so far.
    pub fn statistics(&self) -> InBandStatistics {
        self.statistics
    }

    /// What lies between the last packet and this one; `None` when this one is older.
    ///
    /// Timestamps are believed only where sequence numbers do not say better: senders are careless with them.
    fn gap(&self, packet: &Packet<'_>) -> Option<Gap> {
        let Some(heard) = self.heard.filter(|heard| heard.ssrc == packet.ssrc) else {
            return Some(Gap::Silence(MAX_SILENCE));
        };
        let steps = sequence_distance(packet.sequence, heard.sequence);
        let samples = timestamp_distance(packet.timestamp, heard.timestamp);
        match steps {
            1 if samples <= MAX_CORRECTION => Some(Gap::Silence(0)),
            1 => Some(Gap::Silence(samples.unsigned_abs())),
            2.. if samples > 0 => Some(Gap::Lost(samples.unsigned_abs())),
            2.. => Some(Gap::Lost(0)),
            _ if steps < -MAX_MISORDER.cast_signed() => Some(Gap::Silence(MAX_SILENCE)),
            _ => None,
        }
    }
}
