//! The trunks' side inside the SIP driver's task: sends what their tasks order, hands the outcomes back, tells and counts
//! what changes.

use super::{TrunkParts, TrunkSettings};
use crate::call::observer::{Observer, ServiceEvent, ServiceStep};
use crate::sip::registration::{News, RegisterOutcome};
use crate::sip::{Endpoint, Event, Flow, OptionsId, OptionsParams, RegisterId, RegisterParams};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Notify, oneshot, watch};

/// The status that stands for a request that could not be sent (RFC 3261 §8.1.3.1).
const SERVICE_UNAVAILABLE: u16 = 503;

/// What a trunk's task asks of the SIP side.
#[derive(Debug)]
pub enum TrunkOrder {
    /// Send a REGISTER.
    Register {
        /// By which way.
        flow: Flow,
        /// What.
        params: Box<RegisterParams>,
        /// What came of it.
        answer: oneshot::Sender<RegisterOutcome>,
        /// Of which trunk.
        trunk: String,
        /// Is notified when the connection that it goes by is gone.
        lost: Arc<Notify>,
    },
    /// Keep the connection that a trunk is registered by alive.
    KeepAlive(Flow),
    /// Send an OPTIONS.
    Options {
        /// By which way.
        flow: Flow,
        /// What.
        params: Box<OptionsParams>,
        /// The status of the answer; 408 for none.
        answer: oneshot::Sender<u16>,
    },
    /// Something to be logged, counted and told, once.
    News {
        /// Of which trunk.
        trunk: String,
        /// The peer its calls come from.
        peer: Option<String>,
        /// What.
        news: TrunkNews,
    },
    /// Start the trunks' tasks.
    Start,
    /// A task has done its last.
    Done,
}

/// What happened to a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrunkNews {
    /// To its registration.
    Registration(News),
    /// It answers OPTIONS.
    Up,
    /// It does not answer OPTIONS any more.
    Down,
}

/// Changes counted over all trunks.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    up: u64,
    down: u64,
    registered: u64,
    refreshed: u64,
    failed: u64,
    lapsed: u64,
    unregistered: u64,
}

/// Orders under way, by the request that carries each. Every one ends with an event of the endpoint, so that there are
/// no more of them than client transactions.
#[derive(Debug)]
pub struct Desk {
    registers: HashMap<RegisterId, oneshot::Sender<RegisterOutcome>>,
    options: HashMap<OptionsId, oneshot::Sender<u16>>,
    /// The connection that each trunk registers by, and who is to know of its end.
    connections: HashMap<String, (Flow, Arc<Notify>)>,
    /// What is started when the driver is told so.
    waiting: Option<(Vec<TrunkSettings>, TrunkParts)>,
    tasks: usize,
    stop: watch::Sender<bool>,
    counts: Counts,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            registers: HashMap::new(),
            options: HashMap::new(),
            connections: HashMap::new(),
            waiting: None,
            tasks: 0,
            stop: watch::Sender::new(false),
            counts: Counts::default(),
        }
    }
}

impl Desk {
    /// Becomes true when the service stops.
    pub fn stop_signal(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// The trunks whose tasks [`TrunkOrder::Start`] starts.
    pub fn set_trunks(&mut self, trunks: Vec<TrunkSettings>, parts: TrunkParts) {
        self.waiting = Some((trunks, parts));
    }

    /// The service has ended when these tasks have: each says so.
    fn start(&mut self) {
        let Some((trunks, parts)) = self.waiting.take() else { return };
        self.tasks += trunks.iter().map(|trunk| super::spawn(trunk, &parts)).sum::<usize>();
    }

    pub(in crate::call) fn stop(&mut self) {
        self.waiting = None;
        self.stop.send_replace(true);
    }

    pub(in crate::call) fn is_done(&self) -> bool {
        self.tasks == 0
    }

    pub(in crate::call) fn carry_out(
        &mut self,
        now: Instant,
        wall: Timestamp,
        endpoint: &mut Endpoint,
        observer: &Observer,
        order: TrunkOrder,
    ) {
        match order {
            TrunkOrder::Register { flow, params, answer, trunk, lost } => {
                self.connections.insert(trunk, (flow, lost));
                match endpoint.register(now, flow, &params) {
                    Ok(request) => drop(self.registers.insert(request, answer)),
                    Err(error) => {
                        tracing::warn!(%error, "a REGISTER could not be sent");
                        // The task may have stopped waiting.
                        let _ = answer.send(RegisterOutcome::Unreachable);
                    }
                }
            }
            TrunkOrder::KeepAlive(flow) => endpoint.keep_alive(flow),
            TrunkOrder::Options { flow, params, answer } => match endpoint.options(now, flow, &params) {
                Ok(request) => drop(self.options.insert(request, answer)),
                Err(error) => {
                    tracing::warn!(%error, "an OPTIONS could not be sent");
                    let _ = answer.send(SERVICE_UNAVAILABLE);
                }
            },
            TrunkOrder::News { trunk, peer, news } => self.tell(wall, observer, trunk, peer, &news),
            TrunkOrder::Start => self.start(),
            TrunkOrder::Done => self.tasks = self.tasks.saturating_sub(1),
        }
    }

    /// A connection is gone: a trunk that is registered by it is told.
    pub(in crate::call) fn disconnected(&self, flow: Flow) {
        for (_, lost) in self.connections.values().filter(|(by, _)| *by == flow) {
            lost.notify_one();
        }
    }

    /// Hands an outcome to the task that waits for it; other events come back.
    pub(in crate::call) fn event(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::RegisterEnded { request, outcome } => {
                if let Some(answer) = self.registers.remove(&request) {
                    let _ = answer.send(outcome);
                }
                None
            }
            Event::OptionsAnswered { request, status } => {
                if let Some(answer) = self.options.remove(&request) {
                    let _ = answer.send(status);
                }
                None
            }
            other => Some(other),
        }
    }

    /// The changes so far, by name.
    pub(in crate::call) fn counters(&self) -> [(&'static str, u64); 7] {
        let counts = self.counts;
        [
            ("trunk_up", counts.up),
            ("trunk_down", counts.down),
            ("trunk_registered", counts.registered),
            ("trunk_refreshed", counts.refreshed),
            ("trunk_register_failed", counts.failed),
            ("trunk_lapsed", counts.lapsed),
            ("trunk_unregistered", counts.unregistered),
        ]
    }

    fn tell(
        &mut self,
        at: Timestamp,
        observer: &Observer,
        trunk: String,
        peer: Option<String>,
        news: &TrunkNews,
    ) {
        let peer = peer.unwrap_or_default();
        let (count, state) = match news {
            TrunkNews::Up => {
                tracing::info!(trunk, peer, "the trunk answers");
                (&mut self.counts.up, "up")
            }
            TrunkNews::Down => {
                tracing::warn!(trunk, peer, "the trunk does not answer");
                (&mut self.counts.down, "down")
            }
            TrunkNews::Registration(News::Registered { expires_s }) => {
                tracing::info!(trunk, peer, expires_s, "registered");
                (&mut self.counts.registered, "registered")
            }
            TrunkNews::Registration(News::Refreshed) => {
                tracing::debug!(trunk, "the registration is refreshed");
                (&mut self.counts.refreshed, "refreshed")
            }
            TrunkNews::Registration(News::Failed { why, again_after }) => {
                tracing::warn!(trunk, peer, %why, again_after_s = again_after.as_secs(), "not registered");
                (&mut self.counts.failed, "register-failed")
            }
            TrunkNews::Registration(News::Lapsed) => {
                tracing::warn!(trunk, peer, "the registration has come to its end");
                (&mut self.counts.lapsed, "lapsed")
            }
            TrunkNews::Registration(News::Unregistered) => {
                tracing::info!(trunk, peer, "the registration is given up");
                (&mut self.counts.unregistered, "unregistered")
            }
        };
        *count = count.saturating_add(1);
        observer.tell_service(|| ServiceEvent { at, step: ServiceStep::Trunk { trunk, state } });
    }
}
