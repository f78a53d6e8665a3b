//! In a node that asks: one state prompts and collects, so no key is lost between the two.

use super::speak::Page;
use super::{Interpreter, PLAY_LIMIT, State, Step};
use crate::dialplan::event::{Effect, Event, PlayId};
use crate::dialplan::flow::{Action, Ask, Catch, Input, Prompt, PromptItem, TypeAhead};
use crate::dialplan::value::Value;
use std::sync::Arc;
use std::time::Instant;

/// Prompting and collecting.
#[derive(Debug)]
pub(super) struct Asking {
    playing: Option<PlayId>,
    /// When the prompt began, for the guard against type-ahead that comes late.
    began: Instant,
    pub(super) deadline: Instant,
    digits: String,
    page: usize,
    /// A key was dropped since the prompt began.
    dropped: bool,
    /// A key stopped the prompt that may turn out not to count.
    cut: bool,
}

/// The two events that are counted, each by itself (VoiceXML 2.1 §5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Miss {
    NoInput,
    NoMatch,
}

impl Interpreter {
    pub(super) fn enter_ask(&mut self, now: Instant, ask: &Ask, retry: Option<Prompt>) -> Option<Step> {
        if ask.manners.typeahead == TypeAhead::Drop || retry.is_some() {
            self.keys.drop_all();
        }
        let mut asking = Asking {
            playing: None,
            began: now,
            deadline: now + ask.interdigit,
            digits: String::new(),
            page: 0,
            dropped: false,
            cut: false,
        };
        if let Input::Records(records) = &ask.input
            && self.page(records, 0).choices.is_empty()
        {
            return Some(Step::to(self.flow.on_error));
        }
        let step = match retry {
            Some(prompt) => self.miss(now, ask, &mut asking, Miss::NoMatch, Some(&prompt)),
            None => {
                self.tries.remove(&self.node);
                // Who has keyed ahead has heard it before; a prompt that no key may stop is heard all the same.
                if self.keys.is_empty() || !ask.manners.bargein {
                    self.repeat(now, ask, &mut asking);
                }
                self.read_ahead(now, ask, &mut asking)
            }
        };
        self.settle(asking, step)
    }

    pub(super) fn asking(&mut self, now: Instant, mut asking: Asking, event: Event) -> Option<Step> {
        let flow = Arc::clone(&self.flow);
        let Some(Action::Ask(ask)) = flow.node(self.node).map(|node| &node.action) else { return None };
        let step = match event {
            Event::DigitBegan => {
                self.key_down(now, ask, &mut asking);
                None
            }
            Event::Digit(key) => self.key_up(now, ask, &mut asking, key),
            Event::PlayDone { id, interrupted } if asking.playing == Some(id) => {
                self.prompt_ended(now, ask, &mut asking, interrupted)
            }
            Event::Timeout if asking.playing.is_some() => self.prompt_ended(now, ask, &mut asking, false),
            Event::Timeout => self.timed_out(now, ask, &mut asking),
            Event::PlayDone { .. } | Event::Result { .. } => None,
        };
        self.settle(asking, step)
    }

    fn settle(&mut self, asking: Asking, step: Option<Step>) -> Option<Step> {
        if step.is_none() {
            self.state = State::Asking(asking);
        }
        step
    }

    fn key_down(&mut self, now: Instant, ask: &Ask, asking: &mut Asking) {
        if guarded(ask, asking, now) {
            self.keys.began(now, true);
            return;
        }
        let deaf = asking.playing.is_some() && !ask.manners.listen;
        self.keys.began(now, deaf);
        if asking.playing.is_none() || ask.manners.bargein {
            asking.cut |= asking.playing.is_some() && !deaf;
            self.stop_prompt(asking);
            asking.deadline = now + ask.interdigit;
        }
    }

    fn key_up(&mut self, now: Instant, ask: &Ask, asking: &mut Asking, key: char) -> Option<Step> {
        let since = self.keys.down_since().unwrap_or(now);
        let counts = self.keys.ended(now, key) && !guarded(ask, asking, since);
        let deaf = asking.playing.is_some() && !ask.manners.listen;
        if counts && asking.playing.is_some() && ask.manners.listen && !ask.manners.bargein {
            self.keys.push(key);
            return None;
        }
        if deaf && ask.manners.bargein {
            self.stop_prompt(asking);
        }
        if counts && !deaf {
            self.stop_prompt(asking);
            return self.key(now, ask, asking, key);
        }
        asking.dropped = true;
        if asking.cut {
            self.repeat(now, ask, asking);
        } else if asking.playing.is_none() {
            asking.deadline = now + if asking.digits.is_empty() { ask.timeout } else { ask.interdigit };
        }
        None
    }

    /// The timer for the first key starts at the end of the prompt; a key that stopped it starts its own.
    fn prompt_ended(
        &mut self,
        now: Instant,
        ask: &Ask,
        asking: &mut Asking,
        interrupted: bool,
    ) -> Option<Step> {
        asking.playing = None;
        if interrupted && ask.manners.bargein {
            if self.keys.down_since().is_none() && asking.dropped {
                self.repeat(now, ask, asking);
            } else {
                asking.cut = true;
                asking.deadline = now + ask.interdigit;
            }
            return None;
        }
        asking.deadline = now + ask.timeout;
        self.read_ahead(now, ask, asking)
    }

    fn timed_out(&mut self, now: Instant, ask: &Ask, asking: &mut Asking) -> Option<Step> {
        if asking.cut && self.keys.dropping() {
            self.repeat(now, ask, asking);
            return None;
        }
        if asking.digits.is_empty() {
            return self.miss(now, ask, asking, Miss::NoInput, None);
        }
        self.entry_ended(now, ask, asking, false)
    }

    /// Reads the type-ahead, as far as no prompt must be heard first.
    fn read_ahead(&mut self, now: Instant, ask: &Ask, asking: &mut Asking) -> Option<Step> {
        while asking.playing.is_none() || ask.manners.bargein {
            let key = self.keys.pop()?;
            self.stop_prompt(asking);
            if let Some(step) = self.key(now, ask, asking, key) {
                return Some(step);
            }
        }
        None
    }

    fn key(&mut self, now: Instant, ask: &Ask, asking: &mut Asking, key: char) -> Option<Step> {
        asking.cut = false;
        match &ask.input {
            Input::Collect { max, termchar, .. } => {
                if Some(key) == *termchar {
                    return self.entry_ended(now, ask, asking, true);
                }
                if Some(key) == self.flow.keys.back {
                    return self.back(now, ask, asking);
                }
                if !key.is_ascii_digit() {
                    return self.miss(now, ask, asking, Miss::NoMatch, None);
                }
                asking.digits.push(key);
                asking.deadline = now + ask.interdigit;
                if asking.digits.len() >= *max {
                    return self.entry_ended(now, ask, asking, false);
                }
                None
            }
            Input::Choices(choices) => match choices.iter().find(|choice| choice.key == key) {
                Some(choice) => Some(Step::by_key(choice.next)),
                None => self.global_key(now, ask, asking, key),
            },
            Input::Records(records) => {
                let Page { choices, more, .. } = self.page(records, asking.page);
                let index = key.to_digit(10).and_then(|digit| (digit as usize).checked_sub(1));
                let count = choices.len();
                match index {
                    Some(index) if index < count => {
                        let chosen = choices.get(index).map(|record| record.0.clone()).unwrap_or_default();
                        let named = |(name, value)| (format!("{}.{name}", records.item), value);
                        self.variables.extend(chosen.into_iter().map(named));
                        Some(Step::by_key(records.next))
                    }
                    Some(index) if index == count && more => {
                        asking.page += 1;
                        self.repeat(now, ask, asking);
                        None
                    }
                    _ => self.global_key(now, ask, asking, key),
                }
            }
        }
    }

    fn global_key(&mut self, now: Instant, ask: &Ask, asking: &mut Asking, key: char) -> Option<Step> {
        let keys = self.flow.keys;
        if Some(key) == keys.help && !ask.help.is_empty() {
            self.say(now, ask, asking, &ask.help);
            None
        } else if Some(key) == keys.back {
            self.back(now, ask, asking)
        } else if Some(key) == keys.exit {
            Some(Step::to(ask.exit))
        } else {
            self.miss(now, ask, asking, Miss::NoMatch, None)
        }
    }

    /// Back: what was keyed is taken back, else the page before, else the node before, else once more.
    fn back(&mut self, now: Instant, ask: &Ask, asking: &mut Asking) -> Option<Step> {
        match ask.back {
            Some(node) if asking.digits.is_empty() && asking.page == 0 => return Some(Step::to(node)),
            _ => asking.page = asking.page.saturating_sub(1),
        }
        self.repeat(now, ask, asking);
        None
    }

    /// The entry is whole: by its termchar, by its last possible digit, or by the time between digits.
    fn entry_ended(
        &mut self,
        now: Instant,
        ask: &Ask,
        asking: &mut Asking,
        by_termchar: bool,
    ) -> Option<Step> {
        let Input::Collect { variable, min, termchar, next, .. } = &ask.input else { return None };
        if !by_termchar {
            self.keys.expect_stray(now, *termchar, ask.interdigit);
        }
        let mut entered = asking.digits.chars();
        // A lone help or exit key cannot be an entry, so it keeps its meaning.
        if let (Some(only), None) = (entered.next(), entered.next())
            && *min > 1
            && (Some(only) == self.flow.keys.help || Some(only) == self.flow.keys.exit)
        {
            return self.global_key(now, ask, asking, only);
        }
        if asking.digits.len() < *min {
            return self.miss(now, ask, asking, Miss::NoMatch, None);
        }
        let digits = std::mem::take(&mut asking.digits);
        self.variables.insert(variable.clone(), Value::Text(digits));
        Some(Step::to(*next))
    }

    fn miss(
        &mut self,
        now: Instant,
        ask: &Ask,
        asking: &mut Asking,
        miss: Miss,
        own: Option<&Prompt>,
    ) -> Option<Step> {
        // What was keyed ahead was meant for another turn of the dialogue.
        self.keys.drop_all();
        let tries = self.tries.entry(self.node).or_default();
        let (count, catch): (&mut usize, &Catch) = match miss {
            Miss::NoInput => (&mut tries.noinput, &ask.noinput),
            Miss::NoMatch => (&mut tries.nomatch, &ask.nomatch),
        };
        *count += 1;
        if *count >= catch.max {
            return Some(Step::to(catch.exhausted));
        }
        let prompt = own.or_else(|| catch.prompts.get(*count - 1)).unwrap_or(&ask.prompt);
        self.say(now, ask, asking, prompt);
        None
    }

    fn repeat(&mut self, now: Instant, ask: &Ask, asking: &mut Asking) {
        self.say(now, ask, asking, &vec![PromptItem::Reprompt]);
    }

    fn say(&mut self, now: Instant, ask: &Ask, asking: &mut Asking, prompt: &Prompt) {
        let segments = self.asking_segments(ask, asking.page, prompt);
        asking.playing = Some(self.play(segments, ask.manners.bargein));
        asking.began = now;
        asking.deadline = now + PLAY_LIMIT;
        asking.digits.clear();
        asking.dropped = false;
        asking.cut = false;
    }

    fn stop_prompt(&mut self, asking: &mut Asking) {
        if let Some(id) = asking.playing.take() {
            self.effects.push(Effect::StopPlay(id));
        }
    }
}

/// Whether a key pressed then is type-ahead that came late.
fn guarded(ask: &Ask, asking: &Asking, pressed: Instant) -> bool {
    !ask.guard.is_zero() && pressed < asking.began + ask.guard
}
