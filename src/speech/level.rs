//! How loud a clip is: ITU-R BS.1770 loudness through the `ebur128` crate, and sample peaks.

use super::SAMPLE_RATE_HZ;
use ebur128::{EbuR128, Mode};

/// BS.1770 gates in blocks of 400 ms, so a clip shorter than this is measured repeated until it is as long: a
/// word is then as loud as the sentence it is joined into.
const SHORTEST_MEASURED_SAMPLES: usize = 3 * SAMPLE_RATE_HZ as usize;

/// Integrated loudness of a clip at 16 kHz, LUFS; negative infinity for silence.
pub fn active_level_lufs(samples: &[f32]) -> f64 {
    let Ok(mut meter) = EbuR128::new(1, SAMPLE_RATE_HZ, Mode::I) else { return f64::NEG_INFINITY };
    if samples.is_empty() {
        return f64::NEG_INFINITY;
    }
    let mut measured = 0;
    while measured == 0 || measured < SHORTEST_MEASURED_SAMPLES {
        if meter.add_frames_f32(samples).is_err() {
            return f64::NEG_INFINITY;
        }
        measured += samples.len();
    }
    meter.loudness_global().unwrap_or(f64::NEG_INFINITY)
}

/// The largest sample, dB below full scale; negative infinity for silence.
pub fn peak_dbfs(samples: &[f32]) -> f64 {
    decibels(samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs())))
}

/// A linear amplitude in dB.
pub(super) fn decibels(amplitude: f32) -> f64 {
    20.0 * f64::from(amplitude).log10()
}

/// dB as a linear factor.
pub(super) fn factor(decibels: f64) -> f64 {
    10.0_f64.powf(decibels / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, amplitude: f32, ms: u32) -> Vec<f32> {
        let count = SAMPLE_RATE_HZ * ms / 1000;
        let step = std::f32::consts::TAU * hz / SAMPLE_RATE_HZ as f32;
        (0..count).map(|n| amplitude * (step * n as f32).sin()).collect()
    }

    #[test]
    fn a_kilohertz_tone_measures_as_bs_1770_says() {
        // One channel at 0 dBFS, 997 Hz: -3.01 LUFS.
        assert!((active_level_lufs(&tone(997.0, 1.0, 5000)) + 3.01).abs() < 0.1);
        assert!((active_level_lufs(&tone(997.0, 0.1, 5000)) + 23.01).abs() < 0.1);
    }

    #[test]
    fn a_word_measures_as_a_sentence_of_the_same_level() {
        let word = active_level_lufs(&tone(1000.0, 0.2, 180));
        let sentence = active_level_lufs(&tone(1000.0, 0.2, 4000));
        assert!((word - sentence).abs() < 0.2, "{word} {sentence}");
    }

    #[test]
    fn silence_is_infinitely_quiet() {
        assert_eq!(active_level_lufs(&[]), f64::NEG_INFINITY);
        assert_eq!(active_level_lufs(&[0.0; 100]), f64::NEG_INFINITY);
        assert_eq!(peak_dbfs(&[0.0; 10]), f64::NEG_INFINITY);
        assert_eq!(peak_dbfs(&[0.5, -1.0]), 0.0);
    }
}
