//! Who calls, who is a member, what may be offered, what is left: the queries of a call, on any connection, so that the
//! booking transaction asks the very same ones.

use super::Store;
use super::catalogue::{package_versions, terms_on, terms_versions};
use super::columns::Columns;
use super::posting::{left_of, limit_month};
use crate::klikon::{self, Membership, Standing};
use crate::store::{Member, Offer, StoreError};
use crate::units::{GroupId, MemberId, Money, Month, Msisdn, PackageId};
use jiff::Timestamp;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

impl Store {
    /// Who the caller is to the service now (DOMAIN §4.2).
    pub async fn standing(&self, caller: Msisdn) -> Result<Standing, StoreError> {
        standing(&mut *self.reader().await?, caller).await
    }

    /// What a group's month has left (DOMAIN §3.2).
    pub async fn remaining(&self, group: GroupId, month: Month) -> Result<Money, StoreError> {
        remaining(&mut *self.read().await?, group, month).await
    }

    /// The current membership of a number in a group (DOMAIN §4.3).
    pub async fn member(&self, group: GroupId, number: Msisdn) -> Result<Option<Member>, StoreError> {
        member(&mut *self.reader().await?, group, number).await
    }

    /// What may be offered to a group at an instant, cheapest first, and whether the month's limit still allows it
    /// (DOMAIN §2.1, §5).
    pub async fn offers(&self, group: GroupId, now: Timestamp) -> Result<Vec<Offer>, StoreError> {
        let mut read = self.read().await?;
        let today = klikon::day_of(now);
        let (_, terms) = terms_on(&mut read, today).await?;
        let left = remaining(&mut read, group, Month::of(now)).await?;
        let mut offers = Vec::new();
        for package in package_versions(&mut read).await? {
            let Ok(net) = klikon::offered(&package, &terms, today) else { continue };
            let fits = matches!(klikon::check_limit(left, net), klikon::LimitCheck::Within { .. });
            offers.push(Offer { package: package.id, name: package.name, list: package.list, net, fits });
        }
        offers.sort_by_key(|offer| (offer.net, offer.name));
        Ok(offers)
    }

    /// Whether the package, in any of its versions, was booked for the number since an instant and not rejected
    /// (DOMAIN §4.5; `klikon::repeat_window_start` gives the instant).
    pub async fn booked_since(
        &self,
        member: Msisdn,
        package: PackageId,
        since: Timestamp,
    ) -> Result<bool, StoreError> {
        let found = sqlx::query(
            "SELECT 1 FROM activations v JOIN packages p ON p.id = v.package_id
             WHERE v.member_msisdn = $1 AND v.held_at_ms > $2
               AND p.name = (SELECT name FROM packages WHERE id = $3)
               AND NOT EXISTS (SELECT 1 FROM settlements WHERE activation_id = v.id AND result = 'void')
             LIMIT 1",
        )
        .bind(member.e164())
        .bind(since.as_millisecond())
        .bind(package.0)
        .fetch_optional(&self.readers)
        .await?;
        Ok(found.is_some())
    }
}

/// The judgement of `klikon` on the current membership. A number may have stayed in a closed group and joined an active
/// one only after leaving it, so there is one current membership at most.
pub(super) async fn standing(db: &mut AnyConnection, caller: Msisdn) -> Result<Standing, StoreError> {
    let row = sqlx::query(
        "SELECT m.group_id, m.id AS member_id, CASE WHEN g.closed_at_ms IS NULL THEN 1 ELSE 0 END AS active, l.member_id AS leader_id
         FROM members m JOIN groups g ON g.id = m.group_id
         LEFT JOIN leaders l ON l.group_id = m.group_id AND l.until_ms IS NULL
         WHERE m.msisdn = $1 AND m.left_at_ms IS NULL",
    )
    .bind(caller.e164())
    .fetch_optional(db)
    .await?;
    row.map_or_else(|| Ok(klikon::standing(None)), |row| standing_of(&row))
}

/// The judgement on a current membership.
pub(super) fn standing_of(row: &AnyRow) -> Result<Standing, StoreError> {
    Ok(klikon::standing(Some(&Membership {
        group: GroupId(row.integer("group_id")?),
        member: MemberId(row.integer("member_id")?),
        group_active: row.integer("active")? == 1,
        leader: row.integer_option("leader_id")?.map(MemberId),
    })))
}

/// The current membership of a number in a group.
pub(super) async fn member(
    db: &mut AnyConnection,
    group: GroupId,
    number: Msisdn,
) -> Result<Option<Member>, StoreError> {
    let row = sqlx::query("SELECT * FROM members WHERE group_id = $1 AND msisdn = $2 AND left_at_ms IS NULL")
        .bind(group.0)
        .bind(number.e164())
        .fetch_optional(db)
        .await?;
    row.map(|row| super::groups::member_of(&row)).transpose()
}

/// What a group's month has left; the month's whole limit before its first booking.
pub(super) async fn remaining(
    db: &mut AnyConnection,
    group: GroupId,
    month: Month,
) -> Result<Money, StoreError> {
    match limit_month(db, group, month).await? {
        Some(kept) => Ok(left_of(&kept)),
        None => month_limit(db, month).await,
    }
}

/// The limit that the terms give a month.
pub(super) async fn month_limit(db: &mut AnyConnection, month: Month) -> Result<Money, StoreError> {
    let versions = terms_versions(db).await?;
    let version = klikon::month_terms(&versions, month).ok_or(StoreError::NoTerms)?;
    Ok(version.terms.limit)
}
