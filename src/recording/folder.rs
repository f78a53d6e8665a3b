//! Where recordings are: a folder a day, and in it a file each, named by its call.

use crate::units::CallId;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How the files end.
const EXTENSION: &str = "klikrec";
/// Recordings of one call: further ones are refused.
const MAX_PARTS: u32 = 20;

/// A recording's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The call.
    pub call: CallId,
    /// The recordings of a call are numbered, from 1.
    pub part: u32,
    /// The file.
    pub path: PathBuf,
    /// How long the file is.
    pub octets: u64,
}

/// A call's day, in UTC: its id holds it (RFC 9562 §5.7).
fn day_of(call: CallId) -> Date {
    let (seconds, nanoseconds) = call.uuid().get_timestamp().map(|at| at.to_unix()).unwrap_or_default();
    let at = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or(0)).ok());
    day(at.unwrap_or_default())
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn path_of(folder: &Path, call: CallId, part: u32) -> PathBuf {
    let name = if part == 1 { call.to_string() } else { format!("{call}.{part}") };
    folder.join(day_of(call).to_string()).join(format!("{name}.{EXTENSION}"))
}

/// The call and the part that a file's name says.
fn named(path: &Path) -> Option<(CallId, u32)> {
    let name = path.file_name()?.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    match name.split_once('.') {
        Some((call, part)) => Some((call.parse().ok()?, part.parse().ok()?)),
        None => Some((name.parse().ok()?, 1)),
    }
}

/// Makes a folder that only this service's user can look into.
pub fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes the file of a call's next recording, for this service's user alone; its part, its path and itself.
pub fn create(folder: &Path, call: CallId) -> io::Result<(u32, PathBuf, File)> {
    for part in 1..=MAX_PARTS {
        let path = path_of(folder, call, part);
        if let Some(parent) = path.parent() {
            make(parent)?;
        }
        match File::options().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((part, path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("the call has {MAX_PARTS} recordings already")))
}

/// The recordings of a call.
pub fn find(folder: &Path, call: CallId) -> Vec<Found> {
    let found = |part| {
        let path = path_of(folder, call, part);
        let octets = fs::metadata(&path).ok()?.len();
        Some(Found { call, part, path, octets })
    };
    (1..=MAX_PARTS).filter_map(found).collect()
}

/// All recordings, the oldest first.
pub fn list(folder: &Path) -> Vec<Found> {
    let mut all: Vec<Found> = days(folder).flat_map(|(_, path)| files(&path)).collect();
    all.sort_by_key(|found| (found.call, found.part));
    all
}

/// Deletes the recordings of days that are longer ago than is kept; how many, and their octets.
pub fn expire(folder: &Path, now: Timestamp, keep_days: u32) -> (u64, u64) {
    let (mut count, mut octets) = (0, 0);
    let Ok(first) = day(now).checked_sub(jiff::Span::new().days(i64::from(keep_days))) else { return (0, 0) };
    for (day, path) in days(folder).filter(|(day, _)| *day < first) {
        for found in files(&path) {
            match fs::remove_file(&found.path) {
                Ok(()) => (count, octets) = (count + 1, octets + found.octets),
                Err(error) => {
                    tracing::warn!(%error, call = %found.call, "an old recording cannot be deleted")
                }
            }
        }
        // Something else may lie in it.
        if fs::remove_dir(&path).is_err() {
            tracing::debug!(%day, "the folder of a day stays");
        }
    }
    (count, octets)
}

fn days(folder: &Path) -> impl Iterator<Item = (Date, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| {
        let day = entry.file_name().to_str()?.parse().ok()?;
        Some((day, entry.path()))
    })
}

fn files(folder: &Path) -> Vec<Found> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let found = entries.filter_map(|entry| {
        let (path, octets) = (entry.path(), entry.metadata().ok()?.len());
        let (call, part) = named(&path)?;
        Some(Found { call, part, path, octets })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_are_found_by_their_call_and_are_for_one_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("recordings");
        let early = CallId::new("2026-11-22T23:59:59Z".parse().unwrap(), [1; 10]);
        let late = CallId::new("2026-11-23T00:00:00Z".parse().unwrap(), [1; 10]);
        assert_eq!(list(&root), []);
        for (call, part) in [(late, 1), (early, 1), (early, 2)] {
            let (made, path, file) = create(&root, call).unwrap();
            assert_eq!(made, part);
            file.set_len(u64::from(part)).unwrap();
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let above = path.parent().unwrap();
            assert_eq!(above.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
        let all: Vec<_> =
            list(&root).into_iter().map(|found| (found.call, found.part, found.octets)).collect();
        assert_eq!(all, [(early, 1, 1), (early, 2, 2), (late, 1, 1)]);
        assert_eq!(find(&root, early).len(), 2);
        std::fs::write(root.join("2026-11-22/notes.txt"), "kept").unwrap();
        let now = |text: &str| text.parse().unwrap();
        assert_eq!(expire(&root, now("2026-12-01T00:00:00Z"), 9), (0, 0), "the ninth day");
        assert_eq!(expire(&root, now("2026-12-02T00:00:00Z"), 9), (2, 3));
        assert_eq!((find(&root, early).len(), find(&root, late).len()), (0, 1));
        assert!(root.join("2026-11-22/notes.txt").exists());
        assert_eq!(expire(&root, now("2027-12-02T00:00:00Z"), 9), (1, 1));
        assert!(!root.join("2026-11-23").exists());
    }
}
