//! The line of the next bill of the fixed line (DOMAIN §3.4, §3.5), and the run of all of a month's lines: as files for
//! the operator's billing system, read back as it acknowledges them, and as a statement for people.

mod acknowledgement;
mod csv_file;
mod run;
mod statement;
mod tmf678;

pub use acknowledgement::{ACKNOWLEDGEMENT_COLUMNS, Acknowledgement, AcknowledgementError, LineResult};
pub use csv_file::COLUMNS;
pub use run::{BillRun, ControlTotals};
pub use statement::Statement;

use crate::klikon::PackageName;
use crate::units::{ActivationId, FixedNumber, Money, Month, Msisdn};
use jiff::Timestamp;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

/// VAT contained in package prices, per cent (DOMAIN §3.5).
pub const VAT_PERCENT: i64 = 20;

/// What an item of the bill is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum BillItemKind {
    /// An activation of the month.
    Activation,
    /// The reversal, in the month, of an activation of a month that was closed before. Its amounts are negative.
    Reversal {
        /// Why, in the words of who ordered it.
        reason: String,
    },
}

/// One activation on the bill, or the reversal of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BillItem {
    /// What for.
    #[serde(flatten)]
    pub kind: BillItemKind,
    /// Which.
    pub activation: ActivationId,
    /// When the caller confirmed; of a reversal, when it was booked.
    pub held_at: Timestamp,
    /// For whom.
    pub member: Msisdn,
    /// What.
    pub package: PackageName,
    /// Before the discount.
    pub list: Money,
    /// Taken off.
    pub discount: Money,
    /// To be paid, VAT included.
    pub net: Money,
}

/// A gross amount split into what is taxed and the tax, once, with the rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VatSplit {
    /// VAT included.
    pub gross: Money,
    /// Without VAT: gross less `vat`.
    pub base: Money,
    /// Rounded to the qindarka, half away from zero.
    pub vat: Money,
    /// What rounding added to the exact tax, Lek with four decimals (negative: rounded down).
    pub rounding: Decimal,
}

impl VatSplit {
    /// Splits an amount that contains [`VAT_PERCENT`].
    pub fn of(gross: Money) -> Self {
        let exact = gross.lek() * Decimal::from(VAT_PERCENT) / Decimal::from(100 + VAT_PERCENT);
        let rounded = exact.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
        // A sixth of an amount of the ledger is within the ledger's range, in whole qindarka by now.
        let vat = Money::try_from(rounded).unwrap_or_default();
        let base = gross.checked_sub(vat).unwrap_or_default();
        let rounding = (rounded - exact).round_dp_with_strategy(4, RoundingStrategy::MidpointAwayFromZero);
        Self { gross, base, vat, rounding }
    }
}

/// One total above the fixed tariff, itemised underneath (DOMAIN §3.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BillLine {
    /// The fixed line that pays.
    pub contract: FixedNumber,
    /// The month the activations were confirmed in.
    pub month: Month,
    /// The total, and its VAT, split once.
    pub total: VatSplit,
    /// Each activation, oldest first.
    pub items: Vec<BillItem>,
}

/// Makes the line. `None` when the total is beyond the ledger's range.
pub fn bill_line(contract: FixedNumber, month: Month, mut items: Vec<BillItem>) -> Option<BillLine> {
    items.sort_by_key(|item| (item.held_at, item.activation));
    let total = items.iter().try_fold(Money::ZERO, |sum, item| sum.checked_add(item.net))?;
    Some(BillLine { contract, month, total: VatSplit::of(total), items })
}

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vat_is_split_once_with_the_rounding_shown() {
        let split = VatSplit::of(Money::from_lek(900));
        assert_eq!((split.base, split.vat), (Money::from_lek(750), Money::from_lek(150)));
        assert!(split.rounding.is_zero());
        let split = VatSplit::of(Money::from_lek(1100));
        assert_eq!((split.base.qindarka(), split.vat.qindarka()), (91_667, 18_333));
        assert_eq!(split.rounding.to_string(), "-0.0033");
        let split = VatSplit::of(Money::from_lek(500));
        assert_eq!((split.base.qindarka(), split.vat.qindarka()), (41_667, 8_333));
    }

    #[test]
    fn one_total_itemised_oldest_first() {
        let item = |hour: i8, net: i32| BillItem {
            kind: BillItemKind::Activation,
            activation: ActivationId::new("2026-11-22T00:00:00Z".parse().unwrap(), [1; 10]),
            held_at: format!("2026-11-22T{hour:02}:00:00Z").parse().unwrap(),
            member: Msisdn::parse("0672123456").unwrap(),
            package: "Super 1100".parse().unwrap(),
            list: Money::from_lek(net + 200),
            discount: Money::from_lek(200),
            net: Money::from_lek(net),
        };
        let contract = FixedNumber::parse("042250928").unwrap();
        let line = bill_line(contract, "2026-11".parse().unwrap(), vec![item(9, 900), item(8, 500)]).unwrap();
        assert_eq!(line.total.gross, Money::from_lek(1400));
        assert_eq!(line.items[0].net, Money::from_lek(500));
    }

    proptest! {
        #[test]
        fn base_and_vat_make_the_gross(qindarka in 0i64..1_000_000_000_000) {
            let split = VatSplit::of(Money::from_qindarka(qindarka));
            prop_assert_eq!(split.base.checked_add(split.vat), Some(split.gross));
            // Within half a qindarka of a sixth.
            prop_assert!((split.vat.qindarka() * 6 - qindarka).abs() <= 3);
        }
    }
}
