//! The billing month: a calendar month in Europe/Tirane (DOMAIN §3.3).

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

const TIRANE: &str = "Europe/Tirane";

/// A calendar month in Europe/Tirane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// The time zone of the business.
    pub fn time_zone() -> TimeZone {
        // The tables are compiled in; without this zone the program could not bill at all.
        TimeZone::get(TIRANE).unwrap_or_else(|_| TimeZone::fixed(jiff::tz::offset(1)))
    }

    /// The month that an instant falls in.
    pub fn of(instant: Timestamp) -> Self {
        let local = instant.to_zoned(Self::time_zone());
        Self { year: local.year(), month: local.month() }
    }

    /// The calendar year.
    pub fn year(self) -> i16 {
        self.year
    }

    /// 1 to 12.
    pub fn number(self) -> u8 {
        self.month.unsigned_abs()
    }

    /// The month after this one.
    pub fn next(self) -> Self {
        if self.month == 12 {
            Self { year: self.year + 1, month: 1 }
        } else {
            Self { year: self.year, month: self.month + 1 }
        }
    }

    /// The first instant of the month, UTC: 23:00 of the day before in winter, 22:00 in summer.
    pub fn start(self) -> Timestamp {
        civil::date(self.year, self.month, 1)
            .to_zoned(Self::time_zone())
            .map_or(Timestamp::MAX, |local| local.timestamp())
    }

    /// The first instant after the month, UTC.
    pub fn end(self) -> Timestamp {
        self.next().start()
    }
}

/// `2026-11`.
impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// A text that is not a month.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a month; write it like 2026-11")]
pub struct MonthError(String);

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let parsed = text.split_once('-').and_then(|(year, month)| {
            (year.len() == 4 && month.len() == 2).then_some(())?;
            Some(Self { year: year.parse().ok()?, month: month.parse().ok()? })
        });
        parsed
            .filter(|m| (2000..=2999).contains(&m.year) && (1..=12).contains(&m.month))
            .ok_or_else(|| MonthError(text.to_owned()))
    }
}

impl TryFrom<String> for Month {
    type Error = MonthError;
    fn try_from(text: String) -> Result<Self, MonthError> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn starts_at_23_utc_in_winter_and_22_in_summer() {
        let winter: Month = "2026-12".parse().unwrap();
        assert_eq!(winter.start(), at("2026-11-30T23:00:00Z"));
        let summer: Month = "2026-07".parse().unwrap();
        assert_eq!(summer.start(), at("2026-06-30T22:00:00Z"));
        assert_eq!(Month::of(at("2026-11-30T22:59:59Z")).to_string(), "2026-11");
        assert_eq!(Month::of(at("2026-11-30T23:00:00Z")), winter);
        assert_eq!(winter.next().to_string(), "2027-01");
        assert_eq!(winter.end(), at("2026-12-31T23:00:00Z"));
    }

    #[test]
    fn refuses_what_is_no_month() {
        for text in ["2026-13", "2026-00", "26-11", "2026/11", "2026-1", "", "2026-11-01", "+026-11"] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
    }
}
