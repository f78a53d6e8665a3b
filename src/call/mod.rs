//! One call: joins SIP, media, flow and store, and performs effects.
//!
//! [`Registry`] admits calls inside the SIP driver's task and keeps their inboxes; each call is a [`Leg`], a task of
//! its own. [`Business`] performs what flows ask of the store. [`Phone`] is the other end: the built-in caller.

mod business;
mod conversation;
mod database;
mod key_source;
mod leg;
pub mod load;
mod negotiation;
mod next_hop;
mod observer;
mod phone;
mod quality;
mod record;
mod recording;
mod registry;
pub mod saying;
mod script;
mod service;
mod settings;
mod speak;
mod trunk;
mod trust;

pub use business::{Answer, Business};
pub use database::{Probe, watch_database};
pub use leg::{Leg, LegInput};
pub use negotiation::Change;
pub use next_hop::FoundHop;
pub use observer::{CallEvent, Observer, ServiceEvent, ServiceStep, Step};
pub use phone::{Notice, Phone, PhoneError, PhoneSettings, Report};
pub use recording::RecordOrder;
pub use registry::{Account, Command, Registry};
pub use script::{KeyGroup, Manner};
pub use service::{Ids, Service};
pub use settings::{EarlyMedia, Settings, Srtp};
pub use trunk::{Desk, TrunkNews, TrunkOrder, TrunkParts, TrunkSettings};
pub use trust::{
    Caller, Claims, Identified, IdentityHeader, Neighbours, Peer, Shown, Source, User, identify, peer_of,
};
