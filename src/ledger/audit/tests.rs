//! A right book, and what is found when it is made wrong; random books; balances.

use super::*;
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
#[derive(Default)]
struct Booker(Book);

impl Booker {
    fn new() -> Self {
        let kinds = [
            AccountKind::LimitGranted,
            AccountKind::LimitSpent,
            AccountKind::DiscountGiven,
            AccountKind::PackageRevenue,
            AccountKind::Receivable { group: GROUP },
            AccountKind::Limit { group: GROUP, month: month() },
        ];
        let mut booker = Self::default();
        booker.0.accounts = (1..).zip(kinds).map(|(id, kind)| Account { id: AccountId(id), kind }).collect();
        booker.0.limits.insert(month(), lek(6500));
        booker.transfer(TransferKind::Grant, grant_entry(GROUP, month(), lek(6500)), None);
        booker
    }

    fn account(&self, kind: AccountKind) -> AccountId {
        self.0.accounts.iter().find(|account| account.kind == kind).unwrap().id
    }

    fn transfer(&mut self, kind: TransferKind, entry: Entry, activation: Option<ActivationId>) {
        let (debit, credit) = (self.account(entry.debit), self.account(entry.credit));
        let id = TransferId(i64::try_from(self.0.transfers.len()).unwrap() + 1);
        self.0.transfers.push(Transfer {
            id,
            kind,
            debit,
            credit,
            amount: entry.amount,
            activation,
            at: at(),
        });
    }

    fn hold(&mut self, n: u8, net: Money) {
        let caller = Msisdn::parse("0672000123").unwrap();
        let discount = lek(200);
        self.0.activations.push(ActivationFacts {
            id: id(n),
            group: GROUP,
            caller,
            member: caller,
            list: net.checked_add(discount).unwrap(),
            discount,
            net,
            month: month(),
            held_at: at(),
        });
        for entry in hold_entries(GROUP, month(), net, discount) {
            self.transfer(TransferKind::Pending, entry, Some(id(n)));
        }
        let row = i64::try_from(self.0.outbox.len()).unwrap() + 1;
        let sms = OutboxKind::Sms { recipient: caller, audience: Audience::Own, has_text: false };
        self.0.outbox.push(OutboxFacts { id: row, activation: id(n), kind: OutboxKind::Order });
        self.0.outbox.push(OutboxFacts { id: row + 1, activation: id(n), kind: sms });
    }

    fn settle(&mut self, n: u8, resolution: Resolution) {
        self.0.settlements.push(SettlementFacts { activation: id(n), resolution });
        let own: Vec<Transfer> =
            self.0.transfers.iter().filter(|t| t.activation == Some(id(n))).copied().collect();
        for pending in own {
            let kind = match resolution {
                Resolution::Post => TransferKind::Post(pending.id),
                Resolution::Void => TransferKind::Void(pending.id),
            };
            let id = TransferId(i64::try_from(self.0.transfers.len()).unwrap() + 1);
            self.0.transfers.push(Transfer { id, kind, ..pending });
        }
        for row in self.0.outbox.iter_mut().filter(|row| row.activation == id(n)) {
            if let OutboxKind::Sms { has_text, .. } = &mut row.kind {
                *has_text = true;
            }
        }
    }
}

/// Transfers: 1 grant; 2 to 4 hold and 5 to 7 post activation 1; 8 to 10 hold and 11 to 13 void 2; 14 to 16 hold 3.
fn right() -> Book {
    let mut booker = Booker::new();
    booker.hold(1, lek(900));
    booker.settle(1, Resolution::Post);
    booker.hold(2, lek(1700));
    booker.settle(2, Resolution::Void);
    booker.hold(3, lek(500));
    booker.0
}

fn found(wrong: impl FnOnce(&mut Book)) -> String {
    let mut book = right();
    wrong(&mut book);
    audit(&book).unwrap_err().to_string()
}

#[test]
fn a_right_book() {
    let seen = audit(&right()).unwrap();
    assert_eq!((seen.activations, seen.posted, seen.voided, seen.pending), (3, 1, 1, 1));
    assert_eq!(seen.money_posted, lek(1100));
    assert_eq!(audit(&Book::default()), Ok(Audit::default()));
}

/// Makes a book wrong.
type Wrong = fn(&mut Book);

#[test]
fn the_first_wrong_row_is_named() {
    let cases: [(&str, Wrong); 16] = [
        ("transfers row 5: it differs from the pending transfer 2", |b| b.transfers[4].amount = lek(1)),
        ("transfers row 8: the amount 0", |b| b.transfers[7].amount = Money::ZERO),
        ("transfers row 2: there is no account 77", |b| b.transfers[1].debit = AccountId(77)),
        ("transfers row 2: it moves from limits spent to receivable of group 1", |b| {
            b.transfers[1].debit = AccountId(5);
        }),
        ("transfers row 6: the pending transfer 2 was resolved before", |b| {
            b.transfers[5] = Transfer { id: TransferId(6), ..b.transfers[4] };
        }),
        ("transfers row 5: transfer 99 is not pending", |b| {
            b.transfers[4].kind = TransferKind::Post(TransferId(99));
        }),
        ("transfers row 14: it has no activation", |b| b.transfers[13].activation = None),
        ("transfers row 2: there is no activation", |b| {
            b.activations.remove(0);
        }),
        ("transfers row 1: it grants", |b| b.transfers[0].amount = lek(6501)),
        ("transfers row 17: a second grant", |b| {
            b.transfers.push(Transfer { id: TransferId(17), ..b.transfers[0] });
        }),
        ("accounts row 9: a second account", |b| {
            b.accounts.push(Account { id: AccountId(9), kind: AccountKind::LimitSpent });
        }),
        ("the activation was settled before", |b| b.settlements.push(b.settlements[0])),
        ("of 3 pending transfers 3 are posted and 0 voided", |b| {
            b.settlements[0].resolution = Resolution::Void;
        }),
        ("held in 2026-11, booked in 2026-12", |b| b.activations[2].month = month().next()),
        ("no SMS text after the settlement", |b| {
            if let OutboxKind::Sms { has_text, .. } = &mut b.outbox[1].kind {
                *has_text = false;
            }
        }),
        ("0 orders and 1 SMS in the outbox", |b| {
            b.outbox.remove(4);
        }),
    ];
    for (expected, wrong) in cases {
        let fault = found(wrong);
        assert!(fault.contains(expected), "{expected}\n  {fault}");
    }
}

#[test]
fn an_overdraft_is_found_at_the_row_that_makes_it() {
    let mut booker = Booker::new();
    for n in 0..4 {
        booker.hold(n, lek(1700));
    }
    let fault = audit(&booker.0).unwrap_err();
    assert_eq!((fault.table, fault.row.as_str()), ("transfers", "11"));
    assert!(fault.wrong.contains("overdraws the limit of group 1 in 2026-11 by 300"), "{fault}");
}

proptest! {
    #[test]
    fn balances_balance(nets in proptest::collection::vec((1i64..200_000, 0u8..3), 0..12)) {
        let mut booker = Booker::new();
        let mut left = 650_000;
        for (n, (net, fate)) in (0u8..).zip(nets) {
            if net > left {
                continue;
            }
            booker.hold(n, Money::from_qindarka(net));
            left -= net;
            match fate {
                0 => {}
                1 => booker.settle(n, Resolution::Post),
                _ => {
                    booker.settle(n, Resolution::Void);
                    left += net;
                }
            }
        }
        prop_assert!(audit(&booker.0).is_ok());
        let balances = Balance::of_all(&booker.0.transfers);
        let limit = booker.account(AccountKind::Limit { group: GROUP, month: month() });
        prop_assert_eq!(balances[&limit].left(), Money::from_qindarka(left));
        let sum = |f: fn(&Balance) -> Money| balances.values().map(|b| f(b).qindarka()).sum::<i64>();
        prop_assert_eq!(sum(|b| b.debits_posted), sum(|b| b.credits_posted));
        prop_assert_eq!(sum(|b| b.debits_pending), sum(|b| b.credits_pending));
    }
}
