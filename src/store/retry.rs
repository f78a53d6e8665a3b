//! What is tried again, and what is not: a transaction that certainly changed nothing because another was in its way, or
//! because its connection was lost before the commit. An outcome that nobody knows is never repeated here: whoever has
//! an id for it asks with that.

use super::{AdminError, CloseError, HoldError, SettleError, StoreError};
use sqlx::postgres::PgDatabaseError;
use std::time::Duration;

/// Tries of one transaction, with waits of 1, 2, 4, … ms between them: a quarter of a second in all.
const TRIES: u32 = 9;

/// An error that may come from the database.
pub(super) trait Failure {
    /// The database's part of it.
    fn of_store(&self) -> Option<&StoreError>;
}

impl Failure for StoreError {
    fn of_store(&self) -> Option<&StoreError> {
        Some(self)
    }
}

macro_rules! failure {
    ($($error:ident),*) => {
        $(impl Failure for $error {
            fn of_store(&self) -> Option<&StoreError> {
                match self {
                    Self::Store(error) => Some(error),
                    _ => None,
                }
            }
        })*
    };
}

failure!(AdminError, CloseError, HoldError, SettleError);

/// Does the work again while it fails in a way that passes, at most [`TRIES`] times.
pub(super) async fn retried<T, E, F>(work: impl Fn() -> F) -> Result<T, E>
where
    E: Failure,
    F: Future<Output = Result<T, E>>,
{
    for attempt in 1..TRIES {
        match work().await {
            Err(error) if error.of_store().is_some_and(passes) => {
                drop(error);
                tracing::debug!(attempt, "a transaction is tried again");
                tokio::time::sleep(Duration::from_millis(1 << (attempt - 1))).await;
            }
            answer => return answer,
        }
    }
    work().await
}

/// Whether nothing was changed, and the next try may fare better.
fn passes(error: &StoreError) -> bool {
    let StoreError::Unavailable(error) = error else { return false };
    match sqlstate(error) {
        // Serialization failure, deadlock; a row that another put there after the transaction had looked for it; a server
        // that stops, starts, or cuts the connection.
        Some(code) => {
            matches!(code, "40001" | "40P01" | "23505" | "57P01" | "57P02" | "57P03")
                || code.starts_with("08")
        }
        None => matches!(error, sqlx::Error::Io(_)),
    }
}

/// Whether an error in answer to COMMIT says that the transaction was rolled back: a constraint looked at only then, or
/// a conflict with another transaction. "Statement completion unknown" is not among them.
pub(super) fn is_rolled_back(error: &sqlx::Error) -> bool {
    sqlstate(error).is_some_and(|code| code != "40003" && (code.starts_with("40") || code.starts_with("23")))
}

/// The SQLSTATE of an error of a PostgreSQL server.
fn sqlstate(error: &sqlx::Error) -> Option<&str> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::code)
}
