//! What the SMS to leader and member say (DOMAIN §5, §6.4, §6.5). The text states what has happened, so it can
//! only be made once the activation is settled.

use super::PackageName;
use crate::units::{Money, Msisdn};
use serde::{Deserialize, Serialize};

/// How an SMS is written (DOMAIN §6.5): `ë` is not in the GSM 7-bit alphabet at all, `ç` only upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SmsAlphabet {
    /// Albanian as it is written; 70 characters a part.
    #[default]
    Ucs2,
    /// Plain transliteration (`ë` to `e`, `ç` to `c`); 160 characters a part.
    Plain,
}

/// Who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// The Lider Mobile, about a member's package.
    Leader,
    /// The member, about his package.
    Member,
    /// The Lider Mobile who activated for himself.
    Own,
}

/// What became of the activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The network activated it; it is on the next bill.
    Activated,
    /// The network rejected it; nothing is billed.
    Rejected,
}

/// The text of one SMS.
pub fn sms_text(
    alphabet: SmsAlphabet,
    audience: Audience,
    outcome: Outcome,
    package: PackageName,
    member: Msisdn,
    net: Money,
) -> String {
    let number = member.national();
    let text = match (outcome, audience) {
        (Outcome::Activated, Audience::Leader) => format!(
            "Klik-ON: Paketa {package} u aktivizua për numrin {number}. Vlera {net} do të përfshihet në faturën e radhës."
        ),
        (Outcome::Activated, Audience::Own) => format!(
            "Klik-ON: Paketa {package} u aktivizua. Vlera {net} do të përfshihet në faturën e radhës."
        ),
        (Outcome::Activated, Audience::Member) => {
            format!("Klik-ON: Paketa {package} u aktivizua në numrin tuaj nga Lideri Mobile i grupit.")
        }
        (Outcome::Rejected, Audience::Leader) => format!(
            "Klik-ON: Paketa {package} nuk u aktivizua për numrin {number}. Vlera nuk do t'ju faturohet."
        ),
        (Outcome::Rejected, Audience::Own) => {
            format!("Klik-ON: Paketa {package} nuk u aktivizua. Vlera nuk do t'ju faturohet.")
        }
        (Outcome::Rejected, Audience::Member) => {
            format!("Klik-ON: Paketa {package}, e kërkuar nga Lideri Mobile i grupit, nuk u aktivizua.")
        }
    };
    match alphabet {
        SmsAlphabet::Ucs2 => text,
        SmsAlphabet::Plain => plain(&text),
    }
}

/// How many parts an SMS takes: 70 UCS-2 code units, or 160 septets; 67 and 153 where it is concatenated
/// (3GPP TS 23.040 §9.2.3.24.1).
pub fn sms_parts(alphabet: SmsAlphabet, text: &str) -> usize {
    let (length, single, concatenated) = match alphabet {
        SmsAlphabet::Ucs2 => (text.encode_utf16().count(), 70, 67),
        SmsAlphabet::Plain => (text.chars().count(), 160, 153),
    };
    if length <= single { 1 } else { length.div_ceil(concatenated) }
}

fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            'ë' => 'e',
            'Ë' => 'E',
            'ç' => 'c',
            'Ç' => 'C',
            '\u{a0}' => ' ',
            '\u{2212}' => '-',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(alphabet: SmsAlphabet, audience: Audience, outcome: Outcome) -> String {
        let member = Msisdn::parse("0672123456").unwrap();
        let package = "Super 1100".parse().unwrap();
        sms_text(alphabet, audience, outcome, package, member, Money::from_lek(900))
    }

    const AUDIENCES: [Audience; 3] = [Audience::Leader, Audience::Member, Audience::Own];

    #[test]
    fn says_what_happened() {
        assert_eq!(
            text(SmsAlphabet::Ucs2, Audience::Leader, Outcome::Activated),
            "Klik-ON: Paketa Super 1100 u aktivizua për numrin 0672123456. \
             Vlera 900\u{a0}lekë do të përfshihet në faturën e radhës."
        );
        for audience in AUDIENCES {
            assert!(text(SmsAlphabet::Ucs2, audience, Outcome::Rejected).contains("nuk u aktivizua"));
            assert!(!text(SmsAlphabet::Ucs2, audience, Outcome::Activated).contains("nuk"));
        }
    }

    #[test]
    fn plain_text_says_the_same_without_its_marks() {
        assert_eq!(
            text(SmsAlphabet::Plain, Audience::Leader, Outcome::Activated),
            "Klik-ON: Paketa Super 1100 u aktivizua per numrin 0672123456. \
             Vlera 900 leke do te perfshihet ne faturen e radhes."
        );
        assert_eq!(plain("ËÇç \u{2212}5\u{a0}x"), "ECc -5 x");
    }

    #[test]
    fn plain_text_is_in_the_gsm_alphabet_and_one_part() {
        for audience in AUDIENCES {
            for outcome in [Outcome::Activated, Outcome::Rejected] {
                let text = text(SmsAlphabet::Plain, audience, outcome);
                assert!(text.is_ascii(), "{text}");
                assert_eq!(sms_parts(SmsAlphabet::Plain, &text), 1, "{text}");
            }
        }
    }

    #[test]
    fn parts_are_counted_as_the_standard_does() {
        assert_eq!(sms_parts(SmsAlphabet::Ucs2, &"ë".repeat(70)), 1);
        assert_eq!(sms_parts(SmsAlphabet::Ucs2, &"ë".repeat(71)), 2);
        assert_eq!(sms_parts(SmsAlphabet::Ucs2, &"ë".repeat(134)), 2);
        assert_eq!(sms_parts(SmsAlphabet::Ucs2, &"ë".repeat(135)), 3);
        assert_eq!(sms_parts(SmsAlphabet::Plain, &"e".repeat(161)), 2);
    }
}
