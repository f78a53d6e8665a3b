//! The ledger before the first call and after the last: seeded by `klikon admin`, read through the store.

use super::case::{Case, Ledger, Moment, Seed, cases};
use super::journal::{Journal, SPOOL};
use super::server::House;
use super::spool;
use anyhow::{Context, Result, bail, ensure};
use klikon::klikon::SmsAlphabet;
use klikon::store::{ActivationOrder, BookFilter, HoldOutcome, Settlement, Store};
use klikon::units::clock::Clock;
use klikon::units::{ActivationId, CallId, FixedNumber, Money, Month, Msisdn};

/// The sample group's contract, which every case's `left` is about.
const CONTRACT: &str = "042250928";
/// Its Lider Mobile.
const LEADER: &str = "0672003456";

/// Imports the sample groups, then does what the case adds.
pub async fn seed(house: &House, seed: &Seed) -> Result<()> {
    let groups = cases().join("shared/groups.csv");
    let groups = groups.to_str().context("the folder's path is not UTF-8")?;
    house.admin(&["seed"]).await?;
    house.admin(&["import", groups]).await?;
    for command in &seed.admin {
        house.admin(command).await?;
    }
    if let Some(pin) = &seed.pin {
        house.admin_told(&["leader", "pin", CONTRACT], &format!("{pin}\n")).await?;
    }
    if seed.booked.is_empty() {
        return Ok(());
    }
    let store = Store::open(&house.database()).await?;
    for (number, package) in (0..).zip(&seed.booked) {
        book(&store, package, number).await.with_context(|| format!("seed: {package}"))?;
    }
    // Their orders and SMS went out then.
    for row in store.outbox_due(u32::MAX).await? {
        store.outbox_sent(&[row.id], Clock::system().wall()).await?;
    }
    store.close().await;
    Ok(())
}

/// Books a package for the leader himself, as an earlier call would have, and posts it.
async fn book(store: &Store, package: &str, number: u8) -> Result<()> {
    let now = Clock::system().wall();
    let leader = Msisdn::parse(LEADER)?;
    let group = store.group(&FixedNumber::parse(CONTRACT)?).await?.context("no sample group")?;
    let offers = store.offers(group.id, now).await?;
    let offer = offers.iter().find(|offer| offer.name.to_string() == package).context("not offered")?;
    let id = ActivationId::new(now, [number; 10]);
    let order = ActivationOrder {
        id,
        call: CallId::new(now, [number; 10]),
        caller: leader,
        member: leader,
        package: offer.package,
        quoted_net: offer.net,
        at: now,
    };
    match store.hold(&order).await? {
        HoldOutcome::Held(_) => {}
        other => bail!("not held: {other:?}"),
    }
    store.settle(id, &Settlement::Post, now, SmsAlphabet::Ucs2).await?;
    Ok(())
}

/// Waits for the SMS of the case: they are written when the last settlement is in the ledger.
pub async fn settled(expected: &Ledger, journal: &Journal) {
    let written = Moment::of_step("sms");
    let mut place = 0;
    for _ in &expected.sms {
        place = journal.wait_for(SPOOL, &written, place).await;
    }
}

/// Compares what the stopped server has left.
pub async fn compare(house: &House, case: &Case) -> Result<()> {
    let store = Store::open(&house.database()).await?;
    let contract = FixedNumber::parse(CONTRACT)?;
    // Among all groups: a case may have closed it.
    let groups = store.groups().await?;
    let group = groups.iter().find(|group| group.contract == contract).context("no sample group")?;
    let all = store.activations(BookFilter::default()).await?;
    let month = all.last().map_or(Month::of(Clock::system().wall()), |last| last.month);
    let left = store.remaining(group.id, month).await?;
    let called: Vec<String> = all
        .iter()
        .skip(case.seed.booked.len())
        .map(|one| format!("{} for {}: {}", one.name, one.member.national(), one.state.label()))
        .collect();
    ensure!(
        called == case.ledger.activations,
        "activations\nexpected: {:#?}\nseen: {called:#?}",
        case.ledger.activations
    );
    ensure!(
        left == Money::from_lek(case.ledger.left),
        "left of the limit: {left}, expected {}",
        case.ledger.left
    );
    let sms = spool::recipients(&house.spool())?;
    let expected: Vec<String> = case
        .ledger
        .sms
        .iter()
        .map(|number| Msisdn::parse(number).map(Msisdn::e164))
        .collect::<Result<_, _>>()?;
    ensure!(sms == expected, "SMS\nexpected to: {expected:?}\nwritten to: {sms:?}");
    let audited = store.audit().await.context("the books do not balance");
    store.close().await;
    audited.map(drop)
}
