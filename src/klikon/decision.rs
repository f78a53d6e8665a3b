//! May this activation be booked (DOMAIN §3.1, §3.2, §4.2, §4.3, §4.5)?

use super::{NotOffered, Package, Standing, Terms, offered};
use crate::units::{GroupId, MemberId, Money};
use jiff::{SignedDuration, Timestamp, civil::Date};
use serde::Serialize;

/// A second booking of one package for one member within these hours is said to the caller (DOMAIN §4.5).
pub const REPEAT_WINDOW_HOURS: i64 = 24;

/// The facts an activation is judged by, as they stand inside the booking transaction.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who calls.
    pub caller: Standing,
    /// The membership, in the caller's group, of the number that was keyed; `None` when it has none.
    pub member: Option<MemberId>,
    /// The version of the package that was chosen; `None` when the catalogue has it not.
    pub package: Option<&'a Package>,
    /// In force on the day.
    pub terms: &'a Terms,
    /// The net price that was read out to the caller.
    pub quoted_net: Money,
    /// What the group's month has left.
    pub left: Money,
    /// The day in Tirane.
    pub on: Date,
}

/// What is to be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booking {
    /// The group that pays.
    pub group: GroupId,
    /// The leader who asked.
    pub leader: MemberId,
    /// The member who receives.
    pub member: MemberId,
    /// List price, VAT included.
    pub list: Money,
    /// Taken off.
    pub discount: Money,
    /// To be billed: list less discount.
    pub net: Money,
    /// What the month has left afterwards.
    pub left: Money,
}

/// Why nothing is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
pub enum Refusal {
    /// The caller is a member, but not the leader (any more).
    #[error("the caller is not the group's Lider Mobile")]
    NotLeader,
    /// The caller is in no group (any more).
    #[error("the caller is in no group")]
    CallerNotMember,
    /// The caller's group is closed.
    #[error("the group is closed")]
    GroupClosed,
    /// The number keyed is not a member of the caller's group (any more).
    #[error("the number is not a member of the group")]
    NotMember,
    /// The package may not be offered on 130.
    #[error("the package is not offered: {0}")]
    NotOffered(NotOffered),
    /// The price is not the one that was read out.
    #[error("the price is now {net}")]
    PriceChanged {
        /// The net price now.
        net: Money,
    },
    /// More than the month has left.
    #[error("beyond the month's limit: {left} left")]
    LimitExceeded {
        /// What is left.
        left: Money,
    },
}

/// The judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Book it.
    Book(Booking),
    /// Do not.
    Refused(Refusal),
}

/// Whether a net price fits under what is left (DOMAIN §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitCheck {
    /// It fits.
    Within {
        /// What would be left afterwards, zero or more.
        left_after: Money,
    },
    /// It does not.
    Exceeded {
        /// What is left now.
        left: Money,
    },
}

/// Whether a net price fits under what is left: what counts is the net amount, and exactly the limit passes.
pub fn check_limit(left: Money, net: Money) -> LimitCheck {
    match left.checked_sub(net) {
        Some(left_after) if !left_after.is_negative() => LimitCheck::Within { left_after },
        _ => LimitCheck::Exceeded { left },
    }
}

/// Judges one activation. The caller's right comes first: who may not book learns nothing about members.
pub fn decide(request: &Request<'_>) -> Decision {
    match book(request) {
        Ok(booking) => Decision::Book(booking),
        Err(refusal) => Decision::Refused(refusal),
    }
}

fn book(request: &Request<'_>) -> Result<Booking, Refusal> {
    let (group, leader) = match request.caller {
        Standing::Leader { group, member } => (group, member),
        Standing::NotLeader { .. } => return Err(Refusal::NotLeader),
        Standing::NotMember => return Err(Refusal::CallerNotMember),
        Standing::GroupClosed { .. } => return Err(Refusal::GroupClosed),
    };
    let member = request.member.ok_or(Refusal::NotMember)?;
    let package = request.package.ok_or(Refusal::NotOffered(NotOffered::Unknown))?;
    let net = offered(package, request.terms, request.on).map_err(Refusal::NotOffered)?;
    if net != request.quoted_net {
        return Err(Refusal::PriceChanged { net });
    }
    match check_limit(request.left, net) {
        LimitCheck::Exceeded { left } => Err(Refusal::LimitExceeded { left }),
        LimitCheck::Within { left_after: left } => Ok(Booking {
            group,
            leader,
            member,
            list: package.list,
            discount: request.terms.discount,
            net,
            left,
        }),
    }
}

/// The start of the window in which a booking counts as a repeat at `now` (DOMAIN §4.5): 24 hours, whatever
/// the clocks in Tirane do that night.
pub fn repeat_window_start(now: Timestamp) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(REPEAT_WINDOW_HOURS)).unwrap_or(Timestamp::MIN)
}

/// Whether a package last booked at `last` for a member is a repeat at `now` (DOMAIN §4.5).
pub fn is_repeat(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_some_and(|last| last > repeat_window_start(now) && last <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::PackageId;
    use jiff::civil::date;
    use proptest::prelude::*;

    const LEADER: Standing = Standing::Leader { group: GroupId(1), member: MemberId(1) };

    fn package(list: i32) -> Package {
        Package {
            id: PackageId(1),
            name: "Super 700".parse().unwrap(),
            list: Money::from_lek(list),
            valid_from: date(2020, 1, 1),
            valid_until: None,
        }
    }

    fn request<'a>(package: &'a Package, terms: &'a Terms, left: Money) -> Request<'a> {
        Request {
            caller: LEADER,
            member: Some(MemberId(2)),
            package: Some(package),
            terms,
            quoted_net: package.list.checked_sub(terms.discount).unwrap(),
            left,
            on: date(2026, 11, 22),
        }
    }

    /// Books list prices one after the other against a month's limit; what is left, and how many passed.
    fn book_all(lists: impl IntoIterator<Item = i32>) -> (Money, usize) {
        let terms = Terms::first();
        let (mut left, mut passed) = (terms.limit, 0);
        for list in lists {
            match decide(&request(&package(list), &terms, left)) {
                Decision::Book(booking) => {
                    left = booking.left;
                    passed += 1;
                }
                Decision::Refused(refusal) => assert_eq!(refusal, Refusal::LimitExceeded { left }),
            }
        }
        (left, passed)
    }

    #[test]
    fn worked_cases_of_domain_3() {
        assert_eq!(book_all([700; 13]), (Money::ZERO, 13));
        assert_eq!(book_all([700; 14]), (Money::ZERO, 13));
        assert_eq!(book_all([1900, 1900, 1900, 1100, 700]), (Money::ZERO, 5));
        // With 1,100 left, of two that ask for Super 1300 the first one judged passes.
        let (left, _) = book_all([1900, 1900, 1300, 1100]);
        assert_eq!(left, Money::from_lek(1100));
        assert_eq!(book_all([1900, 1900, 1300, 1100, 1300, 1300]), (Money::ZERO, 5));
    }

    #[test]
    fn each_refusal() {
        let (package, terms) = (package(1100), Terms::first());
        let good = request(&package, &terms, terms.limit);
        let refused = |request: Request<'_>| match decide(&request) {
            Decision::Refused(refusal) => refusal,
            Decision::Book(booking) => panic!("booked {booking:?}"),
        };
        let group = GroupId(1);
        assert_eq!(refused(Request { caller: Standing::NotLeader { group }, ..good }), Refusal::NotLeader);
        assert_eq!(refused(Request { caller: Standing::NotMember, ..good }), Refusal::CallerNotMember);
        assert_eq!(
            refused(Request { caller: Standing::GroupClosed { group }, ..good }),
            Refusal::GroupClosed
        );
        assert_eq!(refused(Request { member: None, ..good }), Refusal::NotMember);
        assert_eq!(refused(Request { package: None, ..good }), Refusal::NotOffered(NotOffered::Unknown));
        let net = Money::from_lek(900);
        assert_eq!(
            refused(Request { quoted_net: Money::from_lek(800), ..good }),
            Refusal::PriceChanged { net }
        );
        let left = Money::from_lek(899);
        assert_eq!(refused(Request { left, ..good }), Refusal::LimitExceeded { left });
        let small = super::super::Package { list: Money::from_lek(400), ..package };
        assert_eq!(
            refused(Request { package: Some(&small), ..good }),
            Refusal::NotOffered(NotOffered::BelowLowestPackage(Money::from_lek(700)))
        );
        assert!(
            matches!(decide(&good), Decision::Book(Booking { left, .. }) if left == Money::from_lek(5600))
        );
    }

    #[test]
    fn a_repeat_is_within_24_hours_even_when_the_clocks_change() {
        let now: Timestamp = "2026-10-25T12:00:00Z".parse().unwrap();
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        assert!(is_repeat(at("2026-10-24T12:00:00.001Z"), now));
        assert!(!is_repeat(at("2026-10-24T12:00:00Z"), now));
        assert!(is_repeat(Some(now), now));
        assert!(!is_repeat(None, now));
    }

    proptest! {
        #[test]
        fn the_limit_is_never_passed(lists in proptest::collection::vec(prop_oneof![Just(700), Just(1100), Just(1300), Just(1900)], 0..40)) {
            let (left, passed) = book_all(lists.clone());
            prop_assert!(left >= Money::ZERO && left <= Money::from_lek(6500));
            prop_assert!(passed <= 13);
            // What was refused would not have fitted at the end either.
            if passed < lists.len() {
                prop_assert!(left < Money::from_lek(1700));
            }
        }
    }
}
