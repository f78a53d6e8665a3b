//! The SIP side of the load caller: begins, holds, ends and counts calls.

use super::{LoadSettings, SharedTally};
use crate::net::{Direction, Handler, Passed};
use crate::sip::message::{Message, Method};
use crate::sip::{EndCause, Endpoint, Event, Flow, InviteParams, SessionId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Calls begun in one tick at most: a machine that fell behind catches up without a burst.
const CALLS_A_TICK: u64 = 64;
/// INVITEs whose 100 is awaited; over it the wait is given up for all.
const MAX_AWAITED: usize = 65_536;

/// What the load caller is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Time passed.
    Tick,
    /// End the calls under way, begin no more.
    Stop,
}

/// A call that is not over.
#[derive(Debug, Clone, Copy)]
struct UnderWay {
    invite_at: Instant,
    is_ringing: bool,
    is_answered: bool,
    bye_at: Option<Instant>,
}

/// All calls.
#[derive(Debug)]
pub(super) struct LoadLine {
    flow: Flow,
    settings: LoadSettings,
    invite: InviteParams,
    tally: SharedTally,
    began: Instant,
    begun: u64,
    calls: HashMap<SessionId, UnderWay>,
    /// Answered calls by when they are to be ended; the hold is the same for all, so in order.
    held: VecDeque<(Instant, SessionId)>,
    stopping: bool,
}

impl LoadLine {
    pub(super) fn new(
        flow: Flow,
        settings: LoadSettings,
        invite: InviteParams,
        tally: SharedTally,
        began: Instant,
    ) -> Self {
        let (calls, held) = (HashMap::new(), VecDeque::new());
        Self { flow, settings, invite, tally, began, begun: 0, calls, held, stopping: false }
    }

    fn begin_due(&mut self, now: Instant, endpoint: &mut Endpoint) {
        let elapsed = (now - self.began).as_secs_f64();
        // A rate and a time of people: far below what the number holds.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let due = ((elapsed * self.settings.rate) as u64).saturating_add(1).min(self.settings.calls);
        let due = due.min(self.begun + CALLS_A_TICK);
        while self.begun < due && !self.stopping {
            self.begun += 1;
            let sent = endpoint.invite(now, self.flow, &self.invite);
            let mut tally = self.tally.lock();
            tally.started += 1;
            match sent {
                Ok(session) => {
                    let call =
                        UnderWay { invite_at: now, is_ringing: false, is_answered: false, bye_at: None };
                    self.calls.insert(session, call);
                }
                Err(error) => {
                    tracing::warn!(%error, "an INVITE was not sent");
                    tally.unsent += 1;
                }
            }
        }
    }

    fn end_due(&mut self, now: Instant, endpoint: &mut Endpoint) {
        while self.held.front().is_some_and(|(at, _)| *at <= now || self.stopping) {
            if let Some((_, session)) = self.held.pop_front() {
                self.hang_up(now, endpoint, session);
            }
        }
    }

    fn hang_up(&mut self, now: Instant, endpoint: &mut Endpoint, session: SessionId) {
        // Unless the far end was first.
        if let Some(call) = self.calls.get_mut(&session)
            && endpoint.bye(now, session, None).is_ok()
        {
            call.bye_at.get_or_insert(now);
        }
    }

    fn answered(&mut self, now: Instant, endpoint: &mut Endpoint, session: SessionId) {
        let Some(call) = self.calls.get_mut(&session) else { return };
        let took = now - call.invite_at;
        let was_ringing = std::mem::replace(&mut call.is_ringing, true);
        call.is_answered = true;
        let mut tally = self.tally.lock();
        tally.answered += 1;
        tally.answer.count(took);
        if !was_ringing {
            tally.post_dial.count(took);
        }
        drop(tally);
        if self.stopping || self.settings.hold == Duration::ZERO {
            self.hang_up(now, endpoint, session);
        } else {
            self.held.push_back((now + self.settings.hold, session));
        }
    }

    fn ended(&mut self, now: Instant, session: SessionId, cause: EndCause) {
        let Some(call) = self.calls.remove(&session) else { return };
        let mut tally = self.tally.lock();
        match (cause, call.bye_at) {
            (EndCause::ByeCompleted, Some(bye_at)) if call.is_answered => {
                tally.bye.count(now - bye_at);
                tally.completed += 1;
            }
            (EndCause::ByeReceived, _) => tally.completed += 1,
            _ if call.is_answered => tally.broken += 1,
            _ => tally.abandoned += 1,
        }
    }
}

impl Handler for LoadLine {
    type Command = Command;

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event) {
        match event {
            Event::Progress { session, .. } => {
                if let Some(call) = self.calls.get_mut(&session)
                    && !std::mem::replace(&mut call.is_ringing, true)
                {
                    self.tally.lock().post_dial.count(now - call.invite_at);
                }
            }
            Event::Answered { session, .. } => self.answered(now, endpoint, session),
            Event::Rejected { session, status, .. } => {
                let gave_up = self.stopping && status == 487;
                if self.calls.remove(&session).is_some() {
                    let mut tally = self.tally.lock();
                    if gave_up {
                        tally.abandoned += 1;
                    } else {
                        *tally.refused.entry(status).or_default() += 1;
                    }
                }
            }
            Event::Ended { session, cause } => self.ended(now, session, cause),
            _ => {}
        }
    }

    fn command(&mut self, now: Instant, endpoint: &mut Endpoint, command: Command) {
        if matches!(command, Command::Stop) {
            self.stopping = true;
            let unanswered: Vec<_> =
                self.calls.iter().filter(|(_, call)| !call.is_answered).map(|(id, _)| *id).collect();
            for session in unanswered {
                self.hang_up(now, endpoint, session);
            }
        }
        self.end_due(now, endpoint);
        self.begin_due(now, endpoint);
    }

    fn finished(&self, endpoint: &Endpoint) -> bool {
        let all_begun = self.stopping || self.begun >= self.settings.calls;
        all_begun && self.calls.is_empty() && endpoint.session_count() == 0
    }
}

/// Measures from INVITE to 100, which the endpoint keeps to itself.
#[derive(Debug)]
pub(super) struct Tapped {
    tally: SharedTally,
    awaited: Mutex<HashMap<Box<[u8]>, Instant>>,
}

impl Tapped {
    pub(super) fn new(tally: SharedTally) -> Self {
        Self { tally, awaited: Mutex::default() }
    }

    pub(super) fn see(&self, passed: &Passed<'_>) {
        let is_invite = passed.direction == Direction::Sent && passed.octets.starts_with(b"INVITE ");
        let is_trying = passed.direction == Direction::Received && passed.octets.starts_with(b"SIP/2.0 100 ");
        if !is_invite && !is_trying {
            return;
        }
        let Ok(message) = Message::parse(passed.octets) else { return };
        let Ok(call_id) = message.call_id() else { return };
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        if is_invite {
            if awaited.len() >= MAX_AWAITED {
                awaited.clear();
            }
            // A retransmission does not begin the wait afresh.
            awaited.entry(call_id.into()).or_insert(passed.at.instant);
        } else if message.cseq().is_ok_and(|cseq| cseq.method == Method::Invite)
            && let Some(sent_at) = awaited.remove(call_id)
        {
            self.tally.lock().trying.count(passed.at.instant - sent_at);
        }
    }
}
