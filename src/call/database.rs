//! Asks again and again whether the database can be used, off the SIP driver's task, and tells it of a change.

use super::registry::Command;
use crate::store::{PingError, Store};
use std::time::Duration;
use tokio::sync::mpsc;

/// So many failures in a row make the database unusable; one success makes it usable.
const UNUSABLE_AFTER: u32 = 2;

/// When to ask, and for how long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// Between two questions.
    pub interval: Duration,
    /// The patience with one.
    pub patience: Duration,
}

/// Watches until the SIP driver has ended.
pub async fn watch_database(store: Store, probe: Probe, commands: mpsc::Sender<Command>) {
    let (mut usable, mut failures) = (true, 0);
    while !commands.is_closed() {
        let changed = match store.ping(probe.patience).await {
            Ok(()) => {
                failures = 0;
                !usable
            }
            Err(error) => {
                failures += 1;
                let changed = usable && failures >= UNUSABLE_AFTER;
                if changed {
                    report(&error);
                }
                changed
            }
        };
        if changed {
            usable = !usable;
            if commands.send(Command::Database { usable }).await.is_err() {
                return;
            }
            if usable {
                tracing::info!("the database can be used again");
            }
        }
        tokio::time::sleep(probe.interval).await;
    }
}

fn report(error: &PingError) {
    let error = error as &dyn std::error::Error;
    tracing::error!(error, "the database cannot be used; calls are answered 503 until it can");
}
