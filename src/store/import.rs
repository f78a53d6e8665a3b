//! Imports: all rows in one transaction, or none.

use super::administration::{Change, ChangeKind};
use super::groups::{add_member, create_group, find_group, grant_leader};
use super::retry::retried;
use super::{Store, Write, catalogue, commit};
use crate::klikon;
use crate::store::{AdminError, ImportError, ImportRow, StoreError};
use jiff::Timestamp;

impl Store {
    /// Does all rows in one transaction and says for each what was done; on any error nothing is done and all errors are
    /// given. With `dry_run` nothing is kept, and the answer says what would be done.
    pub async fn import(
        &self,
        rows: &[ImportRow],
        at: Timestamp,
        dry_run: bool,
    ) -> Result<Result<Vec<String>, Vec<ImportError>>, StoreError> {
        retried(|| self.try_import(rows, at, dry_run)).await
    }

    async fn try_import(
        &self,
        rows: &[ImportRow],
        at: Timestamp,
        dry_run: bool,
    ) -> Result<Result<Vec<String>, Vec<ImportError>>, StoreError> {
        let mut write = self.write().await?;
        let (mut done, mut errors) = (Vec::new(), Vec::new());
        for (row, content) in rows.iter().enumerate() {
            match import_row(&mut write, content, at).await {
                Ok(what) => done.push(what),
                Err(AdminError::Store(error)) => return Err(error),
                Err(error) => errors.push(ImportError { row, error }),
            }
        }
        if !errors.is_empty() {
            return Ok(Err(errors));
        }
        if !dry_run {
            write
                .record_change(Change::new(ChangeKind::Imported, format!("{} lines", rows.len())), at)
                .await?;
            commit(write).await?;
        }
        Ok(Ok(done))
    }
}

async fn import_row(db: &mut Write, row: &ImportRow, at: Timestamp) -> Result<String, AdminError> {
    match row {
        ImportRow::Package(package) => {
            catalogue::add_package(db, package, klikon::day_of(at)).await?;
            Ok(format!("package {} at {} from {}", package.name, package.list, package.valid_from))
        }
        ImportRow::Member { contract, msisdn, leader } => {
            let mut steps = Vec::new();
            if find_group(db, contract).await?.is_none() {
                create_group(db, contract, at).await?;
                steps.push(format!("create the group of {contract}"));
            }
            add_member(db, contract, *msisdn, at).await?;
            steps.push(format!("add {} to the group of {contract}", msisdn.national()));
            if let Some((granted_by, channel)) = leader {
                grant_leader(db, contract, *msisdn, granted_by, channel, at).await?;
                steps.push(format!("grant him the right of the Lider Mobile, given by {granted_by}"));
            }
            Ok(steps.join("; "))
        }
    }
}
