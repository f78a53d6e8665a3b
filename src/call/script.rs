//! When the built-in caller keys what: it listens, as a person does, and never counts seconds alone. Pure: time is
//! handed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What begins so shortly before the last key of a group is reported sent is already the answer to it: the far end
/// acts on a key's first end packet, the report comes after the third and the pause.
const ANSWER_OVERLAP: Duration = Duration::from_millis(150);
/// After keys were sent and nothing new was heard for this long, the next keys go out all the same: a deployment
/// that transcodes may hide where one prompt ends and the next begins.
const PATIENCE: Duration = Duration::from_secs(8);
/// The same for a prompt that is named.
const PATIENCE_FOR_A_PROMPT: Duration = Duration::from_secs(30);

/// When keys are pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// So long after a prompt began: interrupts it.
    BargeIn {
        /// How much of it is heard first.
        after: Duration,
    },
    /// When the prompt has ended and it has been quiet for so long.
    Listen {
        /// The quiet.
        silence: Duration,
    },
}

/// Keys that are pressed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGroup {
    /// The prompt to wait for, by its id; without it, whatever is said next.
    pub prompt: Option<String>,
    /// `0`–`9`, `*`, `#`, `A`–`D`.
    pub keys: String,
}

/// What the caller notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cue<'a> {
    /// Speech began after silence, or another prompt followed: with its id where it was recognised.
    SpeechBegan(Option<&'a str>),
    /// It is quiet.
    SpeechEnded,
    /// The last key of the group was released.
    KeysSent,
    /// The time given by [`Script::deadline`] has come.
    Timeout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for something new to be said; keys anyway at the time.
    Listening { until: Instant },
    /// Something new is being said, or was: keys at the time, if there is one yet.
    Hearing { key_at: Option<Instant> },
    /// Keys are on their way; what began meanwhile, when.
    Keying { began: Option<Instant> },
    /// Nothing left to key.
    Done,
}

/// The groups of keys left, and where the caller stands.
#[derive(Debug)]
pub struct Script {
    groups: VecDeque<KeyGroup>,
    manner: Manner,
    state: State,
}

impl Script {
    /// A caller who is about to hear the first prompt.
    pub fn new(groups: impl IntoIterator<Item = KeyGroup>, manner: Manner, now: Instant) -> Self {
        let groups = groups.into_iter().filter(|group| !group.keys.is_empty()).collect();
        let mut script = Self { groups, manner, state: State::Done };
        script.sent(now, None);
        script
    }

    /// When [`Cue::Timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Listening { until } => Some(until),
            State::Hearing { key_at } => key_at,
            State::Keying { .. } | State::Done => None,
        }
    }

    /// Whether everything was keyed.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes a cue; gives the keys to press now, if it is time.
    pub fn handle(&mut self, now: Instant, cue: Cue<'_>) -> Option<String> {
        match (self.state, cue) {
            (State::Listening { .. }, Cue::SpeechBegan(prompt)) if self.is_awaited(prompt) => self.hear(now),
            (State::Hearing { .. }, Cue::SpeechBegan(_)) if self.listens() => self.hear(now),
            (State::Hearing { .. }, Cue::SpeechEnded) => self.quiet(now),
            (State::Listening { until: due } | State::Hearing { key_at: Some(due) }, Cue::Timeout)
                if now >= due =>
            {
                return self.key();
            }
            (State::Keying { .. }, Cue::SpeechBegan(prompt)) if self.is_awaited(prompt) => {
                self.state = State::Keying { began: Some(now) };
            }
            (State::Keying { began }, Cue::KeysSent) => self.sent(now, began),
            _ => {}
        }
        None
    }

    fn listens(&self) -> bool {
        matches!(self.manner, Manner::Listen { .. })
    }

    fn awaited(&self) -> Option<&str> {
        self.groups.front().and_then(|group| group.prompt.as_deref())
    }

    fn is_awaited(&self, prompt: Option<&str>) -> bool {
        self.awaited().is_none_or(|awaited| prompt == Some(awaited))
    }

    fn hear(&mut self, now: Instant) {
        let key_at = match self.manner {
            Manner::BargeIn { after } => Some(now + after),
            Manner::Listen { .. } => None,
        };
        self.state = State::Hearing { key_at };
    }

    fn quiet(&mut self, now: Instant) {
        if let Manner::Listen { silence } = self.manner {
            self.state = State::Hearing { key_at: Some(now + silence) };
        }
    }

    fn key(&mut self) -> Option<String> {
        let group = self.groups.pop_front();
        self.state = if group.is_some() { State::Keying { began: None } } else { State::Done };
        group.map(|group| group.keys)
    }

    fn sent(&mut self, now: Instant, began: Option<Instant>) {
        let answered = began.filter(|began| *began + ANSWER_OVERLAP >= now);
        match answered {
            _ if self.groups.is_empty() => self.state = State::Done,
            Some(began) => self.hear(began),
            None => self.state = State::Listening { until: now + self.patience() },
        }
    }

    /// Longer for a prompt that is named: others may come before it.
    fn patience(&self) -> Duration {
        if self.awaited().is_some() { PATIENCE_FOR_A_PROMPT } else { PATIENCE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::clock::Clock;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn group(prompt: Option<&str>, keys: &str) -> KeyGroup {
        KeyGroup { prompt: prompt.map(str::to_owned), keys: keys.to_owned() }
    }

    fn groups() -> Vec<KeyGroup> {
        vec![group(None, "0672123456#"), group(None, "2")]
    }

    #[test]
    fn a_named_prompt_that_begins_with_the_last_key_is_the_answer_and_another_is_not() {
        let start = Clock::system().instant();
        let groups = [group(Some("ask"), "1#"), group(Some("wrong"), "2#")];
        for (prompt, at, keyed) in [("wrong", 990, true), ("other", 990, false), ("wrong", 700, false)] {
            let mut script = Script::new(groups.clone(), Manner::BargeIn { after: ms(0) }, start);
            script.handle(start, Cue::SpeechBegan(Some("ask")));
            assert_eq!(script.handle(start, Cue::Timeout).as_deref(), Some("1#"));
            script.handle(start + ms(at), Cue::SpeechBegan(Some(prompt)));
            script.handle(start + ms(1000), Cue::KeysSent);
            let answer = script.handle(start + ms(1000), Cue::Timeout);
            assert_eq!(answer.as_deref(), keyed.then_some("2#"), "{prompt} at {at} ms");
        }
    }

    #[test]
    fn barges_in_so_long_after_each_new_prompt() {
        let start = Clock::system().instant();
        let mut script = Script::new(groups(), Manner::BargeIn { after: ms(800) }, start);
        assert_eq!(script.handle(start + ms(300), Cue::SpeechBegan(None)), None);
        assert_eq!(
            script.handle(start + ms(900), Cue::SpeechBegan(None)),
            None,
            "the first of a prompt's clips counts"
        );
        assert_eq!(script.deadline(), Some(start + ms(1100)));
        assert_eq!(script.handle(start + ms(1000), Cue::Timeout), None);
        assert_eq!(script.handle(start + ms(1100), Cue::Timeout).as_deref(), Some("0672123456#"));
        assert_eq!(
            script.handle(start + ms(1200), Cue::SpeechBegan(None)),
            None,
            "what is said while keying is not the answer"
        );
        assert_eq!(script.handle(start + ms(3000), Cue::KeysSent), None);
        assert!(!script.is_done());
        assert_eq!(script.handle(start + ms(3040), Cue::SpeechBegan(None)), None);
        assert_eq!(script.handle(start + ms(3840), Cue::Timeout).as_deref(), Some("2"));
        script.handle(start + ms(4000), Cue::KeysSent);
        assert!(script.is_done());
        assert_eq!(script.deadline(), None);
    }

    #[test]
    fn listens_until_it_has_been_quiet() {
        let start = Clock::system().instant();
        let mut script = Script::new(groups(), Manner::Listen { silence: ms(700) }, start);
        script.handle(start + ms(300), Cue::SpeechBegan(None));
        script.handle(start + ms(2000), Cue::SpeechEnded);
        script.handle(start + ms(2300), Cue::SpeechBegan(None));
        assert_eq!(
            script.handle(start + ms(2700), Cue::Timeout),
            None,
            "it was only a pause between sentences"
        );
        script.handle(start + ms(4000), Cue::SpeechEnded);
        assert_eq!(script.handle(start + ms(4700), Cue::Timeout).as_deref(), Some("0672123456#"));
    }

    #[test]
    fn keys_anyway_when_nothing_new_is_ever_heard() {
        let start = Clock::system().instant();
        let mut script = Script::new(groups(), Manner::BargeIn { after: ms(800) }, start);
        assert_eq!(script.handle(start + PATIENCE, Cue::Timeout).as_deref(), Some("0672123456#"));
    }

    #[test]
    fn what_begins_with_the_last_key_is_its_answer() {
        let start = Clock::system().instant();
        let mut script = Script::new(groups(), Manner::BargeIn { after: ms(800) }, start);
        script.handle(start, Cue::SpeechBegan(None));
        script.handle(start + ms(800), Cue::Timeout);
        script.handle(start + ms(2500), Cue::SpeechBegan(None));
        script.handle(start + ms(2560), Cue::KeysSent);
        assert_eq!(script.deadline(), Some(start + ms(3300)));
    }

    #[test]
    fn waits_for_a_prompt_that_is_named() {
        let start = Clock::system().instant();
        let wanted = [group(Some("choose-package"), "2")];
        let mut script = Script::new(wanted, Manner::BargeIn { after: ms(800) }, start);
        script.handle(start + ms(100), Cue::SpeechBegan(Some("number-is")));
        script.handle(start + ms(200), Cue::SpeechBegan(None));
        assert_eq!(script.deadline(), Some(start + PATIENCE_FOR_A_PROMPT));
        script.handle(start + ms(900), Cue::SpeechBegan(Some("choose-package")));
        assert_eq!(script.handle(start + ms(1700), Cue::Timeout).as_deref(), Some("2"));
    }

    #[test]
    fn nothing_to_key_is_done_at_once() {
        let script = Script::new([], Manner::BargeIn { after: ms(1) }, Clock::system().instant());
        assert!(script.is_done());
    }
}
