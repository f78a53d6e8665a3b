//! The store on PostgreSQL 15 and later, and on what speaks as it does (`docs/scaling.md`). The SQL keeps to rows locked
//! with FOR UPDATE, identities and triggers in PL/pgSQL: no advisory lock, no notification.

mod grants;
mod migrate;
mod warnings;

pub use grants::{RoleError, grants};
pub(super) use warnings::heard_in;

use super::database::{Backend, Store};
use super::{Actor, OpenError, PostgresUrl, Settings};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AssertSqlSafe, Executor};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// How long a session may stand in a transaction without a word before the server ends it, ms: a service that hangs
/// holds no lock for longer.
const IDLE_IN_TRANSACTION_TIMEOUT_MS: u32 = 60_000;

/// Connects, and brings the tables to this version, or finds that they are.
pub(super) async fn open(url: &PostgresUrl, settings: &Settings) -> Result<Store, OpenError> {
    let server = |source| OpenError::Server { server: url.to_string(), source };
    let options = AnyConnectOptions::from_str(url.with_password()).map_err(server)?;
    migrate::to_this_version(&options, url).await?;
    let session = session_settings(settings);
    let pool = |connections| {
        let session = session.clone();
        AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_millis(settings.acquire_timeout_ms.into()))
            .after_connect(move |connection, _| {
                let session = session.clone();
                Box::pin(async move {
                    connection.execute(sqlx::raw_sql(AssertSqlSafe(session))).await?;
                    Ok(())
                })
            })
            .connect_lazy_with(options.clone())
    };
    Ok(Store {
        readers: pool(settings.readers),
        writers: pool(settings.writers),
        backend: Backend::Postgres,
        actor: Arc::new(Actor::program()),
    })
}

/// What each session is told first. Only numbers and words of this program stand in it.
fn session_settings(settings: &Settings) -> String {
    format!(
        "SET lock_timeout = {}; SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
         SET synchronous_commit = '{}'",
        settings.busy_timeout_ms,
        settings.statement_timeout_ms,
        IDLE_IN_TRANSACTION_TIMEOUT_MS,
        settings.synchronous_commit.label()
    )
}

#[cfg(test)]
mod tests;
