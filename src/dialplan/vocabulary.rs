//! What a flow may name: the prompts that exist, and the queries and bookings that the call performs for it,
//! with their arguments, outcomes and values.

use super::value::{Field, Kind};
use std::collections::BTreeSet;

/// The outcome that only comes for callers whose number alone is not enough.
pub const PIN_REQUIRED: &str = "pin-required";

/// The arguments, each with its operation, that nobody may read afterwards.
const SECRETS: [(&str, &str); 1] = [("pin", "pin")];

/// Whether an operation's argument is a secret.
pub(super) fn is_secret(operation: &str, argument: &str) -> bool {
    SECRETS.contains(&(operation, argument))
}

/// What a flow may name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vocabulary {
    /// Ids of the recorded prompts.
    pub prompts: BTreeSet<String>,
    /// Look-ups.
    pub queries: Vec<Operation>,
    /// What changes the ledger: only right after a confirmation.
    pub bookings: Vec<Operation>,
}

/// A query or a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// As written in the flow.
    pub name: String,
    /// All are required.
    pub arguments: Vec<Field>,
    /// All must be handled.
    pub outcomes: Vec<Outcome>,
    /// The outcome that the interpreter takes when no answer comes in time. Of a booking it must not claim
    /// failure.
    pub when_late: String,
}

/// One way an operation can end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// As written in the flow.
    pub name: String,
    /// What it brings.
    pub values: Vec<Field>,
}

impl Operation {
    fn new(name: &str, arguments: Vec<Field>, outcomes: Vec<Outcome>, when_late: &str) -> Self {
        Self { name: name.to_owned(), arguments, outcomes, when_late: when_late.to_owned() }
    }

    /// The outcome of that name.
    pub fn outcome(&self, name: &str) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.name == name)
    }
}

fn outcome(name: &str, values: Vec<Field>) -> Outcome {
    Outcome { name: name.to_owned(), values }
}

fn plain(names: &[&str]) -> impl Iterator<Item = Outcome> {
    names.iter().map(|name| outcome(name, Vec::new())).collect::<Vec<_>>().into_iter()
}

impl Vocabulary {
    /// What the service behind 130 offers its flows (DOMAIN §5), with the prompts that exist.
    pub fn klik_on(prompts: impl IntoIterator<Item = String>) -> Self {
        Self {
            prompts: prompts.into_iter().collect(),
            queries: vec![leader_rights(), pin(), remaining(), member(), packages(), recent()],
            bookings: vec![activate()],
        }
    }
}

/// DOMAIN §4.1, §4.2: who calls, and whether he may.
fn leader_rights() -> Operation {
    let leader = vec![Field::new("month", Kind::Number), Field::new("left", Kind::Money)];
    let refusals = plain(&[
        PIN_REQUIRED,
        "not-leader",
        "not-member",
        "group-closed",
        "anonymous",
        "untrusted",
        "unavailable",
    ]);
    let outcomes = std::iter::once(outcome("leader", leader)).chain(refusals).collect();
    Operation::new("leader-rights", Vec::new(), outcomes, "unavailable")
}

/// The leader's PIN, where the caller's number alone is not enough (`pin-required`).
fn pin() -> Operation {
    let outcomes = plain(&["right", "wrong", "locked", "unset", "unavailable"]).collect();
    Operation::new("pin", vec![Field::new("pin", Kind::Text)], outcomes, "unavailable")
}

/// DOMAIN §3.2: what the group may still spend this month.
fn remaining() -> Operation {
    let ok = outcome("ok", vec![Field::new("left", Kind::Money)]);
    Operation::new(
        "remaining",
        Vec::new(),
        std::iter::once(ok).chain(plain(&["unavailable"])).collect(),
        "unavailable",
    )
}

/// DOMAIN §4.3, §4.4: the number keyed, looked up by membership.
fn member() -> Operation {
    let found = outcome("member", vec![Field::new("member", Kind::Msisdn)]);
    let others = plain(&["invalid-number", "not-member", "unavailable"]);
    Operation::new(
        "member",
        vec![Field::new("number", Kind::Text)],
        std::iter::once(found).chain(others).collect(),
        "unavailable",
    )
}

/// DOMAIN §2.1, §3.1, §3.2: what is offered, net, and whether it fits under the limit.
fn packages() -> Operation {
    let list = || {
        vec![Field::new(
            "packages",
            Kind::List(vec![
                Field::new("package", Kind::Number),
                Field::new("name", Kind::Number),
                Field::new("net", Kind::Money),
                Field::new("fits", Kind::Truth),
            ]),
        )]
    };
    let lists = [outcome("some", list()), outcome("none-fits", list())];
    Operation::new(
        "packages",
        Vec::new(),
        lists.into_iter().chain(plain(&["none", "unavailable"])).collect(),
        "unavailable",
    )
}

/// DOMAIN §4.5: the same package for the same member in the last 24 hours.
fn recent() -> Operation {
    Operation::new(
        "recent",
        vec![Field::new("member", Kind::Msisdn), Field::new("package", Kind::Number)],
        plain(&["recent", "not-recent", "unavailable"]).collect(),
        "unavailable",
    )
}

/// DOMAIN §3, §4.2: the activation itself, checked again inside its transaction.
fn activate() -> Operation {
    let left = || vec![Field::new("left", Kind::Money)];
    let with_left = ["activated", "accepted", "beyond-limit"].map(|name| outcome(name, left()));
    let others = plain(&[
        "not-leader",
        "not-member",
        "group-closed",
        "not-offered",
        "price-changed",
        "rejected",
        "unknown",
        "unavailable",
    ]);
    Operation::new(
        "activate",
        vec![
            Field::new("member", Kind::Msisdn),
            Field::new("package", Kind::Number),
            Field::new("net", Kind::Money),
        ],
        with_left.into_iter().chain(others).collect(),
        "unknown",
    )
}
