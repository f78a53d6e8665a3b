//! G.722 at 64 kbit/s (ITU-T G.722): 16 kHz in two bands, each by adaptive differential PCM.
//!
//! The blocks are named as in the Recommendation's §5 and §6. Two samples make one octet: the lower band's six bits below
//! the upper band's two. Samples are 16 bit linear.

/// Half of the 24 taps of the quadrature mirror filter (table 11): the second half mirrors it.
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Decision levels of the lower band's six-bit quantiser (Q6).
const Q6: [i32; 30] = [
    35,
    72,
    110,
    150,
    190,
    233,
    276,
    323,
    370,
    422,
    473,
    530,
    587,
    650,
    714,
    786,
    858,
    940,
    1023,
    1121,
    1219,
    1339,
    1458,
    1612,
    1765,
    1980,
    2195,
    2557,
    2919,
    i32::MAX,
];
/// Levels of the four-bit inverse quantiser, by code (QQ4 with its sign): what both sides adapt by.
const INVERSE_4: [i32; 16] = [
    0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288, 4_240, 2_584,
    1_200, 0,
];
/// Levels of the six-bit inverse quantiser, by code (QQ6 with its sign): what is heard of the lower band.
const INVERSE_6: [i32; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192, -10_232,
    -9_360, -8_576, -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008, -3_576, -3_168, -2_776,
    -2_400, -2_032, -1_688, -1_360, -1_040, -728, 24_808, 21_904, 19_008, 16_704, 14_984, 13_512, 12_280,
    11_192, 10_232, 9_360, 8_576, 7_856, 7_192, 6_576, 6_000, 5_456, 4_944, 4_464, 4_008, 3_576, 3_168,
    2_776, 2_400, 2_032, 1_688, 1_360, 1_040, 728, 432, 136, -432, -136,
];
/// Levels of the upper band's two-bit inverse quantiser, by code.
const INVERSE_2: [i32; 4] = [-7_408, -1_616, 7_408, 1_616];
/// Factor of the upper band's one decision level.
const Q2: i32 = 564;
/// Steps of the logarithmic scale factor, by the four-bit code (WL through RL42).
const SCALE_LOW: [i32; 16] =
    [-60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60];
/// Steps of the logarithmic scale factor, by the two-bit code (WH through RH2).
const SCALE_HIGH: [i32; 4] = [798, -214, 798, -214];
/// The antilogarithm (ILB).
const ANTILOG: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656, 2_714, 2_774,
    2_834, 2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520, 3_597, 3_676, 3_756, 3_838,
    3_922, 4_008,
];

/// Held within 16 bit.
fn saturate(value: i32) -> i32 {
    value.clamp(i16::MIN.into(), i16::MAX.into())
}

/// One band: its scale factor and its predictor, the same in encoder and decoder.
#[derive(Debug, Clone)]
struct Band {
    /// Logarithm of the scale factor (NB).
    log_scale: i32,
    /// The scale factor (DET).
    scale: i32,
    /// The antilogarithm's shift, and the limit of its logarithm: they differ by band.
    shift: i32,
    highest_log: i32,
    /// What the predictor expects (S), and the part of it that comes from the zeros (SZ).
    expected: i32,
    expected_zeros: i32,
    /// The poles' coefficients (A) and the zeros' (B).
    poles: [i32; 2],
    zeros: [i32; 6],
    /// Past differences (D), partial reconstructions (P) and reconstructions (R), the newest first.
    differences: [i32; 6],
    partials: [i32; 2],
    reconstructions: [i32; 2],
}

impl Band {
    fn new(scale: i32, shift: i32, highest_log: i32) -> Self {
        Self {
            log_scale: 0,
            scale,
            shift,
            highest_log,
            expected: 0,
            expected_zeros: 0,
            poles: [0; 2],
            zeros: [0; 6],
            differences: [0; 6],
            partials: [0; 2],
            reconstructions: [0; 2],
        }
    }

    fn low() -> Self {
        Self::new(32, 8, 18_432)
    }

    fn high() -> Self {
        Self::new(8, 10, 22_528)
    }

    /// LOGSCL and SCALEL (LOGSCH and SCALEH): the scale factor after a code that moves it by `step`.
    fn rescale(&mut self, step: i32) {
        self.log_scale = (((self.log_scale * 127) >> 7) + step).clamp(0, self.highest_log);
        let mantissa = ANTILOG[(self.log_scale >> 6 & 31) as usize];
        let shift = self.shift - (self.log_scale >> 11);
        self.scale = if shift < 0 { mantissa << -shift } else { mantissa >> shift } << 2;
    }

    /// Block 4: takes the quantised difference and predicts the next value.
    fn adapt(&mut self, difference: i32) {
        let negative = |value: i32| value < 0;
        let reconstruction = saturate(self.expected + difference);
        let partial = saturate(self.expected_zeros + difference);
        // UPPOL2, UPPOL1.
        let [first, second] = self.poles;
        let agrees = |past: i32| negative(partial) == negative(past);
        let scaled = saturate(first << 2);
        let pull = if agrees(self.partials[0]) { (-scaled).min(32_767) } else { scaled };
        let nudge = if agrees(self.partials[1]) { 128 } else { -128 };
        let new_second = ((pull >> 7) + nudge + ((second * 32_512) >> 15)).clamp(-12_288, 12_288);
        let nudge = if agrees(self.partials[0]) { 192 } else { -192 };
        let limit = saturate(15_360 - new_second);
        let new_first = saturate(nudge + ((first * 32_640) >> 15)).clamp(-limit, limit);
        self.poles = [new_first, new_second];
        // UPZERO.
        let step = if difference == 0 { 0 } else { 128 };
        for (zero, past) in self.zeros.iter_mut().zip(self.differences) {
            let nudge = if negative(past) == negative(difference) { step } else { -step };
            *zero = saturate(nudge + ((*zero * 32_640) >> 15));
        }
        // DELAYA.
        self.differences.rotate_right(1);
        self.differences[0] = difference;
        self.partials = [partial, self.partials[0]];
        self.reconstructions = [reconstruction, self.reconstructions[0]];
        // FILTEP, FILTEZ, PREDIC.
        let product = |(coefficient, value): (&i32, &i32)| (coefficient * saturate(value * 2)) >> 15;
        let poles: i32 = self.poles.iter().zip(&self.reconstructions).map(product).sum();
        let zeros: i32 = self.zeros.iter().zip(&self.differences).map(product).sum();
        self.expected_zeros = saturate(zeros);
        self.expected = saturate(saturate(poles) + self.expected_zeros);
    }

    /// Takes a code's four upper bits of the lower band.
    fn take_low(&mut self, code: i32) {
        let short = (code >> 2 & 15) as usize;
        let difference = (self.scale * INVERSE_4[short]) >> 15;
        self.rescale(SCALE_LOW[short]);
        self.adapt(difference);
    }

    /// Takes a code of the upper band; what it says of the difference.
    fn take_high(&mut self, code: i32) -> i32 {
        let code = (code & 3) as usize;
        let difference = (self.scale * INVERSE_2[code]) >> 15;
        self.rescale(SCALE_HIGH[code]);
        self.adapt(difference);
        difference
    }
}

/// Magnitude of a difference as the quantisers compare it.
fn magnitude(difference: i32) -> i32 {
    if difference < 0 { -(difference + 1) } else { difference }
}

/// QUANTL: the six-bit code.
fn quantise_low(difference: i32, scale: i32) -> i32 {
    let magnitude = magnitude(difference);
    let below = |level: &i32| *level == i32::MAX || magnitude < (*level * scale) >> 12;
    let interval = 1 + Q6.iter().position(below).unwrap_or(Q6.len() - 1) as i32;
    match (difference < 0, interval) {
        (false, _) => 62 - interval,
        (true, 1 | 2) => 64 - interval,
        (true, _) => 34 - interval,
    }
}

/// QUANTH: the two-bit code.
fn quantise_high(difference: i32, scale: i32) -> i32 {
    match (difference < 0, magnitude(difference) >= (Q2 * scale) >> 12) {
        (true, false) => 1,
        (true, true) => 0,
        (false, false) => 3,
        (false, true) => 2,
    }
}

/// The filter that splits and joins the bands; holds the last 24 values, the newest last.
#[derive(Debug, Clone, Default)]
struct Mirror([i32; 24]);

impl Mirror {
    /// Takes two values; the sums over the even and the odd taps.
    fn turn(&mut self, first: i32, second: i32) -> (i32, i32) {
        self.0.copy_within(2.., 0);
        (self.0[22], self.0[23]) = (first, second);
        let pairs = self.0.chunks_exact(2).zip(QMF.iter().zip(QMF.iter().rev()));
        pairs.fold((0, 0), |(odd, even), (pair, (tap, mirrored))| {
            (odd + pair[0] * tap, even + pair[1] * mirrored)
        })
    }
}

/// Encodes 16 kHz samples.
#[derive(Debug, Clone)]
pub struct Encoder {
    mirror: Mirror,
    low: Band,
    high: Band,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { mirror: Mirror::default(), low: Band::low(), high: Band::high() }
    }
}

impl Encoder {
    /// Samples by which what a decoder gives lags behind what was encoded: the delay of both mirror filters.
    pub const DELAY_SAMPLES: usize = 22;

    /// Encodes two samples to one octet; a last odd sample is left out.
    pub fn encode(&mut self, samples: &[i16], octets: &mut Vec<u8>) {
        for pair in samples.chunks_exact(2) {
            let (odd, even) = self.mirror.turn(pair[0].into(), pair[1].into());
            let (low, high) = ((even + odd) >> 14, (even - odd) >> 14);
            let low_code = quantise_low(saturate(low - self.low.expected), self.low.scale);
            let high_code = quantise_high(saturate(high - self.high.expected), self.high.scale);
            self.low.take_low(low_code);
            self.high.take_high(high_code);
            octets.push((high_code << 6 | low_code) as u8);
        }
    }
}

/// Decodes to 16 kHz samples.
#[derive(Debug, Clone)]
pub struct Decoder {
    mirror: Mirror,
    low: Band,
    high: Band,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { mirror: Mirror::default(), low: Band::low(), high: Band::high() }
    }
}

impl Decoder {
    /// Decodes one octet to two samples.
    pub fn decode(&mut self, octets: &[u8], samples: &mut Vec<i16>) {
        let within = |value: i32| value.clamp(-16_384, 16_383);
        for &octet in octets {
            let code = i32::from(octet);
            let heard = (self.low.scale * INVERSE_6[(code & 63) as usize]) >> 15;
            let low = within(self.low.expected + heard);
            self.low.take_low(code & 63);
            let expected = self.high.expected;
            let high = within(expected + self.high.take_high(code >> 6));
            let (odd, even) = self.mirror.turn(low + high, low - high);
            samples.extend([even >> 11, odd >> 11].map(|sample| saturate(sample) as i16));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, samples: usize) -> Vec<i16> {
        let step = std::f64::consts::TAU * hz / 16_000.0;
        (0..samples).map(|n| (8_000.0 * (step * n as f64).sin()) as i16).collect()
    }

    /// Signal to noise of a tone that went through both, dB.
    fn signal_to_noise_db(hz: f64) -> f64 {
        let samples = tone(hz, 16_000);
        let (mut octets, mut heard) = (Vec::new(), Vec::new());
        Encoder::default().encode(&samples, &mut octets);
        Decoder::default().decode(&octets, &mut heard);
        assert_eq!((octets.len(), heard.len()), (8_000, 16_000));
        let (mut signal, mut noise) = (0.0, 0.0);
        for (sent, heard) in samples.iter().zip(&heard[Encoder::DELAY_SAMPLES..]).skip(1_000) {
            signal += f64::from(*sent).powi(2);
            noise += (f64::from(*sent) - f64::from(*heard)).powi(2);
        }
        10.0 * (signal / noise).log10()
    }

    #[test]
    fn tones_of_both_bands_come_back_in_time() {
        for (hz, least_db) in
            [(300.0, 30.0), (1_000.0, 30.0), (3_000.0, 25.0), (5_000.0, 12.0), (6_500.0, 12.0)]
        {
            let ratio = signal_to_noise_db(hz);
            assert!(ratio > least_db, "{hz} Hz: {ratio:.1} dB");
        }
    }

    #[test]
    fn silence_is_heard_as_silence() {
        let (mut octets, mut heard) = (Vec::new(), Vec::new());
        Encoder::default().encode(&[0; 3_200], &mut octets);
        Decoder::default().decode(&octets, &mut heard);
        assert!(heard.iter().all(|sample| sample.unsigned_abs() <= 8), "{:?}", heard.iter().max());
    }

    #[test]
    fn no_octets_and_no_samples_overflow() {
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        let (mut octets, mut heard) = (Vec::new(), Vec::new());
        let loud: Vec<i16> =
            (0..64_000).map(|_| if noise() & 1 == 0 { i16::MAX } else { i16::MIN }).collect();
        Encoder::default().encode(&loud, &mut octets);
        octets.extend((0..64_000).map(|_| noise() as u8));
        Decoder::default().decode(&octets, &mut heard);
        assert_eq!(heard.len(), 2 * (32_000 + 64_000));
    }
}
