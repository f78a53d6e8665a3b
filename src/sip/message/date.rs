//! SIP-date (RFC 3261 §20.17, §25.1): the fixed form of RFC 1123, always GMT.

use jiff::Timestamp;
use jiff::civil::{DateTime, Weekday};

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const WEEKDAYS: [(&[u8], Weekday); 7] = [
    (b"Mon", Weekday::Monday),
    (b"Tue", Weekday::Tuesday),
    (b"Wed", Weekday::Wednesday),
    (b"Thu", Weekday::Thursday),
    (b"Fri", Weekday::Friday),
    (b"Sat", Weekday::Saturday),
    (b"Sun", Weekday::Sunday),
];

/// Reads `Sat, 13 Nov 2010 23:29:00 GMT`; the day of the week must be that day's.
pub(super) fn parse(value: &[u8]) -> Option<Timestamp> {
    let [w1, w2, w3, b',', b' ', d1, d2, b' ', m1, m2, m3, b' ', y1, y2, y3, y4, b' ', time @ ..] = value
    else {
        return None;
    };
    let [h1, h2, b':', n1, n2, b':', s1, s2, b' ', zone @ ..] = time else { return None };
    if !zone.eq_ignore_ascii_case(b"GMT") {
        return None;
    }
    let two = |tens: &u8, ones: &u8| -> Option<i8> {
        (tens.is_ascii_digit() && ones.is_ascii_digit())
            .then(|| i8::try_from((tens - b'0') * 10 + (ones - b'0')).ok())
            .flatten()
    };
    let year = i16::from(two(y1, y2)?) * 100 + i16::from(two(y3, y4)?);
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(&[*m1, *m2, *m3]))?;
    let month = i8::try_from(month + 1).ok()?;
    // A leap second is written as 60; the last second of the minute stands for it.
    let second = match two(s1, s2)? {
        60 => 59,
        second => second,
    };
    let civil = DateTime::new(year, month, two(d1, d2)?, two(h1, h2)?, two(n1, n2)?, second, 0).ok()?;
    let (_, weekday) = WEEKDAYS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&[*w1, *w2, *w3]))?;
    if civil.weekday() != *weekday {
        return None;
    }
    jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()
}
