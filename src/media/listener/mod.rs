//! The caller's ears: records what is heard and recognises which prompt it is.

mod recogniser;
mod recorder;

pub use recogniser::{FrameIndex, Heard};
pub use recorder::{Recorder, Recording};

use super::rtp::Packet;
use crate::units::rtp::Encoding;
use recogniser::Recogniser;
use std::sync::Arc;

/// Records and recognises one call's incoming audio.
#[derive(Debug)]
pub struct Listener {
    recorder: Recorder,
    recogniser: Recogniser,
}

impl Listener {
    /// Listens for the clips of the index.
    pub fn new(index: Arc<FrameIndex>) -> Self {
        Self { recorder: Recorder::default(), recogniser: Recogniser::new(index) }
    }

    /// Takes one audio packet.
    pub fn hear(&mut self, encoding: Encoding, packet: &Packet<'_>, report: impl FnMut(Heard)) {
        if let Some(position) = self.recorder.record(encoding, packet) {
            self.recogniser.hear(encoding, position, packet.payload, report);
        }
    }

    /// What was recorded.
    pub fn into_recording(self) -> Recording {
        self.recorder.into_recording()
    }
}
