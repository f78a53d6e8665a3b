//! The way to a trunk: its targets by RFC 3263, tried one after the other, through the SIP driver.

use super::desk::{TrunkNews, TrunkOrder};
use super::{TrunkParts, TrunkSettings};
use crate::call::registry::Command;
use crate::sip::locate;
use crate::sip::registration::{RegisterOutcome, Registration};
use crate::sip::{Flow, OptionsParams, RegisterParams};
use rand::rngs::StdRng;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot, watch};

/// A server that has said Retry-After is left alone, so long at most (RFC 3261 §21.5.4).
const REST_MAX: Duration = Duration::from_secs(600);
/// Servers that are left alone at the same time.
const MAX_RESTING: usize = 64;
/// How long one server's answer to OPTIONS is waited for: eight times T1, so that four copies may be lost.
const PING_PATIENCE: Duration = Duration::from_secs(4);

/// How a trunk is spoken to.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) name: String,
    peer: Option<String>,
    pub(super) parts: TrunkParts,
    pub(super) random: StdRng,
    /// Servers that have asked not to be asked before then.
    resting: HashMap<SocketAddr, Instant>,
    /// The server that has answered last: it is asked first, since it knows our nonce and our binding.
    preferred: Option<SocketAddr>,
    /// The way that the last REGISTER went by, where that is a connection; it is told of its end.
    pub(super) connection: Option<(Flow, Arc<Notify>)>,
}

impl Way {
    pub(super) fn new(settings: &TrunkSettings, parts: TrunkParts, random: StdRng) -> Self {
        let (name, peer) = (settings.name.clone(), settings.peer.clone());
        Self { name, peer, parts, random, resting: HashMap::new(), preferred: None, connection: None }
    }

    pub(super) fn now(&self) -> Instant {
        self.parts.clock.instant()
    }

    pub(super) fn stop(&self) -> watch::Receiver<bool> {
        self.parts.stop.clone()
    }

    async fn order(&self, order: TrunkOrder) {
        // An error means that the driver has ended, and the service with it.
        let _ = self.parts.commands.send(Command::Trunk(order)).await;
    }

    pub(super) async fn tell(&self, news: TrunkNews) {
        self.order(TrunkOrder::News { trunk: self.name.clone(), peer: self.peer.clone(), news }).await;
    }

    pub(super) async fn done(&self) {
        self.order(TrunkOrder::Done).await;
    }

    /// The flows to the targets of `uri`: first the server that has answered last, last those that have asked for rest.
    async fn flows(&mut self, uri: &str) -> Vec<Flow> {
        let ways = &self.parts.ways;
        let located = self.parts.resolver.locate(uri, &ways.transports(), &mut self.random).await;
        let targets = located.unwrap_or_else(|error| {
            tracing::debug!(trunk = self.name, uri, error = &error as &dyn std::error::Error, "no target");
            Vec::new()
        });
        let mut flows: Vec<Flow> = targets.into_iter().filter_map(|target| ways.flow_to(target)).collect();
        let now = self.now();
        self.resting.retain(|_, until| *until > now);
        flows.sort_by_key(|flow| {
            (self.resting.contains_key(&flow.remote), self.preferred != Some(flow.remote))
        });
        flows
    }

    /// Keeps the connection of the last REGISTER alive.
    pub(super) async fn keep_alive(&self, flow: Flow) {
        self.order(TrunkOrder::KeepAlive(flow)).await;
    }

    /// Sends a REGISTER to one target after the other until one answers that can (RFC 3263 §4.3).
    pub(super) async fn register(
        &mut self,
        registration: &mut Registration,
        params: Box<RegisterParams>,
    ) -> RegisterOutcome {
        let uri = registration.destination().to_owned();
        let flows = self.flows(&uri).await;
        let (mut params, mut outcome) = (Some(params), RegisterOutcome::NotFound);
        for flow in flows {
            let Some(next) = params.take().or_else(|| registration.again(&mut self.random)) else { break };
            let (answer, answered) = oneshot::channel();
            let (trunk, lost) = (self.name.clone(), Arc::new(Notify::new()));
            self.connection = flow.transport.is_reliable().then(|| (flow, Arc::clone(&lost)));
            self.order(TrunkOrder::Register { flow, params: next, answer, trunk, lost }).await;
            outcome = answered.await.unwrap_or(RegisterOutcome::Unreachable);
            if !self.leaves(flow, &outcome) {
                break;
            }
        }
        outcome
    }

    /// Whether the next target is tried. Notes a Retry-After.
    fn leaves(&mut self, flow: Flow, outcome: &RegisterOutcome) -> bool {
        self.preferred = None;
        let RegisterOutcome::Answered(answer) = outcome else { return true };
        if let Some(after_s) = answer.retry_after_s.filter(|_| answer.status == 503)
            && self.resting.len() < MAX_RESTING
        {
            let rest = Duration::from_secs(after_s.into()).min(REST_MAX);
            self.resting.insert(flow.remote, self.parts.clock.instant() + rest);
        }
        let leaves = locate::fails_over(answer.status);
        self.preferred = (!leaves).then_some(flow.remote);
        leaves
    }

    /// Asks one target after the other whether it lives. `params` makes the OPTIONS for a flow.
    pub(super) async fn is_alive(&mut self, uri: &str, params: impl Fn(Flow) -> OptionsParams) -> bool {
        for flow in self.flows(uri).await {
            let (answer, answered) = oneshot::channel();
            let params = Box::new(params(flow));
            self.order(TrunkOrder::Options { flow, params, answer }).await;
            let status = tokio::time::timeout(PING_PATIENCE, answered).await;
            if let Ok(Ok(status)) = status
                && super::liveness::is_alive(status)
            {
                return true;
            }
        }
        false
    }
}
