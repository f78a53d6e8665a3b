//! `klikon admin history`: the trail of administration.

use super::Answer;
use super::table::{Table, local_time};
use crate::store::{HistoryFilter, Store};
use crate::units::{FixedNumber, Month};
use anyhow::Context;
use jiff::civil::Date;

/// The latest changes, oldest first.
pub(super) async fn show(
    store: &Store,
    contract: Option<FixedNumber>,
    since: Option<Date>,
    last: u32,
) -> anyhow::Result<Answer> {
    let begin = since.map(|day| day.to_zoned(Month::time_zone())).transpose();
    let since = begin.context("no such day; write it like 2026-11-01")?.map(|begin| begin.timestamp());
    let changes = store.history(&HistoryFilter { contract, since }, last).await?;
    let mut table =
        Table::new(&["when", "who", "what", "contract", "which", "before", "after", "reason"], &[]);
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    for change in &changes {
        table.row([
            local_time(change.at),
            change.actor.clone(),
            change.kind.label().to_owned(),
            change.contract.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            change.subject.clone(),
            or_dash(&change.before),
            or_dash(&change.after),
            or_dash(&change.reason),
        ]);
    }
    let mut answer = Answer::table(&table, &changes)?;
    if changes.len() == usize::try_from(last)? {
        answer.text += "these are the latest; --last shows more\n";
    }
    Ok(answer)
}
