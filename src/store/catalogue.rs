//! Terms and packages, in their dated versions (DOMAIN §2.1, §7).

use super::administration::{Change, ChangeKind, Entered, entered_of};
use super::columns::Columns;
use super::{Store, Write};
use crate::klikon::{self, Package, PackageName, Terms, TermsVersion};
use crate::store::{AdminError, NewPackage, StoreError};
use crate::units::{Money, Month, PackageId};
use jiff::Timestamp;
use jiff::civil::{Date, date};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// The day of the source page that the first terms are dated with (DOMAIN, introduction).
const FIRST_DAY: Date = date(2020, 5, 14);

/// Super Pa Limit (DOMAIN §2.1): the price in Lek equals the name. Super 400 is sold, but not on 130.
const FIRST_PACKAGES: [i32; 5] = [400, 700, 1100, 1300, 1900];

impl Store {
    /// All versions of the terms, oldest first.
    pub async fn terms(&self) -> Result<Vec<TermsVersion>, StoreError> {
        terms_versions(&mut *self.reader().await?).await
    }

    /// The same, each with who entered it and why.
    pub async fn terms_entered(&self) -> Result<Vec<(TermsVersion, Option<Entered>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT t.*, a.actor AS entered_by, a.at_ms AS entered_at_ms, a.reason AS entered_reason
             FROM terms t LEFT JOIN administration a ON a.kind = 'terms-added' AND a.record_id = t.id
             ORDER BY t.effective_on",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| Ok((terms_of(row)?, entered_of(row)?))).collect()
    }

    /// Enters the next version of the terms. `today` is the day in Tirane.
    pub async fn add_terms(&self, version: TermsVersion, today: Date) -> Result<(), AdminError> {
        self.change(|mut db| async move { Ok((add_terms(&mut db, version, today).await?, db)) }).await
    }

    /// All versions of all packages, by name and then by day.
    pub async fn packages(&self) -> Result<Vec<Package>, StoreError> {
        package_versions(&mut *self.reader().await?).await
    }

    /// The same, each with who entered it and why.
    pub async fn packages_entered(&self) -> Result<Vec<(Package, Option<Entered>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT p.*, a.actor AS entered_by, a.at_ms AS entered_at_ms, a.reason AS entered_reason
             FROM packages p LEFT JOIN administration a ON a.kind = 'package-added' AND a.record_id = p.id",
        )
        .fetch_all(&self.readers)
        .await?;
        let mut packages: Vec<(Package, Option<Entered>)> = rows
            .iter()
            .map(|row| Ok((package_of(row, row.integer("id")?)?, entered_of(row)?)))
            .collect::<Result<_, StoreError>>()?;
        packages.sort_by_key(|(package, _)| (package.name, package.valid_from));
        Ok(packages)
    }

    /// Enters a package, or another price of one. `today` is the day in Tirane.
    pub async fn add_package(&self, package: &NewPackage, today: Date) -> Result<PackageId, AdminError> {
        self.change(|mut db| async move { Ok((add_package(&mut db, package, today).await?, db)) }).await
    }

    /// Sells a package until the day before `until`, and not from then on.
    pub async fn retire_package(
        &self,
        name: PackageName,
        until: Date,
        today: Date,
    ) -> Result<(), AdminError> {
        if until < today {
            return Err(AdminError::InThePast { day: until, today });
        }
        self.change(|mut db| async move { Ok((retire_package(&mut db, name, until, today).await?, db)) })
            .await
    }

    /// Puts the first catalogue and terms (DOMAIN §2.1, §3.1, §3.2) into a database that has none. What is there stays.
    /// Says whether anything was put in.
    pub async fn seed_catalogue(&self, today: Date) -> Result<bool, AdminError> {
        self.change(|mut db| async move { Ok((seed_catalogue(&mut db, today).await?, db)) }).await
    }
}

/// When a day begins in Tirane: the moment of a change of which only the day is known.
fn begin_of(day: Date) -> Timestamp {
    day.to_zoned(Month::time_zone()).map_or(Timestamp::MAX, |begin| begin.timestamp())
}

async fn retire_package(
    db: &mut Write,
    name: PackageName,
    until: Date,
    today: Date,
) -> Result<(), AdminError> {
    let versions = package_versions(db).await?;
    let open = versions.iter().find(|v| v.name == name && v.valid_until.is_none());
    let open = open.ok_or(AdminError::NoPackage(name))?;
    if until < open.valid_from {
        return Err(AdminError::EndsBeforeItBegins { name, from: open.valid_from, until });
    }
    sqlx::query("UPDATE packages SET valid_until = $1 WHERE id = $2")
        .bind(until.to_string())
        .bind(open.id.0)
        .execute(&mut **db)
        .await?;
    let change = Change::new(ChangeKind::PackageRetired, name.to_string()).record(open.id.0);
    let change = change.before("sold without end").after(format!("sold until {until}, that day left out"));
    Ok(db.record_change(change, begin_of(today)).await?)
}

async fn seed_catalogue(db: &mut Write, today: Date) -> Result<bool, AdminError> {
    let (terms, packages) = (terms_versions(db).await?.is_empty(), package_versions(db).await?.is_empty());
    if terms {
        let version =
            TermsVersion { terms: Terms::first(), announced_on: FIRST_DAY, effective_on: FIRST_DAY };
        add_terms(db, version, today).await?;
    }
    for price in packages.then_some(FIRST_PACKAGES).into_iter().flatten() {
        let name = format!("Super {price}").parse().map_err(|e| StoreError::Corrupt(format!("{e}")))?;
        let package = NewPackage {
            name,
            list: Money::from_lek(price),
            announced_on: FIRST_DAY,
            valid_from: FIRST_DAY,
            valid_until: None,
        };
        add_package(db, &package, today).await?;
    }
    Ok(terms || packages)
}

async fn add_terms(db: &mut Write, version: TermsVersion, today: Date) -> Result<(), AdminError> {
    let versions = terms_versions(db).await?;
    let previous = versions.last();
    let previous_on = previous.map(|previous| previous.effective_on);
    klikon::check_notice(previous_on, version.announced_on, version.effective_on, today)?;
    let row = sqlx::query(
        "INSERT INTO terms (discount_qindarka, limit_qindarka, lowest_package_qindarka, members_max,
                            announced_on, effective_on, recorded_on)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
    )
    .bind(version.terms.discount.qindarka())
    .bind(version.terms.limit.qindarka())
    .bind(version.terms.lowest_package.qindarka())
    .bind(i64::from(version.terms.members_max))
    .bind(version.announced_on.to_string())
    .bind(version.effective_on.to_string())
    .bind(today.to_string())
    .fetch_one(&mut **db)
    .await?;
    let mut change = Change::new(ChangeKind::TermsAdded, format!("terms from {}", version.effective_on));
    change.before = previous.map(|previous| terms_text(&previous.terms));
    let after = format!("{}, announced on {}", terms_text(&version.terms), version.announced_on);
    Ok(db.record_change(change.record(row.integer("id")?).after(after), begin_of(today)).await?)
}

fn terms_text(terms: &Terms) -> String {
    let Terms { discount, limit, lowest_package, members_max } = terms;
    format!(
        "discount {discount}, limit {limit}, lowest package {lowest_package}, {members_max} members at most"
    )
}

/// Enters one version; the rules on notice and overlap are said here in words, and held by the database's triggers.
pub(super) async fn add_package(
    db: &mut Write,
    package: &NewPackage,
    today: Date,
) -> Result<PackageId, AdminError> {
    let NewPackage { name, list, announced_on, valid_from, valid_until } = *package;
    if let Some(until) = valid_until
        && until <= valid_from
    {
        return Err(AdminError::EndsBeforeItBegins { name, from: valid_from, until });
    }
    let versions: Vec<Package> =
        package_versions(db).await?.into_iter().filter(|version| version.name == name).collect();
    let overlaps = |v: &&Package| {
        v.valid_until.is_none_or(|until| until > valid_from)
            && valid_until.is_none_or(|until| v.valid_from < until)
    };
    if let Some(version) = versions.iter().find(overlaps) {
        return Err(AdminError::PackageOverlap { name, from: version.valid_from });
    }
    let previous = versions.iter().map(|version| version.valid_from).max();
    klikon::check_notice(previous, announced_on, valid_from, today)?;
    let row = sqlx::query(
        "INSERT INTO packages (name, list_qindarka, announced_on, valid_from, valid_until, recorded_on)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
    )
    .bind(name.to_string())
    .bind(list.qindarka())
    .bind(announced_on.to_string())
    .bind(valid_from.to_string())
    .bind(valid_until.map(|day| day.to_string()))
    .bind(today.to_string())
    .fetch_one(&mut **db)
    .await?;
    let id = row.integer("id")?;
    let mut change = Change::new(ChangeKind::PackageAdded, name.to_string()).record(id);
    let latest = versions.iter().max_by_key(|version| version.valid_from);
    change.before = latest.map(|version| format!("{} from {}", version.list, version.valid_from));
    let until = valid_until.map_or_else(String::new, |day| format!(" until {day}, that day left out"));
    let after = format!("{list} from {valid_from}{until}, announced on {announced_on}");
    db.record_change(change.after(after), begin_of(today)).await?;
    Ok(PackageId(id))
}

pub(super) async fn terms_versions(db: &mut AnyConnection) -> Result<Vec<TermsVersion>, StoreError> {
    let rows = sqlx::query("SELECT * FROM terms ORDER BY effective_on").fetch_all(db).await?;
    rows.iter().map(terms_of).collect()
}

/// The terms in force on a day, with the number of their row.
pub(super) async fn terms_on(db: &mut AnyConnection, day: Date) -> Result<(i64, Terms), StoreError> {
    let row = sqlx::query("SELECT * FROM terms WHERE effective_on <= $1 ORDER BY effective_on DESC LIMIT 1")
        .bind(day.to_string())
        .fetch_optional(db)
        .await?;
    let row = row.ok_or(StoreError::NoTerms)?;
    Ok((row.integer("id")?, terms_of(&row)?.terms))
}

pub(super) fn terms_of(row: &AnyRow) -> Result<TermsVersion, StoreError> {
    let members_max = row.integer("members_max")?;
    Ok(TermsVersion {
        terms: Terms {
            discount: row.money("discount_qindarka")?,
            limit: row.money("limit_qindarka")?,
            lowest_package: row.money("lowest_package_qindarka")?,
            members_max: u8::try_from(members_max)
                .map_err(|_| super::columns::corrupt("members_max", &members_max.to_string()))?,
        },
        announced_on: row.day("announced_on")?,
        effective_on: row.day("effective_on")?,
    })
}

pub(super) async fn package_versions(db: &mut AnyConnection) -> Result<Vec<Package>, StoreError> {
    let rows = sqlx::query("SELECT * FROM packages").fetch_all(db).await?;
    let mut packages: Vec<Package> =
        rows.iter().map(|row| package_of(row, row.integer("id")?)).collect::<Result<_, _>>()?;
    packages.sort_by_key(|package| (package.name, package.valid_from));
    Ok(packages)
}

pub(super) fn package_of(row: &AnyRow, id: i64) -> Result<Package, StoreError> {
    Ok(Package {
        id: PackageId(id),
        name: row.parsed("name")?,
        list: row.money("list_qindarka")?,
        valid_from: row.day("valid_from")?,
        valid_until: row.parsed_option("valid_until")?,
    })
}
