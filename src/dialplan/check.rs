//! What can only be seen with the whole flow in view: that every node is reached, that variables are set and of
//! the right kind where they are used, that no circle turns without waiting, that money is booked only right
//! after a confirmation that keeps no type-ahead.

use super::error::{Errors, mean_or};
use super::flow::{Action, Flow, Input, NodeIndex, TypeAhead};
use super::secret;
use super::value::{Field, Kind, SayAs};
use std::collections::{BTreeMap, BTreeSet};

/// What the reader noted on its way.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub edges: Vec<Edge>,
    pub uses: Vec<Use>,
    /// Nodes gone back to as a nomatch, and the line that says so.
    pub retries: Vec<(NodeIndex, usize)>,
    /// Some way leads nowhere: what is reached cannot be told.
    pub undefined: bool,
    /// Nodes that could not be understood: what they set and do is not known.
    pub unread: BTreeSet<NodeIndex>,
    pub error_line: usize,
}

/// A way from one node to another.
#[derive(Debug)]
pub(super) struct Edge {
    pub from: NodeIndex,
    pub to: NodeIndex,
    /// 0 where `[catch]` leads.
    pub line: usize,
    pub sets: Vec<Set>,
    /// Taken by a key of a menu.
    pub by_key: bool,
}

/// What is set on a way.
#[derive(Debug, Clone)]
pub(super) enum Set {
    Variable(String, Kind),
    /// The fields of the record chosen from a list, as `item.field`.
    Fields {
        array: String,
        item: String,
    },
}

/// Which names are known besides the variables.
#[derive(Debug, Clone)]
pub(super) enum Scope {
    Node,
    /// `key`.
    Key,
    /// `key` and `item.field`.
    Record {
        array: String,
        item: String,
    },
}

/// A variable that is used.
#[derive(Debug)]
pub(super) struct Use {
    node: NodeIndex,
    pub variable: String,
    pub line: usize,
    scope: Scope,
    need: Need,
}

#[derive(Debug)]
enum Need {
    Say(SayAs),
    Kind(Kind),
    List,
    Comparable,
}

impl Use {
    /// Whether it is given to an operation.
    pub(super) fn is_argument(&self) -> bool {
        matches!(self.need, Need::Kind(_))
    }

    pub(super) fn say(node: NodeIndex, variable: &str, format: SayAs, scope: Scope, line: usize) -> Self {
        Self { node, variable: variable.to_owned(), line, scope, need: Need::Say(format) }
    }

    pub(super) fn argument(node: NodeIndex, variable: &str, kind: Kind, line: usize) -> Self {
        Self { node, variable: variable.to_owned(), line, scope: Scope::Node, need: Need::Kind(kind) }
    }

    pub(super) fn list(node: NodeIndex, variable: &str, line: usize) -> Self {
        Self { node, variable: variable.to_owned(), line, scope: Scope::Node, need: Need::List }
    }

    /// A field of the records of a list that must be true or false.
    pub(super) fn field(node: NodeIndex, array: &str, variable: &str, item: &str, line: usize) -> Self {
        let scope = Scope::Record { array: array.to_owned(), item: item.to_owned() };
        Self { node, variable: variable.to_owned(), line, scope, need: Need::Kind(Kind::Truth) }
    }

    pub(super) fn branch(node: NodeIndex, variable: &str, line: usize) -> Self {
        Self { node, variable: variable.to_owned(), line, scope: Scope::Node, need: Need::Comparable }
    }
}

impl Graph {
    /// A way of `[catch]`.
    pub(super) fn always(&mut self, from: NodeIndex, to: NodeIndex) {
        self.edges.push(Edge { from, to, line: 0, sets: Vec::new(), by_key: false });
    }
}

pub(super) fn check(flow: &Flow, graph: &Graph, errors: &mut Errors) {
    check_error_node(flow, graph, errors);
    check_retries(flow, graph, errors);
    check_bookings(flow, graph, errors);
    check_circles(flow, graph, errors);
    secret::check(flow, graph, errors);
    let kinds = kinds(flow, graph, errors);
    let reached = reached(flow, graph);
    if !graph.undefined {
        for (index, node) in flow.nodes.iter().enumerate() {
            if !reached.contains(&NodeIndex(index)) {
                let message = format!("node `{}` is never reached", node.name);
                errors.on_line(node.line, message, "lead to it from another node, or remove it");
            }
        }
    }
    check_uses(flow, graph, &kinds, errors);
}

/// The goodbye after an error must wait for nothing but its own end.
fn check_error_node(flow: &Flow, graph: &Graph, errors: &mut Errors) {
    if let Some(node) = flow.node(flow.on_error)
        && !graph.unread.contains(&flow.on_error)
        && !matches!(node.action, Action::Hangup { .. })
    {
        let message = format!("`error` in `[catch]` leads to `{}`, which does not hang up", node.name);
        errors.on_line(graph.error_line, message, "name a node of `kind = \"hangup\"`");
    }
}

fn check_retries(flow: &Flow, graph: &Graph, errors: &mut Errors) {
    for (to, line) in &graph.retries {
        if let Some(node) = flow.node(*to)
            && !graph.unread.contains(to)
            && !matches!(node.action, Action::Ask(_))
        {
            let message = format!("`retry` leads to `{}`, which asks nothing", node.name);
            errors.on_line(*line, message, "name a node of `kind = \"collect\"` or `kind = \"menu\"`");
        }
    }
}

/// DOMAIN §5: type-ahead is dropped before the confirmation that costs money.
fn check_bookings(flow: &Flow, graph: &Graph, errors: &mut Errors) {
    let is_booking = |index: NodeIndex| {
        flow.node(index).is_some_and(|node| matches!(&node.action, Action::Perform(p) if p.booking))
    };
    if let Some(node) = flow.node(flow.start).filter(|_| is_booking(flow.start)) {
        let message = format!("the flow starts with the booking `{}`", node.name);
        errors.on_line(node.line, message, "start with a prompt, and let a menu confirm");
    }
    let mut told = BTreeSet::new();
    for edge in graph.edges.iter().filter(|edge| is_booking(edge.to)) {
        let (Some(from), Some(to)) = (flow.node(edge.from), flow.node(edge.to)) else { continue };
        let line = if edge.line == 0 { from.line } else { edge.line };
        let confirmation = match &from.action {
            Action::Ask(ask) if edge.by_key && matches!(ask.input, Input::Choices(_)) => ask,
            _ => {
                let message =
                    format!("`{}` leads to the booking `{}` without a confirmation", from.name, to.name);
                errors.on_line(
                    line,
                    message,
                    "lead to it by a choice of a menu that reads back what is booked",
                );
                continue;
            }
        };
        if confirmation.manners.typeahead == TypeAhead::Keep && told.insert(edge.from) {
            let message = format!(
                "menu `{}` keeps type-ahead before the booking `{}`: it could be confirmed unheard",
                from.name, to.name
            );
            errors.on_line(from.line, message, "add `typeahead = \"drop\"`");
        }
    }
}

/// A circle of nodes none of which waits would turn without end.
fn check_circles(flow: &Flow, graph: &Graph, errors: &mut Errors) {
    let runs_through = |index: NodeIndex| {
        flow.node(index).is_some_and(|node| match &node.action {
            Action::Branch(_) => true,
            // Type-ahead skips what it may interrupt.
            Action::Play(play) => play.manners.bargein && play.manners.typeahead == TypeAhead::Keep,
            _ => false,
        })
    };
    let mut told: BTreeSet<NodeIndex> = BTreeSet::new();
    for start in (0..flow.nodes.len()).map(NodeIndex).filter(|index| runs_through(*index)) {
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(from) = open.pop() {
            for edge in graph.edges.iter().filter(|edge| edge.from == from && runs_through(edge.to)) {
                if seen.insert(edge.to) {
                    open.push(edge.to);
                }
            }
        }
        if seen.contains(&start) && told.is_disjoint(&seen) {
            told.extend(seen);
            if let Some(node) = flow.node(start) {
                let message =
                    format!("from `{}` a circle leads back to it without waiting for the caller", node.name);
                let mend = "let a node of it ask, or play with `typeahead = \"drop\"`";
                errors.on_line(node.line, message, mend);
            }
        }
    }
}

fn reached(flow: &Flow, graph: &Graph) -> BTreeSet<NodeIndex> {
    let mut seen: BTreeSet<NodeIndex> = [flow.start, flow.on_error].into();
    let mut open: Vec<NodeIndex> = seen.iter().copied().collect();
    while let Some(from) = open.pop() {
        for edge in graph.edges.iter().filter(|edge| edge.from == from) {
            if seen.insert(edge.to) {
                open.push(edge.to);
            }
        }
    }
    seen
}

type Kinds = BTreeMap<String, Kind>;

/// The kind of each variable; one of two kinds is refused.
fn kinds(flow: &Flow, graph: &Graph, errors: &mut Errors) -> Kinds {
    let mut kinds = Kinds::new();
    let mut note = |name: &str, kind: &Kind, edge: &Edge, errors: &mut Errors| {
        match kinds.get(name) {
            Some(other) if other != kind => {
                let line = if edge.line == 0 { 1 } else { edge.line };
                let message = format!("`{name}` is {kind} here and {other} elsewhere");
                errors.on_line(line, message, "use two names");
            }
            Some(_) => {}
            None => {
                kinds.insert(name.to_owned(), kind.clone());
            }
        };
    };
    for edge in &graph.edges {
        for set in &edge.sets {
            if let Set::Variable(name, kind) = set {
                note(name, kind, edge, errors);
            }
        }
    }
    let lists: Vec<(String, Vec<Field>)> = kinds
        .iter()
        .filter_map(|(name, kind)| match kind {
            Kind::List(fields) => Some((name.clone(), fields.clone())),
            _ => None,
        })
        .collect();
    for edge in &graph.edges {
        for set in &edge.sets {
            let Set::Fields { array, item } = set else { continue };
            for field in lists.iter().filter(|(name, _)| name == array).flat_map(|(_, fields)| fields) {
                let name = format!("{item}.{}", field.name);
                match kinds.get(&name) {
                    Some(other) if *other != field.kind => {
                        let line = flow.node(edge.from).map_or(1, |node| node.line);
                        let message = format!("`{name}` is {} here and {other} elsewhere", field.kind);
                        errors.on_line(line, message, "give the items of the two lists two names");
                    }
                    _ => {
                        kinds.insert(name, field.kind.clone());
                    }
                }
            }
        }
    }
    kinds
}

fn check_uses(flow: &Flow, graph: &Graph, kinds: &Kinds, errors: &mut Errors) {
    let set = surely_set(flow, graph, kinds);
    for use_ in &graph.uses {
        let Some(kind) = local_kind(use_, kinds).or_else(|| kinds.get(&use_.variable).cloned()) else {
            if !graph.unread.is_empty() {
                continue;
            }
            let names = kinds.keys().map(String::as_str);
            let mend = mean_or(&use_.variable, names, || {
                "set it by a query or a collect before, and use the name it has there".to_owned()
            });
            errors.on_line(use_.line, format!("`{}` is never set", use_.variable), mend);
            continue;
        };
        check_kind(use_, &kind, errors);
        let local = local_kind(use_, kinds).is_some();
        let known = local || set.get(&use_.node).is_none_or(|known| known.contains(&use_.variable));
        if !known && !graph.undefined {
            let name = flow.node(use_.node).map_or("", |node| &node.name);
            let message = format!("`{}` is not set on every way to `{name}`", use_.variable);
            errors.on_line(use_.line, message, "lead there only from nodes that come after it is set");
        }
    }
}

/// The kind of a name that only the prompts of a menu's choices know.
fn local_kind(use_: &Use, kinds: &Kinds) -> Option<Kind> {
    match &use_.scope {
        Scope::Node => None,
        Scope::Key => (use_.variable == "key").then_some(Kind::Number),
        Scope::Record { array, item } => {
            if use_.variable == "key" {
                return Some(Kind::Number);
            }
            let field = use_.variable.strip_prefix(item.as_str())?.strip_prefix('.')?;
            match kinds.get(array) {
                Some(Kind::List(fields)) => fields.iter().find(|f| f.name == field).map(|f| f.kind.clone()),
                _ => None,
            }
        }
    }
}

fn check_kind(use_: &Use, kind: &Kind, errors: &mut Errors) {
    let name = &use_.variable;
    match &use_.need {
        Need::Say(format) if !format.speaks(kind) => {
            let fitting: Vec<_> =
                SayAs::NAMES.iter().filter(|(_, f)| f.speaks(kind)).map(|(name, _)| *name).collect();
            let message = format!("`{name}` is {kind} and cannot be spoken so");
            let mend = match fitting.as_slice() {
                [] => "speak another variable".to_owned(),
                fitting => format!("speak it as {}", fitting.join(" or ")),
            };
            errors.on_line(use_.line, message, mend);
        }
        Need::Kind(wanted) if wanted != kind => {
            let message = format!("`{name}` is {kind}, where {wanted} is wanted");
            errors.on_line(use_.line, message, "give another variable");
        }
        Need::List if !matches!(kind, Kind::List(_)) => {
            errors.on_line(
                use_.line,
                format!("`{name}` is {kind}, not a list"),
                "name a variable that holds a list",
            );
        }
        Need::Comparable if matches!(kind, Kind::List(_) | Kind::Msisdn) => {
            errors.on_line(
                use_.line,
                format!("`{name}` is {kind}, which a branch cannot compare"),
                "branch on another variable",
            );
        }
        _ => {}
    }
}

/// For each reached node, the variables that are set on every way to it.
fn surely_set(flow: &Flow, graph: &Graph, kinds: &Kinds) -> BTreeMap<NodeIndex, BTreeSet<String>> {
    let mut known: BTreeMap<NodeIndex, BTreeSet<String>> = BTreeMap::new();
    known.insert(flow.start, BTreeSet::new());
    known.insert(flow.on_error, BTreeSet::new());
    // Sets only shrink, so this ends.
    let mut changed = true;
    while changed {
        changed = false;
        for edge in &graph.edges {
            let Some(mut along) = known.get(&edge.from).cloned() else { continue };
            for set in &edge.sets {
                match set {
                    Set::Variable(name, _) => {
                        along.insert(name.clone());
                    }
                    Set::Fields { item, .. } => {
                        let prefix = format!("{item}.");
                        along.extend(kinds.keys().filter(|name| name.starts_with(&prefix)).cloned());
                    }
                }
            }
            match known.get_mut(&edge.to) {
                None => {
                    known.insert(edge.to, along);
                    changed = true;
                }
                Some(there) => {
                    let before = there.len();
                    there.retain(|name| along.contains(name));
                    changed |= there.len() != before;
                }
            }
        }
    }
    known
}
