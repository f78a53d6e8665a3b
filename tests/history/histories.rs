//! Histories of concurrent clients under faults, and the proof that each fits one serial order.
//!
//! `KLIKON_HISTORIES=100` says how many seeds are run on each database, `KLIKON_HISTORY=7` begins at that one.

use crate::chance::Chance;
use crate::checker::{Answer, Entry, check};
use crate::clients::{self, Witness};
use crate::family::{self, Family};
use crate::postgres::Cluster;
use crate::severing::{Asked, Severing, Verdict};
use klikon::store::{Settings, Store};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Seeds that are run where nothing else is said.
const HISTORIES: u64 = 2;
/// In Lek.
const LIMIT: i64 = 6500;
const GROUPS: u16 = 2;
/// Each has connections of its own.
const STORES: usize = 3;
const CLIENTS: usize = 8;
/// Answers that each client wants to hear in one round, between two faults of the whole server.
const ANSWERS: u32 = 12;
const ROUNDS: u64 = 3;

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let first = number("KLIKON_HISTORY").unwrap_or(1);
    first..first + number("KLIKON_HISTORIES").unwrap_or(HISTORIES)
}

async fn families(store: &Store) -> Vec<Family> {
    let mut families = Vec::new();
    for number in 1..=GROUPS {
        families.push(Family::found(store, number).await);
    }
    families
}

/// Lets the clients of one round loose, each on one of the stores.
fn start(witness: &Arc<Witness>, stores: &[Store], seed: u64, round: u64) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for client in 0..CLIENTS {
        let chance = Chance::new(seed << 16 | round << 8 | client as u64);
        let store = stores[client % stores.len()].clone();
        running.spawn(clients::run(Arc::clone(witness), store, chance, ANSWERS));
    }
    running
}

async fn finish(mut running: JoinSet<()>) {
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
}

/// Proves each group's history, and yields how many outcomes were unknown.
async fn prove(witness: &Witness, store: &Store, seed: u64) -> usize {
    store.audit().await.unwrap();
    let (mut calls, mut full, mut unknown) = (0, 0, 0);
    for (history, chain) in witness.histories(store).await {
        if let Err(misfit) = check(LIMIT, &history, Some(&chain)) {
            panic!("seed {seed}: {misfit}\nthe ledger: {chain:?}\nall of it: {history:#?}");
        }
        calls += history.len();
        let is_full = |entry: &&Entry| matches!(entry.ended, Some((_, Answer::Full { .. })));
        full += history.iter().filter(is_full).count();
        unknown += history.iter().filter(|entry| entry.ended.is_none()).count();
    }
    println!("seed {seed}: {calls} calls, {full} beyond the limit, {unknown} of unknown outcome");
    assert!(full > 0, "the limit was never put to the test");
    unknown
}

/// Cuts one COMMIT in four and one other round in a hundred, in each of the ways.
fn cut_at_random(relay: &Severing, seed: u64) {
    let mut chance = Chance::new(seed);
    relay.judge(move |asked| {
        let times = match asked {
            Asked::Statement { sql: "COMMIT", .. } => 4,
            Asked::Statement { .. } | Asked::Connection => 100,
        };
        if chance.one_in(times) {
            chance.pick(&[Verdict::CutBefore, Verdict::CutMidway, Verdict::CutAfter])
        } else {
            Verdict::Pass
        }
    });
}

/// Connections are cut all the time, and the server is killed and started again in the middle of each round but the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_fit_on_postgresql_that_is_cut_off_and_killed() {
    let mut cluster = Cluster::start().unwrap();
    for seed in seeds() {
        let name = format!("history_{seed}");
        let direct = family::open(cluster.database(&name).await.unwrap(), 1).await;
        let witness = Witness::new(families(&direct).await);
        let relay = Severing::start(cluster.folder()).await.unwrap();
        let mut stores = Vec::new();
        for _ in 0..STORES {
            stores.push(family::open(relay.url(&name), 4).await);
        }
        cut_at_random(&relay, seed);
        for round in 0..ROUNDS {
            let mut running = start(&witness, &stores, seed, round);
            if round + 1 < ROUNDS {
                // Somebody is done, and the others are in the middle of something.
                running.join_next().await.expect("clients").unwrap();
                cluster.stop_at_once().unwrap();
                cluster.start_again().unwrap();
            }
            finish(running).await;
        }
        relay.judge(|_| Verdict::Pass);
        assert!(prove(&witness, &direct, seed).await > 0, "no reply was lost");
        direct.close().await;
    }
}

/// Stores that hardly wait for each other's locks: many calls are told that the file is busy, which changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_fit_on_sqlite_that_is_busy() {
    for seed in seeds() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::for_file(folder.path().join("klikon.db"));
        let patient = Store::open(&settings).await.unwrap();
        let witness = Witness::new(families(&patient).await);
        let mut stores = vec![patient.clone()];
        for _ in 1..STORES {
            stores.push(Store::open(&Settings { busy_timeout_ms: 1, ..settings.clone() }).await.unwrap());
        }
        for round in 0..ROUNDS {
            finish(start(&witness, &stores, seed, round)).await;
        }
        prove(&witness, &patient, seed).await;
    }
}
