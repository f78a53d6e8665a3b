//! Every query and booking of the vocabulary, against a real ledger.

use super::*;
use crate::call::{Ids, Observer, Settings};
use crate::dialplan::Vocabulary;
use crate::klikon::{SmsAlphabet, day_of};
use crate::media::{Engine, EngineSettings, PromptLibrary};
use crate::recording::Recorder;
use crate::store::{self, GrantChannel, Settled, Settlement, Store};
use crate::units::FixedNumber;
use crate::units::clock::Clock;
use std::collections::BTreeMap;
use tempfile::TempDir;

const LEADER: &str = "0691234567";
const MEMBER: &str = "0672123456";
const STRANGER: &str = "0682123456";
/// Far longer than any test takes: whoever waits so long waits for ever.
const FOR_EVER_MS: u64 = 60_000;

/// A ledger with one group, and what calls share.
struct House {
    service: Arc<Service>,
    /// The database lives as long as it.
    _folder: TempDir,
}

fn contract() -> FixedNumber {
    FixedNumber::parse("042250928").unwrap()
}

fn msisdn(text: &str) -> Msisdn {
    Msisdn::parse(text).unwrap()
}

fn lek(amount: i32) -> Money {
    Money::from_lek(amount)
}

impl House {
    async fn new(activation_wait_ms: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("manifest.toml"), MANIFEST).unwrap();
        let clock = Clock::system();
        let store = Store::open(&store::Settings::for_file(folder.path().join("klikon.db"))).await.unwrap();
        let now = clock.wall();
        store.seed_catalogue(day_of(now)).await.unwrap();
        store.create_group(&contract(), now).await.unwrap();
        for number in [LEADER, MEMBER] {
            store.add_member(&contract(), msisdn(number), now).await.unwrap();
        }
        store
            .grant_leader(&contract(), msisdn(LEADER), "Lideri Fiks", &GrantChannel::Online, now)
            .await
            .unwrap();
        let service = Service {
            recorder: Recorder::start(crate::recording::Settings::default(), clock).unwrap(),
            announcement: None,
            settings: Settings { activation_wait_ms, ..Settings::default() },
            retry_after_s: 7,
            neighbours: Arc::default(),
            numbers: BTreeMap::new(),
            prompts: crate::speech::load(folder.path()).unwrap(),
            redundancy: crate::sdp::RedundancyPolicy::default(),
            srtp: crate::call::Srtp::default(),
            codecs: crate::sdp::Codecs::default(),
            media: Engine::start(EngineSettings::default(), Arc::new(PromptLibrary::default())).unwrap(),
            media_advertised: None,
            store,
            settlements: broadcast::Sender::new(4),
            clock,
            ids: Ids::new([7; 32]),
            observer: Observer::default(),
        };
        Self { service: Arc::new(service), _folder: folder }
    }

    fn store(&self) -> &Store {
        &self.service.store
    }

    fn business(&self, caller: Caller) -> Arc<Business> {
        let call = self.service.ids.call(self.service.clock.wall());
        Arc::new(Business::new(Arc::clone(&self.service), call, caller, false))
    }

    /// The leader, from a peer whose callers key their PIN.
    fn leader_with_pin(&self) -> Business {
        let call = self.service.ids.call(self.service.clock.wall());
        Business::new(Arc::clone(&self.service), call, Caller::Known(msisdn(LEADER)), true)
    }

    fn leader(&self) -> Arc<Business> {
        self.business(Caller::Known(msisdn(LEADER)))
    }

    async fn package(&self, price: i32) -> Value {
        let packages = self.store().packages().await.unwrap();
        let named = packages.iter().find(|package| package.list == lek(price)).unwrap();
        Value::Number(named.id.0)
    }

    /// What a caller who chose a package for a member books.
    async fn order(&self, price: i32, member: &str) -> Vec<(String, Value)> {
        vec![
            ("member".to_owned(), Value::Msisdn(msisdn(member))),
            ("package".to_owned(), self.package(price).await),
            ("net".to_owned(), Value::Money(lek(price - 200))),
        ]
    }

    async fn book(&self, price: i32) -> Answer {
        self.leader().perform("activate", self.order(price, MEMBER).await).await
    }

    /// The network answers, and those who wait are told as the delivery worker tells them.
    async fn settle(&self, id: ActivationId, settlement: Settlement) -> Activation {
        let now = self.service.clock.wall();
        match self.store().settle(id, &settlement, now, SmsAlphabet::Plain).await.unwrap() {
            Settled::Now(activation) | Settled::Before(activation) => activation,
        }
    }

    /// Waits until a booking has made its hold.
    async fn held(&self) -> ActivationId {
        let looked = async {
            loop {
                let made = self.store().activations(store::BookFilter::default()).await.unwrap();
                if let Some(activation) = made.first() {
                    return activation.id;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_millis(FOR_EVER_MS), looked).await.unwrap()
    }
}

/// No prompt: nothing is said here.
const MANIFEST: &str = r#"
language = "sq"
loudness = -22.0
prompt = []
[voice]
name = "sq"
speed = 150
pitch = 45
unit_speed = 150
unit_range = 0
"#;

fn text(name: &str, value: &str) -> Vec<(String, Value)> {
    vec![(name.to_owned(), Value::Text(value.to_owned()))]
}

/// The outcome, after a look whether the vocabulary knows it with these values: a flow is checked against that.
fn checked(answer: &Answer) -> &'static str {
    let vocabulary = Vocabulary::klik_on([]);
    let operation = vocabulary
        .queries
        .iter()
        .chain(&vocabulary.bookings)
        .find(|operation| operation.name == answer.name)
        .unwrap();
    let outcome = operation.outcomes.iter().find(|known| known.name == answer.outcome);
    let outcome =
        outcome.unwrap_or_else(|| panic!("`{}` is no outcome of `{}`", answer.outcome, answer.name));
    let names: Vec<&str> = answer.values.iter().map(|(name, _)| name.as_str()).collect();
    let known: Vec<&str> = outcome.values.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, known, "{} of {}", answer.outcome, answer.name);
    answer.outcome
}

fn money(answer: &Answer) -> Money {
    match answer.values.iter().find(|(name, _)| name == "left") {
        Some((_, Value::Money(left))) => *left,
        other => panic!("no money in {other:?}"),
    }
}

#[tokio::test]
async fn who_may_and_who_may_not() {
    let house = House::new(0).await;
    let rights = async |caller| house.business(caller).perform("leader-rights", Vec::new()).await;
    let leader = rights(Caller::Known(msisdn(LEADER))).await;
    assert_eq!((checked(&leader), money(&leader)), ("leader", lek(6500)));
    let month = Month::of(house.service.clock.wall()).number().into();
    assert_eq!(leader.values[0], ("month".to_owned(), Value::Number(month)));
    assert_eq!(leader.activation, None);
    for (caller, outcome) in [
        (Caller::Known(msisdn(MEMBER)), "not-leader"),
        (Caller::Known(msisdn(STRANGER)), "not-member"),
        (Caller::Foreign, "not-member"),
        (Caller::Anonymous, "anonymous"),
        (Caller::Untrusted, "untrusted"),
    ] {
        assert_eq!(checked(&rights(caller).await), outcome, "{caller}");
    }
    house.store().close_group(&contract(), house.service.clock.wall()).await.unwrap();
    assert_eq!(checked(&rights(Caller::Known(msisdn(LEADER))).await), "group-closed");
}

#[tokio::test]
async fn the_member_s_number() {
    let house = House::new(0).await;
    let member = async |keyed: &str| house.leader().perform("member", text("number", keyed)).await;
    for keyed in [MEMBER, "672123456", "355672123456", "00355672123456"] {
        let found = member(keyed).await;
        assert_eq!(checked(&found), "member", "{keyed}");
        assert_eq!(found.values[0].1, Value::Msisdn(msisdn(MEMBER)));
    }
    assert_eq!(checked(&member(LEADER).await), "member", "the leader may activate for himself");
    assert_eq!(checked(&member(STRANGER).await), "not-member");
    for keyed in ["0671123456", "066123456", "0672", "", "067212345*"] {
        assert_eq!(checked(&member(keyed).await), "invalid-number", "{keyed}");
    }
    let absent = house.leader().perform("member", Vec::new()).await;
    assert_eq!(checked(&absent), "invalid-number");
    let others = house.business(Caller::Anonymous).perform("member", text("number", MEMBER)).await;
    assert_eq!(checked(&others), "unavailable", "nobody else learns who is a member");
}

#[tokio::test]
async fn what_is_offered_follows_what_is_left() {
    let house = House::new(0).await;
    let packages = async || house.leader().perform("packages", Vec::new()).await;
    let fits = |answer: &Answer| -> Vec<(i64, Money, bool)> {
        let Value::List(records) = &answer.values[0].1 else { panic!("no list") };
        records
            .iter()
            .map(|Record(fields)| match fields.as_slice() {
                [
                    (_, Value::Number(_)),
                    (_, Value::Number(name)),
                    (_, Value::Money(net)),
                    (_, Value::Truth(fits)),
                ] => (*name, *net, *fits),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    let all = packages().await;
    assert_eq!(checked(&all), "some");
    let (names, nets): (Vec<_>, Vec<_>) = fits(&all).into_iter().map(|(name, net, _)| (name, net)).unzip();
    assert_eq!(names, [700, 1100, 1300, 1900], "Super 400 is not sold on 130");
    assert_eq!(nets, [lek(500), lek(900), lek(1100), lek(1700)]);
    // 6,500 - 3 x 1,700 = 1,400: the dearest does not fit any more.
    for _ in 0..3 {
        assert_eq!(checked(&house.book(1900).await), "accepted");
    }
    let some = packages().await;
    assert_eq!(checked(&some), "some");
    assert_eq!(fits(&some).iter().map(|(_, _, fits)| *fits).collect::<Vec<_>>(), [true, true, true, false]);
    let left = house.leader().perform("remaining", Vec::new()).await;
    assert_eq!((checked(&left), money(&left)), ("ok", lek(1400)));
    house.book(1300).await;
    let none = packages().await;
    assert_eq!(checked(&none), "none-fits");
    assert_eq!(fits(&none).len(), 4, "they are read out all the same");
    for caller in [Caller::Known(msisdn(MEMBER)), Caller::Untrusted] {
        for query in ["packages", "remaining"] {
            assert_eq!(checked(&house.business(caller).perform(query, Vec::new()).await), "unavailable");
        }
    }
}

#[tokio::test]
async fn a_repeat_is_recent_for_that_member_and_package_only() {
    let house = House::new(0).await;
    let recent = async |price, member: &str| {
        let mut arguments = house.order(price, member).await;
        arguments.pop();
        let answer = house.leader().perform("recent", arguments).await;
        checked(&answer)
    };
    assert_eq!(recent(1100, MEMBER).await, "not-recent");
    house.book(1100).await;
    assert_eq!(recent(1100, MEMBER).await, "recent");
    assert_eq!(recent(700, MEMBER).await, "not-recent");
    assert_eq!(recent(1100, LEADER).await, "not-recent");
    let absent = house.leader().perform("recent", Vec::new()).await;
    assert_eq!(checked(&absent), "unavailable");
}

#[tokio::test]
async fn the_network_s_word_is_waited_for_on_the_line() {
    for (settlement, outcome) in
        [(Settlement::Post, "activated"), (Settlement::Void { reason: "no such SIM".to_owned() }, "rejected")]
    {
        let house = House::new(FOR_EVER_MS).await;
        let (business, order) = (house.leader(), house.order(1100, MEMBER).await);
        let booking = tokio::spawn(async move { business.perform("activate", order).await });
        let id = house.held().await;
        let settled = house.settle(id, settlement).await;
        // Somebody else's news comes first.
        let other =
            Activation { id: house.service.ids.activation(house.service.clock.wall()), ..settled.clone() };
        house.service.settlements.send(other).unwrap();
        house.service.settlements.send(settled).unwrap();
        let answer = booking.await.unwrap();
        assert_eq!((checked(&answer), answer.activation), (outcome, Some(id)));
    }
}

#[tokio::test]
async fn news_that_was_missed_is_asked_for() {
    let house = House::new(FOR_EVER_MS).await;
    let (business, order) = (house.leader(), house.order(700, MEMBER).await);
    let booking = tokio::spawn(async move { business.perform("activate", order).await });
    let id = house.held().await;
    let settled = house.settle(id, Settlement::Post).await;
    // On this one thread the waiting call sees none of these before there are more than are kept: its own is lost.
    house.service.settlements.send(settled.clone()).unwrap();
    for _ in 0..8 {
        let other = house.service.ids.activation(house.service.clock.wall());
        house.service.settlements.send(Activation { id: other, ..settled.clone() }).unwrap();
    }
    let answer = booking.await.unwrap();
    assert_eq!((checked(&answer), money(&answer)), ("activated", lek(6000)));
}

#[tokio::test]
async fn without_news_the_ledger_decides_at_the_end_of_the_wait() {
    let house = House::new(0).await;
    let accepted = house.book(1100).await;
    assert_eq!((checked(&accepted), money(&accepted)), ("accepted", lek(5600)));
    let id = accepted.activation.unwrap();
    let made = house.store().activation(id).await.unwrap().unwrap();
    assert_eq!((made.net, made.state), (lek(900), ActivationState::Pending));
    for (settlement, outcome) in
        [(Settlement::Post, "activated"), (Settlement::Void { reason: String::new() }, "rejected")]
    {
        let id = house.book(700).await.activation.unwrap();
        house.settle(id, settlement).await;
        let mut news = house.service.settlements.subscribe();
        let (said, _) = house.leader().settled(id, lek(1), &mut news).await;
        assert_eq!(said, outcome);
    }
}

#[tokio::test]
async fn a_retry_of_what_was_made_says_what_became_of_it() {
    let house = House::new(0).await;
    let business = house.leader();
    let order = Arguments(house.order(1100, MEMBER).await);
    let id = house.service.ids.activation(house.service.clock.wall());
    for (settlement, outcome) in [(None, "accepted"), (Some(Settlement::Post), "activated")] {
        business.activate(id, &order).await;
        if let Some(settlement) = settlement {
            house.settle(id, settlement).await;
        }
        assert_eq!(business.activate(id, &order).await, with(outcome, "left", Value::Money(lek(5600))));
    }
    let id = house.service.ids.activation(house.service.clock.wall());
    business.activate(id, &order).await;
    house.settle(id, Settlement::Void { reason: "no".to_owned() }).await;
    assert_eq!(business.activate(id, &order).await, plain("rejected"));
    assert_eq!(house.store().activations(store::BookFilter::default()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_booking_is_judged_again_in_its_transaction() {
    let house = House::new(0).await;
    let order = async |price| house.order(price, MEMBER).await;
    let activate = async |arguments| house.leader().perform("activate", arguments).await;
    let mut cheaper = order(1100).await;
    cheaper[2].1 = Value::Money(lek(800));
    assert_eq!(checked(&activate(cheaper).await), "price-changed");
    let mut super_400 = order(1100).await;
    super_400[1].1 = house.package(400).await;
    super_400[2].1 = Value::Money(lek(200));
    assert_eq!(checked(&activate(super_400).await), "not-offered");
    let mut unknown = order(1100).await;
    unknown[1].1 = Value::Number(9999);
    assert_eq!(checked(&activate(unknown).await), "not-offered");
    assert_eq!(checked(&activate(house.order(700, STRANGER).await).await), "not-member");
    for caller in [Caller::Anonymous, Caller::Untrusted, Caller::Foreign] {
        let answer = house.business(caller).perform("activate", order(700).await).await;
        assert_eq!(checked(&answer), "unavailable", "{caller}");
    }
    assert_eq!(checked(&activate(Vec::new()).await), "unavailable");
    for _ in 0..3 {
        house.book(1900).await;
    }
    let beyond = house.book(1900).await;
    assert_eq!((checked(&beyond), money(&beyond)), ("beyond-limit", lek(1400)));
    assert_eq!(house.store().activations(store::BookFilter::default()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_right_that_ends_in_mid_call_books_nothing() {
    let house = House::new(0).await;
    let (now, order) = (house.service.clock.wall(), house.order(700, MEMBER).await);
    let leader = house.leader();
    assert_eq!(checked(&leader.perform("leader-rights", Vec::new()).await), "leader");
    house.store().revoke_leader(&contract(), now).await.unwrap();
    assert_eq!(checked(&leader.perform("activate", order.clone()).await), "not-leader");
    assert_eq!(checked(&leader.perform("packages", Vec::new()).await), "unavailable");
    house.store().remove_member(&contract(), msisdn(LEADER), now).await.unwrap();
    assert_eq!(checked(&leader.perform("activate", order.clone()).await), "not-leader");
    let closed = House::new(0).await;
    let leader = closed.leader();
    closed.store().close_group(&contract(), closed.service.clock.wall()).await.unwrap();
    assert_eq!(checked(&leader.perform("activate", order).await), "group-closed");
    assert_eq!(closed.store().activations(store::BookFilter::default()).await.unwrap(), []);
}

#[tokio::test]
async fn a_ledger_that_is_gone_is_unavailable_and_never_a_lie() {
    let house = House::new(0).await;
    let leader = house.leader();
    let (order, mut recent) = (house.order(700, MEMBER).await, house.order(700, MEMBER).await);
    recent.pop();
    let held = house.book(700).await.activation.unwrap();
    let activation = house.store().activation(held).await.unwrap().unwrap();
    house.store().close().await;
    for (name, arguments) in [
        ("leader-rights", Vec::new()),
        ("remaining", Vec::new()),
        ("member", text("number", MEMBER)),
        ("packages", Vec::new()),
        ("recent", recent),
        ("activate", order),
    ] {
        assert_eq!(checked(&leader.perform(name, arguments).await), "unavailable", "{name}");
    }
    assert_eq!(leader.perform("horoscope", Vec::new()).await.outcome, "unavailable");
    // What is held stays held, whether the ledger can be asked or not; what is left is not made up.
    let mut news = house.service.settlements.subscribe();
    assert_eq!(
        leader.settled(held, lek(6000), &mut news).await,
        with("accepted", "left", Value::Money(lek(6000)))
    );
    assert_eq!(leader.made_before(&activation).await, plain("unknown"));
}

#[tokio::test]
async fn where_a_pin_is_asked_nothing_is_to_be_had_without_it() {
    let house = House::new(0).await;
    let keyed = |digits: &str| text("pin", digits);
    let business = house.leader_with_pin();
    let order = house.order(700, MEMBER).await;
    for (name, arguments, outcome) in [
        ("leader-rights", Vec::new(), "pin-required"),
        ("remaining", Vec::new(), "unavailable"),
        ("member", text("number", MEMBER), "unavailable"),
        ("packages", Vec::new(), "unavailable"),
        ("activate", order.clone(), "not-leader"),
        ("pin", keyed("4729"), "unset"),
    ] {
        assert_eq!(business.perform(name, arguments).await.outcome, outcome, "{name}");
    }
    assert!(house.store().activations(store::BookFilter::default()).await.unwrap().is_empty());
    let hash = Pin::choose("4729").unwrap().hash([7; 16]).unwrap();
    house.store().set_pin(&contract(), &hash, house.service.clock.wall()).await.unwrap();
    for wrong in ["4728", "1"] {
        assert_eq!(business.perform("pin", keyed(wrong)).await.outcome, "wrong");
        assert_eq!(business.perform("leader-rights", Vec::new()).await.outcome, "pin-required");
    }
    assert_eq!(business.perform("pin", keyed("4729")).await.outcome, "right");
    assert_eq!(business.perform("leader-rights", Vec::new()).await.outcome, "leader");
    assert_eq!(business.perform("activate", order).await.outcome, "accepted");
    // Another call begins without it; the third wrong one locks, also for the right one.
    let another = house.leader_with_pin();
    assert_eq!(another.perform("leader-rights", Vec::new()).await.outcome, "pin-required");
    for (digits, outcome) in [("0001", "wrong"), ("0002", "wrong"), ("0003", "locked"), ("4729", "locked")] {
        assert_eq!(another.perform("pin", keyed(digits)).await.outcome, outcome);
    }
    assert_eq!(another.perform("leader-rights", Vec::new()).await.outcome, "pin-required");
}

#[tokio::test]
async fn a_pin_gives_no_rights_to_who_leads_nothing() {
    let house = House::new(0).await;
    let call = house.service.ids.call(house.service.clock.wall());
    for (caller, rights) in [
        (Caller::Known(msisdn(MEMBER)), "not-leader"),
        (Caller::Known(msisdn(STRANGER)), "not-member"),
        (Caller::Anonymous, "anonymous"),
        (Caller::Untrusted, "untrusted"),
    ] {
        let business = Business::new(Arc::clone(&house.service), call, caller, true);
        assert_eq!(business.perform("leader-rights", Vec::new()).await.outcome, rights);
        assert_eq!(business.perform("pin", text("pin", "4729")).await.outcome, "unset");
        assert_eq!(business.perform("leader-rights", Vec::new()).await.outcome, rights);
    }
}
