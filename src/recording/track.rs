//! One side of a call: packets at their places become samples without a gap.

use super::rate::RateChange;
use crate::media::{Decoder, ForkedPacket, unpack};
use crate::units::rtp::Encoding;
use std::collections::{BTreeMap, VecDeque};

/// Packets that wait for those before them; further ones are left out. Five seconds of 20 ms.
const MAX_HELD: usize = 256;

/// Lays out the packets of one side.
#[derive(Debug)]
pub struct Track {
    rate_hz: u32,
    held: BTreeMap<i64, ForkedPacket>,
    decoding: Option<Decoding>,
    /// Samples that are decoded and not taken, from `begins` on.
    samples: VecDeque<i16>,
    begins: i64,
    late: u64,
}

#[derive(Debug)]
struct Decoding {
    encoding: Encoding,
    decoder: Decoder,
    change: RateChange,
    /// The place after the last packet's.
    next: i64,
}

impl Track {
    /// Of a recording of so many samples a second.
    pub fn new(rate_hz: u32) -> Self {
        Self { rate_hz, held: BTreeMap::new(), decoding: None, samples: VecDeque::new(), begins: 0, late: 0 }
    }

    /// Holds a packet until its turn; one whose turn is over, or that is one too many, is left out. The same twice is held once.
    pub fn hold(&mut self, place: i64, packet: ForkedPacket) {
        if place < self.begins || self.held.len() >= MAX_HELD {
            self.late += 1;
        } else {
            self.held.entry(place).or_insert(packet);
        }
    }

    /// Packets that were left out.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// All samples up to that place: silence where nothing came.
    pub fn take(&mut self, to: i64) -> Vec<i16> {
        while let Some(entry) = self.held.first_entry().filter(|entry| *entry.key() < to) {
            let (place, packet) = entry.remove_entry();
            self.decode(place, &packet);
        }
        let count = usize::try_from(to - self.begins).unwrap_or(0);
        if self.samples.len() < count {
            self.samples.resize(count, 0);
        }
        self.begins += count as i64;
        self.samples.drain(..count).collect()
    }

    fn decode(&mut self, place: i64, packet: &ForkedPacket) {
        let encoding = packet.encoding;
        if self.decoding.as_ref().is_none_or(|decoding| decoding.encoding != encoding) {
            let change = RateChange::new(encoding.sampling_rate_hz(), self.rate_hz);
            self.decoding = Some(Decoding { encoding, decoder: Decoder::new(encoding), change, next: place });
        }
        let Some(decoding) = &mut self.decoding else { return };
        let mut samples = Vec::new();
        unpack(encoding, packet.amr, &packet.payload, |frame_type, frame| {
            decoding.decoder.decode(frame_type, frame, &mut samples);
        });
        if place != decoding.next {
            decoding.change.interrupt();
        }
        let (samples, early) = decoding.change.run(&samples);
        decoding.next = place + samples.len() as i64;
        self.put(place - early as i64, &samples);
    }

    fn put(&mut self, place: i64, samples: &[i16]) {
        // What lies before was taken already.
        let skipped = usize::try_from(self.begins - place).unwrap_or(0);
        let at = usize::try_from(place - self.begins).unwrap_or(0);
        let samples = samples.get(skipped..).unwrap_or_default();
        if self.samples.len() < at + samples.len() {
            self.samples.resize(at + samples.len(), 0);
        }
        self.samples.iter_mut().skip(at).zip(samples).for_each(|(slot, sample)| *slot = *sample);
    }
}
