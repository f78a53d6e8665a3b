//! The `[delivery]` section of the settings.

use crate::klikon::SmsAlphabet;
use crate::store::SettingsError;
use serde::Deserialize;
use std::path::PathBuf;

/// How the outbox is delivered. Every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The spool folder; made when it is missing.
    pub spool: PathBuf,
    /// Between two looks at the outbox and the spool folder, 10 to 60,000 ms.
    pub poll_interval_ms: u32,
    /// How long a file in `acks/` that is not whole may still be being written, 0 to 3,600,000 ms since its last change.
    pub half_written_ms: u32,
    /// Outbox rows taken at a look, 1 to 10,000.
    pub batch_rows: u32,
    /// How SMS are written (DOMAIN §6.5): `ucs2` or `plain`.
    pub sms_alphabet: SmsAlphabet,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            spool: PathBuf::from("spool"),
            poll_interval_ms: 250,
            half_written_ms: 10_000,
            batch_rows: 500,
            sms_alphabet: SmsAlphabet::Ucs2,
        }
    }
}

impl Settings {
    /// Refuses values out of range, naming the key and the range.
    pub fn check(&self) -> Result<(), SettingsError> {
        SettingsError::check("poll_interval_ms", self.poll_interval_ms.into(), 10, 60_000)?;
        SettingsError::check("half_written_ms", self.half_written_ms.into(), 0, 3_600_000)?;
        SettingsError::check("batch_rows", self.batch_rows.into(), 1, 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_default_and_a_range() {
        let settings: Settings = toml::from_str("sms_alphabet = \"plain\"").unwrap();
        assert_eq!(settings, Settings { sms_alphabet: SmsAlphabet::Plain, ..Settings::default() });
        assert_eq!(settings.check(), Ok(()));
        let hasty = Settings { poll_interval_ms: 1, ..settings };
        assert_eq!(
            hasty.check().unwrap_err().to_string(),
            "poll_interval_ms = 1: write a number from 10 to 60000"
        );
        assert!(toml::from_str::<Settings>("sms_alphabet = \"latin\"").is_err());
    }
}
