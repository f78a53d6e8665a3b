//! What the store does in one transaction each, and what of it can be heard.

use crate::family::{self, Family, id, now};
use crate::postgres::Cluster;
use crate::severing::Severing;
use jiff::SignedDuration;
use klikon::klikon::{PinPolicy, SmsAlphabet};
use klikon::store::{
    AdminError, CloseError, HoldError, HoldOutcome, OutboxContent, OutboxRow, PinAttempt, ReverseError,
    Reversed, SettleError, Settled, Settlement, Store, StoreError,
};
use klikon::units::{ActivationId, FixedNumber, Month};

/// What the store does in one transaction.
#[derive(Debug, Clone, Copy)]
pub enum Operation {
    Attempt,
    Hold,
    Settle,
    Reverse,
    OutboxSent,
    CloseMonth,
    CreateGroup,
    PinAttempt,
}

pub const OPERATIONS: [Operation; 8] = [
    Operation::Attempt,
    Operation::Hold,
    Operation::Settle,
    Operation::Reverse,
    Operation::OutboxSent,
    Operation::CloseMonth,
    Operation::CreateGroup,
    Operation::PinAttempt,
];

/// What came of it, as its caller hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    Done,
    DoneBefore,
    /// Nothing can be seen of a first time.
    DoneAgain,
    Unknown,
}

impl Heard {
    fn of_error(error: &StoreError) -> Self {
        match error {
            StoreError::OutcomeUnknown(_) => Self::Unknown,
            other => panic!("{other:?}"),
        }
    }
}

/// A service's store, whose connections are cut, and one that reaches the server by itself.
pub struct Bench {
    pub relay: Severing,
    pub cut_off: Store,
    pub direct: Store,
    pub family: Family,
    pub cluster: Cluster,
}

impl Bench {
    pub async fn new() -> Self {
        let cluster = Cluster::start().unwrap();
        let direct = family::open(cluster.database("ledger").await.unwrap(), 1).await;
        let family = Family::found(&direct, 1).await;
        let relay = Severing::start(cluster.folder()).await.unwrap();
        let cut_off = family::open(relay.url("ledger"), 1).await;
        Self { relay, cut_off, direct, family, cluster }
    }

    /// What must be there before a case. Each has a number of its own.
    pub async fn prepare(&self, operation: Operation, case: u32) {
        let order = self.family.order(case, 700);
        let settles = matches!(operation, Operation::Settle | Operation::Reverse | Operation::OutboxSent);
        if settles {
            assert!(matches!(self.direct.hold(&order).await.unwrap(), HoldOutcome::Held(_)));
        }
        if matches!(operation, Operation::Reverse) {
            settle(&self.direct, case, &Settlement::Post).await.unwrap();
        }
    }

    /// Gives the limit's room back, so that there is always some for the next case.
    pub async fn clear(&self, operation: Operation, case: u32) {
        match operation {
            Operation::Hold | Operation::OutboxSent => {
                settle(&self.direct, case, &Settlement::Void { reason: "a test".to_owned() }).await.unwrap();
            }
            Operation::Settle => {
                self.direct.reverse(id(case), "a test", "a clerk", now()).await.unwrap();
            }
            Operation::PinAttempt => self.direct.unlock_pin(&self.family.contract, now()).await.unwrap(),
            _ => {}
        }
    }

    pub async fn perform(&self, store: &Store, operation: Operation, case: u32) -> Heard {
        let order = self.family.order(case, 700);
        match operation {
            Operation::Attempt => match store.record_attempt(&order).await {
                Ok(()) => Heard::Done,
                Err(HoldError::Store(error)) => Heard::of_error(&error),
                Err(error) => panic!("{error:?}"),
            },
            Operation::Hold => match store.hold(&order).await {
                Ok(HoldOutcome::Held(_)) => Heard::Done,
                Ok(HoldOutcome::Exists(_)) => Heard::DoneBefore,
                Err(HoldError::Store(error)) => Heard::of_error(&error),
                other => panic!("{other:?}"),
            },
            Operation::Settle => match settle(store, case, &Settlement::Post).await {
                Ok(Settled::Now(_)) => Heard::Done,
                Ok(Settled::Before(_)) => Heard::DoneBefore,
                Err(SettleError::Store(error)) => Heard::of_error(&error),
                Err(error) => panic!("{error:?}"),
            },
            Operation::Reverse => match store.reverse(id(case), "a test", "a clerk", now()).await {
                Ok(Reversed::Now(_)) => Heard::Done,
                Ok(Reversed::Before(_)) => Heard::DoneBefore,
                Err(ReverseError::Store(error)) => Heard::of_error(&error),
                Err(error) => panic!("{error:?}"),
            },
            Operation::OutboxSent => self.send(store, case).await,
            Operation::CloseMonth => {
                let month = month_of_case(case);
                match store.close_month(month, "a clerk", month.end() + SignedDuration::from_hours(1)).await {
                    Ok(_) => Heard::Done,
                    Err(CloseError::ClosedAlready(_)) => Heard::DoneBefore,
                    Err(CloseError::Store(error)) => Heard::of_error(&error),
                    Err(error) => panic!("{error:?}"),
                }
            }
            Operation::CreateGroup => match store.create_group(&contract_of_case(case), now()).await {
                Ok(_) => Heard::Done,
                Err(AdminError::Store(error)) => Heard::of_error(&error),
                Err(AdminError::GroupExists(_)) => Heard::DoneBefore,
                Err(error) => panic!("{error:?}"),
            },
            Operation::PinAttempt => {
                match store.begin_pin_attempt(self.family.leader, now(), &policy()).await {
                    // The second in a row locks.
                    Ok(PinAttempt::Begun { locks_if_wrong: false, .. }) => Heard::Done,
                    Ok(PinAttempt::Begun { locks_if_wrong: true, .. }) => Heard::DoneAgain,
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => Heard::of_error(&error),
                }
            }
        }
    }

    /// Claims the order of a case from the outbox and marks it as sent.
    async fn send(&self, store: &Store, case: u32) -> Heard {
        let due = self.direct.outbox_due(u32::MAX).await.unwrap();
        let was_due = due.iter().find(|row| order_of(row) == Some(id(case)));
        let Some(row) = was_due else { return Heard::DoneBefore };
        match store.outbox_sent(&[row.id], now()).await {
            Ok(()) => Heard::Done,
            Err(error) => Heard::of_error(&error),
        }
    }
}

fn order_of(row: &OutboxRow) -> Option<ActivationId> {
    match &row.content {
        OutboxContent::Order(order) => Some(order.activation),
        OutboxContent::Sms(_) => None,
    }
}

async fn settle(store: &Store, case: u32, settlement: &Settlement) -> Result<Settled, SettleError> {
    store.settle(id(case), settlement, now(), SmsAlphabet::Plain).await
}

fn policy() -> PinPolicy {
    PinPolicy { tries: 2, lock: SignedDuration::from_mins(30) }
}

/// The months before the one of the bookings are closed one after the other, in the calendar's order.
fn month_of_case(case: u32) -> Month {
    let first: Month = "2000-01".parse().unwrap();
    (0..case % 1000).fold(first, |month, _| month.next())
}

pub fn contract_of_case(case: u32) -> FixedNumber {
    FixedNumber::parse(&format!("0433{case:05}")).unwrap()
}
