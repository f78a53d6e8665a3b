//! Activations, read.

use super::Store;
use super::columns::{Columns, corrupt};
use crate::store::{Activation, ActivationState, BookFilter, StoreError};
use crate::units::{ActivationId, CallId, GroupId, PackageId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// An activation with its package's name, its settlement and its reversal; a condition follows.
macro_rules! select_activation {
    ($condition:literal) => {
        concat!(
            "SELECT v.*, p.name, s.result, s.reason, r.reason AS reversal FROM activations v
             JOIN packages p ON p.id = v.package_id LEFT JOIN settlements s ON s.activation_id = v.id
             LEFT JOIN reversals r ON r.activation_id = v.id WHERE ",
            $condition
        )
    };
}
pub(super) use select_activation;

pub(super) const ACTIVATIONS_OF_GROUP: &str =
    select_activation!("v.group_id = $1 ORDER BY v.held_at_ms, v.id");
pub(super) const ACTIVATIONS_OF_MONTH: &str = select_activation!("v.month = $1 ORDER BY v.held_at_ms, v.id");
pub(super) const ACTIVATIONS_OF_BOTH: &str =
    select_activation!("v.group_id = $1 AND v.month = $2 ORDER BY v.held_at_ms, v.id");

impl Store {
    /// An activation and what it is now.
    pub async fn activation(&self, id: ActivationId) -> Result<Option<Activation>, StoreError> {
        activation(&mut *self.reader().await?, id).await
    }

    /// The activations of a call, oldest first.
    pub async fn activations_of_call(&self, call: CallId) -> Result<Vec<Activation>, StoreError> {
        let rows = sqlx::query(select_activation!("v.call_id = $1 ORDER BY v.held_at_ms, v.id"))
            .bind(call.to_string())
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(activation_of).collect()
    }

    /// The activations of a group, a month, or all, oldest first.
    pub async fn activations(&self, filter: BookFilter) -> Result<Vec<Activation>, StoreError> {
        // A statement for each filter: with `$1 IS NULL OR …` a database reads the whole table.
        let query = match (filter.group, filter.month.map(|month| month.to_string())) {
            (None, None) => sqlx::query(select_activation!("1 = 1 ORDER BY v.held_at_ms, v.id")),
            (Some(group), None) => sqlx::query(ACTIVATIONS_OF_GROUP).bind(group.0),
            (None, Some(month)) => sqlx::query(ACTIVATIONS_OF_MONTH).bind(month),
            (Some(group), Some(month)) => sqlx::query(ACTIVATIONS_OF_BOTH).bind(group.0).bind(month),
        };
        let rows = query.fetch_all(&self.readers).await?;
        rows.iter().map(activation_of).collect()
    }
}

pub(super) async fn activation(
    db: &mut AnyConnection,
    id: ActivationId,
) -> Result<Option<Activation>, StoreError> {
    let row = sqlx::query(select_activation!("v.id = $1")).bind(id.to_string()).fetch_optional(db).await?;
    row.map(|row| activation_of(&row)).transpose()
}

pub(super) fn activation_of(row: &AnyRow) -> Result<Activation, StoreError> {
    let state = match (row.text_option("result")?.as_deref(), row.text_option("reason")?) {
        (None, None) => ActivationState::Pending,
        (Some("post"), None) => match row.text_option("reversal")? {
            None => ActivationState::Posted,
            Some(reason) => ActivationState::Reversed { reason },
        },
        (Some("void"), Some(reason)) => ActivationState::Voided { reason },
        (other, _) => return Err(corrupt("result", other.unwrap_or_default())),
    };
    Ok(Activation {
        id: row.parsed("id")?,
        call: row.parsed("call_id")?,
        group: GroupId(row.integer("group_id")?),
        caller: row.msisdn("caller_msisdn")?,
        member: row.msisdn("member_msisdn")?,
        package: PackageId(row.integer("package_id")?),
        name: row.parsed("name")?,
        list: row.money("list_qindarka")?,
        discount: row.money("discount_qindarka")?,
        net: row.money("net_qindarka")?,
        month: row.parsed("month")?,
        held_at: row.instant("held_at_ms")?,
        state,
    })
}
