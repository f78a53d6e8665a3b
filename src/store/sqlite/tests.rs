//! The contract and the constraints on SQLite, and what is SQLite's own.

use crate::klikon;
use crate::store::constraints::{self, booked, each_constraint};
use crate::store::contract::{self, Database, each_case};
use crate::store::{Settings, Store, StoreError, commit};
use jiff::Timestamp;
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
