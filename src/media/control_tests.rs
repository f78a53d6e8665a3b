//! Two sessions that report to each other, over a network that takes time and loses packets.

use super::session::MAX_RTCP_OCTETS;
use super::session_tests::parameters;
use super::srtp::{MasterKey, Profile, StreamKeys};
use super::*;
use crate::units::clock::Clock;
use crate::units::srtp::Keying;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// On the way, each way, ms.
const DELAY_MS: u64 = 35;

struct Pair {
    origin: Instant,
    places: [SocketAddr; 2],
    sides: [Session; 2],
    shared: bool,
    /// What is on its way: when it arrives, where, whether by the port of RTCP, and its octets.
    wire: Vec<(u64, usize, bool, Vec<u8>)>,
    sent: u64,
}

impl Pair {
    fn new(shared: bool, protected: bool) -> Self {
        let settings = SessionSettings { initial_silence: Duration::ZERO, ..SessionSettings::default() };
        let side = |ssrc| {
            let identity = Identity { ssrc, sequence: 65_500, timestamp: 7 };
            Session::new(settings, Reach::Anywhere, Arc::new(PromptLibrary::default()), identity, None)
        };
        let places = ["192.0.2.1:4000", "192.0.2.2:5000"].map(|place| place.parse().expect("a place"));
        let origin = Clock::system().instant();
        let mut sides = [side(1), side(2)];
        let key = |octet| MasterKey::new(Profile::AeadAes128Gcm, &[octet; 28]).expect("a key");
        for (number, side) in sides.iter_mut().enumerate() {
            let remote: SocketAddr = places[1 - number];
            let rtcp_port = if shared { remote.port() } else { remote.port() + 1 };
            let (send, receive) = (key(number as u8), key(1 - number as u8));
            side.start(
                origin,
                StreamParameters {
                    remote,
                    remote_rtcp: SocketAddr::new(remote.ip(), rtcp_port),
                    security: protected.then_some(Keying::Described(StreamKeys { tag: 1, send, receive })),
                    ..parameters()
                },
            );
            assert_eq!(side.has_rtcp_port(), !shared);
        }
        Self { origin, places, sides, shared, wire: Vec::new(), sent: 0 }
    }

    /// Loses one in so many packets of RTP.
    fn run(&mut self, from_ms: u64, until_ms: u64, lose_one_in: u64) {
        for at_ms in from_ms..until_ms {
            let now = self.origin + Duration::from_millis(at_ms);
            for side in [0, 1] {
                let mut buffer = [0; MAX_TRANSMIT_OCTETS];
                while let Some(transmit) = self.sides[side].poll_transmit(now, &mut buffer) {
                    self.sent += 1;
                    if !self.sent.is_multiple_of(lose_one_in) {
                        let octets = buffer[..transmit.octets].to_vec();
                        self.wire.push((at_ms + DELAY_MS, 1 - side, false, octets));
                    }
                }
                let mut buffer = [0; MAX_RTCP_OCTETS];
                if let Some(transmit) = self.sides[side].poll_rtcp(now, &mut buffer) {
                    let port = self.places[1 - side].port() + u16::from(!self.shared);
                    assert_eq!(transmit.remote, SocketAddr::new(self.places[1 - side].ip(), port));
                    let octets = buffer[..transmit.octets].to_vec();
                    self.wire.push((at_ms + DELAY_MS, 1 - side, true, octets));
                }
            }
            let (arrived, waiting): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.wire).into_iter().partition(|(when, ..)| *when <= at_ms);
            self.wire = waiting;
            for (_, side, is_rtcp, octets) in arrived {
                let source = self.places[1 - side];
                if is_rtcp && !self.shared {
                    let source = SocketAddr::new(source.ip(), source.port() + 1);
                    self.sides[side].handle_rtcp(now, source, &octets);
                } else {
                    self.sides[side].handle_packet(now, source, &octets);
                }
            }
        }
    }
}

#[test]
fn both_sides_learn_what_was_lost_and_how_far_away_the_other_is() {
    for (shared, protected) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut pair = Pair::new(shared, protected);
        pair.run(0, 30_000, 9);
        for side in &pair.sides {
            let counted = side.statistics();
            let rtcp = counted.rtcp;
            assert!((4..=9).contains(&rtcp.sent), "{rtcp:?}");
            assert!(rtcp.received >= 4 && rtcp.dropped == 0, "{rtcp:?}");
            let round_trip = rtcp.round_trip_ms.expect("it was measured");
            assert!((69..=71).contains(&round_trip), "{rtcp:?}");
            assert_eq!(rtcp.jitter, 0, "every packet took as long as every other");
            assert_eq!(counted.received, counted.accepted, "reports are not counted as RTP");
        }
        let lost: Vec<_> = pair.sides.iter().map(|side| side.statistics().lost).collect();
        let far: Vec<_> =
            pair.sides.iter().map(|side| side.statistics().rtcp.far.expect("a report").lost).collect();
        // One that is lost last is not missed yet.
        assert!(lost.iter().all(|lost| (160..=168).contains(lost)), "{lost:?}");
        for (here, there) in [(0, 1), (1, 0)] {
            let behind = lost[there] as i32 - far[here];
            assert!(
                (0..=50).contains(&behind),
                "what the far side has said is a report old: {lost:?} {far:?}"
            );
        }
    }
}

#[test]
fn the_last_report_says_goodbye_and_one_of_a_stranger_is_dropped() {
    let mut pair = Pair::new(false, false);
    pair.run(0, 8_000, u64::MAX);
    let now = pair.origin + Duration::from_secs(8);
    let mut buffer = [0; MAX_RTCP_OCTETS];
    let goodbye = pair.sides[0].goodbye(now, &mut buffer).expect("a report");
    let octets = &buffer[..goodbye.octets];
    let caller = &mut pair.sides[1];
    let before = caller.statistics().rtcp;
    caller.handle_rtcp(now, "203.0.113.9:4001".parse().expect("a place"), octets);
    caller.handle_rtcp(now, pair.places[0], b"\x80\xc9\x00\x09nonsense");
    let after = caller.statistics().rtcp;
    assert_eq!((after.goodbyes, after.dropped), (0, before.dropped + 2));
    caller.handle_rtcp(now, pair.places[0], octets);
    assert_eq!(caller.statistics().rtcp.goodbyes, 1);
}

#[test]
fn without_the_setting_nothing_is_reported_and_rtcp_is_counted_as_it_was() {
    let settings = SessionSettings { rtcp: false, ..SessionSettings::default() };
    let identity = Identity { ssrc: 1, sequence: 0, timestamp: 7 };
    let library = Arc::new(PromptLibrary::default());
    let mut session = Session::new(settings, Reach::Anywhere, library, identity, None);
    let now = Clock::system().instant();
    session.start(now, parameters());
    let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    session.handle_packet(now, parameters().remote, &report);
    let mut buffer = [0; MAX_RTCP_OCTETS];
    assert!(session.poll_rtcp(now + Duration::from_secs(60), &mut buffer).is_none());
    assert!(session.goodbye(now, &mut buffer).is_none() && !session.has_rtcp_port());
    assert_eq!(session.statistics().dropped_rtcp, 1);
}
