//! The connections and transactions of a store, whichever database it is on.

use super::postgres;
use super::retry::{self, Failure, retried};
use super::sqlite::{self, FileIdentity};
use super::{Actor, DatabaseUrl, OpenError, Settings, StoreError};
use crate::units::Month;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Transaction};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// The database. Cheap to clone; all clones share its connections.
///
/// A future of a writing method that is dropped before it ends rolls back, or has committed: spawn what must end.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) readers: AnyPool,
    pub(super) writers: AnyPool,
    pub(super) backend: Backend,
    /// In whose name it changes what is administered.
    pub(super) actor: Arc<Actor>,
}

/// SQLite's one writing connection is told anew what its next commit waits for, since [`Store::deferred`] says otherwise.
const BEGIN_DURABLE: &str = "PRAGMA synchronous = FULL; BEGIN IMMEDIATE";

/// What a store stands on.
#[derive(Debug, Clone)]
pub(super) enum Backend {
    /// A file, by the one that is held open.
    Sqlite(Arc<FileIdentity>),
    /// A server.
    Postgres,
}

impl Store {
    /// Opens the database and brings its tables to this version. A file is made where it is missing; a server's database
    /// must be there.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        settings.check()?;
        sqlx::any::install_default_drivers();
        match &settings.url {
            DatabaseUrl::Sqlite(path) => sqlite::open(path, settings).await,
            DatabaseUrl::Postgres(url) => postgres::open(url, settings).await,
        }
    }

    /// Waits for what is running and closes the connections.
    pub async fn close(&self) {
        self.writers.close().await;
        self.readers.close().await;
    }

    /// A transaction that changes what is administered. What it reads is still true when it commits: SQLite has one
    /// writer, from the transaction's start; PostgreSQL refuses one of two that are in each other's way, and
    /// [`retried`] tries it again. Dropped without [`commit`], it rolls back.
    pub(super) async fn write(&self) -> Result<Write, StoreError> {
        self.begin(match self.backend {
            Backend::Sqlite(_) => BEGIN_DURABLE,
            Backend::Postgres => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        })
        .await
    }

    /// A transaction that books. On PostgreSQL each of its statements sees what is committed by then, so it must first
    /// lock what it goes by: the group's row, which those who change the group lock too. Dropped without [`commit`], it
    /// rolls back.
    pub(super) async fn booking(&self) -> Result<Write, StoreError> {
        self.begin(match self.backend {
            Backend::Sqlite(_) => BEGIN_DURABLE,
            Backend::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        })
        .await
    }

    /// A transaction whose commit does not wait for the disk: it is lost only in a power cut (a crash of the database's
    /// server on PostgreSQL) before the next commit of the others is answered, which makes it durable with itself. For
    /// what counts for nothing without that commit.
    pub(super) async fn deferred(&self) -> Result<Write, StoreError> {
        self.begin(match self.backend {
            Backend::Sqlite(_) => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = off",
        })
        .await
    }

    async fn begin(&self, statement: &'static str) -> Result<Write, StoreError> {
        let transaction = self.writers.begin_with(statement).await.map_err(StoreError::Unavailable)?;
        let locks_rows = matches!(self.backend, Backend::Postgres);
        Ok(Write { transaction, locks_rows, actor: Arc::clone(&self.actor) })
    }

    /// A connection for one statement that reads: it sees one state of the database by itself.
    pub(super) async fn reader(&self) -> Result<PoolConnection<Any>, StoreError> {
        self.readers.acquire().await.map_err(StoreError::Unavailable)
    }

    /// A transaction that reads one state of the database.
    pub(super) async fn read(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let statement = match self.backend {
            Backend::Sqlite(_) => "BEGIN",
            Backend::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.readers.begin_with(statement).await.map_err(StoreError::Unavailable)
    }

    /// The same, for what reads a whole month: its statements take as long as they need.
    pub(super) async fn read_at_length(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let mut read = self.read().await?;
        if matches!(self.backend, Backend::Postgres) {
            sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *read).await?;
        }
        Ok(read)
    }

    /// Does a change in one transaction of [`Store::write`], again where another was in its way, and commits.
    /// The work gives the transaction back with its answer.
    pub(super) async fn change<T, E, F>(&self, work: impl Fn(Write) -> F) -> Result<T, E>
    where
        E: Failure + From<StoreError>,
        F: Future<Output = Result<(T, Write), E>>,
    {
        retried(|| async {
            let (value, write) = work(self.write().await?).await?;
            commit(write).await?;
            Ok(value)
        })
        .await
    }
}

/// A transaction that writes.
#[derive(Debug)]
pub(super) struct Write {
    transaction: Transaction<'static, Any>,
    /// Whether rows must be locked: a database with one writer locks itself.
    locks_rows: bool,
    /// Whom its changes are noted for.
    pub(super) actor: Arc<Actor>,
}

impl Deref for Write {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

impl Write {
    /// Locks the rows that a query with one text ends on, until the transaction ends. The query ends in `FOR UPDATE`.
    pub(super) async fn lock_by_text(&mut self, query: &'static str, key: &str) -> Result<(), StoreError> {
        if self.locks_rows {
            sqlx::query(query).bind(key).fetch_all(&mut **self).await?;
        }
        Ok(())
    }

    /// Lets the statements of this transaction take as long as they need: for what reads a whole month.
    pub(super) async fn without_time_limit(&mut self) -> Result<(), StoreError> {
        if self.locks_rows {
            sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut **self).await?;
        }
        Ok(())
    }

    /// Locks the row of a month against its close until the transaction ends; others that book share it. Who makes the row
    /// has it to himself.
    pub(super) async fn share_month(&mut self, month: Month) -> Result<(), StoreError> {
        self.lock_by_text("SELECT month FROM months WHERE month = $1 FOR SHARE", &month.to_string()).await
    }

    /// Locks the row of a group: who books for it and who changes it come one after the other.
    pub(super) async fn lock_group(&mut self, group: crate::units::GroupId) -> Result<(), StoreError> {
        if self.locks_rows {
            sqlx::query("SELECT id FROM groups WHERE id = $1 FOR UPDATE")
                .bind(group.0)
                .fetch_all(&mut **self)
                .await?;
        }
        Ok(())
    }

    /// Whether the database is a file.
    pub(super) fn is_file(&self) -> bool {
        !self.locks_rows
    }

    /// Undoes the transaction.
    pub(super) async fn rollback(self) -> Result<(), StoreError> {
        self.transaction.rollback().await.map_err(StoreError::Unavailable)
    }
}

/// Commits. Where the database says that it rolled back, nothing was changed; when it fails in another way nobody knows
/// what the disk holds, and that is what the error says. So it does when PostgreSQL warns that it has committed without
/// waiting for a standby any longer: what a failover would leave of that, nobody knows either.
pub(super) async fn commit(write: Write) -> Result<(), StoreError> {
    let Write { transaction, locks_rows, .. } = write;
    let (answer, warning) = if locks_rows {
        postgres::heard_in(transaction.commit()).await
    } else {
        (transaction.commit().await, None)
    };
    match (answer, warning) {
        (Ok(()), None) => Ok(()),
        (Ok(()), Some(warning)) => {
            tracing::warn!(?warning, "the server committed with a warning");
            Err(StoreError::OutcomeUnknown(sqlx::Error::Protocol(format!("committed, but: {warning}"))))
        }
        (Err(error), _) if retry::is_rolled_back(&error) => Err(StoreError::Unavailable(error)),
        (Err(error), _) => Err(StoreError::OutcomeUnknown(error)),
    }
}
