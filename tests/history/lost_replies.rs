//! Connections cut at every round between the store and PostgreSQL: what is known is done or not done, what is not known
//! is said to be unknown, and the same again does it once.

use crate::family::{id, month};
use crate::operation::{Bench, Heard, OPERATIONS, Operation};
use crate::severing::{Asked, Severing, Verdict};
use klikon::store::{BookFilter, HoldError, HoldOutcome, StoreError};
use std::sync::{Arc, Mutex};

/// More rounds than any of the transactions has.
const ROUNDS_MAX: usize = 60;

/// What the relay saw of one operation.
#[derive(Debug, Default)]
struct Seen {
    rounds: Vec<String>,
    /// The statement that was cut.
    cut: Option<String>,
}

/// Cuts the round of this number, counted from the beginning of the next transaction, in this way; once. What comes before, a
/// rollback or a look whether the server is there, may or may not be over by now.
fn cut_round(relay: &Severing, round: usize, verdict: Verdict) -> Arc<Mutex<Seen>> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let told = Arc::clone(&seen);
    relay.judge(move |asked| {
        let mut seen = told.lock().unwrap();
        let said = match asked {
            Asked::Connection => "a connection".to_owned(),
            Asked::Statement { sql, .. } => sql.to_owned(),
        };
        if seen.rounds.is_empty() && !said.starts_with("BEGIN") {
            return Verdict::Pass;
        }
        seen.rounds.push(said.clone());
        if seen.rounds.len() != round + 1 {
            return Verdict::Pass;
        }
        seen.cut = Some(said);
        verdict
    });
    seen
}

/// Each operation, cut at each of its rounds in each way: unknown is what was cut at its COMMIT, and nothing else; what was
/// cut before is done again by itself, and a COMMIT is never sent twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_commit_without_its_reply_is_unknown_and_the_same_again_does_it_once() {
    let bench = Bench::new().await;
    for operation in OPERATIONS {
        // The statements are prepared, so that each round is one of the transaction itself.
        let mut case = operation as u32 * 1000;
        bench.prepare(operation, case).await;
        assert_eq!(bench.perform(&bench.cut_off, operation, case).await, Heard::Done, "{operation:?}");
        bench.clear(operation, case).await;
        for verdict in [Verdict::CutBefore, Verdict::CutMidway, Verdict::CutAfter] {
            let (mut round, mut commits) = (0, 0);
            while {
                case += 1;
                let cut = cut_once(&bench, operation, case, round, verdict).await;
                commits += usize::from(cut.as_deref() == Some("COMMIT"));
                round += 1;
                assert!(round < ROUNDS_MAX, "{operation:?} has no end");
                cut.is_some()
            } {}
            assert!(commits > 0, "{operation:?} was cut at no COMMIT");
        }
    }
    let seen = bench.direct.audit().await.unwrap();
    let filter = BookFilter { group: Some(bench.family.group), month: Some(month()) };
    let booked = bench.direct.activations(filter).await.unwrap();
    assert_eq!((seen.activations, seen.pending), (booked.len() as u64, 0));
}

/// One operation, cut at one round. Yields the statement that was cut; none when it had fewer rounds.
async fn cut_once(
    bench: &Bench,
    operation: Operation,
    case: u32,
    round: usize,
    verdict: Verdict,
) -> Option<String> {
    bench.prepare(operation, case).await;
    let seen = cut_round(&bench.relay, round, verdict);
    let heard = bench.perform(&bench.cut_off, operation, case).await;
    bench.relay.judge(|_| Verdict::Pass);
    let Seen { rounds, cut } = std::mem::take(&mut *seen.lock().unwrap());
    let about = format!("{operation:?}, {verdict:?} at {cut:?} of {rounds:#?}");
    let is_commit = cut.as_deref() == Some("COMMIT");
    assert_eq!(heard, if is_commit { Heard::Unknown } else { Heard::Done }, "{about}");
    assert_eq!(rounds.iter().filter(|sql| *sql == "COMMIT").count(), 1, "{about}");
    let again = bench.perform(&bench.cut_off, operation, case).await;
    let expected = match (operation, is_commit && verdict != Verdict::CutAfter) {
        (_, true) => Heard::Done,
        (Operation::Attempt, false) => Heard::Done,
        (Operation::PinAttempt, false) => Heard::DoneAgain,
        (_, false) => Heard::DoneBefore,
    };
    assert_eq!(again, expected, "again: {about}");
    bench.clear(operation, case).await;
    cut
}

/// Where no connection can be made nothing was done; one that can be made after a few tries is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_connect_says_so_and_connects_again() {
    let bench = Bench::new().await;
    let connections = Arc::new(Mutex::new(0));
    for (refused, case) in [(3, 1), (usize::MAX, 2)] {
        let made = Arc::clone(&connections);
        *made.lock().unwrap() = 0;
        let mut was_cut = false;
        bench.relay.judge(move |asked| match asked {
            Asked::Connection => {
                let mut made = made.lock().unwrap();
                *made += 1;
                if *made <= refused { Verdict::CutBefore } else { Verdict::Pass }
            }
            // What is connected yet is not for long.
            Asked::Statement { .. } if !was_cut => {
                was_cut = true;
                Verdict::CutBefore
            }
            Asked::Statement { .. } => Verdict::Pass,
        });
        let outcome = bench.cut_off.hold(&bench.family.order(case, 700)).await;
        match refused {
            3 => assert!(matches!(outcome, Ok(HoldOutcome::Held(_))), "{outcome:?}"),
            _ => assert!(matches!(outcome, Err(HoldError::Store(StoreError::Unavailable(_)))), "{outcome:?}"),
        }
        assert!(*connections.lock().unwrap() > 3);
    }
    bench.relay.judge(|_| Verdict::Pass);
    let booked = bench.direct.activations(BookFilter::default()).await.unwrap();
    assert_eq!(booked.iter().map(|activation| activation.id).collect::<Vec<_>>(), [id(1)]);
    let outcome = bench.cut_off.hold(&bench.family.order(2, 700)).await.unwrap();
    assert!(matches!(outcome, HoldOutcome::Held(_)), "{outcome:?}");
    assert_eq!(bench.direct.audit().await.unwrap().activations, 2);
}
