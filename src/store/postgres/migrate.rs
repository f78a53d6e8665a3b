//! The tables' way to this program's version, with several programs starting at the same time.

use crate::store::{OpenError, PostgresUrl, StoreError};
use sqlx::any::{AnyConnectOptions, AnyRow};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, Connection, Executor, Row};
use std::time::Duration;

/// Tries where two programs make the first table at the same time: the server refuses one of them.
const TRIES: u32 = 20;
const AGAIN_AFTER: Duration = Duration::from_millis(50);

fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!("migrations/postgres");
    // The lock of the migrator is an advisory one; ours is a row's.
    migrations.set_locking(false);
    migrations
}

/// Applies what is missing. Where nothing is, nothing is written: then the rights of the service's role are enough.
pub(super) async fn to_this_version(options: &AnyConnectOptions, url: &PostgresUrl) -> Result<(), OpenError> {
    let server = |source| OpenError::Server { server: url.to_string(), source };
    let mut connection = AnyConnection::connect_with(options).await.map_err(server)?;
    let migrations = migrations();
    if !is_current(&mut connection, &migrations).await {
        let mut tries = 1;
        while let Err(source) = migrate(&mut connection, options, &migrations).await {
            if tries == TRIES || !is_race(&source) {
                return Err(OpenError::Migration { place: url.to_string(), source });
            }
            tries += 1;
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
    connection.close().await.map_err(|error| StoreError::Unavailable(error).into())
}

/// Whether exactly this program's migrations were applied. Where that cannot be read, they were not.
async fn is_current(connection: &mut AnyConnection, migrations: &Migrator) -> bool {
    let query = sqlx::query("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version");
    let Ok(rows) = connection.fetch_all(query).await else { return false };
    let applied = |row: &AnyRow| {
        Some((row.try_get::<i64, _>("version").ok()?, row.try_get::<Vec<u8>, _>("checksum").ok()?))
    };
    let applied: Vec<_> = rows.iter().filter_map(applied).collect();
    let ours = migrations.iter().map(|migration| (migration.version, migration.checksum.to_vec()));
    ours.eq(applied)
}

/// Holds a row's lock on one connection while another migrates: that works too where changes of tables are not part of
/// transactions.
async fn migrate(
    lock: &mut AnyConnection,
    options: &AnyConnectOptions,
    migrations: &Migrator,
) -> Result<(), MigrateError> {
    lock.execute("CREATE TABLE IF NOT EXISTS klikon_migration (id BIGINT PRIMARY KEY)").await?;
    lock.execute("INSERT INTO klikon_migration (id) VALUES (1) ON CONFLICT (id) DO NOTHING").await?;
    let mut locked = lock.begin().await?;
    locked.execute("SELECT id FROM klikon_migration WHERE id = 1 FOR UPDATE").await?;
    let mut connection = AnyConnection::connect_with(options).await?;
    migrations.run_direct(None, &mut connection, false).await?;
    connection.close().await?;
    Ok(locked.commit().await?)
}

/// Two that make the same table at the same time: a duplicate in the server's catalogue, or a row of it changed meanwhile.
fn is_race(error: &MigrateError) -> bool {
    let MigrateError::Execute(error) = error else { return false };
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "23505" | "42P07" | "40001" | "XX000"))
}
