//! What the operator may vary about recordings.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which calls are recorded without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Calls {
    /// None.
    None,
    /// All, and those are kept in which a booking was tried.
    Booked,
    /// All.
    All,
}

/// How the two sides of a call are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// Left what the service played, right what the caller sent.
    Two,
    /// Both in one.
    Mixed,
}

impl Channels {
    /// How many.
    pub const fn count(self) -> u16 {
        match self {
            Channels::Two => 2,
            Channels::Mixed => 1,
        }
    }
}

/// `[recording]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which calls are recorded.
    pub calls: Calls,
    /// Only calls of these peers; empty: of all.
    pub peers: Vec<String>,
    /// Where recordings are kept, a folder a day.
    pub folder: PathBuf,
    /// How the two sides are kept.
    pub channels: Channels,
    /// Samples a second, 8,000 or 16,000.
    pub rate_hz: u32,
    /// The file with the key that recordings are encrypted with.
    pub key_file: Option<PathBuf>,
    /// Record without a key.
    pub unencrypted: bool,
    /// The clip that says that the call is recorded; empty: none is played.
    pub announcement: String,
    /// Longest recording, s.
    pub max_call_s: u64,
    /// Recordings at once.
    pub max_calls: usize,
    /// Octets of all recordings in the folder.
    pub max_octets: u64,
    /// Days that recordings are kept; then they are deleted.
    pub keep_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calls: Calls::None,
            peers: Vec::new(),
            folder: "recordings".into(),
            channels: Channels::Two,
            rate_hz: 8_000,
            key_file: None,
            unencrypted: false,
            announcement: String::new(),
            max_call_s: 900,
            max_calls: 50,
            max_octets: 10 << 30,
            keep_days: 90,
        }
    }
}

impl Settings {
    /// Whether anything may be recorded at all, by itself or on demand.
    pub fn is_on(&self) -> bool {
        self.key_file.is_some() || self.unencrypted
    }
}
