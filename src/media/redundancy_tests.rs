//! Sessions where redundant payloads (RFC 2198) are agreed on: octets by hand, and a caller and a service wired together.

use super::session_tests::{parameters, tone, without_events};
use super::srtp::{MasterKey, Profile, StreamKeys};
use super::*;
use crate::units::clock::Clock;
use crate::units::rtp::Redundancy;
use crate::units::srtp::Keying;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RED: u8 = 121;

fn agreed() -> StreamParameters {
    StreamParameters { redundancy: Some(Redundancy::new(RED)), ..parameters() }
}

struct Bench {
    now: Instant,
    session: Session,
}

impl Bench {
    fn with(parameters: StreamParameters) -> Self {
        Self::of(1, parameters)
    }

    /// Both counters wrap within the run, but not in its first packets: of SRTP none opens until one from before has come.
    fn of(ssrc: u32, parameters: StreamParameters) -> Self {
        let now = Clock::system().instant();
        let identity = Identity { ssrc, sequence: 65_450, timestamp: u32::MAX - 4_000 };
        let library = Arc::new(PromptLibrary::default());
        let mut session = Session::new(SessionSettings::default(), Reach::Anywhere, library, identity, None);
        session.start(now, parameters);
        Self { now, session }
    }

    /// A packet comes, 20 ms after the one before; what is reported.
    fn hear(&mut self, payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<String> {
        let packet = Packet { payload_type, marker: false, sequence, timestamp, ssrc: 9, payload };
        let mut octets = [0; 600];
        let length = packet.write(&mut octets);
        self.now += Duration::from_millis(20);
        self.session.handle_packet(self.now, parameters().remote, &octets[..length]);
        self.reported()
    }

    fn reported(&mut self) -> Vec<String> {
        let mut buffer = [0; MAX_TRANSMIT_OCTETS];
        while self.session.poll_transmit(self.now, &mut buffer).is_some() {}
        std::iter::from_fn(|| self.session.poll_event())
            .map(|event| match event {
                MediaEvent::DigitBegan { digit, .. } => format!("{digit} down"),
                MediaEvent::Digit { digit, .. } => format!("{digit}"),
                other => format!("{other:?}"),
            })
            .collect()
    }
}

/// The end of 4 at 8,000, of 1,000 units; of 7 at 10,000, of 800; and 9 from 11,000 on, by hand.
const FOUR_SEVEN_NINE: [u8; 21] = [
    0xe5, 0x2e, 0xe0, 0x04, // telephone-event, 3,000 earlier, four octets
    0xe5, 0x0f, 0xa0, 0x04, // 1,000 earlier
    0x65, // telephone-event, the primary one
    0x04, 0x8a, 0x03, 0xe8, 0x07, 0x8a, 0x03, 0x20, 0x09, 0x0a, 0x00, 0xa0,
];

#[test]
fn keys_of_which_nothing_came_are_heard_from_what_is_repeated() {
    let mut bench = Bench::with(agreed());
    assert_eq!(bench.hear(101, 50, 8_000, &[0x04, 0x0a, 0x00, 0xa0]), ["4 down"]);
    assert_eq!(bench.hear(RED, 70, 11_000, &FOUR_SEVEN_NINE), ["4", "7 down", "7", "9 down"]);
    assert_eq!(bench.hear(RED, 71, 11_000, &FOUR_SEVEN_NINE), [""; 0], "each counts once");
    assert_eq!(bench.hear(101, 60, 10_000, &[0x07, 0x8a, 0x03, 0x20]), [""; 0], "late, and known");
    let mut ended = FOUR_SEVEN_NINE;
    ended[18] |= 0x80;
    assert_eq!(bench.hear(RED, 73, 11_000, &ended), ["9"]);
    let counted = bench.session.statistics();
    assert_eq!((counted.keys.presses, counted.keys.recovered, counted.keys.made_up_ends), (3, 1, 0));
    assert_eq!((counted.accepted, counted.received), (5, 5));
}

#[test]
fn what_is_repeated_of_an_older_press_comes_too_late_behind_a_newer_one() {
    let mut bench = Bench::with(agreed());
    // 9 was heard by itself, far ahead in the sequence.
    assert_eq!(bench.hear(101, 40, 11_000, &[0x09, 0x0a, 0x00, 0xa0]), ["9 down"]);
    assert_eq!(bench.hear(RED, 70, 11_000, &FOUR_SEVEN_NINE), [""; 0], "47 behind 9 would be another number");
    assert_eq!(bench.session.statistics().keys.late, 2);
}

#[test]
fn where_redundancy_is_not_agreed_on_it_is_another_payload_type() {
    let mut bench = Bench::with(parameters());
    assert_eq!(bench.hear(RED, 70, 11_000, &FOUR_SEVEN_NINE), [""; 0]);
    assert_eq!(bench.session.statistics().dropped_payload_type, 1);
}

#[test]
fn what_does_not_hold_what_it_says_is_dropped_and_counted() {
    let mut bench = Bench::with(agreed());
    let cut = |octets: usize| FOUR_SEVEN_NINE[..octets].to_vec();
    for (number, payload) in [vec![], cut(3), cut(8), cut(16)].iter().enumerate() {
        assert_eq!(bench.hear(RED, 10 + number as u16, 11_000, payload), [""; 0], "{payload:02x?}");
    }
    let counted = bench.session.statistics();
    assert_eq!((counted.malformed_redundancy, counted.accepted), (4, 0));
    // Within itself it is nothing, and nor is what was not agreed on; what is beside them counts.
    let nested = [&[0xe5, 0, 0, 4, RED][..], &[0x04, 0x8a, 0x03, 0xe8], &FOUR_SEVEN_NINE].concat();
    assert_eq!(bench.hear(RED, 20, 8_000, &nested), ["4 down", "4"]);
    let unknown = [0x80 | 96, 0, 0, 1, 0x65, 0xff, 0x05, 0x8a, 0x03, 0xe8];
    assert_eq!(bench.hear(RED, 21, 12_000, &unknown), ["5 down", "5"]);
    // An event that is too short for one.
    assert_eq!(
        bench.hear(RED, 22, 14_000, &[0xe5, 0, 0, 2, 0x65, 0x04, 0x8a, 0x06, 0x8a, 0, 9]),
        ["6 down", "6"]
    );
    let counted = bench.session.statistics();
    assert_eq!((counted.dropped_payload_type, counted.keys.malformed, counted.accepted), (1, 1, 2));
}

/// RFC 4733 §2.5.1.4 has events in it; audio may be in it with them, as the primary payload or repeated.
#[test]
fn audio_and_keys_share_a_payload() {
    let mut bench = Bench::with(agreed());
    let event = [0x03, 0x8a, 0x01, 0x40];
    let audio = [0xd5; 160];
    let before = [&[0xe5, 0x05, 0x00, 0x04, 0x08][..], &event, &audio].concat();
    assert_eq!(bench.hear(RED, 10, 8_320, &before), ["3 down", "3"], "an end beside the audio after it");
    assert_eq!(bench.hear(RED, 11, 8_480, &before), [""; 0]);
    let beside = [&[0x88, 0x02, 0x80, 0xa0, 0x65][..], &audio, &[0x05, 0x0a, 0x00, 0xa0]].concat();
    assert_eq!(bench.hear(RED, 12, 9_000, &beside), ["5 down"]);
    // Audio well beyond a press whose end is lost ends it, in either kind of packet.
    let alone = [&[0x08][..], &audio].concat();
    assert_eq!(bench.hear(RED, 60, 9_000 + 160 + 960, &alone), ["5"]);
    let comfort_noise = [&[0xe5, 0x05, 0x00, 0x04, 0x0d][..], &[0x06, 0x8a, 0x01, 0x40], &[40]].concat();
    assert_eq!(bench.hear(RED, 61, 12_000, &comfort_noise), ["6 down", "6"]);
    assert_eq!(bench.session.statistics().accepted, 5);
}

/// Keys as tones: of three packets in a row two are lost, and the third repeats them.
#[test]
fn tones_are_heard_from_audio_that_is_repeated() {
    let without = without_events();
    for redundancy in [None, Some(Redundancy::new(RED))] {
        let mut bench = Bench::with(StreamParameters { redundancy, ..without });
        let pause = || vec![vec![0xd5; 160]; 5];
        // Of 40 ms, so that a lost packet leaves too little of it.
        let short = || tone().into_iter().take(2);
        let frames: Vec<Vec<u8>> =
            pause().into_iter().chain(short()).chain(pause()).chain(short()).chain(pause()).collect();
        let mut heard = Vec::new();
        for (number, three) in frames.windows(3).enumerate().filter(|(number, _)| number % 3 == 0) {
            let sequence = 100 + number as u16;
            let headers = [0x88, 0x05, 0x00, 0xa0, 0x88, 0x02, 0x80, 0xa0, 0x08];
            let payload = [&headers[..], &three.concat()].concat();
            heard.extend(if redundancy.is_some() {
                bench.hear(RED, sequence, u32::from(sequence) * 160, &payload)
            } else {
                bench.hear(8, sequence, u32::from(sequence) * 160, &three[2])
            });
        }
        bench.now += Duration::from_millis(300);
        heard.extend(bench.reported());
        let expected: &[&str] = if redundancy.is_some() { &["5 down", "5", "5 down", "5"] } else { &[] };
        assert_eq!(heard, expected);
        assert_eq!(bench.session.statistics().in_band.late, 0);
    }
}

#[test]
fn audio_that_is_not_heard_is_sampled_all_the_same() {
    let mut bench = Bench::with(agreed());
    bench.hear(8, 1, 160, &[0xd5; 160]);
    assert_eq!(bench.session.unheard_payload_type(), Some(8), "never that of redundant payloads");
}

/// What a caller keys, through a network that loses every packet of some presses; the digits heard, and how often a payload
/// was redundant.
fn call(redundancy: bool, security: bool, is_lost: impl Fn(usize) -> bool) -> (String, usize) {
    let places = ["192.0.2.1:4000", "192.0.2.2:5000"].map(|place| place.parse().expect("a place"));
    let key = |octet| MasterKey::new(Profile::AeadAes128Gcm, &[octet; 28]).expect("a key");
    let keys = |send, receive| {
        let keys = StreamKeys { tag: 1, send: key(send), receive: key(receive) };
        security.then_some(Keying::Described(keys))
    };
    let side = |ssrc, remote, security| {
        let redundancy = redundancy.then_some(Redundancy::new(RED));
        Bench::of(ssrc, StreamParameters { remote, redundancy, security, ..parameters() })
    };
    let (mut caller, mut service) = (side(1, places[0], keys(1, 2)), side(2, places[1], keys(2, 1)));
    caller.session.send_digits("0672123456#1", DigitTiming::default());
    let (mut heard, mut press, mut last, mut redundant) = (String::new(), 0, None, 0);
    let mut buffer = [0; MAX_TRANSMIT_OCTETS];
    for _ in 0..200 {
        let now = caller.now + Duration::from_millis(20);
        (caller.now, service.now) = (now, now);
        while let Some(transmit) = caller.session.poll_transmit(now, &mut buffer) {
            let packet = Packet::read(&buffer[..transmit.octets]).expect("a packet");
            let is_key = packet.payload_type != parameters().payload_type;
            if is_key && last != Some(packet.timestamp) {
                (press, last) = (press + 1, Some(packet.timestamp));
            }
            redundant += usize::from(packet.payload_type == RED);
            if !is_key || !is_lost(press) {
                service.session.handle_packet(now, places[1], &buffer[..transmit.octets]);
            }
        }
        heard.extend(service.reported().iter().filter(|event| event.len() == 1).map(String::as_str));
    }
    (heard, redundant)
}

#[test]
fn a_caller_who_repeats_his_keys_is_heard_through_losses_in_the_clear_and_protected() {
    for security in [false, true] {
        assert_eq!(call(false, security, |press| press == 3), ("062123456#1".to_owned(), 0));
        let (heard, redundant) = call(true, security, |press| press == 3);
        assert_eq!(heard, "0672123456#1");
        assert_eq!(redundant, 11 * 7, "all seven packets of each press but the first");
        assert_eq!(call(true, security, |press| [1, 2, 5, 6, 10].contains(&press)).0, "0672123456#1");
        assert_eq!(
            call(true, security, |press| (2..5).contains(&press)).0,
            "072123456#1",
            "two are repeated"
        );
    }
}
