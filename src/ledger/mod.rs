//! The book-keeping of Klik-ON: accounts and transfers in double entry, transfers in two phases (pending, then
//! posted or voided exactly once, as new rows), the audit that recomputes everything, and the line of the next
//! bill (DOMAIN §3). Pure: rows come in as arguments, entries go out as data.
//!
//! Two units are kept apart: accounts of *money* and accounts of *limit* (the right to spend in a month). A transfer
//! moves within one unit. One activation makes three transfers: the limit account of the group's month pays the
//! net price; the receivable of the contract owes the net price; the discount given makes up the list price, which
//! package revenue earns.

mod account;
mod audit;
mod balance;
mod bill;
mod reconciliation;
mod transfer;

pub use account::{Account, AccountId, AccountKind, Unit};
pub use audit::{ActivationFacts, Audit, Book, Fault, OutboxFacts, OutboxKind, SettlementFacts, audit};
pub use balance::Balance;
pub use bill::{
    ACKNOWLEDGEMENT_COLUMNS, Acknowledgement, AcknowledgementError, BillItem, BillItemKind, BillLine,
    BillRun, COLUMNS as BILL_COLUMNS, ControlTotals, LineResult, Statement, VAT_PERCENT, VatSplit, bill_line,
};
pub use reconciliation::{Discrepancy, Unmatched, unmatched_lines};
pub use transfer::{Entry, Resolution, Transfer, TransferId, TransferKind, grant_entry, hold_entries};
