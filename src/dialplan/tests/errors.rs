//! What an operator reads when a flow is wrong: every error, with its line, what is wrong and the mend.

use super::*;

/// A sound flow; each case breaks it.
const SOUND: &str = r##"flow = "t"
language = "sq"
start = "welcome"
[keys]
help = "0"
back = "*"
exit = "9"
[catch]
noinput = "bye"
nomatch = "bye"
exit = "bye"
error = "bye"
[defaults]
help = ["help-menu"]
noinput = [["no-choice"], ["no-choice"]]
nomatch = [["invalid-choice"], ["invalid-choice"]]
[node.welcome]
kind = "play"
prompt = ["welcome"]
next = "ask"
[node.ask]
kind = "collect"
prompt = ["ask-member-number"]
variable = "number"
mindigits = 9
maxdigits = 14
termchar = "#"
next = "find"
[node.find]
kind = "query"
query = "member"
arguments = { number = "number" }
[node.find.on]
member = "packages"
invalid-number = { retry = "ask", prompt = ["number-invalid"] }
not-member = "bye"
unavailable = "bye"
[node.packages]
kind = "query"
query = "packages"
[node.packages.on]
some = "choose"
none-fits = "bye"
none = "bye"
unavailable = "bye"
[node.choose]
kind = "menu"
array = "packages"
item = "chosen"
available = "fits"
prompt = ["choose-package"]
choose = ["for-super", { say = "chosen.name", as = "number" }, "press", { say = "key", as = "number" }]
beyond = ["super", { say = "chosen.name", as = "number" }, "exceeds-limit"]
more = ["for-more-packages"]
next = "confirm"
[node.confirm]
kind = "menu"
typeahead = "drop"
prompt = [{ say = "member", as = "telephone" }, { say = "chosen.net", as = "money" }, "confirm-keys"]
[[node.confirm.choice]]
key = "1"
next = "activate"
[[node.confirm.choice]]
key = "2"
next = "ask"
[node.activate]
kind = "book"
booking = "activate"
arguments = { member = "member", package = "chosen.package", net = "chosen.net" }
[node.activate.on]
activated = "bye"
accepted = "bye"
beyond-limit = "bye"
not-leader = "bye"
not-member = "bye"
group-closed = "bye"
not-offered = "bye"
price-changed = "bye"
rejected = "bye"
unknown = "bye"
unavailable = "bye"
[node.bye]
kind = "hangup"
prompt = ["goodbye"]
"##;

/// The errors of the sound flow after some replacements.
fn broken(replacements: &[(&str, &str)]) -> String {
    let mut text = SOUND.to_owned();
    for (from, to) in replacements {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    errors_of(&text)
}

fn errors_of(text: &str) -> String {
    let errors = Flow::parse(text, "t.toml", &vocabulary()).expect_err("the flow is refused");
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_flow_that_the_cases_break_is_sound() {
    parse(SOUND, "t.toml");
}

#[test]
fn a_missing_prompt_names_the_one_that_was_meant() {
    assert_eq!(
        broken(&[
            (r##"["welcome"]"##, r##"["welcom"]"##),
            (r##"["choose-package"]"##, r##"["no-such-prompt-at-all"]"##)
        ]),
        r##"
t.toml:19: prompt `welcom` in node `welcome` does not exist; did you mean `welcome`?
t.toml:51: prompt `no-such-prompt-at-all` in node `choose` does not exist; add it to the prompts' manifest"##
            .trim_start()
    );
}

#[test]
fn an_undefined_node_is_named() {
    assert_eq!(
        broken(&[
            (r##"next = "find""##, r##"next = "fnd""##),
            (r##"none = "bye""##, r##"none = "elsewhere""##)
        ]),
        r##"
t.toml:28: node `fnd` is not defined; did you mean `find`?
t.toml:44: node `elsewhere` is not defined; add `[node.elsewhere]`"##
            .trim_start()
    );
}

#[test]
fn a_node_that_nothing_leads_to() {
    assert_eq!(
        broken(&[(
            r##"not-member = "bye"
unavailable = "bye"
[node.packages]"##,
            r##"not-member = "bye"
unavailable = "bye"
[node.island]
kind = "play"
prompt = ["goodbye"]
next = "bye"
[node.packages]"##
        )]),
        r##"
t.toml:38: node `island` is never reached; lead to it from another node, or remove it"##
            .trim_start()
    );
}

#[test]
fn a_menu_with_a_gap() {
    assert_eq!(
        broken(&[(
            r##"key = "2"
next = "ask""##,
            r##"key = "2"
next = "ask"
[[node.confirm.choice]]
key = "4"
next = "bye""##
        )]),
        r##"
t.toml:56: node `confirm` has a gap: keys 1, 2, 4 without 3; number the choices 1, 2, 3, … without a gap"##
            .trim_start()
    );
}

#[test]
fn a_menu_with_a_key_twice() {
    assert_eq!(
        broken(&[(r##"key = "2""##, r##"key = "1""##)]),
        r##"
t.toml:64: a choice of node `confirm` has the key 1 a second time; give each choice a key of its own"##
            .trim_start()
    );
}

#[test]
fn a_menu_with_a_key_of_another_meaning() {
    assert_eq!(
        broken(&[(
            r##"key = "2"
next = "ask""##,
            r##"key = "2"
next = "ask"
[[node.confirm.choice]]
key = "9"
next = "bye""##
        )]),
        r##"
t.toml:56: node `confirm` has a gap: keys 1, 2, 9 without 3; number the choices 1, 2, 3, … without a gap
t.toml:67: a choice of node `confirm` has the key 9, which `[keys]` gives another meaning; number the choices 1, 2, 3, …"##.trim_start()
    );
}

#[test]
fn a_menu_with_too_many_choices() {
    assert_eq!(
        broken(&[(
            r##"key = "2"
next = "ask""##,
            r##"key = "2"
next = "ask"
[[node.confirm.choice]]
key = "3"
next = "bye"
[[node.confirm.choice]]
key = "4"
next = "bye"
[[node.confirm.choice]]
key = "5"
next = "bye"
[[node.confirm.choice]]
key = "6"
next = "bye""##
        )]),
        r##"
t.toml:56: node `confirm` has 6 choices; keep at most 4, and one that leads to a menu with more"##
            .trim_start()
    );
}

#[test]
fn a_menu_without_a_choice() {
    assert_eq!(
        broken(&[(
            r##"[[node.confirm.choice]]
key = "1"
next = "activate"
[[node.confirm.choice]]
key = "2"
next = "ask"
"##,
            ""
        )]),
        r##"
t.toml:56: node `confirm` has no way out: a menu without a choice; add `[[node.….choice]]` with `key` and `next`"##.trim_start()
    );
}

#[test]
fn a_query_that_does_not_exist() {
    assert_eq!(
        broken(&[(r##"query = "member""##, r##"query = "membr""##)]),
        r##"
t.toml:31: node `find` names the query `membr`, which does not exist; did you mean `member`?"##
            .trim_start()
    );
}

#[test]
fn a_booking_that_does_not_exist() {
    assert_eq!(
        broken(&[(r##"booking = "activate""##, r##"booking = "buy""##)]),
        r##"
t.toml:68: node `activate` names the booking `buy`, which does not exist; known: activate"##
            .trim_start()
    );
}

#[test]
fn an_outcome_that_is_not_handled_and_one_that_does_not_exist() {
    assert_eq!(
        broken(&[
            (
                r##"price-changed = "bye"
"##,
                ""
            ),
            (r##"rejected = "bye""##, r##"rejectd = "bye""##)
        ]),
        r##"
t.toml:70: node `activate` does not handle the outcome `price-changed` of `activate`; add `price-changed = "…"` with a node
t.toml:70: node `activate` does not handle the outcome `rejected` of `activate`; add `rejected = "…"` with a node
t.toml:78: `activate` has no outcome `rejectd`; did you mean `rejected`?"##.trim_start()
    );
}

#[test]
fn a_query_without_its_outcomes() {
    assert_eq!(
        broken(&[(
            r##"[node.find.on]
member = "packages"
invalid-number = { retry = "ask", prompt = ["number-invalid"] }
not-member = "bye"
unavailable = "bye"
"##,
            ""
        )]),
        r##"
t.toml:29: node `find` has no way out; add `[node.….on]` with a node for each outcome: member, invalid-number, not-member, unavailable"##.trim_start()
    );
}

#[test]
fn an_argument_that_is_never_set() {
    assert_eq!(
        broken(&[(r##"number = "number" }"##, r##"number = "nmber" }"##)]),
        r##"
t.toml:32: `nmber` is never set; did you mean `number`?"##
            .trim_start()
    );
}

#[test]
fn an_argument_that_is_not_given_and_one_that_does_not_exist() {
    assert_eq!(
        broken(&[(r##"net = "chosen.net" }"##, r##"nett = "chosen.net" }"##)]),
        r##"
t.toml:69: unknown key `nett` in `arguments` of node `activate`; did you mean `net`?
t.toml:69: node `activate` does not give `activate` its argument `net`; add it: `arguments = { net = "net" }`"##.trim_start()
    );
}

#[test]
fn an_argument_of_another_kind() {
    assert_eq!(
        broken(&[(r##"package = "chosen.package""##, r##"package = "chosen.net""##)]),
        r##"
t.toml:69: `chosen.net` is an amount of money, where a number is wanted; give another variable"##
            .trim_start()
    );
}

#[test]
fn a_variable_that_is_not_set_on_every_way() {
    assert_eq!(
        broken(&[
            (r##"start = "welcome""##, r##"start = "packages""##),
            (
                r##"next = "ask"
[node.ask]"##,
                r##"next = "bye"
[node.ask]"##
            ),
            (r##"none = "bye""##, r##"none = "welcome""##)
        ]),
        r##"
t.toml:59: `member` is not set on every way to `confirm`; lead there only from nodes that come after it is set
t.toml:69: `member` is not set on every way to `activate`; lead there only from nodes that come after it is set"##.trim_start()
    );
}

#[test]
fn a_variable_spoken_as_what_it_is_not() {
    assert_eq!(
        broken(&[
            (r##"say = "chosen.net", as = "money""##, r##"say = "chosen.net", as = "telephone""##),
            (r##"say = "member", as = "telephone""##, r##"say = "member", as = "telefone""##)
        ]),
        r##"
t.toml:59: a prompt of node `confirm` is spoken as `telefone`; did you mean `telephone`?
t.toml:59: `chosen.net` is an amount of money and cannot be spoken so; speak it as money"##
            .trim_start()
    );
}

#[test]
fn unknown_keys_everywhere() {
    assert_eq!(
        broken(&[
            (
                r##"language = "sq""##,
                r##"language = "sq"
titel = "x""##
            ),
            (
                r##"help = "0""##,
                r##"help = "0"
repeat = "*""##
            ),
            ("mindigits = 9", "mindigits = 9\nbargin = true"),
            (
                r##"key = "2""##,
                r##"key = "2"
say = "x""##
            )
        ]),
        r##"
t.toml:3: unknown key `titel` in the flow; known: flow, language, start, keys, defaults, catch, node
t.toml:7: unknown key `repeat` in `[keys]`; known: help, back, exit
t.toml:28: unknown key `bargin` in node `ask`; did you mean `bargein`?
t.toml:68: unknown key `say` in a choice of node `confirm`; known: key, prompt, next"##
            .trim_start()
    );
}

#[test]
fn escalations_that_are_too_short() {
    assert_eq!(
        broken(&[(
            r##"noinput = [["no-choice"], ["no-choice"]]"##,
            r##"noinput = [["no-choice"]]
maxnomatch = 4"##
        )]),
        r##"
t.toml:15: `noinput` of `[defaults]` has too few prompts (1) for `maxnoinput = 3`; give 2: one for each time but the last, which ends the dialogue
t.toml:17: `nomatch` of `[defaults]` has too few prompts (2) for `maxnomatch = 4`; give 3: one for each time but the last, which ends the dialogue"##.trim_start()
    );
}

#[test]
fn a_node_without_a_way_out() {
    assert_eq!(
        broken(&[(
            r##"prompt = ["welcome"]
next = "ask""##,
            r##"prompt = ["welcome"]"##
        )]),
        r##"
t.toml:17: node `welcome` has no way out; add `next = "…"` with the node that comes next, or make it `kind = "hangup"`"##.trim_start()
    );
}

#[test]
fn a_confirmation_that_keeps_type_ahead() {
    assert_eq!(
        broken(&[(r##"typeahead = "drop""##, r##"typeahead = "keep""##)]),
        r##"
t.toml:56: menu `confirm` keeps type-ahead before the booking `activate`: it could be confirmed unheard; add `typeahead = "drop"`"##.trim_start()
    );
}

#[test]
fn a_booking_without_a_confirmation() {
    assert_eq!(
        broken(&[
            (r##"not-member = "bye""##, r##"not-member = "activate""##),
            (
                r##"more = ["for-more-packages"]
next = "confirm""##,
                r##"more = ["for-more-packages"]
next = "activate""##
            )
        ]),
        r##"
t.toml:36: `find` leads to the booking `activate` without a confirmation; lead to it by a choice of a menu that reads back what is booked
t.toml:55: `choose` leads to the booking `activate` without a confirmation; lead to it by a choice of a menu that reads back what is booked
t.toml:56: node `confirm` is never reached; lead to it from another node, or remove it
t.toml:69: `member` is not set on every way to `activate`; lead there only from nodes that come after it is set
t.toml:69: `chosen.package` is not set on every way to `activate`; lead there only from nodes that come after it is set
t.toml:69: `chosen.net` is not set on every way to `activate`; lead there only from nodes that come after it is set"##.trim_start()
    );
}

#[test]
fn a_flow_that_starts_with_a_booking() {
    assert_eq!(
        broken(&[(r##"start = "welcome""##, r##"start = "activate""##)]),
        r##"
t.toml:17: node `welcome` is never reached; lead to it from another node, or remove it
t.toml:21: node `ask` is never reached; lead to it from another node, or remove it
t.toml:29: node `find` is never reached; lead to it from another node, or remove it
t.toml:38: node `packages` is never reached; lead to it from another node, or remove it
t.toml:46: node `choose` is never reached; lead to it from another node, or remove it
t.toml:56: node `confirm` is never reached; lead to it from another node, or remove it
t.toml:66: the flow starts with the booking `activate`; start with a prompt, and let a menu confirm
t.toml:69: `member` is not set on every way to `activate`; lead there only from nodes that come after it is set
t.toml:69: `chosen.package` is not set on every way to `activate`; lead there only from nodes that come after it is set
t.toml:69: `chosen.net` is not set on every way to `activate`; lead there only from nodes that come after it is set"##.trim_start()
    );
}

#[test]
fn a_circle_that_waits_for_nothing() {
    assert_eq!(
        broken(&[(
            r##"kind = "play"
prompt = ["welcome"]
next = "ask""##,
            r##"kind = "play"
prompt = ["welcome"]
next = "again"
[node.again]
kind = "play"
prompt = ["welcome"]
next = "welcome""##
        )]),
        r##"
t.toml:17: from `welcome` a circle leads back to it without waiting for the caller; let a node of it ask, or play with `typeahead = "drop"`
t.toml:25: node `ask` is never reached; lead to it from another node, or remove it
t.toml:33: node `find` is never reached; lead to it from another node, or remove it
t.toml:42: node `packages` is never reached; lead to it from another node, or remove it
t.toml:50: node `choose` is never reached; lead to it from another node, or remove it
t.toml:60: node `confirm` is never reached; lead to it from another node, or remove it
t.toml:70: node `activate` is never reached; lead to it from another node, or remove it"##.trim_start()
    );
}

#[test]
fn wrong_values() {
    assert_eq!(
        broken(&[
            ("mindigits = 9", r##"mindigits = "nine""##),
            ("maxdigits = 14", "maxdigits = 99"),
            (
                r##"termchar = "#""##,
                r##"termchar = "5"
timeout = "5"
guard = 500
listen = "yes"
typeahead = "lose""##
            )
        ]),
        r##"
t.toml:25: `mindigits` in node `ask` is not a number from 1 to 20; write it like `mindigits = 1`
t.toml:26: `maxdigits` in node `ask` is not a number from 1 to 20; write it like `maxdigits = 1`
t.toml:27: `termchar` in node `ask` is `5`; use a key that is no digit and not the back key: `termchar = "#"`
t.toml:28: `timeout` in node `ask` is `5`, not a time up to 600s; write it like `timeout = "5s"` or `timeout = "300ms"`
t.toml:29: `guard` in node `ask` is a number without quotation marks; write it like `guard = "5s"`
t.toml:30: `listen` in node `ask` is a text; write it like `listen = true`
t.toml:31: `typeahead` in node `ask` is `lose`; write `typeahead = "keep"` or `typeahead = "drop"`"##.trim_start()
    );
}

#[test]
fn digits_the_wrong_way_round() {
    assert_eq!(
        broken(&[("mindigits = 9\nmaxdigits = 14", "mindigits = 9\nmaxdigits = 5")]),
        r##"
t.toml:21: node `ask` wants at least 9 and at most 5 digits; make `mindigits` no more than `maxdigits`"##
            .trim_start()
    );
}

#[test]
fn a_node_of_no_kind_and_one_of_an_unknown_kind() {
    assert_eq!(
        broken(&[
            (
                r##"kind = "play"
"##,
                ""
            ),
            (r##"kind = "collect""##, r##"kind = "colect""##)
        ]),
        r##"
t.toml:17: node `welcome` has no `kind`; add `kind = "play"`
t.toml:21: node `ask` has the unknown kind `colect`; did you mean `collect`?"##
            .trim_start()
    );
}

#[test]
fn silence_and_emptiness() {
    assert_eq!(
        broken(&[
            (r##"prompt = ["welcome"]"##, "prompt = []"),
            (
                r##"prompt = ["choose-package"]"##,
                r##"prompt = [{ silence = "9s" }, 7, { reprompt = true }]"##
            ),
            (
                r##"[node.bye]
kind = "hangup"
prompt = ["goodbye"]"##,
                r##"[node.bye]
kind = "hangup""##
            )
        ]),
        r##"
t.toml:19: `prompt` in node `welcome` is empty; name at least one prompt
t.toml:51: a prompt of node `choose` has the silence `9s`, not 20ms to 5s; write it like `{ silence = "300ms" }`
t.toml:51: a prompt of node `choose` is a number without quotation marks; write it like `prompt = ["welcome", { say = "left", as = "money" }]`
t.toml:51: a prompt of node `choose` may not hold a reprompt; keep `reprompt = true` for help, noinput and nomatch
t.toml:82: node `bye` has no `prompt`; add `prompt = ["…"]`"##.trim_start()
    );
}

#[test]
fn a_retry_that_leads_to_no_question() {
    assert_eq!(
        broken(&[(r##"retry = "ask""##, r##"retry = "welcome""##)]),
        r##"
t.toml:35: `retry` leads to `welcome`, which asks nothing; name a node of `kind = "collect"` or `kind = "menu"`"##.trim_start()
    );
}

#[test]
fn an_error_node_that_asks() {
    assert_eq!(
        broken(&[(r##"error = "bye""##, r##"error = "ask""##)]),
        r##"
t.toml:12: `error` in `[catch]` leads to `ask`, which does not hang up; name a node of `kind = "hangup"`"##
            .trim_start()
    );
}

#[test]
fn keys_of_two_meanings() {
    assert_eq!(
        broken(&[(r##"back = "*""##, r##"back = "0""##), (r##"exit = "9""##, r##"exit = "99""##)]),
        r##"
t.toml:6: the key 0 has two meanings in `[keys]`; give each meaning a key of its own
t.toml:7: `exit` in `[keys]` is `99`, not one key; write it like `exit = "9"`"##
            .trim_start()
    );
}

#[test]
fn catches_that_are_missing() {
    assert_eq!(
        broken(&[(
            r##"[catch]
noinput = "bye"
nomatch = "bye"
exit = "bye"
error = "bye""##,
            r##"[catch]
nomatch = "bye""##
        )]),
        r##"
t.toml:8: `[catch]` has no `error`; add `error = "goodbye"`
t.toml:18: node `ask` asks, but `[catch]` has no `noinput`; add `noinput = "goodbye"` to `[catch]`
t.toml:18: node `ask` asks, but `[catch]` has no `exit`; add `exit = "goodbye"` to `[catch]`
t.toml:43: node `choose` asks, but `[catch]` has no `noinput`; add `noinput = "goodbye"` to `[catch]`
t.toml:43: node `choose` asks, but `[catch]` has no `exit`; add `exit = "goodbye"` to `[catch]`
t.toml:53: node `confirm` asks, but `[catch]` has no `noinput`; add `noinput = "goodbye"` to `[catch]`
t.toml:53: node `confirm` asks, but `[catch]` has no `exit`; add `exit = "goodbye"` to `[catch]`"##
            .trim_start()
    );
}

#[test]
fn no_help_for_the_help_key() {
    assert_eq!(
        broken(&[(
            r##"help = ["help-menu"]
"##,
            ""
        )]),
        r##"
t.toml:20: node `ask` has no help, but `[keys]` has a help key; add `help = ["…", { reprompt = true }]` here or in `[defaults]`
t.toml:45: node `choose` has no help, but `[keys]` has a help key; add `help = ["…", { reprompt = true }]` here or in `[defaults]`
t.toml:55: node `confirm` has no help, but `[keys]` has a help key; add `help = ["…", { reprompt = true }]` here or in `[defaults]`"##.trim_start()
    );
}

#[test]
fn syntax_is_told_first_and_all_of_it() {
    assert_eq!(
        broken(&[
            (r##"start = "welcome""##, "start = welcome"),
            ("maxdigits = 14", "maxdigits = "),
            (
                r##"query = "packages""##,
                r##"query = "packages"
query = "packages""##
            )
        ]),
        r##"
t.toml:3: string values must be quoted, expected literal string; correct the TOML there
t.toml:26: string values must be quoted, expected literal string; correct the TOML there
t.toml:41: duplicate key; keep one of the two"##
            .trim_start()
    );
}

#[test]
fn a_branch_on_what_cannot_be_compared() {
    assert_eq!(
        broken(&[
            (r##"none = "bye""##, r##"none = "which""##),
            (r##"some = "choose""##, r##"some = "which""##),
            (
                "[node.choose]",
                r##"[node.which]
kind = "branch"
variable = "member"
otherwise = "choose"
[node.choose]"##
            )
        ]),
        r##"
t.toml:48: `member` is a mobile number, which a branch cannot compare; branch on another variable
t.toml:52: `packages` is not set on every way to `choose`; lead there only from nodes that come after it is set"##.trim_start()
    );
}

#[test]
fn one_variable_of_two_kinds() {
    assert_eq!(
        broken(&[
            (r##"variable = "number""##, r##"variable = "member""##),
            (r##"number = "number" }"##, r##"number = "member" }"##)
        ]),
        r##"
t.toml:34: `member` is a mobile number here and text elsewhere; use two names
t.toml:59: `member` is text and cannot be spoken so; speak it as digits
t.toml:69: `member` is text, where a mobile number is wanted; give another variable"##
            .trim_start()
    );
}

#[test]
fn an_empty_file() {
    assert_eq!(errors_of(""), r##"
t.toml:1: the flow has no `flow`; add `flow = "klik-on"`
t.toml:1: the flow has no `language`; add `language = "sq"`
t.toml:1: the flow has no node; add `[node.welcome]`
t.toml:1: the flow has no `[catch]`; add `[catch]` with `error`, and `noinput`, `nomatch` and `exit` for the nodes that ask
t.toml:1: the flow has no `start`; add `start = "welcome"`"##.trim_start());
}
