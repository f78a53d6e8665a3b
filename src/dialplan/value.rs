//! The values that a flow carries from a query to a prompt: typed, so that the reader can refuse a flow that
//! would speak a telephone number as an amount of money.

use crate::units::{Money, Msisdn};
use std::fmt;

/// What a variable of a flow holds at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text as keyed by the caller: digits of an entry.
    Text(String),
    /// A whole number: a month of the year, a catalogue number, the number in a package's name.
    Number(i64),
    /// An amount in Lek.
    Money(Money),
    /// A mobile number, masked when shown.
    Msisdn(Msisdn),
    /// Yes or no.
    Truth(bool),
    /// Records to choose from, in the order they are read out.
    List(Vec<Record>),
}

/// One entry of a list: field names and values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record(pub Vec<(String, Value)>);

impl Record {
    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }
}

/// What a variable may hold, known when the flow is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// [`Value::Text`].
    Text,
    /// [`Value::Number`].
    Number,
    /// [`Value::Money`].
    Money,
    /// [`Value::Msisdn`].
    Msisdn,
    /// [`Value::Truth`].
    Truth,
    /// [`Value::List`], each record with these fields.
    List(Vec<Field>),
}

/// A named, typed slot: an argument, a value of an outcome, a field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// As written in the flow.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
}

impl Field {
    /// A slot of that name and kind.
    pub fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind }
    }
}

impl Kind {
    /// Whether a value is of this kind; a list only when every record has every field.
    pub fn admits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text, Value::Text(_))
            | (Self::Number, Value::Number(_))
            | (Self::Money, Value::Money(_))
            | (Self::Msisdn, Value::Msisdn(_))
            | (Self::Truth, Value::Truth(_)) => true,
            (Self::List(fields), Value::List(records)) => records.iter().all(|record| {
                fields.iter().all(|field| record.get(&field.name).is_some_and(|v| field.kind.admits(v)))
            }),
            _ => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Money => "an amount of money",
            Self::Msisdn => "a mobile number",
            Self::Truth => "true or false",
            Self::List(_) => "a list",
        })
    }
}

/// As a branch compares it: digits, whole Lek (`500`, `16.20`), `true`/`false`. Mobile numbers stay masked and
/// lists have no text form.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Money(money) => match money.whole_lek() {
                Some(lek) => lek.fmt(f),
                None => money.lek().fmt(f),
            },
            Self::Msisdn(number) => number.fmt(f),
            Self::Truth(truth) => truth.fmt(f),
            Self::List(records) => write!(f, "{} records", records.len()),
        }
    }
}

/// How a variable is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SayAs {
    /// A number before a masculine noun or alone: *tre* (DOMAIN §6.1).
    Number,
    /// A number before a feminine noun: *tri*.
    NumberFeminine,
    /// An amount with its unit: *gjashtë mijë e pesëqind lekë*.
    Money,
    /// Digit by digit.
    Digits,
    /// A mobile number, digit by digit in groups of 3, 3 and 4.
    Telephone,
    /// A month's name from its number, 1 to 12.
    Month,
}

impl SayAs {
    /// All, with the names that flows use.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("number", Self::Number),
        ("number-feminine", Self::NumberFeminine),
        ("money", Self::Money),
        ("digits", Self::Digits),
        ("telephone", Self::Telephone),
        ("month", Self::Month),
    ];

    /// Whether a variable of that kind can be spoken this way.
    pub fn speaks(self, kind: &Kind) -> bool {
        match self {
            Self::Number | Self::NumberFeminine | Self::Month => *kind == Kind::Number,
            Self::Money => *kind == Kind::Money,
            Self::Digits => matches!(kind, Kind::Text | Kind::Number),
            Self::Telephone => *kind == Kind::Msisdn,
        }
    }
}
