//! See ARCHITECTURE.md.

pub mod admin;
pub mod ledger;
