//! Any packets, one after the other, to one call's media session.
#![no_main]

use klikon::media::telephone_event::EVENT_OCTETS;
use klikon::media::{
    Encoding, Identity, MAX_TRANSMIT_OCTETS, MediaEvent, PromptLibrary, Reach, Session, SessionSettings,
    StreamParameters, TelephoneEvent,
};
use klikon::units::clock::Clock;
use klikon::units::rtp::Redundancy;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use std::time::Duration;

/// The fixed part of an RTP header (RFC 3550 §5.1).
const RTP_HEADER_OCTETS: usize = 12;

fuzz_target!(|input: &[u8]| {
    let library = Arc::new(PromptLibrary::encode([]).expect("no clips are no mistake"));
    let identity = Identity { ssrc: 1, sequence: 65_530, timestamp: u32::MAX - 1_000 };
    let mut session = Session::new(SessionSettings::default(), Reach::Anywhere, library, identity, None);
    let peer = ([192, 0, 2, 1], 40_000).into();
    let mut now = Clock::system().instant();
    session.start(now, parameters(peer));

    let (mut blocks, mut keys, mut rest) = (0, 0, input);
    while let [octets, gap_ms, after @ ..] = rest {
        let (packet, after) = after.split_at(usize::from(*octets).min(after.len()));
        rest = after;
        now += Duration::from_millis(u64::from(*gap_ms));
        session.handle_packet(now, peer, packet);
        // A packet may hold several events (RFC 4733 §2.5.1.5), also in redundant payloads (RFC 2198).
        blocks += packet.len().saturating_sub(RTP_HEADER_OCTETS) / EVENT_OCTETS;
        keys += turn(&mut session, now);
    }
    // A key whose end is lost is reported once time has passed.
    for _ in 0..100 {
        now += Duration::from_millis(20);
        keys += turn(&mut session, now);
    }
    assert!(keys <= blocks, "{keys} keys out of {blocks} events");
    assert!(session.statistics().transmitted >= 100, "the stream goes on");
    assert!(session.deadline().is_some());
});

/// Sends what is due; how many keys were reported.
fn turn(session: &mut Session, now: std::time::Instant) -> usize {
    let mut buffer = [0; MAX_TRANSMIT_OCTETS];
    while session.poll_transmit(now, &mut buffer).is_some() {}
    let events = std::iter::from_fn(|| session.poll_event());
    events.filter(|event| matches!(event, MediaEvent::Digit { .. })).count()
}

fn parameters(remote: std::net::SocketAddr) -> StreamParameters {
    StreamParameters {
        telephone_event: Some(TelephoneEvent::new(101, 8_000)),
        redundancy: Some(Redundancy::new(121)),
        ..StreamParameters::new(remote, Encoding::Pcma, 8)
    }
}
