//! AMR and AMR-WB by the C libraries of opencore (encoder and decoder of AMR, decoder of AMR-WB) and VisualOn (encoder of
//! AMR-WB), as Debian packages them.
//!
//! The one place with `unsafe`. The libraries have no Rust binding, and these few functions are all there is of them. What
//! makes each call sound is said beside it; common to all: a handle comes from the library's own `init`, is never null, is
//! used by one owner only (`&mut`), and goes to the library's `exit` once, in `drop`. The libraries keep all state behind
//! the handle, so that an owner may move to another thread.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_short, c_uchar, c_void};
use std::ptr::NonNull;

/// Samples of a frame of AMR: 20 ms at 8 kHz.
pub const SAMPLES: usize = 160;
/// Samples of a frame of AMR-WB: 20 ms at 16 kHz.
pub const WIDE_SAMPLES: usize = 320;
/// Room for a frame with its header: the longest has 61 octets.
const FRAME_OCTETS: usize = 64;
/// No comfort noise in place of speech: every frame is of the mode that was asked for.
const NO_DTX: c_int = 0;
/// `bfi` of a frame that is sound, and of one that is lost.
const SOUND: c_int = 0;
const LOST: c_int = 1;
/// Frame type without a frame.
const NO_DATA: u8 = 15;

#[link(name = "opencore-amrnb")]
unsafe extern "C" {
    fn Encoder_Interface_init(dtx: c_int) -> *mut c_void;
    fn Encoder_Interface_exit(state: *mut c_void);
    fn Encoder_Interface_Encode(
        state: *mut c_void,
        mode: c_int,
        speech: *const c_short,
        out: *mut c_uchar,
        force_speech: c_int,
    ) -> c_int;
    fn Decoder_Interface_init() -> *mut c_void;
    fn Decoder_Interface_exit(state: *mut c_void);
    fn Decoder_Interface_Decode(state: *mut c_void, bits: *const c_uchar, out: *mut c_short, bfi: c_int);
}

#[link(name = "opencore-amrwb")]
unsafe extern "C" {
    fn D_IF_init() -> *mut c_void;
    fn D_IF_exit(state: *mut c_void);
    fn D_IF_decode(state: *mut c_void, bits: *const c_uchar, out: *mut c_short, bfi: c_int);
}

#[link(name = "vo-amrwbenc")]
unsafe extern "C" {
    fn E_IF_init() -> *mut c_void;
    fn E_IF_exit(state: *mut c_void);
    fn E_IF_encode(
        state: *mut c_void,
        mode: c_int,
        speech: *const c_short,
        out: *mut c_uchar,
        dtx: c_int,
    ) -> c_int;
}

/// Octets of a frame of AMR by its type, without the header: eight modes, then comfort noise.
const OCTETS: [usize; 9] = [12, 13, 15, 17, 19, 20, 26, 31, 5];
/// Octets of a frame of AMR-WB by its type: nine modes, then comfort noise.
const WIDE_OCTETS: [usize; 10] = [17, 23, 32, 36, 40, 46, 50, 58, 60, 5];

/// Which of the two codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Band {
    Narrow,
    Wide,
}

impl Band {
    fn octets(self, frame_type: u8) -> Option<usize> {
        let octets = match self {
            Band::Narrow => OCTETS.get(usize::from(frame_type)),
            Band::Wide => WIDE_OCTETS.get(usize::from(frame_type)),
        };
        octets.copied()
    }
}

/// Encodes speech in one mode.
#[derive(Debug)]
pub struct Encoder {
    handle: NonNull<c_void>,
    band: Band,
    mode: u8,
}

// SAFETY: the handle's memory is the library's heap, touched by nobody but through this owner, and the libraries keep
// nothing that belongs to a thread.
unsafe impl Send for Encoder {}

impl Encoder {
    /// Samples by which what is heard of AMR lags behind what was encoded: the encoder's look-ahead of 5 ms.
    pub const DELAY_SAMPLES: usize = 40;
    /// The same of AMR-WB: its look-ahead of 5 ms and the filters between 16 kHz and 12.8 kHz.
    pub const WIDE_DELAY_SAMPLES: usize = 95;

    /// AMR in a mode, 0–7; `None` for another mode, and without memory.
    pub fn narrow(mode: u8) -> Option<Self> {
        if mode > 7 {
            return None;
        }
        // SAFETY: takes no pointer.
        let handle = NonNull::new(unsafe { Encoder_Interface_init(NO_DTX) })?;
        Some(Self { handle, band: Band::Narrow, mode })
    }

    /// AMR-WB in a mode, 0–8; `None` for another mode, and without memory.
    pub fn wide(mode: u8) -> Option<Self> {
        if mode > 8 {
            return None;
        }
        // SAFETY: takes no pointer.
        let handle = NonNull::new(unsafe { E_IF_init() })?;
        Some(Self { handle, band: Band::Wide, mode })
    }

    /// Encodes a frame of [`SAMPLES`] or [`WIDE_SAMPLES`] and adds its octets, without header. False when the samples are not
    /// as many, or the library did not make a frame of the mode.
    pub fn encode(&mut self, samples: &[i16], octets: &mut Vec<u8>) -> bool {
        let mut out = [0_u8; FRAME_OCTETS];
        let (state, mode) = (self.handle.as_ptr(), c_int::from(self.mode));
        let written = match self.band {
            Band::Narrow => {
                let Ok(speech) = <&[i16; SAMPLES]>::try_from(samples) else { return false };
                // SAFETY: the library reads 160 samples, and writes at most 32 octets; `mode` is one it has.
                unsafe { Encoder_Interface_Encode(state, mode, speech.as_ptr(), out.as_mut_ptr(), 1) }
            }
            Band::Wide => {
                // A copy that may be written to: the declaration says `const`, and the code behind it casts that away.
                let Ok(mut speech) = <[i16; WIDE_SAMPLES]>::try_from(samples) else { return false };
                // SAFETY: the library reads 320 samples, and writes at most 61 octets; `mode` is one it has.
                unsafe { E_IF_encode(state, mode, speech.as_mut_ptr(), out.as_mut_ptr(), NO_DTX) }
            }
        };
        let length = self.band.octets(self.mode).unwrap_or(0);
        let whole = usize::try_from(written) == Ok(length + 1) && out[0] >> 3 & 15 == self.mode;
        if whole {
            octets.extend_from_slice(&out[1..=length]);
        }
        whole
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: the handle is this library's, and is not used again.
        match self.band {
            Band::Narrow => unsafe { Encoder_Interface_exit(self.handle.as_ptr()) },
            Band::Wide => unsafe { E_IF_exit(self.handle.as_ptr()) },
        }
    }
}

/// Decodes frames of any mode.
#[derive(Debug)]
pub struct Decoder {
    handle: NonNull<c_void>,
    band: Band,
}

// SAFETY: as for `Encoder`.
unsafe impl Send for Decoder {}

impl Decoder {
    /// AMR; `None` without memory.
    pub fn narrow() -> Option<Self> {
        // SAFETY: takes no pointer.
        let handle = NonNull::new(unsafe { Decoder_Interface_init() })?;
        Some(Self { handle, band: Band::Narrow })
    }

    /// AMR-WB; `None` without memory.
    pub fn wide() -> Option<Self> {
        // SAFETY: takes no pointer.
        let handle = NonNull::new(unsafe { D_IF_init() })?;
        Some(Self { handle, band: Band::Wide })
    }

    /// Decodes a frame of a type, given without header, and adds its [`SAMPLES`] or [`WIDE_SAMPLES`]. A frame that is not as
    /// long as its type says is heard as one that was lost: the libraries make something up for it.
    pub fn decode(&mut self, frame_type: u8, octets: &[u8], samples: &mut Vec<i16>) {
        let mut bits = [0_u8; FRAME_OCTETS];
        let is_whole = self.band.octets(frame_type) == Some(octets.len());
        let bfi = if is_whole {
            bits[0] = frame_type << 3 | 4;
            bits[1..=octets.len()].copy_from_slice(octets);
            SOUND
        } else {
            bits[0] = NO_DATA << 3 | 4;
            LOST
        };
        let state = self.handle.as_ptr();
        match self.band {
            Band::Narrow => {
                let mut out = [0_i16; SAMPLES];
                // SAFETY: the library reads the header and as many octets as its type has, at most 32, and writes 160 samples.
                unsafe { Decoder_Interface_Decode(state, bits.as_ptr(), out.as_mut_ptr(), bfi) };
                samples.extend(out);
            }
            Band::Wide => {
                let mut out = [0_i16; WIDE_SAMPLES];
                // SAFETY: the library reads the header and as many octets as its type has, at most 61, and writes 320 samples.
                unsafe { D_IF_decode(state, bits.as_ptr(), out.as_mut_ptr(), bfi) };
                samples.extend(out);
            }
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the handle is this library's, and is not used again.
        match self.band {
            Band::Narrow => unsafe { Decoder_Interface_exit(self.handle.as_ptr()) },
            Band::Wide => unsafe { D_IF_exit(self.handle.as_ptr()) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_makes_frames_of_its_length_that_are_heard() {
        let tone = |rate: f64, count: usize| -> Vec<i16> {
            let step = std::f64::consts::TAU * 440.0 / rate;
            (0..count).map(|n| (8_000.0 * (step * n as f64).sin()) as i16).collect()
        };
        for (modes, rate, length, octets) in
            [(8_u8, 8_000.0, SAMPLES, &OCTETS[..]), (9, 16_000.0, WIDE_SAMPLES, &WIDE_OCTETS[..])]
        {
            for mode in 0..modes {
                let wide = length == WIDE_SAMPLES;
                let encoder = if wide { Encoder::wide(mode) } else { Encoder::narrow(mode) };
                let decoder = if wide { Decoder::wide() } else { Decoder::narrow() };
                let (mut encoder, mut decoder) = (encoder.expect("made"), decoder.expect("made"));
                let mut heard = Vec::new();
                for frame in tone(rate, 50 * length).chunks_exact(length) {
                    let mut bits = Vec::new();
                    assert!(encoder.encode(frame, &mut bits), "mode {mode}");
                    assert_eq!(bits.len(), octets[usize::from(mode)]);
                    decoder.decode(mode, &bits, &mut heard);
                }
                assert_eq!(heard.len(), 50 * length);
                let energy: f64 = heard[10 * length..].iter().map(|s| f64::from(*s).powi(2)).sum();
                let rms = (energy / (40 * length) as f64).sqrt();
                assert!((4_000.0..7_000.0).contains(&rms), "mode {mode}: {rms}");
            }
            assert!(Encoder::narrow(8).is_none() && Encoder::wide(9).is_none());
        }
    }

    #[test]
    fn frames_of_the_wrong_length_are_lost_and_nothing_else() {
        for (decoder, length) in [(Decoder::narrow(), SAMPLES), (Decoder::wide(), WIDE_SAMPLES)] {
            let mut decoder = decoder.expect("made");
            let mut heard = Vec::new();
            for (frame_type, octets) in
                [(0, &[][..]), (7, &[0xff; 3]), (15, &[]), (9, &[1; 60]), (200, &[1; 5])]
            {
                decoder.decode(frame_type, octets, &mut heard);
            }
            assert_eq!(heard.len(), 5 * length);
        }
        let mut bits = Vec::new();
        assert!(!Encoder::narrow(0).expect("made").encode(&[0; 3], &mut bits) && bits.is_empty());
    }
}
