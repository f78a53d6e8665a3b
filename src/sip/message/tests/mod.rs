//! Tests of the room as a whole; what belongs to one file is tested there.

mod fields;
mod oracles;
mod properties;
mod torture;
mod writer;

/// The INVITE of a call to 130 as a trunk sends it.
pub(super) const INVITE: &[u8] = include_bytes!("../../../../sip-tests/messages/invite.sip");
