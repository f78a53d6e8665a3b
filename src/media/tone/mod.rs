//! Keys as tones in the audio (ITU-T Q.23), for calls in which no telephone-event was agreed on.
//!
//! [`Detector`] takes samples and says when a press begins and ends, within the bounds of ITU-T Q.24: it takes tones of
//! 40 ms with pauses of 40 ms and none of 23 ms, −25 to 0 dBm0, frequencies that are 1.5 % off and none that are 3.5 % off,
//! and a high tone that is from 4 dB stronger to 8 dB weaker than the low one. [`InBandKeys`] feeds it from the packets of a
//! stream, whatever of them is lost, late or never sent. [`ToneSender`] makes tones, for the built-in caller.
//!
//! `docs/media-engine.md` says why it is built so, and what was measured.

mod bank;
mod detector;
mod in_band;
mod sender;

pub use bank::{FREQUENCIES_HZ, SAMPLE_RATE_HZ};
pub use detector::{Detector, ToneEvent, ZERO_DBM0_AMPLITUDE};
pub use in_band::{InBandKeys, InBandStatistics};
pub use sender::{ToneSender, key_sample};

#[cfg(test)]
mod tests;
