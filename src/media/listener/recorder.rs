//! Recording: samples at the place their RTP timestamp says, so that what was not sent or got lost is silence.

use crate::media::rtp::{Packet, timestamp_distance};
use crate::units::rtp::Encoding;
use std::path::Path;

/// Samples a second of a recording that holds nothing.
const NARROW_HZ: u32 = 8_000;
/// Longest recording, s: half an hour. What comes after is not recorded.
const MAX_SECONDS: usize = 1_800;
/// A timestamp further off than this, s, is of another run: recording goes on at the end.
const MAX_JUMP_SECONDS: usize = 30;

/// What was heard: mono, at the rate of the call's first codec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The samples; the first is that of the first packet.
    pub samples: Vec<i16>,
    /// Samples a second: 8,000 or 16,000.
    pub rate_hz: u32,
}

impl Default for Recording {
    fn default() -> Self {
        Self { samples: Vec::new(), rate_hz: NARROW_HZ }
    }
}

impl Recording {
    /// Writes a WAV file: mono, 16 bit.
    ///
    /// # Errors
    /// As `hound` and the file system have them.
    pub fn write_wav(&self, path: &Path) -> Result<(), hound::Error> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: self.rate_hz,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, spec)?;
        for &sample in &self.samples {
            writer.write_sample(sample)?;
        }
        writer.finalize()
    }

    /// Its length, ms.
    pub fn duration_ms(&self) -> u64 {
        self.samples.len() as u64 * 1_000 / u64::from(self.rate_hz)
    }

    /// Root mean square of the samples, 0–32,768: tells speech from silence.
    pub fn rms(&self) -> f64 {
        if self.samples.is_empty() {
            return 0.0;
        }
        let energy: f64 = self.samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
        (energy / self.samples.len() as f64).sqrt()
    }
}

/// Builds a [`Recording`] from packets.
#[derive(Debug, Default)]
pub struct Recorder {
    recording: Recording,
    /// A source, one of its timestamps and the sample it stands for.
    anchor: Option<(u32, u32, usize)>,
}

impl Recorder {
    /// Samples a second of what is recorded.
    pub fn rate_hz(&self) -> u32 {
        self.recording.rate_hz
    }

    /// The sample that a packet's audio begins at. The first packet says at which rate is recorded.
    pub fn place(&mut self, encoding: Encoding, packet: &Packet<'_>) -> usize {
        if self.anchor.is_none() {
            self.recording.rate_hz = encoding.sampling_rate_hz();
        }
        let end = self.recording.samples.len();
        let Some((_, timestamp, position)) = self.anchor.filter(|&(ssrc, ..)| ssrc == packet.ssrc) else {
            return end;
        };
        let step = i64::from(timestamp_distance(packet.timestamp, timestamp)) * i64::from(self.rate_hz())
            / i64::from(encoding.clock_rate_hz());
        let place = i64::try_from(position).ok().and_then(|position| position.checked_add(step));
        let most = MAX_JUMP_SECONDS * self.rate_hz() as usize;
        place
            .and_then(|place| usize::try_from(place).ok())
            .filter(|place| place.abs_diff(end) <= most)
            .unwrap_or(end)
    }

    /// Whether a packet at this place would come after the longest recording's end.
    pub fn is_full(&self, place: usize, packet: &Packet<'_>) -> bool {
        place.saturating_add(packet.payload.len()) > MAX_SECONDS * self.rate_hz() as usize
    }

    /// Takes a packet's samples, at the rate of its encoding; false when the recording is full.
    pub fn record(&mut self, encoding: Encoding, packet: &Packet<'_>, place: usize, samples: &[i16]) -> bool {
        let (rate, own) = (encoding.sampling_rate_hz() as usize, self.rate_hz() as usize);
        let count = samples.len() * own / rate;
        let most = MAX_SECONDS * own;
        let Some(end) = place.checked_add(count).filter(|&end| end <= most) else { return false };
        self.anchor = Some((packet.ssrc, packet.timestamp, place));
        let recorded = &mut self.recording.samples;
        if recorded.len() < end {
            recorded.resize(end, 0);
        }
        for (number, slot) in recorded.iter_mut().skip(place).take(count).enumerate() {
            // A call whose codec changed to another rate: the nearest sample does for a recording.
            *slot = samples.get(number * rate / own).copied().unwrap_or(0);
        }
        true
    }

    /// What was recorded.
    pub fn into_recording(self) -> Recording {
        self.recording
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::g711;
    use proptest::prelude::*;

    /// Records a packet of G.711; where it begins, unless the recording is full.
    fn record(recorder: &mut Recorder, encoding: Encoding, packet: &Packet<'_>) -> Option<usize> {
        let samples: Vec<i16> = packet.payload.iter().map(|&octet| g711::decode(encoding, octet)).collect();
        let place = recorder.place(encoding, packet);
        recorder.record(encoding, packet, place, &samples).then_some(place)
    }

    fn packet(ssrc: u32, timestamp: u32, payload: &[u8]) -> Packet<'_> {
        Packet { payload_type: 8, marker: false, sequence: 0, timestamp, ssrc, payload }
    }

    #[test]
    fn gaps_are_silence_and_order_does_not_matter() {
        let loud = [0xaa; 160];
        let mut recorder = Recorder::default();
        // Near the wrap of the timestamp; the third packet comes before the second, the fourth is lost.
        let start = u32::MAX - 200;
        for index in [0_u32, 2, 1, 4] {
            record(&mut recorder, Encoding::Pcma, &packet(1, start.wrapping_add(index * 160), &loud));
        }
        let samples = recorder.into_recording().samples;
        let level = g711::decode(Encoding::Pcma, 0xaa);
        assert_eq!(samples.len(), 5 * 160);
        for (index, frame) in samples.chunks(160).enumerate() {
            let expected = if index == 3 { 0 } else { level };
            assert!(frame.iter().all(|&sample| sample == expected), "frame {index}");
        }
    }

    #[test]
    fn another_source_or_run_goes_on_at_the_end() {
        let mut recorder = Recorder::default();
        let frame = [0xd5; 160];
        for (ssrc, timestamp, position) in
            [(1, 1_000, 0), (2, 77, 160), (2, 237, 320), (2, 3_000_000_000, 480), (2, 3_000_000_160, 640)]
        {
            assert_eq!(
                record(&mut recorder, Encoding::Pcmu, &packet(ssrc, timestamp, &frame)),
                Some(position)
            );
        }
    }

    #[test]
    fn a_wav_file_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("heard.wav");
        let samples = vec![0, 1, -1, i16::MAX, i16::MIN];
        let recording = Recording { samples, ..Recording::default() };
        recording.write_wav(&path).expect("written");
        let mut reader = hound::WavReader::open(&path).expect("opens");
        assert_eq!((reader.spec().sample_rate, reader.spec().channels), (8_000, 1));
        let samples: Vec<i16> = reader.samples().map(|sample| sample.expect("a sample")).collect();
        assert_eq!(samples, recording.samples);
    }

    proptest! {
        #[test]
        fn no_timestamps_panic_or_grow_without_limit(
            packets in proptest::collection::vec((0..2_u32, any::<u32>()), 0..60),
        ) {
            let mut recorder = Recorder::default();
            for (ssrc, timestamp) in packets {
                record(&mut recorder, Encoding::Pcma, &packet(ssrc, timestamp, &[0; 160]));
                prop_assert!(recorder.recording.samples.len() <= MAX_SECONDS * 8_000);
            }
        }
    }
}
