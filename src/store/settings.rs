//! The `[database]` section of the settings.

use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the database is and how it is used. Every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `sqlite://FILE`, made when it is missing; or `postgres://USER@HOST/DATABASE`.
    pub url: DatabaseUrl,
    /// How long a transaction waits for another one's lock, 1 to 60,000 ms.
    pub busy_timeout_ms: u32,
    /// How long a task waits for a free connection, 1 to 60,000 ms.
    pub acquire_timeout_ms: u32,
    /// Connections that read at the same time, 1 to 64.
    pub readers: u32,
    /// Connections that write at the same time, 1 to 64; on SQLite it is always one.
    pub writers: u32,
    /// How long PostgreSQL works on one statement, 1 to 600,000 ms.
    pub statement_timeout_ms: u32,
    /// What PostgreSQL waits for before it calls a transaction committed.
    pub synchronous_commit: SynchronousCommit,
    /// How often the service asks whether the database can be used, 10 to 60,000 ms. While it cannot, calls and OPTIONS
    /// are answered 503.
    pub probe_interval_ms: u32,
    /// How long it waits for that, 10 to 60,000 ms.
    pub probe_timeout_ms: u32,
}

/// PostgreSQL's `synchronous_commit`, without `off`, which would lose what a caller was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SynchronousCommit {
    /// This server's disk only.
    Local,
    /// And that a synchronous standby has it in memory.
    RemoteWrite,
    /// And a synchronous standby's disk.
    On,
    /// And that queries on a synchronous standby see it.
    RemoteApply,
}

impl SynchronousCommit {
    /// PostgreSQL's word for it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::RemoteWrite => "remote_write",
            Self::On => "on",
            Self::RemoteApply => "remote_apply",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: DatabaseUrl::Sqlite(PathBuf::from("klikon.db")),
            busy_timeout_ms: 5_000,
            acquire_timeout_ms: 10_000,
            readers: 4,
            writers: 4,
            statement_timeout_ms: 10_000,
            synchronous_commit: SynchronousCommit::On,
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
        Self { url: DatabaseUrl::Sqlite(path.into()), ..Self::default() }
    }

    /// Refuses values out of range, naming the key and the range.
    pub fn check(&self) -> Result<(), SettingsError> {
        SettingsError::check("busy_timeout_ms", self.busy_timeout_ms.into(), 1, 60_000)?;
        SettingsError::check("acquire_timeout_ms", self.acquire_timeout_ms.into(), 1, 60_000)?;
        SettingsError::check("probe_interval_ms", self.probe_interval_ms.into(), 10, 60_000)?;
        SettingsError::check("probe_timeout_ms", self.probe_timeout_ms.into(), 10, 60_000)?;
        SettingsError::check("statement_timeout_ms", self.statement_timeout_ms.into(), 1, 600_000)?;
        SettingsError::check("writers", self.writers.into(), 1, 64)?;
        SettingsError::check("readers", self.readers.into(), 1, 64)
    }
}

/// Where a database is: `sqlite://klikon.db`, `sqlite:///var/lib/klikon/klikon.db`, `postgres://klikon@db.example/klikon`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Postgres(PostgresUrl),
}

/// A URL of a PostgreSQL server, whose password is for the connection only: what is printed of it has none.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl PostgresUrl {
    /// All of it.
    pub(super) fn with_password(&self) -> &str {
        &self.0
    }
}

/// Without the password, and without the parameters, where one may stand too.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        let rest = rest.split('?').next().unwrap_or_default();
        match rest.rsplit_once('@') {
            Some((user, place)) => {
                let user = user.split(':').next().unwrap_or_default();
                write!(f, "{scheme}://{user}@{place}")
            }
            None => write!(f, "{scheme}://{rest}"),
        }
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is no usable database URL. None of them repeats what may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Another database.
    #[error(
        "database.url: neither SQLite nor PostgreSQL; write `sqlite://FILE`, such as `sqlite://klikon.db`, or \
         `postgres://USER@HOST/DATABASE`"
    )]
    Scheme,
    /// No file. A database in memory would be lost with its money.
    #[error("database.url `{0}` names no file; write `sqlite://FILE`, such as `sqlite://klikon.db`")]
    NoFile(String),
    /// No database on the server.
    #[error("database.url names no database; write `postgres://USER@HOST/DATABASE`")]
    NoDatabase,
    /// A parameter that would do nothing.
    #[error("database.url: no parameter `{0}`; there are {PARAMETERS}")]
    Parameter(String),
}

/// The parameters that a connection understands.
const PARAMETERS: &str = "sslmode, sslrootcert, sslcert, sslkey, host, hostaddr, port, dbname, user, password, \
                          application_name, options";

impl DatabaseUrl {
    /// The database file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }

    /// The same database, a relative path of a file taken from `folder`.
    #[must_use]
    pub fn below(&self, folder: &Path) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(folder.join(path)),
            Self::Postgres(url) => Self::Postgres(url.clone()),
        }
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = DatabaseUrlError;

    fn try_from(text: String) -> Result<Self, DatabaseUrlError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return postgres(text);
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
        match path {
            None => Err(DatabaseUrlError::Scheme),
            Some("" | ":memory:") => Err(DatabaseUrlError::NoFile(text)),
            Some(path) => Ok(Self::Sqlite(PathBuf::from(path))),
        }
    }
}

fn postgres(text: String) -> Result<DatabaseUrl, DatabaseUrlError> {
    let (place, parameters) = text.split_once('?').unwrap_or((&text, ""));
    let mut names = parameters.split('&').filter_map(|p| p.split('=').next()).filter(|name| !name.is_empty());
    let mut database = place.splitn(4, '/').nth(3).is_some_and(|name| !name.is_empty());
    if let Some(unknown) = names.clone().find(|name| !PARAMETERS.split(", ").any(|known| known == *name)) {
        return Err(DatabaseUrlError::Parameter(unknown.to_owned()));
    }
    database |= names.any(|name| name == "dbname");
    if database { Ok(DatabaseUrl::Postgres(PostgresUrl(text))) } else { Err(DatabaseUrlError::NoDatabase) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<DatabaseUrl, String> {
        toml::from_str::<Settings>(&format!("url = \"{url}\""))
            .map(|s| s.url)
            .map_err(|e| e.message().to_owned())
    }

    #[test]
    fn reads_a_file_and_names_the_mend_for_anything_else() {
        let settings: Settings = toml::from_str("url = \"sqlite:///tmp/x.db\"").unwrap();
        assert_eq!(settings.url.file(), Some(Path::new("/tmp/x.db")));
        assert_eq!(settings.check(), Ok(()));
        for bad in ["mysql://db/klikon", "sqlite://", "sqlite::memory:", "klikon.db"] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains("sqlite://klikon.db") && error.contains("database.url"), "{error}");
        }
        let none = Settings { readers: 0, ..Settings::default() };
        assert_eq!(none.check().unwrap_err().to_string(), "readers = 0: write a number from 1 to 64");
        assert!(toml::from_str::<Settings>("reeders = 3").is_err());
        assert!(toml::from_str::<Settings>("synchronous_commit = \"off\"").is_err());
    }

    #[test]
    fn a_server_is_named_without_its_password() {
        for (url, shown) in [
            (
                "postgres://klikon:s3cr3t@db.example:5433/ledger?sslmode=verify-full",
                "postgres://klikon@db.example:5433/ledger",
            ),
            ("postgresql:///ledger?host=/run/postgresql&user=klikon", "postgresql:///ledger"),
            ("postgres://db.example/ledger?user=klikon&password=s3cr3t", "postgres://db.example/ledger"),
            ("postgres://klikon:s3c@r3t@db.example/ledger", "postgres://klikon@db.example/ledger"),
        ] {
            let parsed = parse(url).unwrap();
            assert_eq!(format!("{parsed:?}"), format!("Postgres({shown})"));
            let settings = Settings { url: parsed, ..Settings::default() };
            assert!(!format!("{settings:?}").contains("s3c"), "{settings:?}");
        }
        for bad in [
            "postgres://klikon:s3cr3t@db.example",
            "postgres://klikon:s3cr3t@db.example/x?passwort=s3cr3t",
            "postgress://klikon:s3cr3t@db.example/x",
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains("postgres://USER@") || error.contains("sslmode"), "{error}");
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }
}
