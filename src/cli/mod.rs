//! The command line: one file a subcommand.

pub mod admin;
pub mod ledger;
pub mod prompts;
