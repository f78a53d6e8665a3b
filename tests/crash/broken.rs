//! The checker can fail: a history in which everything is right, and others, each with one thing that is not.

use super::invariants::{History, violations};
use super::logs::{Call, Told};
use super::rows::{Activation, Attempt, Leader, LimitMonth, Member, Outbox, Reversal, Settlement, Transfer};

const LEADER: &str = "+355690000000";
const MEMBER: &str = "+355682000001";
/// 2026-11-25 17:00 in Tirane.
const HELD_MS: i64 = 1_795_622_400_000;
const MONTH: &str = "2026-11";
const ACTIVE: &str = "Klik-ON: Paketa Super 700 u aktivizua";
const REFUSED: &str = "Klik-ON: Paketa Super 700 nuk u aktivizua";

fn text(text: &str) -> String {
    text.to_owned()
}

/// Two calls: one posted and taken back (`a`), one void (`b`); each a Super 700 for a member.
fn right() -> History {
    let mut history = History { at_rest: true, ..History::default() };
    let rows = &mut history.rows;
    rows.leaders.push(Leader { group: 1, member: 1, since_ms: 0, until_ms: None });
    for (id, msisdn) in [(1, LEADER), (2, MEMBER)] {
        let msisdn = text(msisdn);
        rows.members.push(Member { id, group: 1, msisdn, joined_at_ms: 0, left_at_ms: None });
    }
    rows.transfers.push(transfer(1, "grant", ("limit_granted", "limit"), 650_000, None));
    book(&mut history, "a", HELD_MS, true);
    book(&mut history, "b", HELD_MS + 60_000, false);
    let rows = &mut history.rows;
    rows.reversals.push(Reversal { activation: text("a") });
    let posted: Vec<_> =
        rows.transfers.iter().filter(|one| one.kind == "post").map(|one| one.pending.unwrap()).collect();
    for pending in posted {
        let held = rows.transfers.iter().find(|one| one.id == pending).unwrap().clone();
        let next = rows.transfers.len() as i64 + 1;
        let accounts = (held.credit.as_str(), held.debit.as_str());
        rows.transfers.push(Transfer {
            pending: Some(pending),
            ..transfer(next, "reversal", accounts, held.amount, Some("a"))
        });
    }
    rows.limit_months.push(LimitMonth { group: 1, month: text(MONTH), granted: 650_000, used: 0 });
    rows.kept.insert(text("activations"), [text("a"), text("b")].into());
    history.earlier = Some(history.rows.clone());
    history
}

fn transfer(id: i64, kind: &str, accounts: (&str, &str), amount: i64, activation: Option<&str>) -> Transfer {
    Transfer {
        id,
        kind: text(kind),
        debit: text(accounts.0),
        credit: text(accounts.1),
        amount,
        activation: activation.map(text),
        pending: None,
        group: 1,
        month: text(MONTH),
        position: id,
    }
}

/// A call at an instant whose booking the network activates, or refuses; everybody is told.
fn book(history: &mut History, id: &str, at_ms: i64, activated: bool) {
    let heard = if activated { "activated" } else { "request-rejected" };
    history.calls.push(Call {
        caller: text(LEADER),
        member: text(MEMBER),
        package: text("Super 700"),
        confirmed_at_ms: Some(at_ms),
        heard: vec![text(heard)],
    });
    let rows = &mut history.rows;
    rows.attempts.push(Attempt {
        activation: text(id),
        caller: text(LEADER),
        member: text(MEMBER),
        net: 50_000,
        tried_at_ms: at_ms + 5,
    });
    rows.activations.push(Activation {
        id: text(id),
        group: 1,
        leader: 1,
        caller: text(LEADER),
        member_id: 2,
        member: text(MEMBER),
        package: text("Super 700"),
        list: 70_000,
        discount: 20_000,
        net: 50_000,
        month: text(MONTH),
        held_at_ms: at_ms + 5,
        terms_discount: 20_000,
    });
    let entries = [
        ("limit", "limit_spent", 50_000),
        ("receivable", "package_revenue", 50_000),
        ("discount_given", "package_revenue", 20_000),
    ];
    let first = rows.transfers.len() as i64 + 1;
    for (pending, (debit, credit, amount)) in (first..).zip(entries) {
        rows.transfers.push(transfer(pending, "pending", (debit, credit), amount, Some(id)));
    }
    let result = if activated { "post" } else { "void" };
    for (pending, (debit, credit, amount)) in (first..).zip(entries) {
        let resolved = transfer(pending + 3, result, (debit, credit), amount, Some(id));
        rows.transfers.push(Transfer { pending: Some(pending), ..resolved });
    }
    rows.settlements.push(Settlement { activation: text(id), result: text(result), month: text(MONTH) });
    let row = rows.outbox.len() as i64 + 1;
    let said = text(if activated { ACTIVE } else { REFUSED });
    for (row, kind, recipient) in [(row, "order", MEMBER), (row + 1, "sms", LEADER), (row + 2, "sms", MEMBER)]
    {
        rows.outbox.push(Outbox {
            id: row,
            activation: text(id),
            kind: text(kind),
            recipient: text(recipient),
            state: text("sent"),
            text: (kind == "sms").then(|| said.clone()),
        });
    }
    let (msisdn, package, content) = (text(MEMBER), text("Super 700"), format!("order {id}"));
    history.told.push(Told::Order { activation: text(id), msisdn, package, content });
    history.told.push(Told::Effect { activation: text(id), activated });
    for (row, recipient) in [(row + 1, LEADER), (row + 2, MEMBER)] {
        let (activation, recipient, text) = (text(id), text(recipient), said.clone());
        history.told.push(Told::Sms { row, activation, recipient, text });
    }
}

/// One thing that goes wrong, and which invariant must say so.
type Wrong = (u8, &'static str, fn(&mut History));

const WRONG: [Wrong; 36] = [
    (1, "a limit passed for a moment", |it| it.rows.transfers[1].amount = 650_100),
    (1, "the sum kept is another", |it| it.rows.limit_months[0].used = 50_000),
    (1, "more room given back than was taken", |it| it.rows.transfers[4].kind = text("void")),
    (2, "an entry is missing", |it| drop(it.rows.transfers.remove(3))),
    (2, "a discount that the terms do not give", |it| it.rows.activations[0].terms_discount = 10_000),
    (2, "a transfer of nothing", |it| it.rows.transfers[2].amount = 0),
    (2, "a row is gone", |it| it.rows.kept.clear()),
    (2, "an outbox row goes back", |it| it.rows.outbox[0].state = text("due")),
    (2, "the text of an SMS changes", |it| it.rows.outbox[1].text = Some(text("another"))),
    (3, "one confirmation, two activations", |it| {
        let second = Activation { id: text("c"), ..it.rows.activations[0].clone() };
        it.rows.activations.push(second);
    }),
    (3, "nobody confirmed", |it| it.calls[0].confirmed_at_ms = None),
    (3, "held before the key was pressed", |it| it.rows.activations[0].held_at_ms = HELD_MS - 1),
    (3, "another package than was confirmed", |it| it.calls[0].package = text("Super 1900")),
    (3, "another number than was confirmed", |it| it.calls[0].member = text(LEADER)),
    (4, "heard `activated`, and not booked", |it| drop(it.rows.activations.remove(0))),
    (4, "heard `accepted`, and not booked", |it| {
        it.calls[0].heard = vec![text("accepted")];
        it.rows.activations.remove(0);
    }),
    (4, "heard `activated`, and void", |it| it.rows.settlements[0].result = text("void")),
    (4, "no order in the outbox", |it| drop(it.rows.outbox.remove(0))),
    (4, "an SMS to one only", |it| drop(it.rows.outbox.remove(2))),
    (5, "done twice", |it| it.told.push(Told::Effect { activation: text("a"), activated: true })),
    (5, "the same order with other words", |it| {
        let (activation, content) = (text("a"), text("other"));
        let (msisdn, package) = (text(MEMBER), text("Super 700"));
        it.told.push(Told::Order { activation, msisdn, package, content });
    }),
    (5, "an order for what is not booked", |it| {
        let (activation, content) = (text("x"), text("x"));
        let (msisdn, package) = (text(MEMBER), text("Super 700"));
        it.told.push(Told::Order { activation, msisdn, package, content });
    }),
    (5, "posted, and the network refused", |it| {
        it.told[1] = Told::Effect { activation: text("a"), activated: false };
    }),
    (5, "the order never came", |it| drop(it.told.drain(..2))),
    (6, "an SMS before the effect", |it| it.told.swap(1, 2)),
    (6, "an SMS says active, and the network refused", |it| {
        let (activation, recipient, text) = (text("b"), text(LEADER), text(ACTIVE));
        it.told.push(Told::Sms { row: 5, activation, recipient, text });
    }),
    (6, "an SMS that the outbox does not have", |it| it.rows.outbox[1].id = 99),
    (6, "an SMS that never came", |it| drop(it.told.remove(2))),
    (7, "the right had ended", |it| it.rows.leaders[0].until_ms = Some(HELD_MS + 4)),
    (7, "the right of another", |it| it.rows.activations[1].leader = 2),
    (7, "the number had left", |it| it.rows.members[1].left_at_ms = Some(HELD_MS)),
    (8, "the month of the settlement", |it| it.rows.settlements[0].month = text("2026-12")),
    (8, "another month than that of the hold", |it| {
        it.rows.activations[0].held_at_ms = HELD_MS + 6 * 86_400_000;
    }),
    (9, "room given back twice", |it| {
        let again = it.rows.transfers.iter().find(|one| one.kind == "reversal").unwrap().clone();
        it.rows.transfers.push(Transfer { id: 99, position: 99, ..again });
    }),
    (10, "heard that it failed, and booked", |it| it.calls[0].heard = vec![text("service-unavailable")]),
    (10, "never settled", |it| drop(it.rows.settlements.remove(0))),
];

#[test]
fn a_right_history_has_no_violation() {
    assert_eq!(violations(&right()), []);
}

#[test]
fn each_thing_that_goes_wrong_is_said_by_its_invariant() {
    let mut silent = Vec::new();
    for (number, what, go_wrong) in WRONG {
        let mut history = right();
        go_wrong(&mut history);
        let broken = violations(&history);
        if !broken.iter().any(|(said, _)| *said == number) {
            silent.push(format!("{number}, {what}: {broken:?}"));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

/// Nothing on record of what went on in the caller's ear; and an attempt that is not the booking's.
#[test]
fn what_nobody_knows_must_be_on_record() {
    for go_wrong in [
        (|it: &mut History| it.rows.attempts[0].net = 1) as fn(&mut History),
        |it| drop(it.rows.attempts.remove(0)),
        |it| {
            it.calls[0].heard = vec![text("in-progress")];
            it.rows.attempts.clear();
        },
        |it| it.calls[0].heard = vec![text("request-rejected")],
    ] {
        let mut history = right();
        go_wrong(&mut history);
        assert!(violations(&history).iter().any(|(number, _)| *number == 10));
    }
}
