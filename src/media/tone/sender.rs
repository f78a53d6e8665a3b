//! Sending keys as tones, in place of the audio.

use super::bank::{FREQUENCIES_HZ, SAMPLE_RATE_HZ};
use super::detector::{ZERO_DBM0_AMPLITUDE, pair_of};
use crate::media::g711;
use crate::units::rtp::Encoding;
use std::collections::VecDeque;
use std::f32::consts::TAU;

/// Amplitude of the low tone, −11 dBm0, and of the high one, −9 dBm0: what telephones send.
const AMPLITUDES: [f32; 2] = [ZERO_DBM0_AMPLITUDE * 0.282, ZERO_DBM0_AMPLITUDE * 0.355];
/// Most keys that wait to be sent.
const MAX_WAITING: usize = 64;
/// Samples in a millisecond.
const PER_MS: u32 = SAMPLE_RATE_HZ / 1_000;

/// Presses keys one after the other.
#[derive(Debug, Default)]
pub struct ToneSender {
    waiting: VecDeque<Press>,
    /// Samples of the first of them that are sent.
    sent: u32,
}

#[derive(Debug, Clone, Copy)]
struct Press {
    hz: [f32; 2],
    on: u32,
    off: u32,
}

impl ToneSender {
    /// Adds a key; false when it is no key or 64 are waiting. `on_ms` is how long it is pressed, `off_ms` the pause after it.
    pub fn push(&mut self, key: char, on_ms: u16, off_ms: u16) -> bool {
        let Some(pair) = pair_of(key).filter(|_| self.waiting.len() < MAX_WAITING) else { return false };
        let hz = pair.map(|tone| FREQUENCIES_HZ[tone]);
        self.waiting.push_back(Press { hz, on: u32::from(on_ms) * PER_MS, off: u32::from(off_ms) * PER_MS });
        true
    }

    /// True when no key is being sent or waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Writes tones and pauses over a packet's payload, from its beginning; how many octets it wrote.
    pub fn fill(&mut self, encoding: Encoding, payload: &mut [u8]) -> usize {
        let mut written = 0;
        while let (Some(press), Some(octet)) = (self.waiting.front(), payload.get_mut(written)) {
            *octet = if self.sent < press.on {
                g711::encode(encoding, tone_sample(press.hz, self.sent, SAMPLE_RATE_HZ))
            } else {
                g711::silence(encoding)
            };
            written += 1;
            self.sent += 1;
            if self.sent >= press.on + press.off {
                self.waiting.pop_front();
                self.sent = 0;
            }
        }
        written
    }
}

/// A sample of a key's tone, of those that it has a second; 0 of what is no key.
pub fn key_sample(key: char, number: u32, rate_hz: u32) -> i16 {
    pair_of(key).map_or(0, |pair| tone_sample(pair.map(|tone| FREQUENCIES_HZ[tone]), number, rate_hz))
}

fn tone_sample(hz: [f32; 2], number: u32, rate_hz: u32) -> i16 {
    let turn = |hz: f32| (TAU * (hz * number as f32 / rate_hz as f32).fract()).sin();
    (AMPLITUDES[0] * turn(hz[0]) + AMPLITUDES[1] * turn(hz[1])) as i16
}
