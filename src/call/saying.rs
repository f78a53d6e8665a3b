//! From what a flow says to the recorded clips that speak it, in the language of the flow.

use crate::dialplan::{SayAs, Segment, Value};
use crate::speech::Unit;
use crate::speech::sq::{self, Gender, SayError};

/// Why a segment cannot be spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SayingError {
    /// The value is beyond what the recorded units speak.
    #[error(transparent)]
    Say(#[from] SayError),
    /// The value is of another kind than the format speaks; a checked flow has no such segment.
    #[error("{value} cannot be spoken as {format:?}")]
    Kind {
        /// The value, masked where it is a telephone number.
        value: String,
        /// How it was to be spoken.
        format: SayAs,
    },
}

/// The clips and pauses of a list of segments, in Albanian.
pub fn units(segments: &[Segment]) -> Result<Vec<Unit>, SayingError> {
    let mut units = Vec::with_capacity(segments.len());
    for segment in segments {
        match segment {
            Segment::Prompt(id) => units.push(Unit::Clip(id.clone())),
            Segment::Silence { ms } => units.push(Unit::Pause { ms: *ms }),
            Segment::Say { value, format } => units.extend(say(value, *format)?),
        }
    }
    Ok(units)
}

fn say(value: &Value, format: SayAs) -> Result<Vec<Unit>, SayingError> {
    Ok(match (format, value) {
        (SayAs::Number, Value::Number(number)) => sq::say_number(*number, Gender::Masculine)?,
        (SayAs::NumberFeminine, Value::Number(number)) => sq::say_number(*number, Gender::Feminine)?,
        (SayAs::Money, Value::Money(money)) => sq::say_money(*money)?,
        (SayAs::Digits, Value::Text(digits)) => sq::say_digits(digits)?,
        (SayAs::Digits, Value::Number(number)) => sq::say_digits(&number.to_string())?,
        (SayAs::Telephone, Value::Msisdn(number)) => sq::say_msisdn(*number),
        (SayAs::Month, Value::Number(month)) => sq::say_month(*month)?,
        (format, value) => return Err(SayingError::Kind { value: value.to_string(), format }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Money, Msisdn};

    #[test]
    fn every_format_speaks_its_values_and_refuses_others() {
        let member = Msisdn::parse("0672123456").unwrap();
        let segments = [
            Segment::Prompt("number-is".to_owned()),
            Segment::Say { value: Value::Msisdn(member), format: SayAs::Telephone },
            Segment::Silence { ms: 300 },
            Segment::Say { value: Value::Money(Money::from_lek(900)), format: SayAs::Money },
        ];
        let ids: Vec<String> = units(&segments)
            .unwrap()
            .into_iter()
            .map(|unit| match unit {
                Unit::Clip(id) => id,
                Unit::Pause { ms } => format!("{ms}ms"),
            })
            .collect();
        assert_eq!(
            ids.join(" "),
            "number-is num-0 num-6 num-7 240ms num-2 num-1 num-2 240ms num-3 num-4 num-5 num-6 300ms num-900 leke"
        );
        let wrong = Segment::Say { value: Value::Truth(true), format: SayAs::Money };
        assert_eq!(
            units(&[wrong]),
            Err(SayingError::Kind { value: "true".to_owned(), format: SayAs::Money })
        );
    }
}
