//! An UPDATE from the peer (RFC 3311 §5.2): a change of the session by a plain request, before the answer of the call
//! as well as after it, or, without an offer, a refresh of the remote target.

use super::SessionId;
use super::change::Glare;
use crate::sip::endpoint::Endpoint;
use crate::sip::endpoint::receive::Received;
use crate::sip::identifier::Tag;
use crate::sip::transaction::key::RequestIdentity;
use bytes::Bytes;
use std::time::Instant;

impl Endpoint {
    /// An UPDATE whose CSeq is in order and whose body, if any, is a session description.
    pub(in crate::sip) fn handle_update(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        id: SessionId,
        tag: Tag,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let has_offer = !received.message.body().is_empty();
        let glare = session.glare_with_update();
        match glare {
            // Without an offer only the end of the dialog, or an UPDATE before it, stands against it.
            Some(Glare::Pending) if !has_offer => self.refresh_target(now, received, id, tag),
            Some(Glare::Overlapping)
                if !has_offer && session.change.as_ref().is_none_or(|change| change.is_invite) =>
            {
                self.refresh_target(now, received, id, tag);
            }
            Some(glare) => self.refuse_glare(now, received, tag, glare),
            None if has_offer => self.take_change(now, received, id, tag),
            None => self.refresh_target(now, received, id, tag),
        }
    }

    /// 200 to an UPDATE without an offer: the session description stays as it is.
    fn refresh_target(&mut self, now: Instant, received: &Received<'_, '_>, id: SessionId, tag: Tag) {
        let Ok(identity) = RequestIdentity::of(received.message) else { return };
        let Some(transaction) = self.open_server(received, &identity, tag, None, Bytes::new()) else {
            return;
        };
        let Ok(writer) = self.write_change_ok(now, id, received.message, received.flow, tag) else { return };
        self.respond(now, transaction, 200, Bytes::from(writer.finish()));
        if let Some(session) = self.sessions.get_mut(id)
            && let Some(dialog) = &mut session.dialog
        {
            dialog.refresh_target(received.message, received.flow);
        }
    }
}
