//! The contract and the constraints on PostgreSQL, each case in a database of its own on one throw-away cluster.

#[path = "../../../tests/support/postgres.rs"]
mod cluster;

use crate::store::columns::Columns;
use crate::store::constraints::{self, each_constraint};
use crate::store::contract::{self, Database, FIT, RACERS, each_case, racer, store_of_a_family};
use crate::store::{DatabaseUrl, HoldOutcome, OpenError, PingError, Settings, Store, commit, grants};
use cluster::Cluster;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Cases that run at the same time: each has two stores with eight connections at most.
const CASES_AT_ONCE: usize = 4;

/// A database on a server.
struct Served(Settings);

impl Database for Served {
    fn settings(&self) -> Settings {
        self.0.clone()
    }

    fn past_trigger(&self, _: &str, statement: &str) -> String {
        format!("SET LOCAL session_replication_role = replica; {statement}")
    }

    fn replaces(&self) -> bool {
        false
    }
}

async fn served(cluster: &Cluster, name: &str) -> Served {
    let url = DatabaseUrl::try_from(cluster.database(name).await.unwrap()).unwrap();
    Served(Settings { url, ..Settings::default() })
}

/// The same for the service's own role, with the tables made by their owner and no rights but those of [`grants`].
async fn granted(cluster: &Cluster, name: &str) -> Served {
    let owner = served(cluster, name).await;
    let store = Store::open(&owner.0).await.unwrap();
    let sql = sqlx::AssertSqlSafe(grants(ROLE).unwrap());
    sqlx::raw_sql(sql).execute(&store.writers).await.unwrap();
    store.close().await;
    let url = DatabaseUrl::try_from(cluster.url_for(name, ROLE)).unwrap();
    Served(Settings { url, ..Settings::default() })
}

/// Whom the service runs as.
const ROLE: &str = "klikon_service";

type Case = for<'a> fn(&'a dyn Database) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Runs all cases, a few at a time, as the service or as the owner of the tables, and names those that fail.
async fn run(cases: Vec<(&'static str, Case)>, as_service: bool) {
    let cluster = Arc::new(Cluster::start().unwrap());
    cluster.role(ROLE).await.unwrap();
    let turns = Arc::new(Semaphore::new(CASES_AT_ONCE));
    let mut running = JoinSet::new();
    let mut names = std::collections::HashMap::new();
    for (name, case) in cases {
        let (cluster, turns) = (Arc::clone(&cluster), Arc::clone(&turns));
        let task = running.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            let database =
                if as_service { granted(&cluster, name).await } else { served(&cluster, name).await };
            case(&database).await;
        });
        names.insert(task.id(), name);
    }
    let mut failed = Vec::new();
    while let Some(done) = running.join_next().await {
        if let Err(error) = done {
            failed.push(names[&error.id()]);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

macro_rules! contract_cases {
    ($($case:ident),*) => {
        vec![$((stringify!($case), (|database| Box::pin(contract::$case(database))) as Case)),*]
    };
}

macro_rules! constraint_cases {
    ($($case:ident),*) => {
        vec![$((stringify!($case), (|database| Box::pin(constraints::$case(database))) as Case)),*]
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds() {
    run(each_case! { contract_cases }, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_itself_refuses() {
    run(each_constraint! { constraint_cases }, false).await;
}

#[test]
fn a_plain_model_agrees() {
    let cluster = Cluster::start().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let count = std::cell::Cell::new(0);
    contract::a_plain_model_agrees(|| {
        count.set(count.get() + 1);
        runtime.block_on(served(&cluster, &format!("model_{}", count.get())))
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opens_an_empty_database_several_times_and_says_what_is_wrong_with_others() {
    let cluster = Cluster::start().unwrap();
    let settings = served(&cluster, "empty").await.0;
    let opened = (0..4).map(|_| {
        let settings = settings.clone();
        tokio::spawn(async move { Store::open(&settings).await.unwrap().groups().await.unwrap().len() })
    });
    for opened in opened.collect::<Vec<_>>() {
        assert_eq!(opened.await.unwrap(), 0);
    }
    let url = DatabaseUrl::try_from(cluster.url("nowhere")).unwrap();
    let error = Store::open(&Settings { url, ..Settings::default() }).await.unwrap_err();
    assert!(matches!(&error, OpenError::Server { server, .. } if server == "postgres:///nowhere"), "{error}");
}

/// The role of the service can do its work (the contract is run as it), and nothing to what is booked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_s_role_can_change_nothing_that_is_booked() {
    let cluster = Cluster::start().unwrap();
    cluster.role(ROLE).await.unwrap();
    let service = granted(&cluster, "granted").await;
    let (store, _) = store_of_a_family(&service).await;
    let order = racer(&store, 1).await;
    assert!(matches!(store.hold(&order).await.unwrap(), HoldOutcome::Held(_)));
    let tables = [
        "activations",
        "accounts",
        "transfers",
        "settlements",
        "reversals",
        "attempts",
        "terms",
        "administration",
    ];
    for table in tables {
        for statement in [
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table} CASCADE"),
            format!("DROP TABLE {table} CASCADE"),
            format!("ALTER TABLE {table} DISABLE TRIGGER ALL"),
            format!("UPDATE {table} SET {}", same(table)),
        ] {
            let said = refusal(&store, &statement).await;
            assert!(
                said.contains("permission denied") || said.contains("must be owner"),
                "{statement}: {said}"
            );
        }
    }
    for statement in [
        "UPDATE limit_months SET granted_qindarka = 900000",
        "DELETE FROM limit_months",
        "DELETE FROM outbox",
        "UPDATE outbox SET recipient = '+355690000000'",
        "UPDATE closed_months SET closed_by = 'x'",
        "DELETE FROM closed_months",
        "DELETE FROM bill_acknowledgements",
        "DROP TRIGGER limit_months_follow ON limit_months",
        "SET session_replication_role = replica",
        "CREATE OR REPLACE FUNCTION never_updated() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    ] {
        let said = refusal(&store, statement).await;
        assert!(said.contains("permission denied") || said.contains("must be owner"), "{statement}: {said}");
    }
    // What it may change, the trigger of the table holds.
    let said = refusal(&store, "UPDATE limit_months SET used_qindarka = 0").await;
    assert!(said.contains("says what its rows say"), "{said}");
    store.audit().await.unwrap();
    for bad in ["", "Klikon", "x; DROP TABLE transfers", "7", &"x".repeat(64)] {
        assert!(grants(bad).is_err(), "{bad}");
    }
}

/// A change of a table's rows to what they are.
fn same(table: &str) -> &'static str {
    match table {
        "activations" => "call_id = call_id",
        "accounts" => "kind = kind",
        "transfers" => "amount_qindarka = amount_qindarka",
        "settlements" | "reversals" | "attempts" => "activation_id = activation_id",
        "administration" => "actor = actor",
        _ => "limit_qindarka = limit_qindarka",
    }
}

async fn refusal(store: &Store, statement: &str) -> String {
    let mut write = store.write().await.unwrap();
    let sql = sqlx::AssertSqlSafe(statement.to_owned());
    match sqlx::raw_sql(sql).execute(&mut *write).await {
        Ok(done) => format!("done: {} rows", done.rows_affected()),
        Err(error) => error.to_string(),
    }
}

/// Stores with pools of their own, as services on several machines have them, race for one group's limit: exactly what fits
/// is held, everything else is refused, and no conflict reaches a caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_race_for_one_limit_with_several_pools() {
    let cluster = Cluster::start().unwrap();
    let database = served(&cluster, "race").await;
    let (first, group) = store_of_a_family(&database).await;
    let mut stores = vec![first];
    for _ in 0..3 {
        stores.push(Store::open(&database.0).await.unwrap());
    }
    let mut running = JoinSet::new();
    for n in 0..RACERS {
        let store = stores[usize::from(n) % stores.len()].clone();
        let order = racer(&store, n).await;
        running.spawn(async move { store.hold(&order).await });
    }
    let (mut held, mut refused) = (0, 0);
    while let Some(done) = running.join_next().await {
        match done.unwrap().expect("no conflict reaches a caller") {
            HoldOutcome::Held(_) => held += 1,
            HoldOutcome::Refused(_) => refused += 1,
            HoldOutcome::Exists(activation) => panic!("{activation:?}"),
        }
    }
    assert_eq!((held, refused), (FIT, usize::from(RACERS) - FIT));
    let month = stores[0].activations(Default::default()).await.unwrap()[0].month;
    assert!(stores[1].remaining(group, month).await.unwrap().qindarka() == 0);
    let seen = stores[2].audit().await.unwrap();
    assert_eq!(seen.activations, FIT as u64);
}

/// What counts for nothing alone does not wait for the disk, and the next booking does again.
#[tokio::test]
async fn only_what_is_deferred_does_not_wait_for_the_disk() {
    let cluster = Cluster::start().unwrap();
    let store = Store::open(&served(&cluster, "notes").await.0).await.unwrap();
    for (durable, synchronous) in [(true, "on"), (false, "off"), (true, "on")] {
        let mut write = if durable { store.booking().await } else { store.deferred().await }.unwrap();
        let row = sqlx::query("SHOW synchronous_commit").fetch_one(&mut *write).await.unwrap();
        assert_eq!(row.text("synchronous_commit").unwrap(), synchronous);
        commit(write).await.unwrap();
    }
}

/// A password is for the server only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_never_shown() {
    let cluster = Cluster::start().unwrap();
    cluster.database("secret").await.unwrap();
    let role = cluster::ROLE_WITH_PASSWORD;
    let made = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 's3cr3t'; GRANT ALL ON DATABASE secret TO {role}; \
                        GRANT ALL ON SCHEMA public TO {role}"
    );
    cluster.execute("secret", &made).await.unwrap();
    let settings = |password: &str| {
        let url = format!("{}&password={password}", cluster.url_for("secret", role));
        Settings { url: DatabaseUrl::try_from(url).unwrap(), ..Settings::default() }
    };
    let wrong = Store::open(&settings("wr0ng-s3cr3t")).await.unwrap_err();
    let mut said = format!("{wrong:?}");
    let mut cause: Option<&dyn std::error::Error> = Some(&wrong);
    while let Some(error) = cause {
        said += &format!(": {error}");
        cause = error.source();
    }
    assert!(said.contains("password authentication failed"), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
    let right = settings("s3cr3t");
    let store = Store::open(&right).await.unwrap();
    assert_eq!(store.groups().await.unwrap(), []);
    assert!(!format!("{store:?} {right:?}").contains("s3cr3t"));
}

/// A server that cut the connections is asked again on others; what was booked before is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_cut_are_made_again() {
    let cluster = Cluster::start().unwrap();
    let database = served(&cluster, "cut").await;
    let (store, _) = store_of_a_family(&database).await;
    for n in 0..3 {
        let order = racer(&store, n).await;
        cluster
            .execute(
                "postgres",
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'cut'",
            )
            .await
            .unwrap();
        assert!(matches!(store.hold(&order).await.unwrap(), HoldOutcome::Held(_)), "{n}");
    }
    store.ping(std::time::Duration::from_secs(60)).await.unwrap();
    cluster.execute("cut", "ALTER DATABASE cut SET default_transaction_read_only = on").await.unwrap();
    let standby = Store::open(&database.0).await.unwrap();
    let unable = standby.ping(std::time::Duration::from_secs(60)).await;
    assert!(matches!(unable, Err(PingError::ReadOnly)), "{unable:?}");
    assert_eq!(standby.audit().await.unwrap().activations, 3);
}
