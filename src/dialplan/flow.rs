//! A call flow, read and checked: what the interpreter walks. Only [`Flow::parse`] makes one, so every name in
//! it is defined, every outcome handled and every variable set before it is used.

use super::value::{Kind, SayAs};
use std::time::Duration;

/// Keys of a menu's page before "more" (DOMAIN §5).
pub const MAX_PAGE_CHOICES: usize = 4;

/// A node's place in its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIndex(pub(super) usize);

/// A checked call flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    pub(super) name: String,
    pub(super) language: String,
    pub(super) start: NodeIndex,
    pub(super) nodes: Vec<Node>,
    pub(super) keys: GlobalKeys,
    /// Where a failure of the flow itself leads: too many transitions, a result that breaks its contract.
    pub(super) on_error: NodeIndex,
}

impl Flow {
    /// The flow's own name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The language its prompts are in (ISO 639-1, `sq`).
    pub fn language(&self) -> &str {
        &self.language
    }

    /// The names of its nodes, in the order they are written.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// Whether the node of this name asks for keys.
    pub fn asks(&self, name: &str) -> bool {
        self.nodes.iter().any(|node| node.name == name && matches!(node.action, Action::Ask(_)))
    }

    pub(super) fn node(&self, index: NodeIndex) -> Option<&Node> {
        self.nodes.get(index.0)
    }
}

/// The keys that mean the same in every menu (DOMAIN §5). In an entry of digits only `back` is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GlobalKeys {
    /// Plays the node's help, then asks again.
    pub help: Option<char>,
    /// Goes back, or repeats.
    pub back: Option<char>,
    /// Leaves politely.
    pub exit: Option<char>,
}

/// One node: its name, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub(super) name: String,
    /// Line of its header, from 1.
    pub(super) line: usize,
    pub(super) action: Action,
}

/// What a node does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Play(Play),
    Ask(Box<Ask>),
    Perform(Perform),
    Branch(Branch),
    Hangup { prompt: Prompt },
}

/// Something to speak.
pub(super) type Prompt = Vec<PromptItem>;

/// A piece of a prompt as written in a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PromptItem {
    Clip(String),
    Say {
        variable: String,
        format: SayAs,
    },
    Silence {
        ms: u16,
    },
    /// The node's own prompt at this place (VoiceXML `reprompt`).
    Reprompt,
}

/// What is done with keys pressed before a node asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeAhead {
    Keep,
    Drop,
}

/// How a prompt and the keys meet. Stopping the prompt and listening are two settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manners {
    /// A key stops the prompt.
    pub bargein: bool,
    /// A key pressed while the prompt plays counts.
    pub listen: bool,
    pub typeahead: TypeAhead,
}

/// Says something and goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Play {
    pub prompt: Prompt,
    pub manners: Manners,
    pub next: NodeIndex,
}

/// Says something and waits for keys: a menu or an entry of digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub prompt: Prompt,
    pub manners: Manners,
    /// Keys pressed within this time of the prompt's beginning are type-ahead that came late: dropped.
    pub guard: Duration,
    /// From the end of the prompt to the first key.
    pub timeout: Duration,
    /// Between keys.
    pub interdigit: Duration,
    pub help: Prompt,
    pub noinput: Catch,
    pub nomatch: Catch,
    pub back: Option<NodeIndex>,
    pub exit: NodeIndex,
    pub input: Input,
}

/// What is said each time an event happens, and where the last time leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Catch {
    /// At least `max - 1` of them.
    pub prompts: Vec<Prompt>,
    /// The event that leads to `exhausted`.
    pub max: usize,
    pub exhausted: NodeIndex,
}

/// What keys an asking node takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// An entry of digits.
    Collect { variable: String, min: usize, max: usize, termchar: Option<char>, next: NodeIndex },
    /// A fixed menu.
    Choices(Vec<Choice>),
    /// A menu over a list of records.
    Records(Records),
}

/// One choice of a fixed menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub key: char,
    /// Function first, then key.
    pub prompt: Prompt,
    pub next: NodeIndex,
}

/// A menu over a list of records, a page at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Records {
    /// The variable that holds the list.
    pub array: String,
    /// The chosen record's fields become `item.field`.
    pub item: String,
    /// The field that says whether a record can be chosen.
    pub available: Option<String>,
    pub choose: Prompt,
    pub beyond: Prompt,
    pub more: Prompt,
    pub page_choices: usize,
    pub next: NodeIndex,
}

/// A query or a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Perform {
    pub booking: bool,
    pub name: String,
    /// Argument, variable.
    pub arguments: Vec<(String, String)>,
    pub outcomes: Vec<OutcomeTarget>,
    /// Said when the answer takes longer than `patience`.
    pub waiting: Prompt,
    pub patience: Duration,
    /// After it the outcome is `when_late`.
    pub timeout: Duration,
    pub when_late: String,
}

/// Where an outcome leads, and what it brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutcomeTarget {
    pub outcome: String,
    pub values: Vec<(String, Kind)>,
    pub target: Target,
}

/// Where to go next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Goto(NodeIndex),
    /// Back to an asking node as one of its nomatches, with a prompt of its own.
    Retry {
        node: NodeIndex,
        prompt: Prompt,
    },
}

/// Chooses by a variable, silently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    pub variable: String,
    pub cases: Vec<(String, NodeIndex)>,
    pub otherwise: NodeIndex,
}
