//! How much of a master is in what was heard: normalised cross-correlation, so that a sound that is merely there, late, or
//! somebody else's does not pass for the prompt.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::path::Path;

/// Samples a second that everything is compared at.
pub const RATE_HZ: usize = 8_000;

/// Samples at a whole multiple of 8 kHz, averaged down to it.
pub fn to_8_khz(samples: &[i16], rate_hz: usize) -> Vec<f64> {
    assert_eq!(rate_hz % RATE_HZ, 0, "{rate_hz} Hz");
    let step = rate_hz / RATE_HZ;
    samples
        .chunks_exact(step)
        .map(|chunk| chunk.iter().map(|&s| f64::from(s)).sum::<f64>() / step as f64)
        .collect()
}

/// A mono or stereo WAV at 8 kHz: the first channel.
pub fn read_wav(path: &Path) -> Vec<f64> {
    let mut wav = hound::WavReader::open(path).unwrap();
    let (rate, channels) = (wav.spec().sample_rate as usize, usize::from(wav.spec().channels));
    let samples: Vec<i16> = wav.samples::<i16>().map_while(Result::ok).step_by(channels).collect();
    to_8_khz(&samples, rate)
}

/// The place in `heard` where `master` fits best, in samples, and how well: 1 is the same but for its level.
pub fn best_fit(master: &[f64], heard: &[f64]) -> (usize, f64) {
    let energy = |samples: &[f64]| samples.iter().map(|s| s * s).sum::<f64>();
    let own = energy(master);
    assert!(own > 0.0 && heard.len() >= master.len(), "{} of {} samples heard", heard.len(), master.len());
    let fit = |place: usize, step: usize| {
        let part = &heard[place..place + master.len()];
        let pairs = part.iter().step_by(step).zip(master.iter().step_by(step));
        let (product, energy) =
            pairs.fold((0.0, 0.0), |(product, energy), (a, b)| (product + a * b, energy + a * a));
        product / (own / step as f64 * energy).sqrt().max(1.0)
    };
    // Every fourth sample finds the place; all of them say how well it fits.
    let place = (0..=heard.len() - master.len())
        .map(|place| (place, fit(place, 4)))
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map_or(0, |(place, _)| place);
    (place, fit(place, 1))
}
