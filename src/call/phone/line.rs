//! The SIP side of the built-in caller: a handler that passes events on.

use super::report::PhoneError;
use crate::net::Handler;
use crate::sip::{ChangeId, Endpoint, Event, Flow, InviteParams, Rejection, SessionId};
use std::time::Instant;
use tokio::sync::mpsc;

/// What the caller asks of the SIP side.
#[derive(Debug)]
pub(super) enum Command {
    Invite(Box<InviteParams>),
    HangUp(SessionId),
    /// Agrees to a change of the session, or refuses it.
    Change(SessionId, ChangeId, Result<Vec<u8>, u16>),
    /// Hang up whatever there is, and go when it is over.
    Leave,
}

/// The SIP side of the caller: passes events on.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) flow: Flow,
    pub(super) events: mpsc::Sender<Event>,
    /// Why the call did not begin.
    pub(super) failures: mpsc::Sender<PhoneError>,
    pub(super) session: Option<SessionId>,
    pub(super) leaving: bool,
}

impl Line {
    fn hang_up(now: Instant, endpoint: &mut Endpoint, session: SessionId) {
        if let Err(error) = endpoint.bye(now, session, None) {
            tracing::debug!(%error, "nothing left to hang up");
        }
    }
}

impl Handler for Line {
    type Command = Command;

    fn event(&mut self, _: Instant, _: &mut Endpoint, event: Event) {
        if self.events.try_send(event).is_err() {
            tracing::warn!("the caller is gone or deaf; event dropped");
        }
    }

    fn command(&mut self, now: Instant, endpoint: &mut Endpoint, command: Command) {
        match command {
            Command::Invite(parameters) => match endpoint.invite(now, self.flow, &parameters) {
                Ok(session) => self.session = Some(session),
                Err(error) => {
                    // One INVITE, one place: it cannot be full.
                    let _ = self.failures.try_send(PhoneError::Invite(error.to_string()));
                }
            },
            Command::Change(session, change, answer) => {
                let answered = match answer {
                    Ok(sdp) => endpoint.answer_change(now, session, change, sdp),
                    Err(status) => endpoint.refuse_change(now, session, change, &Rejection::new(status)),
                };
                if let Err(error) = answered {
                    tracing::debug!(%error, "a change was withdrawn");
                }
            }
            Command::HangUp(session) => Self::hang_up(now, endpoint, session),
            Command::Leave => {
                self.leaving = true;
                if let Some(session) = self.session {
                    Self::hang_up(now, endpoint, session);
                }
            }
        }
    }

    fn not_opened(&mut self, flow: Flow, why: &str) {
        // Where one is told already, it is the reason.
        let _ = self.failures.try_send(PhoneError::NotConnected {
            transport: flow.transport,
            remote: flow.remote,
            why: why.to_owned(),
        });
    }

    fn finished(&self, endpoint: &Endpoint) -> bool {
        self.leaving && endpoint.session_count() == 0
    }
}
