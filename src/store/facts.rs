//! What a hold goes by, read in one statement of the transaction that books: the same facts that the call asked for one by
//! one (`standing.rs`, `catalogue.rs`), so that nothing of them can be another by now.

use super::StoreError;
use super::catalogue::{package_of, terms_of};
use super::columns::Columns;
use super::posting::limit_month_of;
use super::standing::standing_of;
use crate::klikon::{self, Package, Standing, Terms};
use crate::ledger::LimitMonth;
use crate::store::ActivationOrder;
use crate::units::{MemberId, Month};
use jiff::civil::Date;
use sqlx::AnyConnection;

/// The facts.
pub(super) struct Facts {
    /// Whether the order was booked before.
    pub(super) known: bool,
    /// Whether its attempt is on record.
    pub(super) attempted: bool,
    /// Whether anything was booked in the month.
    pub(super) month_begun: bool,
    /// Whether nothing may be booked in it any more.
    pub(super) month_closed: bool,
    /// Who the caller is.
    pub(super) caller: Standing,
    /// The membership of the member's number in the caller's group.
    pub(super) member: Option<MemberId>,
    /// What is kept of the group's month; nothing before its first booking.
    pub(super) kept: Option<LimitMonth>,
    /// The package.
    pub(super) package: Option<Package>,
    /// The terms in force on the day, with the number of their row.
    pub(super) terms: Option<(i64, Terms)>,
}

/// Reads what an order goes by, on a day of a month.
pub(super) async fn facts(
    db: &mut AnyConnection,
    order: &ActivationOrder,
    day: Date,
    month: Month,
) -> Result<Facts, StoreError> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM activations WHERE id = $1) AS known,
                (SELECT COUNT(*) FROM attempts WHERE activation_id = $1) AS attempted,
                (SELECT COUNT(*) FROM months WHERE month = $2) AS begun,
                (SELECT COUNT(*) FROM closed_months WHERE month = $2) AS closed,
                m.group_id, m.id AS member_id, CASE WHEN g.closed_at_ms IS NULL THEN 1 ELSE 0 END AS active,
                l.member_id AS leader_id, o.id AS ordered_for,
                k.granted_qindarka, k.used_qindarka, k.chain_length, k.chain_head,
                p.id AS package_id, p.name, p.list_qindarka, p.valid_from, p.valid_until,
                t.id AS terms_id, t.discount_qindarka, t.limit_qindarka, t.lowest_package_qindarka, t.members_max,
                t.announced_on, t.effective_on
         FROM (SELECT 1 AS one) AS order_row
         LEFT JOIN members m ON m.msisdn = $3 AND m.left_at_ms IS NULL
         LEFT JOIN groups g ON g.id = m.group_id
         LEFT JOIN leaders l ON l.group_id = m.group_id AND l.until_ms IS NULL
         LEFT JOIN members o ON o.msisdn = $4 AND o.left_at_ms IS NULL AND o.group_id = m.group_id
         LEFT JOIN limit_months k ON k.group_id = m.group_id AND k.month = $2
         LEFT JOIN packages p ON p.id = $5
         LEFT JOIN terms t ON t.effective_on = (SELECT MAX(effective_on) FROM terms WHERE effective_on <= $6)",
    )
    .bind(order.id.to_string())
    .bind(month.to_string())
    .bind(order.caller.e164())
    .bind(order.member.e164())
    .bind(order.package.0)
    .bind(day.to_string())
    .fetch_one(db)
    .await?;
    let caller = match row.integer_option("group_id")? {
        None => klikon::standing(None),
        Some(_) => standing_of(&row)?,
    };
    Ok(Facts {
        known: row.integer("known")? > 0,
        attempted: row.integer("attempted")? > 0,
        month_begun: row.integer("begun")? > 0,
        month_closed: row.integer("closed")? > 0,
        caller,
        member: row.integer_option("ordered_for")?.map(MemberId),
        kept: row.integer_option("chain_length")?.map(|_| limit_month_of(&row)).transpose()?,
        package: row.integer_option("package_id")?.map(|id| package_of(&row, id)).transpose()?,
        terms: match row.integer_option("terms_id")? {
            None => None,
            Some(id) => Some((id, terms_of(&row)?.terms)),
        },
    })
}
