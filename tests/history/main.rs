//! The store under faults of its connection: replies that are lost, a standby that does not answer, and histories of
//! concurrent clients that must fit one serial order. On SQLite, and on PostgreSQL in a cluster of the tests' own.

#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/severing.rs"]
mod severing;

#[path = "../simulation/chance.rs"]
#[allow(dead_code)]
mod chance;
mod checker;
mod clients;
mod family;
mod histories;
mod lost_replies;
mod operation;
mod standby;
