//! From the play queue to a packet's payload, as each encoding packs its frames.

use super::amr::{self, ModeControl};
use super::event::Statistics;
use super::form::Form;
use super::g711::OCTETS_PER_MS;
use super::opus;
use super::playout::{Done, Playout};
use super::prompt::{FRAME_MS, PromptLibrary};
use crate::units::amr::AmrParameters;
use crate::units::rtp::{Encoding, StreamParameters};
use arrayvec::ArrayVec;

/// Most frames of 20 ms in a packet that we send.
const MAX_FRAMES: usize = 3;

/// Fills payloads; one for each stream.
#[derive(Debug, Default)]
pub struct Packing {
    modes: ModeControl,
    /// An empty queue: the silence before the first prompt.
    quiet: Playout,
}

impl Packing {
    /// Writes the audio of one packet: from the queue, or silence where there is none; how many octets it took.
    pub fn fill(
        &mut self,
        parameters: &StreamParameters,
        library: &PromptLibrary,
        playout: Option<&mut Playout>,
        payload: &mut [u8],
        done: impl FnMut(Done),
    ) -> usize {
        let playout = playout.unwrap_or(&mut self.quiet);
        let frames = usize::from(parameters.ptime_ms) / FRAME_MS as usize;
        match (parameters.encoding, &parameters.amr) {
            (Encoding::Pcma | Encoding::Pcmu | Encoding::G722, _) => {
                let octets = usize::from(parameters.ptime_ms) * OCTETS_PER_MS;
                let payload = payload.get_mut(..octets).unwrap_or_default();
                playout.fill(library, parameters.encoding, payload, done);
                payload.len()
            }
            (encoding @ (Encoding::Amr | Encoding::AmrWb), amr) => {
                let agreed = amr.unwrap_or(AmrParameters::unrestricted(encoding));
                let mode = || self.modes.next_mode(&agreed);
                let packed = next_frames(playout, library, encoding, frames, mode, done);
                amr::write(encoding, agreed.octet_aligned, &packed, payload)
            }
            (Encoding::Opus, _) => {
                let packets: ArrayVec<&[u8], MAX_FRAMES> =
                    next_frames(playout, library, Encoding::Opus, frames, || 0, done)
                        .into_iter()
                        .map(|(_, packet)| packet)
                        .collect();
                // All were encoded in one configuration, so they can be joined.
                opus::join(&packets, payload).unwrap_or(0)
            }
        }
    }

    /// Looks at what the peer sends for what it asks of us: a mode of AMR.
    pub fn receive(&mut self, parameters: &StreamParameters, payload: &[u8], statistics: &mut Statistics) {
        let Some(amr) = &parameters.amr else { return };
        match amr::read(parameters.encoding, amr.octet_aligned, payload) {
            Some(read) if self.modes.request(parameters.encoding, read.request) => {
                statistics.mode_requests += u64::from(read.request != amr::NO_REQUEST);
            }
            Some(_) => statistics.mode_requests_ignored += 1,
            None => statistics.malformed_audio += 1,
        }
    }
}

/// Takes frames out of the queue, each in the mode that is chosen for it.
fn next_frames<'l>(
    playout: &mut Playout,
    library: &'l PromptLibrary,
    encoding: Encoding,
    count: usize,
    mut mode: impl FnMut() -> u8,
    mut done: impl FnMut(Done),
) -> ArrayVec<(u8, &'l [u8]), MAX_FRAMES> {
    (0..count.clamp(1, MAX_FRAMES))
        .map(|_| {
            let mode = mode();
            (mode, playout.next_frame(library, Form::new(encoding, mode), &mut done))
        })
        .collect()
}
