//! The service is killed at random instants while many call, on SQLite and on PostgreSQL, again and again on the same ledger.
//! Everything but the machine's own speed follows from the seed.
//!
//! `KLIKON_KILLS=500` says how many kills, `KLIKON_SEED=7` where the random numbers begin (`make crash`).

use super::caller::{Caller, phone};
use super::cluster::Cluster;
use super::house::{House, Service, Wanted, on_threads, postgres_template, sqlite_template};
use super::invariants::{FAILURES, REJECTED, SUCCESSES};
use super::logs::Call;
use super::waiting::{now, pass, until};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// Kills among the other tests.
const KILLS: usize = 12;
/// Kills that one ledger goes through.
const KILLS_OF_A_HOUSE: usize = 20;
/// Ledgers at once.
const AT_ONCE: usize = 4;
/// Groups of a ledger, and how many of their leaders phone at once.
const GROUPS: usize = 16;
const CALLERS: usize = 6;
/// Between the first and the last who dials.
const DIALLING_MS: u64 = 400;
/// From the first confirmation to the kill, at most: by then the last SMS of the first call is out.
const AFTER_CONFIRMATION_MS: u64 = 900;
/// From the start to the kill, where it does not wait for a confirmation.
const AFTER_START_MS: u64 = 3_000;

/// What came of all of it.
#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    kills: usize,
    calls: usize,
    confirmed: usize,
    booked: usize,
    /// Heard that it was booked, or that it was not.
    told: usize,
    /// The line died after the confirmation, before anything was said; and how many of these were booked.
    cut_off: usize,
    cut_off_and_booked: usize,
    reversed: usize,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.calls += other.calls;
        self.confirmed += other.confirmed;
        self.booked += other.booked;
        self.told += other.told;
        self.cut_off += other.cut_off;
        self.cut_off_and_booked += other.cut_off_and_booked;
        self.reversed += other.reversed;
    }
}

/// How a number is given from outside.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// One time from a start to a kill.
fn round(house: &mut House, random: &mut StdRng) {
    house.peer.answer(random.random_bool(0.85));
    let service = house.serve(None);
    let mut groups: Vec<usize> = (0..GROUPS).collect();
    let mut callers = Vec::new();
    let reversal = random.random_bool(0.3).then(|| reverse(house, random)).flatten();
    for _ in 0..CALLERS {
        let group = groups.swap_remove(random.random_range(0..groups.len()));
        let wanted = Wanted::new(group, random.random_range(0..3), random.random_range(1..=3));
        callers.push(phone(service.address(), &wanted));
        pass(Duration::from_millis(random.random_range(0..DIALLING_MS / CALLERS as u64)));
    }
    wait_to_kill(&callers, random);
    service.kill();
    for caller in callers {
        house.remember(caller.cut());
    }
    if let Some(mut reversal) = reversal {
        // It may be through, or dies too.
        let _ = reversal.kill();
        reversal.wait().unwrap();
    }
}

/// Mostly around a booking, since most instants of a call are dull; but any.
fn wait_to_kill(callers: &[Caller], random: &mut StdRng) {
    if random.random_bool(0.8) {
        until(|| callers.iter().any(Caller::has_confirmed));
        pass(Duration::from_millis(random.random_range(0..AFTER_CONFIRMATION_MS)));
    } else {
        pass(Duration::from_millis(random.random_range(0..AFTER_START_MS)));
    }
}

/// An administrator takes a posted activation back meanwhile.
fn reverse(house: &mut House, random: &mut StdRng) -> Option<Child> {
    let history = house.history(false);
    let posted: Vec<_> = history.rows.settlements.iter().filter(|one| one.result == "post").collect();
    let chosen = &posted.choose(random)?.activation;
    let mut command = house.klikon();
    command.args(["bill", "reverse", "--reason", "a mistake", "--by", "Shërbimi", chosen]);
    Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// A ledger's life.
fn live(house: &mut House, kills: usize, seed: u64, progress: impl Fn()) -> Result<Sums, String> {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..kills {
        round(house, &mut random);
        if random.random_bool(0.5) {
            house.peer.start_again();
        }
        house.look()?;
        progress();
    }
    house.peer.answer(true);
    let service: Service = house.serve(None);
    house.rest()?;
    let history = house.judge(true)?;
    service.kill();
    let booked = |call: &&Call| {
        let next = house.calls().iter().filter(|other| other.caller == call.caller);
        let until = next
            .filter_map(|other| other.confirmed_at_ms)
            .filter(|at| Some(*at) > call.confirmed_at_ms)
            .min();
        let from = call.confirmed_at_ms.unwrap_or(i64::MAX);
        history.rows.activations.iter().any(|one| {
            one.caller == call.caller && (from..until.unwrap_or(i64::MAX)).contains(&one.held_at_ms)
        })
    };
    let confirmed = || house.calls().iter().filter(|call| call.confirmed_at_ms.is_some());
    let told =
        |call: &&Call| call.has_heard(&SUCCESSES) || call.has_heard(&FAILURES) || call.has_heard(&[REJECTED]);
    Ok(Sums {
        kills,
        calls: house.calls().len(),
        confirmed: confirmed().count(),
        booked: history.rows.activations.len(),
        told: confirmed().filter(told).count(),
        cut_off: confirmed().filter(|call| !told(call)).count(),
        cut_off_and_booked: confirmed().filter(|call| !told(call)).filter(booked).count(),
        reversed: history.rows.reversals.len(),
    })
}

#[test]
fn random_kills() {
    let kills = number("KLIKON_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap());
    let seed = number("KLIKON_SEED").unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    eprintln!("{kills} kills, seed {seed}: KLIKON_KILLS={kills} KLIKON_SEED={seed} makes the same plan");
    let template = sqlite_template(GROUPS);
    let cluster = Cluster::start().unwrap();
    postgres_template(&cluster, GROUPS);
    let of_a_house = KILLS_OF_A_HOUSE.min(kills.div_ceil(2)).max(1);
    let houses = kills.div_ceil(of_a_house);
    let (done, sums) = (Mutex::new(0), Mutex::new(Sums::default()));
    let failed = Mutex::new(Vec::new());
    let (began, progress) = (now(), || {
        let mut done = done.lock().unwrap();
        *done += 1;
        if *done % 25 == 0 {
            eprintln!("{} of {kills} kills", *done);
        }
    });
    on_threads(AT_ONCE, |index| {
        if index >= houses || !failed.lock().unwrap().is_empty() {
            return false;
        }
        let mut house = match index % 2 {
            0 => House::on_sqlite(&template, ""),
            _ => House::on_postgres(&cluster, &format!("house_{index}"), ""),
        };
        let kills = of_a_house.min(kills - index * of_a_house);
        match live(&mut house, kills, seed + index as u64, progress) {
            Ok(lived) => sums.lock().unwrap().add(lived),
            Err(error) => failed.lock().unwrap().push(format!("---- ledger {index}: {error}")),
        }
        true
    });
    eprintln!("{:?} in {} s", sums.lock().unwrap(), began.elapsed().as_secs());
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "KLIKON_KILLS={kills} KLIKON_SEED={seed}\n{}", failed.join("\n"));
}
