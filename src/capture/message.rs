//! One message as it was captured.

use super::keys::hide_keys;
use crate::net::{Direction, Passed};
use crate::sip::Flow;
use crate::sip::message::Message;
use crate::units::clock::Reading;
use bytes::Bytes;

/// One message as it passed the wire: its numbers not hidden yet, keys of media hidden already. Its `Debug` shows no octets.
#[derive(Clone)]
pub struct Captured {
    /// Which way it went.
    pub direction: Direction,
    /// Between which addresses.
    pub flow: Flow,
    /// When.
    pub at: Reading,
    /// Its octets.
    pub octets: Bytes,
    /// Its Call-ID; `None` where it could not be read.
    pub call_id: Option<Bytes>,
    /// What of it decides where it is kept.
    pub role: Role,
}

/// What a message means for the record of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A 2xx to an INVITE: the call was answered.
    Answers,
    /// Anything else.
    Other,
}

impl Captured {
    /// Copies what passes, without the keys of media.
    pub fn of(passed: &Passed<'_>) -> Self {
        let mut octets = passed.octets.to_vec();
        hide_keys(&mut octets);
        let octets = Bytes::from(octets);
        let (call_id, role) = match Message::parse(&octets) {
            Ok(message) => {
                let call_id = message.call_id().ok().map(|call_id| octets.slice_ref(call_id));
                (call_id, role(&message))
            }
            Err(_) => (None, Role::Other),
        };
        Self { direction: passed.direction, flow: passed.flow, at: passed.at, octets, call_id, role }
    }
}

fn role(message: &Message<'_>) -> Role {
    let accepts = message.status().is_some_and(|status| (200..300).contains(&status));
    let of_invite = || message.cseq().is_ok_and(|cseq| cseq.method == crate::sip::message::Method::Invite);
    if accepts && of_invite() { Role::Answers } else { Role::Other }
}

impl std::fmt::Debug for Captured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Captured")
            .field("direction", &self.direction)
            .field("flow", &self.flow)
            .field("octets", &self.octets.len())
            .finish_non_exhaustive()
    }
}
