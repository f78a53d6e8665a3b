//! Trunks: what the service does by itself towards PBXs and registrars. One task a trunk keeps the registration, another
//! asks with OPTIONS whether the trunk lives; both send through the SIP driver by [`TrunkOrder`]s, which the [`Desk`]
//! inside the driver's task carries out.

mod desk;
mod liveness;
mod ping;
mod registering;
mod way;

pub use desk::{Desk, TrunkNews, TrunkOrder};

use super::registry::Command;
use crate::net::{Resolver, Ways};
use crate::sip::registration::RegistrationSettings;
use crate::units::clock::{Clock, entropy};
use ping::Pinger;
use rand::SeedableRng;
use rand::rngs::StdRng;
use registering::Registrant;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use way::Way;

/// What a trunk's tasks need.
#[derive(Debug, Clone)]
pub struct TrunkSettings {
    /// For logs.
    pub name: String,
    /// The peer that its calls come from.
    pub peer: Option<String>,
    /// The registrar or proxy.
    pub uri: String,
    /// Without it nothing is registered.
    pub registration: Option<RegistrationSettings>,
    /// User part of our From where nothing is registered.
    pub contact_user: String,
    /// The proxy that everything goes through.
    pub outbound_proxy: Option<String>,
    /// Between two pings by the connection of the registration, at the longest; none are sent without.
    pub keep_alive: Option<Duration>,
    /// Between two OPTIONS; none are sent without.
    pub options_interval: Option<Duration>,
}

/// The parts that all trunks' tasks share.
#[derive(Debug, Clone)]
pub struct TrunkParts {
    /// The way into the SIP driver.
    pub commands: mpsc::Sender<Command>,
    /// The DNS.
    pub resolver: Resolver,
    /// Our sockets.
    pub ways: Ways,
    /// Time.
    pub clock: Clock,
    /// Becomes true when the service stops.
    pub stop: watch::Receiver<bool>,
}

/// Starts a trunk's tasks. Gives how many, each of which tells the desk when it has done its last.
fn spawn(settings: &TrunkSettings, parts: &TrunkParts) -> usize {
    let way = || Way::new(settings, parts.clone(), StdRng::from_seed(entropy()));
    // The registrar's Service-Route, which the pings follow.
    let (routes, follow) = watch::channel(Vec::new());
    let mut tasks = 0;
    if let Some(registration) = &settings.registration {
        let registrant = Registrant::new(way(), registration.clone(), routes, settings.keep_alive);
        tokio::spawn(registrant.run());
        tasks += 1;
    }
    if let Some(interval) = settings.options_interval {
        tokio::spawn(Pinger::new(way(), settings.clone(), interval, follow).run());
        tasks += 1;
    }
    tasks
}
