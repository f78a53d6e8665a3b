//! From the samples a second of a codec to those of a recording.

use crate::media::{Decimator, HALF_TAPS};

/// What has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Same,
    Halve,
    Double,
}

/// Changes the rate of one stream.
#[derive(Debug)]
pub struct RateChange {
    filter: Decimator,
    step: Step,
    /// What the filter still needs of the samples before.
    history: Vec<f32>,
}

impl RateChange {
    /// Between 8,000 and 16,000 samples a second.
    pub fn new(from_hz: u32, to_hz: u32) -> Self {
        let step = match (from_hz, to_hz) {
            (16_000, 8_000) => Step::Halve,
            (8_000, 16_000) => Step::Double,
            _ => Step::Same,
        };
        Self { filter: Decimator::new(), step, history: vec![0.0; 2 * HALF_TAPS] }
    }

    /// What comes next does not follow what came before.
    pub fn interrupt(&mut self) {
        self.history.fill(0.0);
    }

    /// The samples at the recording's rate, and how many of its samples earlier than the ones given they begin.
    pub fn run(&mut self, samples: &[i16]) -> (Vec<i16>, usize) {
        let step = match self.step {
            Step::Same => return (samples.to_vec(), 0),
            Step::Halve => 2,
            Step::Double => 1,
        };
        let mut padded = std::mem::take(&mut self.history);
        for &sample in samples {
            if self.step == Step::Double {
                // With zeros in between a sample has half its strength.
                padded.extend([2.0 * f32::from(sample), 0.0]);
            } else {
                padded.push(f32::from(sample));
            }
        }
        let windows = padded.windows(2 * HALF_TAPS + 1).step_by(step);
        let changed = windows.map(|window| self.filter.apply(window)).collect();
        self.history = padded.split_off(padded.len() - 2 * HALF_TAPS);
        (changed, HALF_TAPS / step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn tone(hz: f64, rate_hz: u32, from: usize, count: usize) -> Vec<i16> {
        let sample = |n: usize| (10_000.0 * (TAU * hz * n as f64 / f64::from(rate_hz)).sin()) as i16;
        (from..from + count).map(sample).collect()
    }

    /// Packets of a tone come out as the same tone at the other rate, where it belongs.
    #[test]
    fn a_tone_stays_itself_and_in_its_place() {
        for (from_hz, to_hz) in [(8_000, 8_000), (16_000, 8_000), (8_000, 16_000)] {
            let mut change = RateChange::new(from_hz, to_hz);
            let packet = from_hz as usize / 50;
            let mut out = vec![0; 20 * to_hz as usize / 50];
            for number in 0..20 {
                let (samples, early) = change.run(&tone(440.0, from_hz, number * packet, packet));
                assert_eq!(samples.len(), to_hz as usize / 50);
                let place = number * to_hz as usize / 50;
                for (n, sample) in samples.into_iter().enumerate() {
                    if let Some(slot) = (place + n).checked_sub(early).and_then(|at| out.get_mut(at)) {
                        *slot = sample;
                    }
                }
            }
            let wanted = tone(440.0, to_hz, 0, out.len());
            for n in 200..out.len() - 200 {
                assert!((i32::from(out[n]) - i32::from(wanted[n])).abs() < 150, "{from_hz} to {to_hz}: {n}");
            }
        }
    }
}
