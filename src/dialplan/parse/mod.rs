//! Reads a flow file into a [`Flow`], reporting everything that is wrong with it, not only the first.

mod ask;
mod perform;
mod prompt;
mod settings;
mod table;

use super::check::{self, Edge, Graph, Set, Use};
use super::error::{Errors, FlowError, mean_or};
use super::flow::{Action, Branch, Flow, GlobalKeys, Manners, Node, NodeIndex, Play, Prompt, TypeAhead};
use super::vocabulary::Vocabulary;
use settings::{Catches, Defaults};
use table::{Table, Word};
use toml::de::{DeTable, DeValue};

/// Longest flow file.
const MAX_OCTETS: usize = 1 << 20;

/// Most nodes of a flow.
const MAX_NODES: usize = 1_000;

/// Stands for a node that is not defined; a flow that has one is refused.
const UNDEFINED: NodeIndex = NodeIndex(usize::MAX);

const KINDS: [&str; 7] = ["play", "collect", "menu", "query", "book", "branch", "hangup"];

struct Parser<'p> {
    errors: Errors<'p>,
    vocabulary: &'p Vocabulary,
    /// Names of the nodes in the order they are written, with the offset of each.
    names: Vec<String>,
    keys: GlobalKeys,
    defaults: Defaults,
    catches: Catches,
    error_node: NodeIndex,
    graph: Graph,
}

impl Flow {
    /// Reads and checks a flow. `file_name` only names it in errors. All errors are reported, in the order of
    /// their lines.
    pub fn parse(text: &str, file_name: &str, vocabulary: &Vocabulary) -> Result<Self, Vec<FlowError>> {
        let mut errors = Errors::new(file_name, text);
        if text.len() > MAX_OCTETS {
            errors.on_line(1, "the file is longer than 1 MiB", "split the flow");
            return Err(errors.into_found());
        }
        let (document, syntax) = DeTable::parse_recoverable(text);
        for error in &syntax {
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            let twice = message.contains("duplicate key");
            let mend = if twice { "keep one of the two" } else { "correct the TOML there" };
            errors.at(&error.span().unwrap_or(0..0), message, mend);
        }
        if !errors.is_empty() {
            return Err(errors.into_found());
        }
        let root = Table::new(document.get_ref(), 0..0, table::ROOT);
        let mut parser = Parser {
            errors,
            vocabulary,
            names: Vec::new(),
            keys: GlobalKeys::default(),
            defaults: Defaults::domain(),
            catches: Catches::default(),
            error_node: UNDEFINED,
            graph: Graph::default(),
        };
        let flow = parser.flow(&root);
        if parser.errors.is_empty() { Ok(flow) } else { Err(parser.errors.into_found()) }
    }
}

impl Parser<'_> {
    fn flow(&mut self, root: &Table<'_>) -> Flow {
        root.only(&["flow", "language", "start", "keys", "defaults", "catch", "node"], &mut self.errors);
        let name = root.required("flow", "flow = \"klik-on\"", &mut self.errors);
        let language = root.required("language", "language = \"sq\"", &mut self.errors);
        let headers = self.node_tables(root);
        self.names = headers.iter().map(|(name, _)| name.clone()).collect();
        if let Some(keys) = root.table("keys", &mut self.errors) {
            self.global_keys(&keys);
        }
        self.read_defaults(root);
        self.read_catches(root);
        let start = root
            .required("start", "start = \"welcome\"", &mut self.errors)
            .map_or(UNDEFINED, |word| self.resolve(&word));
        let mut nodes = Vec::with_capacity(headers.len());
        for (index, (name, table)) in headers.iter().enumerate() {
            let line = self.errors.line(table.span.start);
            let action = self.action(NodeIndex(index), table);
            nodes.push(Node { name: name.clone(), line, action });
        }
        let text = |word: Option<Word>| word.map_or_else(String::new, |word| word.text.to_owned());
        let flow = Flow {
            name: text(name),
            language: text(language),
            start,
            nodes,
            keys: self.keys,
            on_error: self.error_node,
        };
        check::check(&flow, &self.graph, &mut self.errors);
        flow
    }

    /// The nodes, in the order they are written.
    fn node_tables<'t>(&mut self, root: &Table<'t>) -> Vec<(String, Table<'t>)> {
        let mut found = Vec::new();
        let Some(tables) = root.table("node", &mut self.errors) else {
            if root.get("node").is_none() {
                self.errors.on_line(1, "the flow has no node", "add `[node.welcome]`");
            }
            return found;
        };
        for (key, value) in tables.table {
            let name: &str = key.get_ref();
            match value.get_ref().as_table() {
                Some(table) => {
                    found.push((name.to_owned(), Table::new(table, key.span(), format!("node `{name}`"))));
                }
                None => tables.wrong(name, value, &format!("[node.{name}]"), &mut self.errors),
            }
        }
        found.sort_by_key(|(_, table)| table.span.start);
        if found.len() > MAX_NODES {
            self.errors.on_line(1, format!("the flow has more than {MAX_NODES} nodes"), "split the flow");
            found.truncate(MAX_NODES);
        }
        found
    }

    fn resolve(&mut self, word: &Word<'_>) -> NodeIndex {
        resolve(word, &self.names, &mut self.graph, &mut self.errors)
    }

    /// A way from one node to another.
    fn edge(&mut self, from: NodeIndex, word: &Word<'_>, sets: Vec<Set>, by_key: bool) -> NodeIndex {
        let to = self.resolve(word);
        let line = self.errors.line(word.span.start);
        self.graph.edges.push(Edge { from, to, line, sets, by_key });
        to
    }

    /// The required way out `key` of a node.
    fn way_out(&mut self, node: NodeIndex, table: &Table<'_>, key: &str, sets: Vec<Set>) -> NodeIndex {
        if table.get(key).is_none() {
            self.errors.at(
                &table.span,
                format!("{} has no way out", table.place),
                format!("add `{key} = \"…\"` with the node that comes next, or make it `kind = \"hangup\"`"),
            );
            self.graph.undefined = true;
            return UNDEFINED;
        }
        match table.word(key, &format!("{key} = \"goodbye\""), &mut self.errors) {
            Some(word) => self.edge(node, &word, sets, false),
            None => UNDEFINED,
        }
    }

    fn unread(&mut self, node: NodeIndex) {
        self.graph.undefined = true;
        self.graph.unread.insert(node);
    }

    fn uses(&mut self, use_: Use) {
        self.graph.uses.push(use_);
    }

    fn action(&mut self, node: NodeIndex, table: &Table<'_>) -> Action {
        let nothing = Action::Hangup { prompt: Prompt::new() };
        let Some(kind) = table.required("kind", "kind = \"play\"", &mut self.errors) else {
            self.unread(node);
            return nothing;
        };
        match kind.text {
            "play" => self.play(node, table),
            "collect" => self.collect(node, table),
            "menu" if table.get("array").is_some() => self.records(node, table),
            "menu" => self.menu(node, table),
            "query" => self.perform(node, table, false),
            "book" => self.perform(node, table, true),
            "branch" => self.branch(node, table),
            "hangup" => {
                table.only(&["kind", "prompt"], &mut self.errors);
                Action::Hangup { prompt: self.required_prompt(node, table) }
            }
            other => {
                let mend = mean_or(other, KINDS, || format!("known: {}", KINDS.join(", ")));
                self.errors.at(&kind.span, format!("{} has the unknown kind `{other}`", table.place), mend);
                self.unread(node);
                nothing
            }
        }
    }

    fn play(&mut self, node: NodeIndex, table: &Table<'_>) -> Action {
        table.only(&["kind", "prompt", "bargein", "listen", "typeahead", "next"], &mut self.errors);
        Action::Play(Play {
            prompt: self.required_prompt(node, table),
            manners: self.manners(table, self.defaults.manners),
            next: self.way_out(node, table, "next", Vec::new()),
        })
    }

    fn branch(&mut self, node: NodeIndex, table: &Table<'_>) -> Action {
        table.only(&["kind", "variable", "case", "otherwise"], &mut self.errors);
        let variable = table.required("variable", "variable = \"left\"", &mut self.errors);
        if let Some(word) = &variable {
            let line = self.errors.line(word.span.start);
            self.uses(Use::branch(node, word.text, line));
        }
        let mut cases = Vec::new();
        if let Some(table) = table.table("case", &mut self.errors) {
            for key in table.table.keys() {
                let value: &str = key.get_ref();
                if let Some(word) = table.word(value, &format!("\"{value}\" = \"goodbye\""), &mut self.errors)
                {
                    cases.push((value.to_owned(), self.edge(node, &word, Vec::new(), false)));
                }
            }
        }
        Action::Branch(Branch {
            variable: variable.map_or_else(String::new, |word| word.text.to_owned()),
            cases,
            otherwise: self.way_out(node, table, "otherwise", Vec::new()),
        })
    }

    fn manners(&mut self, table: &Table<'_>, otherwise: Manners) -> Manners {
        let typeahead = table.word("typeahead", "typeahead = \"keep\"", &mut self.errors).and_then(|word| {
            match word.text {
                "keep" => Some(TypeAhead::Keep),
                "drop" => Some(TypeAhead::Drop),
                other => {
                    let message = format!("`typeahead` in {} is `{other}`", table.place);
                    self.errors.at(
                        &word.span,
                        message,
                        "write `typeahead = \"keep\"` or `typeahead = \"drop\"`",
                    );
                    None
                }
            }
        });
        Manners {
            bargein: table.truth("bargein", &mut self.errors).unwrap_or(otherwise.bargein),
            listen: table.truth("listen", &mut self.errors).unwrap_or(otherwise.listen),
            typeahead: typeahead.unwrap_or(otherwise.typeahead),
        }
    }
}

fn resolve(word: &Word<'_>, names: &[String], graph: &mut Graph, errors: &mut Errors) -> NodeIndex {
    if let Some(index) = names.iter().position(|name| name == word.text) {
        return NodeIndex(index);
    }
    graph.undefined = true;
    let mend = mean_or(word.text, names.iter().map(String::as_str), || format!("add `[node.{}]`", word.text));
    errors.at(&word.span, format!("node `{}` is not defined", word.text), mend);
    UNDEFINED
}

/// A key of the telephone.
fn one_key(text: &str) -> Option<char> {
    let mut keys = text.chars();
    match (keys.next(), keys.next()) {
        (Some(key @ ('0'..='9' | '*' | '#' | 'A'..='D')), None) => Some(key),
        _ => None,
    }
}

fn is_list(value: &DeValue<'_>) -> bool {
    value.is_array()
}
