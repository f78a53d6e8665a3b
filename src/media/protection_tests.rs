//! Sessions whose packets are protected: both ways, against forgery, repetition and plain packets, and over changes.

use super::session_tests::parameters;
use super::srtp::{MasterKey, Profile, StreamKeys};
use super::*;
use crate::units::clock::Clock;
use crate::units::srtp::Keying;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn key(profile: Profile, octet: u8) -> MasterKey {
    MasterKey::new(profile, &vec![octet; profile.key_and_salt_octets()]).expect("a key")
}

fn keys(profile: Profile, send: u8, receive: u8) -> StreamKeys {
    StreamKeys { tag: 1, send: key(profile, send), receive: key(profile, receive) }
}

/// A service and a caller.
struct Pair {
    now: Instant,
    places: [SocketAddr; 2],
    sides: [Session; 2],
    /// What was sent, by whom, as it went over the wire.
    wire: Vec<(usize, Vec<u8>)>,
}

impl Pair {
    fn new(profile: Profile) -> Self {
        let settings = SessionSettings { initial_silence: Duration::ZERO, ..SessionSettings::default() };
        // The sequence number rolls over soon.
        let side = |ssrc| {
            let identity = Identity { ssrc, sequence: 65_530, timestamp: 7 };
            Session::new(settings, Reach::Anywhere, Arc::new(PromptLibrary::default()), identity, None)
        };
        let places = ["192.0.2.1:4000", "192.0.2.2:5000"].map(|place| place.parse().expect("a place"));
        let mut pair =
            Self { now: Clock::system().instant(), places, sides: [side(1), side(2)], wire: Vec::new() };
        pair.agree(Some(keys(profile, 1, 2)), Some(keys(profile, 2, 1)));
        pair
    }

    fn agree(&mut self, service: Option<StreamKeys>, caller: Option<StreamKeys>) {
        for (side, security) in [service, caller].into_iter().enumerate() {
            let agreed = StreamParameters {
                remote: self.places[1 - side],
                security: security.map(Keying::Described),
                ..parameters()
            };
            self.sides[side].start(self.now, agreed);
        }
    }

    fn run(&mut self, intervals: u32) {
        for _ in 0..intervals {
            for side in [0, 1] {
                let mut buffer = [0; MAX_TRANSMIT_OCTETS];
                while let Some(transmit) = self.sides[side].poll_transmit(self.now, &mut buffer) {
                    let octets = buffer[..transmit.octets].to_vec();
                    self.sides[1 - side].handle_packet(self.now, self.places[side], &octets);
                    self.wire.push((side, octets));
                }
            }
            self.now += Duration::from_millis(20);
        }
    }

    fn keys_heard(&mut self) -> String {
        std::iter::from_fn(|| self.sides[0].poll_event())
            .filter_map(|event| match event {
                MediaEvent::Digit { digit, .. } => Some(digit),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn audio_and_keys_pass_protected_over_the_rollover() {
    for profile in Profile::DESCRIBED {
        let mut pair = Pair::new(profile);
        pair.sides[1].send_digits("1*#9", DigitTiming::default());
        pair.run(60);
        assert_eq!(pair.keys_heard(), "1*#9", "{profile:?}");
        for side in [0, 1] {
            let counted = pair.sides[side].statistics();
            assert_eq!((counted.received, counted.accepted, counted.lost), (60, 60, 0), "{profile:?}");
        }
        let silence = [0xd5; 20];
        let shown = pair.wire.iter().filter(|(_, octets)| octets.windows(20).any(|window| window == silence));
        assert_eq!(shown.count(), 0, "nothing of the audio is to be read on the wire");
    }
}

#[test]
fn what_others_send_is_dropped_and_counted() {
    let mut pair = Pair::new(Profile::AesCm128HmacSha1_80);
    pair.run(10);
    let from_caller = pair.places[1];
    let (_, packet) = pair.wire.iter().rfind(|(side, _)| *side == 1).cloned().expect("a packet");
    let service = &mut pair.sides[0];
    service.handle_packet(pair.now, from_caller, &packet);
    assert_eq!(service.statistics().dropped_replay, 1);
    let mut changed = packet.clone();
    changed[3] = changed[3].wrapping_add(1);
    service.handle_packet(pair.now, from_caller, &changed);
    assert_eq!(service.statistics().dropped_tag, 1);
    let mut plain = [0x80_u8; 172];
    plain[1] = 8;
    service.handle_packet(pair.now, from_caller, &plain);
    assert_eq!(service.statistics().dropped_tag, 2, "RTP that is not protected");
    service.handle_packet(pair.now, from_caller, &packet[..9]);
    service.handle_packet(pair.now, from_caller, &[0x80; 4_000]);
    assert_eq!(service.statistics().dropped_size, 2);
    let received = service.statistics();
    assert_eq!((received.accepted, received.received), (10, 15));
    pair.run(10);
    assert_eq!(pair.sides[0].statistics().accepted, 20, "the call goes on");
}

#[test]
fn keys_that_stay_the_same_go_on_and_new_ones_begin_anew() {
    let profile = Profile::AesCm128HmacSha1_80;
    let mut pair = Pair::new(profile);
    pair.run(10);
    pair.agree(Some(keys(profile, 1, 2)), Some(keys(profile, 2, 1)));
    pair.run(10);
    assert_eq!(pair.sides[0].statistics().accepted, 20, "beyond the rollover, under the same keys");
    // The caller's key changes, ours stays.
    pair.agree(Some(keys(profile, 1, 3)), Some(keys(profile, 3, 1)));
    pair.run(10);
    pair.agree(None, None);
    pair.run(10);
    for side in [0, 1] {
        let counted = pair.sides[side].statistics();
        assert_eq!((counted.accepted, counted.received), (40, 40));
    }
    let last = &pair.wire.last().expect("a packet").1;
    assert_eq!(last.len(), 172, "plain again");
}

#[test]
fn no_index_is_ever_used_twice_under_a_key_whatever_is_agreed_in_between() {
    let (first, other) = (Profile::AesCm128HmacSha1_80, Profile::AeadAes128Gcm);
    let mut pair = Pair::new(first);
    let mut reports = Vec::new();
    // Beyond the rollover, plain, another profile, and back, twice.
    for _ in 0..2 {
        for profile in [Some(first), None, Some(other)] {
            pair.agree(
                profile.map(|profile| keys(profile, 1, 2)),
                profile.map(|profile| keys(profile, 2, 1)),
            );
            pair.run(10);
            let mut buffer = [0; super::session::MAX_RTCP_OCTETS];
            let report = pair.sides[0].goodbye(pair.now, &mut buffer).expect("a report");
            if profile.is_some() {
                reports.push((profile, buffer[report.octets - 14..report.octets].to_vec(), buffer));
            }
        }
    }
    let accepted = pair.sides.each_ref().map(|side| side.statistics());
    assert!(accepted.iter().all(|counted| counted.accepted == 60 && counted.received == 60), "{accepted:?}");
    // The index of SRTCP stands before the tag in counter mode, and at the end with GCM.
    let index = |(profile, end, _): &(Option<Profile>, Vec<u8>, [u8; super::session::MAX_RTCP_OCTETS])| {
        let at = if *profile == Some(first) { 0 } else { 10 };
        u32::from_be_bytes(end[at..at + 4].try_into().expect("a word")) & !(1 << 31)
    };
    assert_eq!(reports.iter().map(index).collect::<Vec<_>>(), [1, 1, 2, 2], "each key goes on counting");
}
