//! klikon: the service behind short code 130. `ARCHITECTURE.md` is the map.
#![forbid(unsafe_code)]

pub mod call;
pub mod capture;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod dialplan;
pub mod klikon;
pub mod ledger;
pub mod media;
pub mod net;
pub mod recording;
pub mod sdp;
pub mod server;
pub mod sip;
pub mod speech;
pub mod store;
pub mod units;
