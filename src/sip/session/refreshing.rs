//! Refreshes of ours (RFC 4028 §7, §10): UPDATE where the peer takes it, else a re-INVITE that offers what holds already,
//! octet for octet; and what comes of them (RFC 3261 §14.1).

use super::{Session, SessionId, State};
use crate::sip::counters::Counter;
use crate::sip::endpoint::capabilities::{ALLOW, SESSION_DESCRIPTION, SUPPORTED};
use crate::sip::endpoint::wake_up::TIMED_OUT;
use crate::sip::endpoint::{EndCause, Endpoint, Event, TransactionId};
use crate::sip::message::{HeaderName, Message, Method, Refresher, SessionExpires, Unwritable};
use crate::sip::reason::Reason;
use crate::sip::timer::SessionTimer;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// RFC 3261 §14.1: after 491 the owner of the Call-ID waits from 2.1 to 4 s, in units of 10 ms.
const GLARE_OWNER_MS: (u32, u32) = (2_100, 4_000);
/// The other side waits from 0 to 2 s.
const GLARE_OTHER_MS: (u32, u32) = (0, 2_000);
/// The unit of those waits, ms.
const GLARE_UNIT_MS: u32 = 10;

/// The wait before a refresh is tried again that something else of the session stands in the way of.
const BUSY_WAIT: Duration = Duration::from_secs(1);

/// Refreshes that are refused with 422 in a row, each with a higher Min-SE, before the session is left to expire.
const MAX_RAISED: u8 = 3;

/// The longest Retry-After that is waited for; the session may be over before.
const RETRY_AFTER_MAX_S: u32 = 3_600;

impl Session {
    /// The refresh of ours has its final response.
    fn refresh_ended(&mut self) {
        self.offer_of_ours = false;
        if let Some(refresh) = &mut self.refresh {
            refresh.is_under_way = false;
        }
    }
}

impl Endpoint {
    /// Half of the session interval is over, or a wait for another try.
    pub(super) fn refresh_due(&mut self, now: Instant, id: SessionId) {
        let has_room = self.has_client_room();
        let Some(session) = self.sessions.get_mut(id) else { return };
        let is_quiet = matches!(session.state, State::Established { reinvite: None })
            && session.change.is_none()
            && !session.offer_of_ours;
        let is_under_way = session.refresh.as_ref().is_none_or(|refresh| refresh.is_under_way);
        if is_under_way {
            return;
        }
        if !is_quiet || !has_room || self.send_refresh(now, id).is_err() {
            self.refresh_again(now + BUSY_WAIT, id);
        }
    }

    fn refresh_again(&mut self, at: Instant, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.timers.start(SessionTimer::Refresh, at);
        self.settle_session(id);
    }

    /// Sends it. "Refresher" says that we go on to be the one (§7.4).
    fn send_refresh(&mut self, now: Instant, id: SessionId) -> Result<(), Unwritable> {
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        let (Some(refresh), Some(mut dialog)) = (session.refresh.clone(), session.dialog.take()) else {
            return Ok(());
        };
        let description = session.local_description.clone().filter(|_| !refresh.by_update);
        let (flow, branch, cseq) = (dialog.flow(), self.identifiers.branch(), dialog.next_cseq());
        let method = if refresh.by_update { Method::Update } else { Method::Invite };
        let writer = dialog.request(method, cseq, &self.via(flow, branch));
        let contact = self.contact(flow);
        if let Some(session) = self.sessions.get_mut(id) {
            session.dialog = Some(dialog);
        }
        let expires = SessionExpires { interval_s: refresh.interval_s, refresher: Some(Refresher::Uac) };
        let mut writer = writer?;
        writer.field(HeaderName::Contact, contact)?;
        writer.field(HeaderName::Allow, ALLOW)?.field(HeaderName::Supported, SUPPORTED)?;
        writer.field(HeaderName::SessionExpires, expires.to_string())?;
        if refresh.min_se_s > 0 {
            writer.field_number(HeaderName::MinSe, refresh.min_se_s)?;
        }
        let holds_offer = description.is_some();
        let request = Bytes::from(match description {
            Some(description) => writer.finish_with_body(SESSION_DESCRIPTION, &description)?,
            None => writer.finish(),
        });
        if let Some(session) = self.sessions.get_mut(id) {
            session.offer_of_ours = holds_offer;
            session.refresh = Some(Box::new(super::refresh::Refresh { is_under_way: true, ..*refresh }));
        }
        self.counters.count(Counter::RefreshesSent);
        self.open_refresh_client(now, flow, branch, request, id, method == Method::Invite);
        Ok(())
    }

    /// A 2xx to our refresh: an INVITE's is acknowledged, and the clocks start anew (§7.2, §10).
    pub(in crate::sip) fn refresh_accepted(
        &mut self,
        now: Instant,
        transaction: TransactionId,
        id: SessionId,
        response: &Message<'_>,
    ) {
        let floor_s = self.config.session_intervals.min_se_s;
        let Some(mut dialog) = self.sessions.get_mut(id).and_then(|session| session.dialog.take()) else {
            return;
        };
        let heard = dialog.heard();
        dialog.refresh_target(response, heard);
        // Nothing of it can fail to be written that came through the parser.
        let _ = self.acknowledge_refresh(transaction, &dialog);
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.dialog = Some(dialog);
        session.refresh_ended();
        if matches!(session.state, State::Ending) {
            return;
        }
        if let Some(refresh) = &mut session.refresh {
            refresh.raised = 0;
            refresh.note_allow(response);
            refresh.peer_supports = response.requires(super::refresh::OPTION_TAG);
            refresh.is_ours = true;
            if let Ok(Some(said)) = response.session_expires() {
                refresh.interval_s = said.interval_s.max(floor_s);
                refresh.is_ours = said.refresher != Some(Refresher::Uas);
            }
        }
        session.run_session_timer(now);
        self.settle_session(id);
        let body = response.body();
        if !body.is_empty() {
            self.emit(Event::RefreshAnswered { session: id, body: Bytes::copy_from_slice(body) });
        }
    }

    /// Any other final response to our refresh, or none ([`TIMED_OUT`]).
    pub(in crate::sip) fn refresh_refused(
        &mut self,
        now: Instant,
        id: SessionId,
        status: u16,
        response: Option<&Message<'_>>,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.refresh_ended();
        let Some(refresh) = session.refresh.as_mut().filter(|_| !matches!(session.state, State::Ending))
        else {
            return;
        };
        let retry_after = response.and_then(|response| response.retry_after().ok().flatten());
        let min_se_s = response.and_then(|response| response.min_se().ok().flatten());
        match (status, min_se_s, retry_after) {
            // "the UAC SHOULD terminate the dialog" (RFC 3261 §12.2.1.2), with BYE (RFC 4028 §10).
            (TIMED_OUT | 481, ..) => {
                self.counters.count(Counter::RefreshesFailed);
                self.detach_with_bye(now, id, EndCause::RefreshFailed, Reason::RefreshFailed);
            }
            // §7.3: again, with the interval that the peer wants at least.
            (422, Some(least_s), _) if least_s > refresh.interval_s && refresh.raised < MAX_RAISED => {
                refresh.raised += 1;
                refresh.interval_s = least_s;
                refresh.min_se_s = least_s;
                self.refresh_due(now, id);
            }
            (491, ..) => {
                let owner = session.dialog.as_ref().is_some_and(|dialog| dialog.is_ours());
                let (least, most) = if owner { GLARE_OWNER_MS } else { GLARE_OTHER_MS };
                let units = self.identifiers.seconds_up_to((most - least) / GLARE_UNIT_MS);
                let wait = Duration::from_millis((least + units * GLARE_UNIT_MS).into());
                self.refresh_again(now + wait, id);
            }
            (405 | 501, ..) if refresh.by_update => {
                refresh.by_update = false;
                self.refresh_due(now, id);
            }
            (500..=599, _, Some(after)) => {
                let wait = Duration::from_secs(after.seconds.clamp(1, RETRY_AFTER_MAX_S).into());
                self.refresh_again(now + wait, id);
            }
            _ => {
                self.counters.count(Counter::RefreshesFailed);
                // A peer that does not know session timers will not end the call for want of a refresh, and its answer shows
                // that it is there. Of another one the session expires.
                if !refresh.peer_supports {
                    session.run_session_timer(now);
                    self.settle_session(id);
                }
            }
        }
    }
}
