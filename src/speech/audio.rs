//! Sample rates and silent ends.

use super::SAMPLE_RATE_HZ;

/// Half the length of the resampler's filter, in samples of the lower rate.
const FILTER_HALF: usize = 24;

/// The pass band's edge, as a part of half the lower rate.
const CUTOFF: f64 = 0.94;

/// Energy is looked at in windows of this length.
const WINDOW_MS: usize = 5;

/// Where a clip's sound begins and ends: the samples before and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub leading: usize,
    pub trailing: usize,
}

/// Samples in a number of milliseconds at 16 kHz.
pub(super) const fn samples_in(ms: usize) -> usize {
    ms * SAMPLE_RATE_HZ as usize / 1000
}

/// Milliseconds in a number of samples at 16 kHz.
pub(super) const fn ms_in(samples: usize) -> usize {
    samples * 1000 / SAMPLE_RATE_HZ as usize
}

/// Full scale as 1.0.
pub(super) fn to_float(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect()
}

/// Rounded, and held within 16 bit.
pub(super) fn to_i16(samples: &[f32]) -> Vec<i16> {
    samples.iter().map(|sample| (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16).collect()
}

/// To 16 kHz by a polyphase windowed sinc. Empty when the rate is zero.
pub(super) fn resample(samples: &[f32], rate_hz: u32) -> Vec<f32> {
    if rate_hz == SAMPLE_RATE_HZ || samples.is_empty() || rate_hz == 0 {
        return if rate_hz == 0 { Vec::new() } else { samples.to_vec() };
    }
    let divisor = greatest_common_divisor(rate_hz, SAMPLE_RATE_HZ);
    let up = (SAMPLE_RATE_HZ / divisor) as usize;
    let down = (rate_hz / divisor) as usize;
    // Both in samples of the input: the filter is wider where the output is slower.
    let scale = f64::from(SAMPLE_RATE_HZ.min(rate_hz)) / f64::from(rate_hz);
    let half = (FILTER_HALF as f64 / scale).ceil() as usize;
    let phases: Vec<Vec<f32>> = (0..up).map(|phase| filter(phase as f64 / up as f64, half, scale)).collect();
    let count = (samples.len() * up).div_ceil(down);
    let mut resampled = Vec::with_capacity(count);
    for n in 0..count {
        let position = n * down;
        let (first, phase) = (position / up, position % up);
        let taps = phases.get(phase).map_or(&[][..], Vec::as_slice);
        let sum: f32 = taps
            .iter()
            .enumerate()
            .filter_map(|(tap, weight)| Some(weight * samples.get((first + tap).checked_sub(half)?)?))
            .sum();
        resampled.push(sum);
    }
    resampled
}

/// The weights around an output sample that lies `fraction` after an input sample.
fn filter(fraction: f64, half: usize, scale: f64) -> Vec<f32> {
    let weights: Vec<f64> = (0..=2 * half)
        .map(|tap| {
            let distance = tap as f64 - half as f64 - fraction;
            let x = distance * scale * CUTOFF;
            let sinc =
                if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
            let edge = (distance / (half as f64 + 1.0)).clamp(-1.0, 1.0);
            sinc * (std::f64::consts::FRAC_PI_2 * edge).cos().powi(2)
        })
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Where the sound begins and ends: the first and last window above a threshold (linear RMS). `None` when
/// nothing is.
pub(super) fn ends(samples: &[f32], threshold: f32) -> Option<Ends> {
    let window = samples_in(WINDOW_MS);
    let loud = |window: &&[f32]| rms(window) > threshold;
    let leading = samples.chunks(window).take_while(|chunk| !loud(chunk)).map(<[f32]>::len).sum();
    if leading >= samples.len() {
        return None;
    }
    let trailing = samples.rchunks(window).take_while(|chunk| !loud(chunk)).map(<[f32]>::len).sum();
    Some(Ends { leading, trailing })
}

/// The RMS of the loudest window.
pub(super) fn loudest_window(samples: &[f32]) -> f32 {
    samples.chunks(samples_in(WINDOW_MS)).map(rms).fold(0.0, f32::max)
}

fn rms(samples: &[f32]) -> f32 {
    if samples.is_empty() {
        return 0.0;
    }
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
}

/// Mean of all samples: the offset from zero.
pub(super) fn mean(samples: &[f32]) -> f32 {
    if samples.is_empty() {
        return 0.0;
    }
    (samples.iter().map(|sample| f64::from(*sample)).sum::<f64>() / samples.len() as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, rate_hz: u32, count: usize) -> Vec<f32> {
        let step = std::f64::consts::TAU * hz / f64::from(rate_hz);
        (0..count).map(|n| (0.5 * (step * n as f64).sin()) as f32).collect()
    }

    #[test]
    fn resampling_keeps_a_tone_s_level_and_length_and_drops_what_would_alias() {
        let kept = resample(&tone(1000.0, 22_050, 22_050), 22_050);
        assert_eq!(kept.len(), 16_000);
        let middle = &kept[1000..15_000];
        assert!((rms(middle) - 0.5 / 2.0_f32.sqrt()).abs() < 0.002, "{}", rms(middle));
        let gone = resample(&tone(9500.0, 22_050, 22_050), 22_050);
        assert!(rms(&gone[1000..15_000]) < 0.002, "{}", rms(&gone[1000..15_000]));
        assert_eq!(resample(&kept, 16_000), kept);
        assert!(resample(&kept, 0).is_empty());
    }

    #[test]
    fn finds_the_ends_of_the_sound() {
        let mut samples = vec![0.0; samples_in(30)];
        samples.extend(tone(500.0, SAMPLE_RATE_HZ, samples_in(100)));
        samples.extend(vec![0.0; samples_in(50)]);
        let found = ends(&samples, 0.01).unwrap();
        assert_eq!((ms_in(found.leading), ms_in(found.trailing)), (30, 50));
        assert_eq!(ends(&[0.0; 400], 0.01), None);
        assert_eq!(ends(&[], 0.01), None);
    }
}
