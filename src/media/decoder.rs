//! From a payload to samples: the seam for whoever listens to what a peer says.

use super::g711;
use super::prompt::FRAME_OCTETS;
use crate::units::amr::AmrParameters;
use crate::units::rtp::Encoding;
use arrayvec::ArrayVec;
use klikon_codecs::g722;

/// Samples of the longest packet of Opus, 120 ms at 16 kHz.
#[cfg(feature = "opus")]
const OPUS_SAMPLES: usize = 1_920;

/// Decodes one stream. An encoding that this build cannot decode is heard as nothing.
pub enum Decoder {
    /// G.711.
    G711(Encoding),
    /// G.722.
    G722(Box<g722::Decoder>),
    /// AMR or AMR-WB.
    #[cfg(feature = "amr")]
    Amr(klikon_codecs::amr::Decoder),
    /// Opus.
    #[cfg(feature = "opus")]
    Opus(opusic_c::Decoder),
    /// Anything else.
    Deaf,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decoder")
    }
}

impl Decoder {
    /// Of an encoding, from its beginning.
    pub fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Pcma | Encoding::Pcmu => Self::G711(encoding),
            Encoding::G722 => Self::G722(Box::default()),
            #[cfg(feature = "amr")]
            Encoding::Amr => klikon_codecs::amr::Decoder::narrow().map_or(Self::Deaf, Self::Amr),
            #[cfg(feature = "amr")]
            Encoding::AmrWb => klikon_codecs::amr::Decoder::wide().map_or(Self::Deaf, Self::Amr),
            #[cfg(feature = "opus")]
            Encoding::Opus => opusic_c::Decoder::new(opusic_c::Channels::Mono, opusic_c::SampleRate::Hz16000)
                .map_or(Self::Deaf, Self::Opus),
            #[allow(unreachable_patterns)]
            _ => Self::Deaf,
        }
    }

    /// Decodes a frame that [`unpack`] gave; adds its samples, [`Encoding::sampling_rate_hz`] a second. `frame_type` says
    /// what kind of AMR frame it is.
    #[cfg_attr(not(feature = "amr"), allow(unused_variables))]
    pub fn decode(&mut self, frame_type: u8, frame: &[u8], samples: &mut Vec<i16>) {
        match self {
            Self::G711(encoding) => samples.extend(frame.iter().map(|&octet| g711::decode(*encoding, octet))),
            Self::G722(decoder) => decoder.decode(frame, samples),
            #[cfg(feature = "amr")]
            Self::Amr(decoder) => decoder.decode(frame_type, frame, samples),
            #[cfg(feature = "opus")]
            Self::Opus(decoder) => {
                let mut decoded = [0; OPUS_SAMPLES];
                let count = decoder.decode_to_slice(frame, &mut decoded, false).unwrap_or(0);
                samples.extend(decoded.iter().take(count).map(|sample| sample.cast_signed()));
            }
            Self::Deaf => {}
        }
    }
}

/// Takes a payload apart into frames of 20 ms: each with its type, which only AMR has, and its octets. G.711 and G.722 have
/// frames only by our choice, so the last one may be shorter. What is no payload of the encoding has no frame.
pub fn unpack(
    encoding: Encoding,
    amr: Option<AmrParameters>,
    payload: &[u8],
    mut take: impl FnMut(u8, &[u8]),
) {
    match encoding {
        Encoding::Pcma | Encoding::Pcmu | Encoding::G722 => {
            payload.chunks(FRAME_OCTETS).for_each(|frame| take(0, frame));
        }
        encoding @ (Encoding::Amr | Encoding::AmrWb) => {
            let octet_aligned = amr.is_some_and(|amr| amr.octet_aligned);
            let Some(read) = super::amr::read(encoding, octet_aligned, payload) else { return };
            for frame in &read.frames {
                let mut octets = ArrayVec::new();
                if frame.sound {
                    frame.copy_bits(encoding, payload, &mut octets);
                }
                take(frame.frame_type, &octets);
            }
        }
        Encoding::Opus => take(0, payload),
    }
}
