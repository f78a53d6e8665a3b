//! cli

pub mod flow;
pub mod prompts;
