//! STUN and DTLS from anybody: what one socket hears beside media. The checksum that every check ends with is put right, so
//! that what lies behind it is reached.
#![no_main]

use klikon::media::webrtc::stun::{MAX_ANSWER_OCTETS, Request};
use klikon::media::webrtc::{DATAGRAM_OCTETS, Handshakes, Kind, LiteAgent, Outcome, Step};
use klikon::units::clock::Clock;
use klikon::units::webrtc::{ICE_RANDOM_OCTETS, IceCredentials};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

static HANDSHAKES: LazyLock<Arc<Handshakes>> =
    LazyLock::new(|| Arc::new(Handshakes::new().expect("a certificate")));

fuzz_target!(|octets: &[u8]| {
    match Kind::of(octets) {
        Kind::Handshake => shake_hands(octets),
        _ => {
            check(octets);
            check(&put_right(octets));
        }
    }
});

fn check(octets: &[u8]) {
    let mut agent = LiteAgent::new(IceCredentials::new(&[7; ICE_RANDOM_OCTETS]));
    let source = ([192, 0, 2, 1], 40_000).into();
    match agent.handle(source, octets) {
        Outcome::Refused(status, answer) => {
            assert!(matches!(status, 400 | 401), "nobody guesses the password");
            assert!(answer.octets().len() <= octets.len().min(MAX_ANSWER_OCTETS), "no amplification");
        }
        Outcome::RefusedSilently | Outcome::Dropped(_) => {}
        other => panic!("{other:?}"),
    }
    assert!(agent.nominated().is_none() && !agent.is_valid(source));
    if let Ok(request) = Request::read(octets) {
        for answer in [request.success(source, "password"), request.refusal(420, Some("password"))] {
            assert!(answer.octets().len() <= MAX_ANSWER_OCTETS);
        }
    }
}

/// The same octets as a message whose header and FINGERPRINT are right.
fn put_right(octets: &[u8]) -> Vec<u8> {
    let mut message = octets.to_vec();
    message.resize(octets.len().clamp(28, 1_400).next_multiple_of(4), 0);
    let end = message.len() - 8;
    message[..2].copy_from_slice(&[0, 1]);
    let length = (message.len() - 20) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
    message[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    message[end..end + 4].copy_from_slice(&[0x80, 0x28, 0, 4]);
    let mut sum = !0_u32;
    for octet in &message[..end] {
        sum ^= u32::from(*octet);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    message[end + 4..].copy_from_slice(&(!sum ^ 0x5354_554e).to_be_bytes());
    message
}

/// One datagram after the other, of up to 600 octets.
fn shake_hands(octets: &[u8]) {
    let now = Clock::system().instant();
    let mut association = HANDSHAKES.begin(now).expect("one at a time");
    let expected = HANDSHAKES.fingerprint();
    let mut buffer = [0; DATAGRAM_OCTETS];
    for datagram in octets.chunks(600) {
        if association.handle(now, datagram).is_err() {
            return;
        }
        loop {
            match association.poll(&expected, &mut buffer) {
                Ok(Step::Send(octets)) => assert!(octets <= 1_500),
                Ok(Step::Wait) => break,
                Ok(Step::Keys(_)) => panic!("nobody has the key of our own certificate"),
                Err(_) => return,
            }
        }
    }
}
