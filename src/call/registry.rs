//! The live calls: admission, the leg of each session, drain. Runs inside the SIP driver's task, so it never waits.

use super::leg::{Leg, LegInput};
use super::negotiation::Change;
use super::next_hop::{FoundHop, NextHops};
use super::observer::{CallEvent, ServiceEvent, ServiceStep, Step};
use super::recording::RecordOrder;
use super::service::Service;
use super::trunk::{Desk, TrunkOrder};
use crate::net::{Handler, Resolver, Ways};
use crate::sip::{
    ChangeId, Endpoint, Event, Flow, IncomingInvite, Reason, Rejection, ServiceState, SessionError, SessionId,
};
use crate::units::CallId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

/// Inputs that may wait for a leg: a handful of a session's steps, and keys by INFO from as fast a machine as there is.
const INPUTS_A_LEG: usize = 64;

/// What legs and the server ask of the SIP side.
#[derive(Debug)]
pub enum Command {
    /// Tell the caller that it rings.
    Ring {
        /// Which call.
        session: SessionId,
    },
    /// Let the caller hear us before the answer: 183 with this SDP.
    Progress {
        /// Which call.
        session: SessionId,
        /// Answer, or offer when the INVITE had none.
        sdp: Vec<u8>,
    },
    /// Answer the INVITE with 200 and this SDP.
    Accept {
        /// Which call.
        session: SessionId,
        /// Answer, or offer when the INVITE had none.
        sdp: Vec<u8>,
    },
    /// Refuse the INVITE.
    Reject {
        /// Which call.
        session: SessionId,
        /// How.
        rejection: Rejection,
    },
    /// Agree to a change of the session with 200 and this SDP.
    AnswerChange {
        /// Which call.
        session: SessionId,
        /// Which change.
        change: ChangeId,
        /// Answer, or offer where the change asked for one.
        sdp: Vec<u8>,
    },
    /// Refuse a change of the session, which goes on as it was.
    RefuseChange {
        /// Which call.
        session: SessionId,
        /// Which change.
        change: ChangeId,
        /// How.
        rejection: Rejection,
    },
    /// End the call.
    Bye {
        /// Which call.
        session: SessionId,
        /// What the BYE says of it.
        reason: Reason,
    },
    /// An operator asks to record a call, or no longer.
    Record {
        /// Our id of it, or how it begins; `last` is the newest.
        call: String,
        /// What is asked.
        order: RecordOrder,
    },
    /// The leg has nothing left to do; its session may be forgotten here.
    Gone {
        /// Which call.
        session: SessionId,
    },
    /// Take no new calls; end when the last one has ended. Answers with the number of calls under way.
    Drain(oneshot::Sender<usize>),
    /// Take no new calls, and end those under way with goodbye; end when the last one has ended.
    EndAll,
    /// Whether the database can be used has changed.
    Database {
        /// It can.
        usable: bool,
    },
    /// The DNS has said where a call's requests go.
    NextHop(FoundHop),
    /// An order of a trunk's task.
    Trunk(TrunkOrder),
    /// Give an account.
    Account(oneshot::Sender<Account>),
}

/// What the SIP side holds and has counted.
#[derive(Debug, Clone)]
pub struct Account {
    /// Calls under way.
    pub calls: usize,
    /// The endpoint's counters, by name.
    pub counters: Vec<(&'static str, u64)>,
}

/// The live calls.
#[derive(Debug)]
pub struct Registry {
    service: Arc<Service>,
    commands: mpsc::Sender<Command>,
    legs: HashMap<SessionId, (CallId, mpsc::Sender<LegInput>)>,
    draining: bool,
    has_database: bool,
    /// As it was last told.
    state: ServiceState,
    trunks: Desk,
    next_hops: NextHops,
}

impl Registry {
    /// No calls yet. `commands` is the way back into the driver.
    pub fn new(service: Arc<Service>, commands: mpsc::Sender<Command>) -> Self {
        Self {
            service,
            commands,
            legs: HashMap::new(),
            draining: false,
            has_database: true,
            state: ServiceState::Accepting,
            trunks: Desk::default(),
            next_hops: NextHops::default(),
        }
    }

    /// Lets names that peers give for requests within calls be looked up.
    pub fn ask_by(&mut self, resolver: Resolver, ways: Ways) {
        self.next_hops.ask_by(resolver, ways);
    }

    /// Only for peers of the settings: nobody else makes this service ask the DNS for a name of his choice.
    fn find_next_hop(&mut self, endpoint: &Endpoint, session: SessionId) {
        let Some((uri, heard)) = endpoint.named_hop(session) else { return };
        if self.service.neighbours.hold(heard) {
            self.next_hops.find(session, uri, &self.commands);
        }
    }

    /// Where trunks' orders are carried out.
    pub fn trunks(&mut self) -> &mut Desk {
        &mut self.trunks
    }

    /// The number; everything else is the leg's. Room was looked to before: the endpoint is told of it.
    fn admit(&mut self, now: Instant, endpoint: &mut Endpoint, invite: IncomingInvite) {
        let Some(flow) = invite.called.as_deref().and_then(|called| self.service.flow_for(called)) else {
            return self.refuse(now, endpoint, &invite, Rejection::new(404));
        };
        let (sender, inputs) = mpsc::channel(INPUTS_A_LEG);
        let session = invite.session;
        let leg = Leg::new(Arc::clone(&self.service), flow, invite, self.commands.clone());
        self.legs.insert(session, (leg.id, sender));
        tokio::spawn(leg.run(inputs));
        self.settle_state(endpoint);
    }

    fn refuse(&self, now: Instant, endpoint: &mut Endpoint, invite: &IncomingInvite, rejection: Rejection) {
        let status = rejection.status;
        let reading = self.service.clock.read();
        let call: CallId = self.service.ids.call(reading.wall);
        tracing::info!(%call, status, remote = %invite.flow.remote, "call refused");
        self.service.observer.tell(|| CallEvent {
            at: reading.wall,
            call,
            sip_call_id: invite.call_id.clone(),
            step: Step::Refused { status },
        });
        carried_out(endpoint.reject(now, invite.session, &rejection));
    }

    fn drain(&mut self, endpoint: &mut Endpoint) {
        self.draining = true;
        self.trunks.stop();
        self.settle_state(endpoint);
    }

    /// Lets the endpoint answer by the state of the service, and tells a change.
    fn settle_state(&mut self, endpoint: &mut Endpoint) {
        let retry_after_s = self.service.retry_after_s;
        let (state, name) = if self.draining {
            (ServiceState::Refusing { retry_after_s }, "draining")
        } else if !self.has_database {
            (ServiceState::Unable { retry_after_s }, "without-database")
        } else if self.legs.len() >= self.full_from() {
            (ServiceState::Full { retry_after_s }, "full")
        } else {
            (ServiceState::Accepting, "accepting")
        };
        if self.state == state {
            return;
        }
        self.state = state;
        endpoint.set_service_state(state);
        tracing::info!(state = name, calls = self.legs.len(), "the state of the service");
        let at = self.service.clock.wall();
        self.service
            .observer
            .tell_service(|| ServiceEvent { at, step: ServiceStep::Service { state: name } });
    }

    /// How many calls make the service full; once it is, a tenth fewer, so that its state does not change with each call.
    fn full_from(&self) -> usize {
        let max = self.service.settings.max;
        if matches!(self.state, ServiceState::Full { .. }) { max - max / 10 } else { max }
    }

    /// Tells the endpoint how many more calls there may be: over it, it refuses them by itself, before any work.
    fn tell_room(&self, endpoint: &mut Endpoint) {
        endpoint.set_room_for_calls(self.service.settings.max.saturating_sub(self.legs.len()));
    }

    /// Tells a leg; `false` when it does not take it.
    fn tell(&mut self, session: SessionId, input: LegInput) -> bool {
        match self.legs.get(&session).map(|(_, leg)| leg.try_send(input)) {
            Some(Ok(())) => true,
            // A leg that has ended is about to say so.
            None | Some(Err(TrySendError::Closed(_))) => false,
            Some(Err(TrySendError::Full(_))) => {
                tracing::error!(?session, "a leg takes nothing; input dropped");
                false
            }
        }
    }

    /// Hands an operator's order to the one call that he names.
    fn record(&mut self, wanted: &str, order: RecordOrder) {
        let named: Vec<SessionId> = if wanted == "last" {
            self.legs.iter().max_by_key(|(_, (id, _))| *id).map(|(session, _)| *session).into_iter().collect()
        } else {
            let is_named = |id: &CallId| !wanted.is_empty() && id.to_string().starts_with(wanted);
            self.legs.iter().filter(|(_, (id, _))| is_named(id)).map(|(session, _)| *session).collect()
        };
        let refusal = match *named {
            [session] => {
                match self.legs.get(&session).map(|(_, leg)| leg.try_send(LegInput::Record(order))) {
                    Some(Ok(())) => return,
                    Some(Err(
                        TrySendError::Full(LegInput::Record(order))
                        | TrySendError::Closed(LegInput::Record(order)),
                    )) => (order, "the call takes no orders now".to_owned()),
                    _ => return,
                }
            }
            [] => (order, "no such call is under way; `klikon trace` lists calls".to_owned()),
            _ => (order, format!("{} calls begin so; write more of it", named.len())),
        };
        let (order, why) = refusal;
        // Who asked may have gone.
        let _ = order.answer.send(Err(why));
    }

    /// A change that no leg takes is refused at once; its peer may try again.
    fn change(&mut self, now: Instant, endpoint: &mut Endpoint, session: SessionId, change: Change) {
        let id = change.id;
        if !self.tell(session, LegInput::Change(change)) {
            carried_out(endpoint.refuse_change(now, session, id, &Rejection::new(500)));
        }
    }
}

impl Handler for Registry {
    type Command = Command;

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event) {
        let Some(event) = self.trunks.event(event) else { return };
        match event {
            Event::Invite(invite) => {
                self.admit(now, endpoint, *invite);
                self.tell_room(endpoint);
            }
            Event::SessionChange { session, change: id, offer } => {
                self.change(now, endpoint, session, Change { id, offer });
            }
            Event::Confirmed { session, body } => {
                self.find_next_hop(endpoint, session);
                self.tell(session, LegInput::Confirmed { body });
            }
            Event::EarlyConfirmed { session, body } => {
                self.tell(session, LegInput::EarlyConfirmed { body });
            }
            Event::RefreshAnswered { session, body } => {
                self.tell(session, LegInput::RefreshAnswered { body });
            }
            Event::ChangeAcknowledged { session, body } => {
                self.tell(session, LegInput::ChangeAcknowledged { body });
            }
            Event::ChangeWithdrawn { session, .. } => drop(self.tell(session, LegInput::ChangeWithdrawn)),
            Event::Key { session, key, at } => drop(self.tell(session, LegInput::Key { key, at })),
            Event::Cancelled { session } => drop(self.tell(session, LegInput::Cancelled)),
            Event::Ended { session, cause } => drop(self.tell(session, LegInput::Ended { cause })),
            Event::ReasonGiven { session, reason } => {
                self.tell(session, LegInput::ReasonGiven { reason });
            }
            // Outcomes of requests of our own; the service makes none.
            other => tracing::debug!(?other, "nothing to do for this event"),
        }
    }

    fn connected(&mut self, flow: Flow, certificate_names: &[String]) {
        self.service.neighbours.connected(flow, certificate_names);
    }

    fn disconnected(&mut self, flow: Flow) {
        self.service.neighbours.disconnected(&flow);
        self.trunks.disconnected(flow);
    }

    fn command(&mut self, now: Instant, endpoint: &mut Endpoint, command: Command) {
        match command {
            Command::Ring { session } => carried_out(endpoint.ring(now, session)),
            Command::Progress { session, sdp } => carried_out(endpoint.progress(now, session, sdp)),
            Command::Accept { session, sdp } => carried_out(endpoint.accept(now, session, sdp)),
            Command::Reject { session, rejection } => carried_out(endpoint.reject(now, session, &rejection)),
            Command::AnswerChange { session, change, sdp } => {
                carried_out(endpoint.answer_change(now, session, change, sdp));
            }
            Command::RefuseChange { session, change, rejection } => {
                carried_out(endpoint.refuse_change(now, session, change, &rejection));
            }
            Command::Bye { session, reason } => {
                carried_out(endpoint.bye(now, session, Some(reason.value())));
            }
            Command::Record { call, order } => self.record(&call, order),
            Command::Gone { session } => {
                self.legs.remove(&session);
                self.tell_room(endpoint);
                self.settle_state(endpoint);
            }
            Command::Database { usable } => {
                self.has_database = usable;
                self.settle_state(endpoint);
            }
            Command::NextHop(hop) => self.next_hops.found(endpoint, &hop),
            Command::Trunk(order) => {
                let (wall, service) = (self.service.clock.wall(), Arc::clone(&self.service));
                self.trunks.carry_out(now, wall, endpoint, &service.observer, order);
            }
            Command::Drain(calls) => {
                self.drain(endpoint);
                // The one who asked may have gone; the drain stands.
                let _ = calls.send(self.legs.len());
            }
            Command::EndAll => {
                self.drain(endpoint);
                for (_, leg) in self.legs.values() {
                    // A full inbox belongs to a leg that is ending anyway.
                    let _ = leg.try_send(LegInput::Stop);
                }
            }
            Command::Account(answer) => {
                let account = Account {
                    calls: self.legs.len(),
                    counters: endpoint
                        .counters()
                        .iter()
                        .map(|(counter, count)| (counter.name(), count))
                        .chain(self.trunks.counters())
                        .chain(self.service.media.counters().webrtc())
                        .collect(),
                };
                let _ = answer.send(account);
            }
        }
    }

    /// A drained server waits for its last legs, and for the BYEs they sent to be answered.
    fn finished(&self, endpoint: &Endpoint) -> bool {
        self.draining && self.legs.is_empty() && self.trunks.is_done() && endpoint.session_count() == 0
    }
}

/// An order for a session that ended while the order was on its way: its leg is told so by the event.
fn carried_out(outcome: Result<(), SessionError>) {
    if let Err(error) = outcome {
        tracing::debug!(%error, "an order for a session came too late");
    }
}
