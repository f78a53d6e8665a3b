//! The spool folder. Everything here blocks on the disk; the worker calls it aside.

use super::acknowledgement::{self, ACKNOWLEDGEMENT_OCTETS_MAX, Acknowledgement};
use crate::units::{ActivationId, failpoint};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Files in `acks/` looked at in one pass; the rest is there at the next.
const FILES_PER_PASS_MAX: usize = 1_000;

/// Names tried in `done/` and `bad/` before the oldest is overwritten.
const SAME_NAMES_MAX: u32 = 1_000;

/// How files begin that are not whole yet.
const ASIDE: &str = ".klikon-";

/// The spool folder.
#[derive(Debug, Clone)]
pub struct Spool {
    root: PathBuf,
}

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error(
    "the spool folder: {doing} {path}; check that it exists, is on one file system and may be written to"
)]
pub struct SpoolError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl SpoolError {
    /// The work was cut off, by a shutdown of the runtime.
    pub(super) fn interrupted(path: &Path, error: tokio::task::JoinError) -> Self {
        Self { doing: "interrupted at", path: path.to_owned(), source: io::Error::other(error) }
    }
}

fn failed<T>(result: io::Result<T>, doing: &'static str, path: &Path) -> Result<T, SpoolError> {
    result.map_err(|source| SpoolError { doing, path: path.to_owned(), source })
}

/// A file found in `acks/`.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) content: Acknowledgement,
    /// Whether it was changed so recently that it may still be being written.
    pub(super) fresh: bool,
}

impl Spool {
    /// Makes the folders that are missing, and removes what a crash has left half-written.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, SpoolError> {
        let spool = Self { root: root.into() };
        for folder in ["orders", "acks", "sms", "done", "bad"] {
            let path = spool.root.join(folder);
            failed(fs::create_dir_all(&path), "cannot make", &path)?;
        }
        for folder in ["orders", "sms"] {
            let path = spool.root.join(folder);
            for entry in failed(fs::read_dir(&path), "cannot list", &path)? {
                let entry = failed(entry, "cannot list", &path)?;
                if entry.file_name().to_string_lossy().starts_with(ASIDE) {
                    failed(fs::remove_file(entry.path()), "cannot remove", &entry.path())?;
                }
            }
        }
        Ok(spool)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file of an order.
    pub fn order_file(&self, activation: ActivationId) -> PathBuf {
        self.root.join("orders").join(format!("{activation}.json"))
    }

    /// The file that acknowledges an order.
    pub fn acknowledgement_file(&self, activation: ActivationId) -> PathBuf {
        self.root.join("acks").join(format!("{activation}.json"))
    }

    /// The file of an SMS, by the number of its outbox row.
    pub fn sms_file(&self, row: i64) -> PathBuf {
        self.root.join("sms").join(format!("{row}.json"))
    }

    /// Writes a file so that it is whole whenever it can be seen, even after a power cut: aside in the same folder,
    /// synced, renamed. That it can be seen then, [`Spool::sync`] sees to.
    pub fn write(&self, path: &Path, content: &impl Serialize) -> Result<(), SpoolError> {
        let folder = path.parent().unwrap_or(&self.root);
        let write = || -> io::Result<()> {
            let mut builder = tempfile::Builder::new();
            builder.prefix(ASIDE).suffix(".json");
            // Readable for the batch's group; it holds telephone numbers, so not for everybody.
            #[cfg(unix)]
            let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o640);
            #[cfg(unix)]
            builder.permissions(mode);
            let mut aside = builder.tempfile_in(folder)?;
            serde_json::to_writer(aside.as_file_mut(), content)?;
            aside.as_file_mut().write_all(b"\n")?;
            aside.as_file().sync_all()?;
            failpoint::PEER_HALF_TOLD.reached();
            aside.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        failed(write(), "cannot write", path)
    }

    /// Brings the names of what was written into the folders of orders and SMS to the disk.
    pub fn sync(&self) -> Result<(), SpoolError> {
        for folder in ["orders", "sms"] {
            let path = self.root.join(folder);
            failed(File::open(&path).and_then(|folder| folder.sync_all()), "cannot sync", &path)?;
        }
        Ok(())
    }

    /// What lies in `acks/`, in the order of the names.
    pub(super) fn acknowledgements(&self, now: Timestamp, fresh_ms: u32) -> Result<Vec<Found>, SpoolError> {
        let folder = self.root.join("acks");
        let mut paths = Vec::new();
        for entry in failed(fs::read_dir(&folder), "cannot list", &folder)? {
            paths.push(failed(entry, "cannot list", &folder)?.path());
        }
        paths.sort();
        let mut found = Vec::new();
        for path in paths.into_iter().take(FILES_PER_PASS_MAX) {
            match look(&path, now, fresh_ms) {
                Ok(file) => found.push(file),
                // Taken back by the one who put it there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failed(Err(error), "cannot read", &path)?,
            }
        }
        Ok(found)
    }

    /// Puts an acknowledgement that was booked, and its order if the batch left it, into `done/`.
    pub(super) fn done(&self, name: &str, activation: ActivationId) -> Result<(), SpoolError> {
        self.shelve("acks", name, "done", name)?;
        failpoint::ANSWER_HALF_SHELVED.reached();
        let order = self.order_file(activation);
        if order.exists() {
            self.shelve(
                "orders",
                &format!("{activation}.json"),
                "done",
                &format!("{activation}.order.json"),
            )?;
        }
        Ok(())
    }

    /// Puts a file of no use into `bad/`, with the reason beside it.
    pub(super) fn bad(&self, name: &str, reason: &str) -> Result<(), SpoolError> {
        let shelved = self.shelve("acks", name, "bad", name)?;
        let mut path = shelved.into_os_string();
        path.push(".reason");
        let path = PathBuf::from(path);
        failed(fs::write(&path, format!("{reason}\n")), "cannot write", &path)
    }

    /// Moves a file to a folder under a name that is free there.
    fn shelve(&self, from: &str, name: &str, to: &str, new_name: &str) -> Result<PathBuf, SpoolError> {
        let source = self.root.join(from).join(name);
        let folder = self.root.join(to);
        let mut target = folder.join(new_name);
        for n in 1..SAME_NAMES_MAX {
            if !target.exists() {
                break;
            }
            target = folder.join(format!("{new_name}.{n}"));
        }
        failed(fs::rename(&source, &target), "cannot move", &source)?;
        Ok(target)
    }
}

fn look(path: &Path, now: Timestamp, fresh_ms: u32) -> io::Result<Found> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let metadata = fs::symlink_metadata(path)?;
    // A time far in the future is no reason to wait for that time.
    let age = Timestamp::try_from(metadata.modified()?).map(|changed| now.duration_since(changed).abs());
    let fresh = age.is_ok_and(|age| age < SignedDuration::from_millis(fresh_ms.into()));
    let bad = |reason: &str| Acknowledgement::Bad(reason.to_owned());
    let content = if !metadata.is_file() {
        bad("no regular file")
    } else if path.file_name().and_then(|name| name.to_str()).is_none() {
        bad("the name is not UTF-8")
    } else if metadata.len() > ACKNOWLEDGEMENT_OCTETS_MAX {
        bad("larger than any acknowledgement")
    } else {
        let mut octets = Vec::new();
        File::open(path)?.take(ACKNOWLEDGEMENT_OCTETS_MAX).read_to_end(&mut octets)?;
        acknowledgement::read(&name, &octets)
    };
    Ok(Found { name, content, fresh })
}
