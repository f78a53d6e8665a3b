//! The one format of recorded prompts: WAV, 16 kHz, mono, 16 bit linear. Nothing else is converted silently: a
//! file in another format is refused with the command that mends it.

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use std::io::Cursor;
use std::path::Path;

/// Samples a second of every prompt.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Longest prompt, in samples: 60 s.
const MAX_SAMPLES: u32 = 60 * SAMPLE_RATE_HZ;

/// Why a file is no prompt.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// It does not exist.
    #[error("it is missing")]
    Missing,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is not a WAV file, or a damaged one.
    #[error("it is not a sound WAV file: {0}")]
    NotWav(String),
    /// A sample rate, channel count or sample format other than 16 kHz, mono, 16 bit.
    #[error("it has {rate_hz} Hz, {channels} channel(s), {bits} bit{}", if *.float { " floating point" } else { "" })]
    Format {
        /// Samples a second.
        rate_hz: u32,
        /// Channels.
        channels: u16,
        /// Bits a sample.
        bits: u16,
        /// Floating point instead of integers.
        float: bool,
    },
    /// No samples.
    #[error("it holds no sound")]
    Empty,
    /// Longer than a minute.
    #[error("it is {seconds} s long")]
    TooLong {
        /// Length in whole seconds.
        seconds: u32,
    },
}

impl WavError {
    /// What to do about it.
    pub fn mend(&self) -> String {
        match self {
            Self::Missing => "record it, or run `klikon prompts synthesise`".to_owned(),
            Self::Io(_) => "see that the file can be read".to_owned(),
            Self::NotWav(_) => "export it again as WAV, 16 kHz, mono, 16 bit".to_owned(),
            Self::Format { .. } => "convert it: `sox IN.wav -r 16000 -c 1 -b 16 OUT.wav`".to_owned(),
            Self::Empty => "record it again".to_owned(),
            Self::TooLong { .. } => "split it into prompts of at most 60 s".to_owned(),
        }
    }
}

impl From<hound::Error> for WavError {
    fn from(error: hound::Error) -> Self {
        // The octets are in memory by then, so even an input error is the file's.
        Self::NotWav(error.to_string())
    }
}

/// Reads a prompt.
pub fn read_wav(path: &Path) -> Result<Vec<i16>, WavError> {
    let octets = std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => WavError::Missing,
        _ => WavError::Io(error),
    })?;
    decode_wav(&octets)
}

/// The samples of a prompt's file.
pub(super) fn decode_wav(octets: &[u8]) -> Result<Vec<i16>, WavError> {
    let mut reader = WavReader::new(Cursor::new(octets))?;
    let WavSpec { channels, sample_rate, bits_per_sample, sample_format } = reader.spec();
    let float = sample_format == SampleFormat::Float;
    if (sample_rate, channels, bits_per_sample, float) != (SAMPLE_RATE_HZ, 1, 16, false) {
        return Err(WavError::Format { rate_hz: sample_rate, channels, bits: bits_per_sample, float });
    }
    if reader.duration() == 0 {
        return Err(WavError::Empty);
    }
    if reader.duration() > MAX_SAMPLES {
        return Err(WavError::TooLong { seconds: reader.duration() / SAMPLE_RATE_HZ });
    }
    reader.samples::<i16>().collect::<Result<_, _>>().map_err(WavError::from)
}

/// The file of a prompt.
pub(super) fn encode_wav(samples: &[i16]) -> Result<Vec<u8>, WavError> {
    let spec = WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE_HZ,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut octets = Cursor::new(Vec::with_capacity(samples.len() * 2 + 44));
    let mut writer = WavWriter::new(&mut octets, spec)?;
    for sample in samples {
        writer.write_sample(*sample)?;
    }
    writer.finalize()?;
    Ok(octets.into_inner())
}

/// Writes a prompt in one step: a reader sees the old file or the new one. Returns whether the file changed.
pub fn write_wav(path: &Path, samples: &[i16]) -> Result<bool, WavError> {
    let octets = encode_wav(samples)?;
    if std::fs::read(path).is_ok_and(|old| old == octets) {
        return Ok(false);
    }
    let temporary = path.with_extension("wav.tmp");
    std::fs::write(&temporary, octets)?;
    std::fs::rename(&temporary, path)?;
    Ok(true)
}
