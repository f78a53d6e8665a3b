//! Fields whose keys nobody may read afterwards: where a flow asks for them, and where one could still come.

use super::check::{Graph, Use};
use super::error::Errors;
use super::flow::{Action, Flow, Input, NodeIndex, Target};
use super::vocabulary::is_secret;
use std::collections::BTreeSet;

impl Flow {
    /// The nodes in which a key may be one of a secret: the fields that take one, and every node from which such a field
    /// can still be reached, since keys wait for the field that takes them (type-ahead). Outcomes that are
    /// `impossible` are led to by none.
    ///
    /// From a node outside no node inside can be reached: once out, always out.
    pub fn nodes_before_secrets(&self, impossible: &[&str]) -> BTreeSet<&str> {
        let variables = self.secret_variables();
        let is_field = |node: &Action| match node {
            Action::Ask(ask) => {
                matches!(&ask.input, Input::Collect { variable, .. } if variables.contains(variable.as_str()))
            }
            _ => false,
        };
        let mut before: BTreeSet<usize> =
            (0..self.nodes.len()).filter(|&index| is_field(&self.nodes[index].action)).collect();
        // It only grows, so this ends.
        loop {
            let leads_in = |index: &usize| {
                let ways = ways_out(&self.nodes[*index].action, impossible);
                !before.contains(index) && ways.iter().any(|way| before.contains(&way.0))
            };
            let found: Vec<usize> = (0..self.nodes.len()).filter(leads_in).collect();
            if found.is_empty() {
                break;
            }
            before.extend(found);
        }
        before.into_iter().map(|index| self.nodes[index].name.as_str()).collect()
    }

    /// The name of the node that a call begins in.
    pub fn start(&self) -> &str {
        self.node(self.start).map_or("", |node| &node.name)
    }

    /// The variables that are given to an operation as a secret.
    fn secret_variables(&self) -> BTreeSet<&str> {
        let performed = self.nodes.iter().filter_map(|node| match &node.action {
            Action::Perform(perform) => Some(perform),
            _ => None,
        });
        performed
            .flat_map(|perform| {
                let secret = |argument: &&(String, String)| is_secret(&perform.name, &argument.0);
                perform.arguments.iter().filter(secret).map(|(_, variable)| variable.as_str())
            })
            .collect()
    }
}

/// Where a node can lead. The goodbye of `[catch] error`, which anything may lead to, leads nowhere.
fn ways_out(action: &Action, impossible: &[&str]) -> Vec<NodeIndex> {
    match action {
        Action::Play(play) => vec![play.next],
        Action::Ask(ask) => {
            let mut ways = vec![ask.exit, ask.noinput.exhausted, ask.nomatch.exhausted];
            ways.extend(ask.back);
            match &ask.input {
                Input::Collect { next, .. } => ways.push(*next),
                Input::Choices(choices) => ways.extend(choices.iter().map(|choice| choice.next)),
                Input::Records(records) => ways.push(records.next),
            }
            ways
        }
        Action::Perform(perform) => {
            let possible = perform.outcomes.iter().filter(|on| !impossible.contains(&on.outcome.as_str()));
            possible
                .map(|on| match &on.target {
                    Target::Goto(node) | Target::Retry { node, .. } => *node,
                })
                .collect()
        }
        Action::Branch(branch) => {
            branch.cases.iter().map(|(_, node)| *node).chain([branch.otherwise]).collect()
        }
        Action::Hangup { .. } => Vec::new(),
    }
}

/// A secret is given to the operation that takes it, and to nothing else: not spoken, not compared.
pub(super) fn check(flow: &Flow, graph: &Graph, errors: &mut Errors) {
    let secrets = flow.secret_variables();
    let mend = "keep what is spoken or compared in another variable";
    for use_ in graph.uses.iter().filter(|use_| secrets.contains(use_.variable.as_str())) {
        if !use_.is_argument() {
            errors.on_line(use_.line, leak(use_), mend);
        }
    }
    for node in &flow.nodes {
        let Action::Perform(perform) = &node.action else { continue };
        for (argument, variable) in &perform.arguments {
            if secrets.contains(variable.as_str()) && !is_secret(&perform.name, argument) {
                let message =
                    format!("`{variable}` is a secret, and `{argument}` of `{}` is none", perform.name);
                errors.on_line(node.line, message, "give it another variable");
            }
        }
    }
}

fn leak(use_: &Use) -> String {
    format!("`{}` is a secret: it is neither spoken nor compared", use_.variable)
}
