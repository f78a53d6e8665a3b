//! The store on SQLite: WAL, `synchronous=FULL` (a commit survives a power cut), foreign keys on, one connection that
//! writes with `BEGIN IMMEDIATE` and several that read. Other processes may use the same file.

mod activations;
mod book;
mod booking;
mod calls;
mod catalogue;
mod columns;
mod groups;
mod import;
mod outbox;
mod ping;
mod pins;
mod settlement;
mod standing;

#[cfg(test)]
mod constraints;

use super::{OpenError, Settings, StoreError};
use ping::FileIdentity;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};
use std::sync::Arc;
use std::time::Duration;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The database. Cheap to clone; all clones share its connections.
///
/// A future of a writing method that is dropped before it ends rolls back, or has committed: spawn what must end.
#[derive(Debug, Clone)]
pub struct Store {
    readers: SqlitePool,
    writer: SqlitePool,
    /// The file they hold.
    file: Arc<FileIdentity>,
}

/// Tries to connect to a file that another process is just turning to WAL: a second in all.
const CONNECT_TRIES: u32 = 50;
const CONNECT_AGAIN_AFTER: Duration = Duration::from_millis(20);

type Write = Transaction<'static, Sqlite>;

impl Store {
    /// Opens the database, makes the file where it is missing, and brings its tables to this version.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        settings.check()?;
        let path = settings.url.path();
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_millis(settings.busy_timeout_ms.into()));
        let acquire_timeout = Duration::from_millis(settings.acquire_timeout_ms.into());
        let pool = |connections| {
            SqlitePoolOptions::new().max_connections(connections).acquire_timeout(acquire_timeout)
        };
        let file_error = |source| OpenError::File { path: path.to_owned(), source };
        let writer = connect(|| pool(1).connect_with(options.clone())).await.map_err(file_error)?;
        // Within one transaction, so that of two processes that open a new file one waits for the other.
        let mut migration = writer.begin_with("BEGIN IMMEDIATE").await.map_err(file_error)?;
        MIGRATIONS
            .run(&mut *migration)
            .await
            .map_err(|source| OpenError::Migration { path: path.to_owned(), source })?;
        migration.commit().await.map_err(file_error)?;
        let readers = pool(settings.readers).connect_lazy_with(options);
        let file = FileIdentity::of(path).map_err(|error| file_error(error.into()))?;
        Ok(Self { readers, writer, file: Arc::new(file) })
    }

    /// Waits for what is running and closes the connections.
    pub async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }

    /// A transaction that writes. It holds the database's one write lock from the start, so that what it reads is
    /// still true when it writes. Dropped without [`commit`], it rolls back.
    async fn write(&self) -> Result<Write, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::Unavailable)
    }

    /// A transaction that reads one state of the database.
    async fn read(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.readers.begin().await.map_err(StoreError::Unavailable)
    }
}

/// Connects. SQLite does not wait where two processes turn a new file to WAL at the same time: one is told that it is
/// locked, and tries again.
async fn connect<F: Future<Output = Result<SqlitePool, sqlx::Error>>>(
    try_once: impl Fn() -> F,
) -> Result<SqlitePool, sqlx::Error> {
    for _ in 1..CONNECT_TRIES {
        match try_once().await {
            Err(error) if is_locked(&error) => tokio::time::sleep(CONNECT_AGAIN_AFTER).await,
            answer => return answer,
        }
    }
    try_once().await
}

/// Whether another connection was in the way (`SQLITE_BUSY`, 5, in the primary part of the code).
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

/// Commits. When this fails nobody knows what the disk holds, and that is what the error says.
async fn commit(transaction: Write) -> Result<(), StoreError> {
    transaction.commit().await.map_err(StoreError::OutcomeUnknown)
}
