//! `klikon admin contact` and `klikon admin erase`: what names people.

use super::Answer;
use super::arguments::ContactCommand;
use super::table::Table;
use crate::store::{Erased, Store};
use crate::units::{FixedNumber, Msisdn};
use jiff::Timestamp;
use serde_json::json;

pub(super) async fn run(command: ContactCommand, store: &Store, now: Timestamp) -> anyhow::Result<Answer> {
    match command {
        ContactCommand::Set { contract, name, email } => {
            store.set_contact(&contract, name.as_deref(), email.as_deref(), now).await?;
            Ok(Answer::done(format!("the Lideri Fiks of {contract} is known")))
        }
        ContactCommand::Show { contract } => {
            let contact = store.contact(&contract).await?;
            let mut table = Table::new(&["contract", "name", "e-mail"], &[]);
            if let Some(contact) = &contact {
                let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
                table.row([contract.to_string(), or_dash(&contact.name), or_dash(&contact.email)]);
            }
            Answer::table(&table, contact)
        }
    }
}

/// Erases what names the people of a contract, or of a number.
pub(super) async fn erase(
    contract: Option<FixedNumber>,
    number: Option<Msisdn>,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<Answer> {
    let (whose, erased) = match (contract, number) {
        (Some(contract), _) => (contract.to_string(), store.erase_contract(&contract, now).await?),
        (None, Some(number)) => (number.national(), store.erase_number(number, now).await?),
        (None, None) => anyhow::bail!("whose data? write --contract or --number"),
    };
    Ok(Answer { text: erased_text(&whose, &erased), json: json!({ "of": whose, "erased": erased }) })
}

fn erased_text(whose: &str, erased: &Erased) -> String {
    if erased.is_nothing() {
        format!("nothing of {whose} names a person any more\n")
    } else {
        format!("erased of {whose}: {erased}\n")
    }
}
