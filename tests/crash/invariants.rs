//! The ten invariants of a booking, each a function that says which row or which line of a log breaks it. They go by the
//! database, by what callers heard, and by what the network and the SMS gateway were told; the service itself is not asked.

use super::logs::{Call, Told};
use super::rows::{Activation, Rows, Transfer};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};

/// What a group may spend in a month, qindarka (DOMAIN §3.2).
const LIMIT_QINDARKA: i64 = 650_000;

/// What a caller hears when his booking is made.
pub const SUCCESSES: [&str; 2] = ["activated", "accepted"];
/// What he hears when nothing is booked.
pub const FAILURES: [&str; 7] = [
    "service-unavailable",
    "package-beyond-limit",
    "not-leader",
    "member-left-group",
    "group-closed",
    "package-not-offered",
    "price-changed",
];
/// What he hears when the network refused: booked, and void.
pub const REJECTED: &str = "request-rejected";
/// What he hears when nobody knows.
pub const UNKNOWN: &str = "in-progress";

/// Everything that is known of a time with faults in it.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What callers remember, in the order of their calls.
    pub calls: Vec<Call>,
    /// What the other sides of delivery remember.
    pub told: Vec<Told>,
    /// The database now.
    pub rows: Rows,
    /// The database as it was before.
    pub earlier: Option<Rows>,
    /// Whether delivery has come to its end: nothing is due, nothing is waited for.
    pub at_rest: bool,
}

/// An invariant: its number, and what breaks it.
type Invariant = (u8, fn(&History) -> Vec<String>);

const INVARIANTS: [Invariant; 10] = [
    (1, the_limit_is_never_passed),
    (2, entries_balance_and_only_grow),
    (3, a_confirmation_makes_one_activation_at_most),
    (4, what_was_heard_is_committed_with_its_outbox),
    (5, an_activation_has_one_effect),
    (6, no_sms_comes_before_what_it_says),
    (7, the_leader_had_the_right),
    (8, the_month_is_that_of_the_hold),
    (9, room_is_given_back_once),
    (10, what_is_unknown_is_no_failure_and_gets_settled),
];

/// All that is broken: the number of the invariant, and by what.
pub fn violations(history: &History) -> Vec<(u8, String)> {
    let each = INVARIANTS
        .iter()
        .flat_map(|(number, invariant)| invariant(history).into_iter().map(move |broken| (*number, broken)));
    each.collect()
}

/// Invariant 1: for each group and month the net booked or held never passes the limit, at any prefix of the commit order; and what the
/// database keeps of it is the sum of its rows.
fn the_limit_is_never_passed(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    let mut used: BTreeMap<(i64, &str), i64> = BTreeMap::new();
    for transfer in in_commit_order(&history.rows) {
        let sum = used.entry((transfer.group, &transfer.month)).or_default();
        *sum += room_taken(transfer);
        if !(0..=LIMIT_QINDARKA).contains(sum) {
            broken.push(format!("transfer {}: group {} has used {sum}", transfer.id, transfer.group));
        }
    }
    for kept in &history.rows.limit_months {
        let sum = used.get(&(kept.group, kept.month.as_str())).copied().unwrap_or(0);
        if (kept.used, kept.granted) != (sum, LIMIT_QINDARKA) {
            broken.push(format!("{kept:?}: its rows say that {sum} is used"));
        }
    }
    broken
}

fn in_commit_order(rows: &Rows) -> Vec<&Transfer> {
    let mut transfers: Vec<_> = rows.transfers.iter().collect();
    transfers.sort_by_key(|transfer| (transfer.group, &transfer.month, transfer.position));
    transfers
}

/// What a transfer takes of the month's limit, below zero where it gives back.
fn room_taken(transfer: &Transfer) -> i64 {
    match (transfer.kind.as_str(), transfer.debit.as_str(), transfer.credit.as_str()) {
        ("pending", "limit", _) => transfer.amount,
        ("void", "limit", _) | ("reversal", _, "limit") => -transfer.amount,
        _ => 0,
    }
}

/// Invariant 2: every activation's entries balance, in whole qindarka; what was there is there, and unchanged.
fn entries_balance_and_only_grow(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    for activation in &history.rows.activations {
        let Activation { id, net, discount, list, .. } = activation;
        let held = |debit: &str, credit: &str| -> i64 {
            let of_it = history.rows.transfers.iter().filter(|transfer| {
                transfer.kind == "pending"
                    && transfer.activation.as_ref() == Some(id)
                    && (transfer.debit.as_str(), transfer.credit.as_str()) == (debit, credit)
            });
            of_it.map(|transfer| transfer.amount).sum()
        };
        let entries = [
            held("limit", "limit_spent"),
            held("receivable", "package_revenue"),
            held("discount_given", "package_revenue"),
        ];
        if entries != [*net, *net, *discount]
            || net + discount != *list
            || *discount != activation.terms_discount
        {
            broken.push(format!("activation {id}: held {entries:?} for {list} less {discount}"));
        }
    }
    for transfer in history.rows.transfers.iter().filter(|transfer| transfer.amount <= 0) {
        broken.push(format!("transfer {}: of {}", transfer.id, transfer.amount));
    }
    let Some(earlier) = &history.earlier else { return broken };
    for (table, rows) in &earlier.kept {
        let now = history.rows.kept.get(table);
        for row in rows.iter().filter(|row| now.is_none_or(|now| !now.contains(*row))) {
            broken.push(format!("{table}: gone or changed: {row}"));
        }
    }
    for before in &earlier.outbox {
        let now = history.rows.outbox.iter().find(|now| now.id == before.id);
        let forward = now.is_some_and(|now| {
            stage(&now.state) >= stage(&before.state)
                && (before.text.is_none() || now.text == before.text)
                && (&now.activation, &now.recipient) == (&before.activation, &before.recipient)
        });
        if !forward {
            broken.push(format!("outbox row {}: was {before:?}, is {now:?}", before.id));
        }
    }
    broken
}

fn stage(state: &str) -> usize {
    ["waiting", "due", "sent"].iter().position(|known| *known == state).unwrap_or(usize::MAX)
}

/// Invariant 3: a confirmation makes one activation at most, of what was confirmed; and none is made without.
fn a_confirmation_makes_one_activation_at_most(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    let mut owned = BTreeSet::new();
    for (call, until) in confirmed(history) {
        let made = made_by(history, call, until);
        if made.len() > 1 {
            let ids: Vec<_> = made.iter().map(|activation| &activation.id).collect();
            broken.push(format!("one confirmation, {ids:?}: {call:?}"));
        }
        for activation in made {
            owned.insert(&activation.id);
            if (&activation.member, &activation.package) != (&call.member, &call.package) {
                broken.push(format!("activation {}: not what was confirmed: {call:?}", activation.id));
            }
        }
    }
    for activation in history.rows.activations.iter().filter(|one| !owned.contains(&one.id)) {
        broken.push(format!("activation {}: nobody confirmed it: {activation:?}", activation.id));
    }
    broken
}

/// The calls in which the caller confirmed, each with the instant of his next confirmation: a caller makes one call at a time.
fn confirmed(history: &History) -> Vec<(&Call, i64)> {
    let calls: Vec<_> = history.calls.iter().filter(|call| call.confirmed_at_ms.is_some()).collect();
    let next = |call: &Call| {
        let later =
            calls.iter().filter(|other| other.caller == call.caller).map(|other| other.confirmed_at_ms);
        later.flatten().filter(|at| Some(*at) > call.confirmed_at_ms).min().unwrap_or(i64::MAX)
    };
    calls.iter().map(|call| (*call, next(call))).collect()
}

/// What a confirmation made: the caller's activations from then to his next one.
fn made_by<'a>(history: &'a History, call: &Call, until: i64) -> Vec<&'a Activation> {
    let from = call.confirmed_at_ms.unwrap_or(i64::MAX);
    let activations = history.rows.activations.iter();
    activations.filter(|one| one.caller == call.caller && (from..until).contains(&one.held_at_ms)).collect()
}

/// Invariant 4: who heard "activated" or "accepted" has a committed row, and "activated" is posted; a committed row has its outbox rows,
/// and before it its attempt.
fn what_was_heard_is_committed_with_its_outbox(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    for (call, until) in confirmed(history) {
        let made = made_by(history, call, until);
        if call.has_heard(&SUCCESSES) && made.is_empty() {
            broken.push(format!("heard, and not booked: {call:?}"));
        }
        let posted = made.iter().all(|one| {
            history.rows.settlement(&one.id).is_some_and(|settlement| settlement.result == "post")
        });
        if call.has_heard(&["activated"]) && !posted {
            broken.push(format!("heard `activated`, and not posted: {call:?}"));
        }
    }
    for activation in &history.rows.activations {
        let rows = |kind: &str| {
            let of_it = history.rows.outbox.iter().filter(|row| row.activation == activation.id);
            of_it.filter(|row| row.kind == kind).map(|row| row.recipient.as_str()).collect::<Vec<_>>()
        };
        let (orders, mut sms) = (rows("order"), rows("sms"));
        let mut readers = vec![activation.caller.as_str(), activation.member.as_str()];
        readers.sort_unstable();
        readers.dedup();
        sms.sort_unstable();
        if orders != [activation.member.as_str()] || sms != readers {
            broken.push(format!("activation {}: its outbox has {orders:?} and {sms:?}", activation.id));
        }
    }
    broken
}

/// Invariant 5: one effect at the network for an activation, however often its order came, and always the same order.
fn an_activation_has_one_effect(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    let mut orders: BTreeMap<&str, &str> = BTreeMap::new();
    let mut effects: BTreeMap<&str, bool> = BTreeMap::new();
    for told in &history.told {
        match told {
            Told::Order { activation, msisdn, package, content } => {
                if *orders.entry(activation).or_insert(content) != content {
                    broken.push(format!("order {activation}: came again as another: {content}"));
                }
                let booked = history.rows.activations.iter().find(|one| one.id == *activation);
                if booked.is_none_or(|one| (&one.member, &one.package) != (msisdn, package)) {
                    broken.push(format!("order {activation}: the ledger has {booked:?}"));
                }
            }
            Told::Effect { activation, activated } => {
                if effects.insert(activation, *activated).is_some() {
                    broken.push(format!("order {activation}: done twice"));
                }
            }
            Told::Sms { .. } => {}
        }
    }
    for activation in &history.rows.activations {
        let settled = history.rows.settlement(&activation.id).map(|one| one.result == "post");
        let done = effects.get(activation.id.as_str()).copied();
        if settled.is_some() && settled != done {
            broken.push(format!(
                "activation {}: posted is {settled:?}, the network did {done:?}",
                activation.id
            ));
        }
        if history.at_rest && done.is_none() {
            broken.push(format!("activation {}: its order never reached the network", activation.id));
        }
    }
    broken
}

/// Invariant 6: no SMS says that a package is active, or was refused, before the network has done so; each says what its outbox row says;
/// and in the end everybody has his.
fn no_sms_comes_before_what_it_says(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    let mut effects: BTreeMap<&str, bool> = BTreeMap::new();
    let mut received = BTreeSet::new();
    for told in &history.told {
        match told {
            Told::Order { .. } => {}
            Told::Effect { activation, activated } => {
                effects.insert(activation, *activated);
            }
            Told::Sms { row, activation, recipient, text } => {
                received.insert(*row);
                let says_active = !text.contains("nuk u aktivizua");
                if effects.get(activation.as_str()) != Some(&says_active) {
                    broken.push(format!("SMS {row}: says so before it is: {text}"));
                }
                let kept = history.rows.outbox.iter().find(|one| one.id == *row);
                let same = kept.is_some_and(|kept| {
                    (&kept.activation, &kept.recipient, kept.text.as_ref())
                        == (activation, recipient, Some(text))
                });
                if !same {
                    broken.push(format!("SMS {row}: the outbox has {kept:?}"));
                }
            }
        }
    }
    for row in history.rows.outbox.iter().filter(|row| history.at_rest && row.kind == "sms") {
        if !received.contains(&row.id) || row.state != "sent" {
            broken.push(format!("SMS {}: never came, and is {}", row.id, row.state));
        }
    }
    broken
}

/// Invariant 7: the caller was the leader of the group when it was booked, and the number a member of it.
fn the_leader_had_the_right(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    for activation in &history.rows.activations {
        let Activation { id, group, leader, caller, member_id, member, held_at_ms, .. } = activation;
        let led = history.rows.leaders.iter().any(|one| {
            (one.group, one.member) == (*group, *leader) && lasts(one.since_ms, one.until_ms, *held_at_ms)
        });
        let is_member = |number: i64, msisdn: &str| {
            history.rows.members.iter().any(|one| {
                (one.id, one.group, one.msisdn.as_str()) == (number, *group, msisdn)
                    && lasts(one.joined_at_ms, one.left_at_ms, *held_at_ms)
            })
        };
        if !led || !is_member(*leader, caller) {
            broken.push(format!("activation {id}: the caller was not the leader"));
        }
        if !is_member(*member_id, member) {
            broken.push(format!("activation {id}: the number was no member"));
        }
    }
    broken
}

fn lasts(from: i64, until: Option<i64>, at: i64) -> bool {
    from <= at && until.is_none_or(|until| at <= until)
}

/// Invariant 8: the month is that of the hold in Tirane, and every row of the activation but a reversal stays in it.
fn the_month_is_that_of_the_hold(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    let tirane = TimeZone::get("Europe/Tirane").expect("the tables are compiled in");
    for activation in &history.rows.activations {
        let at = Timestamp::from_millisecond(activation.held_at_ms).expect("an instant");
        let month = at.to_zoned(tirane.clone()).strftime("%Y-%m").to_string();
        let settled = history.rows.settlement(&activation.id).map(|settlement| &settlement.month);
        let transfers = history.rows.transfers.iter().filter(|transfer| {
            transfer.activation.as_ref() == Some(&activation.id) && transfer.kind != "reversal"
        });
        let mut months = transfers.map(|transfer| &transfer.month).chain(settled).chain([&activation.month]);
        if let Some(other) = months.find(|other| **other != month) {
            broken.push(format!("activation {}: held in {month}, booked in {other}", activation.id));
        }
    }
    broken
}

/// Invariant 9: what is held is resolved at most once, as it was settled; what is posted is taken back at most once; and only where a row
/// says so.
fn room_is_given_back_once(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    let about = |pending: i64, kinds: [&str; 2]| {
        let of_it = history.rows.transfers.iter().filter(move |one| one.pending == Some(pending));
        of_it.filter(|one| kinds.contains(&one.kind.as_str())).collect::<Vec<_>>()
    };
    for pending in history.rows.transfers.iter().filter(|transfer| transfer.kind == "pending") {
        let (resolved, reversed) = (about(pending.id, ["post", "void"]), about(pending.id, ["reversal"; 2]));
        let activation = pending.activation.as_deref().unwrap_or_default();
        let settled = history.rows.settlement(activation).map(|settlement| settlement.result.as_str());
        let kinds: Vec<_> = resolved.iter().map(|one| one.kind.as_str()).collect();
        if kinds != settled.into_iter().collect::<Vec<_>>() {
            broken.push(format!("transfer {}: settled as {settled:?}, resolved by {kinds:?}", pending.id));
        }
        let asked = history.rows.reversals.iter().filter(|one| one.activation == activation).count();
        if asked > 1 || reversed.len() != asked || (asked == 1 && settled != Some("post")) {
            broken.push(format!("transfer {}: {asked} reversals, {} rows", pending.id, reversed.len()));
        }
        if resolved.iter().chain(&reversed).any(|one| one.amount != pending.amount) {
            broken.push(format!("transfer {}: resolved with another amount", pending.id));
        }
    }
    broken
}

/// Invariant 10: who heard a failure has nothing booked (or, where the network refused, nothing that stands); an outcome that nobody knew
/// is found by its id: booked and settled, or an attempt of which nothing came.
fn what_is_unknown_is_no_failure_and_gets_settled(history: &History) -> Vec<String> {
    let mut broken = Vec::new();
    for (call, until) in confirmed(history) {
        let made = made_by(history, call, until);
        if call.has_heard(&FAILURES) && !made.is_empty() {
            broken.push(format!("heard a failure, and booked as {}: {call:?}", made[0].id));
        }
        let void = |one: &&Activation| history.rows.settlement(&one.id).is_some_and(|it| it.result == "void");
        if call.has_heard(&[REJECTED]) && (made.is_empty() || !made.iter().all(void)) {
            broken.push(format!("heard that the network refused, and it did not: {call:?}"));
        }
        let from = call.confirmed_at_ms.unwrap_or(i64::MAX);
        let tried = |one: &super::rows::Attempt| {
            one.caller == call.caller && (from..until).contains(&one.tried_at_ms)
        };
        if call.has_heard(&[UNKNOWN]) && !history.rows.attempts.iter().any(tried) {
            broken.push(format!("heard that it goes on, and nothing is on record: {call:?}"));
        }
    }
    for activation in &history.rows.activations {
        let tried = history.rows.attempts.iter().find(|attempt| attempt.activation == activation.id);
        let same = tried.is_some_and(|tried| {
            (&tried.caller, &tried.member, tried.net)
                == (&activation.caller, &activation.member, activation.net)
                && tried.tried_at_ms <= activation.held_at_ms
        });
        if !same {
            broken.push(format!(
                "activation {}: booked, and the attempt on record is {tried:?}",
                activation.id
            ));
        }
        if history.at_rest && history.rows.settlement(&activation.id).is_none() {
            broken.push(format!("activation {}: never settled", activation.id));
        }
    }
    broken
}
