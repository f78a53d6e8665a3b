//! The worked cases of DOMAIN §3 that are not shown elsewhere.

use super::*;

/// §3.1: net is list less 200, for each of the four, in the ledger as in the offer.
pub(in crate::store) async fn each_package_costs_its_list_price_less_200(database: &dyn Database) {
    let (store, group) = family(database).await;
    let mut left_now = 6500;
    for (n, (list, net)) in [(700, 500), (1100, 900), (1300, 1100), (1900, 1700)].into_iter().enumerate() {
        let n = u16::try_from(n).unwrap();
        assert!(
            matches!(hold(&store, n, list).await, HoldOutcome::Held(Held { net: held, .. }) if held == lek(net))
        );
        post(&store, n).await.unwrap();
        let booked = store.activation(activation_id(n)).await.unwrap().unwrap();
        assert_eq!((booked.list, booked.discount, booked.net), (lek(list), lek(200), lek(net)));
        left_now -= net;
        assert_eq!(left(&store, group).await, lek(left_now), "the net amount counts");
    }
    let line = store.bill(&contract_number(), this_month()).await.unwrap();
    assert_eq!((line.items.len(), line.total.gross), (4, lek(500 + 900 + 1100 + 1700)));
    audited(&store).await;
}

/// §3.1: what costs no more than the discount is not offered, and not booked.
pub(in crate::store) async fn what_costs_no_more_than_the_discount_is_not_offered(database: &dyn Database) {
    let (store, group) = family(database).await;
    let today = date(2026, 11, 22);
    let terms = Terms { lowest_package: lek(100), ..Terms::first() };
    let version = TermsVersion { terms, announced_on: today, effective_on: date(2026, 12, 22) };
    store.add_terms(version, today).await.unwrap();
    for list in [200, 201] {
        let name = format!("Super {list}").parse().unwrap();
        let valid_from = date(2026, 12, 22);
        let package =
            NewPackage { name, list: lek(list), announced_on: today, valid_from, valid_until: None };
        store.add_package(&package, today).await.unwrap();
    }
    let then = at("2026-12-23T10:00:00Z");
    let offers = store.offers(group, then).await.unwrap();
    assert_eq!((offers[0].name.number(), offers[0].net), (201, lek(1)));
    let asked = async |list| {
        let package = package_id(&store, list).await;
        ActivationOrder { package, at: then, ..order(&store, u16::try_from(list).unwrap(), 700).await }
    };
    let none = ActivationOrder { quoted_net: Money::ZERO, ..asked(200).await };
    let refused = store.hold(&none).await.unwrap();
    assert_eq!(refused, HoldOutcome::Refused(Refusal::NotOffered(NotOffered::NotAboveDiscount(lek(200)))));
    let least = ActivationOrder { quoted_net: lek(1), ..asked(201).await };
    assert!(matches!(store.hold(&least).await.unwrap(), HoldOutcome::Held(_)));
    audited(&store).await;
}

/// §3.2: the limit is the group's, whoever leads it and for whomever he buys.
pub(in crate::store) async fn another_leader_has_what_the_group_has_left(database: &dyn Database) {
    let (store, group) = family(database).await;
    for n in 0..3 {
        hold(&store, n, 1900).await;
    }
    store.grant_leader(&contract_number(), member(), "Lider Fiks", &shop(), at(NOW)).await.unwrap();
    let asked = async |n, price| {
        let order = ActivationOrder { caller: member(), member: leader(), ..order(&store, n, price).await };
        store.hold(&order).await.unwrap()
    };
    assert_eq!(asked(3, 1900).await, HoldOutcome::Refused(Refusal::LimitExceeded { left: lek(1400) }));
    assert!(matches!(asked(4, 1100).await, HoldOutcome::Held(_)));
    assert!(matches!(asked(5, 700).await, HoldOutcome::Held(_)));
    assert_eq!(left(&store, group).await, Money::ZERO);
    audited(&store).await;
}

/// §3.4: one total a contract, also where it had two groups in the month, with its items under it, oldest first.
pub(in crate::store) async fn one_total_a_contract_with_its_items(database: &dyn Database) {
    let (store, first) = family(database).await;
    hold(&store, 1, 1100).await;
    let (contract, later) = (contract_number(), at("2026-11-25T10:00:00Z"));
    store.close_group(&contract, later).await.unwrap();
    let second = store.create_group(&contract, later).await.unwrap().id;
    assert_ne!(first, second);
    store.add_member(&contract, leader(), later).await.unwrap();
    store.grant_leader(&contract, leader(), "Lider Fiks", &shop(), later).await.unwrap();
    let own = ActivationOrder { member: leader(), at: later, ..order(&store, 2, 700).await };
    assert!(matches!(store.hold(&own).await.unwrap(), HoldOutcome::Held(_)));
    post(&store, 1).await.unwrap();
    post(&store, 2).await.unwrap();
    let files = store.close_month(this_month(), "A. Clerk", at(MONTH_OVER)).await.unwrap();
    let [line] = files.run.lines.as_slice() else { panic!("{:?}", files.run.lines) };
    assert_eq!((&line.contract, line.total.gross), (&contract, lek(1400)));
    assert_eq!(line.items.iter().map(|item| item.net).collect::<Vec<_>>(), [lek(900), lek(500)]);
    // Read for the one contract it is the same.
    assert_eq!(&store.bill(&contract, this_month()).await.unwrap(), line);
    audited(&store).await;
}

/// §3.3, with a clock that steps back: between two bookings, and between a hold and its settlement. Each has the month that
/// was shown at its confirmation; the order of the ledger is that in which they came to it.
pub(in crate::store) async fn a_clock_steps_back(database: &dyn Database) {
    let (store, group) = family(database).await;
    let (before, after) = ("2026-11-30T22:59:59Z", "2026-11-30T23:00:00Z");
    for (n, moment) in [(1, after), (2, before), (3, after)] {
        let order = ActivationOrder { at: at(moment), ..order(&store, n, 700).await };
        assert!(matches!(store.hold(&order).await.unwrap(), HoldOutcome::Held(_)));
    }
    let settle = async |n, moment| {
        let settled = store.settle(activation_id(n), &Settlement::Post, at(moment), SmsAlphabet::Ucs2).await;
        settled.unwrap()
    };
    // Before its hold, and in the month before.
    settle(1, before).await;
    settle(2, "2026-11-01T00:00:00Z").await;
    settle(3, after).await;
    let (november, december) = (Month::of(at(before)), Month::of(at(after)));
    assert_eq!(store.remaining(group, november).await.unwrap(), lek(6000));
    assert_eq!(store.remaining(group, december).await.unwrap(), lek(5500));
    let reversed = store.reverse(activation_id(3), "mistake", "clerk", at("2026-11-01T00:00:00Z")).await;
    assert!(matches!(reversed, Ok(Reversed::Now(_))), "{reversed:?}");
    assert_eq!(store.remaining(group, december).await.unwrap(), lek(6000));
    let audit = audited(&store).await;
    assert_eq!((audit.months, audit.posted, audit.reversed), (2, 3, 1));
}
