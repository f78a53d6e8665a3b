//! A re-INVITE from the peer (RFC 3261 §14.2): a refresh, a change of the session, or a question for our offer.

use super::{SessionId, State};
use crate::sip::endpoint::Endpoint;
use crate::sip::endpoint::receive::Received;
use crate::sip::identifier::Tag;
use std::time::Instant;

impl Endpoint {
    /// A re-INVITE whose CSeq is in order.
    pub(in crate::sip) fn handle_reinvite(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        id: SessionId,
        tag: Tag,
    ) {
        self.confirm_by_reinvite(now, id);
        let Some(session) = self.sessions.get_mut(id) else { return };
        match session.glare_with_reinvite() {
            Some(glare) => self.refuse_glare(now, received, tag, glare),
            None => self.take_change(now, received, id, tag),
        }
    }

    /// RFC 5407 §3.1.4: where the INVITE's offer was answered in our 2xx, a re-INVITE that overtakes the ACK, or whose ACK
    /// was lost, shows that the 2xx came: the call stands.
    fn confirm_by_reinvite(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let is_answered = session.remote_description.is_some();
        if let State::Answered { hang_up, .. } = &mut session.state
            && is_answered
        {
            let hang_up = hang_up.take();
            self.session_confirmed(now, id, None, hang_up);
        }
    }
}
