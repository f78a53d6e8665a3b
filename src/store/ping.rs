//! Whether the database can be used: the question that a health probe asks.

use super::PingError;
use super::columns::Columns;
use super::database::{Backend, Store};
use std::time::Duration;

impl Store {
    /// Whether a booking could be written now, known within `patience`. Of a file: it still stands where the settings say,
    /// and its write lock can be had. Of a server: it answers, and takes writes, as a standby does not. Writes nothing.
    pub async fn ping(&self, patience: Duration) -> Result<(), PingError> {
        tokio::time::timeout(patience, self.ask()).await.unwrap_or(Err(PingError::Late(patience)))
    }

    async fn ask(&self) -> Result<(), PingError> {
        if let Backend::Sqlite(file) = &self.backend {
            file.is_in_place().await?;
        }
        let mut write = self.booking().await.map_err(PingError::Unusable)?;
        if matches!(self.backend, Backend::Postgres) {
            let row = sqlx::query("SHOW transaction_read_only").fetch_one(&mut *write).await;
            let read_only = row.map_err(|error| PingError::Unusable(error.into()))?;
            if read_only.text("transaction_read_only")? != "off" {
                return Err(PingError::ReadOnly);
            }
        }
        write.rollback().await.map_err(PingError::Unusable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Settings;

    const PATIENCE: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_database_that_is_moved_replaced_or_locked_is_not_usable() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let store = Store::open(&Settings::for_file(&path)).await.unwrap();
        store.ping(PATIENCE).await.unwrap();
        std::fs::rename(&path, &aside).unwrap();
        assert!(matches!(store.ping(PATIENCE).await, Err(PingError::Missing { .. })));
        std::fs::write(&path, "").unwrap();
        assert!(matches!(store.ping(PATIENCE).await, Err(PingError::Replaced(_))));
        std::fs::rename(&aside, &path).unwrap();
        store.ping(PATIENCE).await.unwrap();
        // Another process that writes and does not come to its end.
        let other = Store::open(&Settings::for_file(&path)).await.unwrap();
        let lock = other.write().await.unwrap();
        assert!(matches!(store.ping(PATIENCE).await, Err(PingError::Late(_) | PingError::Unusable(_))));
        lock.rollback().await.unwrap();
        // The first try may wait for the lock still, in the one connection that writes.
        store.ping(Duration::from_secs(60)).await.unwrap();
    }
}
