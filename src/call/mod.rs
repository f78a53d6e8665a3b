//! One call: joins SIP, media, flow and store, and performs effects.
//!
//! [`Registry`] admits calls inside the SIP driver's task and keeps their inboxes; each call is a [`Leg`], a task of
//! its own. [`Business`] performs what flows ask of the store. [`Phone`] is the other end: the built-in caller.

mod business;
mod conversation;
mod key_source;
mod leg;
mod negotiation;
mod observer;
mod phone;
mod record;
mod registry;
pub mod saying;
mod script;
mod service;
mod settings;
mod speak;
mod trust;

pub use business::{Answer, Business};
pub use leg::{Leg, LegInput};
pub use negotiation::Change;
pub use observer::{CallEvent, Observer, Step};
pub use phone::{Notice, Phone, PhoneError, PhoneSettings, Report};
pub use registry::{Account, Command, Registry};
pub use script::{KeyGroup, Manner};
pub use service::{Ids, Service};
pub use settings::{EarlyMedia, Settings};
pub use trust::{Caller, Claims, IdentityHeader, Peer, identify};
