//! The rules of the business (DOMAIN §2 to §4 and §7) as pure functions that return exhaustive enums:
//! what a package costs on 130, which may be offered, who may activate for whom, whether the month's limit
//! allows it, and how terms may change. No table, no clock, no telephone here: facts are arguments.

mod decision;
mod message;
mod package;
mod pin;
mod standing;
mod terms;

pub use decision::{
    Booking, Decision, LimitCheck, REPEAT_WINDOW_HOURS, Refusal, Request, check_limit, decide, is_repeat,
    repeat_window_start,
};
pub use message::{Audience, Outcome, SmsAlphabet, sms_parts, sms_text};
pub use package::{NotOffered, Package, PackageName, PackageNameError, net_price, offered};
pub use pin::{
    LONGEST_LOCK, PIN_DIGITS_MAX, PIN_DIGITS_MIN, Pin, PinError, PinHash, PinPolicy, PinTries, PinTry,
};
pub use standing::{Membership, Standing, standing};
pub use terms::{NOTICE_DAYS, NoticeError, Terms, TermsVersion, check_notice, in_force, month_terms};

use jiff::{Timestamp, civil::Date};

/// The calendar day of an instant in Europe/Tirane: what dated terms and packages are compared with.
pub fn day_of(instant: Timestamp) -> Date {
    instant.to_zoned(crate::units::Month::time_zone()).date()
}
