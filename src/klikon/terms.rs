//! Terms as dated versions (DOMAIN §7): discount, limit, lowest package, members.

use crate::units::{Money, Month};
use jiff::{ToSpan, civil::Date};
use serde::{Deserialize, Serialize};

/// Days between the notice to every subscriber and the day new terms take effect (DOMAIN §7).
pub const NOTICE_DAYS: i32 = 30;

/// What the operator grants on 130 (DOMAIN §1, §2.1, §3.1, §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Taken off the list price of every package activated on 130.
    pub discount: Money,
    /// What one group may spend in one month, net.
    pub limit: Money,
    /// The lowest list price that may be offered on 130.
    pub lowest_package: Money,
    /// How many mobile members a group may have at once.
    pub members_max: u8,
}

impl Terms {
    /// Those of the source page (DOMAIN §1, §2.1, §3.1, §3.2): 200 Lek off, 6,500 Lek a month, from Super 700 up, 4 members.
    pub fn first() -> Self {
        Self {
            discount: Money::from_lek(200),
            limit: Money::from_lek(6500),
            lowest_package: Money::from_lek(700),
            members_max: 4,
        }
    }
}

/// One version of the terms. In force from the start of `effective_on` in Tirane until the next version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermsVersion {
    /// What it says.
    pub terms: Terms,
    /// The day every subscriber was told.
    pub announced_on: Date,
    /// The first day it holds.
    pub effective_on: Date,
}

/// Why a new version of terms or prices may not be entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// Less than 30 days between the notice and the effect.
    #[error(
        "announced on {announced_on}, the change can take effect on {earliest} at the earliest \
         ({NOTICE_DAYS} days' notice), not on {effective_on}"
    )]
    TooShort {
        /// The day of the notice.
        announced_on: Date,
        /// The day asked for.
        effective_on: Date,
        /// The first day allowed.
        earliest: Date,
    },
    /// Not after the version it follows.
    #[error("a version already takes effect on {previous}; choose a day after it instead of {effective_on}")]
    NotAfterPrevious {
        /// When the latest version takes effect.
        previous: Date,
        /// The day asked for.
        effective_on: Date,
    },
    /// It would change what was booked already: today has begun.
    #[error("{effective_on} is not after today, {today}; days that have begun keep what they had")]
    NotInTheFuture {
        /// The day asked for.
        effective_on: Date,
        /// Today in Tirane.
        today: Date,
    },
    /// A notice cannot be in the future.
    #[error("the notice of {announced_on} has not been given yet (today is {today})")]
    NotYetAnnounced {
        /// The day of the notice.
        announced_on: Date,
        /// Today in Tirane.
        today: Date,
    },
}

/// The version in force on a day: the latest whose effect has begun. `None` before the first.
pub fn in_force(versions: &[TermsVersion], on: Date) -> Option<&TermsVersion> {
    versions.iter().filter(|version| version.effective_on <= on).max_by_key(|version| version.effective_on)
}

/// The version whose limit a month has: the one in force on the month's first day, so that a limit never
/// moves under a group within a month; the first version where none was in force yet.
pub fn month_terms(versions: &[TermsVersion], month: Month) -> Option<&TermsVersion> {
    let first_day = super::day_of(month.start());
    in_force(versions, first_day).or_else(|| versions.iter().min_by_key(|version| version.effective_on))
}

/// Whether a change announced and effective on these days may follow the latest version (DOMAIN §7). The first
/// version, which changes nothing for anybody, is exempt: `previous` is `None`.
pub fn check_notice(
    previous: Option<Date>,
    announced_on: Date,
    effective_on: Date,
    today: Date,
) -> Result<(), NoticeError> {
    let Some(previous) = previous else { return Ok(()) };
    if announced_on > today {
        return Err(NoticeError::NotYetAnnounced { announced_on, today });
    }
    if effective_on <= previous {
        return Err(NoticeError::NotAfterPrevious { previous, effective_on });
    }
    let earliest = announced_on.saturating_add(NOTICE_DAYS.days());
    if effective_on < earliest {
        return Err(NoticeError::TooShort { announced_on, effective_on, earliest });
    }
    if effective_on <= today {
        return Err(NoticeError::NotInTheFuture { effective_on, today });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn version(limit: i32, announced_on: Date, effective_on: Date) -> TermsVersion {
        let terms = Terms { limit: Money::from_lek(limit), ..Terms::first() };
        TermsVersion { terms, announced_on, effective_on }
    }

    #[test]
    fn thirty_days_notice() {
        let previous = Some(date(2020, 5, 14));
        let today = date(2026, 11, 22);
        assert_eq!(check_notice(previous, today, date(2026, 12, 22), today), Ok(()));
        assert_eq!(
            check_notice(previous, today, date(2026, 12, 21), today),
            Err(NoticeError::TooShort {
                announced_on: today,
                effective_on: date(2026, 12, 21),
                earliest: date(2026, 12, 22)
            })
        );
        assert_eq!(check_notice(None, today, today, today), Ok(()));
        for begun in [date(2026, 11, 1), today] {
            assert_eq!(
                check_notice(previous, date(2026, 9, 1), begun, today),
                Err(NoticeError::NotInTheFuture { effective_on: begun, today })
            );
        }
        assert!(matches!(
            check_notice(Some(date(2027, 6, 1)), today, date(2027, 6, 1), today),
            Err(NoticeError::NotAfterPrevious { .. })
        ));
        assert!(matches!(
            check_notice(previous, date(2026, 11, 23), date(2027, 6, 1), today),
            Err(NoticeError::NotYetAnnounced { .. })
        ));
    }

    #[test]
    fn a_limit_changed_within_a_month_holds_from_the_next() {
        let versions = [
            version(6500, date(2020, 5, 14), date(2020, 5, 14)),
            version(8000, date(2026, 10, 1), date(2026, 11, 15)),
        ];
        assert_eq!(in_force(&versions, date(2026, 11, 14)).unwrap().terms.limit, Money::from_lek(6500));
        assert_eq!(in_force(&versions, date(2026, 11, 15)).unwrap().terms.limit, Money::from_lek(8000));
        assert_eq!(in_force(&versions, date(2020, 5, 13)), None);
        let limit = |month: &str| month_terms(&versions, month.parse().unwrap()).unwrap().terms.limit;
        assert_eq!(limit("2026-11"), Money::from_lek(6500));
        assert_eq!(limit("2026-12"), Money::from_lek(8000));
        assert_eq!(limit("2020-05"), Money::from_lek(6500));
    }

    proptest! {
        #[test]
        fn no_accepted_change_is_sooner_than_thirty_days(announced in 0i32..4000, effective in 0i32..4000) {
            let origin = date(2020, 1, 1);
            let (announced_on, effective_on) =
                (origin.saturating_add(announced.days()), origin.saturating_add(effective.days()));
            let accepted = check_notice(Some(origin), announced_on, effective_on, announced_on).is_ok();
            prop_assert_eq!(accepted, effective >= announced + NOTICE_DAYS);
        }
    }
}
