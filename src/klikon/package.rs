//! The catalogue and the price on 130 (DOMAIN §2.1, §3.1).

use super::Terms;
use crate::units::{Money, PackageId};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The name of a Super package: `Super 1100`. The number is what a prompt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageName(u16);

/// A text that is not the name of a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a package; write it like `Super 1100` (a number from 1 to 9999)")]
pub struct PackageNameError(String);

impl PackageName {
    /// The number in the name, 1 to 9,999: what speech can say (DOMAIN §6.1).
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Super {}", self.0)
    }
}

impl FromStr for PackageName {
    type Err = PackageNameError;

    fn from_str(text: &str) -> Result<Self, PackageNameError> {
        text.strip_prefix("Super ")
            .filter(|number| number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0'))
            .and_then(|number| number.parse().ok())
            .filter(|number| (1..=9999).contains(number))
            .map(Self)
            .ok_or_else(|| PackageNameError(text.to_owned()))
    }
}

impl TryFrom<String> for PackageName {
    type Error = PackageNameError;
    fn try_from(text: String) -> Result<Self, PackageNameError> {
        text.parse()
    }
}

impl From<PackageName> for String {
    fn from(name: PackageName) -> Self {
        name.to_string()
    }
}

/// One dated version of a package (DOMAIN §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Of this version.
    pub id: PackageId,
    /// Shared by all versions.
    pub name: PackageName,
    /// What a shop asks, VAT included.
    pub list: Money,
    /// The first day it is sold.
    pub valid_from: Date,
    /// The first day it is no longer sold, where that is decided.
    pub valid_until: Option<Date>,
}

/// Why a package is not to be had on 130.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
pub enum NotOffered {
    /// No such version in the catalogue.
    #[error("it is not in the catalogue")]
    Unknown,
    /// Sold from a later day.
    #[error("it is sold from {0} on")]
    NotYetSold(Date),
    /// Retired.
    #[error("it is no longer sold since {0}")]
    NoLongerSold(Date),
    /// Cheaper than the lowest package of 130 (DOMAIN §2.1).
    #[error("130 offers packages from {0} up")]
    BelowLowestPackage(Money),
    /// Nothing would be left to pay (DOMAIN §3.1).
    #[error("its price is not above the discount of {0}")]
    NotAboveDiscount(Money),
}

/// What a list price costs on 130: list less discount (DOMAIN §3.1).
pub fn net_price(list: Money, terms: &Terms) -> Result<Money, NotOffered> {
    if list < terms.lowest_package {
        return Err(NotOffered::BelowLowestPackage(terms.lowest_package));
    }
    list.checked_sub(terms.discount)
        .filter(|net| *net > Money::ZERO)
        .ok_or(NotOffered::NotAboveDiscount(terms.discount))
}

/// The net price at which a package may be offered on 130 on a day, or why it may not.
pub fn offered(package: &Package, terms: &Terms, on: Date) -> Result<Money, NotOffered> {
    if on < package.valid_from {
        return Err(NotOffered::NotYetSold(package.valid_from));
    }
    match package.valid_until {
        Some(until) if on >= until => Err(NotOffered::NoLongerSold(until)),
        _ => net_price(package.list, terms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    #[test]
    fn net_prices_of_the_domain() {
        for (list, net) in [(700, 500), (1100, 900), (1300, 1100), (1900, 1700)] {
            assert_eq!(net_price(Money::from_lek(list), &Terms::first()), Ok(Money::from_lek(net)));
        }
        assert_eq!(
            net_price(Money::from_lek(400), &Terms::first()),
            Err(NotOffered::BelowLowestPackage(Money::from_lek(700)))
        );
        let generous = Terms { discount: Money::from_lek(700), ..Terms::first() };
        assert_eq!(
            net_price(Money::from_lek(700), &generous),
            Err(NotOffered::NotAboveDiscount(Money::from_lek(700)))
        );
    }

    #[test]
    fn sold_from_and_until() {
        let package = Package {
            id: PackageId(1),
            name: "Super 1100".parse().unwrap(),
            list: Money::from_lek(1100),
            valid_from: date(2026, 1, 1),
            valid_until: Some(date(2026, 12, 1)),
        };
        assert_eq!(
            offered(&package, &Terms::first(), date(2025, 12, 31)),
            Err(NotOffered::NotYetSold(date(2026, 1, 1)))
        );
        assert_eq!(offered(&package, &Terms::first(), date(2026, 1, 1)), Ok(Money::from_lek(900)));
        assert_eq!(offered(&package, &Terms::first(), date(2026, 11, 30)), Ok(Money::from_lek(900)));
        assert_eq!(
            offered(&package, &Terms::first(), date(2026, 12, 1)),
            Err(NotOffered::NoLongerSold(date(2026, 12, 1)))
        );
    }

    #[test]
    fn names() {
        let name: PackageName = "Super 1100".parse().unwrap();
        assert_eq!((name.number(), name.to_string().as_str()), (1100, "Super 1100"));
        assert_eq!(String::from(name), "Super 1100");
        for text in ["Super", "Super 0", "Super 01", "super 700", "Super 10000", "Super +7", "Super 7 0", ""]
        {
            assert!(text.parse::<PackageName>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_net_price_is_positive_and_below_the_list(list in 0i64..10_000_000, discount in 0i64..1_000_000) {
            let terms = Terms { discount: Money::from_qindarka(discount), ..Terms::first() };
            let list = Money::from_qindarka(list);
            match net_price(list, &terms) {
                Ok(net) => {
                    prop_assert!(net > Money::ZERO && net <= list);
                    prop_assert_eq!(net.checked_add(terms.discount), Some(list));
                }
                Err(NotOffered::BelowLowestPackage(lowest)) => prop_assert!(list < lowest),
                Err(NotOffered::NotAboveDiscount(discount)) => prop_assert!(list <= discount),
                Err(other) => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
