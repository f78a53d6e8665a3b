//! Keeps a trunk's registration: the clock and the network around [`Registration`].

use super::desk::TrunkNews;
use super::way::Way;
use crate::sip::registration::{Registration, RegistrationSettings, Step};
use rand::RngExt;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// At a stop, how long the registrar may take to take the binding away; else it ends by itself.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);

/// The task of one registration.
#[derive(Debug)]
pub(super) struct Registrant {
    way: Way,
    registration: Registration,
    routes: watch::Sender<Vec<String>>,
    /// The longest time between two pings by its connection.
    keep_alive: Option<Duration>,
}

impl Registrant {
    pub(super) fn new(
        mut way: Way,
        settings: RegistrationSettings,
        routes: watch::Sender<Vec<String>>,
        keep_alive: Option<Duration>,
    ) -> Self {
        let registration = Registration::new(settings, way.now(), &mut way.random);
        Self { way, registration, routes, keep_alive }
    }

    /// Until the service stops; then the binding is taken away.
    pub(super) async fn run(mut self) {
        let mut stop = self.way.stop();
        let mut step = Step::default();
        loop {
            tokio::select! {
                biased;
                // An error means that the registry has gone: a stop as well.
                _ = stop.wait_for(|stop| *stop) => break,
                next = self.advance(step) => match next {
                    Some(next) => step = next,
                    None => break,
                },
            }
        }
        let leaving = async {
            let mut next = Some(self.registration.unregister(&mut self.way.random));
            while let Some(step) = next {
                next = self.advance(step).await;
            }
        };
        if tokio::time::timeout(LEAVE_PATIENCE, leaving).await.is_err() {
            tracing::warn!(trunk = self.way.name, "the registrar did not take the registration away in time");
        }
        self.way.done().await;
    }

    /// Tells the news of a step, sends what it has to send, or waits until something is due. `None` when the registration
    /// is over.
    async fn advance(&mut self, step: Step) -> Option<Step> {
        for news in step.news {
            self.routes.send_replace(self.registration.service_route().to_vec());
            self.way.tell(TrunkNews::Registration(news)).await;
        }
        if let Some(params) = step.send {
            let outcome = self.way.register(&mut self.registration, params).await;
            let now = self.way.now();
            return Some(self.registration.handle_outcome(now, &outcome, &mut self.way.random));
        }
        self.wait(self.registration.poll_timeout()?).await;
        Some(self.registration.handle_timeout(self.way.now(), &mut self.way.random))
    }

    /// Until then, or until the connection of the registration is gone. Meanwhile that is kept alive, since calls come by
    /// it.
    async fn wait(&mut self, due: Instant) {
        let connection = self.way.connection.clone().filter(|_| self.registration.is_registered());
        let Some((flow, lost)) = connection else { return until(due).await };
        loop {
            let pinged_at =
                self.keep_alive.map(|longest| self.way.now() + spread(longest, &mut self.way.random));
            tokio::select! {
                () = until(due) => return,
                () = lost.notified() => {
                    tracing::info!(trunk = self.way.name, remote = %flow.remote, "the connection of the registration is gone");
                    self.way.connection = None;
                    return self.registration.connection_lost(self.way.now());
                }
                () = until(pinged_at.unwrap_or(due)), if pinged_at.is_some() => self.way.keep_alive(flow).await,
            }
        }
    }
}

/// From 80% to all of an interval, at random, so that not all connections are pinged together (RFC 5626 §4.4.1).
fn spread(longest: Duration, random: &mut StdRng) -> Duration {
    longest.mul_f64(random.random_range(0.8..=1.0))
}

async fn until(instant: Instant) {
    tokio::time::sleep_until(instant.into()).await;
}
