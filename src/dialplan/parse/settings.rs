//! The flow's own settings: the keys that mean the same everywhere, what nodes do unless they say otherwise, and
//! where a dialogue ends that leads nowhere.

use super::super::error::Errors;
use super::super::flow::{GlobalKeys, Manners, NodeIndex, Prompt, TypeAhead};
use super::table::Table;
use super::{Parser, one_key, resolve};
use std::ops::Range;
use std::time::Duration;

/// DOMAIN §5.
const MENU_TIMEOUT: Duration = Duration::from_secs(5);
/// DOMAIN §5.
const COLLECT_TIMEOUT: Duration = Duration::from_secs(7);
/// DOMAIN §5.
const INTERDIGIT_TIMEOUT: Duration = Duration::from_secs(4);
/// DOMAIN §5: no input and no match, 3 each.
const MAX_TRIES: usize = 3;
/// How long a query may take before the caller hears the waiting prompt.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a query or a booking may take before its late outcome is taken.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// What nodes do unless they say otherwise.
#[derive(Debug)]
pub(super) struct Defaults {
    pub manners: Manners,
    pub menu_timeout: Duration,
    pub collect_timeout: Duration,
    pub interdigit: Duration,
    pub max_noinput: usize,
    pub max_nomatch: usize,
    pub noinput: Vec<Prompt>,
    pub nomatch: Vec<Prompt>,
    pub help: Prompt,
    pub waiting: Prompt,
    pub patience: Duration,
    pub request_timeout: Duration,
}

/// Where the events lead that end a dialogue.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Catches {
    pub noinput: Option<NodeIndex>,
    pub nomatch: Option<NodeIndex>,
    pub exit: Option<NodeIndex>,
}

impl Defaults {
    pub(super) fn domain() -> Self {
        Self {
            manners: Manners { bargein: true, listen: true, typeahead: TypeAhead::Keep },
            menu_timeout: MENU_TIMEOUT,
            collect_timeout: COLLECT_TIMEOUT,
            interdigit: INTERDIGIT_TIMEOUT,
            max_noinput: MAX_TRIES,
            max_nomatch: MAX_TRIES,
            noinput: Vec::new(),
            nomatch: Vec::new(),
            help: Prompt::new(),
            waiting: Prompt::new(),
            patience: PATIENCE,
            request_timeout: REQUEST_TIMEOUT,
        }
    }
}

impl Defaults {
    /// What is said at `noinput` or `nomatch`, and how often it may happen.
    pub(super) fn escalation(&self, key: &str) -> (&[Prompt], usize) {
        match key {
            "noinput" => (&self.noinput, self.max_noinput),
            _ => (&self.nomatch, self.max_nomatch),
        }
    }
}

impl Parser<'_> {
    pub(super) fn global_keys(&mut self, keys: &Table<'_>) {
        keys.only(&["help", "back", "exit"], &mut self.errors);
        let mut taken: Vec<char> = Vec::new();
        let mut key = |name: &str, example: &str| {
            let word = keys.word(name, example, &mut self.errors)?;
            let key = one_key(word.text);
            match key {
                None => {
                    let message = format!("`{name}` in `[keys]` is `{}`, not one key", word.text);
                    self.errors.at(&word.span, message, format!("write it like `{example}`"));
                }
                Some(key) if taken.contains(&key) => {
                    let message = format!("the key {key} has two meanings in `[keys]`");
                    self.errors.at(&word.span, message, "give each meaning a key of its own");
                }
                Some(key) => taken.push(key),
            }
            key
        };
        self.keys = GlobalKeys {
            help: key("help", "help = \"0\""),
            back: key("back", "back = \"*\""),
            exit: key("exit", "exit = \"9\""),
        };
    }

    pub(super) fn read_defaults(&mut self, root: &Table<'_>) {
        let Some(table) = root.table("defaults", &mut self.errors) else { return };
        let known = [
            "bargein",
            "listen",
            "typeahead",
            "menutimeout",
            "collecttimeout",
            "interdigittimeout",
            "maxnoinput",
            "maxnomatch",
            "noinput",
            "nomatch",
            "help",
            "waiting",
            "patience",
            "requesttimeout",
        ];
        table.only(&known, &mut self.errors);
        let domain = Defaults::domain();
        let mut time = |key: &str, otherwise| table.duration(key, &mut self.errors).unwrap_or(otherwise);
        let menu_timeout = time("menutimeout", domain.menu_timeout);
        let collect_timeout = time("collecttimeout", domain.collect_timeout);
        let interdigit = time("interdigittimeout", domain.interdigit);
        let patience = time("patience", domain.patience);
        let request_timeout = time("requesttimeout", domain.request_timeout);
        let max = |key: &str, errors: &mut Errors| table.count(key, 1..=9, errors).unwrap_or(MAX_TRIES);
        // Which node will speak them is not known yet: they may speak no variables.
        let node = None;
        self.defaults = Defaults {
            manners: self.manners(&table, domain.manners),
            menu_timeout,
            collect_timeout,
            interdigit,
            max_noinput: max("maxnoinput", &mut self.errors),
            max_nomatch: max("maxnomatch", &mut self.errors),
            noinput: self.prompts(&table, "noinput", node).unwrap_or_default(),
            nomatch: self.prompts(&table, "nomatch", node).unwrap_or_default(),
            help: self.asking_prompt(&table, "help", node).unwrap_or_default(),
            waiting: self.prompt(&table, "waiting", node).unwrap_or_default(),
            patience,
            request_timeout,
        };
        for key in ["noinput", "nomatch"] {
            let (prompts, max) = self.defaults.escalation(key);
            if let Some(value) = table.get(key)
                && prompts.len() + 1 < max
            {
                let (given, span) = (prompts.len(), value.span());
                self.too_short(&span, key, given, max, "`[defaults]`");
            }
        }
    }

    pub(super) fn too_short(
        &mut self,
        span: &Range<usize>,
        key: &str,
        given: usize,
        max: usize,
        place: &str,
    ) {
        let message = format!("`{key}` of {place} has too few prompts ({given}) for `max{key} = {max}`");
        let mend = format!("give {}: one for each time but the last, which ends the dialogue", max - 1);
        self.errors.at(span, message, mend);
    }

    pub(super) fn read_catches(&mut self, root: &Table<'_>) {
        let Some(table) = root.table("catch", &mut self.errors) else {
            if root.get("catch").is_none() {
                let mend =
                    "add `[catch]` with `error`, and `noinput`, `nomatch` and `exit` for the nodes that ask";
                self.errors.on_line(1, "the flow has no `[catch]`", mend);
            }
            return;
        };
        table.only(&["noinput", "nomatch", "exit", "error"], &mut self.errors);
        if let Some(word) = table.required("error", "error = \"goodbye\"", &mut self.errors) {
            self.error_node = self.resolve(&word);
            self.graph.error_line = self.errors.line(word.span.start);
        }
        let mut node = |key: &str| {
            let word = table.word(key, &format!("{key} = \"goodbye\""), &mut self.errors)?;
            Some(resolve(&word, &self.names, &mut self.graph, &mut self.errors))
        };
        self.catches = Catches { noinput: node("noinput"), nomatch: node("nomatch"), exit: node("exit") };
    }
}
