//! Groups of one leader and one member, and what they order.

use jiff::Timestamp;
use klikon::klikon::day_of;
use klikon::store::{ActivationOrder, GrantChannel, ImportRow, Store};
use klikon::units::{ActivationId, CallId, FixedNumber, Money, Msisdn, PackageId};

/// What 130 takes off, qindarka (DOMAIN §3.1).
const DISCOUNT_QINDARKA: i64 = 20_000;

/// What the groups of a ledger may order.
pub struct Family {
    /// Packages with their net prices, cheapest first.
    pub packages: Vec<(PackageId, Money)>,
}

impl Family {
    /// Puts the catalogue and so many groups into an empty ledger.
    pub async fn settle_in(store: &Store, groups: usize, at: Timestamp) -> Self {
        store.seed_catalogue(day_of(at)).await.expect("the catalogue is seeded");
        let rows: Vec<ImportRow> = (0..groups).flat_map(members).collect();
        for part in rows.chunks(20_000) {
            let imported = store.import(part, at, false).await.expect("the database takes them");
            assert!(imported.is_ok(), "the groups are in order");
        }
        let packages = store.packages().await.expect("they are read");
        // Super 400 is sold, but not on 130.
        let net = |list: Money| Money::from_qindarka(list.qindarka() - DISCOUNT_QINDARKA);
        let packages = packages.iter().filter(|package| package.name.number() > 400);
        Self { packages: packages.map(|package| (package.id, net(package.list))).collect() }
    }

    /// What a group's leader orders for its member; `number` makes it another order.
    pub fn order(&self, group: usize, package: usize, number: u64, at: Timestamp) -> ActivationOrder {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&number.to_be_bytes());
        let (package, quoted_net) = self.packages[package];
        ActivationOrder {
            id: ActivationId::new(at, random),
            call: CallId::new(at, random),
            caller: mobile(2 * group),
            member: mobile(2 * group + 1),
            package,
            quoted_net,
            at,
        }
    }
}

fn members(group: usize) -> [ImportRow; 2] {
    let contract = FixedNumber::parse(&format!("042{group:06}")).expect("a fixed number");
    let channel = GrantChannel::Shop { declaration: format!("D-{group}") };
    let leader = Some(("Lideri Fiks".to_owned(), channel));
    [
        ImportRow::Member { contract: contract.clone(), msisdn: mobile(2 * group), leader },
        ImportRow::Member { contract, msisdn: mobile(2 * group + 1), leader: None },
    ]
}

fn mobile(number: usize) -> Msisdn {
    Msisdn::parse(&format!("0672{number:06}")).expect("a mobile number")
}
