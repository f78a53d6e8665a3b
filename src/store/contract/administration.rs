//! Administration: who changed what, when and why.

use super::*;

fn clerk(reason: Option<&str>) -> Actor {
    Actor::new("A. Clerk", reason, at(NOW)).unwrap()
}

/// The rows of the trail: what was done, about which, before and after.
async fn trail(store: &Store) -> Vec<(&'static str, String, String, String)> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let changes = store.history(&HistoryFilter::default(), 100).await.unwrap();
    changes
        .iter()
        .map(|change| {
            (change.kind.label(), change.subject.clone(), text(&change.before), text(&change.after))
        })
        .collect()
}

/// Every change leaves a row with actor, moment and reason, in its own transaction; what is refused leaves none.
pub(in crate::store) async fn every_change_leaves_a_row(database: &dyn Database) {
    let (store, _) = family(database).await;
    let before = store.history(&HistoryFilter::default(), 100).await.unwrap();
    assert_eq!(before.len(), 10, "terms, five packages, a group, two members, a leader: {before:?}");
    assert!(before.iter().all(|change| change.actor == "klikon" && change.reason.is_none()));
    let store = store.acting_as(clerk(Some("order 17")));
    let (contract, now) = (contract_number(), at(NOW));
    let hash = klikon::PinHash::kept("$argon2id$secret".to_owned());
    store.set_pin(&contract, &hash, now).await.unwrap();
    store.set_pin(&contract, &hash, now).await.unwrap();
    store.unlock_pin(&contract, now).await.unwrap();
    store.clear_pin(&contract, now).await.unwrap();
    store.grant_leader(&contract, member(), "Emër Mbiemër", &shop(), now).await.unwrap();
    store.remove_member(&contract, member(), now).await.unwrap();
    let today = date(2026, 11, 22);
    let name: PackageName = "Super 1900".parse().unwrap();
    store.retire_package(name, date(2027, 1, 1), today).await.unwrap();
    let new = NewPackage {
        name,
        list: lek(2000),
        announced_on: today,
        valid_from: date(2027, 1, 1),
        valid_until: None,
    };
    store.add_package(&new, today).await.unwrap();
    let first = store.terms().await.unwrap()[0];
    let terms = Terms { limit: lek(8000), ..first.terms };
    let version = TermsVersion { terms, announced_on: today, effective_on: date(2026, 12, 22) };
    store.add_terms(version, today).await.unwrap();
    store.close_group(&contract, now).await.unwrap();
    let row = |kind: &'static str, subject: &str, before: &str, after: &str| {
        (kind, subject.to_owned(), before.to_owned(), after.to_owned())
    };
    let nbsp = |text: &str| text.replace('~', "\u{a0}");
    let expected = [
        row("pin-set", "042250928", "no PIN", "another PIN"),
        row("pin-set", "042250928", "a PIN", "another PIN"),
        row("pin-unlocked", "042250928", "", ""),
        row("pin-cleared", "042250928", "a PIN", "no PIN"),
        row("leader-granted", "0672123456", "leader: 0672000123", "leader, shop, declaration D-2026/17"),
        row("leader-revoked", "0672123456", "leader", ""),
        row("member-left", "0672123456", "member", ""),
        row("package-retired", "Super 1900", "sold without end", "sold until 2027-01-01, that day left out"),
        row(
            "package-added",
            "Super 1900",
            &nbsp("1~900~lekë from 2020-05-14"),
            &nbsp("2~000~lekë from 2027-01-01, announced on 2026-11-22"),
        ),
        row(
            "terms-added",
            "terms from 2026-12-22",
            &nbsp("discount 200~lekë, limit 6~500~lekë, lowest package 700~lekë, 4 members at most"),
            &nbsp(
                "discount 200~lekë, limit 8~000~lekë, lowest package 700~lekë, 4 members at most, \
                 announced on 2026-11-22",
            ),
        ),
        row("group-closed", "042250928", "active", "closed"),
    ];
    assert_eq!(trail(&store).await[before.len()..], expected);
    let all = store.history(&HistoryFilter::default(), 100).await.unwrap();
    for change in &all[before.len()..] {
        let said = (change.actor.as_str(), change.reason.as_deref(), change.at);
        assert_eq!(said, ("A. Clerk", Some("order 17"), now), "{change:?}");
        assert!(!format!("{change:?}").contains("Mbiemër") && !format!("{change:?}").contains("argon"));
    }
    // Each of the dated rows has its who and why.
    let entered = |who: Option<Entered>| who.map(|who| (who.by, who.reason));
    let mine = Some(("A. Clerk".to_owned(), Some("order 17".to_owned())));
    assert_eq!(entered(store.terms_entered().await.unwrap().pop().unwrap().1), mine);
    assert_eq!(entered(store.packages_entered().await.unwrap().pop().unwrap().1), mine);
    // A part of it.
    let of_nobody = HistoryFilter { contract: Some(FixedNumber::parse("042250929").unwrap()), since: None };
    assert_eq!(store.history(&of_nobody, 100).await.unwrap(), []);
    let filter = HistoryFilter { contract: Some(contract.clone()), since: Some(now) };
    assert_eq!(store.history(&filter, 100).await.unwrap().len(), 8);
    assert_eq!(store.history(&filter, 1).await.unwrap()[0].kind, ChangeKind::GroupClosed);
    let later = HistoryFilter { contract: None, since: Some(now + SignedDuration::from_millis(1)) };
    assert_eq!(store.history(&later, 100).await.unwrap(), []);
}

/// What is refused, only tried out, or undone leaves nothing in the trail.
pub(in crate::store) async fn what_is_not_done_leaves_no_row(database: &dyn Database) {
    let (store, _) = family(database).await;
    let (contract, now) = (contract_number(), at(NOW));
    let before = trail(&store).await;
    assert!(store.create_group(&contract, now).await.is_err());
    assert!(store.add_member(&contract, member(), now).await.is_err());
    assert!(store.grant_leader(&contract, leader(), "Lider Fiks", &shop(), now).await.is_err());
    assert!(store.remove_member(&contract, number("0691234567"), now).await.is_err());
    assert!(store.unlock_pin(&contract, now).await.is_err());
    assert!(!store.seed_catalogue(date(2026, 11, 22)).await.unwrap());
    let row =
        |text: &str| ImportRow::Member { contract: contract.clone(), msisdn: number(text), leader: None };
    let good = [row("0692000001"), row("0692000002")];
    store.import(&good, now, true).await.unwrap().unwrap();
    let bad = [row("0692000001"), row("0692000001")];
    store.import(&bad, now, false).await.unwrap().unwrap_err();
    assert_eq!(trail(&store).await, before);
    store.import(&good, now, false).await.unwrap().unwrap();
    let imported: Vec<_> =
        trail(&store).await[before.len()..].iter().map(|row| (row.0, row.1.clone())).collect();
    let expected =
        [("member-joined", "0692000001"), ("member-joined", "0692000002"), ("imported", "2 lines")];
    assert_eq!(imported, expected.map(|(kind, subject)| (kind, subject.to_owned())));
}

/// Months, bills and corrections are in the trail by those who are named for them.
pub(in crate::store) async fn money_is_administered_by_name(database: &dyn Database) {
    let (store, _) = family(database).await;
    for (n, price) in [(1, 1100), (2, 700)] {
        hold(&store, n, price).await;
        post(&store, n).await.unwrap();
    }
    let before = trail(&store).await.len();
    reverse(&store, 1).await.unwrap();
    reverse(&store, 1).await.unwrap();
    let files = store.close_month(this_month(), "B. Clerk", at(MONTH_OVER)).await.unwrap();
    assert!(store.close_month(this_month(), "B. Clerk", at(MONTH_OVER)).await.is_err());
    let file = b"sequence,contract,result,reason\n1,042250928,accepted,\n";
    let read = files.run.acknowledged(file).unwrap();
    let clerk = store.acting_as(clerk(None));
    for _ in 0..2 {
        clerk.acknowledge_bills(this_month(), &read, at(MONTH_OVER)).await.unwrap();
    }
    let changes = store.history(&HistoryFilter::default(), 100).await.unwrap();
    let [reversed, closed, answered] = &changes[before..] else { panic!("{changes:?}") };
    assert_eq!((reversed.kind, &*reversed.actor), (ChangeKind::ActivationReversed, "shop 7"));
    assert_eq!(reversed.reason.as_deref(), Some("the wrong member"));
    assert_eq!(
        (&reversed.subject, &reversed.contract),
        (&activation_id(1).to_string(), &Some(contract_number()))
    );
    assert_eq!(
        (closed.kind, &*closed.actor, &*closed.subject),
        (ChangeKind::MonthClosed, "B. Clerk", "2026-11")
    );
    let said = closed.after.as_deref().unwrap();
    assert!(said.contains("run 1") && said.contains(&files.csv_sha256), "{said}");
    assert_eq!((answered.kind, &*answered.actor), (ChangeKind::BillsAcknowledged, "A. Clerk"));
    audited(&store).await;
}

fn call_of(caller: Msisdn, n: u8) -> CallRecord {
    CallRecord {
        id: CallId::new(at(NOW), [n; 10]),
        sip_call_id: format!("call-{n}"),
        caller: Some(caller.e164()),
        called: "130".to_owned(),
        received_at: at(NOW),
        answered_at: None,
        ended_at: at(NOW),
        end: CallEnd::Goodbye,
        reason: None,
        outcome: "activated".to_owned(),
        nodes: Vec::new(),
        free_of_charge: true,
        media: None,
        origin: Origin {
            stated: vec![StatedField {
                name: "From".to_owned(),
                value: "\"Emri Mbiemri\" <sip:x@y>".to_owned(),
            }],
            ..Origin::default()
        },
    }
}

/// What names people is erased, once and for good; the money, its bills and the chain are what they were.
pub(in crate::store) async fn people_are_forgotten_and_money_is_not(database: &dyn Database) {
    let (store, group) = family(database).await;
    let (contract, now) = (contract_number(), at(NOW));
    hold(&store, 1, 1100).await;
    post(&store, 1).await.unwrap();
    for (n, caller) in [(1, leader()), (2, member())] {
        store.record_call(&call_of(caller, n)).await.unwrap();
    }
    store.grant_leader(&contract, member(), "Emri Mbiemri", &GrantChannel::Online, now).await.unwrap();
    store.set_contact(&contract, Some("Emri Mbiemri"), None, now).await.unwrap();
    store.set_contact(&contract, None, Some("emri@example.com"), now).await.unwrap();
    let known = store.contact(&contract).await.unwrap().unwrap();
    assert_eq!(
        (known.name.as_deref(), known.email.as_deref()),
        (Some("Emri Mbiemri"), Some("emri@example.com"))
    );
    assert!(!format!("{known:?}").contains("Emri"));
    let unknown = FixedNumber::parse("042250999").unwrap();
    let nobody = store.set_contact(&unknown, Some("x"), None, now).await;
    assert!(matches!(nobody, Err(AdminError::NoSuchContract(_))), "{nobody:?}");
    assert!(matches!(
        store.set_contact(&contract, None, Some("x y@z"), now).await,
        Err(AdminError::NoAddress(_))
    ));
    let files = store.close_month(this_month(), "A. Clerk", at(MONTH_OVER)).await.unwrap();
    let before = (audited(&store).await, store.ledger(BookFilter::default()).await.unwrap());

    assert!(matches!(store.erase_contract(&contract, now).await, Err(AdminError::NoReason)));
    assert!(matches!(store.erase_contract(&unknown, now).await, Err(AdminError::NoSuchContract(_))));
    assert_eq!(store.contact(&contract).await.unwrap(), Some(known), "nothing is half erased");
    let clerk = store.acting_as(clerk(Some("request 17")));
    let erased = clerk.erase_contract(&contract, now).await.unwrap();
    assert_eq!(erased, Erased { contacts: 1, leaderships: 2, calls: 0 });
    assert!(clerk.erase_contract(&contract, now).await.unwrap().is_nothing());
    let erased = clerk.erase_number(leader(), now).await.unwrap();
    assert_eq!(erased, Erased { contacts: 0, leaderships: 0, calls: 1 });
    assert!(clerk.erase_number(leader(), now).await.unwrap().is_nothing());

    assert_eq!(store.contact(&contract).await.unwrap(), None);
    let history = store.leaders(group).await.unwrap();
    assert!(history.iter().all(|leadership| leadership.granted_by == ERASED), "{history:?}");
    assert_eq!((history[0].until, history[1].until), (Some(now), None), "who led, and when, stays");
    let calls = store.calls(None, 10).await.unwrap();
    let stated: Vec<usize> = calls.iter().map(|call| call.origin.stated.len()).collect();
    assert_eq!(stated.iter().sum::<usize>(), 1, "another's call keeps what it stated");
    assert_eq!(store.bill_run(this_month()).await.unwrap(), Some(files), "the same octets");
    assert_eq!((audited(&store).await, store.ledger(BookFilter::default()).await.unwrap()), before);
    // The trail says that it was done, and names nobody.
    let changes = store.history(&HistoryFilter::default(), 100).await.unwrap();
    let said = format!("{changes:?}");
    assert!(!said.contains("Emri") && !said.contains("example.com"), "{said}");
    let erasures: Vec<&AdministrativeChange> =
        changes.iter().filter(|change| change.kind == ChangeKind::PersonalDataErased).collect();
    assert_eq!(erasures.len(), 2);
    assert!(erasures.iter().all(|change| change.reason.as_deref() == Some("request 17")));
    // Life goes on.
    store.revoke_leader(&contract, now).await.unwrap();
    store.grant_leader(&contract, leader(), "Lider Fiks", &shop(), now).await.unwrap();
}

/// A file as an operator's first one: each line with a group of its own or a member of the one before.
pub(in crate::store) async fn ten_thousand_lines_are_imported(database: &dyn Database) {
    let (store, _) = family(database).await;
    let rows: Vec<ImportRow> = (0..10_000u32)
        .map(|n| ImportRow::Member {
            contract: FixedNumber::parse(&format!("0422{:05}", n / 4)).unwrap(),
            msisdn: number(&format!("0693{n:06}")),
            leader: n.is_multiple_of(4).then(|| ("Lider Fiks".to_owned(), shop())),
        })
        .collect();
    let done = store.import(&rows, at(NOW), false).await.unwrap().unwrap();
    assert_eq!(done.len(), 10_000);
    assert_eq!(store.groups().await.unwrap().len(), 1 + 2_500);
    let Standing::Leader { group, .. } = store.standing(number("0693009996")).await.unwrap() else {
        panic!()
    };
    assert_eq!(store.members(group).await.unwrap().len(), 4);
    let last = store.history(&HistoryFilter::default(), 20_000).await.unwrap();
    assert_eq!(last.len(), 10 + 2_500 + 10_000 + 2_500 + 1);
    // Once more: each line is wrong, and all are named.
    let errors = store.import(&rows[..100], at(NOW), false).await.unwrap().unwrap_err();
    assert_eq!(errors.len(), 100);
}
