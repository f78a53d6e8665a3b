use super::*;
use crate::units::{Money, Msisdn};
use std::collections::BTreeSet;

/// The words of the units, as the manifest has them.
fn words(units: &[Unit]) -> String {
    let manifest = super::super::Manifest::parse(
        include_str!("../../prompts/sq/manifest.toml"),
        std::path::Path::new("prompts/sq/manifest.toml"),
    )
    .unwrap();
    let text = |unit: &Unit| match unit {
        Unit::Clip(id) => {
            manifest.prompts.iter().find(|entry| entry.id == *id).map(|entry| entry.text.clone()).unwrap()
        }
        Unit::Pause { .. } => "·".to_owned(),
    };
    units.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// Letters only: num2al writes without diacritics, *dy qinde* for *dyqind* and a hyphen for the last *e*
/// (*Tridhjete-Kater*). In all three DOMAIN §6.1 decides, which CLDR follows to the letter.
fn folded(words: &str) -> String {
    let plain = words.to_lowercase().replace('ë', "e").replace('-', " e ").replace("qinde", "qind");
    plain.replace(' ', "")
}

#[test]
fn every_number_is_spoken_as_both_references_write_it() {
    let manifest_words = |number, gender| say_number(number, gender).unwrap();
    let ids: std::collections::BTreeMap<String, String> = unit_ids()
        .into_iter()
        .map(|id| {
            let text = words(&[Unit::Clip(id.clone())]);
            (id, text)
        })
        .collect();
    let joined = |number, gender| {
        let of = |unit: &Unit| match unit {
            Unit::Clip(id) => ids[id].as_str(),
            Unit::Pause { .. } => "·",
        };
        manifest_words(number, gender).iter().map(of).collect::<Vec<_>>().join(" ")
    };
    let reference = include_str!("../../tests/data/sq-numbers.tsv");
    let mut compared = 0;
    for line in reference.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [number, masculine, feminine, num2al] = columns[..] else { panic!("{line}") };
        let or_masculine = |column| if column == "=" { masculine } else { column };
        let number: i64 = number.parse().unwrap();
        assert_eq!(number, compared);
        assert_eq!(joined(number, Gender::Masculine), masculine, "{number}");
        assert_eq!(joined(number, Gender::Feminine), or_masculine(feminine), "{number}");
        assert_eq!(folded(&joined(number, Gender::Masculine)), folded(or_masculine(num2al)), "{number}");
        compared += 1;
    }
    assert_eq!(compared, MAX_NUMBER + 1);
}

#[test]
fn the_domain_s_own_examples() {
    for (number, spoken) in [
        (1_234, "një mijë e dyqind e tridhjetë e katër"),
        (6_500, "gjashtë mijë e pesëqind"),
        (1_001, "një mijë e një"),
        (3, "tre"),
        (0, "zero"),
    ] {
        assert_eq!(words(&say_number(number, Gender::Masculine).unwrap()), spoken);
    }
    assert_eq!(words(&say_number(3, Gender::Feminine).unwrap()), "tri");
    for out in [-1, 10_000, i64::MIN, i64::MAX] {
        assert_eq!(say_number(out, Gender::Masculine), Err(SayError::NumberOutOfRange(out)));
    }
}

#[test]
fn amounts_have_their_unit_and_their_qindarka() {
    for (qindarka, spoken) in [
        (0, "zero lekë"),
        (100, "një lek"),
        (300, "tre lekë"),
        (2_100, "njëzet e një lekë"),
        (650_000, "gjashtë mijë e pesëqind lekë"),
        (1_620, "gjashtëmbëdhjetë lekë e njëzet qindarka"),
        (103, "një lek e tri qindarka"),
        (1, "një qindarkë"),
        (23, "njëzet e tri qindarka"),
    ] {
        assert_eq!(words(&say_money(Money::from_qindarka(qindarka)).unwrap()), spoken, "{qindarka}");
    }
    assert_eq!(say_money(Money::from_lek(-900)), Err(SayError::NumberOutOfRange(-900)));
    assert_eq!(say_money(Money::from_lek(10_000)), Err(SayError::NumberOutOfRange(10_000)));
    assert!(say_money(Money::from_qindarka(i64::MIN)).is_err());
}

#[test]
fn telephone_numbers_are_grouped_and_digits_are_not() {
    let number = Msisdn::parse("+355672123456").unwrap();
    assert_eq!(words(&say_msisdn(number)), "zero gjashtë shtatë · dy një dy · tre katër pesë gjashtë");
    assert_eq!(words(&say_digits("4072").unwrap()), "katër zero shtatë dy");
    for text in ["", "12a", "ë", "+355", &"1".repeat(MAX_DIGITS + 1)] {
        assert_eq!(say_digits(text), Err(SayError::NotDigits), "{text}");
    }
}

#[test]
fn months_have_names() {
    assert_eq!(words(&say_month(11).unwrap()), "nëntor");
    assert_eq!(say_month(0), Err(SayError::NotAMonth(0)));
    assert_eq!(say_month(13), Err(SayError::NotAMonth(13)));
}

#[test]
fn unit_ids_are_all_that_is_ever_asked_for() {
    let known: BTreeSet<String> = unit_ids().into_iter().collect();
    let mut asked = BTreeSet::new();
    let mut note = |units: Vec<Unit>| {
        asked.extend(units.into_iter().filter_map(|unit| match unit {
            Unit::Clip(id) => Some(id),
            Unit::Pause { .. } => None,
        }));
    };
    for number in 0..=MAX_NUMBER {
        note(say_number(number, Gender::Masculine).unwrap());
        note(say_number(number, Gender::Feminine).unwrap());
    }
    for qindarka in 0..10_000 {
        note(say_money(Money::from_qindarka(qindarka)).unwrap());
    }
    for month in 1..=12 {
        note(say_month(month).unwrap());
    }
    assert_eq!(asked, known);
}
