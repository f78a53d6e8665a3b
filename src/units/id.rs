//! Identifiers. Those of the store's rows are its integers; those made before the first try are UUIDs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::{NoContext, Uuid};

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! made_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A UUID version 7 (RFC 9562 §5.7) from the given time and random octets: sorts by time.
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                let seconds = u64::try_from(now.as_second()).unwrap_or(0);
                let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
                let unix = uuid::Timestamp::from_unix(NoContext, seconds, nanoseconds);
                let milliseconds = {
                    let (s, n) = unix.to_unix();
                    s * 1000 + u64::from(n) / 1_000_000
                };
                Self(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
            }

            /// The UUID itself.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::from_str(text).map(Self)
            }
        }
    };
}

row_id! {
    /// Names a leadership: one entry in a group's history of leaders.
    LeadershipId
}

row_id! {
    /// A SuperFamilja group (DOMAIN §1).
    GroupId
}
row_id! {
    /// A membership of a mobile number in a group (DOMAIN §1).
    MemberId
}
row_id! {
    /// A package of the catalogue, in one of its dated versions (DOMAIN §2.1).
    PackageId
}
made_id! {
    /// One activation, made before the first try to book it, so that a retry is recognised.
    ActivationId
}
made_id! {
    /// One call, in the logs' spans and in its call record.
    CallId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_ids_sort_by_time_and_read_back() {
        let early = ActivationId::new("2026-11-22T00:00:00Z".parse().unwrap(), [0xff; 10]);
        let late = ActivationId::new("2026-11-22T00:00:01Z".parse().unwrap(), [0; 10]);
        assert!(early < late);
        assert_eq!(late.to_string().parse::<ActivationId>().unwrap(), late);
        assert_eq!(late.uuid().get_version_num(), 7);
    }
}
