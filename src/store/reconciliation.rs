//! What the ledger and those it speaks with do not agree on.

use super::months::CLOSE_GRACE;
use super::{Store, StoreError};
use crate::ledger::{Discrepancy, Unmatched, unmatched_lines};
use crate::store::columns::Columns;
use crate::units::Month;
use jiff::Timestamp;

impl Store {
    /// Everything unmatched at `now`, oldest first. Reads one closed month at a time.
    pub async fn reconcile(&self, now: Timestamp) -> Result<Vec<Discrepancy>, StoreError> {
        let mut found = self.unmatched_activations().await?;
        found.extend(self.open_months(now).await?);
        for closed in self.closed_months().await? {
            let Some(files) = self.bill_run(closed.month).await? else { continue };
            if (&files.csv_sha256, &files.json_sha256) != (&closed.csv_sha256, &closed.json_sha256) {
                let unmatched = Unmatched::ChangedRun { sequence: closed.sequence, month: closed.month };
                found.push(Discrepancy { unmatched, since: closed.closed_at });
            }
            found.extend(unmatched_lines(&files.run, &self.bill_acknowledgements(closed.month).await?));
        }
        found.sort_by_key(|discrepancy| discrepancy.since);
        Ok(found)
    }

    async fn unmatched_activations(&self) -> Result<Vec<Discrepancy>, StoreError> {
        let mut read = self.read_at_length().await?;
        let rows = sqlx::query(
            "SELECT v.id, v.month, v.held_at_ms FROM activations v
             LEFT JOIN settlements s ON s.activation_id = v.id WHERE s.activation_id IS NULL",
        )
        .fetch_all(&mut *read)
        .await?;
        rows.iter()
            .map(|row| {
                let unmatched =
                    Unmatched::Activation { activation: row.parsed("id")?, month: row.parsed("month")? };
                Ok(Discrepancy { unmatched, since: row.instant("held_at_ms")? })
            })
            .collect()
    }

    async fn open_months(&self, now: Timestamp) -> Result<Vec<Discrepancy>, StoreError> {
        let rows = sqlx::query(
            "SELECT m.month FROM months m WHERE m.sequence IS NULL
                 AND EXISTS (SELECT 1 FROM activations v WHERE v.month = m.month)",
        )
        .fetch_all(&self.readers)
        .await?;
        let months = rows.iter().map(|row| row.parsed::<Month>("month")).collect::<Result<Vec<_>, _>>()?;
        let over = |month: &Month| month.end().checked_add(CLOSE_GRACE).is_ok_and(|end| end <= now);
        let open =
            |month: Month| Discrepancy { unmatched: Unmatched::OpenMonth { month }, since: month.end() };
        Ok(months.into_iter().filter(over).map(open).collect())
    }
}
