//! A right month, and what is found when it is made wrong: with the hashes as they were, and with hashes made anew, as one
//! could who knows how; random months.

use super::*;
use crate::klikon::Audience;
use crate::ledger::rows::{OutboxKind, Phase, ReversalFacts, SettlementFacts, TransferFacts};
use crate::ledger::{AccountKind, Resolution, grant_entry, hold_entries, reversal_entry};
use crate::units::{ActivationId, CallId, MemberId, Msisdn, PackageId};
use jiff::Timestamp;
use proptest::prelude::*;

const GROUP: GroupId = GroupId(1);

fn at() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn month() -> Month {
    Month::of(at())
}

fn id(n: u8) -> ActivationId {
    ActivationId::new(at(), [n; 10])
}

fn lek(lek: i32) -> Money {
    Money::from_lek(lek)
}

/// Books as the store does.
struct Booker(MonthBook);

impl Booker {
    fn new() -> Self {
        let kept = LimitMonth { granted: lek(6500), used: Money::ZERO, chain: Chain::begin(GROUP, month()) };
        let mut booker = Self(MonthBook {
            group: GROUP,
            month: month(),
            kept,
            limit: lek(6500),
            rows: Vec::new(),
            earlier: Vec::new(),
            outbox: Vec::new(),
        });
        booker.transfer(Phase::Grant, grant_entry(GROUP, month(), lek(6500)), None);
        booker
    }

    fn push(&mut self, name: String, row: LedgerRow) {
        let link = self.0.kept.chain.append(&row);
        self.0.rows.push(BookedRow { name, position: link.length, hash: link.head, row });
    }

    fn transfer(&mut self, phase: Phase, entry: Entry, activation: Option<ActivationId>) {
        let Entry { debit, credit, amount } = entry;
        let row =
            LedgerRow::Transfer(TransferFacts { phase, debit, credit, amount, activation, booked_at: at() });
        self.push((self.0.rows.len() + 1).to_string(), row);
        let sign = match phase {
            Phase::Pending if matches!(debit, AccountKind::Limit { .. }) => 1,
            Phase::Void(_) if matches!(debit, AccountKind::Limit { .. }) => -1,
            Phase::Reversal(_) if matches!(credit, AccountKind::Limit { .. }) => -1,
            _ => 0,
        };
        let used = self.0.kept.used.qindarka() + sign * amount.qindarka();
        self.0.kept.used = Money::from_qindarka(used);
    }

    fn facts(n: u8, net: Money, month: Month) -> ActivationFacts {
        let caller = Msisdn::parse("0672000123").unwrap();
        let discount = lek(200);
        ActivationFacts {
            id: id(n),
            call: CallId::new(at(), [n; 10]),
            group: GROUP,
            leader: MemberId(1),
            caller,
            member_id: MemberId(1),
            member: caller,
            package: PackageId(1),
            terms: 1,
            list: net.checked_add(discount).unwrap(),
            discount,
            net,
            month,
            held_at: at(),
        }
    }

    fn hold(&mut self, n: u8, net: Money) {
        let facts = Self::facts(n, net, month());
        self.push(format!("activation {n}"), LedgerRow::Activation(facts));
        for entry in hold_entries(GROUP, month(), net, facts.discount) {
            self.transfer(Phase::Pending, entry, Some(id(n)));
        }
        let row = i64::try_from(self.0.outbox.len()).unwrap() + 1;
        let sms = OutboxKind::Sms { recipient: facts.caller, audience: Audience::Own, has_text: false };
        self.0.outbox.push(OutboxFacts { id: row, activation: id(n), kind: OutboxKind::Order });
        self.0.outbox.push(OutboxFacts { id: row + 1, activation: id(n), kind: sms });
    }

    /// The pending transfers of an activation with their places.
    fn held(&self, n: u8) -> Vec<(Place, Entry)> {
        let pending = self.0.rows.iter().filter_map(|booked| match &booked.row {
            LedgerRow::Transfer(t) if t.activation == Some(id(n)) && t.phase == Phase::Pending => {
                let place = Place { month: month(), position: booked.position };
                Some((place, Entry { debit: t.debit, credit: t.credit, amount: t.amount }))
            }
            _ => None,
        });
        pending.collect()
    }

    fn settle(&mut self, n: u8, resolution: Resolution) {
        let reason = (resolution == Resolution::Void).then(|| "rejected".to_owned());
        let facts = SettlementFacts { activation: id(n), resolution, reason, settled_at: at() };
        self.push(format!("settlement {n}"), LedgerRow::Settlement(facts));
        for (place, entry) in self.held(n) {
            let phase = match resolution {
                Resolution::Post => Phase::Post(place),
                Resolution::Void => Phase::Void(place),
            };
            self.transfer(phase, entry, Some(id(n)));
        }
        for row in self.0.outbox.iter_mut().filter(|row| row.activation == id(n)) {
            if let OutboxKind::Sms { has_text, .. } = &mut row.kind {
                *has_text = true;
            }
        }
    }

    fn reverse(&mut self, n: u8, posted: Vec<(Place, Entry)>) {
        let facts = ReversalFacts {
            activation: id(n),
            reason: "wrong member".to_owned(),
            actor: "shop 7".to_owned(),
            reversed_at: at(),
        };
        self.push(format!("reversal {n}"), LedgerRow::Reversal(facts));
        for (place, entry) in posted {
            self.transfer(Phase::Reversal(place), reversal_entry(entry), Some(id(n)));
        }
    }
}

/// Rows: 1 grant; 2 activation 1, 3 to 5 held, 6 settled, 7 to 9 posted; 10 activation 2, 11 to 13 held, 14 settled, 15 to
/// 17 voided; 18 activation 3, 19 to 21 held; 22 activation 4, 23 to 25 held, 26 settled, 27 to 29 posted, 30 reversed,
/// 31 to 33 taken back.
fn right() -> Booker {
    let mut booker = Booker::new();
    booker.hold(1, lek(900));
    booker.settle(1, Resolution::Post);
    booker.hold(2, lek(1700));
    booker.settle(2, Resolution::Void);
    booker.hold(3, lek(500));
    booker.hold(4, lek(1100));
    booker.settle(4, Resolution::Post);
    booker.reverse(4, booker.held(4));
    booker
}

#[test]
fn a_right_month() {
    let seen = audit_month(&right().0).unwrap();
    assert_eq!((seen.activations, seen.posted, seen.voided, seen.pending, seen.reversed), (4, 2, 1, 1, 1));
    assert_eq!((seen.transfers, seen.outbox, seen.months), (25, 8, 1));
    assert_eq!(seen.money_posted, lek(1100), "the list price of the one that was not taken back");
}

#[test]
fn any_change_of_a_row_is_found_at_that_row_by_its_hash() {
    let rows = right().0.rows.len();
    for changed in 0..rows {
        let mut book = right().0;
        let row = &mut book.rows[changed];
        let before = at() - jiff::SignedDuration::from_millis(1);
        match &mut row.row {
            LedgerRow::Activation(facts) => facts.held_at = before,
            LedgerRow::Transfer(facts) => facts.booked_at = before,
            LedgerRow::Settlement(facts) => facts.settled_at = before,
            LedgerRow::Reversal(facts) => facts.actor.push('!'),
        }
        let (table, name) = (row.row.table(), row.name.clone());
        let fault = audit_month(&book).unwrap_err();
        assert_eq!((fault.table, &fault.row), (table, &name), "{fault}");
        assert!(fault.wrong.contains("hash"), "{fault}");
        // A row that is taken out is missed at the next one, or at the end.
        let mut book = right().0;
        book.rows.remove(changed);
        let fault = audit_month(&book).unwrap_err();
        let expected = if changed + 1 == rows { "33 rows, and 32" } else { "its position is" };
        assert!(fault.wrong.contains(expected), "{fault}");
    }
}

/// Makes a month wrong.
type Wrong = fn(&mut MonthBook);

/// The same, with something of the test in it.
type WrongWith = Box<dyn Fn(&mut MonthBook)>;

/// The transfer at a position.
fn transfer(book: &mut MonthBook, position: usize) -> &mut TransferFacts {
    match &mut book.rows[position - 1].row {
        LedgerRow::Transfer(facts) => facts,
        other => panic!("{other:?}"),
    }
}

/// The activation at a position.
fn activation(book: &mut MonthBook, position: usize) -> &mut ActivationFacts {
    match &mut book.rows[position - 1].row {
        LedgerRow::Activation(facts) => facts,
        other => panic!("{other:?}"),
    }
}

/// The reversal.
fn reversal(book: &mut MonthBook) -> &mut ReversalFacts {
    match &mut book.rows[29].row {
        LedgerRow::Reversal(facts) => facts,
        other => panic!("{other:?}"),
    }
}

/// Makes all positions and hashes anew.
fn chained(book: &mut MonthBook) {
    let mut chain = Chain::begin(GROUP, month());
    for row in &mut book.rows {
        let link = chain.append(&row.row);
        (row.position, row.hash) = (link.length, link.head);
    }
    book.kept.chain = chain;
}

#[test]
fn the_first_wrong_row_is_named_whatever_its_hash() {
    let place = |position| Place { month: month(), position };
    let cases: Vec<(&str, WrongWith)> = vec![
        ("transfers row 7: it differs from the pending row 3", Box::new(|b| transfer(b, 7).amount = lek(1))),
        ("transfers row 11: the amount 0", Box::new(|b| transfer(b, 11).amount = Money::ZERO)),
        (
            "transfers row 3: it moves from limits spent to receivable of group 1",
            Box::new(|b| transfer(b, 3).debit = AccountKind::Receivable { group: GROUP }),
        ),
        (
            "transfers row 8: it differs from the pending row 3",
            Box::new(move |b| transfer(b, 8).phase = Phase::Post(place(3))),
        ),
        ("the pending row 3 was resolved before", Box::new(|b| b.rows[7] = b.rows[6].clone())),
        (
            "transfers row 7: row 99 is not pending",
            Box::new(move |b| transfer(b, 7).phase = Phase::Post(place(99))),
        ),
        ("transfers row 19: it has no activation", Box::new(|b| transfer(b, 19).activation = None)),
        ("transfers row 3: there is no activation", Box::new(|b| drop(b.rows.remove(1)))),
        ("transfers row 1: it grants", Box::new(|b| transfer(b, 1).amount = lek(6501))),
        ("transfers row 1: a second grant", Box::new(|b| b.rows.insert(1, b.rows[0].clone()))),
        (
            "settlements row settlement 1: the activation was settled before",
            Box::new(|b| {
                b.rows.insert(9, b.rows[5].clone());
            }),
        ),
        (
            "activations row activation 1: the activation was booked before",
            Box::new(|b| {
                b.rows.insert(9, b.rows[1].clone());
            }),
        ),
        (
            "activations row activation 3: held in 2026-11, booked in",
            Box::new(|b| activation(b, 18).month = month().next()),
        ),
        (
            "activations row activation 3: held in 2026-10, booked in 2026-11",
            Box::new(|b| activation(b, 18).held_at = month_before().start()),
        ),
        (
            "activations row activation 3: held in 2026-10, booked in 2026-11",
            Box::new(|b| {
                let facts = activation(b, 18);
                (facts.held_at, facts.month) = (month_before().start(), month_before());
            }),
        ),
        (
            "activations row activation 3: held in 2026-11, booked in 2026-11 of group 1",
            Box::new(|b| activation(b, 18).group = GroupId(2)),
        ),
        ("activations row activation 3: its pending transfers", Box::new(|b| b.rows.truncate(20))),
        ("activations row activation 1: 2 of its 3 transfers are resolved", Box::new(|b| b.rows.truncate(8))),
        (
            "activations row activation 4: 2 of its 3 transfers are reversed",
            Box::new(|b| drop(b.rows.remove(32))),
        ),
        (
            "transfers row 31: it is not row 23 the other way round",
            Box::new(|b| transfer(b, 31).amount = lek(1)),
        ),
        ("transfers row 31: row 23 was reversed before", Box::new(|b| b.rows.insert(31, b.rows[30].clone()))),
        ("transfers row 31: activation", Box::new(|b| drop(b.rows.remove(29)))),
        (
            "reversals row reversal 4: the activation was reversed",
            Box::new(|b| b.rows.insert(30, b.rows[29].clone())),
        ),
        (
            "reversals row reversal 4: there is no such activation",
            Box::new(|b| reversal(b).activation = id(9)),
        ),
        (
            "reversals row reversal 4: a reversal has a reason and an actor",
            Box::new(|b| reversal(b).reason.clear()),
        ),
        (
            "reversals row reversal 4: a reversal has a reason and an actor",
            Box::new(|b| reversal(b).actor.clear()),
        ),
        // Voided, and not settled at all; and before all of it is posted.
        (
            "reversals row reversal 4: the activation is not posted",
            Box::new(|b| reversal(b).activation = id(2)),
        ),
        (
            "reversals row reversal 4: the activation is not posted",
            Box::new(|b| reversal(b).activation = id(3)),
        ),
        ("reversals row reversal 4: the activation is not posted", Box::new(|b| b.rows.swap(28, 29))),
        (
            "outbox row 2: no SMS text after the settlement",
            Box::new(|b| {
                if let OutboxKind::Sms { has_text, .. } = &mut b.outbox[1].kind {
                    *has_text = false;
                }
            }),
        ),
        ("0 orders and 1 SMS in the outbox", Box::new(|b| b.outbox.retain(|row| row.id != 5))),
        (
            "outbox row 9: there is no such activation",
            Box::new(|b| {
                b.outbox.push(OutboxFacts { id: 9, activation: id(9), kind: OutboxKind::Order });
            }),
        ),
    ];
    for (expected, wrong) in cases {
        let mut book = right().0;
        wrong(&mut book);
        chained(&mut book);
        let fault = audit_month(&book).unwrap_err().to_string();
        assert!(fault.contains(expected), "{expected}\n  {fault}");
    }
}

#[test]
fn what_the_database_keeps_beside_the_rows_is_what_they_come_to() {
    let cases: [(&str, Wrong); 4] = [
        ("it grants", |b| b.kept.granted = lek(7000)),
        ("are used, by its rows", |b| b.kept.used = lek(1)),
        ("its chain has 34 rows", |b| b.kept.chain.length += 1),
        ("the end of its chain", |b| b.kept.chain.head = Chain::begin(GROUP, month()).head),
    ];
    for (expected, wrong) in cases {
        let mut book = right().0;
        wrong(&mut book);
        let fault = audit_month(&book).unwrap_err();
        assert_eq!((fault.table, fault.row.as_str()), ("limit_months", "1 2026-11"));
        assert!(fault.wrong.contains(expected), "{expected}\n  {fault}");
    }
}

/// DOMAIN §3: the whole limit may be spent.
#[test]
fn five_that_make_the_limit_exactly_are_right() {
    let mut booker = Booker::new();
    for (n, net) in (0..).zip([1700, 1700, 1700, 900, 500]) {
        booker.hold(n, lek(net));
    }
    assert_eq!(booker.0.kept.used, lek(6500));
    let seen = audit_month(&booker.0).unwrap();
    // Months add up, field by field.
    let mut sum = seen;
    sum.add(&audit_month(&right().0).unwrap());
    assert_eq!((sum.months, sum.transfers, sum.activations, sum.pending), (2, 16 + 25, 5 + 4, 5 + 1));
    assert_eq!((sum.posted, sum.voided, sum.reversed, sum.outbox), (2, 1, 1, 10 + 8));
    assert_eq!(sum.money_posted, lek(1100));
}

#[test]
fn an_overdraft_is_found_at_the_row_that_makes_it() {
    let mut booker = Booker::new();
    for n in 0..4 {
        booker.hold(n, lek(1700));
    }
    let fault = audit_month(&booker.0).unwrap_err();
    assert_eq!((fault.table, fault.row.as_str()), ("transfers", "15"));
    assert!(fault.wrong.contains("overdraws the limit of group 1 in 2026-11 by 300"), "{fault}");
}

/// A month that is closed keeps its room: what is reversed after it moves money only.
#[test]
fn a_reversal_of_a_month_before_is_of_its_money_only() {
    let october = month_before();
    let facts = ActivationFacts { month: october, ..Booker::facts(7, lek(900), october) };
    let held: Vec<(Place, Entry)> = (3..)
        .map(|position| Place { month: october, position })
        .zip(hold_entries(GROUP, october, lek(900), lek(200)))
        .collect();
    let earlier = Earlier { activation: facts, held: held.clone(), is_posted: true };
    let book = |taken_back: &[(Place, Entry)], earlier: Vec<Earlier>| {
        let mut booker = Booker::new();
        booker.0.earlier = earlier;
        booker.reverse(7, taken_back.to_vec());
        audit_month(&booker.0).map_err(|fault| fault.wrong)
    };
    let seen = book(&held[1..], vec![earlier.clone()]).unwrap();
    assert_eq!((seen.reversed, seen.money_posted), (1, lek(-1100)));
    for (taken_back, expected) in [
        (&held[..], "is not the next to be reversed"),
        (&held[1..2], "1 of 2 transfers are reversed"),
        (&held[2..], "is not the next to be reversed"),
    ] {
        let wrong = book(taken_back, vec![earlier.clone()]).unwrap_err();
        assert!(wrong.contains(expected), "{expected}\n  {wrong}");
    }
    // Of another group, or of this month, it is none of those before.
    for activation in [
        ActivationFacts { group: GroupId(2), ..facts },
        ActivationFacts { month: month(), ..facts },
        ActivationFacts { month: month().next(), ..facts },
    ] {
        let wrong = book(&held[1..], vec![Earlier { activation, ..earlier.clone() }]).unwrap_err();
        assert!(wrong.contains("no such activation"), "{wrong}");
    }
    let pending = Earlier { is_posted: false, ..earlier };
    assert!(book(&held[1..], vec![pending]).unwrap_err().contains("not posted"));
    assert!(book(&held[1..], Vec::new()).unwrap_err().contains("no such activation"));
}

fn month_before() -> Month {
    Month::of("2026-10-22T10:00:00Z".parse().unwrap())
}

proptest! {
    #[test]
    fn right_months_are_found_right(nets in proptest::collection::vec((1i64..200_000, 0u8..4), 0..12)) {
        let mut booker = Booker::new();
        let (mut left, mut posted) = (650_000, 0);
        for (n, (net, fate)) in (0u8..).zip(nets) {
            if net > left {
                continue;
            }
            booker.hold(n, Money::from_qindarka(net));
            left -= net;
            match fate {
                0 => {}
                1 => {
                    booker.settle(n, Resolution::Post);
                    posted += net + 20_000;
                }
                2 => {
                    booker.settle(n, Resolution::Void);
                    left += net;
                }
                _ => {
                    booker.settle(n, Resolution::Post);
                    booker.reverse(n, booker.held(n));
                    left += net;
                }
            }
        }
        prop_assert_eq!(booker.0.kept.used, Money::from_qindarka(650_000 - left));
        let seen = audit_month(&booker.0);
        prop_assert_eq!(seen.map(|seen| seen.money_posted), Ok(Money::from_qindarka(posted)));
    }
}
