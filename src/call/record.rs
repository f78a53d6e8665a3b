//! The call record, gathered while the call goes on (DOMAIN §3.6: the call is free, and the record says so).

use super::trust::Caller;
use crate::sip::IncomingInvite;
use crate::store::{CallEnd, CallRecord};
use crate::units::CallId;
use jiff::Timestamp;

/// Nodes kept of a call; a caller who goes round in circles is not kept whole.
const MAX_NODES: usize = 200;

/// A call record in the making.
#[derive(Debug, Clone)]
pub struct RecordBuilder(CallRecord);

impl RecordBuilder {
    /// At the INVITE's arrival.
    pub fn new(id: CallId, invite: &IncomingInvite, caller: Caller, now: Timestamp) -> Self {
        let number = match caller {
            Caller::Known(number) => Some(number.e164()),
            Caller::Foreign | Caller::Anonymous | Caller::Untrusted => None,
        };
        Self(CallRecord {
            id,
            sip_call_id: invite.call_id.clone(),
            caller: number,
            called: invite.called.clone().unwrap_or_default(),
            received_at: now,
            answered_at: None,
            ended_at: now,
            end: CallEnd::Failed,
            outcome: "none".to_owned(),
            nodes: Vec::new(),
            free_of_charge: true,
        })
    }

    /// The ACK arrived.
    pub fn answered(&mut self, now: Timestamp) {
        self.0.answered_at = Some(now);
    }

    /// The flow entered a node.
    pub fn node(&mut self, node: &str) {
        if self.0.nodes.len() < MAX_NODES {
            self.0.nodes.push(node.to_owned());
        }
    }

    /// The last thing that was decided, such as `activate: activated`.
    pub fn outcome(&mut self, name: &str, outcome: &str) {
        self.0.outcome = format!("{name}: {outcome}");
    }

    /// Over.
    pub fn finish(&mut self, end: CallEnd, now: Timestamp) -> CallRecord {
        self.0.end = end;
        self.0.ended_at = now;
        self.0.clone()
    }
}
