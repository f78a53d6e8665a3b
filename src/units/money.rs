//! Money: whole qindarka (1 Lek = 100), decimal in code, never binary floating point (DOMAIN §3.5).

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount in Lek with at most two decimals, that is, a whole number of qindarka. May be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "Decimal", into = "Decimal")]
pub struct Money(Decimal);

/// Why a number is not an amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// More than two decimals: not a whole number of qindarka.
    #[error("{0} Lek is not a whole number of qindarka (at most two decimals)")]
    FractionOfQindarka(Decimal),
    /// Too large for the ledger's 64-bit qindarka.
    #[error("{0} Lek is beyond what the ledger holds")]
    OutOfRange(Decimal),
}

impl Money {
    /// No money.
    pub const ZERO: Self = Self(Decimal::ZERO);

    /// From whole qindarka, as the ledger stores them.
    pub fn from_qindarka(qindarka: i64) -> Self {
        Self(Decimal::new(qindarka, 2))
    }

    /// From whole Lek.
    pub fn from_lek(lek: i32) -> Self {
        Self::from_qindarka(i64::from(lek) * 100)
    }

    /// Whole qindarka, as the ledger stores them.
    pub fn qindarka(self) -> i64 {
        let mut scaled = self.0 * Decimal::ONE_HUNDRED;
        scaled.rescale(0);
        // The constructors admit only whole qindarka within i64.
        i64::try_from(scaled.mantissa()).unwrap_or(i64::MAX)
    }

    /// The amount in Lek.
    pub fn lek(self) -> Decimal {
        self.0
    }

    /// The whole Lek, when there are no odd qindarka.
    pub fn whole_lek(self) -> Option<i64> {
        let qindarka = self.qindarka();
        (qindarka % 100 == 0).then_some(qindarka / 100)
    }

    /// Sum, or `None` beyond the ledger's range.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.qindarka().checked_add(other.qindarka()).map(Self::from_qindarka)
    }

    /// Difference, or `None` beyond the ledger's range.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.qindarka().checked_sub(other.qindarka()).map(Self::from_qindarka)
    }

    /// Whether the amount is below zero.
    pub fn is_negative(self) -> bool {
        self < Self::ZERO
    }
}

impl TryFrom<Decimal> for Money {
    type Error = MoneyError;

    fn try_from(lek: Decimal) -> Result<Self, MoneyError> {
        let qindarka = lek.checked_mul(Decimal::ONE_HUNDRED).ok_or(MoneyError::OutOfRange(lek))?;
        if !qindarka.is_integer() {
            return Err(MoneyError::FractionOfQindarka(lek));
        }
        i64::try_from(qindarka).map(Self::from_qindarka).map_err(|_| MoneyError::OutOfRange(lek))
    }
}

impl From<Money> for Decimal {
    fn from(money: Money) -> Self {
        money.0
    }
}

/// As Albanian writes it: `6 500 lekë` with no-break spaces, `1 lek`, `16,20 lekë` (DOMAIN §6.2).
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let qindarka = self.qindarka();
        let (lek, odd) = (qindarka.unsigned_abs() / 100, qindarka.unsigned_abs() % 100);
        let digits = lek.to_string();
        if qindarka < 0 {
            f.write_str("\u{2212}")?;
        }
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str("\u{a0}")?;
            }
            write!(f, "{digit}")?;
        }
        if odd != 0 {
            write!(f, ",{odd:02}")?;
        }
        f.write_str(if lek == 1 && odd == 0 { "\u{a0}lek" } else { "\u{a0}lekë" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes_as_the_domain_says() {
        assert_eq!(Money::from_lek(6500).to_string(), "6\u{a0}500\u{a0}lekë");
        assert_eq!(Money::from_lek(1).to_string(), "1\u{a0}lek");
        assert_eq!(Money::from_qindarka(1620).to_string(), "16,20\u{a0}lekë");
        assert_eq!(Money::from_lek(-900).to_string(), "\u{2212}900\u{a0}lekë");
        assert_eq!(Money::from_lek(1_234_567).to_string(), "1\u{a0}234\u{a0}567\u{a0}lekë");
    }

    #[test]
    fn refuses_fractions_of_a_qindarka_and_what_the_ledger_cannot_hold() {
        let tenth: Decimal = "16.2".parse().unwrap();
        assert_eq!(Money::try_from(tenth).unwrap().qindarka(), 1620);
        let thousandth: Decimal = "0.001".parse().unwrap();
        assert_eq!(Money::try_from(thousandth), Err(MoneyError::FractionOfQindarka(thousandth)));
        assert_eq!(Money::try_from(Decimal::MAX), Err(MoneyError::OutOfRange(Decimal::MAX)));
        assert_eq!(Money::from_qindarka(i64::MAX).checked_add(Money::from_lek(1)), None);
    }

    proptest! {
        #[test]
        fn qindarka_survive_the_decimal(qindarka: i64) {
            prop_assert_eq!(Money::from_qindarka(qindarka).qindarka(), qindarka);
            prop_assert_eq!(Money::try_from(Money::from_qindarka(qindarka).lek()).unwrap().qindarka(), qindarka);
        }
    }
}
