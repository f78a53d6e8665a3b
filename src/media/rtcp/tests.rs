//! Reports written and read, reception over loss and jitter, round trips, and the E-model against the Recommendation.

use super::*;
use crate::units::clock::Clock;
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn block() -> ReportBlock {
    ReportBlock {
        ssrc: 7,
        fraction_lost: 64,
        cumulative_lost: -3,
        highest_sequence: 0x0001_0002,
        jitter: 12,
        last_sender_report: 0x1234_5678,
        delay_since: 65_536,
    }
}

fn report() -> Report {
    let sender = SenderInformation {
        ntp: NtpTimestamp(0x1122_3344_5566_7788),
        rtp_timestamp: 8_000,
        packets: 50,
        octets: 8_000,
    };
    Report {
        ssrc: 0xcafe_babe,
        cname: *b"0123456789abcdef",
        sender: Some(sender),
        block: Some(block()),
        goodbye: true,
    }
}

fn written(report: &Report) -> Vec<u8> {
    let mut buffer = [0; MAX_COMPOUND_OCTETS];
    let octets = report.write(&mut buffer);
    buffer[..octets].to_vec()
}

#[test]
fn what_is_written_is_read() {
    let whole = report();
    let octets = written(&whole);
    assert_eq!(octets.len(), MAX_COMPOUND_OCTETS);
    let parts: Vec<_> = Packets::read(&octets).unwrap().collect();
    let [Packet::Report { ssrc, sender, blocks }, Packet::Other(202), Packet::Goodbye(sources)] = parts[..]
    else {
        panic!("{parts:?}")
    };
    assert_eq!((ssrc, sender), (whole.ssrc, whole.sender));
    assert_eq!(blocks.collect::<Vec<_>>(), [block()]);
    assert_eq!(sources.collect::<Vec<_>>(), [whole.ssrc]);
    let name = octets.windows(CNAME_OCTETS).any(|window| window == whole.cname);
    assert!(name, "the canonical name stands in it");

    let receiver = Report { sender: None, block: None, goodbye: false, ..whole };
    let octets = written(&receiver);
    let parts: Vec<_> = Packets::read(&octets).unwrap().collect();
    assert!(
        matches!(parts[..], [Packet::Report { sender: None, blocks, .. }, Packet::Other(202)] if blocks.count() == 0),
        "{parts:?}"
    );
}

#[test]
fn what_is_no_compound_packet_is_refused_whole() {
    let octets = written(&report());
    let with = |change: fn(&mut Vec<u8>)| {
        let mut changed = octets.clone();
        change(&mut changed);
        Packets::read(&changed).map(Iterator::count)
    };
    assert_eq!(with(|_| ()), Ok(3));
    assert_eq!(with(|octets| octets[0] = 0x41), Err(ReadError::Version));
    assert_eq!(with(|octets| octets[0] = 0x82), Err(ReadError::Size), "two blocks are said, one is there");
    assert_eq!(with(|octets| octets[3] = 200), Err(ReadError::Size));
    assert_eq!(with(|octets| octets.truncate(60)), Err(ReadError::Size));
    assert_eq!(with(|octets| octets.push(0)), Err(ReadError::Size));
    assert_eq!(with(|octets| octets[0] |= 0x20), Err(ReadError::Compound), "padding before the end");
    assert_eq!(with(|octets| octets[1] = 204), Err(ReadError::Compound), "APP comes first");
    assert_eq!(Packets::read(&[]).map(Iterator::count), Err(ReadError::Size));
}

/// A sender of a packet each 20 ms, at 8,000 Hz, whose packets take `delay_ms` and some of which are lost.
struct Stream {
    began: Instant,
    reception: Reception,
    lost: u64,
}

impl Stream {
    fn new() -> Self {
        Self { began: Clock::system().instant(), reception: Reception::default(), lost: 0 }
    }

    fn at(&self, ms: u64) -> Instant {
        self.began + Duration::from_millis(ms)
    }

    fn packet(&mut self, number: u64, delay_ms: Option<u64>) {
        match delay_ms {
            None => self.lost += 1,
            Some(delay_ms) => {
                let now = self.at(20 * number + delay_ms);
                let (sequence, timestamp) = ((number + 65_530) as u16, (160 * number) as u32);
                self.reception.packet(now, 7, sequence, timestamp, 8_000);
            }
        }
    }

    fn report(&mut self, ms: u64) -> ReportBlock {
        self.reception.report(self.at(ms), self.lost).unwrap()
    }
}

#[test]
fn loss_is_reported_of_the_interval_and_of_all() {
    let mut stream = Stream::new();
    for number in 0..100 {
        stream.packet(number, (number % 4 != 1).then_some(30));
    }
    let first = stream.report(2_000);
    assert_eq!((first.fraction_lost, first.cumulative_lost), (64, 25), "a quarter");
    assert_eq!(first.highest_sequence, 65_530 + 99, "over the rollover");
    assert_eq!(first.jitter, 0, "a loss is no jitter");
    for number in 100..200 {
        stream.packet(number, Some(30));
    }
    let second = stream.report(4_000);
    assert_eq!((second.fraction_lost, second.cumulative_lost), (0, 25));
    assert!(Reception::default().report(stream.began, 0).is_none(), "nobody was heard");
}

#[test]
fn jitter_grows_to_the_mean_deviation_and_is_not_made_by_pauses() {
    let mut stream = Stream::new();
    // 10 ms to and fro: each packet is 80 units off the one before.
    for number in 0..400 {
        stream.packet(number, Some(30 + 10 * (number % 2)));
    }
    let jitter = stream.report(8_000).jitter;
    assert!((78..=80).contains(&jitter), "{jitter}");
    stream.packet(100_000, Some(30));
    let now = stream.at(2_000_100);
    // The source goes on with timestamps that have nothing to do with those before.
    stream.reception.packet(now, 7, 11, 4_000_000_000, 8_000);
    assert!(stream.reception.jitter() <= jitter, "{}", stream.reception.jitter());
}

#[test]
fn a_round_trip_is_measured_by_the_peers_answer() {
    let began = Clock::system().instant();
    let at = |ms: u64| began + Duration::from_millis(ms);
    let mut timing = Timing::new(began, 5);
    let sent = timing.ntp(at(1_000));
    // The peer keeps it for 700 ms; 90 ms are spent on the way.
    let mut answer = ReportBlock { last_sender_report: sent.middle(), delay_since: 45_875, ..block() };
    timing.block(at(1_790), &answer);
    assert_eq!(timing.round_trip_ms(), Some(89), "by 65,536ths of a second");
    answer.delay_since = 4 * 65_536;
    timing.block(at(1_790), &answer);
    assert_eq!(timing.round_trip_ms(), Some(0), "kept longer than it was away");
    timing.block(at(900_000), &answer);
    assert_eq!(timing.round_trip_ms(), Some(0), "out of all reason");
    answer.last_sender_report = 0;
    timing.block(at(900_000), &answer);
    assert_eq!(timing.round_trip_ms(), Some(0), "it has had no report of ours");
}

#[test]
fn reports_are_five_seconds_apart_on_the_average_and_not_together() {
    let began = Clock::system().instant();
    let due = |seed: u32| {
        let mut timing = Timing::new(began, seed);
        (0..600_000)
            .step_by(20)
            .filter(|ms| timing.is_due(began + Duration::from_millis(*ms)))
            .collect::<Vec<u64>>()
    };
    let (one, other) = (due(1), due(77));
    assert_ne!(one, other);
    for times in [one, other] {
        assert!((1_250..=3_770).contains(&times[0]), "{times:?}");
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (2_500..=7_520).contains(gap)), "{gaps:?}");
        let mean = gaps.iter().sum::<u64>() / gaps.len() as u64;
        assert!((4_500..=5_500).contains(&mean), "{mean}");
    }
}

/// R at the defaults is 93.2, which is 4.41 (ITU-T G.107 annex B); figures 3 and 4 of ITU-T G.113 for loss.
#[test]
fn scores_are_those_of_the_e_model() {
    let score = |loss, delay| mean_opinion_score(Impairment::G711, loss, delay);
    let near = |value: f64, expected: f64| assert!((value - expected).abs() < 0.01, "{value} {expected}");
    near(score(0.0, 0.0), 4.41);
    near(score(0.0, 100.0), 4.41);
    // Idd of 400 ms: 25 · (√⁶(1 + 2⁶) − 3 · √⁶(1 + (2/3)⁶) + 2) = 24.09
    near(
        score(0.0, 400.0),
        mean_opinion_score(Impairment { equipment: 24.09, loss_robustness: 1e9 }, 0.0, 0.0),
    );
    // Ie,eff of 25.1 % is half of 95.
    near(
        score(0.251, 0.0),
        mean_opinion_score(Impairment { equipment: 47.5, loss_robustness: 1e9 }, 0.0, 0.0),
    );
    assert_eq!(score(1.0, 3_000.0), 1.0);
    assert!(score(0.01, 0.0) > score(0.02, 0.0) && score(0.0, 150.0) > score(0.0, 250.0));
}

proptest! {
    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(packets) = Packets::read(&octets) {
            for packet in packets {
                if let Packet::Report { blocks, .. } = packet {
                    prop_assert!(blocks.count() <= 31);
                }
            }
        }
    }

    #[test]
    fn changed_reports_panic_nobody(changes in prop::collection::vec((0..MAX_COMPOUND_OCTETS, any::<u8>()), 0..6)) {
        let mut octets = written(&report());
        changes.into_iter().for_each(|(at, octet)| octets[at] = octet);
        let _ = Packets::read(&octets).map(Iterator::count);
    }

    #[test]
    fn no_stream_panics(
        packets in prop::collection::vec((any::<u16>(), any::<u32>(), 0_u64..100_000), 0..100),
        lost in any::<u64>(),
    ) {
        let mut stream = Stream::new();
        for (sequence, timestamp, ms) in packets {
            let now = stream.at(ms);
            stream.reception.packet(now, 7, sequence, timestamp, 48_000);
        }
        let now = stream.at(0);
        stream.reception.report(now, lost);
    }
}
