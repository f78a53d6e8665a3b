//! The `[database]` section of the settings.

use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Where the database is and how it is used. Every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `sqlite://FILE`; made when it is missing.
    pub url: DatabaseUrl,
    /// How long a transaction waits for another process that writes, 1 to 60,000 ms.
    pub busy_timeout_ms: u32,
    /// How long a task waits for a free connection, 1 to 60,000 ms.
    pub acquire_timeout_ms: u32,
    /// Connections that read at the same time, 1 to 64. One more writes.
    pub readers: u32,
    /// How often the service asks whether the database can be used, 10 to 60,000 ms. While it cannot, calls and OPTIONS
    /// are answered 503.
    pub probe_interval_ms: u32,
    /// How long it waits for that, 10 to 60,000 ms.
    pub probe_timeout_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: DatabaseUrl { path: PathBuf::from("klikon.db") },
            busy_timeout_ms: 5_000,
            acquire_timeout_ms: 10_000,
            readers: 4,
            probe_interval_ms: 1_000,
            probe_timeout_ms: 2_000,
        }
    }
}

/// A value out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: write a number from {least} to {most}")]
pub struct SettingsError {
    /// The key, without its section.
    pub key: &'static str,
    /// What it was set to.
    pub value: u64,
    /// The least it may be.
    pub least: u64,
    /// The most it may be.
    pub most: u64,
}

impl SettingsError {
    /// Refuses a value outside `least..=most`.
    pub fn check(key: &'static str, value: u64, least: u64, most: u64) -> Result<(), Self> {
        if (least..=most).contains(&value) { Ok(()) } else { Err(Self { key, value, least, most }) }
    }
}

impl Settings {
    /// For a database file.
    pub fn for_file(path: impl Into<PathBuf>) -> Self {
        Self { url: DatabaseUrl { path: path.into() }, ..Self::default() }
    }

    /// Refuses values out of range, naming the key and the range.
    pub fn check(&self) -> Result<(), SettingsError> {
        SettingsError::check("busy_timeout_ms", self.busy_timeout_ms.into(), 1, 60_000)?;
        SettingsError::check("acquire_timeout_ms", self.acquire_timeout_ms.into(), 1, 60_000)?;
        SettingsError::check("probe_interval_ms", self.probe_interval_ms.into(), 10, 60_000)?;
        SettingsError::check("probe_timeout_ms", self.probe_timeout_ms.into(), 10, 60_000)?;
        SettingsError::check("readers", self.readers.into(), 1, 64)
    }
}

/// Where a database is: `sqlite://klikon.db`, `sqlite:///var/lib/klikon/klikon.db`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DatabaseUrl {
    path: PathBuf,
}

/// A text that is no usable database URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Another database.
    #[error(
        "database.url `{0}`: only SQLite is supported; write `sqlite://FILE`, such as `sqlite://klikon.db`"
    )]
    Scheme(String),
    /// No file. A database in memory would be lost with its money.
    #[error("database.url `{0}` names no file; write `sqlite://FILE`, such as `sqlite://klikon.db`")]
    NoFile(String),
}

impl DatabaseUrl {
    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same file, a relative path taken from `folder`.
    #[must_use]
    pub fn below(&self, folder: &Path) -> Self {
        Self { path: folder.join(&self.path) }
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = DatabaseUrlError;

    fn try_from(text: String) -> Result<Self, DatabaseUrlError> {
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
        match path {
            None => Err(DatabaseUrlError::Scheme(text)),
            Some("" | ":memory:") => Err(DatabaseUrlError::NoFile(text)),
            Some(path) => Ok(Self { path: PathBuf::from(path) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_file_and_names_the_mend_for_anything_else() {
        let settings: Settings = toml::from_str("url = \"sqlite:///tmp/x.db\"").unwrap();
        assert_eq!(settings.url.path(), Path::new("/tmp/x.db"));
        assert_eq!(settings.check(), Ok(()));
        for bad in ["postgres://db/klikon", "sqlite://", "sqlite::memory:", "klikon.db"] {
            let error = toml::from_str::<Settings>(&format!("url = \"{bad}\"")).unwrap_err().to_string();
            assert!(error.contains("sqlite://klikon.db") && error.contains("database.url"), "{error}");
        }
        let none = Settings { readers: 0, ..Settings::default() };
        assert_eq!(none.check().unwrap_err().to_string(), "readers = 0: write a number from 1 to 64");
        assert!(toml::from_str::<Settings>("reeders = 3").is_err());
    }
}
