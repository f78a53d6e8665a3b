//! Walks one call through a flow. Pure: time is an argument, effects are data. One function per state.

mod asking;
mod keys;
mod performing;
mod speak;
mod time;

use super::event::{Effect, Event, PlayId, RequestId, Segment};
use super::flow::{Action, Flow, NodeIndex, Play, Prompt, Target, TypeAhead};
use super::value::Value;
use asking::Asking;
use keys::Keys;
pub use keys::MAX_TYPE_AHEAD;
use performing::Performing;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use time::Time;

/// Nodes entered one after the other without a key, the end of a prompt or a timeout. Over it the flow goes
/// round in a circle, and the caller hears the goodbye of `[catch] error`.
pub const MAX_TRANSITIONS: u32 = 64;

/// A prompt whose end is not reported within this time is held to be over.
const PLAY_LIMIT: Duration = Duration::from_secs(180);

/// A key that stopped a prompt and is not reported as pressed within this time is held to be lost.
const HELD_KEY_LIMIT: Duration = Duration::from_secs(4);

/// One call's walk through a flow.
#[derive(Debug)]
pub struct Interpreter {
    flow: Arc<Flow>,
    node: NodeIndex,
    state: State,
    variables: BTreeMap<String, Value>,
    keys: Keys,
    tries: BTreeMap<NodeIndex, Tries>,
    transitions: u32,
    plays: u32,
    requests: u32,
    effects: Vec<Effect>,
    time: Time,
}

/// Events of an asking node counted since it was last entered by a way forward.
#[derive(Debug, Clone, Copy, Default)]
struct Tries {
    noinput: usize,
    nomatch: usize,
}

#[derive(Debug)]
enum State {
    Ready,
    Speaking(Speaking),
    Asking(Asking),
    Performing(Performing),
    Parting { playing: PlayId, deadline: Instant },
    Over,
}

/// In a node that says something and goes on.
#[derive(Debug)]
struct Speaking {
    playing: PlayId,
    deadline: Instant,
    /// A key stopped the prompt; its release is awaited.
    stopped: bool,
}

/// A way out of a node.
#[derive(Debug)]
struct Step {
    node: NodeIndex,
    /// As a nomatch of the node that is gone back to, with this prompt.
    retry: Option<Prompt>,
    /// A key of a menu led here: only so may a booking be entered.
    confirmed: bool,
}

impl Step {
    fn to(node: NodeIndex) -> Self {
        Self { node, retry: None, confirmed: false }
    }

    fn by_key(node: NodeIndex) -> Self {
        Self { node, retry: None, confirmed: true }
    }

    fn target(target: &Target) -> Self {
        match target {
            Target::Goto(node) => Self::to(*node),
            Target::Retry { node, prompt } => {
                Self { node: *node, retry: Some(prompt.clone()), confirmed: false }
            }
        }
    }
}

impl Interpreter {
    /// A call at the beginning of the flow; nothing happens before [`start`](Self::start).
    pub fn new(flow: Arc<Flow>) -> Self {
        let node = flow.start;
        Self {
            flow,
            node,
            state: State::Ready,
            variables: BTreeMap::new(),
            keys: Keys::default(),
            tries: BTreeMap::new(),
            transitions: 0,
            plays: 0,
            requests: 0,
            effects: Vec::new(),
            time: Time::default(),
        }
    }

    /// Enters the first node. Does nothing the second time.
    pub fn start(&mut self, now: Instant) -> Vec<Effect> {
        let now = self.time.of(now);
        if matches!(self.state, State::Ready) {
            self.go(now, Step::to(self.flow.start));
        }
        std::mem::take(&mut self.effects)
    }

    /// Takes an event, and says what is to be done. An event that does not belong to what is going on (the end
    /// of an earlier prompt, a late result, a timeout before its time) changes nothing.
    pub fn handle(&mut self, now: Instant, event: Event) -> Vec<Effect> {
        if matches!(event, Event::Timeout) && self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        let now = self.time.of(now);
        if matches!(event, Event::Digit(_) | Event::PlayDone { interrupted: false, .. } | Event::Timeout) {
            self.transitions = 0;
        }
        let step = match std::mem::replace(&mut self.state, State::Over) {
            State::Speaking(speaking) => self.speaking(now, speaking, event),
            State::Asking(asking) => self.asking(now, asking, event),
            State::Performing(performing) => self.performing(now, performing, event),
            State::Parting { playing, deadline } => self.parting(playing, deadline, &event),
            state @ (State::Ready | State::Over) => {
                self.state = state;
                None
            }
        };
        if let Some(step) = step {
            self.go(now, step);
        }
        std::mem::take(&mut self.effects)
    }

    /// When [`Event::Timeout`] is due, if nothing else happens before; never while the dialogue is frozen.
    pub fn deadline(&self) -> Option<Instant> {
        let deadline = match &self.state {
            State::Ready | State::Over => return None,
            State::Speaking(speaking) => speaking.deadline,
            State::Asking(asking) => asking.deadline,
            State::Performing(performing) => performing.deadline,
            State::Parting { deadline, .. } => *deadline,
        };
        self.time.outside(deadline)
    }

    /// Stops every clock of the dialogue: the caller cannot hear or cannot answer. Events are taken as before, and what
    /// they begin waits too; a query's answer leads on, and the end of a prompt that is heard. Does nothing the second
    /// time.
    pub fn freeze(&mut self, now: Instant) {
        self.time.freeze(now);
    }

    /// Lets every clock go on with what was left of it. Does nothing where they run.
    pub fn thaw(&mut self, now: Instant) {
        self.time.thaw(now);
    }

    /// Whether the clocks stand.
    pub fn is_frozen(&self) -> bool {
        self.time.is_frozen()
    }

    /// The name of the node that the call is in.
    pub fn current_node(&self) -> &str {
        self.flow.node(self.node).map_or("", |node| &node.name)
    }

    /// What a variable of the flow holds now.
    pub fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }

    /// Whether the node that the call is in asks for keys.
    pub fn awaits_keys(&self) -> bool {
        matches!(self.state, State::Asking(_))
    }

    /// Whether `Hangup` was given out.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Enters nodes until one waits for something.
    fn go(&mut self, now: Instant, mut step: Step) {
        loop {
            self.transitions += 1;
            if self.transitions > MAX_TRANSITIONS {
                // `on_error` is a goodbye, and a goodbye waits: this cannot come round again.
                self.transitions = 0;
                step = Step::to(self.flow.on_error);
            }
            match self.enter(now, step) {
                Some(next) => step = next,
                None => return,
            }
        }
    }

    fn enter(&mut self, now: Instant, step: Step) -> Option<Step> {
        let flow = Arc::clone(&self.flow);
        let Some(node) = flow.node(step.node) else {
            self.hang_up();
            return None;
        };
        self.node = step.node;
        self.effects.push(Effect::EnteredNode(node.name.clone()));
        match &node.action {
            Action::Play(play) => self.enter_play(now, play),
            Action::Ask(ask) => self.enter_ask(now, ask, step.retry),
            Action::Perform(perform) if perform.booking && !step.confirmed => Some(Step::to(flow.on_error)),
            Action::Perform(perform) => self.enter_perform(now, perform),
            Action::Branch(branch) => {
                let value = self.variables.get(&branch.variable).map(ToString::to_string);
                let case = branch.cases.iter().find(|(case, _)| Some(case) == value.as_ref());
                Some(Step::to(case.map_or(branch.otherwise, |(_, node)| *node)))
            }
            Action::Hangup { prompt } => {
                let segments = self.segments(prompt);
                let playing = self.play(segments, false);
                self.state = State::Parting { playing, deadline: now + PLAY_LIMIT };
                None
            }
        }
    }

    fn enter_play(&mut self, now: Instant, play: &Play) -> Option<Step> {
        if play.manners.typeahead == TypeAhead::Drop {
            self.keys.drop_all();
        }
        // Who has keyed ahead has heard it before.
        if play.manners.bargein && !self.keys.is_empty() {
            return Some(Step::to(play.next));
        }
        let segments = self.segments(&play.prompt);
        let playing = self.play(segments, play.manners.bargein);
        self.state = State::Speaking(Speaking { playing, deadline: now + PLAY_LIMIT, stopped: false });
        None
    }

    fn speaking(&mut self, now: Instant, mut speaking: Speaking, event: Event) -> Option<Step> {
        let flow = Arc::clone(&self.flow);
        let Some(Action::Play(play)) = flow.node(self.node).map(|node| &node.action) else { return None };
        let manners = play.manners;
        let done = match event {
            Event::DigitBegan => {
                self.keys.began(now, !manners.listen);
                if manners.bargein {
                    self.stop_speaking(now, &mut speaking);
                }
                false
            }
            Event::Digit(key) => {
                if self.keys.ended(now, key) && manners.listen {
                    self.keys.push(key);
                }
                if manners.bargein {
                    self.stop_speaking(now, &mut speaking);
                }
                manners.bargein
            }
            Event::PlayDone { id, interrupted: true } if id == speaking.playing && manners.bargein => {
                speaking.stopped = true;
                speaking.deadline = now + HELD_KEY_LIMIT;
                false
            }
            Event::PlayDone { id, .. } => id == speaking.playing && !speaking.stopped,
            Event::Timeout => true,
            Event::Result { .. } => false,
        };
        if done {
            return Some(Step::to(play.next));
        }
        self.state = State::Speaking(speaking);
        None
    }

    fn stop_speaking(&mut self, now: Instant, speaking: &mut Speaking) {
        if !speaking.stopped {
            self.effects.push(Effect::StopPlay(speaking.playing));
            speaking.stopped = true;
            speaking.deadline = now + HELD_KEY_LIMIT;
        }
    }

    fn parting(&mut self, playing: PlayId, deadline: Instant, event: &Event) -> Option<Step> {
        match event {
            Event::PlayDone { id, .. } if *id == playing => self.hang_up(),
            Event::Timeout => self.hang_up(),
            _ => self.state = State::Parting { playing, deadline },
        }
        None
    }

    fn hang_up(&mut self) {
        self.effects.push(Effect::Hangup);
        self.state = State::Over;
    }

    fn play(&mut self, segments: Vec<Segment>, bargein: bool) -> PlayId {
        self.plays += 1;
        let id = PlayId(self.plays);
        self.effects.push(Effect::Play { id, segments, bargein });
        id
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }
}
