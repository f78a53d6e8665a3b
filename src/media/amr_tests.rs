//! Payloads made by hand after the figures of RFC 4867 §4.3 and §4.4, and properties.
// Bits are grouped as the RFC's figures group them.
#![allow(clippy::unusual_byte_groupings)]

use super::*;
use crate::units::amr::ModeSet;
use proptest::prelude::*;

fn write_to_vec(encoding: Encoding, aligned: bool, frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut buffer = [0xaa; 600];
    let length = write(encoding, aligned, frames, &mut buffer);
    buffer[..length].to_vec()
}

#[test]
fn one_frame_without_gaps() {
    // RFC 4867 §4.3.5.1: CMR 4 bits, F=0, FT 4 bits, Q=1, 148 bits of AMR 7.4, 2 bits of padding. All bits of speech set.
    let speech = [0xff; 19];
    let payload = write_to_vec(Encoding::Amr, false, &[(4, &speech)]);
    let mut expected = vec![0b1111_0010, 0b0111_1111];
    expected.extend([0xff; 17]);
    expected.push(0b1111_1100);
    assert_eq!(payload, expected);
    assert_eq!(payload.len() * 8, 4 + 6 + 148 + 2);
}

#[test]
fn one_frame_with_gaps() {
    // RFC 4867 §4.4.5.1: an octet of CMR, one of the table of contents, 159 bits of AMR 7.95 in 20 octets.
    let speech: Vec<u8> = (0..20).collect();
    let payload = write_to_vec(Encoding::Amr, true, &[(5, &speech)]);
    assert_eq!(payload[..2], [0xf0, 0b0_0101_1_00]);
    assert_eq!(payload[2..], speech);
}

#[test]
fn two_frames_of_wideband_of_different_modes() {
    let (low, high) = ([0x55; 17], [0xc3; 60]);
    let aligned = write_to_vec(Encoding::AmrWb, true, &[(0, &low), (8, &high)]);
    assert_eq!(aligned[..3], [0xf0, 0b1_0000_1_00, 0b0_1000_1_00]);
    assert_eq!((&aligned[3..20], &aligned[20..]), (&low[..], &high[..]));
    let packed = write_to_vec(Encoding::AmrWb, false, &[(0, &low), (8, &high)]);
    // 4 + 2·6 + 132 + 477 bits.
    assert_eq!(packed.len(), 79);
    assert_eq!(packed[..2], [0b1111_1000, 0b0101_0001]);
    // 132 bits of 0101…, then the next frame from the middle of an octet.
    assert_eq!(packed[2..18], [0x55; 16]);
    assert_eq!(packed[18], 0b0101_1100);
}

#[test]
fn what_is_read() {
    // Bandwidth-efficient AMR: CMR 0, two entries: no data, and comfort noise of 39 bits.
    let payload = [0b0000_1111, 0b1101_0001, 0xff, 0xff, 0xff, 0xff, 0xfe];
    let read_payload = read(Encoding::Amr, false, &payload).expect("whole");
    assert_eq!(read_payload.request, 0);
    let types: Vec<_> = read_payload.frames.iter().map(|frame| (frame.frame_type, frame.sound)).collect();
    assert_eq!(types, [(15, true), (8, true)]);
    let mut octets = ArrayVec::new();
    read_payload.frames[1].copy_bits(Encoding::Amr, &payload, &mut octets);
    assert_eq!(octets[..], [0xff, 0xff, 0xff, 0xff, 0xfe]);
    // Damaged, and a request for mode 7.
    let damaged = read(Encoding::Amr, true, &[0x70, 0b0_1111_0_00]).expect("whole");
    assert_eq!((damaged.request, damaged.frames[0].sound), (7, false));
}

#[test]
fn what_is_no_payload() {
    for (encoding, aligned, payload) in [
        (Encoding::Amr, false, &[][..]),
        (Encoding::Amr, false, &[0xf0]),
        (Encoding::Amr, true, &[0xf0]),
        // A frame type that AMR does not have.
        (Encoding::Amr, true, &[0xf0, 0b0_1010_1_00]),
        (Encoding::Amr, true, &[0xf0, 0b0_1110_1_00]),
        (Encoding::AmrWb, true, &[0xf0, 0b0_1100_1_00]),
        // A table of contents without an end.
        (Encoding::Amr, true, &[0xff; 40]),
        (Encoding::Amr, true, &[0b1_1111_1_00; 40]),
        // Shorter than it says.
        (Encoding::Amr, true, &[0xf0, 0b0_0000_1_00, 0, 0, 0]),
    ] {
        assert_eq!(read(encoding, aligned, payload), None, "{payload:?}");
    }
    assert!(read(Encoding::AmrWb, true, &[0xf0, 0b0_1110_1_00]).is_some(), "speech lost");
}

fn parameters(modes: &[u8], change_period: u8, change_neighbor: bool) -> AmrParameters {
    let modes = ModeSet::new(Encoding::Amr, modes.iter().copied()).expect("modes");
    AmrParameters {
        modes,
        named: true,
        change_period,
        change_neighbor,
        ..AmrParameters::unrestricted(Encoding::Amr)
    }
}

#[test]
fn requests_are_met_within_the_set() {
    let few = parameters(&[0, 2, 4, 7], 1, false);
    let mut control = ModeControl::default();
    assert_eq!(control.next_mode(&few), 7, "the highest, until asked");
    for (request, means, mode) in
        [(4, true, 4), (15, true, 4), (9, false, 4), (14, false, 4), (1, true, 0), (6, true, 4), (7, true, 7)]
    {
        assert_eq!(control.request(Encoding::Amr, request), means);
        assert_eq!(control.next_mode(&few), mode, "asked for {request}");
    }
    let high = parameters(&[4, 7], 1, false);
    assert!(control.request(Encoding::Amr, 0));
    assert_eq!(control.next_mode(&high), 4, "no lower one was agreed on");
}

#[test]
fn changes_keep_their_period_and_their_neighbours() {
    let mut control = ModeControl::default();
    let every_second = parameters(&[0, 2, 4, 7], 2, false);
    assert_eq!(control.next_mode(&every_second), 7);
    assert!(control.request(Encoding::Amr, 0));
    let modes: Vec<_> = (0..4).map(|_| control.next_mode(&every_second)).collect();
    assert_eq!(modes, [7, 0, 0, 0]);
    let mut control = ModeControl::default();
    let stepwise = parameters(&[0, 2, 4, 7], 2, true);
    assert_eq!(control.next_mode(&stepwise), 7);
    assert!(control.request(Encoding::Amr, 0));
    let modes: Vec<_> = (0..8).map(|_| control.next_mode(&stepwise)).collect();
    assert_eq!(modes, [7, 4, 4, 2, 2, 0, 0, 0]);
}

proptest! {
    #[test]
    fn no_payload_panics(octets in proptest::collection::vec(any::<u8>(), 0..200), aligned: bool, wide: bool) {
        let encoding = if wide { Encoding::AmrWb } else { Encoding::Amr };
        if let Some(payload) = read(encoding, aligned, &octets) {
            for frame in &payload.frames {
                let mut bits = ArrayVec::new();
                frame.copy_bits(encoding, &octets, &mut bits);
                prop_assert_eq!(bits.len(), frame_bits(encoding, frame.frame_type).unwrap_or(0).div_ceil(8));
            }
        }
    }

    #[test]
    fn what_is_written_is_read_again(
        wide: bool,
        aligned: bool,
        frames in proptest::collection::vec((0_u8..9, proptest::collection::vec(any::<u8>(), 60)), 1..4),
    ) {
        let encoding = if wide { Encoding::AmrWb } else { Encoding::Amr };
        let frames: Vec<(u8, Vec<u8>)> = frames
            .into_iter()
            .map(|(mode, mut octets)| {
                let mode = if wide { mode } else { mode.min(7) };
                let bits = frame_bits(encoding, mode).unwrap_or(0);
                octets.truncate(bits.div_ceil(8));
                if let Some(last) = octets.last_mut() {
                    // What is beyond the last bit is nothing.
                    *last &= 0xff << (bits.next_multiple_of(8) - bits);
                }
                (mode, octets)
            })
            .collect();
        let borrowed: Vec<(u8, &[u8])> = frames.iter().map(|(mode, octets)| (*mode, &octets[..])).collect();
        let payload = write_to_vec(encoding, aligned, &borrowed);
        let again = read(encoding, aligned, &payload).expect("whole");
        prop_assert_eq!(again.request, NO_REQUEST);
        prop_assert_eq!(again.frames.len(), frames.len());
        for (frame, (mode, octets)) in again.frames.iter().zip(&frames) {
            let mut bits = ArrayVec::new();
            frame.copy_bits(encoding, &payload, &mut bits);
            prop_assert_eq!((frame.frame_type, frame.sound, &bits[..]), (*mode, true, &octets[..]));
        }
        prop_assert_eq!(read(encoding, aligned, &payload[..payload.len() - 1]), None);
    }
}
