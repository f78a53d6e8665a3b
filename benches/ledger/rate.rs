//! Bookings a second, and what of the processor one takes, beside bare ones.

use crate::bare::Bare;
use crate::cluster::Cluster;
use crate::family::Family;
use jiff::Timestamp;
use klikon::store::{DatabaseUrl, HoldOutcome, Settings, Store};
use klikon::units::clock::Clock;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Bookings of a group in the month: the first one begins it.
const ROUNDS: usize = 4;
/// The bare INSERT with the database's own rules, and without; and the name of its database.
const RULES: [(bool, &str); 2] = [(true, "held"), (false, "bare")];
/// Clients at once, on PostgreSQL; SQLite has one writer.
const CLIENTS: usize = 8;

/// Measures so many bookings on each database.
pub async fn measure(bookings: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!("{bookings} bookings, each commit on the disk");
    let file = |name: &str| Settings::for_file(folder.path().join(name));
    let booked = ledger("SQLite, one client", &file("booked.db"), bookings, 1).await;
    for (rules, name) in RULES {
        let url = format!("sqlite://{}", folder.path().join(name).display());
        compare(&booked, rules, &bare(&file(name), &url, bookings, 1, rules).await);
    }
    let cluster = Cluster::start_durable().expect("a cluster of PostgreSQL");
    for clients in [1, CLIENTS] {
        let name = |what: &str| format!("{what}_{clients}");
        let url = cluster.database(&name("booked")).await.expect("a database");
        let settings = served(&url);
        let title = format!("PostgreSQL, clients: {clients}");
        let booked = ledger(&title, &settings, bookings, clients).await;
        for (rules, database) in RULES {
            let url = cluster.database(&name(database)).await.expect("a database");
            compare(&booked, rules, &bare(&served(&url), &url, bookings, clients, rules).await);
        }
    }
}

fn served(url: &str) -> Settings {
    let url = DatabaseUrl::try_from(url.to_owned()).expect("the cluster's own");
    Settings { url, ..Settings::default() }
}

/// Bookings a second, and microseconds of this process's time that one takes.
struct Rate {
    a_second: f64,
    processor_us: f64,
}

fn compare(booked: &Rate, rules: bool, bare: &Rate) {
    println!(
        "    bare INSERT, {} {:>7.0} a second, {:>6.0} us of this process: booked at {:.0} % of the rate",
        if rules { "rules held " } else { "no triggers" },
        bare.a_second,
        bare.processor_us,
        100.0 * booked.a_second / bare.a_second
    );
}

async fn ledger(title: &str, settings: &Settings, bookings: usize, clients: usize) -> Rate {
    let (store, family, at) = filled(settings, bookings).await;
    let watch = Watch::start();
    let mut running = JoinSet::new();
    for client in 0..clients {
        let (store, family) = (store.clone(), Arc::clone(&family));
        running.spawn(async move {
            for number in of_client(client, clients, bookings) {
                let order = family.order(number / ROUNDS, 0, number as u64, at);
                store.record_attempt(&order).await.expect("it is recorded");
                let held = store.hold(&order).await.expect("it is booked");
                assert!(matches!(held, HoldOutcome::Held(_)), "{held:?}");
            }
        });
    }
    running.join_all().await;
    let rate = watch.rate(bookings);
    store.close().await;
    println!("  {title}");
    println!(
        "    attempt and hold         {:>7.0} a second, {:>6.0} us of this process",
        rate.a_second, rate.processor_us
    );
    rate
}

async fn bare(settings: &Settings, url: &str, bookings: usize, clients: usize, rules: bool) -> Rate {
    let (store, family, at) = filled(settings, bookings).await;
    store.close().await;
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Bare::open(url, rules).await);
    }
    let watch = Watch::start();
    let mut running = JoinSet::new();
    for (client, mut bare) in connections.into_iter().enumerate() {
        let family = Arc::clone(&family);
        running.spawn(async move {
            for number in of_client(client, clients, bookings) {
                let round = (number % ROUNDS) as i64;
                bare.book(&family, number / ROUNDS, round, number as u64, at).await;
            }
        });
    }
    running.join_all().await;
    watch.rate(bookings)
}

/// The bookings of a client: of every so manyth group.
fn of_client(client: usize, clients: usize, bookings: usize) -> impl Iterator<Item = usize> {
    (0..bookings).filter(move |number| number / ROUNDS % clients == client)
}

/// A new ledger with the groups for so many bookings, and when they are made.
async fn filled(settings: &Settings, bookings: usize) -> (Store, Arc<Family>, Timestamp) {
    let at = Clock::system().wall();
    let store = Store::open(settings).await.expect("the ledger is made");
    let family = Family::settle_in(&store, bookings.div_ceil(ROUNDS), at).await;
    (store, Arc::new(family), at)
}

/// When something began, by both clocks.
struct Watch {
    clock: Clock,
    began: Instant,
    processor: Duration,
}

impl Watch {
    fn start() -> Self {
        let clock = Clock::system();
        Self { clock, began: clock.instant(), processor: processor_time() }
    }

    fn rate(&self, bookings: usize) -> Rate {
        let lasted = self.clock.instant() - self.began;
        Rate {
            a_second: bookings as f64 / lasted.as_secs_f64(),
            processor_us: (processor_time() - self.processor).as_secs_f64() * 1e6 / bookings as f64,
        }
    }
}

/// What this process has taken of the processor.
pub fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
