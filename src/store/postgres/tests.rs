//! The contract and the constraints on PostgreSQL, each case in a database of its own on one throw-away cluster.

#[path = "../../../tests/support/postgres.rs"]
mod cluster;

use crate::store::constraints::{self, each_constraint};
use crate::store::contract::{self, Database, each_case};
use crate::store::{DatabaseUrl, OpenError, Settings, Store};
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

type Case = for<'a> fn(&'a dyn Database) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Runs all cases, a few at a time, and names those that fail.
async fn run(cases: Vec<(&'static str, Case)>) {
    let cluster = Arc::new(Cluster::start().unwrap());
    let turns = Arc::new(Semaphore::new(CASES_AT_ONCE));
    let mut running = JoinSet::new();
    let mut names = std::collections::HashMap::new();
    for (name, case) in cases {
        let (cluster, turns) = (Arc::clone(&cluster), Arc::clone(&turns));
        let task = running.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            case(&served(&cluster, name).await).await;
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
    run(each_case! { contract_cases }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_itself_refuses() {
    run(each_constraint! { constraint_cases }).await;
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
