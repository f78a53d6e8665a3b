//! Whether the database can be used: the question that a health probe asks.

use super::Store;
use crate::store::PingError;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which file the connections hold, however it is called by now.
#[derive(Debug, Clone)]
pub(super) struct FileIdentity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// Of the file that has just been opened.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Store {
    /// Whether a booking could be written now: the file that is open still stands where the settings say (a file that
    /// was moved or removed takes writes which nobody will find again), and its write lock can be had within
    /// `patience`. Writes nothing.
    pub async fn ping(&self, patience: Duration) -> Result<(), PingError> {
        let asking = async {
            let FileIdentity { path, device, inode } = &*self.file;
            match tokio::fs::metadata(path).await {
                Ok(found) if (found.dev(), found.ino()) == (*device, *inode) => {}
                Ok(_) => return Err(PingError::Replaced(path.clone())),
                Err(source) => return Err(PingError::Missing { path: path.clone(), source }),
            }
            let transaction = self.write().await.map_err(PingError::Unusable)?;
            transaction.rollback().await.map_err(|error| PingError::Unusable(error.into()))
        };
        tokio::time::timeout(patience, asking).await.unwrap_or(Err(PingError::Late(patience)))
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
