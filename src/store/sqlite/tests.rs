//! The contract and the constraints on SQLite, and what is SQLite's own.

use crate::klikon;
use crate::store::activations::{ACTIVATIONS_OF_BOTH, ACTIVATIONS_OF_GROUP, ACTIVATIONS_OF_MONTH};
use crate::store::book::{TRANSFERS_OF_BOTH, TRANSFERS_OF_GROUP};
use crate::store::columns::Columns;
use crate::store::constraints::{self, booked, each_constraint};
use crate::store::contract::{self, Database, each_case};
use crate::store::months::{ITEMS, ITEMS_OF_CONTRACT};
use crate::store::{Actor, GrantChannel, HoldOutcome, Settings, Store, StoreError, commit};
use crate::units::{FixedNumber, Msisdn};
use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;

/// A database file in a folder of its own.
struct File(TempDir);

impl Database for File {
    fn settings(&self) -> Settings {
        Settings::for_file(self.0.path().join("klikon.db"))
    }

    fn past_trigger(&self, trigger: &str, statement: &str) -> String {
        format!("PRAGMA defer_foreign_keys = ON; DROP TRIGGER {trigger}; {statement}")
    }

    fn replaces(&self) -> bool {
        true
    }
}

fn file() -> File {
    File(tempfile::tempdir().unwrap())
}

macro_rules! contract_tests {
    ($($case:ident),*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            contract::$case(&file()).await;
        })*
    };
}
each_case! { contract_tests }

macro_rules! constraint_tests {
    ($($case:ident),*) => {
        $(#[tokio::test]
        async fn $case() {
            constraints::$case(&file()).await;
        })*
    };
}
each_constraint! { constraint_tests }

#[test]
fn a_plain_model_agrees() {
    contract::a_plain_model_agrees(file);
}

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

/// Where the disk is full or fails SQLite undoes the transaction under way, and refuses the ROLLBACK that follows: that ends
/// the connection, and not the service.
#[tokio::test]
async fn a_transaction_that_sqlite_undid_by_itself_is_got_over() {
    let file = file();
    let store = Store::open(&file.settings()).await.unwrap();
    let mut write = store.write().await.unwrap();
    sqlx::query("ROLLBACK").execute(&mut *write).await.unwrap();
    drop(write);
    store.create_group(&FixedNumber::parse("042250928").unwrap(), now()).await.unwrap();
}

/// A failed commit says that nobody knows, and the connection is good for the next transaction.
#[tokio::test]
async fn a_commit_that_fails_is_an_unknown_outcome() {
    let file = file();
    let store = booked(&file).await;
    let mut write = store.write().await.unwrap();
    let orphan =
        "PRAGMA defer_foreign_keys = ON; INSERT INTO accounts (kind, group_id) VALUES ('receivable', 99)";
    sqlx::raw_sql(orphan).execute(&mut *write).await.unwrap();
    let error = commit(write).await.unwrap_err();
    assert!(matches!(error, StoreError::OutcomeUnknown(_)), "{error}");
    store.seed_catalogue(klikon::day_of(now())).await.unwrap();
    assert_eq!(store.audit().await.unwrap().activations, 3);
}

/// What counts for nothing alone does not wait for the disk, and the next booking does again.
#[tokio::test]
async fn only_what_is_deferred_does_not_wait_for_the_disk() {
    let file = file();
    let store = booked(&file).await;
    for (durable, synchronous) in [(true, 2), (false, 1), (true, 2)] {
        let mut write = if durable { store.booking().await } else { store.deferred().await }.unwrap();
        let row = sqlx::query("PRAGMA synchronous").fetch_one(&mut *write).await.unwrap();
        assert_eq!(row.integer("synchronous").unwrap(), synchronous);
        commit(write).await.unwrap();
    }
}

#[tokio::test]
async fn opens_a_file_of_its_own_twice_and_says_what_is_wrong_with_others() {
    let file = file();
    let settings = file.settings();
    let (one, two) = tokio::join!(Store::open(&settings), Store::open(&settings));
    assert_eq!(
        (one.unwrap().groups().await.unwrap().len(), two.unwrap().groups().await.unwrap().len()),
        (0, 0)
    );
    let nowhere = Settings::for_file(file.0.path().join("no/such/folder/klikon.db"));
    assert!(Store::open(&nowhere).await.unwrap_err().to_string().contains("check that its folder exists"));
    let text = file.0.path().join("text.db");
    std::fs::write(&text, "this is not a database, but it is long enough to look at".repeat(100)).unwrap();
    assert!(Store::open(&Settings::for_file(text)).await.is_err());
}

/// Where the processes of a race find the database, and which of them one is.
const RACE: &str = "KLIKON_TEST_RACE";
const PROCESSES: u16 = 4;

/// Processes that open one file race for one group's limit: exactly what fits is held, and everything else is refused.
/// This test starts itself again, as each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_race_for_one_limit_in_several_processes() {
    if let Ok(race) = std::env::var(RACE) {
        return race_as_one_process(&race).await;
    }
    let file = file();
    let (store, _) = contract::store_of_a_family(&file).await;
    let path = file.0.path().join("klikon.db");
    let processes: Vec<_> = (0..PROCESSES)
        .map(|n| {
            tokio::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--nocapture"])
                .arg("store::sqlite::tests::two_hundred_race_for_one_limit_in_several_processes")
                .env(RACE, format!("{n} {}", path.display()))
                .stdout(std::process::Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap()
        })
        .collect();
    let (mut held, mut refused) = (0, 0);
    for process in processes {
        let output = process.wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        held += said.matches("HELD").count();
        refused += said.matches("REFUSED").count();
    }
    assert_eq!((held, refused), (contract::FIT, usize::from(contract::RACERS) - contract::FIT));
    assert_eq!(store.audit().await.unwrap().activations, contract::FIT as u64);
}

async fn race_as_one_process(race: &str) {
    let (n, path) = race.split_once(' ').unwrap();
    let n: u16 = n.parse().unwrap();
    let store = Store::open(&Settings { busy_timeout_ms: 60_000, ..Settings::for_file(path) }).await.unwrap();
    let mut running = tokio::task::JoinSet::new();
    for racer in (0..contract::RACERS).filter(|racer| racer % PROCESSES == n) {
        let (store, order) = (store.clone(), contract::racer(&store, racer).await);
        running.spawn(async move { store.hold(&order).await.unwrap() });
    }
    for outcome in running.join_all().await {
        match outcome {
            HoldOutcome::Held(_) => println!("HELD"),
            HoldOutcome::Refused(_) => println!("REFUSED"),
            HoldOutcome::Exists(activation) => panic!("{activation:?}"),
        }
    }
}

/// What was erased stands nowhere in the files any more, wherever its row had been before.
#[tokio::test]
async fn what_is_erased_is_not_in_the_file() {
    let file = file();
    let (store, _) = contract::store_of_a_family(&file).await;
    let contract = FixedNumber::parse("042250928").unwrap();
    let member = Msisdn::parse("0672123456").unwrap();
    for name in ["Artan Zogjani", "Besnik Zogjani"] {
        store.set_contact(&contract, Some(name), Some("zogjani@example.com"), now()).await.unwrap();
    }
    store.grant_leader(&contract, member, "Zogjani", &GrantChannel::Online, now()).await.unwrap();
    store.revoke_leader(&contract, now()).await.unwrap();
    let holds = |needle: &str| {
        ["klikon.db", "klikon.db-wal"].iter().any(|name| {
            let octets = std::fs::read(file.0.path().join(name)).unwrap_or_default();
            octets.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
        })
    };
    assert!(holds("Zogjani"));
    let clerk = Actor::new("A. Clerk", Some("request 17"), now()).unwrap();
    store.acting_as(clerk).erase_contract(&contract, now()).await.unwrap();
    assert!(!holds("Zogjani"), "a name is left in the file");
    assert!(holds("request 17"));
}

/// What one group or contract asks for reads no other's rows.
#[tokio::test]
async fn a_part_is_read_by_an_index() {
    let file = file();
    let store = booked(&file).await;
    for query in [
        ACTIVATIONS_OF_GROUP,
        ACTIVATIONS_OF_MONTH,
        ACTIVATIONS_OF_BOTH,
        TRANSFERS_OF_GROUP,
        TRANSFERS_OF_BOTH,
        ITEMS,
        ITEMS_OF_CONTRACT,
    ] {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
        let rows = sqlx::query(explain).bind("1").bind("1").fetch_all(&store.readers).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
        let scans = |step: &&String| step.starts_with("SCAN ") && !step.starts_with("SCAN CONSTANT");
        assert_eq!(plan.iter().find(scans), None, "{query}: {plan:#?}");
    }
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {ITEMS_OF_CONTRACT}"));
    let rows = sqlx::query(explain).bind("1").bind("1").fetch_all(&store.readers).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
    assert!(plan.iter().any(|step| step.contains("activations_chain")), "{plan:#?}");
}
