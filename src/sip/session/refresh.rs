//! Session timers (RFC 4028): what is agreed of them in each 2xx, and their two clocks. [`super::refreshing`] sends the
//! refreshes that are ours to send.
//!
//! Whoever answers a request that refreshes a session (INVITE, re-INVITE, UPDATE) with 2xx calls
//! [`Endpoint::agree_on_timer`] while it writes the response.

use super::{Session, SessionId};
use crate::sip::counters::Counter;
use crate::sip::endpoint::{EndCause, Endpoint, SessionIntervals};
use crate::sip::message::{HeaderName, Message, Method, Refresher, SessionExpires, Unwritable, Writer};
use crate::sip::reason::Reason;
use crate::sip::timer::SessionTimer;
use std::time::{Duration, Instant};

/// The option tag of session timers.
pub(in crate::sip) const OPTION_TAG: &str = "timer";

/// §10: whoever does not refresh sends BYE "slightly before the session expiration": the lesser of this, s, and a third of
/// the interval.
const BEFORE_EXPIRATION_MAX_S: u64 = 32;

/// What two sides have agreed on, and what our refreshes need to know.
#[derive(Debug, Clone)]
pub(in crate::sip) struct Refresh {
    /// The session interval, s.
    pub(super) interval_s: u32,
    /// Whose turn it is.
    pub(super) is_ours: bool,
    /// The peer knows session timers itself.
    pub(super) peer_supports: bool,
    /// The peer's Allow names UPDATE.
    pub(super) by_update: bool,
    /// The highest Min-SE that refused a refresh of ours, s; 0 before.
    pub(super) min_se_s: u32,
    /// Refreshes of ours that were refused with 422 in a row.
    pub(super) raised: u8,
    /// A refresh of ours has no final response yet.
    pub(super) is_under_way: bool,
}

impl Refresh {
    pub(super) fn new(interval_s: u32, is_ours: bool, message: &Message<'_>) -> Self {
        let mut refresh = Self {
            interval_s,
            is_ours,
            peer_supports: message.supports(OPTION_TAG) || message.requires(OPTION_TAG),
            by_update: false,
            min_se_s: 0,
            raised: 0,
            is_under_way: false,
        };
        refresh.note_allow(message);
        refresh
    }

    /// Notes whether the peer takes UPDATE, where it says anything of that.
    pub(super) fn note_allow(&mut self, message: &Message<'_>) {
        if message.values(HeaderName::Allow).next().is_some() {
            self.by_update = message.allow().any(|method| method == Ok(Method::Update));
        }
    }
}

/// §9, table 2: what a request that may refresh is answered. `ours_now` says whether it was ours to refresh so far, which
/// stays so where the request leaves it open. `None` where there is to be no session timer.
fn agreed(
    request: &Message<'_>,
    intervals: &SessionIntervals,
    ours_now: Option<bool>,
) -> Option<SessionExpires> {
    let supports = request.supports(OPTION_TAG);
    let asked = request.session_expires().ok().flatten();
    // One that is too small was refused with 422, if its sender understands that; otherwise it is not there for us.
    let asked = asked.filter(|asked| asked.interval_s >= intervals.min_se_s);
    let least_s = request.min_se().ok().flatten().unwrap_or(0).max(intervals.min_se_s);
    let interval_s = match (asked, intervals.session_expires_s) {
        (None, 0) => return None,
        (None, ours_s) => ours_s.max(least_s),
        (Some(asked), 0) => asked.interval_s,
        // It may be made shorter, but not below Min-SE, and never longer.
        (Some(asked), ours_s) => asked.interval_s.min(ours_s.max(least_s)),
    };
    let refresher = match (supports, asked.and_then(|asked| asked.refresher)) {
        (false, _) => Refresher::Uas,
        (true, Some(refresher)) => refresher,
        (true, None) if ours_now == Some(false) => Refresher::Uac,
        (true, None) => Refresher::Uas,
    };
    Some(SessionExpires { interval_s, refresher: Some(refresher) })
}

/// Whether a request asks for an interval below ours, and is one to be told so: "MUST … if the request contains a Supported
/// header field with a value 'timer'" (§9).
pub(in crate::sip) fn is_too_small(request: &Message<'_>, intervals: &SessionIntervals) -> bool {
    let asked = request.session_expires().ok().flatten();
    asked.is_some_and(|asked| asked.interval_s < intervals.min_se_s) && request.supports(OPTION_TAG)
}

impl Session {
    /// Starts both clocks anew: a refresh was answered with 2xx.
    pub(super) fn run_session_timer(&mut self, now: Instant) {
        let Some(refresh) = &self.refresh else {
            self.timers.stop(SessionTimer::Refresh);
            return self.timers.stop(SessionTimer::Expired);
        };
        let interval = Duration::from_secs(refresh.interval_s.into());
        let before = Duration::from_secs(BEFORE_EXPIRATION_MAX_S).min(interval / 3);
        self.timers.start(SessionTimer::Expired, now + interval - before);
        if refresh.is_ours {
            self.timers.start(SessionTimer::Refresh, now + interval / 2);
        } else {
            self.timers.stop(SessionTimer::Refresh);
        }
    }
}

impl Endpoint {
    /// Writes into our 2xx to `request`, which refreshes the session or makes it, what is agreed of its timer, and starts
    /// the clocks (§9).
    ///
    /// # Errors
    /// None that this writes can fail.
    pub(super) fn agree_on_timer(
        &mut self,
        now: Instant,
        id: SessionId,
        request: &Message<'_>,
        writer: &mut Writer,
    ) -> Result<(), Unwritable> {
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        let ours_now = session.refresh.as_ref().map(|refresh| refresh.is_ours);
        let agreed = agreed(request, &self.config.session_intervals, ours_now);
        session.refresh = agreed.map(|agreed| {
            let is_ours = agreed.refresher == Some(Refresher::Uas);
            let mut refresh = Refresh::new(agreed.interval_s, is_ours, request);
            if let Some(before) = &session.refresh {
                refresh.is_under_way = before.is_under_way;
                refresh.by_update |= before.by_update && request.values(HeaderName::Allow).next().is_none();
            }
            Box::new(refresh)
        });
        session.run_session_timer(now);
        if let Some(agreed) = agreed {
            // "MUST" where the peer refreshes, "SHOULD" where we do.
            if request.supports(OPTION_TAG) {
                writer.field(HeaderName::Require, OPTION_TAG)?;
            }
            writer.field(HeaderName::SessionExpires, agreed.to_string())?;
        }
        self.settle_session(id);
        Ok(())
    }

    /// Takes what a 2xx to our INVITE says of the session timer (§7.2). Without Session-Expires there is none.
    pub(super) fn take_timer(&mut self, now: Instant, id: SessionId, response: &Message<'_>) {
        let floor_s = self.config.session_intervals.min_se_s;
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let Ok(Some(said)) = response.session_expires() {
            let is_ours = said.refresher != Some(Refresher::Uas);
            session.refresh = Some(Box::new(Refresh::new(said.interval_s.max(floor_s), is_ours, response)));
        }
        session.run_session_timer(now);
        self.settle_session(id);
    }

    /// §10: no refresh came in time, neither from the peer nor with success from us: BYE.
    pub(super) fn session_expired(&mut self, now: Instant, id: SessionId) {
        self.counters.count(Counter::SessionsExpired);
        self.detach_with_bye(now, id, EndCause::SessionExpired, Reason::TimerExpiry);
    }
}
