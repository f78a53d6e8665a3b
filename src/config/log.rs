//! `[log]`: what is logged, and how it looks.

use super::problem::{Problem, problem};
use serde::Deserialize;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `klikon::sip=debug`.
    pub level: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Log {
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&self.level) {
            problem(
                found,
                "log.level",
                &format!("`{}` is not understood ({error})", self.level),
                "write error, warn, info, debug or trace, or directives like \"info,klikon::sip=debug\"",
            );
        }
    }
}
