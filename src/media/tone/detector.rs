//! From frames to presses.
//!
//! A frame speaks for a pair when the strongest low and the strongest high tone are loud enough, in balance, and nearly all
//! that is heard. Six such frames make a press, when over all of them the pair is purer still, keeps its strength, and turns
//! as its frequencies must. What speech lacks is the last two: a vowel's harmonics move.
//!
//! A press goes on for as long as its own two tones keep most of their strength, whatever is heard beside them, so that
//! neither noise nor speech makes two of one.

use super::bank::{Bank, FRAME, FREQUENCIES_HZ, Frame, HOP, HighPass, Phasor, SAMPLE_RATE_HZ};

/// Amplitude of a tone of 0 dBm0, in units of a 16-bit sample: the full scale of A-law is +3.14 dBm0 (ITU-T G.711).
pub const ZERO_DBM0_AMPLITUDE: f32 = 22_827.0;

/// The weakest tone of a pair that is heard: −32 dBm0.
const WEAKEST: f32 = ZERO_DBM0_AMPLITUDE * 0.025_1;
/// The high tone may be stronger than the low one by 6 dB …
const MAX_TWIST: f32 = 3.98;
/// … and weaker by 10 dB. Both are powers.
const MIN_TWIST: f32 = 0.1;
/// In a frame of a press the pair has at least this part of the power.
const PURE: f32 = 0.7;
/// And over all frames that make a press at least this.
const PURE_IN_ALL: f32 = 0.88;
/// How much of the turn from frame to frame has one direction in a steady tone.
const STEADY: f32 = 0.9;
/// How far a tone may be off its frequency, as a part of it: between the 1.5 % and the 3.5 % of ITU-T Q.24.
const MAX_OFFSET: f32 = 0.025;
/// From the weakest to the strongest frame of those that make a press, as amplitudes.
const MAX_SWING: f32 = 1.8;
/// Frames that make a press: of a tone of 40 ms at least seven are pure, of one of 23 ms at most four.
const FRAMES_TO_BEGIN: usize = 6;
/// Frames without the pair that end a press: a pause of 30 ms always has them, an interruption of 15 ms never.
const FRAMES_TO_END: u32 = 5;
/// A press goes on while both tones keep this part of their amplitude …
const KEPT: f32 = 0.4;
/// … and this is the least of a pair that follows one of the same key within [`ECHO_SAMPLES`]: weaker is its echo.
const ECHO: f32 = 0.4;
/// How long after a press its echo may come.
const ECHO_SAMPLES: u64 = 1_600;
/// Lost frames across which a press can go on: 100 ms.
const MAX_LOST: u32 = 20;
/// How much longer a press is than from its first frame to its last.
const EDGE_SAMPLES: u64 = 49;

const HOP_S: f32 = HOP as f32 / SAMPLE_RATE_HZ as f32;

/// What the detector reports, in this order for each press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToneEvent {
    /// A press that lasts already long enough to be one.
    Began {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// It is over.
    Ended {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// How long it lasted, samples, to within 30.
        samples: u64,
    },
}

/// A row and a column of the keypad: indices into [`FREQUENCIES_HZ`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pair {
    low: usize,
    high: usize,
}

/// By row and column.
const KEYPAD: [[char; 4]; 4] =
    [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];

/// Which of [`FREQUENCIES_HZ`] a key is made of.
pub fn pair_of(key: char) -> Option<[usize; 2]> {
    let place = KEYPAD.as_flattened().iter().position(|&other| other == key.to_ascii_uppercase())?;
    Some([place / 4, 4 + place % 4])
}

impl Pair {
    fn digit(self) -> char {
        KEYPAD[self.low][self.high - 4]
    }
}

/// A frame's evidence for a pair.
#[derive(Debug, Clone, Copy, Default)]
struct Evidence {
    at: u64,
    low: f32,
    high: f32,
    power: f32,
    turn_low: Phasor,
    turn_high: Phasor,
}

/// Frames that may become a press.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    pair: Pair,
    frames: usize,
    misses: u32,
    /// The last ones, in a ring.
    evidence: [Evidence; FRAMES_TO_BEGIN],
}

#[derive(Debug, Clone, Copy)]
struct Press {
    pair: Pair,
    first: u64,
    last: u64,
    low: f32,
    high: f32,
    misses: u32,
}

/// Finds presses in samples. One for each call.
#[derive(Debug)]
pub struct Detector {
    bank: &'static Bank,
    high_pass: HighPass,
    /// The frame that is being filled.
    samples: [f32; FRAME],
    filled: usize,
    /// Samples so far.
    position: u64,
    before: Frame,
    /// The pair that the frame before was pure of.
    pair_before: Option<Pair>,
    candidate: Option<Candidate>,
    press: Option<Press>,
    ended: Option<Press>,
    /// Frames that were lost since the last one.
    lost: u32,
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector {
    /// Nothing was heard yet.
    pub fn new() -> Self {
        Self {
            bank: Bank::shared(),
            high_pass: HighPass::default(),
            samples: [0.0; FRAME],
            filled: 0,
            position: 0,
            before: Frame::default(),
            pair_before: None,
            candidate: None,
            press: None,
            ended: None,
            lost: 0,
        }
    }

    /// Takes the next samples, at [`SAMPLE_RATE_HZ`]. Any number of them, of any values, is fine; nothing is allocated.
    pub fn push(&mut self, samples: &[i16], mut report: impl FnMut(ToneEvent)) {
        let mut rest = samples;
        while !rest.is_empty() {
            let taken = rest.len().min(FRAME - self.filled);
            let (now, later) = rest.split_at(taken);
            self.high_pass.filter(now, &mut self.samples[self.filled..]);
            self.filled += taken;
            self.position += taken as u64;
            rest = later;
            if self.filled == FRAME {
                let frame = self.bank.analyse(&self.samples);
                self.samples.copy_within(HOP.., 0);
                self.filled = FRAME - HOP;
                self.frame(&frame, &mut report);
                self.before = frame;
            }
        }
    }

    /// So many samples were lost: whether a press went on meanwhile is said by what comes after them.
    pub fn skip(&mut self, samples: u32) {
        self.filled = 0;
        self.pair_before = None;
        self.position += u64::from(samples);
        self.lost = self.lost.saturating_add(samples / HOP as u32);
    }

    /// Whether a press is on.
    pub fn is_pressed(&self) -> bool {
        self.press.is_some()
    }

    fn frame(&mut self, frame: &Frame, report: &mut impl FnMut(ToneEvent)) {
        let found = strongest(frame).filter(|pair| is_pure(frame, *pair));
        self.go_on(frame, found, report);
        match found {
            Some(pair) if self.press.is_none_or(|press| press.pair != pair) => {
                let evidence = self.evidence(frame, pair);
                if let Some(press) = self.weigh(pair, evidence) {
                    self.end(report);
                    self.candidate = None;
                    self.press = Some(press);
                    report(ToneEvent::Began { digit: pair.digit() });
                }
            }
            Some(_) => self.candidate = None,
            None => {
                if let Some(candidate) = &mut self.candidate {
                    candidate.misses += 1;
                }
                self.candidate = self.candidate.filter(|candidate| candidate.misses < FRAMES_TO_END);
            }
        }
        self.pair_before = found;
    }

    /// Whether the press that is on goes on.
    fn go_on(&mut self, frame: &Frame, found: Option<Pair>, report: &mut impl FnMut(ToneEvent)) {
        let lost = std::mem::take(&mut self.lost);
        if lost > MAX_LOST {
            self.end(report);
            self.candidate = None;
        }
        let Some(press) = &mut self.press else { return };
        let (low, high) = (frame.tones[press.pair.low].length(), frame.tones[press.pair.high].length());
        let another = found.is_some_and(|pair| pair != press.pair);
        if !another && low >= KEPT * press.low && high >= KEPT * press.high {
            press.low += (low - press.low) / 8.0;
            press.high += (high - press.high) / 8.0;
            press.misses = 0;
            press.last = self.position;
        } else {
            press.misses = press.misses.saturating_add(1).saturating_add(lost);
            if press.misses >= FRAMES_TO_END {
                self.end(report);
            }
        }
    }

    fn evidence(&self, frame: &Frame, pair: Pair) -> Evidence {
        let turn = |tone: usize| {
            if self.pair_before == Some(pair) {
                self.bank.turn(tone, self.before.tones[tone], frame.tones[tone])
            } else {
                Phasor::default()
            }
        };
        Evidence {
            at: self.position,
            low: frame.tones[pair.low].length(),
            high: frame.tones[pair.high].length(),
            power: frame.power,
            turn_low: turn(pair.low),
            turn_high: turn(pair.high),
        }
    }

    /// Adds evidence; the press that it makes, if it makes one.
    fn weigh(&mut self, pair: Pair, evidence: Evidence) -> Option<Press> {
        let candidate = self.candidate.get_or_insert_with(|| Candidate::new(pair));
        if candidate.pair != pair {
            *candidate = Candidate::new(pair);
        }
        candidate.evidence[candidate.frames % FRAMES_TO_BEGIN] = evidence;
        candidate.frames += 1;
        candidate.misses = 0;
        let press = candidate.press()?;
        let echoes = |ended: &Press| {
            ended.pair == pair
                && press.first <= ended.last + ECHO_SAMPLES
                && press.low < ECHO * ended.low
                && press.high < ECHO * ended.high
        };
        (!self.ended.as_ref().is_some_and(echoes)).then_some(press)
    }

    fn end(&mut self, report: &mut impl FnMut(ToneEvent)) {
        if let Some(press) = self.press.take() {
            self.ended = Some(press);
            let samples = press.last.saturating_sub(press.first) + EDGE_SAMPLES;
            report(ToneEvent::Ended { digit: press.pair.digit(), samples });
        }
    }
}

impl Candidate {
    fn new(pair: Pair) -> Self {
        Self { pair, frames: 0, misses: 0, evidence: [Evidence::default(); FRAMES_TO_BEGIN] }
    }

    /// The press that these frames make.
    fn press(&self) -> Option<Press> {
        let (evidence, pair) = (&self.evidence, self.pair);
        if self.frames < FRAMES_TO_BEGIN {
            return None;
        }
        let of = |part: fn(&Evidence) -> f32| evidence.iter().map(part);
        let pure = of(|e| e.low * e.low + e.high * e.high).sum::<f32>();
        let all = of(|e| e.power).sum::<f32>();
        let holds = pure >= PURE_IN_ALL * all
            && is_even(of(|e| e.low))
            && is_even(of(|e| e.high))
            && is_on_frequency(pair.low, evidence.iter().map(|e| e.turn_low))
            && is_on_frequency(pair.high, evidence.iter().map(|e| e.turn_high));
        holds.then(|| Press {
            pair,
            first: evidence.iter().map(|e| e.at).min().unwrap_or_default(),
            last: evidence.iter().map(|e| e.at).max().unwrap_or_default(),
            low: of(|e| e.low).sum::<f32>() / FRAMES_TO_BEGIN as f32,
            high: of(|e| e.high).sum::<f32>() / FRAMES_TO_BEGIN as f32,
            misses: 0,
        })
    }
}

/// The strongest of either group.
fn strongest(frame: &Frame) -> Option<Pair> {
    let of = |range: std::ops::Range<usize>| {
        range.max_by(|&a, &b| frame.tones[a].power().total_cmp(&frame.tones[b].power()))
    };
    Some(Pair { low: of(0..4)?, high: of(4..8)? })
}

/// Whether a frame holds this pair, strong enough and in balance, and little else.
fn is_pure(frame: &Frame, pair: Pair) -> bool {
    let (low, high) = (frame.tones[pair.low].power(), frame.tones[pair.high].power());
    low >= WEAKEST * WEAKEST
        && high >= WEAKEST * WEAKEST
        && high <= MAX_TWIST * low
        && high >= MIN_TWIST * low
        && low + high >= PURE * frame.power
}

fn is_even(amplitudes: impl Iterator<Item = f32> + Clone) -> bool {
    let strongest = amplitudes.clone().fold(0.0, f32::max);
    let weakest = amplitudes.fold(f32::INFINITY, f32::min);
    strongest <= MAX_SWING * weakest
}

/// Whether a tone turns from frame to frame as its frequency must, and always the same way.
fn is_on_frequency(tone: usize, turns: impl Iterator<Item = Phasor> + Clone) -> bool {
    let length: f32 = turns.clone().map(Phasor::length).sum();
    let sum = turns.fold(Phasor::default(), Phasor::plus);
    let offset_hz = sum.angle() / (std::f32::consts::TAU * HOP_S);
    sum.length() >= STEADY * length && length > 0.0 && offset_hz.abs() <= MAX_OFFSET * FREQUENCIES_HZ[tone]
}
