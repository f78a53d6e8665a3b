//! The vocabulary every room shares: money, telephone numbers, billing months, identifiers, time.
//! Imports no other room.

pub mod amr;
pub mod clock;
pub mod failpoint;
mod id;
mod money;
mod month;
mod msisdn;
pub mod rtp;
mod secret;
pub mod srtp;
pub mod webrtc;

pub use id::{ActivationId, CallId, GroupId, LeadershipId, MemberId, PackageId};
pub use money::{Money, MoneyError};
pub use month::Month;
pub use msisdn::{FixedNumber, Msisdn, MsisdnError};
pub use secret::Secret;
