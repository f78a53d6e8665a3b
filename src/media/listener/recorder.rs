//! Recording: samples at the place their RTP timestamp says, so that what was not sent or got lost is silence.

use crate::media::g711;
use crate::media::rtp::{Packet, timestamp_distance};
use crate::units::rtp::Encoding;
use std::path::Path;

/// Samples a second.
const RATE_HZ: u32 = 8_000;
/// Longest recording, samples: half an hour. What comes after is not recorded.
const MAX_SAMPLES: usize = RATE_HZ as usize * 1_800;
/// A timestamp further off than this many samples (thirty seconds) is of another run: recording goes on at the end.
const MAX_JUMP: usize = RATE_HZ as usize * 30;

/// What was heard: 8 kHz mono.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    /// The samples; the first is that of the first packet.
    pub samples: Vec<i16>,
}

impl Recording {
    /// Writes a WAV file: 8 kHz, mono, 16 bit.
    ///
    /// # Errors
    /// As `hound` and the file system have them.
    pub fn write_wav(&self, path: &Path) -> Result<(), hound::Error> {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: RATE_HZ,
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
        self.samples.len() as u64 * 1_000 / u64::from(RATE_HZ)
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
    /// Takes a packet; the sample its audio begins at, or `None` when the recording is full.
    pub fn record(&mut self, encoding: Encoding, packet: &Packet<'_>) -> Option<usize> {
        let position = self.place(packet);
        let end = position.checked_add(packet.payload.len()).filter(|&end| end <= MAX_SAMPLES)?;
        self.anchor = Some((packet.ssrc, packet.timestamp, position));
        let samples = &mut self.recording.samples;
        if samples.len() < end {
            samples.resize(end, 0);
        }
        for (sample, &octet) in samples.iter_mut().skip(position).zip(packet.payload) {
            *sample = g711::decode(encoding, octet);
        }
        Some(position)
    }

    /// What was recorded.
    pub fn into_recording(self) -> Recording {
        self.recording
    }

    fn place(&self, packet: &Packet<'_>) -> usize {
        let end = self.recording.samples.len();
        let Some((_, timestamp, position)) = self.anchor.filter(|&(ssrc, ..)| ssrc == packet.ssrc) else {
            return end;
        };
        let step = timestamp_distance(packet.timestamp, timestamp);
        let place = match usize::try_from(step) {
            Ok(ahead) => Some(position + ahead),
            Err(_) => position.checked_sub(usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX)),
        };
        place.filter(|place| place.abs_diff(end) <= MAX_JUMP).unwrap_or(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            recorder.record(Encoding::Pcma, &packet(1, start.wrapping_add(index * 160), &loud));
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
            assert_eq!(recorder.record(Encoding::Pcmu, &packet(ssrc, timestamp, &frame)), Some(position));
        }
    }

    #[test]
    fn a_wav_file_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("heard.wav");
        let recording = Recording { samples: vec![0, 1, -1, i16::MAX, i16::MIN] };
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
                recorder.record(Encoding::Pcma, &packet(ssrc, timestamp, &[0; 160]));
                prop_assert!(recorder.recording.samples.len() <= MAX_SAMPLES);
            }
        }
    }
}
