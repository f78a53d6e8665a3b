//! The leader's PIN, for callers whose number a peer cannot vouch for: what a PIN may be, how it is kept, and how many
//! tries there are.
//!
//! A PIN has few digits, so its hash protects little once the database is stolen; what protects it is that guesses are
//! counted for each leader, over all calls, before they are looked at.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use jiff::{SignedDuration, Timestamp};
use std::fmt;
use thiserror::Error;

/// Fewest digits.
pub const PIN_DIGITS_MIN: usize = 4;
/// Most digits.
pub const PIN_DIGITS_MAX: usize = 8;
/// The longest lock, however often it was locked before.
pub const LONGEST_LOCK: SignedDuration = SignedDuration::from_hours(24);

/// A PIN as it was keyed. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(String);

impl fmt::Debug for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pin(…)")
    }
}

/// Why digits are no PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PinError {
    /// Too short, too long, or not digits.
    #[error("a PIN is {PIN_DIGITS_MIN} to {PIN_DIGITS_MAX} digits")]
    Shape,
    /// One that would be guessed first.
    #[error("this PIN would be guessed first: no single digit repeated, and no run like 1234 or 4321")]
    Simple,
}

impl Pin {
    /// Reads what a caller keyed.
    ///
    /// # Errors
    /// [`PinError::Shape`].
    pub fn parse(digits: &str) -> Result<Self, PinError> {
        let right = (PIN_DIGITS_MIN..=PIN_DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_digit());
        if right { Ok(Self(digits.to_owned())) } else { Err(PinError::Shape) }
    }

    /// Reads one that is to be set: stricter.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn choose(digits: &str) -> Result<Self, PinError> {
        let pin = Self::parse(digits)?;
        let steps: Vec<i16> = pin
            .0
            .as_bytes()
            .windows(2)
            .filter_map(|pair| match pair {
                [one, next] => Some(i16::from(*next) - i16::from(*one)),
                _ => None,
            })
            .collect();
        let is_run = [-1, 0, 1].iter().any(|step| steps.iter().all(|found| found == step));
        if is_run { Err(PinError::Simple) } else { Ok(pin) }
    }

    /// Its hash, to be kept: argon2id with these 16 octets of salt.
    pub fn hash(&self, salt: [u8; 16]) -> Option<PinHash> {
        let salt = SaltString::encode_b64(&salt).ok()?;
        let hash = hasher()?.hash_password(self.0.as_bytes(), &salt).ok()?;
        Some(PinHash(hash.to_string()))
    }
}

/// RFC 9106 §4's second recommended option would take 64 MiB a try; this is the least that OWASP names, since calls
/// arrive many at a time: 19 MiB, two passes.
fn hasher() -> Option<Argon2<'static>> {
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(19 * 1024, 2, 1, None).ok()?))
}

/// A PIN's hash as it is kept (PHC string format).
#[derive(Clone, PartialEq, Eq)]
pub struct PinHash(String);

impl fmt::Debug for PinHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PinHash(…)")
    }
}

impl PinHash {
    /// One that was kept.
    pub fn kept(text: String) -> Self {
        Self(text)
    }

    /// As it is kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the hash of this PIN. Takes tens of milliseconds of a processor.
    pub fn is_of(&self, pin: &Pin) -> bool {
        let Ok(hash) = PasswordHash::new(&self.0) else { return false };
        hasher().is_some_and(|hasher| hasher.verify_password(pin.0.as_bytes(), &hash).is_ok())
    }
}

/// How many wrong PINs in a row lock, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinPolicy {
    /// Wrong tries in a row that lock.
    pub tries: u32,
    /// The first lock; each further one before a right PIN lasts twice as long, up to [`LONGEST_LOCK`].
    pub lock: SignedDuration,
}

/// What is remembered of the tries at a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PinTries {
    /// Wrong ones since the last right one or the last lock.
    pub wrong: u32,
    /// Locks since the last right one.
    pub locks: u32,
    /// Until when no try is looked at.
    pub locked_until: Option<Timestamp>,
}

/// What a try at a PIN comes to, before it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinTry {
    /// It is not looked at.
    Locked,
    /// It may be looked at once this is written down: the try counts as wrong until it was found right, so that no
    /// number of calls at one time gets more of them.
    Counted(PinTries),
}

impl PinTries {
    /// Another try.
    pub fn another(self, now: Timestamp, policy: &PinPolicy) -> PinTry {
        if self.locked_until.is_some_and(|until| now < until) {
            return PinTry::Locked;
        }
        let wrong = self.wrong.saturating_add(1);
        if wrong < policy.tries {
            return PinTry::Counted(Self { wrong, locked_until: None, ..self });
        }
        let doubled = policy.lock.checked_mul(1_i32.checked_shl(self.locks.min(30)).unwrap_or(i32::MAX));
        let lock = doubled.map_or(LONGEST_LOCK, |lock| lock.min(LONGEST_LOCK));
        let until = now.checked_add(lock).unwrap_or(Timestamp::MAX);
        PinTry::Counted(Self { wrong: 0, locks: self.locks.saturating_add(1), locked_until: Some(until) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_that_are_not_guessed_first_are_chosen() {
        for good in ["4729", "11112", "12346", "90210", "09876541"] {
            assert!(Pin::choose(good).is_ok(), "{good}");
        }
        for simple in ["0000", "99999999", "1234", "456789", "9876", "3210"] {
            assert_eq!(Pin::choose(simple), Err(PinError::Simple), "{simple}");
            assert!(Pin::parse(simple).is_ok(), "{simple} may be keyed, and will be wrong");
        }
        for bad in ["", "123", "123456789", "12a4", "12 4", "١٢٣٤"] {
            assert_eq!(Pin::parse(bad), Err(PinError::Shape), "{bad}");
        }
    }

    #[test]
    fn a_hash_is_of_its_pin_only_and_neither_is_shown() {
        let pin = Pin::parse("4729").unwrap();
        let hash = pin.hash([7; 16]).unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let kept = PinHash::kept(hash.as_str().to_owned());
        assert!(kept.is_of(&pin));
        assert!(!kept.is_of(&Pin::parse("4728").unwrap()));
        assert_ne!(pin.hash([8; 16]).unwrap(), hash, "the salt counts");
        assert!(!PinHash::kept("garbage".to_owned()).is_of(&pin));
        assert_eq!(format!("{pin:?} {kept:?}"), "Pin(…) PinHash(…)");
    }

    #[test]
    fn wrong_tries_lock_for_longer_each_time() {
        let policy = PinPolicy { tries: 3, lock: SignedDuration::from_mins(30) };
        let mut now: Timestamp = "2026-11-25T10:00:00Z".parse().unwrap();
        let mut tries = PinTries::default();
        let mut lengths = Vec::new();
        for _ in 0..8 {
            for _ in 0..3 {
                let PinTry::Counted(counted) = tries.another(now, &policy) else { panic!("not locked yet") };
                tries = counted;
            }
            let until = tries.locked_until.unwrap();
            lengths.push(until.duration_since(now).as_mins());
            assert_eq!(tries.another(now, &policy), PinTry::Locked);
            assert_eq!(tries.another(until - SignedDuration::from_millis(1), &policy), PinTry::Locked);
            now = until;
        }
        let PinTry::Counted(counted) = tries.another(now, &policy) else { panic!("the lock is over") };
        assert_eq!((counted.wrong, counted.locks, counted.locked_until), (1, 8, None));
        assert_eq!(lengths, [30, 60, 120, 240, 480, 960, 1440, 1440]);
    }
}
