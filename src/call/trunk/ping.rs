//! Asks a trunk with OPTIONS whether it lives (RFC 3261 §11).

use super::TrunkSettings;
use super::desk::TrunkNews;
use super::liveness::{Change, Liveness};
use super::way::Way;
use crate::sip::message::NameAddr;
use crate::sip::registration::route_to;
use crate::sip::{Flow, OptionsParams};
use std::time::Duration;
use tokio::sync::watch;

/// The task that watches one trunk.
#[derive(Debug)]
pub(super) struct Pinger {
    way: Way,
    settings: TrunkSettings,
    interval: Duration,
    /// The registrar's Service-Route.
    routes: watch::Receiver<Vec<String>>,
}

impl Pinger {
    pub(super) fn new(
        way: Way,
        settings: TrunkSettings,
        interval: Duration,
        routes: watch::Receiver<Vec<String>>,
    ) -> Self {
        Self { way, settings, interval, routes }
    }

    /// Until the service stops.
    pub(super) async fn run(mut self) {
        let mut stop = self.way.stop();
        tokio::select! {
            // An error means that the registry has gone: a stop as well.
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.watch() => {}
        }
        self.way.done().await;
    }

    async fn watch(&mut self) {
        let mut liveness = Liveness::default();
        loop {
            let next = self.way.now() + self.interval;
            let routes = self.preset_routes();
            let uri = routes.first().and_then(|route| uri_of(route)).unwrap_or(self.settings.uri.clone());
            let settings = &self.settings;
            let alive = self.way.is_alive(&uri, |flow| options(settings, &routes, flow)).await;
            match liveness.note(alive) {
                Some(Change::Up) => self.way.tell(TrunkNews::Up).await,
                Some(Change::Down) => self.way.tell(TrunkNews::Down).await,
                None => {}
            }
            tokio::time::sleep_until(next.into()).await;
        }
    }

    /// The route set of requests outside dialogs (RFC 3261 §8.1.2, RFC 3608 §5): the outbound proxy, then what the
    /// registrar says.
    fn preset_routes(&self) -> Vec<String> {
        let proxy = self.settings.outbound_proxy.as_deref().map(route_to);
        let service = self.routes.borrow().clone();
        // A Service-Route that begins with the proxy must not pass it twice.
        let proxy = proxy.filter(|proxy| service.first().is_none_or(|first| uri_of(first) != uri_of(proxy)));
        proxy.into_iter().chain(service).collect()
    }
}

fn uri_of(route: &str) -> Option<String> {
    let address = NameAddr::parse(route.as_bytes())?;
    std::str::from_utf8(address.uri.raw()).ok().map(str::to_owned)
}

fn options(settings: &TrunkSettings, routes: &[String], flow: Flow) -> OptionsParams {
    let from = match &settings.registration {
        Some(registration) => registration.address_of_record.clone(),
        None => format!("sip:{}@{}", settings.contact_user, flow.local),
    };
    let routes = routes.iter().map(|route| ("Route".to_owned(), route.clone()));
    OptionsParams { request_uri: settings.uri.clone(), from, extra_headers: routes.collect() }
}
