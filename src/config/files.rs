//! `[files]`: where flows and prompts are.

use serde::Deserialize;
use std::path::PathBuf;

/// `[files]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// Folder of the flows.
    pub dialplans: PathBuf,
    /// Folder of the prompts, one folder a language below it.
    pub prompts: PathBuf,
    /// Language of the prompts.
    pub language: String,
    /// Folder for prompts in codecs that take long to encode, AMR and Opus; empty: they are encoded at every start.
    pub encoded: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            dialplans: "dialplans".into(),
            prompts: "prompts".into(),
            language: "sq".to_owned(),
            encoded: "encoded".into(),
        }
    }
}
