//! G.711 by table and arithmetic of the crate `audio-codec-algorithms`, chosen by encoding: one of [`Encoding::G711`], and
//! anything but A-law is µ-law here.

use crate::units::rtp::Encoding;
use audio_codec_algorithms::{decode_alaw, decode_ulaw, encode_alaw, encode_ulaw};

/// Octets of one millisecond, of G.711 and of G.722.
pub const OCTETS_PER_MS: usize = 8;

/// One linear sample to one octet.
pub fn encode(encoding: Encoding, sample: i16) -> u8 {
    match encoding {
        Encoding::Pcma => encode_alaw(sample),
        _ => encode_ulaw(sample),
    }
}

/// One octet to one linear sample.
pub fn decode(encoding: Encoding, octet: u8) -> i16 {
    match encoding {
        Encoding::Pcma => decode_alaw(octet),
        _ => decode_ulaw(octet),
    }
}

/// The octet of a sample of zero.
pub const fn silence(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Pcma => 0xd5,
        _ => 0xff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decision values and their codes from ITU-T G.711 tables 1a/1b (A-law, even bits inverted) and 2a/2b (µ-law), in
    /// 16-bit scale.
    #[test]
    fn known_vectors() {
        for (sample, alaw, ulaw) in [
            (0, 0xd5, 0xff),
            (8, 0xd5, 0xfe),
            (16, 0xd4, 0xfd),
            (-8, 0x55, 0x7e),
            (32_767, 0xaa, 0x80),
            (-32_768, 0x2a, 0x00),
            (1_000, 0xfa, 0xce),
            (-1_000, 0x7a, 0x4e),
        ] {
            assert_eq!(encode(Encoding::Pcma, sample), alaw, "A-law of {sample}");
            assert_eq!(encode(Encoding::Pcmu, sample), ulaw, "µ-law of {sample}");
        }
    }

    #[test]
    fn silence_is_the_code_of_zero() {
        for encoding in Encoding::G711 {
            assert_eq!(encode(encoding, 0), silence(encoding));
            assert!(decode(encoding, silence(encoding)).abs() <= 8);
        }
    }

    #[test]
    fn every_code_comes_back() {
        for encoding in Encoding::G711 {
            for octet in 0..=255_u8 {
                let again = encode(encoding, decode(encoding, octet));
                // µ-law has two codes for zero.
                assert!(
                    again == octet || (encoding == Encoding::Pcmu && octet == 0x7f),
                    "{encoding:?} {octet}"
                );
            }
        }
    }
}
