//! The caller's ears: records what is heard and recognises which prompt it is.

mod recogniser;
mod recorder;

pub use recogniser::{FrameIndex, Heard};
pub use recorder::{Recorder, Recording};

use super::decoder::{self, Decoder};
use super::form::Form;
use super::rtp::Packet;
use crate::units::rtp::{Encoding, StreamParameters};
use recogniser::Recogniser;
use std::sync::Arc;

/// Frames in a second.
const FRAMES_A_SECOND: usize = 50;

/// Records and recognises one call's incoming audio.
#[derive(Debug)]
pub struct Listener {
    recorder: Recorder,
    recogniser: Recogniser,
    decoder: Option<(Encoding, Decoder)>,
    /// The samples of the packet that is heard.
    samples: Vec<i16>,
}

impl Listener {
    /// Listens for the clips of the index.
    pub fn new(index: Arc<FrameIndex>) -> Self {
        Self {
            recorder: Recorder::default(),
            recogniser: Recogniser::new(index),
            decoder: None,
            samples: Vec::new(),
        }
    }

    /// Takes one audio packet.
    pub fn hear(
        &mut self,
        parameters: &StreamParameters,
        packet: &Packet<'_>,
        mut report: impl FnMut(Heard),
    ) {
        let encoding = parameters.encoding;
        let place = self.recorder.place(encoding, packet);
        let first = place / (self.recorder.rate_hz() as usize / FRAMES_A_SECOND);
        if self.decoder.as_ref().is_none_or(|(of, _)| *of != encoding) {
            self.decoder = Some((encoding, Decoder::new(encoding)));
        }
        let (Some((_, decoder)), recogniser, samples) =
            (self.decoder.as_mut(), &mut self.recogniser, &mut self.samples)
        else {
            return;
        };
        samples.clear();
        let whole = encoding.sampling_rate_hz() as usize / FRAMES_A_SECOND;
        let is_full = self.recorder.is_full(place, packet);
        let mut number = first;
        decoder::unpack(encoding, parameters.amr, packet.payload, |frame_type, frame| {
            let before = samples.len();
            decoder.decode(frame_type, frame, samples);
            let decoded = samples.get(before..).unwrap_or_default();
            if decoded.len() == whole && !is_full {
                let loud = recogniser::is_loud(decoded);
                recogniser.hear(Form::new(encoding, frame_type), number as u64, frame, loud, &mut report);
            }
            number += 1;
        });
        self.recorder.record(encoding, packet, place, samples);
    }

    /// What was recorded.
    pub fn into_recording(self) -> Recording {
        self.recorder.into_recording()
    }
}

#[cfg(test)]
mod tests;
