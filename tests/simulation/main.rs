//! Hundreds of callers and the service in one virtual network, many times over. Some callers are endpoints of our own,
//! the others are scripts with a bad habit; the network loses, doubles, delays and reorders; everything follows from
//! one seed, and the invariants (`watch`) are checked at every step.
//!
//! `KLIKON_SEEDS=1000` says how many seeds are run, `KLIKON_SEED=7` runs one, and with `KLIKON_TRACE=1` shows it.

mod chance;
mod desk;
mod exchange;
mod habit;
mod network;
mod phone;
mod watch;
mod witness;
mod world;

use klikon::sip::{Endpoint, Limits};
use klikon::units::clock::Clock;
use std::collections::BTreeMap;
use world::{Crowd, Report, World};

/// Seeds of a run among the other tests.
const SEEDS: u64 = 60;

/// A seed's callers: 240 calls of 140 callers in a minute and a half.
const CROWD: Crowd = Crowd { exchanges: 6, calls_each: 20, phones: 120, arrive_in_ms: 90_000 };

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}: {text}")))
}

/// Says how to run the seed again when it fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {seed} failed; again, with every message shown:\n  \
                 KLIKON_SEED={seed} KLIKON_TRACE=1 cargo test --locked --test simulation -- --nocapture every_seed",
                seed = self.0
            );
        }
    }
}

fn run(seed: u64, crowd: Crowd) -> Report {
    let _replay = Replay(seed);
    let is_traced = number("KLIKON_TRACE").is_some();
    World::new(seed, Clock::system().instant(), crowd, is_traced).run()
}

fn add<K: Ord + Clone, N: Copy + std::ops::AddAssign + Default>(
    sum: &mut BTreeMap<K, N>,
    more: &BTreeMap<K, N>,
) {
    for (key, count) in more {
        *sum.entry(key.clone()).or_default() += *count;
    }
}

fn sum(total: &mut Report, report: &Report) {
    total.datagrams += report.datagrams;
    total.steps += report.steps;
    total.messages_read += report.messages_read;
    total.calls += report.calls;
    total.most_open = total.most_open.max(report.most_open);
    add(&mut total.ends, &report.ends);
    add(&mut total.callers_told, &report.callers_told);
    add(&mut total.final_classes, &report.final_classes);
    add(&mut total.counters, &report.counters);
}

/// The runs were foul enough to bring about what they are to show.
fn assert_everything_happened(total: &Report) {
    for name in [
        "keep_alives",
        "dropped_unreadable",
        "dropped_malformed_response",
        "dropped_malformed_ack",
        "dropped_stray_ack",
        "dropped_foreign_response",
        "dropped_stray_response",
        "retransmissions_received",
        "retransmissions_sent",
        "options_answered",
        "refused_by_service_state",
        "refused_malformed",
        "refused_overload",
        "refused_merged",
        "refused_no_call",
        "refused_old_cseq",
        "refused_overlapping",
        "refused_session_limit",
        "refused_setup_timeout",
        "rejected_by_call",
        "sessions_confirmed",
        "sessions_cancelled",
        "byes_received",
        "byes_sent",
        "ack_timeouts",
        "failure_ack_timeouts",
        "request_timeouts",
    ] {
        assert!(total.counters.get(name).is_some_and(|count| *count > 0), "`{name}` never happened");
    }
    for end in
        ["Cancelled", "refused", "SetupTimeout", "AckTimeout", "ByeReceived", "ByeCompleted", "ByeTimeout"]
    {
        assert!(total.ends.contains_key(end), "no call ended with {end}: {:?}", total.ends);
    }
    for told in ["rejected", "answered ended", "ended"] {
        assert!(total.callers_told.contains_key(told), "no caller was told {told}");
    }
}

#[test]
fn every_seed_keeps_the_invariants() {
    if let Some(seed) = number("KLIKON_SEED") {
        println!("{:#?}", run(seed, CROWD));
        return;
    }
    let seeds = number("KLIKON_SEEDS").unwrap_or(SEEDS);
    let mut total = Report::default();
    for seed in 0..seeds {
        sum(&mut total, &run(seed, CROWD));
    }
    println!("{seeds} seeds: {total:#?}");
    assert_everything_happened(&total);
}

#[test]
fn a_seed_replays_a_run() {
    let crowd = Crowd { exchanges: 2, calls_each: 10, phones: 40, arrive_in_ms: 30_000 };
    for seed in [3, 11] {
        let (one, two) = (run(seed, crowd), run(seed, crowd));
        assert_eq!(one, two);
        assert_ne!(one.digest, run(seed + 1, crowd).digest);
    }
}

/// What a run leaves allocated in the service, in octets, once nothing is held any more.
fn left_by(service: &mut Option<(Endpoint, Limits)>, seed: u64) -> i64 {
    let crowd = Crowd { exchanges: 2, calls_each: 20, phones: 60, arrive_in_ms: 30_000 };
    let allocated = allocation_counter::measure(|| {
        let _replay = Replay(seed);
        let mut world = World::new(seed, Clock::system().instant(), crowd, false);
        if let Some(service) = service.take() {
            (world.service, world.limits) = service;
        }
        *service = Some(world.run_on());
    });
    allocated.bytes_current
}

#[test]
fn memory_returns_to_where_it_began() {
    let mut service = None;
    let mut held: Vec<i64> = vec![];
    // The same callers five times over: the first two times tables grow to the room that the fullest run needs.
    for seed in (0..12).cycle().take(60) {
        let before = held.last().copied().unwrap_or_default();
        held.push(before + left_by(&mut service, seed));
    }
    println!("octets held after each run: {held:?}");
    assert_eq!(held[59], held[23], "something is added by callers who were there before: {held:?}");
    let freed = allocation_counter::measure(|| drop(service.take())).bytes_current;
    assert_eq!(held[59] + freed, 0, "octets that nobody owns");
}
