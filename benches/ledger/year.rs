//! A year of use: each month's activations are booked, settled and delivered, and the month is closed. All by the store's
//! own methods, with the instants of that year; only nobody phones.

use crate::family::Family;
use crate::rate::processor_time;
use jiff::{SignedDuration, Timestamp};
use klikon::klikon::SmsAlphabet;
use klikon::store::{HoldOutcome, Settings, Settlement, Store};
use klikon::units::Month;
use klikon::units::clock::Clock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::path::Path;
use std::time::{Duration, Instant};

/// Activations between two passes of delivery.
const DELIVERED_TOGETHER: usize = 1_000;
/// One in so many is rejected by the network.
const REJECTED: u32 = 50;
/// How the database's size is told.
const MEBIBYTE: f64 = 1_048_576.0;

struct Year {
    store: Store,
    family: Family,
    groups: usize,
    random: StdRng,
    clock: Clock,
    file: std::path::PathBuf,
    transfers: u64,
    /// At how many transfers the next line on the cost of a booking is due.
    milestone: u64,
    refused: u64,
}

/// Simulates so many activations a month of so many groups, in a new database in `folder`.
pub async fn simulate(groups: usize, activations: usize, folder: &Path) {
    let folder = tempfile::tempdir_in(folder).expect("a temporary folder");
    let file = folder.path().join("klikon.db");
    let clock = Clock::system();
    let store = Store::open(&Settings::for_file(&file)).await.expect("the ledger is made");
    let first: Month = "2025-01".parse().expect("a month");
    let began = clock.instant();
    let family = Family::settle_in(&store, groups, first.start()).await;
    println!("{groups} groups, {activations} activations a month, SQLite in {}", folder.path().display());
    println!("  groups imported in {:.0} s", (clock.instant() - began).as_secs_f64());
    let random = StdRng::seed_from_u64(130);
    let mut year =
        Year { store, family, groups, random, clock, file, transfers: 0, milestone: 10_000, refused: 0 };
    let mut month = first;
    for _ in 0..12 {
        year.month(month, activations).await;
        month = month.next();
    }
    let began = clock.instant();
    let audit = year.store.audit().await.expect("the ledger is clean");
    println!(
        "  verified: {} activations, {} transfers, in {:.0} s; {} orders were beyond their limit",
        audit.activations,
        year.transfers,
        (clock.instant() - began).as_secs_f64(),
        year.refused
    );
    year.store.close().await;
}

impl Year {
    async fn month(&mut self, month: Month, activations: usize) {
        let (began, processor) = (self.clock.instant(), processor_time());
        let length = month.end().duration_since(month.start());
        let mut since = (self.clock.instant(), 0);
        for number in 0..activations {
            let share = number as f64 / activations as f64;
            let at = month.start() + SignedDuration::from_secs_f64(length.as_secs_f64() * share);
            self.activate(number as u64, at).await;
            since.1 += 1;
            if self.transfers >= self.milestone {
                let each = (self.clock.instant() - since.0).as_secs_f64() * 1e6 / f64::from(since.1);
                println!("  at {} transfers: {each:.0} us a booking with its settlement", self.milestone);
                self.milestone *= 10;
            }
            if number % DELIVERED_TOGETHER == DELIVERED_TOGETHER - 1 {
                self.deliver(at).await;
                since = (self.clock.instant(), 0);
            }
        }
        self.deliver(month.end()).await;
        let each = (self.clock.instant() - began).as_secs_f64() * 1e6 / activations as f64;
        let processor = (processor_time() - processor).as_secs_f64() * 1e6 / activations as f64;
        let closed = self.close(month).await;
        let size = std::fs::metadata(&self.file).map_or(0, |file| file.len());
        println!(
            "  {month}: {each:.0} us each, {processor:.0} of the processor; closed in {:.1} s; {} transfers, {:.0} MiB",
            closed.as_secs_f64(),
            self.transfers,
            size as f64 / MEBIBYTE
        );
    }

    /// One confirmation, and the network's word on it.
    async fn activate(&mut self, number: u64, at: Timestamp) {
        let group = self.random.random_range(0..self.groups);
        let package = self.random.random_range(0..self.family.packages.len());
        let order = self.family.order(group, package, number, at);
        self.store.record_attempt(&order).await.expect("it is recorded");
        match self.store.hold(&order).await.expect("it is booked") {
            HoldOutcome::Held(_) => {}
            HoldOutcome::Refused(_) => {
                self.refused += 1;
                return;
            }
            HoldOutcome::Exists(known) => panic!("{known:?}"),
        }
        let settlement = match self.random.random_range(0..REJECTED) {
            0 => Settlement::Void { reason: "the network said no".to_owned() },
            _ => Settlement::Post,
        };
        let settled =
            self.store.settle(order.id, &settlement, at + SignedDuration::from_secs(2), SmsAlphabet::Plain);
        settled.await.expect("it is settled");
        self.transfers += 6;
    }

    async fn deliver(&self, at: Timestamp) {
        loop {
            let due = self.store.outbox_due(5_000).await.expect("it is read");
            let ids: Vec<i64> = due.iter().map(|row| row.id).collect();
            if ids.is_empty() {
                return;
            }
            self.store.outbox_sent(&ids, at).await.expect("they are marked");
        }
    }

    async fn close(&self, month: Month) -> Duration {
        let began: Instant = self.clock.instant();
        let at = month.end() + SignedDuration::from_hours(1);
        self.store.close_month(month, "bench", at).await.expect("it is closed");
        self.clock.instant() - began
    }
}
