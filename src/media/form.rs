//! The forms in which prompts are kept, and the encoders that make them.

use super::g711;
use crate::units::rtp::Encoding;
use klikon_codecs::g722;
use thiserror::Error;

/// Samples of the 16 kHz master in a frame of 20 ms.
const WIDE_FRAME: usize = 320;
/// Samples at 8 kHz in a frame of 20 ms.
const NARROW_FRAME: usize = 160;
/// Silence that an encoder hears before a clip, frames: it then begins where the silence between prompts leaves a decoder.
const PRIMING_FRAMES: usize = 5;
/// Silence that is encoded before the part that is kept, frames.
const SETTLING_FRAMES: usize = 50;
/// Frames of silence that are kept, and sent in turn.
pub const SILENT_FRAMES: usize = 10;

/// One form in which a clip is kept: an encoding, and of AMR one of its modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Form(u8);

impl Form {
    /// How many there can be.
    pub const COUNT: usize = 21;

    /// Of an encoding; the mode counts for AMR and AMR-WB only.
    pub const fn new(encoding: Encoding, mode: u8) -> Self {
        Self(match encoding {
            Encoding::Pcma => 0,
            Encoding::Pcmu => 1,
            Encoding::G722 => 2,
            Encoding::Opus => 3,
            Encoding::Amr => 4 + if mode < 8 { mode } else { 7 },
            Encoding::AmrWb => 12 + if mode < 9 { mode } else { 8 },
        })
    }

    /// Its place among all.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// What it encodes.
    pub const fn encoding(self) -> Encoding {
        match self.0 {
            0 => Encoding::Pcma,
            1 => Encoding::Pcmu,
            2 => Encoding::G722,
            3 => Encoding::Opus,
            4..12 => Encoding::Amr,
            _ => Encoding::AmrWb,
        }
    }

    /// The mode of AMR or AMR-WB; 0 of others.
    pub const fn mode(self) -> u8 {
        match self.0 {
            0..4 => 0,
            4..12 => self.0 - 4,
            _ => self.0 - 12,
        }
    }
}

/// Encoded audio in frames of 20 ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames {
    octets: Box<[u8]>,
    lengths: Lengths,
}

/// Where the frames are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lengths {
    /// All of one length.
    Same(usize),
    /// Where each ends.
    Ends(Box<[u32]>),
}

impl Frames {
    /// From frames in order.
    pub fn new(octets: Vec<u8>, ends: Vec<u32>) -> Self {
        let length = ends.first().copied().unwrap_or(0);
        let same = (1..).zip(&ends).all(|(number, &end)| end == number * length);
        let lengths = if same { Lengths::Same(length as usize) } else { Lengths::Ends(ends.into()) };
        Self { octets: octets.into(), lengths }
    }

    /// All of them, one after the other.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// One of them; empty beyond the last.
    pub fn frame(&self, number: usize) -> &[u8] {
        let (begin, end) = match &self.lengths {
            Lengths::Same(length) => (number * length, (number + 1) * length),
            Lengths::Ends(ends) => {
                let end = |number: usize| ends.get(number).map_or(0, |&end| end as usize);
                (number.checked_sub(1).map_or(0, end), end(number))
            }
        };
        self.octets.get(begin..end).unwrap_or_default()
    }

    /// How long each is, octets.
    pub fn lengths(&self) -> impl Iterator<Item = u32> {
        let count = match &self.lengths {
            Lengths::Same(length) => self.octets.len().checked_div(*length).unwrap_or(0),
            Lengths::Ends(ends) => ends.len(),
        };
        (0..count).map(|number| self.frame(number).len() as u32)
    }

    /// Octets of memory.
    pub fn memory_octets(&self) -> usize {
        match &self.lengths {
            Lengths::Same(_) => self.octets.len(),
            Lengths::Ends(ends) => self.octets.len() + ends.len() * size_of::<u32>(),
        }
    }
}

/// A library of the system that does not encode.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncoderError {
    /// The encoding is not part of this build.
    #[error("{0} is not part of this build")]
    NotBuilt(&'static str),
    /// The encoder failed.
    #[error("the encoder of {0} failed")]
    Failed(&'static str),
}

/// An encoder of 20 ms frames.
enum Encoder {
    G711(Encoding),
    G722(Box<g722::Encoder>),
    #[cfg(feature = "amr")]
    Amr(Encoding, klikon_codecs::amr::Encoder),
    #[cfg(feature = "opus")]
    Opus(Box<super::opus::Encoder>),
}

impl Encoder {
    fn new(form: Form) -> Result<Self, EncoderError> {
        match form.encoding() {
            encoding @ (Encoding::Pcma | Encoding::Pcmu) => Ok(Self::G711(encoding)),
            Encoding::G722 => Ok(Self::G722(Box::default())),
            #[cfg(feature = "amr")]
            encoding @ (Encoding::Amr | Encoding::AmrWb) => {
                use klikon_codecs::amr::Encoder;
                let mode = form.mode();
                let encoder =
                    if encoding == Encoding::Amr { Encoder::narrow(mode) } else { Encoder::wide(mode) };
                Ok(Self::Amr(encoding, encoder.ok_or(EncoderError::Failed(encoding.name()))?))
            }
            #[cfg(feature = "opus")]
            Encoding::Opus => Ok(Self::Opus(Box::new(super::opus::Encoder::new()?))),
            #[allow(unreachable_patterns)]
            other => Err(EncoderError::NotBuilt(other.name())),
        }
    }

    /// Samples by which what is heard lags behind what is encoded.
    fn delay_samples(&self) -> usize {
        match self {
            Self::G711(_) => 0,
            Self::G722(_) => g722::Encoder::DELAY_SAMPLES,
            #[cfg(feature = "amr")]
            Self::Amr(Encoding::Amr, _) => klikon_codecs::amr::Encoder::DELAY_SAMPLES,
            #[cfg(feature = "amr")]
            Self::Amr(..) => klikon_codecs::amr::Encoder::WIDE_DELAY_SAMPLES,
            #[cfg(feature = "opus")]
            Self::Opus(encoder) => encoder.delay_samples(),
        }
    }

    fn frame(&mut self, samples: &[i16], octets: &mut Vec<u8>) -> Result<(), EncoderError> {
        match self {
            Self::G711(encoding) => {
                octets.extend(samples.iter().map(|&sample| g711::encode(*encoding, sample)));
            }
            Self::G722(encoder) => encoder.encode(samples, octets),
            #[cfg(feature = "amr")]
            Self::Amr(encoding, encoder) => {
                if !encoder.encode(samples, octets) {
                    return Err(EncoderError::Failed(encoding.name()));
                }
            }
            #[cfg(feature = "opus")]
            Self::Opus(encoder) => encoder.encode(samples, octets)?,
        }
        Ok(())
    }
}

/// A clip at both rates.
#[derive(Debug, Clone, Copy)]
pub struct Master<'s> {
    /// At 16 kHz.
    pub wide: &'s [i16],
    /// At 8 kHz.
    pub narrow: &'s [i16],
}

impl Master<'_> {
    /// Its length, frames of 20 ms, the last one filled up with silence.
    pub fn frames(&self) -> usize {
        self.narrow.len().div_ceil(NARROW_FRAME)
    }
}

/// Encodes a clip. What a decoder makes of its first frame begins with the clip's first sample: the codec's delay is taken
/// out, so that a clip has as many frames in every form and none of its end is lost.
///
/// # Errors
/// [`EncoderError`].
pub fn encode(form: Form, master: Master<'_>) -> Result<Frames, EncoderError> {
    let (samples, length) = match form.encoding().sampling_rate_hz() {
        8_000 => (master.narrow, NARROW_FRAME),
        _ => (master.wide, WIDE_FRAME),
    };
    run(form, PRIMING_FRAMES, master.frames(), samples, length)
}

/// Encodes [`SILENT_FRAMES`] of silence, as it is after a second of it.
///
/// # Errors
/// [`EncoderError`].
pub fn encode_silence(form: Form) -> Result<Frames, EncoderError> {
    let length = if form.encoding().sampling_rate_hz() == 8_000 { NARROW_FRAME } else { WIDE_FRAME };
    run(form, SETTLING_FRAMES, SILENT_FRAMES, &[], length)
}

/// Encodes silence, which is left out, and then `count` frames of the samples, with silence behind their end.
fn run(
    form: Form,
    before: usize,
    count: usize,
    samples: &[i16],
    length: usize,
) -> Result<Frames, EncoderError> {
    let mut encoder = Encoder::new(form)?;
    let lead = (before * length).saturating_sub(encoder.delay_samples());
    let mut input = vec![0; lead];
    input.extend_from_slice(samples);
    input.resize((before + count) * length, 0);
    let (mut octets, mut ends, mut unkept) = (Vec::new(), Vec::with_capacity(count), Vec::new());
    for (number, frame) in input.chunks_exact(length).enumerate() {
        if number < before {
            unkept.clear();
            encoder.frame(frame, &mut unkept)?;
        } else {
            encoder.frame(frame, &mut octets)?;
            ends.push(u32::try_from(octets.len()).unwrap_or(u32::MAX));
        }
    }
    Ok(Frames::new(octets, ends))
}
