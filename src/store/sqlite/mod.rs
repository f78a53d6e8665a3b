//! The store on SQLite: WAL, `synchronous=FULL` (a commit survives a power cut), foreign keys on, one connection that
//! writes with `BEGIN IMMEDIATE` and several that read. Other processes may use the same file.

mod file;

pub(super) use file::FileIdentity;

use super::database::{Backend, Store};
use super::{Actor, OpenError, Settings};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use std::fmt::Write;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Tries to connect to a file that another process is just turning to WAL: a second in all.
const CONNECT_TRIES: u32 = 50;
const CONNECT_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Opens the file, makes it where it is missing, and brings its tables to this version.
pub(super) async fn open(path: &Path, settings: &Settings) -> Result<Store, OpenError> {
    let file_error = |source| OpenError::File { path: path.to_owned(), source };
    let options = options(path).map_err(file_error)?;
    let session = session_settings(settings);
    let mut connection = connect(&options, &session).await.map_err(file_error)?;
    // Within one transaction, so that of two processes that open a new file one waits for the other.
    let mut migration = connection.begin_with("BEGIN IMMEDIATE").await.map_err(file_error)?;
    MIGRATIONS
        .run_direct(None, &mut *migration, false)
        .await
        .map_err(|source| OpenError::Migration { place: path.display().to_string(), source })?;
    migration.commit().await.map_err(file_error)?;
    connection.close().await.map_err(file_error)?;
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
            .after_release(|connection, _| Box::pin(is_free(connection)))
            .connect_lazy_with(options.clone())
    };
    let file = FileIdentity::of(path).map_err(|error| file_error(error.into()))?;
    Ok(Store {
        readers: pool(settings.readers),
        writers: pool(1),
        backend: Backend::Sqlite(Arc::new(file)),
        actor: Arc::new(Actor::program()),
    })
}

/// The file as a URL, by its folder's real place, so that nothing in its name means anything in a URL.
fn options(path: &Path) -> Result<AnyConnectOptions, sqlx::Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let path = folder.canonicalize()?.join(path.file_name().unwrap_or_default());
    let mut url = "sqlite://".to_owned();
    for octet in path.as_os_str().as_encoded_bytes() {
        if octet.is_ascii_alphanumeric() || b"/-_.".contains(octet) {
            url.push(char::from(*octet));
        } else {
            // Writing to a string does not fail.
            let _ = write!(url, "%{octet:02X}");
        }
    }
    AnyConnectOptions::from_str(&(url + "?mode=rwc"))
}

/// What each connection is told first. Only a number stands in it. What is written over within a page is zeroed, so that
/// nothing that is erased later stands in a page twice.
fn session_settings(settings: &Settings) -> String {
    format!(
        "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA secure_delete = FAST",
        settings.busy_timeout_ms
    )
}

/// Connects. SQLite does not wait where two processes turn a new file to WAL at the same time: one is told that it is
/// locked, and tries again.
async fn connect(options: &AnyConnectOptions, session: &str) -> Result<AnyConnection, sqlx::Error> {
    let try_once = async || {
        let mut connection = AnyConnection::connect_with(options).await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(session.to_owned()))).await?;
        Ok(connection)
    };
    for _ in 1..CONNECT_TRIES {
        match try_once().await {
            Err(error) if is_locked(&error) => tokio::time::sleep(CONNECT_AGAIN_AFTER).await,
            answer => return answer,
        }
    }
    try_once().await
}

/// Whether a connection that comes back is out of its transaction. SQLite undoes one by itself where the disk is full or fails;
/// its ROLLBACK is refused then, and the connection, which still counts it, would begin none any more: another takes its
/// place.
async fn is_free(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    // A transaction that was dropped is rolled back before this is answered.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Whether another connection was in the way (`SQLITE_BUSY`, 5, in the primary part of the code).
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

#[cfg(test)]
mod tests;
