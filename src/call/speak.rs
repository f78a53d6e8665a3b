//! From a flow's segments to what the media engine plays, and to what a reader sees of it.

use super::saying::units;
use crate::dialplan::{Segment, Value};
use crate::media::{Element, PromptLibrary};
use crate::speech::{Prompts, Unit};

/// What is to be played, and how it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    /// For the media engine.
    pub elements: Vec<Element>,
    /// For a reader who may see whole numbers.
    pub text: String,
    /// For logs: telephone numbers and keyed digits are hidden.
    pub masked_text: String,
}

/// What stands in a masked text where a number was said.
const HIDDEN: &str = "•••";

/// Puts segments together. What cannot be said is left out and logged: the rest of the sentence still helps.
pub fn speak(prompts: &Prompts, library: &PromptLibrary, segments: &[Segment]) -> Spoken {
    let (mut said, mut masked) = (Vec::new(), Vec::new());
    for segment in segments {
        match units(std::slice::from_ref(segment)) {
            Ok(units) if is_private(segment) => {
                masked.push(Unit::Clip(HIDDEN.to_owned()));
                said.extend(units);
            }
            Ok(units) => {
                masked.extend(units.iter().cloned());
                said.extend(units);
            }
            Err(error) => tracing::error!(%error, "left out of a prompt"),
        }
    }
    let elements = said.iter().filter_map(|unit| element(library, unit)).collect();
    Spoken { elements, text: prompts.text(&said), masked_text: prompts.text(&masked) }
}

/// A telephone number, or digits that may be one.
fn is_private(segment: &Segment) -> bool {
    matches!(segment, Segment::Say { value: Value::Msisdn(_) | Value::Text(_), .. })
}

fn element(library: &PromptLibrary, unit: &Unit) -> Option<Element> {
    match unit {
        Unit::Pause { ms } => Some(Element::Silence { ms: *ms }),
        Unit::Clip(id) => {
            let clip = library.lookup(id);
            if clip.is_none() {
                tracing::error!(id, "no such clip");
            }
            clip.map(Element::Clip)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialplan::{SayAs, Value};
    use std::path::Path;

    #[test]
    fn what_cannot_be_said_is_left_out_and_the_rest_is_heard() {
        let prompts = crate::speech::load(Path::new("prompts/sq")).unwrap();
        // A library that lacks `leke`, as no checked set does.
        let clips = ["left-is", "num-900"].map(|id| (id.to_owned(), vec![0; 320]));
        let library = PromptLibrary::encode(clips).unwrap();
        let clip = |id| Element::Clip(library.lookup(id).unwrap());
        let segments = [
            Segment::Prompt("left-is".to_owned()),
            Segment::Say { value: Value::Truth(true), format: SayAs::Money },
            Segment::Silence { ms: 120 },
            Segment::Say { value: Value::Number(99_999), format: SayAs::Number },
            Segment::Say { value: Value::Money(crate::units::Money::from_lek(900)), format: SayAs::Money },
        ];
        let spoken = speak(&prompts, &library, &segments);
        assert_eq!(spoken.elements, [clip("left-is"), Element::Silence { ms: 120 }, clip("num-900")]);
        let words = |id| prompts.clip(id).unwrap().text.clone();
        for id in ["left-is", "num-900", "leke"] {
            assert!(spoken.text.contains(&words(id)), "{id} is not in {}", spoken.text);
        }
        let nothing = speak(&prompts, &library, &[]);
        assert_eq!((nothing.elements.len(), nothing.text.as_str()), (0, ""));
    }

    #[test]
    fn numbers_of_telephones_are_hidden_in_the_masked_text_and_nothing_else_is() {
        let prompts = crate::speech::load(Path::new("prompts/sq")).unwrap();
        let library = PromptLibrary::encode([("leke".to_owned(), vec![0; 320])]).unwrap();
        let member = crate::units::Msisdn::parse("0672123456").unwrap();
        let segments = [
            Segment::Prompt("number-is".to_owned()),
            Segment::Say { value: Value::Msisdn(member), format: SayAs::Telephone },
            Segment::Silence { ms: 120 },
            Segment::Say { value: Value::Text("0672123456".to_owned()), format: SayAs::Digits },
            Segment::Silence { ms: 120 },
            Segment::Say { value: Value::Money(crate::units::Money::from_lek(900)), format: SayAs::Money },
        ];
        let spoken = speak(&prompts, &library, &segments);
        for digit in ["zero", "gjashtë", "shtatë", "dy", "një", "tre", "katër", "pesë"] {
            assert!(spoken.text.contains(digit), "{digit} is not in {}", spoken.text);
            assert!(!spoken.masked_text.contains(digit), "{digit} is in {}", spoken.masked_text);
        }
        assert_eq!(spoken.masked_text.matches(HIDDEN).count(), 2, "{}", spoken.masked_text);
        assert!(spoken.masked_text.contains("nëntëqind"), "{}", spoken.masked_text);
    }
}
