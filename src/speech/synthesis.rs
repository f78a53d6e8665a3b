//! Synthetic clips: `espeak-ng` speaks, and what it spoke is trimmed, resampled and levelled like a recording
//! would be in a studio. The same manifest gives the same octets.

use super::audio::{self, samples_in};
use super::level::{active_level_lufs, factor};
use super::manifest::{ManifestEntry, ManifestVoice};
use std::process::Command;

/// What is left before the sound, so that its onset is whole.
const LEADING_MS: usize = 12;
/// What is left after the sound.
const TRAILING_MS: usize = 18;
/// The first samples rise from zero in this time.
const FADE_IN_MS: usize = 4;
/// The last samples fall to zero in this time.
const FADE_OUT_MS: usize = 14;
/// What is this much below the loudest window is silence, dB.
const SILENCE_BELOW_DB: f64 = -42.0;
/// No sample above this, dBFS: a recording has room too.
const PEAK_DBFS: f64 = -3.5;
/// The pole of the filter that takes the offset and rumble out; −3 dB at about 60 Hz.
const OFFSET_POLE: f32 = 0.977;

/// The espeak-ng voice and the way it speaks.
#[derive(Debug, Clone, Copy)]
pub struct Voice<'a> {
    voice: &'a ManifestVoice,
}

/// Why a clip could not be synthesised.
#[derive(Debug, thiserror::Error)]
pub enum SynthesisError {
    /// The program is not there.
    #[error("espeak-ng cannot be run: {0}; install it (Debian: `apt-get install espeak-ng`)")]
    NotInstalled(std::io::Error),
    /// It ran and failed.
    #[error("espeak-ng failed: {0}")]
    Failed(String),
    /// What it wrote cannot be read.
    #[error("espeak-ng wrote no sound: {0}")]
    NoSound(String),
    /// A temporary file could not be made or read.
    #[error("a temporary file: {0}")]
    Io(#[from] std::io::Error),
}

impl<'a> Voice<'a> {
    /// The voice of a manifest.
    pub fn new(voice: &'a ManifestVoice) -> Self {
        Self { voice }
    }

    /// Speaks a clip: its samples at 16 kHz, trimmed and at the loudness asked for (LUFS).
    pub fn speak(&self, entry: &ManifestEntry, loudness_lufs: f64) -> Result<Vec<i16>, SynthesisError> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("spoken.wav");
        let usual = if entry.unit { self.voice.unit_speed } else { self.voice.speed };
        let speed = entry.speed.unwrap_or(usual);
        let output = Command::new("espeak-ng")
            .args(["-v", &self.voice.name, "-s", &speed.to_string(), "-p", &self.voice.pitch.to_string()])
            .args(["-b", "1", "-m", "-w"])
            .arg(&path)
            .arg("--")
            .arg(self.spoken_text(entry))
            .output()
            .map_err(SynthesisError::NotInstalled)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(SynthesisError::Failed(said));
        }
        let mut reader =
            hound::WavReader::open(&path).map_err(|error| SynthesisError::NoSound(error.to_string()))?;
        let rate_hz = reader.spec().sample_rate;
        let samples: Vec<i16> = reader
            .samples::<i16>()
            .collect::<Result<_, _>>()
            .map_err(|error| SynthesisError::NoSound(error.to_string()))?;
        finish(&audio::to_float(&samples), rate_hz, loudness_lufs)
            .ok_or_else(|| SynthesisError::NoSound("it is silent".to_owned()))
    }

    /// What the synthesiser is given (SSML): without the punctuation that only joins the text to what stands
    /// before, and a unit as the middle of a sentence, not its end.
    fn spoken_text(&self, entry: &ManifestEntry) -> String {
        let text = entry.spoken.as_deref().unwrap_or(&entry.text);
        let text = text.trim_start_matches([',', '.', ';', ':', ' ']);
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        if entry.unit {
            format!("<prosody range=\"{}%\">{text},</prosody>", self.voice.unit_range)
        } else {
            text
        }
    }
}

/// Makes a clip of raw speech: without offset, at 16 kHz, trimmed to short margins with faded ends, at the
/// loudness asked for (LUFS) unless its peaks forbid. `None` when there is no sound.
pub fn finish(samples: &[f32], rate_hz: u32, loudness_lufs: f64) -> Option<Vec<i16>> {
    let resampled = audio::resample(&without_offset(samples), rate_hz);
    let threshold = audio::loudest_window(&resampled) * factor(SILENCE_BELOW_DB) as f32;
    let ends = audio::ends(&resampled, threshold)?;
    let mut clip = trimmed(&resampled, ends);
    fade(&mut clip);
    let gain = factor(loudness_lufs - active_level_lufs(&clip)) as f32;
    if !gain.is_finite() {
        return None;
    }
    for sample in &mut clip {
        *sample *= gain;
    }
    limit(&mut clip, factor(PEAK_DBFS) as f32);
    Some(audio::to_i16(&clip))
}

fn trimmed(samples: &[f32], ends: audio::Ends) -> Vec<f32> {
    let (leading, trailing) = (samples_in(LEADING_MS), samples_in(TRAILING_MS));
    let first = ends.leading.saturating_sub(leading);
    let last = (samples.len() - ends.trailing + trailing).min(samples.len());
    let mut clip = vec![0.0; leading.saturating_sub(ends.leading)];
    clip.extend_from_slice(samples.get(first..last).unwrap_or_default());
    clip.extend(std::iter::repeat_n(0.0, trailing.saturating_sub(ends.trailing)));
    clip
}

fn without_offset(samples: &[f32]) -> Vec<f32> {
    // From the first sample on, or the offset itself would begin the clip with a step.
    let (mut before, mut out) = (samples.first().copied().unwrap_or(0.0), 0.0);
    samples
        .iter()
        .map(|sample| {
            out = sample - before + OFFSET_POLE * out;
            before = *sample;
            out
        })
        .collect()
}

fn fade(samples: &mut [f32]) {
    let rise = samples_in(FADE_IN_MS).min(samples.len());
    let fall = samples_in(FADE_OUT_MS).min(samples.len());
    for (n, sample) in samples.iter_mut().take(rise).enumerate() {
        *sample *= n as f32 / rise as f32;
    }
    for (n, sample) in samples.iter_mut().rev().take(fall).enumerate() {
        *sample *= n as f32 / fall as f32;
    }
}

/// Lowers the gain smoothly around peaks that are above the limit, so that no sample is cut off.
fn limit(samples: &mut [f32], peak: f32) {
    let reach = samples_in(8);
    let wanted: Vec<f32> =
        samples.iter().map(|s| if s.abs() > peak { peak / s.abs() } else { 1.0 }).collect();
    if wanted.iter().all(|gain| *gain >= 1.0) {
        return;
    }
    let held: Vec<f32> = (0..wanted.len())
        .map(|n| {
            let near = wanted.get(n.saturating_sub(reach)..(n + reach + 1).min(wanted.len()));
            near.unwrap_or_default().iter().copied().fold(1.0, f32::min)
        })
        .collect();
    // The mean of the lowest gains nearby is never above what the peak in their middle wants.
    for (n, sample) in samples.iter_mut().enumerate() {
        let near = held.get(n.saturating_sub(reach)..(n + reach + 1).min(held.len())).unwrap_or_default();
        *sample *= near.iter().sum::<f32>() / near.len().max(1) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::level::peak_dbfs;

    fn speechlike(rate_hz: u32, ms: usize) -> Vec<f32> {
        let count = rate_hz as usize * ms / 1000;
        let step = std::f32::consts::TAU / rate_hz as f32;
        (0..count)
            .map(|n| {
                let t = n as f32 * step;
                0.3 * (t * 200.0).sin() * (0.6 + 0.4 * (t * 4.0).sin()) + 0.1 * (t * 900.0).sin()
            })
            .collect()
    }

    #[test]
    fn a_clip_is_trimmed_levelled_and_begins_and_ends_at_zero() {
        let mut raw = vec![0.02; 4000];
        raw.extend(speechlike(22_050, 900).iter().map(|sample| sample + 0.02));
        raw.extend(vec![0.02; 9000]);
        let clip = finish(&raw, 22_050, -21.0).unwrap();
        let length_ms = audio::ms_in(clip.len());
        assert!((915..960).contains(&length_ms), "{length_ms}");
        assert_eq!((clip[0], *clip.last().unwrap()), (0, 0));
        let float = audio::to_float(&clip);
        assert!((active_level_lufs(&float) + 21.0).abs() < 0.2, "{}", active_level_lufs(&float));
        assert!(audio::mean(&float).abs() < 0.002);
    }

    #[test]
    fn peaks_are_limited_without_cutting_them_off() {
        let mut raw = speechlike(16_000, 1500);
        raw[12_000] = 4.0;
        let clip = audio::to_float(&finish(&raw, 16_000, -14.0).unwrap());
        assert!(peak_dbfs(&clip) <= -3.4, "{}", peak_dbfs(&clip));
    }

    #[test]
    fn silence_is_no_clip() {
        assert_eq!(finish(&[0.0; 5000], 22_050, -21.0), None);
        assert_eq!(finish(&[], 22_050, -21.0), None);
    }
}
