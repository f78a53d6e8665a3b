//! Albanian telephone numbers (DOMAIN §4.4). Stored as E.164; shown masked, and whole only on purpose.

use serde::{Deserialize, Serialize};
use std::fmt;

const COUNTRY_CODE: &str = "355";

/// A mobile number in E.164 without the plus: `355672123456`. `Display` and `Debug` mask it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Msisdn {
    /// The nine national digits, as a number: 672123456.
    national: u32,
}

/// Why a text is not an Albanian mobile number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MsisdnError {
    /// Something else than digits, an opening plus, and the visual separators of RFC 3966 (`-`, `.`, `(`, `)`, space).
    #[error("it holds something else than digits")]
    NotDigits,
    /// Not nine national digits after the prefix.
    #[error("it has not nine digits after 0, 355, 00355 or +355")]
    Length,
    /// Nine digits outside `6[78][2-9]xxxxxx` and `69xxxxxxx`.
    #[error("it does not begin with 067 2-9, 068 2-9 or 069")]
    Range,
}

impl Msisdn {
    /// Reads what a caller keys or a trunk sends: 06…, 6…, 355…, 00355… or +355….
    pub fn parse(text: &str) -> Result<Self, MsisdnError> {
        let digits = dialled_digits(text)?;
        let national = strip_prefixes(&digits);
        if national.len() != 9 {
            return Err(MsisdnError::Length);
        }
        let b = national.as_bytes();
        match (b[0], b[1], b[2]) {
            (b'6', b'7' | b'8', b'2'..=b'9') | (b'6', b'9', _) => {}
            _ => return Err(MsisdnError::Range),
        }
        national.parse().map(|national| Self { national }).map_err(|_| MsisdnError::NotDigits)
    }

    /// `+355672123456`: whole, for the ledger, the call record, the audit trail and orders to the network.
    pub fn e164(self) -> String {
        format!("+{COUNTRY_CODE}{}", self.national)
    }

    /// `0672123456`: as a caller keys it and hears it read back.
    pub fn national(self) -> String {
        format!("0{}", self.national)
    }
}

/// Masked: `+35567•••3456`.
impl fmt::Display for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{COUNTRY_CODE}{}•••{:04}", self.national / 10_000_000, self.national % 10_000)
    }
}

impl fmt::Debug for Msisdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Msisdn({self})")
    }
}

impl Serialize for Msisdn {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.e164())
    }
}

impl<'de> Deserialize<'de> for Msisdn {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .map_err(|e| serde::de::Error::custom(format!("`{text}` is not a mobile number: {e}")))
    }
}

/// The number of a fixed-line contract: eight national digits, area code first (`04 225 0928`, DOMAIN §4.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FixedNumber(String);

impl FixedNumber {
    /// Reads 04…, 355 4…, 00355 4… or +355 4….
    pub fn parse(text: &str) -> Result<Self, MsisdnError> {
        let digits = dialled_digits(text)?;
        let national = strip_prefixes(&digits);
        if national.len() != 8 {
            return Err(MsisdnError::Length);
        }
        // Area codes begin with 2 to 5 and 8; 6 is mobile, 7 and 9 are services.
        if !matches!(national.as_bytes().first(), Some(b'2'..=b'5' | b'8')) {
            return Err(MsisdnError::Range);
        }
        Ok(Self(national.to_owned()))
    }

    /// `+35542250928`.
    pub fn e164(&self) -> String {
        format!("+{COUNTRY_CODE}{}", self.0)
    }
}

impl fmt::Display for FixedNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0{}", self.0)
    }
}

impl TryFrom<String> for FixedNumber {
    type Error = MsisdnError;
    fn try_from(text: String) -> Result<Self, MsisdnError> {
        Self::parse(&text)
    }
}

impl From<FixedNumber> for String {
    fn from(number: FixedNumber) -> Self {
        number.e164()
    }
}

/// Longest text looked at: E.164 has 15 digits; prefixes and separators may double that.
const LONGEST_DIALLED: usize = 32;

fn dialled_digits(text: &str) -> Result<String, MsisdnError> {
    if text.len() > LONGEST_DIALLED {
        return Err(MsisdnError::Length);
    }
    let mut digits = String::with_capacity(text.len());
    for (index, c) in text.trim().chars().enumerate() {
        match c {
            '0'..='9' => digits.push(c),
            '+' if index == 0 => digits.push_str("00"),
            '-' | '.' | '(' | ')' | ' ' => {}
            _ => return Err(MsisdnError::NotDigits),
        }
    }
    Ok(digits)
}

/// Leaves the national digits: strips 00355, 355 or a single 0; anything else stays and fails by its length.
fn strip_prefixes(digits: &str) -> &str {
    match digits.strip_prefix("00") {
        Some(international) => international.strip_prefix(COUNTRY_CODE).unwrap_or(digits),
        None => digits.strip_prefix(COUNTRY_CODE).or_else(|| digits.strip_prefix('0')).unwrap_or(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_way_to_key_one_number() {
        for text in
            ["0672123456", "672123456", "355672123456", "00355672123456", "+355672123456", "+355-67.212 3456"]
        {
            assert_eq!(Msisdn::parse(text).unwrap().e164(), "+355672123456", "{text}");
        }
        assert_eq!(Msisdn::parse("0672123456").unwrap().national(), "0672123456");
    }

    #[test]
    fn the_domain_s_examples() {
        for valid in ["067 200 0123", "068 212 3456", "069 123 4567"] {
            assert!(Msisdn::parse(valid).is_ok(), "{valid}");
        }
        assert_eq!(Msisdn::parse("0671123456"), Err(MsisdnError::Range));
        assert_eq!(Msisdn::parse("0662123456"), Err(MsisdnError::Range));
        assert_eq!(Msisdn::parse("067212345"), Err(MsisdnError::Length));
        assert_eq!(Msisdn::parse("06721234567"), Err(MsisdnError::Length));
        assert_eq!(Msisdn::parse("06721x3456"), Err(MsisdnError::NotDigits));
        assert_eq!(Msisdn::parse("00672123456"), Err(MsisdnError::Length));
        assert_eq!(Msisdn::parse(""), Err(MsisdnError::Length));
        assert_eq!(FixedNumber::parse("04 225 0928").unwrap().e164(), "+35542250928");
        assert!(FixedNumber::parse("0672123456").is_err());
    }

    #[test]
    fn is_masked_unless_asked_for_whole() {
        let number = Msisdn::parse("0672123456").unwrap();
        assert_eq!(number.to_string(), "+35567•••3456");
        assert!(!format!("{number:?}").contains("212"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = Msisdn::parse(&text);
            let _ = FixedNumber::parse(&text);
        }
    }
}
