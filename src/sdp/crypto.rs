//! Keys in the session description (SDES, RFC 4568).

use crate::units::srtp::{MasterKey, OwnKeys, Profile};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Most `a=crypto` lines that are read of one media line.
pub const MAX_CRYPTO: usize = 16;
/// Fewest packets that a key must be good for, as its lifetime says: at fifty a second, five hours.
const MIN_LIFETIME: u64 = 1 << 20;

/// With padding or without, as senders differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One `a=crypto` line that we can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crypto {
    /// Its number, up to nine digits.
    pub tag: u32,
    /// The profile and the key of the side that says it.
    pub key: MasterKey,
}

impl Crypto {
    /// Reads `1 AES_CM_128_HMAC_SHA1_80 inline:… [session parameters]`. `None` for profiles that we do not have, keys with an
    /// identifier (MKI), several keys, a short lifetime, and session parameters that would change how packets are protected:
    /// such a line is passed over, and another may do.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let tag =
            words.next().filter(|tag| tag.len() <= 9 && tag.bytes().all(|octet| octet.is_ascii_digit()));
        let tag = tag?.parse().ok()?;
        let profile = Profile::from_name(words.next()?)?;
        let (method, inline) = words.next()?.split_once(':')?;
        if !method.eq_ignore_ascii_case("inline") || inline.contains(';') {
            return None;
        }
        let mut parts = inline.split('|');
        let octets = BASE64.decode(parts.next()?).ok()?;
        if !parts.all(is_long_lifetime) || !words.all(changes_nothing) {
            return None;
        }
        Some(Self { tag, key: MasterKey::new(profile, &octets).ok()? })
    }

    /// What stands behind `a=crypto:`.
    pub(super) fn value(&self) -> String {
        let key = BASE64.encode(self.key.key_and_salt());
        format!("{} {} inline:{key}", self.tag, self.key.profile().name())
    }
}

/// All our profiles, the strongest first, as an offer of ours has them.
pub(super) fn offered(keys: &OwnKeys) -> impl Iterator<Item = Crypto> {
    (1..).zip(Profile::DESCRIBED).map(|(tag, profile)| Crypto { tag, key: keys.of(profile) })
}

/// A lifetime such as `2^31` or `1048576`; a key's identifier, `1:4`, is none.
fn is_long_lifetime(part: &str) -> bool {
    let packets = match part.split_once('^') {
        Some(("2", exponent)) => exponent.parse().ok().and_then(|exponent| 1_u64.checked_shl(exponent)),
        Some(_) => None,
        None => part.parse().ok(),
    };
    packets.is_some_and(|packets| packets >= MIN_LIFETIME)
}

/// A hint for the receiver's replay window, or a parameter that says itself that it may be passed over (RFC 4568 §6.3.7).
fn changes_nothing(parameter: &str) -> bool {
    parameter.starts_with("WSH=") || parameter.starts_with('-')
}
