//! Where requests within a call go when the peer has named a host for them, in Contact or Record-Route (RFC 3263): asked
//! of the DNS beside the SIP driver's task. Until it answers, and where it does not, they go where the peer is heard.

use super::registry::Command;
use crate::net::{Resolver, Ways};
use crate::sip::{Endpoint, Flow, SessionId};
use crate::units::clock::entropy;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::mpsc;

/// Names that are asked for at the same time; calls beyond it keep to where their peer is heard.
const MAX_UNDER_WAY: usize = 32;

/// What the DNS said of a call's next hop.
#[derive(Debug)]
pub struct FoundHop {
    session: SessionId,
    uri: String,
    flows: Vec<Flow>,
}

/// The questions under way.
#[derive(Debug, Default)]
pub(super) struct NextHops {
    dns: Option<(Resolver, Ways)>,
    under_way: usize,
}

impl NextHops {
    /// Whom to ask, and the sockets that requests can go out by.
    pub(super) fn ask_by(&mut self, resolver: Resolver, ways: Ways) {
        self.dns = Some((resolver, ways));
    }

    /// Asks for the next hop of a call, where it is a name.
    pub(super) fn find(&mut self, session: SessionId, uri: String, commands: &mpsc::Sender<Command>) {
        let Some((resolver, ways)) = self.dns.clone().filter(|_| self.under_way < MAX_UNDER_WAY) else {
            return;
        };
        self.under_way += 1;
        let commands = commands.clone();
        tokio::spawn(async move {
            let mut random = StdRng::from_seed(entropy());
            let targets = resolver.locate(&uri, &ways.transports(), &mut random).await;
            if let Err(error) = &targets {
                tracing::debug!(
                    ?session,
                    error = error as &dyn std::error::Error,
                    "the next hop is not found"
                );
            }
            let targets = targets.unwrap_or_default().into_iter();
            let flows = targets.filter_map(|target| ways.flow_to(target)).collect();
            // An error means that the driver has ended.
            let _ = commands.send(Command::NextHop(FoundHop { session, uri, flows })).await;
        });
    }

    /// Follows the first way that a request may go by.
    pub(super) fn found(&mut self, endpoint: &mut Endpoint, hop: &FoundHop) {
        self.under_way = self.under_way.saturating_sub(1);
        let FoundHop { session, uri, flows } = hop;
        if let Some(flow) = flows.iter().find(|flow| endpoint.follow_named_hop(*session, uri, **flow)) {
            let transport = flow.transport.via_name();
            tracing::debug!(?session, transport, address = %flow.remote, "the next hop is found");
        }
    }
}
