//! What is wrong with a key, and how to mend it.

use crate::store;
use std::fmt;

/// One key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Like `media.rtp_ports`.
    pub key: String,
    /// What is wrong, with the value.
    pub wrong: String,
    /// What to write instead.
    pub mend: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}; {}", self.key, self.wrong, self.mend)
    }
}

impl Problem {
    pub(super) fn in_section(section: &str, error: &store::SettingsError) -> Self {
        Self {
            key: format!("{section}.{}", error.key),
            wrong: format!("{} is out of range", error.value),
            mend: format!("write {} to {}", error.least, error.most),
        }
    }
}

/// Notes a key that cannot be used.
pub(super) fn problem(found: &mut Vec<Problem>, key: &str, wrong: &str, mend: &str) {
    found.push(Problem { key: key.to_owned(), wrong: wrong.to_owned(), mend: mend.to_owned() });
}

/// Notes a number out of its range.
pub(super) fn within<T: PartialOrd + fmt::Display>(
    found: &mut Vec<Problem>,
    key: &str,
    value: T,
    least: T,
    most: T,
) {
    if value < least || value > most {
        problem(found, key, &format!("{value} is out of range"), &format!("write {least} to {most}"));
    }
}
