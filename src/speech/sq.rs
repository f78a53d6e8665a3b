//! Albanian: from a value to the recorded units that speak it (DOMAIN §6.1, §6.2). The units of numbers are
//! `num-0` … `num-19`, the tens, hundreds and thousands up to `num-9000` (*një mijë* is one unit), `num-3f`
//! for the feminine *tri*, and `e`, which joins every level that is not zero.

use super::Unit;
use crate::units::{Money, Msisdn};

/// Largest number that the recorded units speak.
pub const MAX_NUMBER: i64 = 9_999;

/// Longest run of digits read out; E.164 has 15, and 00 before it.
pub const MAX_DIGITS: usize = 32;

/// Between the groups of a telephone number.
const GROUP_PAUSE_MS: u16 = 240;

/// The gender of the noun counted; Albanian tells them apart in 3 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gender {
    /// *tre lekë*; also a number by itself.
    Masculine,
    /// *tri paketa*.
    Feminine,
}

/// Why a value cannot be spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SayError {
    /// Outside 0 to [`MAX_NUMBER`].
    #[error("{0} cannot be spoken: the recorded units reach from 0 to {MAX_NUMBER}")]
    NumberOutOfRange(i64),
    /// Not 1 to 12.
    #[error("{0} is not a month")]
    NotAMonth(i64),
    /// Something else than digits, or more than [`MAX_DIGITS`] of them.
    #[error("a text that is not 1 to {MAX_DIGITS} digits cannot be read digit by digit")]
    NotDigits,
}

/// 0 to 9,999 in words.
pub fn say_number(number: i64, gender: Gender) -> Result<Vec<Unit>, SayError> {
    if !(0..=MAX_NUMBER).contains(&number) {
        return Err(SayError::NumberOutOfRange(number));
    }
    let thousands = number / 1000 * 1000;
    let hundreds = number % 1000 / 100 * 100;
    let below = number % 100;
    let (tens, units) = if below < 20 { (0, below) } else { (below / 10 * 10, below % 10) };
    let mut spoken = Vec::new();
    for level in [thousands, hundreds, tens, units] {
        if level == 0 {
            continue;
        }
        if !spoken.is_empty() {
            spoken.push(clip("e"));
        }
        spoken.push(match (level, gender) {
            (3, Gender::Feminine) => clip("num-3f"),
            _ => Unit::Clip(format!("num-{level}")),
        });
    }
    if spoken.is_empty() {
        spoken.push(clip("num-0"));
    }
    Ok(spoken)
}

/// An amount with its unit: *një lek*, *gjashtë mijë e pesëqind lekë*, and odd qindarka after *e*.
pub fn say_money(money: Money) -> Result<Vec<Unit>, SayError> {
    let qindarka = money.qindarka();
    if qindarka < 0 {
        return Err(SayError::NumberOutOfRange(qindarka / 100));
    }
    let (lek, odd) = (qindarka / 100, qindarka % 100);
    let mut spoken = Vec::new();
    if lek != 0 || odd == 0 {
        spoken = say_number(lek, Gender::Masculine)?;
        spoken.push(clip(if lek == 1 { "lek" } else { "leke" }));
    }
    if odd != 0 {
        if !spoken.is_empty() {
            spoken.push(clip("e"));
        }
        spoken.extend(say_number(odd, Gender::Feminine)?);
        spoken.push(clip(if odd == 1 { "qindarke" } else { "qindarka" }));
    }
    Ok(spoken)
}

/// Digit by digit.
pub fn say_digits(digits: &str) -> Result<Vec<Unit>, SayError> {
    let ascii = digits.bytes().all(|octet| octet.is_ascii_digit());
    if digits.is_empty() || digits.len() > MAX_DIGITS || !ascii {
        return Err(SayError::NotDigits);
    }
    Ok(digits.chars().map(|digit| Unit::Clip(format!("num-{digit}"))).collect())
}

/// A mobile number as it is keyed at home, in groups of 3, 3 and 4: 067 · 212 · 3456.
pub fn say_msisdn(number: Msisdn) -> Vec<Unit> {
    let national = number.national();
    let mut spoken = Vec::with_capacity(national.len() + 2);
    for (index, digit) in national.chars().enumerate() {
        if index == 3 || index == 6 {
            spoken.push(Unit::Pause { ms: GROUP_PAUSE_MS });
        }
        spoken.push(Unit::Clip(format!("num-{digit}")));
    }
    spoken
}

/// The name of a month, 1 to 12.
pub fn say_month(month: i64) -> Result<Vec<Unit>, SayError> {
    match month {
        1..=12 => Ok(vec![Unit::Clip(format!("month-{month}"))]),
        _ => Err(SayError::NotAMonth(month)),
    }
}

/// Every unit that the functions of this module may ask for, so that a prompt set can be checked whole.
pub fn unit_ids() -> Vec<String> {
    let numbers = (0..20).chain((20..100).step_by(10)).chain((100..1000).step_by(100));
    let numbers = numbers.chain((1000..=MAX_NUMBER).step_by(1000)).map(|number| format!("num-{number}"));
    let months = (1..=12).map(|month| format!("month-{month}"));
    let words = ["num-3f", "e", "lek", "leke", "qindarke", "qindarka"].map(str::to_owned);
    numbers.chain(months).chain(words).collect()
}

fn clip(id: &str) -> Unit {
    Unit::Clip(id.to_owned())
}

#[cfg(test)]
#[path = "sq_tests.rs"]
mod tests;
