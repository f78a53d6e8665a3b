//! The store: groups, catalogue, ledger, outbox and call records in a database. It gathers the facts, lets `klikon`
//! judge them inside the transaction that books, and writes what `ledger` says (DOMAIN §2 to §4). The API is neutral:
//! no type of a particular database shows in it, and `contract.rs` holds the tests that every backend must pass.
//!
//! Money moves only in one transaction that checks standing, offer, price and limit again; the database's own triggers
//! refuse an overdraft, a second resolution, and any update or deletion of the ledger.

mod activations;
mod administration;
mod attempts;
mod book;
mod booking;
mod calls;
mod catalogue;
mod columns;
mod contacts;
mod database;
mod error;
mod facts;
mod groups;
mod import;
mod media_quality;
mod months;
mod origin;
mod outbox;
mod ping;
mod pins;
mod postgres;
mod posting;
mod reconciliation;
mod retry;
mod reversal;
mod settings;
mod settlement;
mod sqlite;
mod standing;
mod types;
mod verify;

#[cfg(test)]
mod constraints;
#[cfg(test)]
mod contract;

pub use administration::{
    Actor, ActorError, AdministrativeChange, ChangeKind, Entered, HistoryFilter, WORDS_CHARACTERS_MAX,
};
pub use contacts::{Contact, ERASED, Erased};
pub use database::Store;
use database::{Write, commit};
pub use error::{
    AdminError, AuditError, CloseError, HoldError, OpenError, PingError, ReverseError, SettleError,
    StoreError,
};
pub use media_quality::{MediaQuality, StreamQuality};
pub use months::{CLOSE_GRACE, RunFiles};
pub use origin::{Origin, StatedField};
pub use postgres::{RoleError, grants};
pub use settings::{DatabaseUrl, DatabaseUrlError, PostgresUrl, Settings, SettingsError, SynchronousCommit};
pub use types::{
    Activation, ActivationOrder, ActivationState, BookFilter, BookedTransfer, CallEnd, CallRecord,
    ClosedMonth, GrantChannel, Group, Held, HoldOutcome, ImportError, ImportRow, Leadership, LedgerView,
    Member, NewPackage, Offer, Order, OutboxContent, OutboxRow, PinAttempt, Reversed, Settled, Settlement,
    Sms,
};
