//! Which file the connections hold, however it is called by now.

use crate::store::PingError;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file of a store.
#[derive(Debug, Clone)]
pub(in crate::store) struct FileIdentity {
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

    /// Whether it still stands where the settings say: one that was moved or removed takes writes which nobody will find
    /// again.
    pub(in crate::store) async fn is_in_place(&self) -> Result<(), PingError> {
        match tokio::fs::metadata(&self.path).await {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => Ok(()),
            Ok(_) => Err(PingError::Replaced(self.path.clone())),
            Err(source) => Err(PingError::Missing { path: self.path.clone(), source }),
        }
    }
}
