//! sip

pub mod counters;
pub mod timer;
pub mod transaction;
pub mod transport;
