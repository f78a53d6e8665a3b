//! Nodes that ask: menus, menus over records, entries of digits.

use super::super::check::{Scope, Set, Use};
use super::super::flow::{Action, Ask, Catch, Choice, Input, MAX_PAGE_CHOICES, NodeIndex, Prompt, Records};
use super::super::value::Kind;
use super::prompt::Place;
use super::settings::Catches;
use super::table::Table;
use super::{Parser, UNDEFINED, one_key};
use std::time::Duration;

/// Longest entry of digits; a telephone number with 00 and its country code has at most 17.
const MAX_DIGITS: usize = 20;

const COMMON: [&str; 15] = [
    "kind",
    "prompt",
    "bargein",
    "listen",
    "typeahead",
    "guard",
    "timeout",
    "interdigittimeout",
    "help",
    "noinput",
    "nomatch",
    "maxnoinput",
    "maxnomatch",
    "back",
    "catch",
];

impl Parser<'_> {
    pub(super) fn collect(&mut self, node: NodeIndex, table: &Table<'_>) -> Action {
        self.only(table, &["variable", "mindigits", "maxdigits", "termchar", "next"]);
        let variable = table
            .required("variable", "variable = \"number\"", &mut self.errors)
            .map_or_else(String::new, |word| word.text.to_owned());
        for key in ["mindigits", "maxdigits"] {
            if table.get(key).is_none() {
                table.missing(key, &format!("{key} = 9"), &mut self.errors);
            }
        }
        let min = table.count("mindigits", 1..=MAX_DIGITS, &mut self.errors).unwrap_or(1);
        let max = table.count("maxdigits", 1..=MAX_DIGITS, &mut self.errors).unwrap_or(MAX_DIGITS);
        if min > max {
            let message = format!("{} wants at least {min} and at most {max} digits", table.place);
            self.errors.at(&table.span, message, "make `mindigits` no more than `maxdigits`");
        }
        let termchar = table.word("termchar", "termchar = \"#\"", &mut self.errors).and_then(|word| {
            let key = one_key(word.text).filter(|key| !key.is_ascii_digit() && Some(*key) != self.keys.back);
            if key.is_none() {
                let message = format!("`termchar` in {} is `{}`", table.place, word.text);
                self.errors.at(
                    &word.span,
                    message,
                    "use a key that is no digit and not the back key: `termchar = \"#\"`",
                );
            }
            key
        });
        let sets = vec![Set::Variable(variable.clone(), Kind::Text)];
        let next = self.way_out(node, table, "next", sets);
        let timeout = self.defaults.collect_timeout;
        self.ask(node, table, timeout, Input::Collect { variable, min, max, termchar, next })
    }

    pub(super) fn menu(&mut self, node: NodeIndex, table: &Table<'_>) -> Action {
        self.only(table, &["choice"]);
        let choices = self.choices(node, table);
        self.ask(node, table, self.defaults.menu_timeout, Input::Choices(choices))
    }

    fn choices(&mut self, node: NodeIndex, table: &Table<'_>) -> Vec<Choice> {
        let mut choices: Vec<Choice> = Vec::new();
        let Some(value) = table.get("choice") else {
            let message = format!("{} has no way out: a menu without a choice", table.place);
            self.errors.at(&table.span, message, "add `[[node.….choice]]` with `key` and `next`");
            self.graph.undefined = true;
            return choices;
        };
        let Some(list) = value.get_ref().as_array() else {
            table.wrong("choice", value, "[[node.….choice]]", &mut self.errors);
            return choices;
        };
        for item in list.iter() {
            let Some(choice) = item.get_ref().as_table() else {
                table.wrong("choice", item, "[[node.….choice]]", &mut self.errors);
                continue;
            };
            let choice = Table::new(choice, item.span(), format!("a choice of {}", table.place));
            choices.extend(self.choice(node, &choice, &choices));
        }
        self.check_gaps(table, &choices);
        choices
    }

    fn choice(&mut self, node: NodeIndex, choice: &Table<'_>, before: &[Choice]) -> Option<Choice> {
        choice.only(&["key", "prompt", "next"], &mut self.errors);
        let place = Place { scope: Scope::Key, ..Place::plain(Some(node)) };
        let prompt = self.prompt_at(choice, "prompt", &place).unwrap_or_default();
        let word = choice.required("key", "key = \"1\"", &mut self.errors);
        let next = match choice.required("next", "next = \"goodbye\"", &mut self.errors) {
            Some(word) => self.edge(node, &word, Vec::new(), true),
            None => UNDEFINED,
        };
        let word = word?;
        let keys = self.keys;
        let Some(key) = one_key(word.text).filter(|key| ('1'..='9').contains(key)) else {
            let message = format!("{} has the key `{}`", choice.place, word.text);
            self.errors.at(&word.span, message, "number the choices 1, 2, 3, …");
            return None;
        };
        if [keys.help, keys.back, keys.exit].contains(&Some(key)) {
            let message = format!("{} has the key {key}, which `[keys]` gives another meaning", choice.place);
            self.errors.at(&word.span, message, "number the choices 1, 2, 3, …");
        }
        if before.iter().any(|other| other.key == key) {
            let message = format!("{} has the key {key} a second time", choice.place);
            self.errors.at(&word.span, message, "give each choice a key of its own");
        }
        Some(Choice { key, prompt, next })
    }

    fn check_gaps(&mut self, table: &Table<'_>, choices: &[Choice]) {
        let mut keys: Vec<char> = choices.iter().map(|choice| choice.key).collect();
        keys.sort_unstable();
        keys.dedup();
        let gap = ('1'..='9').zip(&keys).find(|(expected, key)| expected != *key);
        if let Some((missing, _)) = gap {
            let listed: Vec<_> = keys.iter().map(char::to_string).collect();
            let message = format!("{} has a gap: keys {} without {missing}", table.place, listed.join(", "));
            self.errors.at(&table.span, message, "number the choices 1, 2, 3, … without a gap");
        }
        if choices.len() > MAX_PAGE_CHOICES + 1 {
            let message = format!("{} has {} choices", table.place, choices.len());
            let mend = format!("keep at most {MAX_PAGE_CHOICES}, and one that leads to a menu with more");
            self.errors.at(&table.span, message, mend);
        }
    }

    pub(super) fn records(&mut self, node: NodeIndex, table: &Table<'_>) -> Action {
        self.only(table, &["array", "item", "available", "choose", "beyond", "more", "pagechoices", "next"]);
        let mut text = |key: &str| {
            table
                .required(key, &format!("{key} = \"…\""), &mut self.errors)
                .map_or_else(String::new, |word| word.text.to_owned())
        };
        let (array, item) = (text("array"), text("item"));
        let line = |key: &str, parser: &Self| {
            parser.errors.line(table.get(key).map_or(table.span.start, |value| value.span().start))
        };
        let array_line = line("array", self);
        self.uses(Use::list(node, &array, array_line));
        let available = table.word("available", "available = \"fits\"", &mut self.errors);
        if let Some(word) = &available {
            let available_line = line("available", self);
            self.uses(Use::field(node, &array, &format!("{item}.{}", word.text), &item, available_line));
        }
        let sets = vec![Set::Fields { array: array.clone(), item: item.clone() }];
        let choose = self.record_prompt(node, table, "choose", &array, &item, true);
        let beyond = self.record_prompt(node, table, "beyond", &array, &item, available.is_some());
        let more = self.record_prompt(node, table, "more", &array, &item, true);
        let records = Records {
            choose,
            beyond,
            more,
            available: available.map(|word| word.text.to_owned()),
            page_choices: table
                .count("pagechoices", 1..=MAX_PAGE_CHOICES, &mut self.errors)
                .unwrap_or(MAX_PAGE_CHOICES),
            next: self.record_way_out(node, table, sets),
            array,
            item,
        };
        self.ask(node, table, self.defaults.menu_timeout, Input::Records(records))
    }

    fn record_way_out(&mut self, node: NodeIndex, table: &Table<'_>, sets: Vec<Set>) -> NodeIndex {
        let before = self.graph.edges.len();
        let next = self.way_out(node, table, "next", sets);
        for edge in self.graph.edges.iter_mut().skip(before) {
            edge.by_key = true;
        }
        next
    }

    fn record_prompt(
        &mut self,
        node: NodeIndex,
        table: &Table<'_>,
        key: &str,
        array: &str,
        item: &str,
        required: bool,
    ) -> Prompt {
        if required && table.get(key).is_none() {
            table.missing(key, &format!("{key} = [\"…\"]"), &mut self.errors);
        }
        let scope = Scope::Record { array: array.to_owned(), item: item.to_owned() };
        self.prompt_at(table, key, &Place { scope, ..Place::plain(Some(node)) }).unwrap_or_default()
    }

    fn only(&mut self, table: &Table<'_>, more: &[&str]) {
        let known: Vec<&str> = COMMON.iter().chain(more).copied().collect();
        table.only(&known, &mut self.errors);
    }

    /// What all asking nodes have.
    fn ask(&mut self, node: NodeIndex, table: &Table<'_>, timeout: Duration, input: Input) -> Action {
        let manners = self.manners(table, self.defaults.manners);
        let catches = table.table("catch", &mut self.errors);
        if let Some(catches) = &catches {
            catches.only(&["noinput", "nomatch", "exit"], &mut self.errors);
        }
        let Catches { noinput, nomatch, exit } = self.catches;
        let mut caught = |key: &str, otherwise: Option<NodeIndex>| {
            let own = catches
                .as_ref()
                .and_then(|catches| catches.word(key, &format!("{key} = \"goodbye\""), &mut self.errors));
            match own {
                Some(word) => self.edge(node, &word, Vec::new(), false),
                None => self.caught_by_flow(node, table, key, otherwise),
            }
        };
        let noinput_node = caught("noinput", noinput);
        let nomatch_node = caught("nomatch", nomatch);
        let exit = caught("exit", exit);
        let back = table
            .word("back", "back = \"welcome\"", &mut self.errors)
            .map(|word| self.edge(node, &word, Vec::new(), false));
        let ask = Ask {
            prompt: self.required_prompt(node, table),
            manners,
            guard: table.duration("guard", &mut self.errors).unwrap_or(Duration::ZERO),
            timeout: table.duration("timeout", &mut self.errors).unwrap_or(timeout),
            interdigit: table
                .duration("interdigittimeout", &mut self.errors)
                .unwrap_or(self.defaults.interdigit),
            help: self.asking_prompt(table, "help", Some(node)).unwrap_or_else(|| self.defaults.help.clone()),
            noinput: self.escalation(node, table, "noinput", noinput_node),
            nomatch: self.escalation(node, table, "nomatch", nomatch_node),
            back,
            exit,
            input,
        };
        if self.keys.help.is_some() && ask.help.is_empty() {
            let message = format!("{} has no help, but `[keys]` has a help key", table.place);
            self.errors.at(
                &table.span,
                message,
                "add `help = [\"…\", { reprompt = true }]` here or in `[defaults]`",
            );
        }
        Action::Ask(Box::new(ask))
    }

    /// Where `[catch]` leads, for a node that says nothing else.
    fn caught_by_flow(
        &mut self,
        node: NodeIndex,
        table: &Table<'_>,
        key: &str,
        otherwise: Option<NodeIndex>,
    ) -> NodeIndex {
        let Some(to) = otherwise else {
            let message = format!("{} asks, but `[catch]` has no `{key}`", table.place);
            self.errors.at(&table.span, message, format!("add `{key} = \"goodbye\"` to `[catch]`"));
            self.graph.undefined = true;
            return UNDEFINED;
        };
        self.graph.always(node, to);
        to
    }

    /// One prompt for each time but the last, which leads to `exhausted`.
    fn escalation(&mut self, node: NodeIndex, table: &Table<'_>, key: &str, exhausted: NodeIndex) -> Catch {
        let (prompts, max) = self.defaults.escalation(key);
        let (default_prompts, default_max) = (prompts.to_vec(), max);
        let max_key = format!("max{key}");
        let max = table.count(&max_key, 1..=9, &mut self.errors).unwrap_or(default_max);
        let prompts = self.prompts(table, key, Some(node)).unwrap_or(default_prompts);
        // A default that is too short was told of where it stands.
        let own = table.get(key).is_some() || table.get(&max_key).is_some() || prompts.is_empty();
        if prompts.len() + 1 < max && own {
            let span = table.get(key).map_or(table.span.clone(), |value| value.span());
            self.too_short(&span, key, prompts.len(), max, &table.place);
        }
        Catch { prompts, max, exhausted }
    }
}
