//! Keeps a trunk's registration: the clock and the network around [`Registration`].

use super::desk::TrunkNews;
use super::way::Way;
use crate::sip::registration::{Registration, RegistrationSettings, Step};
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
}

impl Registrant {
    pub(super) fn new(
        mut way: Way,
        settings: RegistrationSettings,
        routes: watch::Sender<Vec<String>>,
    ) -> Self {
        let registration = Registration::new(settings, way.now(), &mut way.random);
        Self { way, registration, routes }
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
        until(self.registration.poll_timeout()?).await;
        Some(self.registration.handle_timeout(self.way.now(), &mut self.way.random))
    }
}

async fn until(instant: Instant) {
    tokio::time::sleep_until(instant.into()).await;
}
