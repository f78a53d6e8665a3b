//! Queries and bookings: the arguments they take, and a way for each outcome.

use super::super::check::{Set, Use};
use super::super::error::mean_or;
use super::super::flow::{Action, NodeIndex, OutcomeTarget, Perform, Prompt, Target};
use super::super::vocabulary::Operation;
use super::table::Table;
use super::{Parser, UNDEFINED};

impl Parser<'_> {
    pub(super) fn perform(&mut self, node: NodeIndex, table: &Table<'_>, booking: bool) -> Action {
        let key = if booking { "booking" } else { "query" };
        let known = ["kind", key, "arguments", "on", "waiting", "patience", "timeout"];
        table.only(&known, &mut self.errors);
        let vocabulary = self.vocabulary;
        let operations = if booking { &vocabulary.bookings } else { &vocabulary.queries };
        let word = table.required(key, &format!("{key} = \"…\""), &mut self.errors);
        let operation = word.as_ref().and_then(|word| {
            let found = operations.iter().find(|operation| operation.name == word.text);
            if found.is_none() {
                let names = || operations.iter().map(|operation| operation.name.as_str());
                let mend = mean_or(word.text, names(), || {
                    format!("known: {}", names().collect::<Vec<_>>().join(", "))
                });
                let message =
                    format!("{} names the {key} `{}`, which does not exist", table.place, word.text);
                self.errors.at(&word.span, message, mend);
            }
            found
        });
        let Some(operation) = operation else {
            self.unread(node);
            return Action::Hangup { prompt: Prompt::new() };
        };
        Action::Perform(Perform {
            booking,
            name: operation.name.clone(),
            arguments: self.arguments(node, table, operation),
            outcomes: self.outcomes(node, table, operation),
            waiting: self
                .prompt(table, "waiting", Some(node))
                .unwrap_or_else(|| self.defaults.waiting.clone()),
            patience: table.duration("patience", &mut self.errors).unwrap_or(self.defaults.patience),
            timeout: table.duration("timeout", &mut self.errors).unwrap_or(self.defaults.request_timeout),
            when_late: operation.when_late.clone(),
        })
    }

    fn arguments(
        &mut self,
        node: NodeIndex,
        table: &Table<'_>,
        operation: &Operation,
    ) -> Vec<(String, String)> {
        let given = table.table("arguments", &mut self.errors);
        let mut arguments = Vec::new();
        if let Some(given) = &given {
            let known: Vec<_> = operation.arguments.iter().map(|argument| argument.name.as_str()).collect();
            given.only(&known, &mut self.errors);
        }
        for argument in &operation.arguments {
            let example = format!("arguments = {{ {0} = \"{0}\" }}", argument.name);
            let word =
                given.as_ref().and_then(|given| given.word(&argument.name, &example, &mut self.errors));
            match word {
                Some(word) => {
                    let line = self.errors.line(word.span.start);
                    self.uses(Use::argument(node, word.text, argument.kind.clone(), line));
                    arguments.push((argument.name.clone(), word.text.to_owned()));
                }
                None if given.as_ref().is_some_and(|given| given.get(&argument.name).is_some()) => {}
                None => {
                    let message = format!(
                        "{} does not give `{}` its argument `{}`",
                        table.place, operation.name, argument.name
                    );
                    let span = given.as_ref().map_or(&table.span, |given| &given.span);
                    self.errors.at(span, message, format!("add it: `{example}`"));
                }
            }
        }
        arguments
    }

    fn outcomes(&mut self, node: NodeIndex, table: &Table<'_>, operation: &Operation) -> Vec<OutcomeTarget> {
        let Some(on) = table.table("on", &mut self.errors) else {
            if table.get("on").is_none() {
                let names: Vec<_> = operation.outcomes.iter().map(|outcome| outcome.name.as_str()).collect();
                let message = format!("{} has no way out", table.place);
                let mend = format!("add `[node.….on]` with a node for each outcome: {}", names.join(", "));
                self.errors.at(&table.span, message, mend);
                self.unread(node);
            }
            return Vec::new();
        };
        let names: Vec<_> = operation.outcomes.iter().map(|outcome| outcome.name.as_str()).collect();
        for key in on.table.keys() {
            let name: &str = key.get_ref();
            if !names.contains(&name) {
                let message = format!("`{}` has no outcome `{name}`", operation.name);
                let mend =
                    mean_or(name, names.iter().copied(), || format!("its outcomes: {}", names.join(", ")));
                self.errors.at(&key.span(), message, mend);
            }
        }
        let mut targets = Vec::new();
        for outcome in &operation.outcomes {
            if on.get(&outcome.name).is_none() {
                let message = format!(
                    "{} does not handle the outcome `{}` of `{}`",
                    table.place, outcome.name, operation.name
                );
                self.errors.at(&on.span, message, format!("add `{} = \"…\"` with a node", outcome.name));
                continue;
            }
            let sets: Vec<_> =
                outcome.values.iter().map(|f| Set::Variable(f.name.clone(), f.kind.clone())).collect();
            targets.push(OutcomeTarget {
                outcome: outcome.name.clone(),
                values: outcome.values.iter().map(|f| (f.name.clone(), f.kind.clone())).collect(),
                target: self.target(node, &on, &outcome.name, sets),
            });
        }
        targets
    }

    /// A node, or `{ retry = "…", prompt = […] }`.
    fn target(&mut self, node: NodeIndex, on: &Table<'_>, key: &str, sets: Vec<Set>) -> Target {
        let undefined = Target::Goto(UNDEFINED);
        let Some(value) = on.get(key) else { return undefined };
        let Some(table) = value.get_ref().as_table() else {
            let word = on.word(key, &format!("{key} = \"goodbye\""), &mut self.errors);
            return Target::Goto(word.map_or(UNDEFINED, |word| self.edge(node, &word, sets, false)));
        };
        let table = Table::new(table, value.span(), format!("outcome `{key}` of {}", self.name(node)));
        table.only(&["retry", "prompt"], &mut self.errors);
        if table.get("prompt").is_none() {
            table.missing("prompt", "prompt = [\"…\"]", &mut self.errors);
        }
        let Some(word) = table.required("retry", "retry = \"ask-number\"", &mut self.errors) else {
            return undefined;
        };
        let to = self.edge(node, &word, sets, false);
        self.graph.retries.push((to, self.errors.line(word.span.start)));
        let prompt = self.asking_prompt(&table, "prompt", Some(node)).unwrap_or_default();
        Target::Retry { node: to, prompt }
    }

    fn name(&self, node: NodeIndex) -> String {
        self.names.get(node.0).map_or_else(String::new, |name| format!("node `{name}`"))
    }
}
