//! Bookings of which the database did not say whether they were made. The caller was told that the result comes by SMS, so
//! the service goes on asking with the same id, after the call too, until the ledger says.

use crate::store::{ActivationOrder, HoldError, HoldOutcome, Store, StoreError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Questions about one booking: with the waits between them some twenty minutes. What is not known by then stands as an
/// attempt without an activation, or as an activation that delivery has seen to.
const QUESTIONS: u32 = 30;
/// The longest wait between two.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Bookings that are asked for at once. Of one more nothing is asked: it stands as an attempt.
const ASKED_MAX: usize = 10_000;

static ASKED: Semaphore = Semaphore::const_new(ASKED_MAX);

/// Asks until the ledger says what became of it. A booking that was made is found by its id; one that was not is made
/// now, as the caller confirmed it and was told, or refused by the rules of now.
pub(super) async fn resolve(store: Store, order: ActivationOrder) {
    let Ok(_asked) = ASKED.try_acquire() else {
        return tracing::error!(activation = %order.id, "too many bookings are of unknown outcome to ask for this one; `klikon calls` shows it");
    };
    for question in 0..QUESTIONS {
        tokio::time::sleep(wait(question)).await;
        match super::try_once(&store, &order).await {
            Ok(HoldOutcome::Exists(_)) => {
                return tracing::info!(activation = %order.id, "a booking of unknown outcome was made");
            }
            Ok(HoldOutcome::Held(_)) => {
                return tracing::info!(activation = %order.id, "a booking of unknown outcome is made now");
            }
            Ok(HoldOutcome::Refused(refusal)) => {
                return tracing::error!(activation = %order.id, ?refusal, "a booking of unknown outcome was not made, and cannot be now");
            }
            Err(HoldError::Store(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                return tracing::error!(activation = %order.id, error, "a booking of unknown outcome was not made");
            }
        }
    }
    tracing::error!(activation = %order.id, "the outcome of a booking is still unknown; `klikon calls` shows it");
}

/// A quarter of a second, then twice as long each time.
fn wait(question: u32) -> Duration {
    Duration::from_millis(250).saturating_mul(2_u32.saturating_pow(question)).min(WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_become_rarer_and_end() {
        let waits: Vec<u64> = (0..QUESTIONS).map(|question| wait(question).as_secs()).collect();
        assert_eq!(waits[..11], [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert!((20 * 60..30 * 60).contains(&waits.iter().sum::<u64>()));
    }
}
