//! The bills of a closed month, all contracts', as one numbered run with control totals.

use super::{BillItemKind, BillLine};
use crate::units::{Money, Month};
use jiff::Timestamp;
use serde::Serialize;

/// The bills of a month as they go to the operator's billing system. Its files are made from it and from nothing else,
/// so that they come out the same, octet for octet, however often they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BillRun {
    /// 1 for the first closed month, then without gaps.
    pub sequence: u32,
    /// Which month.
    pub month: Month,
    /// When it was closed.
    pub closed_at: Timestamp,
    /// One a contract that has items, by contract.
    pub lines: Vec<BillLine>,
}

/// What the receiver adds up to see that nothing is missing. Amounts are sums over the contracts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ControlTotals {
    /// Contracts.
    pub contracts: u64,
    /// Activations.
    pub activations: u64,
    /// Reversals of activations of months closed before.
    pub reversals: u64,
    /// List prices.
    pub list: Money,
    /// Discounts.
    pub discount: Money,
    /// To be paid, VAT included.
    pub gross: Money,
    /// The same without VAT.
    pub base: Money,
    /// VAT, as each contract's line splits it.
    pub vat: Money,
}

impl BillRun {
    /// Sums up. `None` when a sum is beyond the ledger's range.
    pub fn totals(&self) -> Option<ControlTotals> {
        let mut totals = ControlTotals::default();
        for line in &self.lines {
            totals.contracts += 1;
            totals.gross = totals.gross.checked_add(line.total.gross)?;
            totals.base = totals.base.checked_add(line.total.base)?;
            totals.vat = totals.vat.checked_add(line.total.vat)?;
            for item in &line.items {
                match item.kind {
                    BillItemKind::Activation => totals.activations += 1,
                    BillItemKind::Reversal { .. } => totals.reversals += 1,
                }
                totals.list = totals.list.checked_add(item.list)?;
                totals.discount = totals.discount.checked_add(item.discount)?;
            }
        }
        Some(totals)
    }

    /// The name that all files of the run begin with: `klikon-bill-000001-2026-10`.
    pub fn file_stem(&self) -> String {
        format!("klikon-bill-{:06}-{}", self.sequence, self.month)
    }
}
