//! The outbox: what is to be delivered, and the mark that it was.

use super::columns::{Columns, corrupt};
use super::retry::retried;
use super::{Store, commit};
use crate::klikon::Audience;
use crate::store::{Order, OutboxContent, OutboxRow, Sms, StoreError};
use crate::units::failpoint;
use jiff::Timestamp;
use sqlx::any::AnyRow;

impl Store {
    /// The rows that are due, oldest first, at most `rows_max`. They stay due until they are marked as sent, so a row may
    /// come twice: deliveries must be idempotent by the row's number or the activation.
    pub async fn outbox_due(&self, rows_max: u32) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT o.*, v.member_msisdn, v.held_at_ms, p.name, g.contract
             FROM outbox o JOIN activations v ON v.id = o.activation_id
             JOIN packages p ON p.id = v.package_id JOIN groups g ON g.id = v.group_id
             WHERE o.state = 'due' ORDER BY o.id LIMIT $1",
        )
        .bind(i64::from(rows_max))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(row_of).collect()
    }

    /// Marks rows as sent; one that is sent already stays as it is.
    pub async fn outbox_sent(&self, ids: &[i64], at: Timestamp) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        retried(|| async {
            let mut write = self.booking().await?;
            for id in ids {
                sqlx::query(
                    "UPDATE outbox SET state = 'sent', sent_at_ms = $1 WHERE id = $2 AND state = 'due'",
                )
                .bind(at.as_millisecond())
                .bind(*id)
                .execute(&mut *write)
                .await?;
            }
            failpoint::MARK_SENT_BEFORE_COMMIT.reached();
            commit(write).await
        })
        .await
    }
}

fn row_of(row: &AnyRow) -> Result<OutboxRow, StoreError> {
    let activation = row.parsed("activation_id")?;
    let content = match row.text("kind")?.as_str() {
        "order" => OutboxContent::Order(Order {
            activation,
            msisdn: row.msisdn("member_msisdn")?,
            package: row.parsed("name")?,
            contract: row.contract("contract")?,
            confirmed_at: row.instant("held_at_ms")?,
            channel: "130".to_owned(),
        }),
        "sms" => OutboxContent::Sms(Sms {
            activation,
            recipient: row.msisdn("recipient")?,
            audience: audience_of(row)?,
            text: row.text("text")?,
        }),
        other => return Err(corrupt("kind", other)),
    };
    Ok(OutboxRow { id: row.integer("id")?, content })
}

pub(super) fn audience_label(audience: Audience) -> &'static str {
    match audience {
        Audience::Leader => "leader",
        Audience::Member => "member",
        Audience::Own => "own",
    }
}

pub(super) fn audience_of(row: &AnyRow) -> Result<Audience, StoreError> {
    match row.text("audience")?.as_str() {
        "leader" => Ok(Audience::Leader),
        "member" => Ok(Audience::Member),
        "own" => Ok(Audience::Own),
        other => Err(corrupt("audience", other)),
    }
}
