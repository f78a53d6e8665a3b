//! What administrators write, parsed with errors that say how to write it.

use crate::units::{FixedNumber, Money, Msisdn};
use jiff::civil::Date;
use rust_decimal::Decimal;

/// A name, a reason: one line of text that says something.
pub(in crate::cli) fn words(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("there is nothing in it; write a name, or a reason".to_owned()),
        words if words.chars().any(char::is_control) => Err("it has control characters".to_owned()),
        words => Ok(words.to_owned()),
    }
}

/// A fixed line.
pub(in crate::cli) fn contract(text: &str) -> Result<FixedNumber, String> {
    FixedNumber::parse(text).map_err(|_| {
        "a fixed line has eight digits after 0, area code first; write it like 042250928".to_owned()
    })
}

/// A mobile number.
pub(in crate::cli) fn msisdn(text: &str) -> Result<Msisdn, String> {
    Msisdn::parse(text).map_err(|error| format!("{error}; write it like 0672123456"))
}

/// A calendar day in Tirane.
pub(in crate::cli) fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "a day is written like 2026-12-31".to_owned())
}

/// An amount of Lek, zero or more.
pub(in crate::cli) fn amount(text: &str) -> Result<Money, String> {
    let lek: Decimal =
        text.parse().map_err(|_| "an amount of Lek is written like 1100 or 16.20".to_owned())?;
    let money = Money::try_from(lek).map_err(|error| error.to_string())?;
    if money.is_negative() { Err("an amount is not below zero".to_owned()) } else { Ok(money) }
}

/// An amount of Lek, more than zero.
pub(in crate::cli) fn price(text: &str) -> Result<Money, String> {
    amount(text).and_then(|money| {
        if money == Money::ZERO { Err("a price is more than zero".to_owned()) } else { Ok(money) }
    })
}
