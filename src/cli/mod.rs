//! cli

pub mod prompts;
