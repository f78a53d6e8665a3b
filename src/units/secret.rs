//! A text that must not be shown: a password.

use serde::Deserialize;
use std::fmt;

/// A secret. Its `Debug` hides it, it has no `Display`, and it is never written out.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("geheim");
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret)),
            "Secret(hidden) Some(\n    Secret(hidden),\n)"
        );
        assert_eq!(secret.expose(), "geheim");
    }
}
