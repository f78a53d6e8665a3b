//! The ledger against what others said of it: the network of its orders, the billing system of its lines. What does not
//! match is listed with its age.

use super::{BillRun, LineResult};
use crate::units::{ActivationId, FixedNumber, Month};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// What has no match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum Unmatched {
    /// A held activation: the network has not said whether it is active.
    Activation {
        /// Which.
        activation: ActivationId,
        /// In which month.
        month: Month,
    },
    /// A month that is over and on no bill.
    OpenMonth {
        /// Which.
        month: Month,
    },
    /// The ledger gives other bills now than when the month was closed: somebody got past its protection.
    ChangedRun {
        /// Its number.
        sequence: u32,
        /// Which month.
        month: Month,
    },
    /// A line that the billing system has said nothing of.
    Unanswered {
        /// Of which run.
        sequence: u32,
        /// Which month.
        month: Month,
        /// Whose line.
        contract: FixedNumber,
    },
    /// A line that it has rejected.
    Rejected {
        /// Of which run.
        sequence: u32,
        /// Which month.
        month: Month,
        /// Whose line.
        contract: FixedNumber,
        /// In its words.
        reason: String,
    },
}

/// Something unmatched, since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Discrepancy {
    /// What.
    #[serde(flatten)]
    pub unmatched: Unmatched,
    /// Since when: when it was confirmed, when the month was over, when it was closed.
    pub since: Timestamp,
}

impl Discrepancy {
    /// How long it has been so at `now`.
    pub fn age(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.since)
    }
}

/// The lines of a closed run against what was answered.
pub fn unmatched_lines(run: &BillRun, answers: &BTreeMap<FixedNumber, LineResult>) -> Vec<Discrepancy> {
    let (sequence, month) = (run.sequence, run.month);
    run.lines
        .iter()
        .filter_map(|line| {
            let contract = line.contract.clone();
            let unmatched = match answers.get(&line.contract) {
                Some(LineResult::Accepted) => return None,
                Some(LineResult::Rejected { reason }) => {
                    Unmatched::Rejected { sequence, month, contract, reason: reason.clone() }
                }
                None => Unmatched::Unanswered { sequence, month, contract },
            };
            Some(Discrepancy { unmatched, since: run.closed_at })
        })
        .collect()
}
