//! Groups to book for, and what is booked.

use jiff::Timestamp;
use klikon::klikon::{PackageName, PinHash, day_of};
use klikon::store::{ActivationOrder, DatabaseUrl, GrantChannel, Settings, Store};
use klikon::units::{ActivationId, CallId, FixedNumber, GroupId, Money, Month, Msisdn, PackageId};

/// The instant of all bookings here.
pub fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

/// Their month.
pub fn month() -> Month {
    Month::of(now())
}

/// A group of a leader and a member.
#[derive(Debug, Clone)]
pub struct Family {
    pub group: GroupId,
    pub contract: FixedNumber,
    pub leader: Msisdn,
    member: Msisdn,
    packages: Vec<(PackageName, PackageId)>,
}

impl Family {
    /// Puts the catalogue, where it is missing, and the group of this number into the ledger.
    pub async fn found(store: &Store, number: u16) -> Self {
        let opened = "2026-01-01T00:00:00Z".parse().unwrap();
        store.seed_catalogue(day_of(opened)).await.unwrap();
        let contract = FixedNumber::parse(&format!("04225{number:04}")).unwrap();
        let msisdn = |role| Msisdn::parse(&format!("06920{role}{number:04}")).unwrap();
        let (leader, member) = (msisdn(0), msisdn(1));
        let group = store.create_group(&contract, opened).await.unwrap().id;
        for number in [leader, member] {
            store.add_member(&contract, number, opened).await.unwrap();
        }
        store.grant_leader(&contract, leader, "Lideri Fiks", &GrantChannel::Online, opened).await.unwrap();
        store.set_pin(&contract, &PinHash::kept("$argon2id$one".to_owned()), opened).await.unwrap();
        let packages =
            store.packages().await.unwrap().into_iter().map(|package| (package.name, package.id)).collect();
        Self { group, contract, leader, member, packages }
    }

    /// An order of this number for the package of this list price, in Lek.
    pub fn order(&self, number: u32, price: u16) -> ActivationOrder {
        let (_, package) = *self.packages.iter().find(|(name, _)| name.number() == price).unwrap();
        ActivationOrder {
            id: id(number),
            call: CallId::new(now(), [7; 10]),
            caller: self.leader,
            member: self.member,
            package,
            quoted_net: Money::from_lek(i32::from(price) - 200),
            at: now(),
        }
    }
}

/// The id of an order.
pub fn id(number: u32) -> ActivationId {
    let [a, b, c, d] = number.to_be_bytes();
    ActivationId::new(now(), [0, 0, 0, 0, 0, 0, a, b, c, d])
}

/// A store on a server's database.
pub async fn open(url: String, writers: u32) -> Store {
    let url = DatabaseUrl::try_from(url).unwrap();
    Store::open(&Settings { url, writers, ..Settings::default() }).await.unwrap()
}
