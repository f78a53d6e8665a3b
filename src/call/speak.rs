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
