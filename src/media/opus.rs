//! Packets of Opus (RFC 6716 §3): several frames of 20 ms in one.

#[cfg(feature = "opus")]
pub use encoder::Encoder;

/// The encoder of prompts: libopus, for speech.
#[cfg(feature = "opus")]
mod encoder {
    use crate::media::form::EncoderError;
    use crate::units::rtp::{Encoding, OPUS_BITRATE};
    use opusic_c::{Application, Bandwidth, Bitrate, Channels, ErrorCode, SampleRate, Signal};

    /// Most octets of one frame, so that three of them find room in a packet.
    const MAX_FRAME_OCTETS: usize = 150;
    /// The first octet of every frame: wideband speech (SILK), 20 ms, mono, one frame (RFC 6716 §3.1).
    const CONFIGURATION: u8 = 9 << 3;
    /// How hard it tries, 0–10: prompts are encoded once.
    const COMPLEXITY: u8 = 10;

    /// Encodes frames of 20 ms at 16 kHz, all in one configuration, so that they can be joined.
    pub struct Encoder {
        encoder: opusic_c::Encoder,
        delay_samples: usize,
    }

    impl Encoder {
        pub fn new() -> Result<Self, EncoderError> {
            Self::make().map_err(|_| EncoderError::Failed(Encoding::Opus.name()))
        }

        fn make() -> Result<Self, ErrorCode> {
            let mut encoder = opusic_c::Encoder::new(Channels::Mono, SampleRate::Hz16000, Application::Voip)?;
            encoder.set_bitrate(Bitrate::Value(OPUS_BITRATE))?;
            encoder.set_signal(Signal::Voice)?;
            encoder.set_bandwidth(Bandwidth::Wide)?;
            encoder.set_complexity(COMPLEXITY)?;
            let delay_samples = encoder.get_look_ahead()? as usize;
            Ok(Self { encoder, delay_samples })
        }

        /// Samples at 16 kHz by which what is heard lags behind what is encoded.
        pub fn delay_samples(&self) -> usize {
            self.delay_samples
        }

        pub fn encode(&mut self, samples: &[i16], octets: &mut Vec<u8>) -> Result<(), EncoderError> {
            let samples: Vec<u16> = samples.iter().map(|sample| sample.cast_unsigned()).collect();
            let mut frame = [0; MAX_FRAME_OCTETS];
            let length = self.encoder.encode_to_slice(&samples, &mut frame).unwrap_or(0);
            match frame.get(..length) {
                Some(frame @ [CONFIGURATION, ..]) => {
                    octets.extend_from_slice(frame);
                    Ok(())
                }
                _ => Err(EncoderError::Failed(Encoding::Opus.name())),
            }
        }
    }
}

/// The two lowest bits of a packet's first octet: how many frames it holds.
const COUNT: u8 = 0b11;
/// One frame.
const ONE: u8 = 0;
/// As many as the second octet says.
const MANY: u8 = 3;
/// In the second octet: frames differ in length.
const DIFFERING: u8 = 0x80;
/// Lengths from here on take two octets (RFC 6716 §3.2.1).
const LONG: usize = 252;

/// Joins packets of one frame each into one (RFC 6716 §3.2.5); how many octets it took. `None` when one holds more than a
/// frame, when they are not of one configuration, or when there is no room.
pub fn join(packets: &[&[u8]], buffer: &mut [u8]) -> Option<usize> {
    let (first, _) = packets.first()?.split_first()?;
    let mut writer = Writer { buffer, at: 0 };
    if let [only] = packets {
        writer.put(only)?;
        return Some(writer.at);
    }
    let count = u8::try_from(packets.len()).ok().filter(|count| *count < 48)?;
    writer.put(&[first | MANY, DIFFERING | count])?;
    for (number, packet) in (1..).zip(packets) {
        let (configuration, frame) = packet.split_first()?;
        if configuration != first || configuration & COUNT != ONE {
            return None;
        }
        // The last one is what is left.
        if number < packets.len() {
            match frame.len() {
                length @ 0..LONG => writer.put(&[length as u8])?,
                length => {
                    let low = LONG + (length - LONG) % 4;
                    writer.put(&[low as u8, u8::try_from((length - low) / 4).ok()?])?;
                }
            }
        }
    }
    for packet in packets {
        writer.put(packet.get(1..).unwrap_or_default())?;
    }
    Some(writer.at)
}

struct Writer<'b> {
    buffer: &'b mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, octets: &[u8]) -> Option<()> {
        self.buffer.get_mut(self.at..self.at + octets.len())?.copy_from_slice(octets);
        self.at += octets.len();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wideband SILK, 20 ms, mono: configuration 9.
    const TOC: u8 = 9 << 3;

    fn joined(packets: &[&[u8]]) -> Option<Vec<u8>> {
        let mut buffer = [0; 1_000];
        join(packets, &mut buffer).map(|length| buffer[..length].to_vec())
    }

    #[test]
    fn one_stays_as_it_is_and_several_say_their_lengths() {
        assert_eq!(joined(&[&[TOC, 1, 2, 3]]), Some(vec![TOC, 1, 2, 3]));
        let three = joined(&[&[TOC, 1, 2, 3], &[TOC, 4], &[TOC, 5, 6]]);
        assert_eq!(three, Some(vec![TOC | 3, 0x80 | 3, 3, 1, 1, 2, 3, 4, 5, 6]));
        assert_eq!(joined(&[&[TOC], &[TOC, 9]]), Some(vec![TOC | 3, 0x80 | 2, 0, 9]), "an empty frame");
    }

    #[test]
    fn long_frames_take_two_octets_of_length() {
        let long = [&[TOC][..], &[7; 255]].concat();
        let packet = joined(&[&long, &[TOC, 1]]).expect("joined");
        // 255 = 4·0 + 255, 256 = 4·1 + 252.
        assert_eq!(packet[..4], [TOC | 3, 0x82, 255, 0]);
        let longer = [&[TOC][..], &[7; 256]].concat();
        assert_eq!(joined(&[&longer, &[TOC, 1]]).expect("joined")[..4], [TOC | 3, 0x82, 252, 1]);
    }

    #[test]
    fn what_does_not_go_together_is_not_joined() {
        assert_eq!(joined(&[]), None);
        assert_eq!(joined(&[&[]]), None);
        assert_eq!(joined(&[&[TOC, 1], &[TOC + 8, 1]]), None);
        assert_eq!(joined(&[&[TOC | 1, 1], &[TOC | 1, 1]]), None);
        assert_eq!(join(&[&[TOC, 1], &[TOC, 1]], &mut [0; 3]), None);
    }
}
