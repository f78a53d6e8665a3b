//! Bookings that calls have tried: written before the first try, so that whoever reads a call's record can ask the ledger
//! what became of each, even after the service was killed in between.

use super::columns::Columns;
use super::retry::retried;
use super::{ActivationOrder, HoldError, Store, StoreError, commit};
use crate::units::{CallId, PackageId, failpoint};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

impl Store {
    /// Keeps that a booking is about to be tried. The same again changes nothing. To be called before [`Store::hold`];
    /// where it fails, nothing may be tried. It is on the disk at the latest when the hold is.
    ///
    /// # Errors
    /// [`HoldError`]: the id was made for another booking.
    pub async fn record_attempt(&self, order: &ActivationOrder) -> Result<(), HoldError> {
        retried(|| async {
            let mut write = self.deferred().await?;
            let written = insert(&mut write, order).await?;
            if written {
                failpoint::ATTEMPT_BEFORE_COMMIT.reached();
                return Ok(commit(write).await?);
            }
            let known = sqlx::query("SELECT * FROM attempts WHERE activation_id = $1")
                .bind(order.id.to_string())
                .fetch_one(&mut *write)
                .await?;
            let same = ActivationOrder { at: order.at, ..attempt_of(&known)? } == *order;
            if same { Ok(()) } else { Err(HoldError::IdReused(order.id)) }
        })
        .await
    }

    /// The bookings that a call has tried, in the order of the tries. [`Store::activation`] says what became of one;
    /// `None` there: it was not booked.
    pub async fn attempts_of_call(&self, call: CallId) -> Result<Vec<ActivationOrder>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM attempts WHERE call_id = $1 ORDER BY tried_at_ms, activation_id")
                .bind(call.to_string())
                .fetch_all(&self.readers)
                .await?;
        rows.iter().map(attempt_of).collect()
    }
}

/// Writes that a booking is tried, unless that is on record; says whether it was not.
pub(super) async fn insert(db: &mut AnyConnection, order: &ActivationOrder) -> Result<bool, StoreError> {
    let written = sqlx::query(
        "INSERT INTO attempts (activation_id, call_id, caller_msisdn, member_msisdn, package_id,
             quoted_net_qindarka, tried_at_ms)
         SELECT $1, $2, $3, $4, $5, $6, $7
         WHERE NOT EXISTS (SELECT 1 FROM attempts WHERE activation_id = $1)",
    )
    .bind(order.id.to_string())
    .bind(order.call.to_string())
    .bind(order.caller.e164())
    .bind(order.member.e164())
    .bind(order.package.0)
    .bind(order.quoted_net.qindarka())
    .bind(order.at.as_millisecond())
    .execute(db)
    .await?;
    Ok(written.rows_affected() == 1)
}

fn attempt_of(row: &AnyRow) -> Result<ActivationOrder, StoreError> {
    Ok(ActivationOrder {
        id: row.parsed("activation_id")?,
        call: row.parsed("call_id")?,
        caller: row.msisdn("caller_msisdn")?,
        member: row.msisdn("member_msisdn")?,
        package: PackageId(row.integer("package_id")?),
        quoted_net: row.money("quoted_net_qindarka")?,
        at: row.instant("tried_at_ms")?,
    })
}
