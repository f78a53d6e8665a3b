//! The operator's part: a batch that finds orders and SMS in the spool folder and drops acknowledgements back.

use super::case::Acknowledgement;
use super::journal::{Journal, SPOOL, Step};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::AbortHandle;

/// Between two looks at the folder: a folder does not say that it has changed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A watch that ends when it is dropped.
pub struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tells the journal of each order and each SMS that appears: `order`, `sms`.
pub fn watch(spool: PathBuf, journal: Journal) -> Watch {
    let looking = async move {
        let mut seen = BTreeSet::new();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            for (folder, label) in [("orders", "order"), ("sms", "sms")] {
                for file in files(&spool.join(folder)) {
                    if seen.insert(file) {
                        journal.add(Step { source: SPOOL.to_owned(), label: label.to_owned() });
                    }
                }
            }
        }
    };
    Watch(tokio::spawn(looking).abort_handle())
}

/// Acknowledges every order that lies in the folder.
pub fn acknowledge(spool: &Path, answer: Acknowledgement) -> Result<()> {
    let orders = files(&spool.join("orders"));
    ensure!(!orders.is_empty(), "there is no order to acknowledge; wait for `order` of `spool` first");
    for order in orders {
        let name = order.file_name().context("an order has a name")?;
        let text = std::fs::read_to_string(&order)?;
        let content: serde_json::Value = serde_json::from_str(&text)?;
        let activation =
            content.get("activation").and_then(|id| id.as_str()).context("an order says its id")?;
        let mut acknowledgement = serde_json::json!({ "activation": activation, "result": "activated" });
        if answer == Acknowledgement::Rejected {
            acknowledgement["result"] = "rejected".into();
            acknowledgement["reason"] = "number barred".into();
        }
        // Aside first, so that it is whole when it appears.
        let aside = spool.join(name);
        std::fs::write(&aside, acknowledgement.to_string())?;
        std::fs::rename(&aside, spool.join("acks").join(name))?;
    }
    Ok(())
}

/// The numbers that SMS were written to, sorted.
pub fn recipients(spool: &Path) -> Result<Vec<String>> {
    let mut numbers = Vec::new();
    for file in files(&spool.join("sms")) {
        let sms: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        let number =
            sms.get("recipient").and_then(|number| number.as_str()).context("an SMS has a recipient")?;
        numbers.push(number.to_owned());
    }
    numbers.sort();
    Ok(numbers)
}

/// The whole files of a folder; none while the folder is missing.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')))
        .collect()
}
