//! The calling side before the final response: reliable provisional responses are acknowledged with PRACK, in the order
//! they were sent (RFC 3262 §4).

use super::{Session, SessionId, State};
use crate::sip::counters::Counter;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::{Endpoint, MAX_FORKS};
use crate::sip::message::{HeaderName, Message, Method, Unwritable};
use crate::sip::session::provisional::OPTION_TAG;
use bytes::Bytes;
use std::time::Instant;

/// An early dialog of a call of ours: one for each fork that answers provisionally and reliably.
#[derive(Debug)]
pub(in crate::sip) struct EarlyDialog {
    dialog: Dialog,
    /// RSeq of the last response that was acknowledged.
    rseq: u32,
    /// The answer to our offer, where it came already.
    answer: Option<Bytes>,
}

impl Session {
    /// What is known of the fork with the peer's tag of `dialog`: the CSeq numbers used are taken over, and the answer that
    /// came before the 2xx is the one that counts (RFC 3261 §13.2.1).
    pub(super) fn continue_early(&self, dialog: &mut Dialog) -> Option<Bytes> {
        let early = self.early.iter().find(|early| early.dialog.remote_tag() == dialog.remote_tag())?;
        dialog.continue_cseq(&early.dialog);
        early.answer.clone()
    }
}

impl Endpoint {
    /// A provisional response above 100 to our INVITE. `false` when it is to be passed over: it came before, or out of
    /// order, in which case it "MUST NOT be acknowledged with a PRACK, and MUST NOT be processed further" (§4).
    pub(super) fn progressed(&mut self, now: Instant, id: SessionId, response: &Message<'_>) -> bool {
        let Ok(Some(rseq)) = response.rseq() else { return true };
        let Some(Session { state: State::Calling { invite, has_offer: true, .. }, .. }) =
            self.sessions.get_mut(id)
        else {
            return true;
        };
        if !response.requires(OPTION_TAG) {
            return true;
        }
        let invite = *invite;
        let Some((octets, flow)) = self.sent_invite(invite) else { return false };
        let Ok(request) = Message::parse(&octets) else { return false };
        let Ok(dialog) = Dialog::uac(&request, response, flow) else { return false };
        let Some(session) = self.sessions.get_mut(id) else { return false };
        let known = session.early.iter().position(|early| early.dialog.remote_tag() == dialog.remote_tag());
        let index = match known {
            Some(index) => index,
            None if session.early.len() >= MAX_FORKS => {
                self.counters.count(Counter::DroppedForkLimit);
                return false;
            }
            None => {
                session.early.push(EarlyDialog { dialog, rseq: rseq.wrapping_sub(1), answer: None });
                session.early.len() - 1
            }
        };
        let Some(early) = session.early.get_mut(index).filter(|early| rseq == early.rseq.wrapping_add(1))
        else {
            return false;
        };
        early.rseq = rseq;
        if early.answer.is_none() && !response.body().is_empty() {
            early.answer = Some(Bytes::copy_from_slice(response.body()));
        }
        let mut dialog = early.dialog.clone();
        // Nothing of it can fail to be written that came through the parser.
        let _ = self.send_prack(now, &mut dialog, rseq);
        let early = self.sessions.get_mut(id).and_then(|session| session.early.get_mut(index));
        if let Some(early) = early {
            early.dialog = dialog;
        }
        true
    }

    fn send_prack(&mut self, now: Instant, dialog: &mut Dialog, rseq: u32) -> Result<(), Unwritable> {
        let (flow, branch, cseq) = (dialog.flow(), self.identifiers.branch(), dialog.next_cseq());
        let mut writer = dialog.request(Method::Prack, cseq, &self.via(flow, branch))?;
        writer.field(HeaderName::RAck, format!("{rseq} {} INVITE", dialog.invite_cseq()))?;
        self.open_prack_client(now, flow, branch, Bytes::from(writer.finish()));
        Ok(())
    }
}
