//! From a prompt as written to what is spoken now: variables become their values, a menu its choices.

use super::Interpreter;
use crate::dialplan::event::Segment;
use crate::dialplan::flow::{Ask, Input, Prompt, PromptItem, Records};
use crate::dialplan::value::{Record, Value};

/// The variable that a choice's prompt speaks as its key.
pub(in crate::dialplan) const KEY_VARIABLE: &str = "key";

/// One page of a menu over records.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<'a> {
    /// Chosen by the keys 1, 2, ….
    pub choices: Vec<&'a Record>,
    /// Said on the last page.
    pub beyond: Vec<&'a Record>,
    /// There is another page, by the key after the last choice.
    pub more: bool,
}

impl Interpreter {
    /// A prompt outside a menu.
    pub(super) fn segments(&self, prompt: &Prompt) -> Vec<Segment> {
        let mut segments = Vec::new();
        self.speak(prompt, &|_| None, &mut segments);
        segments
    }

    /// A prompt of an asking node; `Reprompt` in it becomes the node's own.
    pub(super) fn asking_segments(&self, ask: &Ask, page: usize, prompt: &Prompt) -> Vec<Segment> {
        let mut segments = Vec::new();
        for item in prompt {
            match item {
                PromptItem::Reprompt => self.own_prompt(ask, page, &mut segments),
                item => self.speak(std::slice::from_ref(item), &|_| None, &mut segments),
            }
        }
        segments
    }

    fn own_prompt(&self, ask: &Ask, page: usize, segments: &mut Vec<Segment>) {
        if page == 0 {
            self.speak(&ask.prompt, &|_| None, segments);
        }
        match &ask.input {
            Input::Collect { .. } => {}
            Input::Choices(choices) => {
                for choice in choices {
                    let key = choice.key.to_digit(10).map(|digit| Value::Number(i64::from(digit)));
                    self.speak(
                        &choice.prompt,
                        &|name| (name == KEY_VARIABLE).then(|| key.clone()).flatten(),
                        segments,
                    );
                }
            }
            Input::Records(records) => self.speak_page(records, page, segments),
        }
    }

    fn speak_page(&self, records: &Records, number: usize, segments: &mut Vec<Segment>) {
        let page = self.page(records, number);
        for (index, record) in page.choices.iter().enumerate() {
            self.speak(&records.choose, &|name| local(records, record, index + 1, name), segments);
        }
        for record in &page.beyond {
            self.speak(&records.beyond, &|name| local(records, record, 0, name), segments);
        }
        if page.more {
            let key = page.choices.len() + 1;
            let nothing = Record::default();
            self.speak(&records.more, &|name| local(records, &nothing, key, name), segments);
        }
    }

    /// The records that can be chosen on a page, from 0, and what is said besides.
    pub(super) fn page(&self, records: &Records, number: usize) -> Page<'_> {
        let all: &[Record] = match self.variables.get(&records.array) {
            Some(Value::List(list)) => list,
            _ => &[],
        };
        let (fitting, beyond): (Vec<_>, Vec<_>) = all.iter().partition(|record| {
            records
                .available
                .as_ref()
                .is_none_or(|field| matches!(record.get(field), Some(Value::Truth(true))))
        });
        let first = number.saturating_mul(records.page_choices);
        let choices: Vec<_> = fitting.iter().skip(first).take(records.page_choices).copied().collect();
        let more = fitting.len() > first.saturating_add(choices.len());
        Page { choices, beyond: if more { Vec::new() } else { beyond }, more }
    }

    fn speak(
        &self,
        prompt: &[PromptItem],
        local: &dyn Fn(&str) -> Option<Value>,
        segments: &mut Vec<Segment>,
    ) {
        for item in prompt {
            match item {
                PromptItem::Clip(id) => segments.push(Segment::Prompt(id.clone())),
                PromptItem::Silence { ms } => segments.push(Segment::Silence { ms: *ms }),
                PromptItem::Say { variable, format } => {
                    let value = local(variable).or_else(|| self.variables.get(variable).cloned());
                    // The reader has seen to it that it is set.
                    segments.extend(value.map(|value| Segment::Say { value, format: *format }));
                }
                PromptItem::Reprompt => {}
            }
        }
    }
}

fn local(records: &Records, record: &Record, key: usize, name: &str) -> Option<Value> {
    if name == KEY_VARIABLE {
        return i64::try_from(key).ok().map(Value::Number);
    }
    let field = name.strip_prefix(&records.item)?.strip_prefix('.')?;
    record.get(field).cloned()
}
