//! The call record, gathered while the call goes on (DOMAIN §3.6: the call is free, and the record says so).

use super::trust::Caller;
use crate::sip::IncomingInvite;
use crate::store::{CallEnd, CallRecord, MediaQuality, Origin};
use crate::units::CallId;
use jiff::Timestamp;

/// Nodes kept of a call; a caller who goes round in circles is not kept whole.
const MAX_NODES: usize = 200;

/// Octets kept of a Reason field; the column's CHECK takes no more characters.
const MAX_REASON_OCTETS: usize = 256;

/// A call record in the making.
#[derive(Debug, Clone)]
pub struct RecordBuilder(CallRecord);

impl RecordBuilder {
    /// At the INVITE's arrival.
    pub fn new(id: CallId, invite: &IncomingInvite, caller: Caller, origin: Origin, now: Timestamp) -> Self {
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
            reason: None,
            outcome: "none".to_owned(),
            nodes: Vec::new(),
            free_of_charge: true,
            origin,
            media: None,
        })
    }

    /// The ACK arrived.
    pub fn answered(&mut self, now: Timestamp) {
        self.0.answered_at = Some(now);
    }

    /// The peer that the call came from.
    pub fn peer(&self) -> Option<&str> {
        self.0.origin.peer.as_deref()
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

    /// The caller's side says why it ends the call, in its own words, of which [`MAX_REASON_OCTETS`] are kept.
    pub fn reason(&mut self, value: &str) {
        let kept = (0..=value.len().min(MAX_REASON_OCTETS)).rev().find(|end| value.is_char_boundary(*end));
        self.0.reason = Some(value[..kept.unwrap_or(0)].to_owned());
    }

    /// How the media fared.
    pub fn media(&mut self, quality: MediaQuality) {
        self.0.media = Some(quality);
    }

    /// Over.
    pub fn finish(&mut self, end: CallEnd, now: Timestamp) -> CallRecord {
        self.0.end = end;
        self.0.ended_at = now;
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{Endpoint, EndpointConfig, Event, Flow, Transport};
    use crate::units::Msisdn;
    use crate::units::clock::Clock;

    fn invite(target: &str) -> IncomingInvite {
        let request = format!(
            "INVITE {target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             From: <sip:a@x>;tag=1\r\nTo: <sip:130@x>\r\nCall-ID: one@x\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:a@127.0.0.1:9>\r\nContent-Length: 0\r\n\r\n"
        );
        let mut endpoint = Endpoint::new(EndpointConfig::new([1; 32]));
        let flow = Flow {
            transport: Transport::Udp,
            local: "127.0.0.1:5060".parse().unwrap(),
            remote: "127.0.0.1:9".parse().unwrap(),
        };
        endpoint.handle_datagram(Clock::system().instant(), flow, request.as_bytes());
        match endpoint.poll_event() {
            Some(Event::Invite(invite)) => *invite,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_record_is_gathered_and_bounded() {
        let now = Clock::system().wall();
        let id = CallId::new(now, [3; 10]);
        let leader = Caller::Known(Msisdn::parse("0691234567").unwrap());
        let mut record = RecordBuilder::new(id, &invite("sip:130@x"), leader, Origin::default(), now);
        for turn in 0..MAX_NODES + 50 {
            record.node(&format!("node-{turn}"));
        }
        record.outcome("leader-rights", "leader");
        record.outcome("activate", "accepted");
        record.reason(&format!("SIP; cause=200;text=\"{}\"", "ë".repeat(200)));
        record.answered(now);
        let whole = record.finish(CallEnd::Goodbye, now);
        assert_eq!((whole.id, whole.sip_call_id.as_str(), whole.called.as_str()), (id, "one@x", "130"));
        let reason = whole.reason.unwrap();
        assert!(
            reason.starts_with("SIP; cause=200;text=\"ë") && reason.len() == MAX_REASON_OCTETS - 1,
            "{reason}"
        );
        assert_eq!(whole.caller.as_deref(), Some("+355691234567"), "whole, in the record only");
        assert_eq!((whole.nodes.len(), whole.outcome.as_str()), (MAX_NODES, "activate: accepted"));
        assert_eq!((whole.answered_at, whole.end, whole.free_of_charge), (Some(now), CallEnd::Goodbye, true));
    }

    #[test]
    fn who_is_not_believed_has_no_number() {
        let now = Clock::system().wall();
        for caller in [Caller::Foreign, Caller::Anonymous, Caller::Untrusted] {
            let id = CallId::new(now, [3; 10]);
            let mut record = RecordBuilder::new(id, &invite("sip:130@x"), caller, Origin::default(), now);
            let whole = record.finish(CallEnd::Rejected, now);
            assert_eq!((whole.caller, whole.answered_at, whole.outcome.as_str()), (None, None, "none"));
        }
    }
}
