//! The worker: passes over the acknowledgements and the outbox until it is told to stop.

use super::acknowledgement::Acknowledgement;
use super::spool::Found;
use super::{Settings, Spool, SpoolError};
use crate::store::{
    Activation, ActivationState, OutboxContent, OutboxRow, SettleError, Settled, Store, StoreError,
};
use crate::units::clock::Clock;
use crate::units::failpoint;
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// Settlements kept for a call that is slow to listen; one that misses some asks the store.
const SETTLEMENTS_KEPT: usize = 1_024;

/// What one pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pass {
    /// Orders written.
    pub orders: u64,
    /// SMS written.
    pub sms: u64,
    /// Acknowledgements that posted.
    pub posted: u64,
    /// Acknowledgements that voided.
    pub voided: u64,
    /// Acknowledgements that said again what was booked before.
    pub repeated: u64,
    /// Files put into `bad/`.
    pub bad: u64,
    /// Files left for the next pass since they may still be being written.
    pub half_written: u64,
    /// Failures of the disk or the database; what they concern is tried again at the next pass.
    pub failures: u64,
}

/// The sums of all passes.
#[derive(Debug, Default)]
pub struct Counters {
    orders: AtomicU64,
    sms: AtomicU64,
    posted: AtomicU64,
    voided: AtomicU64,
    repeated: AtomicU64,
    bad: AtomicU64,
    half_written: AtomicU64,
    failures: AtomicU64,
}

impl Counters {
    fn add(&self, pass: &Pass) {
        for (counter, value) in [
            (&self.orders, pass.orders),
            (&self.sms, pass.sms),
            (&self.posted, pass.posted),
            (&self.voided, pass.voided),
            (&self.repeated, pass.repeated),
            (&self.bad, pass.bad),
            (&self.half_written, pass.half_written),
            (&self.failures, pass.failures),
        ] {
            counter.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// The sums so far.
    pub fn sums(&self) -> Pass {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Pass {
            orders: of(&self.orders),
            sms: of(&self.sms),
            posted: of(&self.posted),
            voided: of(&self.voided),
            repeated: of(&self.repeated),
            bad: of(&self.bad),
            half_written: of(&self.half_written),
            failures: of(&self.failures),
        }
    }
}

/// Delivers the outbox into the spool folder and books what comes back.
#[derive(Debug)]
pub struct Worker {
    store: Store,
    spool: Spool,
    settings: Settings,
    settlements: broadcast::Sender<Activation>,
    counters: Arc<Counters>,
}

/// A file of no use, or a failure that may pass.
enum Trouble {
    Bad(String),
    Store(StoreError),
}

impl Worker {
    /// Opens the spool folder.
    pub fn new(store: Store, settings: Settings) -> Result<Self, SpoolError> {
        let spool = Spool::open(&settings.spool)?;
        let (settlements, _) = broadcast::channel(SETTLEMENTS_KEPT);
        Ok(Self { store, spool, settings, settlements, counters: Arc::default() })
    }

    /// Where a waiting call subscribes, before it books, to hear of settlements. Each is sent at least once, after it
    /// is committed; a receiver that lags asks the store.
    pub fn settlements(&self) -> broadcast::Sender<Activation> {
        self.settlements.clone()
    }

    /// The sums of all passes, alive.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// The spool folder.
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Passes until `stop` is true or its sender is gone; a pass that has begun is finished. One that breaks is logged and
    /// the next one tries again: deliveries are idempotent.
    pub async fn run(self, clock: Clock, stop: watch::Receiver<bool>) {
        let every = Duration::from_millis(self.settings.poll_interval_ms.into());
        let worker = Arc::new(self);
        repeat(every, stop, || {
            let worker = Arc::clone(&worker);
            async move {
                worker.run_once(clock.wall()).await;
            }
        })
        .await;
    }

    /// One pass: books the acknowledgements, then writes what is due, the SMS of these settlements too.
    pub async fn run_once(&self, now: Timestamp) -> Pass {
        let mut pass = Pass::default();
        self.book_acknowledgements(now, &mut pass).await;
        self.write_due(now, &mut pass).await;
        self.counters.add(&pass);
        pass
    }

    async fn book_acknowledgements(&self, now: Timestamp, pass: &mut Pass) {
        let fresh_ms = self.settings.half_written_ms;
        let found = match self.aside(move |spool| spool.acknowledgements(now, fresh_ms)).await {
            Ok(found) => found,
            Err(error) => return fail(pass, &error),
        };
        for file in found {
            match self.book(&file, now, pass).await {
                Ok(()) => {}
                Err(Trouble::Bad(reason)) => {
                    tracing::warn!(file = %file.name, reason, "an acknowledgement of no use");
                    pass.bad += 1;
                    let name = file.name.clone();
                    if let Err(error) = self.aside(move |spool| spool.bad(&name, &reason)).await {
                        fail(pass, &error);
                    }
                }
                Err(Trouble::Store(error)) => {
                    fail(pass, &error);
                    // The others would wait for the database one after the other.
                    if matches!(error, StoreError::Unavailable(_)) {
                        return;
                    }
                }
            }
        }
    }

    async fn book(&self, file: &Found, now: Timestamp, pass: &mut Pass) -> Result<(), Trouble> {
        let (id, settlement) = match &file.content {
            Acknowledgement::Answer(id, settlement) => (*id, settlement),
            Acknowledgement::NotWhole(_) if file.fresh => {
                pass.half_written += 1;
                return Ok(());
            }
            Acknowledgement::NotWhole(reason) | Acknowledgement::Bad(reason) => {
                return Err(Trouble::Bad(reason.clone()));
            }
        };
        failpoint::BEFORE_SETTLEMENT.reached();
        let settled = self.store.settle(id, settlement, now, self.settings.sms_alphabet).await;
        let activation = match settled {
            Ok(Settled::Now(activation)) => {
                match activation.state {
                    ActivationState::Voided { .. } => pass.voided += 1,
                    ActivationState::Posted | ActivationState::Reversed { .. } | ActivationState::Pending => {
                        pass.posted += 1
                    }
                }
                tracing::info!(activation = %id, state = activation.state.label(), "settled");
                activation
            }
            // Said twice, or once before a crash: who waits for it may not have heard.
            Ok(Settled::Before(activation)) => {
                pass.repeated += 1;
                activation
            }
            Err(error @ (SettleError::Unknown(_) | SettleError::Contradicts { .. })) => {
                return Err(Trouble::Bad(error.to_string()));
            }
            Err(SettleError::Store(error)) => return Err(Trouble::Store(error)),
        };
        // Nobody may be waiting.
        let _ = self.settlements.send(activation);
        failpoint::BEFORE_ANSWER_SHELVED.reached();
        let name = file.name.clone();
        if let Err(error) = self.aside(move |spool| spool.done(&name, id)).await {
            fail(pass, &error);
        }
        failpoint::AFTER_ANSWER_SHELVED.reached();
        Ok(())
    }

    async fn write_due(&self, now: Timestamp, pass: &mut Pass) {
        failpoint::BEFORE_OUTBOX_CLAIM.reached();
        let due = match self.store.outbox_due(self.settings.batch_rows).await {
            Ok(due) => due,
            Err(error) => return fail(pass, &error),
        };
        if due.is_empty() {
            return;
        }
        failpoint::AFTER_OUTBOX_CLAIM.reached();
        let (written, failures) = match self.aside(move |spool| write_all(spool, due)).await {
            Ok(results) => results,
            Err(error) => return fail(pass, &error),
        };
        for failure in &failures {
            fail(pass, failure);
        }
        failpoint::AFTER_PEER_TOLD.reached();
        // One commit for all: what is written and not marked is written again, and means the same.
        let ids: Vec<i64> = written.iter().map(|row| row.id).collect();
        if let Err(error) = self.store.outbox_sent(&ids, now).await {
            return fail(pass, &error);
        }
        failpoint::AFTER_MARK_SENT.reached();
        for row in written {
            match row.content {
                OutboxContent::Order(_) => pass.orders += 1,
                OutboxContent::Sms(_) => pass.sms += 1,
            }
        }
    }

    /// Runs what blocks on the disk where it may block.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Spool) -> Result<T, SpoolError> + Send + 'static,
    ) -> Result<T, SpoolError> {
        let spool = self.spool.clone();
        match tokio::task::spawn_blocking(move || work(&spool)).await {
            Ok(result) => result,
            Err(error) => Err(SpoolError::interrupted(self.spool.root(), error)),
        }
    }
}

/// Writes the file of each row. Yields the rows whose files are on the disk, and what went wrong with others.
fn write_all(spool: &Spool, rows: Vec<OutboxRow>) -> Result<(Vec<OutboxRow>, Vec<SpoolError>), SpoolError> {
    let (mut written, mut failures) = (Vec::new(), Vec::new());
    for row in rows {
        match write(spool, &row) {
            Ok(()) => {
                failpoint::AFTER_PEER_TOLD.reached();
                written.push(row);
            }
            Err(error) => failures.push(error),
        }
    }
    spool.sync()?;
    Ok((written, failures))
}

fn write(spool: &Spool, row: &OutboxRow) -> Result<(), SpoolError> {
    failpoint::BEFORE_PEER_TOLD.reached();
    match &row.content {
        OutboxContent::Order(order) => spool.write(&spool.order_file(order.activation), order),
        OutboxContent::Sms(sms) => spool.write(&spool.sms_file(row.id), sms),
    }
}

fn fail(pass: &mut Pass, error: &(dyn std::error::Error + 'static)) {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    tracing::error!(error = %error, cause, "delivery; it will be tried again");
    pass.failures += 1;
}

/// Runs `pass` at once and then `every` so often until `stop`; each as a task of its own, so that a panic ends only it.
async fn repeat<F>(every: Duration, mut stop: watch::Receiver<bool>, pass: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            _ = interval.tick() => {}
        }
        if let Err(error) = tokio::spawn(pass()).await {
            tracing::error!(%error, "a pass of the delivery broke");
        }
    }
}

#[cfg(test)]
mod tests;
