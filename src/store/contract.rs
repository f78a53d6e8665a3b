//! The tests that every backend of the store must pass, written against its API alone. A backend runs [`each_case`] and
//! says how to make an empty database that several stores may open at once.

use super::*;
use crate::klikon::{
    self, Audience, NotOffered, PackageName, Refusal, SmsAlphabet, Standing, Terms, TermsVersion,
};
use crate::ledger::{Audit, LineResult, TransferKind};
use crate::units::{ActivationId, CallId, FixedNumber, GroupId, Money, Month, Msisdn, PackageId};
use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::collections::HashMap;

mod administration;
mod worked;
pub(super) use administration::*;
pub(super) use worked::*;

/// An empty database, alive as long as the value.
pub(super) trait Database: Send + Sync {
    fn settings(&self) -> Settings;
    /// A statement that gets past a trigger, as somebody with all rights could do it.
    fn past_trigger(&self, trigger: &str, statement: &str) -> String;
    /// Whether there is `INSERT OR REPLACE`.
    fn replaces(&self) -> bool;
}

/// Hands the names of all cases to a macro.
macro_rules! each_case {
    ($macro:ident) => {
        $macro! {
            the_first_catalogue,
            standings,
            a_hold_that_is_posted,
            a_hold_that_is_voided,
            own_package_one_sms,
            thirteen_pass_and_the_fourteenth_is_refused,
            five_that_make_the_limit_exactly,
            a_retry_says_exists,
            one_id_tried_at_the_same_time,
            an_id_is_not_reused,
            settled_once,
            a_posted_activation_is_reversed_once,
            a_part_of_the_ledger_is_audited, attempts_are_kept,
            what_changed_in_mid_call,
            months_end_in_winter,
            months_end_in_summer,
            two_race_for_the_last_1100,
            fifty_race_for_the_last_1100,
            a_leader_changes_while_calls_book,
            repeats_within_24_hours,
            call_records,
            groups_and_members,
            administrators_race,
            leaders_with_history,
            pins,
            terms_need_notice,
            prices_need_notice,
            imports,
            the_next_bill,
            a_month_is_closed_once,
            bills_are_acknowledged,
            nothing_slips_into_a_month_that_is_closed,
            no_terms_no_booking,
            outbox_is_at_least_once,
            every_change_leaves_a_row, what_is_not_done_leaves_no_row, money_is_administered_by_name,
            people_are_forgotten_and_money_is_not, ten_thousand_lines_are_imported,
            each_package_costs_its_list_price_less_200, what_costs_no_more_than_the_discount_is_not_offered,
            another_leader_has_what_the_group_has_left, one_total_a_contract_with_its_items, a_clock_steps_back
        }
    };
}
pub(super) use each_case;

const NOW: &str = "2026-11-22T10:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn lek(lek: i32) -> Money {
    Money::from_lek(lek)
}

fn number(text: &str) -> Msisdn {
    Msisdn::parse(text).unwrap()
}

fn contract_number() -> FixedNumber {
    FixedNumber::parse("042250928").unwrap()
}

fn leader() -> Msisdn {
    number("0672000123")
}

fn member() -> Msisdn {
    number("0672123456")
}

fn activation_id(n: u16) -> ActivationId {
    let [a, b] = n.to_be_bytes();
    ActivationId::new(at(NOW), [0, 0, 0, 0, 0, 0, 0, 0, a, b])
}

fn call_id() -> CallId {
    CallId::new(at(NOW), [7; 10])
}

fn shop() -> GrantChannel {
    GrantChannel::Shop { declaration: "D-2026/17".to_owned() }
}

/// A store with the first catalogue and one group: a leader and a member.
async fn family(database: &dyn Database) -> (Store, GroupId) {
    let store = Store::open(&database.settings()).await.unwrap();
    let opened = at("2026-01-01T00:00:00Z");
    store.seed_catalogue(klikon::day_of(opened)).await.unwrap();
    let group = store.create_group(&contract_number(), opened).await.unwrap();
    for number in [leader(), member()] {
        store.add_member(&contract_number(), number, opened).await.unwrap();
    }
    store.grant_leader(&contract_number(), leader(), "Lider Fiks", &shop(), opened).await.unwrap();
    (store, group.id)
}

fn policy() -> klikon::PinPolicy {
    klikon::PinPolicy { tries: 3, lock: SignedDuration::from_mins(30) }
}

/// A try, and whether it locks when it is wrong.
async fn attempt(store: &Store, now: Timestamp) -> PinAttempt {
    store.begin_pin_attempt(leader(), now, &policy()).await.unwrap()
}

/// A leader's PIN: its tries are counted before it is looked at, it is the leadership's own, and it is unlocked by a
/// right one, by an administrator, and by time.
pub(super) async fn pins(database: &dyn Database) {
    let (store, _) = family(database).await;
    let now = at(NOW);
    let contract = contract_number();
    assert_eq!(attempt(&store, now).await, PinAttempt::NoPin);
    assert!(matches!(store.unlock_pin(&contract, now).await, Err(AdminError::NoPin(_))));
    assert!(matches!(store.clear_pin(&contract, now).await, Err(AdminError::NoPin(_))));
    let hash = klikon::PinHash::kept("$argon2id$one".to_owned());
    store.set_pin(&contract, &hash, now).await.unwrap();
    // Many calls at one time have three tries between them.
    let tries = (0..12).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { attempt(&store, now).await })
    });
    let mut begun = Vec::new();
    for tried in tries.collect::<Vec<_>>() {
        match tried.await.unwrap() {
            PinAttempt::Begun { locks_if_wrong, hash: kept, .. } => {
                assert_eq!(kept, hash);
                begun.push(locks_if_wrong);
            }
            other => assert_eq!(other, PinAttempt::Locked),
        }
    }
    begun.sort_unstable();
    assert_eq!(begun, [false, false, true]);
    // Another store sees the lock; time, an administrator and a right PIN take it away.
    let other = Store::open(&database.settings()).await.unwrap();
    assert_eq!(attempt(&other, now + SignedDuration::from_mins(29)).await, PinAttempt::Locked);
    let later = now + SignedDuration::from_mins(30);
    let PinAttempt::Begun { leadership, .. } = attempt(&other, later).await else {
        panic!("not locked any more")
    };
    other.pin_was_right(leadership, &klikon::PinHash::kept("another".to_owned())).await.unwrap();
    assert!(matches!(attempt(&store, later).await, PinAttempt::Begun { locks_if_wrong: false, .. }));
    assert!(
        matches!(attempt(&store, later).await, PinAttempt::Begun { locks_if_wrong: true, .. }),
        "a right one of another PIN forgets nothing"
    );
    assert_eq!(attempt(&store, later).await, PinAttempt::Locked);
    store.unlock_pin(&contract, later).await.unwrap();
    for _ in 0..10 {
        assert!(matches!(attempt(&store, later).await, PinAttempt::Begun { locks_if_wrong: false, .. }));
        store.pin_was_right(leadership, &hash).await.unwrap();
    }
    // It goes with the leadership.
    store.grant_leader(&contract, member(), "Lider Fiks", &shop(), later).await.unwrap();
    assert_eq!(attempt(&store, later).await, PinAttempt::NoPin);
    store.grant_leader(&contract, leader(), "Lider Fiks", &shop(), later).await.unwrap();
    assert_eq!(attempt(&store, later).await, PinAttempt::NoPin);
    store.set_pin(&contract, &hash, later).await.unwrap();
    store.clear_pin(&contract, later).await.unwrap();
    assert_eq!(attempt(&store, later).await, PinAttempt::NoPin);
    store.revoke_leader(&contract, later).await.unwrap();
    assert!(matches!(store.set_pin(&contract, &hash, later).await, Err(AdminError::NoLeaderForPin(_))));
}

async fn package_id(store: &Store, price: i32) -> PackageId {
    let name: PackageName = format!("Super {price}").parse().unwrap();
    store.packages().await.unwrap().into_iter().find(|package| package.name == name).unwrap().id
}

async fn order(store: &Store, n: u16, price: i32) -> ActivationOrder {
    ActivationOrder {
        id: activation_id(n),
        call: call_id(),
        caller: leader(),
        member: member(),
        package: package_id(store, price).await,
        quoted_net: lek(price - 200),
        at: at(NOW),
    }
}

async fn hold(store: &Store, n: u16, price: i32) -> HoldOutcome {
    store.hold(&order(store, n, price).await).await.unwrap()
}

async fn left(store: &Store, group: GroupId) -> Money {
    store.remaining(group, Month::of(at(NOW))).await.unwrap()
}

async fn post(store: &Store, n: u16) -> Result<Settled, SettleError> {
    store.settle(activation_id(n), &Settlement::Post, at(NOW), SmsAlphabet::Ucs2).await
}

async fn void(store: &Store, n: u16) -> Result<Settled, SettleError> {
    let settlement = Settlement::Void { reason: "no such subscriber".to_owned() };
    store.settle(activation_id(n), &settlement, at(NOW), SmsAlphabet::Plain).await
}

async fn reverse(store: &Store, n: u16) -> Result<Reversed, ReverseError> {
    store.reverse(activation_id(n), "the wrong member", "shop 7", at(NOW)).await
}

async fn audited(store: &Store) -> Audit {
    store.audit().await.unwrap()
}

pub(super) async fn the_first_catalogue(database: &dyn Database) {
    let (store, group) = family(database).await;
    assert!(!store.seed_catalogue(date(2026, 11, 22)).await.unwrap());
    let offers = store.offers(group, at(NOW)).await.unwrap();
    let offered: Vec<(u16, Money, bool)> =
        offers.iter().map(|offer| (offer.name.number(), offer.net, offer.fits)).collect();
    assert_eq!(
        offered,
        [(700, lek(500), true), (1100, lek(900), true), (1300, lek(1100), true), (1900, lek(1700), true)]
    );
    assert_eq!(store.packages().await.unwrap().len(), 5, "Super 400 is in the catalogue");
    assert_eq!(left(&store, group).await, lek(6500));
    for n in 0..3 {
        hold(&store, n, 1900).await;
    }
    let offers = store.offers(group, at(NOW)).await.unwrap();
    let fits: Vec<bool> = offers.iter().map(|offer| offer.fits).collect();
    assert_eq!(fits, [true, true, true, false], "1,400 left");
    let small = store.hold(&order(&store, 9, 400).await).await.unwrap();
    assert_eq!(small, HoldOutcome::Refused(Refusal::NotOffered(NotOffered::BelowLowestPackage(lek(700)))));
}

pub(super) async fn standings(database: &dyn Database) {
    let (store, group) = family(database).await;
    let leads = store.member(group, leader()).await.unwrap().unwrap();
    assert_eq!(store.standing(leader()).await.unwrap(), Standing::Leader { group, member: leads.id });
    assert_eq!(store.standing(member()).await.unwrap(), Standing::NotLeader { group });
    assert_eq!(store.standing(number("0691234567")).await.unwrap(), Standing::NotMember);
    assert_eq!(store.member(group, number("0691234567")).await.unwrap(), None);
    store.close_group(&contract_number(), at(NOW)).await.unwrap();
    assert_eq!(store.standing(leader()).await.unwrap(), Standing::GroupClosed { group });
    let refused = hold(&store, 1, 700).await;
    assert_eq!(refused, HoldOutcome::Refused(Refusal::GroupClosed));
}

pub(super) async fn a_hold_that_is_posted(database: &dyn Database) {
    let (store, group) = family(database).await;
    let month = Month::of(at(NOW));
    let held = hold(&store, 1, 1100).await;
    assert_eq!(held, HoldOutcome::Held(Held { group, month, net: lek(900), left: lek(5600) }));
    assert_eq!(left(&store, group).await, lek(5600));
    let due = store.outbox_due(10).await.unwrap();
    let [OutboxRow { id, content: OutboxContent::Order(sent) }] = due.as_slice() else { panic!("{due:?}") };
    assert_eq!((sent.msisdn, sent.package.number(), sent.activation), (member(), 1100, activation_id(1)));
    store.outbox_sent(&[*id], at(NOW)).await.unwrap();
    assert_eq!(store.outbox_due(10).await.unwrap(), [], "no SMS says anything before the settlement");

    let Settled::Now(activation) = post(&store, 1).await.unwrap() else { panic!() };
    assert_eq!(activation.state, ActivationState::Posted);
    assert_eq!(store.activation(activation_id(1)).await.unwrap().unwrap(), activation);
    assert_eq!(left(&store, group).await, lek(5600));
    let sms: Vec<(Msisdn, Audience, bool)> = store
        .outbox_due(10)
        .await
        .unwrap()
        .into_iter()
        .map(|row| match row.content {
            OutboxContent::Sms(sms) => {
                (sms.recipient, sms.audience, sms.text.contains("Super 1100 u aktivizua"))
            }
            OutboxContent::Order(order) => panic!("{order:?}"),
        })
        .collect();
    assert_eq!(sms, [(leader(), Audience::Leader, true), (member(), Audience::Member, true)]);

    let booked = store.transfers_of(activation_id(1)).await.unwrap();
    let rows: Vec<(String, String, Money, bool)> = booked
        .iter()
        .map(|b| {
            let post = matches!(b.transfer.kind, TransferKind::Post(_));
            (
                b.debit_account.kind.label().to_owned(),
                b.credit_account.kind.label().to_owned(),
                b.transfer.amount,
                post,
            )
        })
        .collect();
    let entry =
        |debit: &str, credit: &str, amount, post| (debit.to_owned(), credit.to_owned(), lek(amount), post);
    assert_eq!(
        rows,
        [
            entry("limit", "limit_spent", 900, false),
            entry("receivable", "package_revenue", 900, false),
            entry("discount_given", "package_revenue", 200, false),
            entry("limit", "limit_spent", 900, true),
            entry("receivable", "package_revenue", 900, true),
            entry("discount_given", "package_revenue", 200, true),
        ]
    );
    let audit = audited(&store).await;
    assert_eq!((audit.posted, audit.pending, audit.money_posted), (1, 0, lek(1100)));
}

pub(super) async fn a_hold_that_is_voided(database: &dyn Database) {
    let (store, group) = family(database).await;
    hold(&store, 1, 1900).await;
    assert_eq!(left(&store, group).await, lek(4800));
    let Settled::Now(activation) = void(&store, 1).await.unwrap() else { panic!() };
    assert_eq!(activation.state, ActivationState::Voided { reason: "no such subscriber".to_owned() });
    assert_eq!(left(&store, group).await, lek(6500));
    let due = store.outbox_due(10).await.unwrap();
    assert_eq!(due.len(), 2, "the order is not sent after its answer");
    for row in due {
        let OutboxContent::Sms(sms) = row.content else { panic!() };
        assert!(sms.text.contains("nuk u aktivizua") && sms.text.is_ascii(), "{}", sms.text);
    }
    let audit = audited(&store).await;
    assert_eq!((audit.voided, audit.money_posted), (1, Money::ZERO));
}

pub(super) async fn own_package_one_sms(database: &dyn Database) {
    let (store, _) = family(database).await;
    let own = ActivationOrder { member: leader(), ..order(&store, 1, 700).await };
    assert!(matches!(store.hold(&own).await.unwrap(), HoldOutcome::Held(_)));
    post(&store, 1).await.unwrap();
    let due = store.outbox_due(10).await.unwrap();
    let [OutboxRow { content: OutboxContent::Sms(sms), .. }] = due.as_slice() else { panic!("{due:?}") };
    assert_eq!((sms.recipient, sms.audience), (leader(), Audience::Own));
    audited(&store).await;
}

pub(super) async fn thirteen_pass_and_the_fourteenth_is_refused(database: &dyn Database) {
    let (store, group) = family(database).await;
    for n in 0..13 {
        assert!(matches!(hold(&store, n, 700).await, HoldOutcome::Held(_)), "{n}");
    }
    assert_eq!(left(&store, group).await, Money::ZERO);
    let refused = hold(&store, 13, 700).await;
    assert_eq!(refused, HoldOutcome::Refused(Refusal::LimitExceeded { left: Money::ZERO }));
    assert_eq!(audited(&store).await.activations, 13, "a refusal leaves no trace in the ledger");
}

pub(super) async fn five_that_make_the_limit_exactly(database: &dyn Database) {
    let (store, group) = family(database).await;
    for (n, price) in [1900, 1900, 1900, 1100, 700].into_iter().enumerate() {
        let outcome = hold(&store, u16::try_from(n).unwrap(), price).await;
        assert!(matches!(outcome, HoldOutcome::Held(_)), "{price}");
    }
    assert_eq!(left(&store, group).await, Money::ZERO);
    void(&store, 4).await.unwrap();
    assert!(matches!(hold(&store, 9, 700).await, HoldOutcome::Held(_)), "a rejection frees the limit");
    audited(&store).await;
}

pub(super) async fn a_retry_says_exists(database: &dyn Database) {
    let (store, group) = family(database).await;
    hold(&store, 1, 1100).await;
    let HoldOutcome::Exists(first) = hold(&store, 1, 1100).await else { panic!() };
    assert_eq!(first.state, ActivationState::Pending);
    post(&store, 1).await.unwrap();
    // Next month, and no leader any more: what was booked stays what it was.
    store.revoke_leader(&contract_number(), at("2026-11-30T00:00:00Z")).await.unwrap();
    let late = ActivationOrder { at: at("2026-12-05T00:00:00Z"), ..order(&store, 1, 1100).await };
    let HoldOutcome::Exists(second) = store.hold(&late).await.unwrap() else { panic!() };
    assert_eq!((second.state, second.month), (ActivationState::Posted, Month::of(at(NOW))));
    assert_eq!(left(&store, group).await, lek(5600));
    assert_eq!(audited(&store).await.activations, 1);
}

/// A try that was given up and the one after it may run at the same time: one holds, the others find what it held.
pub(super) async fn one_id_tried_at_the_same_time(database: &dyn Database) {
    let (store, group) = family(database).await;
    let second = Store::open(&database.settings()).await.unwrap();
    let order = order(&store, 1, 1100).await;
    let tries = (0..12).map(|n| {
        let store = if n % 2 == 0 { store.clone() } else { second.clone() };
        tokio::spawn(async move { store.hold(&order).await.unwrap() })
    });
    let (mut held, mut existed) = (0, 0);
    for tried in tries.collect::<Vec<_>>() {
        match tried.await.unwrap() {
            HoldOutcome::Held(_) => held += 1,
            HoldOutcome::Exists(_) => existed += 1,
            HoldOutcome::Refused(refusal) => panic!("{refusal:?}"),
        }
    }
    assert_eq!((held, existed), (1, 11));
    assert_eq!(left(&store, group).await, lek(5600));
    assert_eq!(audited(&store).await.activations, 1);
}

pub(super) async fn an_id_is_not_reused(database: &dyn Database) {
    let (store, _) = family(database).await;
    hold(&store, 1, 1100).await;
    let first = order(&store, 1, 1100).await;
    let others = [
        ActivationOrder { member: leader(), ..first },
        ActivationOrder { quoted_net: lek(1), ..first },
        ActivationOrder { call: CallId::new(at(NOW), [8; 10]), ..first },
        order(&store, 1, 700).await,
    ];
    for other in others {
        let error = store.hold(&other).await.unwrap_err();
        assert!(matches!(error, HoldError::IdReused(id) if id == first.id), "{error}");
    }
    assert_eq!(audited(&store).await.activations, 1);
}

pub(super) async fn settled_once(database: &dyn Database) {
    let (store, group) = family(database).await;
    hold(&store, 1, 1100).await;
    hold(&store, 2, 700).await;
    assert!(matches!(post(&store, 3).await, Err(SettleError::Unknown(id)) if id == activation_id(3)));
    assert!(matches!(post(&store, 1).await, Ok(Settled::Now(_))));
    assert!(matches!(post(&store, 1).await, Ok(Settled::Before(_))));
    assert!(matches!(
        void(&store, 1).await,
        Err(SettleError::Contradicts { settled: "posted", asked: "voided", .. })
    ));
    assert!(matches!(void(&store, 2).await, Ok(Settled::Now(_))));
    assert!(matches!(void(&store, 2).await, Ok(Settled::Before(_))));
    assert!(matches!(post(&store, 2).await, Err(SettleError::Contradicts { .. })));
    assert_eq!(left(&store, group).await, lek(5600));
    let audit = audited(&store).await;
    assert_eq!((audit.posted, audit.voided, audit.pending), (1, 1, 0));
}

pub(super) async fn a_posted_activation_is_reversed_once(database: &dyn Database) {
    let (store, group) = family(database).await;
    for n in 1..=3 {
        hold(&store, n, 1900).await;
    }
    assert!(matches!(reverse(&store, 9).await, Err(ReverseError::Unknown(_))));
    assert!(matches!(reverse(&store, 1).await, Err(ReverseError::NotPosted { state: "pending", .. })));
    post(&store, 1).await.unwrap();
    post(&store, 3).await.unwrap();
    void(&store, 2).await.unwrap();
    assert!(matches!(reverse(&store, 2).await, Err(ReverseError::NotPosted { state: "voided", .. })));
    let silent = store.reverse(activation_id(1), " ", "shop 7", at(NOW)).await;
    assert!(matches!(silent, Err(ReverseError::NoReason)));
    assert_eq!(left(&store, group).await, lek(3100));
    let tries = (0..6).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { reverse(&store, 1).await.unwrap() })
    });
    let (mut now, mut before) = (0, 0);
    for tried in tries.collect::<Vec<_>>() {
        let activation = match tried.await.unwrap() {
            Reversed::Now(activation) => {
                now += 1;
                activation
            }
            Reversed::Before(activation) => {
                before += 1;
                activation
            }
        };
        assert_eq!(activation.state, ActivationState::Reversed { reason: "the wrong member".to_owned() });
    }
    assert_eq!((now, before), (1, 5));
    assert_eq!(left(&store, group).await, lek(4800), "the room is given back once");
    assert!(matches!(post(&store, 1).await, Ok(Settled::Before(_))), "it was posted before");
    assert!(matches!(void(&store, 1).await, Err(SettleError::Contradicts { .. })));
    let bill = store.bill(&contract_number(), Month::of(at(NOW))).await.unwrap();
    assert_eq!((bill.items.len(), bill.total.gross), (1, lek(1700)));
    let booked = store.transfers_of(activation_id(1)).await.unwrap();
    assert_eq!(booked.len(), 9, "held, posted, taken back");
    let audit = audited(&store).await;
    assert_eq!((audit.posted, audit.reversed, audit.money_posted), (2, 1, lek(1900)));
    // The room may be spent again.
    for n in 10..12 {
        assert!(matches!(hold(&store, n, 1900).await, HoldOutcome::Held(_)));
    }
    assert!(matches!(hold(&store, 12, 1900).await, HoldOutcome::Refused(_)));
}

/// The audit of a part looks at that part, and the parts make up the whole.
pub(super) async fn a_part_of_the_ledger_is_audited(database: &dyn Database) {
    let (store, group) = family(database).await;
    let other = FixedNumber::parse("042250929").unwrap();
    let second = store.create_group(&other, at(NOW)).await.unwrap().id;
    store.add_member(&other, number("0692000001"), at(NOW)).await.unwrap();
    store.grant_leader(&other, number("0692000001"), "Lider Fiks", &shop(), at(NOW)).await.unwrap();
    let december = at("2026-12-05T10:00:00Z");
    for (n, caller, moment) in [
        (1, leader(), at(NOW)),
        (2, leader(), at(NOW)),
        (3, leader(), december),
        (4, number("0692000001"), december),
    ] {
        let order = ActivationOrder { caller, member: caller, at: moment, ..order(&store, n, 700).await };
        assert!(matches!(store.hold(&order).await.unwrap(), HoldOutcome::Held(_)));
    }
    let part = |group, month: Option<&str>| {
        let filter = BookFilter { group, month: month.map(|month| month.parse().unwrap()) };
        let store = &store;
        async move {
            let audit = store.verify(filter).await.unwrap();
            (audit.months, audit.activations, audit.transfers)
        }
    };
    assert_eq!(part(None, None).await, (3, 4, 15));
    assert_eq!(part(Some(group), None).await, (2, 3, 11));
    assert_eq!(part(Some(second), None).await, (1, 1, 4));
    assert_eq!(part(None, Some("2026-12")).await, (2, 2, 8));
    assert_eq!(part(Some(group), Some("2026-11")).await, (1, 2, 7));
    assert_eq!(part(Some(second), Some("2026-11")).await, (0, 0, 0));
}

/// A tried booking is on record before it is made, whatever comes of it.
pub(super) async fn attempts_are_kept(database: &dyn Database) {
    let (store, _) = family(database).await;
    let tried = order(&store, 1, 1100).await;
    let refused = ActivationOrder { quoted_net: lek(1), ..order(&store, 2, 700).await };
    let another = ActivationOrder { call: CallId::new(at(NOW), [8; 10]), ..order(&store, 3, 700).await };
    for order in [&tried, &refused, &another] {
        store.record_attempt(order).await.unwrap();
    }
    let later = ActivationOrder { at: at("2026-11-23T10:00:00Z"), ..tried };
    store.record_attempt(&later).await.unwrap();
    let other = ActivationOrder { member: leader(), ..tried };
    assert!(matches!(store.record_attempt(&other).await, Err(HoldError::IdReused(id)) if id == tried.id));
    store.hold(&tried).await.unwrap();
    store.hold(&refused).await.unwrap();
    assert_eq!(store.attempts_of_call(call_id()).await.unwrap(), [tried, refused]);
    assert_eq!(store.attempts_of_call(another.call).await.unwrap(), [another]);
    assert!(store.activation(tried.id).await.unwrap().is_some());
    assert!(store.activation(refused.id).await.unwrap().is_none());
    // Whose attempt a crash of the database has lost has it again with the hold, and a refused one does not.
    let lost_call = CallId::new(at(NOW), [9; 10]);
    let lost = ActivationOrder { call: lost_call, ..order(&store, 4, 700).await };
    store.hold(&ActivationOrder { quoted_net: lek(1), ..lost }).await.unwrap();
    assert_eq!(store.attempts_of_call(lost_call).await.unwrap(), []);
    store.hold(&lost).await.unwrap();
    assert_eq!(store.attempts_of_call(lost_call).await.unwrap(), [lost]);
    audited(&store).await;
}

pub(super) async fn what_changed_in_mid_call(database: &dyn Database) {
    let (store, group) = family(database).await;
    let contract = contract_number();
    let refused = |outcome| match outcome {
        HoldOutcome::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    let changed = ActivationOrder { quoted_net: lek(899), ..order(&store, 1, 1100).await };
    assert_eq!(refused(store.hold(&changed).await.unwrap()), Refusal::PriceChanged { net: lek(900) });
    let stranger = ActivationOrder { member: number("0691234567"), ..changed };
    assert_eq!(refused(store.hold(&stranger).await.unwrap()), Refusal::NotMember);
    let unknown =
        ActivationOrder { package: PackageId(999), quoted_net: lek(900), ..order(&store, 1, 1100).await };
    assert_eq!(refused(store.hold(&unknown).await.unwrap()), Refusal::NotOffered(NotOffered::Unknown));
    store
        .retire_package("Super 1900".parse().unwrap(), date(2026, 11, 22), date(2026, 11, 22))
        .await
        .unwrap();
    assert_eq!(
        refused(hold(&store, 1, 1900).await),
        Refusal::NotOffered(NotOffered::NoLongerSold(date(2026, 11, 22)))
    );
    store.grant_leader(&contract, member(), "Lider Fiks", &GrantChannel::Online, at(NOW)).await.unwrap();
    assert_eq!(refused(hold(&store, 1, 1100).await), Refusal::NotLeader);
    store.remove_member(&contract, leader(), at(NOW)).await.unwrap();
    assert_eq!(refused(hold(&store, 1, 1100).await), Refusal::CallerNotMember);
    let of_the_removed =
        ActivationOrder { caller: member(), member: leader(), ..order(&store, 1, 1100).await };
    assert_eq!(refused(store.hold(&of_the_removed).await.unwrap()), Refusal::NotMember);
    assert_eq!(left(&store, group).await, lek(6500));
    assert_eq!(audited(&store).await.activations, 0);
}

async fn month_end(database: &dyn Database, last: &str, first: &str, months: [&str; 2]) {
    let (store, group) = family(database).await;
    for (n, moment) in [last, first].into_iter().enumerate() {
        let n = u16::try_from(n).unwrap();
        let order = ActivationOrder { at: at(moment), ..order(&store, n, 1900).await };
        let HoldOutcome::Held(held) = store.hold(&order).await.unwrap() else { panic!() };
        assert_eq!((held.month.to_string().as_str(), held.left), (months[usize::from(n)], lek(4800)));
    }
    // Completed after midnight, it stays in the month it was held in.
    let settled = at(first) + SignedDuration::from_secs(60);
    for n in 0..2 {
        store.settle(activation_id(n), &Settlement::Post, settled, SmsAlphabet::Ucs2).await.unwrap();
    }
    for month in months.map(|month| month.parse().unwrap()) {
        assert_eq!(store.remaining(group, month).await.unwrap(), lek(4800));
        assert_eq!(store.bill(&contract_number(), month).await.unwrap().total.gross, lek(1700));
    }
    audited(&store).await;
}

pub(super) async fn months_end_in_winter(database: &dyn Database) {
    month_end(database, "2026-11-30T22:59:59.999Z", "2026-11-30T23:00:00Z", ["2026-11", "2026-12"]).await;
}

pub(super) async fn months_end_in_summer(database: &dyn Database) {
    month_end(database, "2026-06-30T21:59:59.999Z", "2026-06-30T22:00:00Z", ["2026-06", "2026-07"]).await;
}

/// Lets tasks on two stores over one database race for the last 1,100 Lek, all asking for Super 1300.
async fn race(database: &dyn Database, tasks: u16) {
    let (store, group) = family(database).await;
    for (n, price) in [1900, 1900, 1300, 1100].into_iter().enumerate() {
        hold(&store, u16::try_from(n).unwrap(), price).await;
    }
    assert_eq!(left(&store, group).await, lek(1100));
    let second = Store::open(&database.settings()).await.unwrap();
    let mut running = Vec::new();
    for n in 0..tasks {
        let store = if n.is_multiple_of(2) { store.clone() } else { second.clone() };
        let order = order(&store, 100 + n, 1300).await;
        running.push(tokio::spawn(async move { store.hold(&order).await.unwrap() }));
    }
    let (mut held, mut refused) = (0, 0);
    for task in running {
        match task.await.unwrap() {
            HoldOutcome::Held(Held { left, .. }) => {
                assert_eq!(left, Money::ZERO);
                held += 1;
            }
            HoldOutcome::Refused(Refusal::LimitExceeded { left }) => {
                assert_eq!(left, Money::ZERO);
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((held, refused), (1, tasks - 1));
    assert_eq!(left(&second, group).await, Money::ZERO);
    assert_eq!(audited(&second).await.activations, 5);
}

pub(super) async fn two_race_for_the_last_1100(database: &dyn Database) {
    race(database, 2).await;
}

pub(super) async fn fifty_race_for_the_last_1100(database: &dyn Database) {
    race(database, 50).await;
}

/// The leader's right holds at the commit: of the calls that book while it is taken away, those that come first are held
/// and the others refused, and none is held after.
pub(super) async fn a_leader_changes_while_calls_book(database: &dyn Database) {
    let (store, _) = family(database).await;
    let mut running = Vec::new();
    for n in 0..8 {
        let (store, order) = (store.clone(), order(&store, n, 700).await);
        running.push(tokio::spawn(async move { store.hold(&order).await.unwrap() }));
    }
    store.revoke_leader(&contract_number(), at(NOW)).await.unwrap();
    let held_by_then = store.activations(BookFilter::default()).await.unwrap().len();
    let mut held = 0;
    for task in running {
        match task.await.unwrap() {
            HoldOutcome::Held(_) => held += 1,
            other => assert_eq!(other, HoldOutcome::Refused(Refusal::NotLeader)),
        }
    }
    assert_eq!(held, held_by_then, "none was held after the revocation");
    audited(&store).await;
}

/// Bookings that race for one group's limit, each for a Super 700.
pub(super) const RACERS: u16 = 200;
/// How many of them fit: 13 × 500 = 6,500.
pub(super) const FIT: usize = 13;

/// The order of one of [`RACERS`].
pub(super) async fn racer(store: &Store, n: u16) -> ActivationOrder {
    order(store, n, 700).await
}

/// A store with one group, as everything here has it.
pub(super) async fn store_of_a_family(database: &dyn Database) -> (Store, GroupId) {
    family(database).await
}

pub(super) async fn repeats_within_24_hours(database: &dyn Database) {
    let (store, _) = family(database).await;
    let package = package_id(&store, 700).await;
    let since = |now: &str| klikon::repeat_window_start(at(now));
    assert!(!store.booked_since(member(), package, since(NOW)).await.unwrap());
    hold(&store, 1, 700).await;
    assert!(store.booked_since(member(), package, since("2026-11-23T09:59:59Z")).await.unwrap());
    assert!(!store.booked_since(member(), package, since("2026-11-23T10:00:00Z")).await.unwrap());
    assert!(!store.booked_since(leader(), package, since(NOW)).await.unwrap());
    let other = package_id(&store, 1100).await;
    assert!(!store.booked_since(member(), other, since(NOW)).await.unwrap());
    void(&store, 1).await.unwrap();
    assert!(!store.booked_since(member(), package, since(NOW)).await.unwrap(), "it was rejected");
}

pub(super) async fn call_records(database: &dyn Database) {
    let (store, _) = family(database).await;
    hold(&store, 1, 700).await;
    let record = CallRecord {
        id: call_id(),
        sip_call_id: "a84b4c76e66710@pc33".to_owned(),
        caller: Some(leader().e164()),
        called: "130".to_owned(),
        received_at: at("2026-11-22T09:59:00Z"),
        answered_at: Some(at("2026-11-22T09:59:00.250Z")),
        ended_at: at(NOW),
        end: CallEnd::Goodbye,
        reason: Some("Q.850;cause=16".to_owned()),
        outcome: "activated".to_owned(),
        nodes: vec!["welcome".to_owned(), "confirm".to_owned()],
        free_of_charge: true,
        media: Some(MediaQuality {
            encoding: "PCMA".to_owned(),
            heard: StreamQuality {
                packets: 1_000,
                lost: Some(3),
                jitter_ms: Some(4),
                mean_opinion_score: Some("4.38".parse().unwrap()),
            },
            far: StreamQuality { packets: 900, lost: None, jitter_ms: None, mean_opinion_score: None },
            round_trip_ms: Some(71),
        }),
        origin: Origin {
            peer: Some("core".to_owned()),
            user: Some("lider".to_owned()),
            charging_id: Some("1234bc9876e".to_owned()),
            routing_number: Some("+35569".to_owned()),
            stated: vec![StatedField { name: "Diversion".to_owned(), value: "<sip:a@x>, \"ë\"".to_owned() }],
        },
    };
    store.record_call(&record).await.unwrap();
    store.record_call(&CallRecord { outcome: "other".to_owned(), ..record.clone() }).await.unwrap();
    assert_eq!(store.call(record.id).await.unwrap(), Some(record.clone()));
    assert_eq!(store.calls(None, 10).await.unwrap(), std::slice::from_ref(&record));
    let activations = store.activations_of_call(record.id).await.unwrap();
    assert_eq!(activations.iter().map(|v| v.id).collect::<Vec<_>>(), [activation_id(1)]);
    let anonymous =
        CallRecord { id: CallId::new(at(NOW), [9; 10]), caller: None, answered_at: None, ..record.clone() };
    store.record_call(&anonymous).await.unwrap();
    assert_eq!(store.call(anonymous.id).await.unwrap(), Some(anonymous));
    let plain = CallRecord {
        id: CallId::new(at(NOW), [8; 10]),
        sip_call_id: "other@pc33".to_owned(),
        origin: Origin::default(),
        reason: None,
        media: None,
        ..record.clone()
    };
    store.record_call(&plain).await.unwrap();
    assert_eq!(store.call(plain.id).await.unwrap().as_ref(), Some(&plain));
    let of_leader = store.calls(Some(&leader().e164()), 10).await.unwrap();
    assert_eq!(of_leader.iter().map(|call| call.id).collect::<Vec<_>>(), [plain.id, record.id]);
    assert_eq!(store.calls(Some(&member().e164()), 10).await.unwrap(), []);
    assert_eq!(store.calls(None, 1).await.unwrap().len(), 1);
    for name in [&record.id.to_string(), "a84b4c76e66710@pc33", "1234bc9876e"] {
        assert!(store.calls_named(name, 10).await.unwrap().contains(&record), "{name}");
    }
    assert_eq!(store.calls_named("other@pc33", 10).await.unwrap(), [plain]);
    assert_eq!(store.calls_named("a84b4c76e6671_@pc33", 10).await.unwrap(), [], "a name is no pattern");
}

pub(super) async fn groups_and_members(database: &dyn Database) {
    let (store, group) = family(database).await;
    let (contract, now) = (contract_number(), at(NOW));
    let other = FixedNumber::parse("042250929").unwrap();
    assert!(matches!(store.create_group(&contract, now).await, Err(AdminError::GroupExists(_))));
    assert!(matches!(store.add_member(&other, member(), now).await, Err(AdminError::NoGroup(_))));
    store.create_group(&other, now).await.unwrap();
    let error = store.add_member(&other, member(), now).await.unwrap_err();
    assert!(matches!(&error, AdminError::AlreadyMember { contract: c, .. } if *c == contract), "{error}");
    for n in ["0692000001", "0692000002"] {
        store.add_member(&contract, number(n), now).await.unwrap();
    }
    let error = store.add_member(&contract, number("0692000003"), now).await.unwrap_err();
    assert!(matches!(error, AdminError::GroupFull { members_max: 4, .. }), "{error}");
    store.remove_member(&contract, number("0692000002"), now).await.unwrap();
    store.add_member(&contract, number("0692000003"), now).await.unwrap();
    let early = at("2025-01-01T00:00:00Z");
    assert!(matches!(store.remove_member(&contract, member(), early).await, Err(AdminError::ClockBehind)));
    // Who stayed in a closed group may join another.
    store.close_group(&contract, now).await.unwrap();
    assert!(matches!(store.close_group(&contract, now).await, Err(AdminError::NoGroup(_))));
    store.add_member(&other, member(), now).await.unwrap();
    assert!(
        matches!(store.standing(member()).await.unwrap(), Standing::NotLeader { group: g } if g != group)
    );
    assert_eq!(store.groups().await.unwrap().len(), 2);
    assert_eq!(store.members(group).await.unwrap().iter().filter(|m| m.left_at.is_some()).count(), 2);
}

/// Two administrators at a time: the group never has more members than the terms allow, nor two leaders, and a contract
/// never two groups.
pub(super) async fn administrators_race(database: &dyn Database) {
    let (store, group) = family(database).await;
    let second = Store::open(&database.settings()).await.unwrap();
    let other = FixedNumber::parse("042250929").unwrap();
    let mut running = Vec::new();
    for n in 0..6 {
        let store = if n % 2 == 0 { store.clone() } else { second.clone() };
        let other = other.clone();
        running.push(tokio::spawn(async move {
            let joins = number(&format!("069200000{n}"));
            let created = store.create_group(&other, at(NOW)).await.is_ok();
            let joined = store.add_member(&contract_number(), joins, at(NOW)).await;
            assert!(matches!(joined, Ok(_) | Err(AdminError::GroupFull { .. })), "{joined:?}");
            let granted =
                store.grant_leader(&contract_number(), member(), "Lider Fiks", &shop(), at(NOW)).await;
            assert!(matches!(granted, Ok(()) | Err(AdminError::LeaderAlready { .. })), "{granted:?}");
            (created, joined.is_ok(), granted.is_ok())
        }));
    }
    let (mut created, mut joined, mut granted) = (0, 0, 0);
    for task in running {
        let (group, member, leader) = task.await.unwrap();
        created += u8::from(group);
        joined += u8::from(member);
        granted += u8::from(leader);
    }
    assert_eq!((created, joined, granted), (1, 2, 1));
    assert_eq!(store.members(group).await.unwrap().len(), 4);
    assert_eq!(store.leaders(group).await.unwrap().len(), 2);
}

pub(super) async fn leaders_with_history(database: &dyn Database) {
    let (store, group) = family(database).await;
    let (contract, now) = (contract_number(), at(NOW));
    let grant = |number, channel: GrantChannel| {
        let (store, contract) = (store.clone(), contract.clone());
        async move { store.grant_leader(&contract, number, "Lider Fiks", &channel, now).await }
    };
    assert!(matches!(grant(leader(), shop()).await, Err(AdminError::LeaderAlready { .. })));
    assert!(matches!(grant(number("0691234567"), shop()).await, Err(AdminError::NotMember { .. })));
    grant(member(), GrantChannel::Online).await.unwrap();
    let history = store.leaders(group).await.unwrap();
    let [first, second] = history.as_slice() else { panic!("{history:?}") };
    assert_eq!((first.msisdn, first.until, &first.channel), (leader(), Some(now), &shop()));
    assert_eq!((second.msisdn, second.since, second.until), (member(), now, None));
    store.remove_member(&contract, member(), now).await.unwrap();
    assert!(matches!(store.revoke_leader(&contract, now).await, Err(AdminError::NoLeader(_))));
    assert_eq!(store.standing(leader()).await.unwrap(), Standing::NotLeader { group });
}

pub(super) async fn terms_need_notice(database: &dyn Database) {
    let (store, group) = family(database).await;
    let today = date(2026, 11, 22);
    let first = store.terms().await.unwrap()[0];
    let terms = Terms { discount: lek(300), limit: lek(8000), ..first.terms };
    let soon = TermsVersion { terms, announced_on: today, effective_on: date(2026, 12, 21) };
    assert!(matches!(store.add_terms(soon, today).await, Err(AdminError::Notice(_))));
    let version = TermsVersion { effective_on: date(2026, 12, 22), ..soon };
    store.add_terms(version, today).await.unwrap();
    assert_eq!(store.terms().await.unwrap(), [first, version]);
    // From the day on, the old price is refused and the new one is offered; the month's limit changes with the month.
    let before = ActivationOrder { at: at("2026-12-21T22:59:59Z"), ..order(&store, 1, 700).await };
    assert!(
        matches!(store.hold(&before).await.unwrap(), HoldOutcome::Held(Held { left, .. }) if left == lek(6000))
    );
    let after = ActivationOrder { at: at("2026-12-21T23:00:00Z"), ..order(&store, 2, 700).await };
    assert_eq!(
        store.hold(&after).await.unwrap(),
        HoldOutcome::Refused(Refusal::PriceChanged { net: lek(400) })
    );
    assert_eq!(store.offers(group, after.at).await.unwrap()[0].net, lek(400));
    assert_eq!(store.remaining(group, "2027-01".parse().unwrap()).await.unwrap(), lek(8000));
    let january = ActivationOrder { at: at("2027-01-10T00:00:00Z"), quoted_net: lek(400), ..after };
    assert!(
        matches!(store.hold(&january).await.unwrap(), HoldOutcome::Held(Held { left, .. }) if left == lek(7600))
    );
    audited(&store).await;
}

pub(super) async fn prices_need_notice(database: &dyn Database) {
    let (store, group) = family(database).await;
    let today = date(2026, 11, 22);
    let name: PackageName = "Super 1100".parse().unwrap();
    let new = NewPackage {
        name,
        list: lek(1150),
        announced_on: today,
        valid_from: date(2027, 1, 1),
        valid_until: None,
    };
    assert!(matches!(store.add_package(&new, today).await, Err(AdminError::PackageOverlap { .. })));
    let yesterday = date(2026, 11, 21);
    assert!(matches!(store.retire_package(name, yesterday, today).await, Err(AdminError::InThePast { .. })));
    store.retire_package(name, date(2027, 1, 1), today).await.unwrap();
    assert!(matches!(
        store.retire_package(name, date(2027, 1, 1), today).await,
        Err(AdminError::NoPackage(_))
    ));
    let late_notice = NewPackage { announced_on: date(2026, 12, 3), ..new };
    assert!(matches!(
        store.add_package(&late_notice, date(2026, 12, 3)).await,
        Err(AdminError::Notice(klikon::NoticeError::TooShort { .. }))
    ));
    store.add_package(&new, today).await.unwrap();
    let net = |offers: Vec<Offer>| offers.into_iter().find(|offer| offer.name == name).unwrap().net;
    assert_eq!(net(store.offers(group, at("2026-12-31T22:59:59Z")).await.unwrap()), lek(900));
    assert_eq!(net(store.offers(group, at("2026-12-31T23:00:00Z")).await.unwrap()), lek(950));
    // A package of another name changes nothing for anybody.
    let fresh = NewPackage {
        name: "Super 1500".parse().unwrap(),
        list: lek(1500),
        announced_on: today,
        valid_from: today,
        valid_until: Some(today),
    };
    assert!(matches!(store.add_package(&fresh, today).await, Err(AdminError::EndsBeforeItBegins { .. })));
    store.add_package(&NewPackage { valid_until: None, ..fresh }, today).await.unwrap();
    assert_eq!(store.offers(group, at(NOW)).await.unwrap().len(), 5);
}

pub(super) async fn imports(database: &dyn Database) {
    let (store, _) = family(database).await;
    let contract = FixedNumber::parse("042250930").unwrap();
    let row = |text: &str, leads: bool| ImportRow::Member {
        contract: contract.clone(),
        msisdn: number(text),
        leader: leads.then(|| ("Lider Fiks".to_owned(), GrantChannel::Online)),
    };
    let good = [row("0692000001", true), row("0692000002", false)];
    let done = store.import(&good, at(NOW), true).await.unwrap().unwrap();
    assert_eq!(done.len(), 2);
    assert_eq!(store.group(&contract).await.unwrap(), None, "a dry run keeps nothing");
    let bad = [row("0692000001", true), row("0672123456", false), row("0692000001", false)];
    let errors = store.import(&bad, at(NOW), false).await.unwrap().unwrap_err();
    assert_eq!(errors.iter().map(|error| error.row).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(store.group(&contract).await.unwrap(), None, "all or nothing");
    store.import(&good, at(NOW), false).await.unwrap().unwrap();
    let group = store.group(&contract).await.unwrap().unwrap();
    assert!(matches!(store.standing(number("0692000001")).await.unwrap(),
        Standing::Leader { group: g, .. } if g == group.id));
}

pub(super) async fn the_next_bill(database: &dyn Database) {
    let (store, _) = family(database).await;
    for (n, price) in [(1, 1100), (2, 700), (3, 1900), (4, 1300)] {
        hold(&store, n, price).await;
    }
    post(&store, 1).await.unwrap();
    post(&store, 2).await.unwrap();
    void(&store, 3).await.unwrap();
    let bill = store.bill(&contract_number(), Month::of(at(NOW))).await.unwrap();
    assert_eq!(bill.items.len(), 2, "neither the rejected one nor the one still held");
    assert_eq!(bill.total.gross, lek(1400));
    assert_eq!(bill.total.vat.qindarka(), 23_333);
    let other_month = store.bill(&contract_number(), "2026-12".parse().unwrap()).await.unwrap();
    assert_eq!((other_month.items.len(), other_month.total.gross), (0, Money::ZERO));
}

/// The day after the month of [`NOW`].
const MONTH_OVER: &str = "2026-12-01T09:00:00Z";

fn this_month() -> Month {
    Month::of(at(NOW))
}

pub(super) async fn a_month_is_closed_once(database: &dyn Database) {
    let (store, _) = family(database).await;
    for (n, price) in [(1, 1100), (2, 700)] {
        hold(&store, n, price).await;
    }
    post(&store, 1).await.unwrap();
    let close = async |when: &str| store.close_month(this_month(), "A. Clerk", at(when)).await;
    // Its last quarter of an hour is not booked yet.
    let early = close("2026-11-30T23:14:59Z").await;
    assert!(matches!(early, Err(CloseError::NotOver { .. })), "{early:?}");
    let Err(CloseError::Unresolved(pending)) = close(MONTH_OVER).await else { panic!("one is pending") };
    assert_eq!(pending.iter().map(|activation| activation.id).collect::<Vec<_>>(), [activation_id(2)]);
    assert_eq!(store.bill_run(this_month()).await.unwrap(), None);
    post(&store, 2).await.unwrap();
    let files = close(MONTH_OVER).await.unwrap();
    assert_eq!((files.run.sequence, files.run.lines.len()), (1, 1));
    assert_eq!(files.run.totals().unwrap().gross, lek(900 + 500));
    let closed = store.closed_months().await.unwrap();
    assert_eq!((closed[0].month, &*closed[0].closed_by), (this_month(), "A. Clerk"));
    assert_eq!((&closed[0].csv_sha256, &closed[0].json_sha256), (&files.csv_sha256, &files.json_sha256));
    assert_eq!(store.bill_run(this_month()).await.unwrap(), Some(files), "the same octets again");
    let again = close(MONTH_OVER).await;
    assert!(matches!(&again, Err(CloseError::ClosedAlready(month)) if *month == closed[0]), "{again:?}");
    let late = store.hold(&order(&store, 3, 700).await).await;
    assert!(matches!(late, Err(HoldError::MonthClosed(month)) if month == this_month()), "{late:?}");
    // A later month has the next number, and an empty one too.
    let files = store.close_month(this_month().next(), "B. Clerk", at("2027-01-02T09:00:00Z")).await.unwrap();
    assert_eq!((files.run.sequence, files.run.lines.len()), (2, 0));
}

pub(super) async fn bills_are_acknowledged(database: &dyn Database) {
    let (store, _) = family(database).await;
    hold(&store, 1, 1100).await;
    post(&store, 1).await.unwrap();
    let files = store.close_month(this_month(), "A. Clerk", at(MONTH_OVER)).await.unwrap();
    let read = |result: &str| {
        let file = format!("sequence,contract,result,reason\n1,042250928,{result}\n");
        files.run.acknowledged(file.as_bytes()).unwrap()
    };
    let keep = async |result: &str| {
        store.acknowledge_bills(this_month(), &read(result), at(MONTH_OVER)).await.unwrap()
    };
    assert_eq!(keep("rejected,no such account").await, 1);
    assert_eq!(keep("rejected,no such account").await, 0, "said already");
    assert_eq!(keep("accepted,").await, 1);
    let known = store.bill_acknowledgements(this_month()).await.unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [(contract_number(), LineResult::Accepted)]);
}

/// Callers confirm while the month is closed: each is booked and keeps the month open, or is told that it is closed.
pub(super) async fn nothing_slips_into_a_month_that_is_closed(database: &dyn Database) {
    let (store, group) = family(database).await;
    let other = Store::open(&database.settings()).await.unwrap();
    let mut tries = tokio::task::JoinSet::new();
    for n in 0..8 {
        let order = order(&store, n, 700).await;
        let store = if n % 2 == 0 { store.clone() } else { other.clone() };
        tries.spawn(async move { store.hold(&order).await });
    }
    let closed = other.close_month(this_month(), "A. Clerk", at(MONTH_OVER)).await;
    let held: Vec<_> = tries.join_all().await;
    let booked = held.iter().filter(|outcome| matches!(outcome, Ok(HoldOutcome::Held(_)))).count();
    let refused = held.iter().filter(|outcome| matches!(outcome, Err(HoldError::MonthClosed(_)))).count();
    assert_eq!(booked + refused, 8, "{held:?}");
    let filter = BookFilter { group: Some(group), month: Some(this_month()) };
    assert_eq!(store.activations(filter).await.unwrap().len(), booked);
    match closed {
        Ok(files) => assert_eq!((booked, files.run.lines.len()), (0, 0)),
        Err(CloseError::Unresolved(pending)) => assert!(!pending.is_empty() && pending.len() <= booked),
        Err(error) => panic!("{error}"),
    }
}

pub(super) async fn no_terms_no_booking(database: &dyn Database) {
    let store = Store::open(&database.settings()).await.unwrap();
    store.create_group(&contract_number(), at(NOW)).await.unwrap();
    let error = store.add_member(&contract_number(), member(), at(NOW)).await.unwrap_err();
    assert!(matches!(error, AdminError::Store(StoreError::NoTerms)));
    let order = ActivationOrder {
        id: activation_id(1),
        call: call_id(),
        caller: leader(),
        member: member(),
        package: PackageId(1),
        quoted_net: lek(900),
        at: at(NOW),
    };
    assert!(matches!(store.hold(&order).await, Err(HoldError::Store(StoreError::NoTerms))));
}

pub(super) async fn outbox_is_at_least_once(database: &dyn Database) {
    let (store, _) = family(database).await;
    for n in 0..3 {
        hold(&store, n, 700).await;
    }
    let first = store.outbox_due(2).await.unwrap();
    assert_eq!(first.len(), 2);
    assert_eq!(store.outbox_due(2).await.unwrap(), first, "due until it is marked");
    for row in &first {
        store.outbox_sent(&[row.id], at(NOW)).await.unwrap();
        store.outbox_sent(&[row.id], at(NOW)).await.unwrap();
    }
    let rest = store.outbox_due(10).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert!(rest[0].id > first[1].id);
}

/// What a test does to the ledger.
#[derive(Debug, Clone, Copy)]
enum Step {
    Hold { id: u16, price: i32 },
    Post { id: u16 },
    Void { id: u16 },
    Reverse { id: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    let price = prop_oneof![Just(400), Just(700), Just(1100), Just(1300), Just(1900)];
    prop_oneof![
        3 => (0u16..24, price).prop_map(|(id, price)| Step::Hold { id, price }),
        1 => (0u16..24).prop_map(|id| Step::Post { id }),
        1 => (0u16..24).prop_map(|id| Step::Void { id }),
        1 => (0u16..24).prop_map(|id| Step::Reverse { id }),
    ]
}

/// Sequences of holds, posts and voids leave what a table of ids, prices and states says they leave.
pub(super) fn a_plain_model_agrees<D: Database>(make: impl Fn() -> D) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let steps = proptest::collection::vec(step(), 1..40);
    let config = ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in steps)| {
        let database = make();
        runtime.block_on(async {
            let (store, group) = family(&database).await;
            let mut model: HashMap<u16, (i32, &'static str)> = HashMap::new();
            for step in steps {
                play(&store, step, &mut model).await;
                let spent: i32 = model.values().filter(|(_, s)| !matches!(*s, "voided" | "reversed")).map(|(net, _)| net).sum();
                assert_eq!(left(&store, group).await, lek(6500 - spent));
            }
            let audit = audited(&store).await;
            let count = |state| model.values().filter(|(_, s)| *s == state).count() as u64;
            assert_eq!(
                (audit.pending, audit.posted, audit.voided, audit.reversed),
                (count("pending"), count("posted") + count("reversed"), count("voided"), count("reversed"))
            );
            store.close().await;
        });
    });
}

/// Plays one step on the store and on the model, and compares the answers.
async fn play(store: &Store, step: Step, model: &mut HashMap<u16, (i32, &'static str)>) {
    match step {
        Step::Hold { id, price } => {
            let net = price - 200;
            let spent: i32 = model
                .values()
                .filter(|(_, s)| !matches!(*s, "voided" | "reversed"))
                .map(|(net, _)| net)
                .sum();
            let outcome = store.hold(&order(store, id, price).await).await;
            match model.get(&id) {
                Some((booked, state)) if *booked == net => {
                    assert!(matches!(outcome, Ok(HoldOutcome::Exists(v)) if v.state.label() == *state));
                }
                Some(_) => assert!(matches!(outcome, Err(HoldError::IdReused(_)))),
                None if price < 700 => {
                    assert!(matches!(outcome, Ok(HoldOutcome::Refused(Refusal::NotOffered(_)))));
                }
                None if spent + net > 6500 => {
                    assert!(matches!(outcome, Ok(HoldOutcome::Refused(Refusal::LimitExceeded { .. }))));
                }
                None => {
                    assert!(matches!(outcome, Ok(HoldOutcome::Held(_))));
                    model.insert(id, (net, "pending"));
                }
            }
        }
        Step::Reverse { id } => {
            let outcome = reverse(store, id).await;
            match model.get_mut(&id) {
                None => assert!(matches!(outcome, Err(ReverseError::Unknown(_)))),
                Some((_, state)) if *state == "posted" => {
                    assert!(matches!(outcome, Ok(Reversed::Now(_))));
                    *state = "reversed";
                }
                Some((_, "reversed")) => assert!(matches!(outcome, Ok(Reversed::Before(_)))),
                Some(_) => assert!(matches!(outcome, Err(ReverseError::NotPosted { .. }))),
            }
        }
        Step::Post { id } | Step::Void { id } => {
            let (asked, outcome) = match step {
                Step::Post { .. } => ("posted", post(store, id).await),
                _ => ("voided", void(store, id).await),
            };
            match model.get_mut(&id) {
                None => assert!(matches!(outcome, Err(SettleError::Unknown(_)))),
                Some((_, state)) if *state == "pending" => {
                    assert!(matches!(outcome, Ok(Settled::Now(_))));
                    *state = asked;
                }
                Some((_, state)) if *state == asked => assert!(matches!(outcome, Ok(Settled::Before(_)))),
                Some((_, "reversed")) if asked == "posted" => {
                    assert!(matches!(outcome, Ok(Settled::Before(_))))
                }
                Some(_) => assert!(matches!(outcome, Err(SettleError::Contradicts { .. }))),
            }
        }
    }
}
