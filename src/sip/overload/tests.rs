//! The limiter by itself, and a server with a cost for each message in virtual time.

use super::*;
use crate::sip::identifier::Identifiers;
use crate::units::clock::Clock;

fn limiter(settings: Settings) -> Overload {
    Overload::new(settings, Identifiers::new([1; 32]).hash_key())
}

fn peers(count: u8) -> Vec<PeerShare> {
    let range = |number: u8| format!("192.0.2.{number}/32").parse().expect("a range");
    (0..count).map(|number| PeerShare { addresses: vec![range(number)], ..PeerShare::default() }).collect()
}

/// New calls that a neighbour gets in a second of `offered` evenly spread ones, with the others' before each.
fn admitted(limiter: &mut Overload, start: Instant, rates: &[(Neighbour, u32)]) -> Vec<u32> {
    let mut due: Vec<(Duration, Neighbour)> = rates
        .iter()
        .flat_map(|(neighbour, a_second)| {
            (0..*a_second).map(|number| (Duration::from_secs(1) / *a_second * number, *neighbour))
        })
        .collect();
    due.sort();
    let mut counts = vec![0; rates.len()];
    for (at, neighbour) in due {
        let now = start + at;
        if limiter.refusal(now, neighbour, 0, 0).is_none() {
            limiter.admitted(now, neighbour);
            let place = rates.iter().position(|(other, _)| *other == neighbour).expect("one of them");
            counts[place] += 1;
        } else {
            limiter.refused(now, neighbour);
        }
    }
    counts
}

#[test]
fn a_busy_neighbour_leaves_the_others_their_part_and_gets_what_they_leave() {
    let settings =
        Settings { max_calls_per_s: Some(300), call_burst: 3, peers: peers(2), ..Settings::open() };
    let mut limiter = limiter(settings);
    let start = Clock::system().instant();
    let (busy, calm, stranger) = (Neighbour(0), Neighbour(1), Neighbour(2));
    let alone = admitted(&mut limiter, start, &[(busy, 10_000)]);
    assert!((299..=304).contains(&alone[0]), "{alone:?}");
    let second = start + Duration::from_secs(10);
    let shared = admitted(&mut limiter, second, &[(busy, 10_000), (calm, 90)]);
    assert_eq!(shared[1], 90, "nothing of the calm one's is lost");
    assert!((205..=220).contains(&shared[0]), "{shared:?}");
    let third = start + Duration::from_secs(20);
    let all = admitted(&mut limiter, third, &[(busy, 10_000), (calm, 1_000), (stranger, 1_000)]);
    assert!(all.iter().all(|calls| *calls >= 95), "each has its part: {all:?}");
    assert!(all.iter().sum::<u32>() <= 312, "{all:?}");
}

#[test]
fn a_peer_s_own_limits_hold_whatever_room_there_is() {
    let mut shares = peers(2);
    shares[0].max_calls = Some(2);
    shares[1].max_calls_per_s = Some(10);
    let mut limiter = limiter(Settings { peers: shares, ..Settings::open() });
    let now = Clock::system().instant();
    assert_eq!(limiter.refusal(now, Neighbour(0), 1, 0), None);
    assert_eq!(limiter.refusal(now, Neighbour(0), 2, 0), Some(Counter::RefusedPeerCalls));
    for _ in 0..10 {
        assert_eq!(limiter.refusal(now, Neighbour(1), 1_000, 0), None);
        limiter.admitted(now, Neighbour(1));
    }
    assert_eq!(limiter.refusal(now, Neighbour(1), 0, 0), Some(Counter::RefusedPeerRate));
    assert_eq!(limiter.refusal(now, Neighbour(0), 0, 0), None);
}

#[test]
fn calls_without_an_ack_take_only_so_many_places() {
    let limiter = limiter(Settings { max_unacknowledged: Some(10), peers: peers(1), ..Settings::open() });
    let now = Clock::system().instant();
    assert_eq!(limiter.refusal(now, Neighbour(0), 1_000, 9), None);
    assert_eq!(limiter.refusal(now, Neighbour(0), 10, 10), Some(Counter::RefusedUnacknowledged));
}

#[test]
fn room_is_what_the_call_layer_says_less_what_has_begun_since() {
    let mut limiter = limiter(Settings::open());
    let now = Clock::system().instant();
    limiter.set_room(2);
    for _ in 0..2 {
        assert_eq!(limiter.refusal(now, Neighbour(0), 0, 0), None);
        limiter.admitted(now, Neighbour(0));
    }
    assert_eq!(limiter.refusal(now, Neighbour(0), 0, 0), Some(Counter::RefusedCallLimit));
    limiter.set_room(1);
    assert_eq!(limiter.refusal(now, Neighbour(0), 0, 0), None);
}
