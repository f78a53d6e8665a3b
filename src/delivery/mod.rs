//! Delivery: what the outbox holds goes out, what the network answers comes in. The adapter here is a spool folder, for an
//! operator whose provisioning is a batch:
//!
//! | folder | who writes | what |
//! |---|---|---|
//! | `orders/<activation>.json` | klikon | one order to the network a file; it leaves for `done/` once it is answered |
//! | `acks/<activation>.json` | the batch | `{"activation":"…","result":"activated"}` or `{"result":"rejected","reason":"…"}` |
//! | `sms/<number>.json` | klikon | one SMS a file, only after the settlement |
//! | `done/` | klikon | answers that were booked, and their orders |
//! | `bad/` | klikon | files it cannot use, each with a `.reason` |
//!
//! Files are complete when they appear (written aside, synced, renamed). Deliveries are at least once: after a crash a file
//! may be written again under the same name with the same content, so the batch and the SMS gateway take a name that
//! they have seen as the same order or SMS.

mod acknowledgement;
mod settings;
mod spool;
mod worker;

pub use settings::Settings;
pub use spool::{Spool, SpoolError};
pub use worker::{Counters, Pass, Worker};
