//! Prompts: lists of recorded clips, spoken variables, pauses and reprompts.

use super::super::check::{Scope, Use};
use super::super::error::mean_or;
use super::super::flow::{NodeIndex, Prompt, PromptItem};
use super::super::value::SayAs;
use super::table::{Table, describe, parse_duration};
use super::{Parser, is_list};
use toml::Spanned;
use toml::de::DeValue;

/// Shortest and longest pause of a prompt, ms.
const SILENCE_MS: std::ops::RangeInclusive<u128> = 20..=5_000;

const EXAMPLE: &str = "prompt = [\"welcome\", { say = \"left\", as = \"money\" }]";

/// Where a prompt stands, which decides what it may hold.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// None in `[defaults]`, where no variable is known.
    pub node: Option<NodeIndex>,
    pub reprompt: bool,
    pub scope: Scope,
}

impl Place {
    pub(super) fn plain(node: Option<NodeIndex>) -> Self {
        Self { node, reprompt: false, scope: Scope::Node }
    }
}

impl Parser<'_> {
    /// A prompt without reprompt.
    pub(super) fn prompt(&mut self, table: &Table<'_>, key: &str, node: Option<NodeIndex>) -> Option<Prompt> {
        self.prompt_at(table, key, &Place::plain(node))
    }

    /// A prompt of an asking node, in which the node's own may be repeated.
    pub(super) fn asking_prompt(
        &mut self,
        table: &Table<'_>,
        key: &str,
        node: Option<NodeIndex>,
    ) -> Option<Prompt> {
        self.prompt_at(table, key, &Place { reprompt: true, ..Place::plain(node) })
    }

    pub(super) fn prompt_at(&mut self, table: &Table<'_>, key: &str, place: &Place) -> Option<Prompt> {
        let value = table.get(key)?;
        Some(self.items(table, key, value, place))
    }

    /// The prompt that a node must have: no node is silent.
    pub(super) fn required_prompt(&mut self, node: NodeIndex, table: &Table<'_>) -> Prompt {
        if table.get("prompt").is_none() {
            table.missing("prompt", "prompt = [\"…\"]", &mut self.errors);
        }
        self.prompt(table, "prompt", Some(node)).unwrap_or_default()
    }

    /// A list of prompts: what is said the first time, the second time, ….
    pub(super) fn prompts(
        &mut self,
        table: &Table<'_>,
        key: &str,
        node: Option<NodeIndex>,
    ) -> Option<Vec<Prompt>> {
        let value = table.get(key)?;
        let example = format!("{key} = [[\"no-input\"], [\"no-input-help\"]]");
        match value.get_ref().as_array() {
            Some(list) if list.iter().all(|item| is_list(item.get_ref())) => {
                let place = Place { reprompt: true, ..Place::plain(node) };
                Some(list.iter().map(|item| self.items(table, key, item, &place)).collect())
            }
            _ => {
                let message =
                    format!("`{key}` in {} is not a list of prompts, one for each time", table.place);
                self.errors.at(&value.span(), message, format!("write it like `{example}`"));
                None
            }
        }
    }

    fn items(&mut self, table: &Table<'_>, key: &str, value: &Spanned<DeValue<'_>>, place: &Place) -> Prompt {
        match value.get_ref() {
            DeValue::String(_) => self.item(table, value, place).into_iter().collect(),
            DeValue::Array(list) if list.is_empty() => {
                let message = format!("`{key}` in {} is empty", table.place);
                self.errors.at(&value.span(), message, "name at least one prompt");
                Prompt::new()
            }
            DeValue::Array(list) => list.iter().filter_map(|item| self.item(table, item, place)).collect(),
            _ => {
                table.wrong(key, value, EXAMPLE, &mut self.errors);
                Prompt::new()
            }
        }
    }

    fn item(&mut self, table: &Table<'_>, value: &Spanned<DeValue<'_>>, place: &Place) -> Option<PromptItem> {
        match value.get_ref() {
            DeValue::String(id) => {
                if !self.vocabulary.prompts.contains(id.as_ref()) {
                    let known = self.vocabulary.prompts.iter().map(String::as_str);
                    let mend = mean_or(id, known, || "add it to the prompts' manifest".to_owned());
                    let message = format!("prompt `{id}` in {} does not exist", table.place);
                    self.errors.at(&value.span(), message, mend);
                }
                Some(PromptItem::Clip(id.to_string()))
            }
            DeValue::Table(item) => {
                let item = Table::new(item, value.span(), format!("a prompt of {}", table.place));
                self.table_item(&item, place)
            }
            other => {
                let message = format!("a prompt of {} is {}", table.place, describe(other));
                self.errors.at(&value.span(), message, format!("write it like `{EXAMPLE}`"));
                None
            }
        }
    }

    fn table_item(&mut self, item: &Table<'_>, place: &Place) -> Option<PromptItem> {
        if item.get("silence").is_some() {
            item.only(&["silence"], &mut self.errors);
            return self.silence(item);
        }
        if item.get("reprompt").is_some() {
            item.only(&["reprompt"], &mut self.errors);
            if !place.reprompt || item.truth("reprompt", &mut self.errors) == Some(false) {
                let message = format!("{} may not hold a reprompt", item.place);
                self.errors.at(&item.span, message, "keep `reprompt = true` for help, noinput and nomatch");
            }
            return Some(PromptItem::Reprompt);
        }
        item.only(&["say", "as", "silence", "reprompt"], &mut self.errors);
        let variable = item.required("say", "say = \"left\"", &mut self.errors)?;
        let format = item.required("as", "as = \"money\"", &mut self.errors)?;
        let names = SayAs::NAMES.map(|(name, _)| name);
        let Some((_, say_as)) = SayAs::NAMES.into_iter().find(|(name, _)| *name == format.text) else {
            let mend = mean_or(format.text, names, || format!("known: {}", names.join(", ")));
            self.errors.at(&format.span, format!("{} is spoken as `{}`", item.place, format.text), mend);
            return None;
        };
        let line = self.errors.line(variable.span.start);
        match place.node {
            Some(node) => self.uses(Use::say(node, variable.text, say_as, place.scope.clone(), line)),
            None => {
                let message = format!("`{}` is not set everywhere", variable.text);
                self.errors.at(&variable.span, message, "speak variables in nodes, not in `[defaults]`");
            }
        }
        Some(PromptItem::Say { variable: variable.text.to_owned(), format: say_as })
    }

    fn silence(&mut self, item: &Table<'_>) -> Option<PromptItem> {
        let word = item.word("silence", "silence = \"300ms\"", &mut self.errors)?;
        let ms = parse_duration(word.text).map(|duration| duration.as_millis());
        match ms.filter(|ms| SILENCE_MS.contains(ms)).and_then(|ms| u16::try_from(ms).ok()) {
            Some(ms) => Some(PromptItem::Silence { ms }),
            None => {
                let message = format!("{} has the silence `{}`, not 20ms to 5s", item.place, word.text);
                self.errors.at(&word.span, message, "write it like `{ silence = \"300ms\" }`");
                None
            }
        }
    }
}
