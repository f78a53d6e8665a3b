//! Reads TOML tables with their spans: each accessor reports what it does not like and goes on.

use super::super::error::{Errors, mean_or};
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest timer a flow may set.
const MAX_DURATION: Duration = Duration::from_secs(600);

/// How errors call the file's own table.
pub(super) const ROOT: &str = "the flow";

/// A TOML table, where it stands, and how errors call it.
#[derive(Debug, Clone)]
pub(super) struct Table<'t> {
    pub table: &'t DeTable<'t>,
    pub span: Range<usize>,
    /// For messages: "node `welcome`", "`[keys]`".
    pub place: String,
}

/// A string and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Word<'t> {
    pub text: &'t str,
    pub span: Range<usize>,
}

impl<'t> Table<'t> {
    pub(super) fn new(table: &'t DeTable<'t>, span: Range<usize>, place: impl Into<String>) -> Self {
        Self { table, span, place: place.into() }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.get(key)
    }

    /// Reports keys that mean nothing here.
    pub(super) fn only(&self, known: &[&str], errors: &mut Errors) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let mend = mean_or(name, known.iter().copied(), || format!("known: {}", known.join(", ")));
                errors.at(&key.span(), format!("unknown key `{name}` in {}", self.place), mend);
            }
        }
    }

    pub(super) fn missing(&self, key: &str, example: &str, errors: &mut Errors) {
        errors.at(&self.span, format!("{} has no `{key}`", self.place), format!("add `{example}`"));
    }

    pub(super) fn wrong(&self, key: &str, value: &Spanned<DeValue>, example: &str, errors: &mut Errors) {
        let message = format!("`{key}` in {} is {}", self.place, describe(value.get_ref()));
        errors.at(&value.span(), message, format!("write it like `{example}`"));
    }

    pub(super) fn word(&self, key: &str, example: &str, errors: &mut Errors) -> Option<Word<'t>> {
        let value = self.get(key)?;
        let word = value.get_ref().as_str().map(|text| Word { text, span: value.span() });
        if word.is_none() {
            self.wrong(key, value, example, errors);
        }
        word
    }

    pub(super) fn required(&self, key: &str, example: &str, errors: &mut Errors) -> Option<Word<'t>> {
        if self.get(key).is_none() {
            self.missing(key, example, errors);
        }
        self.word(key, example, errors)
    }

    pub(super) fn truth(&self, key: &str, errors: &mut Errors) -> Option<bool> {
        let value = self.get(key)?;
        let truth = value.get_ref().as_bool();
        if truth.is_none() {
            self.wrong(key, value, &format!("{key} = true"), errors);
        }
        truth
    }

    /// A whole number within limits.
    pub(super) fn count(
        &self,
        key: &str,
        limits: std::ops::RangeInclusive<usize>,
        errors: &mut Errors,
    ) -> Option<usize> {
        let value = self.get(key)?;
        let number = value.get_ref().as_integer().and_then(|integer| {
            let digits = integer.as_str();
            usize::from_str_radix(digits, integer.radix()).ok()
        });
        match number {
            Some(number) if limits.contains(&number) => Some(number),
            _ => {
                let message = format!(
                    "`{key}` in {} is not a number from {} to {}",
                    self.place,
                    limits.start(),
                    limits.end()
                );
                errors.at(&value.span(), message, format!("write it like `{key} = {}`", limits.start()));
                None
            }
        }
    }

    /// A time as VoiceXML writes it (CSS2): `5s`, `1.5s`, `300ms`.
    pub(super) fn duration(&self, key: &str, errors: &mut Errors) -> Option<Duration> {
        let example = format!("{key} = \"5s\"");
        let word = self.word(key, &example, errors)?;
        let parsed = parse_duration(word.text).filter(|duration| *duration <= MAX_DURATION);
        if parsed.is_none() {
            let message = format!("`{key}` in {} is `{}`, not a time up to 600s", self.place, word.text);
            errors.at(&word.span, message, format!("write it like `{example}` or `{key} = \"300ms\"`"));
        }
        parsed
    }

    pub(super) fn table(&self, key: &str, errors: &mut Errors) -> Option<Table<'t>> {
        let value = self.get(key)?;
        match value.get_ref().as_table() {
            Some(table) => {
                let place = if self.place == ROOT {
                    format!("`[{key}]`")
                } else {
                    format!("`{key}` of {}", self.place)
                };
                Some(Table::new(table, value.span(), place))
            }
            None => {
                self.wrong(key, value, &format!("{key} = {{ … }}"), errors);
                None
            }
        }
    }
}

/// `5s`, `1.5s` or `300ms`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit_ms) = match text.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => (text.strip_suffix('s')?, 1000.0),
    };
    if number.is_empty() || !number.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.') {
        return None;
    }
    let ms = number.parse::<f64>().ok()? * unit_ms;
    (ms <= 86_400_000.0).then(|| Duration::from_millis(ms.round() as u64))
}

/// For messages: what a value is, when another kind was wanted.
pub(super) fn describe(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number without quotation marks",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
