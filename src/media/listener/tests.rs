//! A listener, packet by packet.

use super::*;
use crate::media::prompt::PromptLibrary;
use crate::media::session_tests::parameters;

fn noise(samples: usize) -> Vec<i16> {
    let mut state = 77_u32;
    (0..samples)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 16) as i16) / 3
        })
        .collect()
}

/// What is heard of a clip that comes in packets of this many octets.
fn heard(encoding: Encoding, packet_octets: usize) -> (Vec<String>, Recording) {
    let forms = [Form::new(encoding, 0)];
    let clips = [("num-7".to_owned(), noise(8 * 320))];
    let library = Arc::new(PromptLibrary::encode_in(clips, &forms).expect("a good clip"));
    let clip = library.clip(library.lookup("num-7").expect("is there")).expect("is there");
    let whole = clip.octets(encoding).to_vec();
    let mut listener = Listener::new(Arc::new(FrameIndex::new(library)));
    let parameters = StreamParameters { encoding, ..parameters() };
    let mut events = Vec::new();
    for (number, payload) in (0_u32..).zip(whole.chunks(packet_octets)) {
        let timestamp = number * packet_octets as u32;
        let packet =
            Packet { payload_type: 8, marker: false, sequence: number as u16, timestamp, ssrc: 1, payload };
        listener.hear(&parameters, &packet, |event| events.push(format!("{event:?}")));
    }
    (events, listener.into_recording())
}

#[test]
fn a_packet_may_hold_several_frames_and_none_whole() {
    for encoding in [Encoding::Pcma, Encoding::G722] {
        for (octets, expected) in [(160, 2), (320, 2), (80, 0), (7, 0)] {
            let (events, recording) = heard(encoding, octets);
            assert_eq!(events.len(), expected, "{encoding:?} {octets}: {events:?}");
            assert_eq!(recording.rate_hz, encoding.sampling_rate_hz());
            assert_eq!(recording.duration_ms(), 160);
            assert!(recording.rms() > 2_000.0, "{encoding:?}: {}", recording.rms());
        }
    }
}
