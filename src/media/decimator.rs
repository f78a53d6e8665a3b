//! From 16 kHz to 8 kHz: a linear-phase low-pass filter, then every second sample.

use std::f64::consts::PI;

/// Taps on each side of the centre. With the Kaiser window below, the pass band ends at 3.4 kHz, the stop band begins at
/// 4.0 kHz, the first frequency that would fold back into the telephone band.
pub const HALF_TAPS: usize = 64;
/// Kaiser's β for at least 70 dB in the stop band.
const KAISER_BETA: f64 = 6.8;
/// Centre of the transition band, as a part of the 16 kHz sampling rate: 3.7 kHz.
const CUTOFF: f64 = 3_700.0 / 16_000.0;

/// The filter; symmetric, so only one half is kept.
#[derive(Debug, Clone)]
pub struct Decimator {
    /// `taps[0]` is the centre.
    taps: [f32; HALF_TAPS + 1],
}

impl Default for Decimator {
    fn default() -> Self {
        Self::new()
    }
}

impl Decimator {
    /// Computes the taps; gain 1 at 0 Hz.
    pub fn new() -> Self {
        let ideal = |n: f64| if n == 0.0 { 2.0 * CUTOFF } else { (2.0 * PI * CUTOFF * n).sin() / (PI * n) };
        let window = |n: f64| {
            let ratio = n / (HALF_TAPS as f64 + 1.0);
            bessel_i0(KAISER_BETA * (1.0 - ratio * ratio).sqrt()) / bessel_i0(KAISER_BETA)
        };
        let raw: [f64; HALF_TAPS + 1] = std::array::from_fn(|n| ideal(n as f64) * window(n as f64));
        let gain = raw[0] + 2.0 * raw[1..].iter().sum::<f64>();
        Self { taps: raw.map(|tap| (tap / gain) as f32) }
    }

    /// Filters and halves the rate, without delay: output `n` is centred on input `2n`. Beyond the ends there is silence.
    pub fn halve(&self, samples: &[i16]) -> Vec<i16> {
        let mut padded = vec![0.0_f32; samples.len() + 2 * HALF_TAPS];
        for (slot, &sample) in padded[HALF_TAPS..].iter_mut().zip(samples) {
            *slot = f32::from(sample);
        }
        padded.windows(2 * HALF_TAPS + 1).step_by(2).map(|window| self.apply(window)).collect()
    }

    /// The filtered sample at the middle of `2 · HALF_TAPS + 1` samples.
    ///
    /// A bare loop over indices: every start of the service runs it some hundred million times, and built without
    /// optimisation, as the tests build it, iterators take several times as long.
    pub fn apply(&self, window: &[f32]) -> i16 {
        let Some(window) = window.first_chunk::<{ 2 * HALF_TAPS + 1 }>() else { return 0 };
        let mut sum = 0.0;
        let mut n = 1;
        while n <= HALF_TAPS {
            sum += self.taps[n] * (window[HALF_TAPS - n] + window[HALF_TAPS + n]);
            n += 1;
        }
        sum += self.taps[0] * window[HALF_TAPS];
        // `as` saturates: a filter's overshoot of a full-scale sample is clipped.
        sum.round() as i16
    }
}

/// The modified Bessel function of order zero, by its series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..40 {
        term *= quarter / f64::from(k * k);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frequency_hz: f64, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| (16_000.0 * (2.0 * PI * frequency_hz * n as f64 / 16_000.0).sin()) as i16)
            .collect()
    }

    /// Gain of a steady tone in dB, measured away from the ends.
    fn gain_db(frequency_hz: f64) -> f64 {
        let input = tone(frequency_hz, 8_000);
        let output = Decimator::new().halve(&input);
        let power = |samples: &[i16]| {
            samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len() as f64
        };
        10.0 * (power(&output[500..3_500]) / power(&input[1_000..7_000])).log10()
    }

    #[test]
    fn the_telephone_band_passes_and_what_would_fold_back_does_not() {
        for frequency_hz in [100.0, 300.0, 1_000.0, 2_000.0, 3_000.0, 3_400.0] {
            let gain = gain_db(frequency_hz);
            assert!(gain.abs() < 0.1, "{frequency_hz} Hz: {gain} dB");
        }
        for frequency_hz in [4_000.0, 4_300.0, 5_000.0, 6_000.0, 7_500.0] {
            let gain = gain_db(frequency_hz);
            assert!(gain < -65.0, "{frequency_hz} Hz: {gain} dB");
        }
    }

    #[test]
    fn it_does_not_delay() {
        let mut impulse = vec![0; 400];
        impulse[200] = 20_000;
        let output = Decimator::new().halve(&impulse);
        assert_eq!(output.len(), 200);
        let loudest = (0..200).max_by_key(|&n| output[n]);
        assert_eq!(loudest, Some(100));
    }

    #[test]
    fn full_scale_clips_and_short_inputs_are_fine() {
        let square: Vec<i16> = (0..800).map(|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        assert!(Decimator::new().halve(&square).contains(&i16::MAX));
        assert_eq!(Decimator::new().halve(&[]), [0; 0]);
        assert_eq!(Decimator::new().halve(&[5]).len(), 1);
    }
}
