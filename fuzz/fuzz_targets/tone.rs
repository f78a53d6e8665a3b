//! Any audio, with any losses, to the reader of keys as tones.
#![no_main]

use klikon::media::Packet;
use klikon::media::telephone_event::Key;
use klikon::media::tone::{Detector, InBandKeys, ToneEvent};
use klikon::media::Encoding;
use klikon::units::clock::Clock;
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fuzz_target!(|input: &[u8]| {
    whole_and_in_pieces(input);
    stream(input);
});

/// The detector alone, on 16-bit samples: once all at once, once octet by octet's worth.
fn whole_and_in_pieces(input: &[u8]) {
    let samples: Vec<i16> = input.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
    let (mut detector, mut whole) = (Detector::new(), Vec::new());
    detector.push(&samples, |event| whole.push(event));
    let (mut detector, mut pieces) = (Detector::new(), Vec::new());
    for piece in samples.chunks(usize::from(input.first().copied().unwrap_or(0)) + 1) {
        detector.push(piece, |event| pieces.push(event));
    }
    assert_eq!(whole, pieces);
    for two in whole.windows(2) {
        let turns = matches!(
            two,
            [ToneEvent::Began { .. }, ToneEvent::Ended { .. }] | [ToneEvent::Ended { .. }, ToneEvent::Began { .. }]
        );
        assert!(turns, "{two:?}");
    }
}

/// A stream of packets.
fn stream(input: &[u8]) {
    let mut now = Clock::system().instant();
    let (mut keys, mut down) = (InBandKeys::default(), None);
    let mut turn = |key| match key {
        Key::Began(digit) => assert_eq!(down.replace(digit), None),
        Key::Ended(digit) => assert_eq!(down.take(), Some(digit)),
    };
    let (mut sequence, mut timestamp, mut rest) = (65_500_u16, u32::MAX - 4_000, input);
    while let [octets, lost, after @ ..] = rest {
        let (payload, after) = after.split_at(usize::from(*octets).min(after.len()));
        rest = after;
        let packet = Packet { payload_type: 8, marker: false, sequence, timestamp, ssrc: 7, payload };
        keys.handle_audio(now, &packet, Encoding::Pcma, &mut turn);
        sequence = sequence.wrapping_add(u16::from(*lost));
        timestamp = timestamp.wrapping_add(u32::from(*lost) * u32::from(*octets));
        now += Duration::from_millis(u64::from(*lost));
        keys.handle_timeout(now, &mut turn);
    }
    keys.release(&mut turn);
    assert_eq!(down, None);
}
