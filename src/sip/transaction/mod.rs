//! The four transaction machines (RFC 3261 §17, INVITE ones with the Accepted state of RFC 6026) and the keys by which
//! messages find them (RFC 3261 §17.1.3, §17.2.3).
//!
//! A machine holds a state and its timers, and no message: an input yields at most one action, which the endpoint
//! performs with the messages it keeps beside the machine. One function per state, the RFC's sentence above it.

mod invite_client;
mod invite_server;
pub mod key;
mod non_invite_client;
mod non_invite_server;

pub use invite_client::{InviteClient, InviteClientState};
pub use invite_server::{InviteServer, InviteServerState};
pub use non_invite_client::{NonInviteClient, NonInviteClientState};
pub use non_invite_server::{NonInviteServer, NonInviteServerState};

/// The class of a response, as far as a transaction cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResponseClass {
    /// 1xx.
    Provisional,
    /// 2xx.
    Success,
    /// 3xx to 6xx.
    Failure,
}

impl ResponseClass {
    /// The class of a status code (100 to 699).
    pub fn of(status: u16) -> Self {
        match status {
            0..=199 => Self::Provisional,
            200..=299 => Self::Success,
            _ => Self::Failure,
        }
    }
}

/// What a server machine asks of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServerAction {
    /// Nothing: the input is absorbed.
    Absorb,
    /// Send the response that the transaction user handed in, and keep it as the most recent one.
    Send,
    /// Send the most recent response again.
    SendAgain,
    /// Hand the ACK to the transaction user, which owns the 2xx response (RFC 6026 §7.1).
    DeliverAck,
    /// Tell the transaction user that the INVITE came again while its 2xx response waits for an ACK.
    InviteAgain,
    /// No ACK to the non-2xx final response within timer H; the machine is terminated.
    NoAck,
}

/// What a client machine asks of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientAction {
    /// Nothing: the input is absorbed.
    Absorb,
    /// Send the request again.
    SendAgain,
    /// Hand the response to the transaction user.
    Deliver,
    /// Send the ACK of RFC 3261 §17.1.1.3 and hand the response to the transaction user.
    AcknowledgeAndDeliver,
    /// Send that ACK again; the response was delivered before.
    Acknowledge,
    /// Timer B or F: no final response came; the machine is terminated.
    TimedOut,
}
