//! A COMMIT that waits for a synchronous standby, and is not waited for to its end: committed on this server, and nobody
//! knows whether a failover would keep it. So it is unknown, and the same again waits too before it says that it exists.

use crate::family::{id, now};
use crate::operation::{Bench, Heard, Operation, contract_of_case};
use klikon::store::{AdminError, StoreError};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A safety net: no test waits so long unless it has failed.
const FOR_EVER: Duration = Duration::from_secs(60);

/// What waits for a standby is told this.
const CANCEL: &str = "pg_cancel_backend(pid)";
const TERMINATE: &str = "pg_terminate_backend(pid)";

/// Operations that can be told apart from their first time.
const OPERATIONS: [Operation; 4] =
    [Operation::Hold, Operation::Settle, Operation::Reverse, Operation::CloseMonth];

/// A server whose standby is never there, and an operator at it.
struct Server {
    bench: Arc<Bench>,
    operator: PgConnection,
}

impl Server {
    async fn new() -> Self {
        let bench = Arc::new(Bench::new().await);
        for (case, operation) in (0..).zip(OPERATIONS) {
            bench.prepare(operation, case).await;
        }
        let operator = PgConnection::connect(&bench.cluster.url("ledger")).await.unwrap();
        Self { bench, operator }
    }

    async fn tell(&mut self, sql: String) -> Vec<sqlx::postgres::PgRow> {
        sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut self.operator).await.unwrap()
    }

    async fn set_standby(&mut self, name: &str) {
        self.tell(format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'")).await;
        self.tell("SELECT pg_reload_conf()".to_owned()).await;
    }

    /// Says something of every COMMIT that waits, until the work is over.
    async fn until_over<T>(&mut self, work: JoinHandle<T>, say: &str) -> T {
        let over = async {
            while !work.is_finished() {
                self.tell(format!("SELECT {say} FROM pg_stat_activity WHERE wait_event = 'SyncRep'")).await;
            }
            work.await.unwrap()
        };
        tokio::time::timeout(FOR_EVER, over).await.expect("the work has an end")
    }

    /// Waits until a COMMIT waits; the work must not be over then.
    async fn until_waiting<T>(&mut self, work: &JoinHandle<T>) {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let seen = async {
            while self.tell(waits.to_owned()).await[0].get::<i64, _>(0) == 0 {
                assert!(!work.is_finished(), "answered, though no standby has it");
            }
        };
        tokio::time::timeout(FOR_EVER, seen).await.expect("a COMMIT that waits");
    }

    fn perform(&self, case: u32, operation: Operation) -> JoinHandle<Heard> {
        let bench = Arc::clone(&self.bench);
        tokio::spawn(async move { bench.perform(&bench.direct, operation, case).await })
    }

    /// Names a standby that is not there. The server follows in its own time: that is seen at a COMMIT that waits.
    async fn lose_standby(&mut self) {
        self.set_standby("lost").await;
        let bench = Arc::clone(&self.bench);
        let tries = tokio::spawn(async move {
            for number in 1000.. {
                let made = bench.direct.create_group(&contract_of_case(number), now()).await;
                if let Err(AdminError::Store(StoreError::OutcomeUnknown(error))) = made {
                    return error.to_string();
                }
            }
            unreachable!()
        });
        let warning = self.until_over(tries, CANCEL).await;
        assert!(warning.contains("synchronous replication"), "{warning}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_for_a_standby_that_is_cancelled_is_unknown_and_the_same_again_waits() {
    let mut server = Server::new().await;
    server.lose_standby().await;
    for (case, operation) in (0..).zip(OPERATIONS) {
        // The warning that comes with success, and a connection that ends; first and again.
        for (say, time) in [(CANCEL, 1), (TERMINATE, 2), (CANCEL, 3)] {
            let work = server.perform(case, operation);
            server.until_waiting(&work).await;
            let heard = server.until_over(work, say).await;
            assert_eq!(heard, Heard::Unknown, "{operation:?}, {say}, time {time}");
        }
    }
    // Each is there, for whoever reads this server.
    assert!(server.bench.direct.activation(id(0)).await.unwrap().is_some());
    // The standby is given up, or comes back: what waits is answered, with what was done the first time.
    let work = server.perform(0, Operation::Hold);
    server.until_waiting(&work).await;
    server.set_standby("").await;
    assert_eq!(server.until_over(work, "1").await, Heard::DoneBefore);
    for (case, operation) in (0..).zip(OPERATIONS).skip(1) {
        let work = server.perform(case, operation);
        assert_eq!(server.until_over(work, "1").await, Heard::DoneBefore, "{operation:?}");
    }
    assert_eq!(server.bench.direct.audit().await.unwrap().activations, 3);
}
