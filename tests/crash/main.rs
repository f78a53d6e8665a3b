//! Crashes: the service and its database are killed, stopped and filled up while calls book, and ten invariants are checked
//! from the database and from what callers and peers remember (`docs/ledger.md`).

mod broken;
mod caller;
#[path = "../support/postgres.rs"]
mod cluster;
mod disk;
mod failpoints;
mod house;
mod invariants;
mod kills;
mod logs;
mod outages;
mod peer;
mod rows;
#[path = "../tones/mod.rs"]
mod tones;
mod waiting;
