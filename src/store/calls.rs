//! Call records.

use super::columns::{Columns, corrupt};
use super::retry::retried;
use super::{Store, Write, commit};
use crate::store::{CallEnd, CallRecord, Origin, StoreError};
use crate::units::CallId;
use sqlx::any::AnyRow;

impl Store {
    /// Keeps the record of a call. The record of a call that has one already stays as it was first written.
    pub async fn record_call(&self, record: &CallRecord) -> Result<(), StoreError> {
        let nodes = serde_json::to_string(&record.nodes)
            .map_err(|error| StoreError::Corrupt(format!("nodes: {error}")))?;
        let stated = serde_json::to_string(&record.origin.stated)
            .map_err(|error| StoreError::Corrupt(format!("stated: {error}")))?;
        let media = record.media.as_ref().map(serde_json::to_string).transpose();
        let media = media.map_err(|error| StoreError::Corrupt(format!("media: {error}")))?;
        retried(|| async {
            insert_call(self.booking().await?, record, &nodes, &stated, media.as_deref()).await
        })
        .await
    }

    /// The record of a call.
    pub async fn call(&self, id: CallId) -> Result<Option<CallRecord>, StoreError> {
        let row = sqlx::query("SELECT * FROM calls WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| call_of(&row)).transpose()
    }

    /// The latest call records, newest first, at most `rows_max`; with `caller`, those of that number in E.164 form.
    pub async fn calls(&self, caller: Option<&str>, rows_max: u32) -> Result<Vec<CallRecord>, StoreError> {
        let rows = match caller {
            None => sqlx::query("SELECT * FROM calls ORDER BY received_at_ms DESC, id DESC LIMIT $1"),
            Some(caller) => sqlx::query(
                "SELECT * FROM calls WHERE caller = $1 ORDER BY received_at_ms DESC, id DESC LIMIT $2",
            )
            .bind(caller),
        };
        let rows = rows.bind(i64::from(rows_max)).fetch_all(&self.readers).await?;
        rows.iter().map(call_of).collect()
    }

    /// The call records that `name` names, newest first, at most `rows_max`: by the call's id, its SIP Call-ID, or the
    /// charging id that other networks' records have too.
    pub async fn calls_named(&self, name: &str, rows_max: u32) -> Result<Vec<CallRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM calls WHERE id = $1 OR sip_call_id = $1 OR charging_id = $1
             ORDER BY received_at_ms DESC, id DESC LIMIT $2",
        )
        .bind(name)
        .bind(i64::from(rows_max))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(call_of).collect()
    }
}

async fn insert_call(
    mut write: Write,
    record: &CallRecord,
    nodes: &str,
    stated: &str,
    media: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO calls (id, sip_call_id, caller, called, received_at_ms, answered_at_ms, ended_at_ms,
                            end_cause, reason, outcome, nodes, free_of_charge, peer, user_name, charging_id,
                            routing_number, stated, media)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
         WHERE NOT EXISTS (SELECT 1 FROM calls WHERE id = $1)",
    )
    .bind(record.id.to_string())
    .bind(&record.sip_call_id)
    .bind(&record.caller)
    .bind(&record.called)
    .bind(record.received_at.as_millisecond())
    .bind(record.answered_at.map(|at| at.as_millisecond()))
    .bind(record.ended_at.as_millisecond().max(record.received_at.as_millisecond()))
    .bind(record.end.label())
    .bind(&record.reason)
    .bind(&record.outcome)
    .bind(nodes)
    .bind(i64::from(record.free_of_charge))
    .bind(&record.origin.peer)
    .bind(&record.origin.user)
    .bind(&record.origin.charging_id)
    .bind(&record.origin.routing_number)
    .bind(stated)
    .bind(media)
    .execute(&mut *write)
    .await?;
    commit(write).await
}

fn call_of(row: &AnyRow) -> Result<CallRecord, StoreError> {
    let (end, nodes) = (row.text("end_cause")?, row.text("nodes")?);
    let (stated, media) = (row.text_option("stated")?, row.text_option("media")?);
    Ok(CallRecord {
        id: row.parsed("id")?,
        sip_call_id: row.text("sip_call_id")?,
        caller: row.text_option("caller")?,
        called: row.text("called")?,
        received_at: row.instant("received_at_ms")?,
        answered_at: row.instant_option("answered_at_ms")?,
        ended_at: row.instant("ended_at_ms")?,
        end: CallEnd::from_label(&end).ok_or_else(|| corrupt("end_cause", &end))?,
        reason: row.text_option("reason")?,
        outcome: row.text("outcome")?,
        nodes: serde_json::from_str(&nodes).map_err(|_| corrupt("nodes", &nodes))?,
        free_of_charge: row.integer("free_of_charge")? == 1,
        media: match &media {
            Some(media) => serde_json::from_str(media).map_err(|_| corrupt("media", media))?,
            None => None,
        },
        origin: Origin {
            peer: row.text_option("peer")?,
            user: row.text_option("user_name")?,
            charging_id: row.text_option("charging_id")?,
            routing_number: row.text_option("routing_number")?,
            // Records of an earlier version have none.
            stated: match &stated {
                Some(stated) => serde_json::from_str(stated).map_err(|_| corrupt("stated", stated))?,
                None => Vec::new(),
            },
        },
    })
}
