//! The eight frequencies of the keypad, looked at every 5 ms: how strong each is, how its phase runs, and how much else
//! there is.
//!
//! A frame is 10 ms under a Hann window, half of it new: short enough to see where a tone begins and ends, and so wide
//! (±200 Hz) that a tone which is off its frequency shows in its phase from frame to frame and not in its strength. The
//! window's side lobes, 31 dB down, keep the two groups apart, which a rectangular one of that length does not.

use std::f64::consts::{PI, TAU};
use std::sync::LazyLock;

/// Samples a second.
pub const SAMPLE_RATE_HZ: u32 = 8_000;
/// Samples from one frame to the next: 5 ms.
pub const HOP: usize = 40;
/// Samples in a frame.
pub const FRAME: usize = 2 * HOP;
/// Rows and columns of the keypad, Hz (ITU-T Q.23): four low frequencies, then four high ones.
pub const FREQUENCIES_HZ: [f32; 8] = [697.0, 770.0, 852.0, 941.0, 1_209.0, 1_336.0, 1_477.0, 1_633.0];

/// Sum of the window's samples.
const WINDOW_SUM: f64 = HOP as f64;
/// Sum of their squares.
const WINDOW_SQUARE_SUM: f64 = 0.75 * HOP as f64;

/// A complex number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Phasor {
    pub re: f32,
    pub im: f32,
}

impl Phasor {
    fn unit(angle: f64) -> Self {
        Self { re: angle.cos() as f32, im: angle.sin() as f32 }
    }

    pub fn times(self, other: Self) -> Self {
        let (re, im) = (self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re);
        Self { re, im }
    }

    pub fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }

    pub fn conjugate(self) -> Self {
        Self { re: self.re, im: -self.im }
    }

    /// The square of its length.
    pub fn power(self) -> f32 {
        self.re * self.re + self.im * self.im
    }

    pub fn length(self) -> f32 {
        self.power().sqrt()
    }

    pub fn angle(self) -> f32 {
        self.im.atan2(self.re)
    }
}

/// What was seen in one frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Frame {
    /// One for each of [`FREQUENCIES_HZ`]: its length is the tone's amplitude in units of a sample.
    pub tones: [Phasor; 8],
    /// All that is above the hum, in the scale of the tones: a pure tone's power is its amplitude's square.
    pub power: f32,
}

/// The tables; one for all calls.
#[derive(Debug)]
pub struct Bank {
    /// Window and cosine, window and −sine, for the first half of a frame; the second half mirrors them.
    even: [[f32; 8]; HOP],
    odd: [[f32; 8]; HOP],
    window_squared: [f32; FRAME],
    /// Takes out of a hop's turn what the nominal frequency turns.
    unturn: [Phasor; 8],
}

impl Bank {
    /// The tables.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Bank> = LazyLock::new(Bank::new);
        &SHARED
    }

    fn new() -> Self {
        let window = |n: usize| (PI * (n as f64 + 0.5) / FRAME as f64).sin().powi(2);
        let turn = |tone: usize| TAU * f64::from(FREQUENCIES_HZ[tone]) / f64::from(SAMPLE_RATE_HZ);
        let centre = (FRAME as f64 - 1.0) / 2.0;
        let kernel = |n: usize, part: fn(f64) -> f64| {
            std::array::from_fn(|tone| {
                (2.0 / WINDOW_SUM * window(n) * part(turn(tone) * (n as f64 - centre))) as f32
            })
        };
        Self {
            even: std::array::from_fn(|n| kernel(n, f64::cos)),
            odd: std::array::from_fn(|n| kernel(n, |angle| -angle.sin())),
            window_squared: std::array::from_fn(|n| (2.0 / WINDOW_SQUARE_SUM * window(n).powi(2)) as f32),
            unturn: std::array::from_fn(|tone| Phasor::unit(-turn(tone) * HOP as f64)),
        }
    }

    /// Looks at one frame of filtered samples.
    pub fn analyse(&self, samples: &[f32; FRAME]) -> Frame {
        let (mut re, mut im) = ([0.0_f32; 8], [0.0_f32; 8]);
        let halves = samples[..HOP].iter().zip(samples[HOP..].iter().rev());
        for ((first, last), (even, odd)) in halves.zip(self.even.iter().zip(&self.odd)) {
            let (sum, difference) = (first + last, first - last);
            for tone in 0..8 {
                re[tone] += sum * even[tone];
                im[tone] += difference * odd[tone];
            }
        }
        let mut power = [0.0_f32; 8];
        for (part, weights) in samples.chunks_exact(8).zip(self.window_squared.chunks_exact(8)) {
            for lane in 0..8 {
                power[lane] += weights[lane] * part[lane] * part[lane];
            }
        }
        let tones = std::array::from_fn(|tone| Phasor { re: re[tone], im: im[tone] });
        Frame { tones, power: power.iter().sum() }
    }

    /// How far a tone has turned from one frame to the next beyond what its nominal frequency turns, times both
    /// amplitudes.
    pub fn turn(&self, tone: usize, before: Phasor, after: Phasor) -> Phasor {
        after.times(before.conjugate()).times(self.unturn[tone])
    }
}

/// Takes hum away: a Butterworth high-pass filter of the fourth order, two sections one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct HighPass {
    state: [[f32; 2]; 2],
}

/// Where the high-pass filter is 3 dB down, Hz. Mains hum and its first overtones are below by 40 dB and more; the lowest tone
/// loses 0.1 dB.
const CUTOFF_HZ: f64 = 450.0;
/// Q of the two sections of a Butterworth filter of the fourth order.
const SECTION_Q: [f64; 2] = [0.541_196_1, 1.306_563];
/// Below this a filter's state is taken for nothing: what fades for ever would become a number that the processor is
/// slow with.
const NOTHING: f32 = 1e-9;

struct Section {
    b: f32,
    a1: f32,
    a2: f32,
}

static SECTIONS: LazyLock<[Section; 2]> = LazyLock::new(|| {
    SECTION_Q.map(|q| {
        let w = TAU * CUTOFF_HZ / f64::from(SAMPLE_RATE_HZ);
        let alpha = w.sin() / (2.0 * q);
        let scale = 1.0 / (1.0 + alpha);
        Section {
            b: ((1.0 + w.cos()) / 2.0 * scale) as f32,
            a1: (-2.0 * w.cos() * scale) as f32,
            a2: ((1.0 - alpha) * scale) as f32,
        }
    })
});

impl HighPass {
    /// Filters samples into `out`, as many as both hold.
    pub fn filter(&mut self, samples: &[i16], out: &mut [f32]) {
        let [first, second] = &*SECTIONS;
        let [mut s, mut t] = self.state;
        for (sample, out) in samples.iter().zip(out) {
            let x = f32::from(*sample);
            let y = first.b * x + s[0];
            s[0] = -2.0 * first.b * x - first.a1 * y + s[1];
            s[1] = first.b * x - first.a2 * y;
            let z = second.b * y + t[0];
            t[0] = -2.0 * second.b * y - second.a1 * z + t[1];
            t[1] = second.b * y - second.a2 * z;
            *out = z;
        }
        self.state = [s, t].map(|section| section.map(|v| if v.abs() < NOTHING { 0.0 } else { v }));
    }
}
