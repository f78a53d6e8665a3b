//! Timers, barge-in and type-ahead in virtual time: what users of other engines suffer from.

use super::*;

/// A flow with one node of each manner, round `ask`.
pub(super) fn flow(ask: &str) -> Arc<Flow> {
    let text = format!(
        r#"
flow = "t"
language = "sq"
start = "before"
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
help = ["help-menu", {{ reprompt = true }}]
noinput = [["no-choice", {{ reprompt = true }}], ["no-choice"]]
nomatch = [["invalid-choice", {{ reprompt = true }}], ["invalid-choice"]]
[node.before]
kind = "play"
prompt = ["welcome"]
next = "ask"
[node.ask]
{ask}
[node.then]
kind = "menu"
prompt = ["another-keys"]
[[node.then.choice]]
key = "1"
next = "bye"
[[node.then.choice]]
key = "2"
next = "ask"
[node.bye]
kind = "hangup"
prompt = ["goodbye"]
"#
    );
    parse(&text, "t.toml")
}

pub(super) const COLLECT: &str = r##"kind = "collect"
prompt = ["ask-member-number"]
variable = "number"
mindigits = 3
maxdigits = 5
termchar = "#"
next = "then""##;

pub(super) const MENU: &str = r#"kind = "menu"
prompt = ["confirm-keys"]
choice = [{ key = "1", next = "then" }, { key = "2", next = "bye" }]"#;

/// Two queries that lead to each other.
const CIRCLE: &str = r#"
flow = "circle"
language = "sq"
start = "one"
[catch]
error = "bye"
[node.one]
kind = "query"
query = "remaining"
on = { ok = "two", unavailable = "two" }
[node.two]
kind = "query"
query = "remaining"
on = { ok = "one", unavailable = "bye" }
[node.bye]
kind = "hangup"
prompt = ["goodbye"]
"#;

pub(super) fn asking(ask: &str) -> Caller {
    let mut caller = Caller::dial(&flow(ask));
    caller.hear();
    assert_eq!(caller.node(), "ask");
    caller.look();
    caller
}

pub(super) fn in_ms(caller: &Caller) -> Option<u128> {
    caller.interpreter.deadline().map(|deadline| (deadline - caller.now).as_millis())
}

pub(super) fn number(caller: &Caller) -> String {
    caller.interpreter.variable("number").map_or_else(String::new, ToString::to_string)
}

#[test]
fn the_first_timer_starts_when_the_prompt_ends() {
    let mut caller = asking(COLLECT);
    caller.wait(60_000);
    assert_eq!(caller.look(), "");
    caller.hear();
    assert_eq!(in_ms(&caller), Some(7000));
    caller.wait(6999);
    assert_eq!(caller.look(), "");
    caller.wait(1);
    assert_eq!(caller.look(), "play 3 no-choice ask-member-number");
}

#[test]
fn the_timer_between_digits_overrides_also_after_barge_in() {
    let mut caller = asking(COLLECT);
    caller.event(Event::DigitBegan);
    assert_eq!(caller.look(), "stop 2");
    assert_eq!(in_ms(&caller), Some(4000));
    caller.event(Event::Digit('6'));
    // The end of the stopped prompt is reported late, and changes nothing.
    caller.event(Event::PlayDone { id: PlayId(2), interrupted: true });
    assert_eq!(in_ms(&caller), Some(4000));
    caller.wait(3999).type_on("7");
    assert_eq!(in_ms(&caller), Some(3900));
    // Two of at least three digits are no number.
    caller.wait(3900);
    assert_eq!(caller.look(), "play 3 invalid-choice ask-member-number");
}

#[test]
fn the_digit_that_barges_in_counts_even_when_its_beginning_is_not_known() {
    let mut caller = asking(COLLECT);
    for key in "672#".chars() {
        caller.event(Event::Digit(key));
    }
    assert_eq!(number(&caller), "672");
    assert_eq!(caller.look(), "stop 2\n> then\nplay 3 another-keys");
}

#[test]
fn the_end_of_the_prompt_may_be_reported_before_the_digit_that_stopped_it() {
    let mut caller = asking(COLLECT);
    caller.event(Event::PlayDone { id: PlayId(2), interrupted: true });
    assert_eq!(in_ms(&caller), Some(4000));
    caller.playing = None;
    caller.type_on("672#");
    assert_eq!(number(&caller), "672");
}

#[test]
fn a_number_ends_by_termchar_by_length_and_by_time() {
    let mut caller = asking(COLLECT);
    caller.press("123#");
    assert_eq!((caller.node(), number(&caller).as_str()), ("then", "123"));
    let mut caller = asking(COLLECT);
    caller.press("12345");
    assert_eq!((caller.node(), number(&caller).as_str()), ("then", "12345"));
    let mut caller = asking(COLLECT);
    caller.press("1234").wait(3900);
    assert_eq!((caller.node(), number(&caller).as_str()), ("then", "1234"));
}

#[test]
fn a_termchar_after_the_last_possible_digit_does_not_leak_into_the_next_node() {
    let mut caller = asking(COLLECT);
    caller.press("12345#");
    assert_eq!(caller.node(), "then");
    caller.look();
    // It stopped the prompt of the next node; that is played again.
    let mut caller = asking(COLLECT);
    caller.press("12345");
    caller.look();
    caller.event(Event::DigitBegan);
    caller.event(Event::Digit('#'));
    assert_eq!(caller.node(), "then");
    assert_eq!(caller.look(), "stop 3\nplay 4 another-keys");
    // Only the next key, and only for a while.
    let mut caller = asking(COLLECT);
    caller.press("12345").wait(4100).type_on("#");
    assert!(caller.look().contains("invalid-choice"));
}

#[test]
fn star_takes_back_what_was_keyed_and_lone_help_and_exit_keep_their_meaning() {
    let mut caller = asking(COLLECT);
    caller.press("12*");
    assert_eq!(caller.look(), "stop 2\nplay 3 ask-member-number");
    caller.press("345#");
    assert_eq!(number(&caller), "345");
    let mut caller = asking(COLLECT);
    caller.press("0#");
    assert_eq!(caller.look(), "stop 2\nplay 3 help-menu ask-member-number");
    caller.press("9").wait(4000);
    assert_eq!(caller.node(), "bye");
    let mut caller = asking(COLLECT);
    caller.press("#");
    assert_eq!(caller.look(), "stop 2\nplay 3 invalid-choice ask-member-number");
    caller.press("A");
    assert_eq!(caller.look(), "stop 3\nplay 4 invalid-choice");
}

#[test]
fn no_input_and_no_match_are_counted_apart() {
    let mut caller = asking(MENU);
    caller.hear().wait(5000).press("7").hear().wait(5000).press("7");
    assert_eq!(caller.node(), "ask");
    caller.look();
    let mut other = asking(MENU);
    other.press("7").press("7").press("7");
    assert_eq!(other.node(), "bye");
    caller.hear().wait(5000);
    assert_eq!(caller.node(), "bye");
}

#[test]
fn keys_before_the_prompt_and_during_a_play_go_into_the_next_node() {
    let mut caller = Caller::dial(&flow(COLLECT));
    caller.press("123#2");
    // The welcome stopped, `ask` and `then` took the keys unheard, and it is `ask` again.
    assert_eq!(number(&caller), "123");
    assert_eq!(caller.node(), "ask");
    let look = caller.look();
    assert_eq!(
        look,
        "> before\nplay 1 welcome\nstop 1\n> ask\n> then\nplay 2 another-keys\nstop 2\n> ask\nplay 3 ask-member-number"
    );
}

#[test]
fn type_ahead_is_limited() {
    let mut caller = Caller::dial(&klik_on());
    caller.hear();
    caller.type_on(&"1".repeat(100));
    caller.answer("leader", &[("month", Value::Number(1)), ("left", lek(100))]);
    // 14 digits make a number, the rest is still waiting: 32 in all.
    assert_eq!(caller.interpreter.variable("number"), Some(&Value::Text("1".repeat(14))));
    caller.answer("invalid-number", &[]);
    assert_eq!(caller.node(), "ask-member-number");
    assert!(caller.playing.is_some(), "what was keyed ahead is dropped by an error");
}

#[test]
fn keys_during_a_query_are_kept() {
    let mut caller = Caller::dial(&klik_on());
    caller.hear().type_on("0672123456#");
    caller.look();
    caller.answer("leader", &[("month", Value::Number(1)), ("left", lek(100))]);
    assert_eq!(caller.look(), "> left\n> ask-member-number\n> find-member\nquery member(number=0672123456)");
    caller.type_on("1");
    caller.answer("member", &[("member", member())]).answer("some", &[("packages", catalogue())]);
    assert_eq!(caller.node(), "check-recent");
}

#[test]
fn stopping_the_prompt_and_listening_are_two_settings() {
    let with = |bargein: bool, listen: bool| format!("{MENU}\nbargein = {bargein}\nlisten = {listen}");
    // Both: the key stops the prompt and counts.
    let mut caller = asking(&with(true, true));
    caller.press("1");
    assert_eq!(caller.look(), "stop 2\n> then\nplay 3 another-keys");
    // Listening without barge-in: the prompt is heard out, then the key counts.
    let mut caller = asking(&with(false, true));
    caller.press("1");
    assert_eq!((caller.look().as_str(), caller.node()), ("", "ask"));
    caller.hear();
    assert_eq!(caller.node(), "then");
    // Barge-in without listening: the key stops the prompt and does not count.
    let mut caller = asking(&with(true, false));
    caller.press("1");
    assert_eq!((caller.look().as_str(), caller.node()), ("stop 2", "ask"));
    assert_eq!(in_ms(&caller), Some(4900));
    caller.press("1");
    assert_eq!(caller.node(), "then");
    // Neither: deaf while the prompt plays, not after.
    let mut caller = asking(&with(false, false));
    caller.press("1");
    assert_eq!((caller.look().as_str(), caller.node()), ("", "ask"));
    caller.hear().press("1");
    assert_eq!(caller.node(), "then");
}

#[test]
fn a_prompt_that_no_key_may_stop_is_heard_before_type_ahead_counts() {
    let mut caller = Caller::dial(&flow(&format!("{MENU}\nbargein = false")));
    caller.press("1");
    assert_eq!(caller.node(), "ask");
    assert!(caller.playing.is_some());
    caller.hear();
    assert_eq!(caller.node(), "then");
}

#[test]
fn type_ahead_is_dropped_where_the_flow_says_so_with_the_key_that_is_down() {
    let drop = format!("{MENU}\ntypeahead = \"drop\"");
    let mut caller = Caller::dial(&flow(&drop));
    caller.press("1");
    assert_eq!(caller.node(), "ask");
    assert!(caller.playing.is_some());
    // Held across the end of the prompt before: it began before the node did.
    let mut caller = Caller::dial(&flow(&drop));
    caller.event(Event::DigitBegan);
    caller.wait(4000);
    assert_eq!(caller.node(), "ask");
    caller.event(Event::Digit('1'));
    assert_eq!(caller.node(), "ask");
    caller.type_on("1");
    assert_eq!(caller.node(), "then");
}

#[test]
fn a_key_within_the_guard_is_dropped_and_the_prompt_begins_again() {
    let guarded = format!("{MENU}\ntypeahead = \"drop\"\nguard = \"500ms\"");
    let mut caller = asking(&guarded);
    caller.wait(200).event(Event::DigitBegan);
    // The media stops the prompt by itself at the key's first packet.
    caller.event(Event::PlayDone { id: PlayId(2), interrupted: true });
    caller.wait(100).event(Event::Digit('1'));
    assert_eq!((caller.look().as_str(), caller.node()), ("play 3 confirm-keys", "ask"));
    // The other order of the two reports.
    let mut caller = asking(&guarded);
    caller.wait(200).event(Event::PlayDone { id: PlayId(2), interrupted: true });
    caller.event(Event::DigitBegan);
    caller.wait(400).event(Event::Digit('1'));
    assert_eq!((caller.look().as_str(), caller.node()), ("play 3 confirm-keys", "ask"));
    // The report of the end after the whole key.
    let mut caller = asking(&guarded);
    caller.wait(200).type_on("1");
    caller.event(Event::PlayDone { id: PlayId(2), interrupted: true });
    assert_eq!((caller.look().as_str(), caller.node()), ("play 3 confirm-keys", "ask"));
    // Only the end of the key is known.
    let mut caller = asking(&guarded);
    caller.wait(499).event(Event::Digit('1'));
    assert_eq!(caller.node(), "ask");
    caller.wait(1).event(Event::Digit('1'));
    assert_eq!(caller.node(), "then");
}

#[test]
fn a_key_that_never_ends_does_not_hold_the_call() {
    let mut caller = Caller::dial(&flow(MENU));
    caller.event(Event::DigitBegan).wait(4000);
    assert_eq!(caller.node(), "ask");
    caller.event(Event::DigitBegan).wait(4000);
    assert!(caller.look().contains("no-choice"));
}

#[test]
fn a_prompt_whose_end_is_never_reported_is_over_some_time() {
    let mut caller = Caller::dial(&flow(MENU));
    caller.wait(180_000);
    assert_eq!(caller.node(), "ask");
    caller.wait(180_000);
    assert_eq!(in_ms(&caller), Some(5000));
}

#[test]
fn who_waits_long_hears_so_and_who_waits_too_long_gets_the_late_outcome() {
    let mut caller = Caller::dial(&klik_on());
    caller.hear();
    caller.look();
    caller.wait(2000);
    assert_eq!(caller.look(), "play 2 please-wait (no barge-in)");
    // The answer waits until that is said.
    caller.answer("leader", &[("month", Value::Number(1)), ("left", lek(100))]);
    assert_eq!(caller.look(), "");
    caller.hear();
    assert!(caller.look().starts_with("> left"));

    let mut caller = Caller::dial(&klik_on());
    caller.hear().wait(2000).hear();
    assert_eq!(in_ms(&caller), Some(13_000));
    let late = caller.asked;
    caller.wait(13_000);
    assert_eq!(caller.node(), "unavailable");
    caller.look();
    caller.asked = late;
    caller.answer("leader", &[("month", Value::Number(1)), ("left", lek(100))]);
    assert_eq!(caller.look(), "", "a result that comes too late changes nothing");
}

#[test]
fn a_late_result_is_not_taken_for_that_of_the_next_query() {
    let mut caller = Caller::dial(&parse(CIRCLE, "circle.toml"));
    let late = caller.asked;
    caller.wait(15_000);
    assert_eq!(caller.node(), "two");
    caller.asked = late;
    caller.answer("ok", &[("left", lek(1))]);
    assert_eq!(caller.node(), "two");
}

#[test]
fn a_key_that_is_down_while_an_answer_comes_counts_in_the_next_node() {
    let mut caller = Caller::dial(&klik_on());
    caller.hear();
    caller.event(Event::DigitBegan);
    caller.answer("leader", &[("month", Value::Number(1)), ("left", lek(100))]).wait(50);
    caller.event(Event::Digit('0')).press("672123456#");
    assert_eq!(caller.interpreter.variable("number"), Some(&Value::Text("0672123456".to_owned())));
    // The same into a node that asks.
    let mut caller = Caller::dial(&klik_on());
    caller.hear().answer("leader", &[("month", Value::Number(1)), ("left", lek(100))]);
    caller.press("0672123456#").answer("member", &[("member", member())]).hear();
    caller.event(Event::DigitBegan).answer("some", &[("packages", catalogue())]).wait(50);
    caller.event(Event::Digit('2'));
    assert_eq!(caller.node(), "check-recent");
}

#[test]
fn a_booking_is_not_entered_unconfirmed_even_by_a_flow_that_was_not_checked() {
    let mut flow = (*klik_on()).clone();
    let index = |flow: &Flow, name: &str| flow.node_names().position(|node| node == name).unwrap();
    let (warning, booking) = (index(&flow, "recent-warning"), index(&flow, "activate"));
    let flow::Action::Play(play) = &mut flow.nodes[warning].action else { panic!("a warning is played") };
    play.next = NodeIndex(booking);
    let mut caller = Caller::dial(&Arc::new(flow));
    caller.hear().answer("leader", &[("month", Value::Number(1)), ("left", lek(6500))]);
    caller.press("0672123456#").answer("member", &[("member", member())]);
    caller.press("1").answer("some", &[("packages", catalogue())]).answer("recent", &[]).hear();
    assert_eq!((caller.node(), caller.booked.len()), ("goodbye-error", 0));
    caller.hear();
    assert!(caller.interpreter.is_over());
}

#[test]
fn a_result_that_breaks_the_vocabulary_counts_as_none() {
    for (outcome, values) in
        [("leader", vec![]), ("leader", vec![("month", lek(1)), ("left", lek(1))]), ("ledaer", vec![])]
    {
        let mut caller = Caller::dial(&klik_on());
        caller.hear().answer(outcome, &values);
        assert_eq!(caller.node(), "unavailable");
    }
}

#[test]
fn a_circle_of_queries_ends_in_a_goodbye() {
    let mut caller = Caller::dial(&parse(CIRCLE, "circle.toml"));
    let mut answers = 0;
    while caller.node() != "bye" {
        caller.answer("ok", &[("left", lek(1))]);
        answers += 1;
        assert!(answers <= MAX_TRANSITIONS, "it goes round for ever");
    }
    assert_eq!(answers, MAX_TRANSITIONS);
}

#[test]
fn a_branch_chooses_by_the_value() {
    let text = r#"
flow = "branch"
language = "sq"
start = "left"
[catch]
error = "bye"
[node.left]
kind = "query"
query = "remaining"
on = { ok = "which", unavailable = "bye" }
[node.which]
kind = "branch"
variable = "left"
case = { "0" = "nothing", "6500" = "all" }
otherwise = "bye"
[node.nothing]
kind = "hangup"
prompt = ["no-package-fits"]
[node.all]
kind = "hangup"
prompt = ["left-now", { say = "left", as = "money" }]
[node.bye]
kind = "hangup"
prompt = ["goodbye"]
"#;
    let flow = parse(text, "branch.toml");
    for (left, node) in [(lek(0), "nothing"), (lek(6500), "all"), (lek(5), "bye")] {
        let mut caller = Caller::dial(&flow);
        caller.answer("ok", &[("left", left)]);
        assert_eq!(caller.node(), node);
    }
}

#[test]
fn events_after_the_end_and_before_the_start_change_nothing() {
    let flow = flow(MENU);
    let mut caller = Caller::dial(&flow);
    caller.hear().press("2").hear();
    caller.look();
    caller.type_on("12#").wait(100_000);
    caller.event(Event::PlayDone { id: PlayId(1), interrupted: false });
    assert_eq!(caller.look(), "");
    assert!(caller.interpreter.start(caller.now).is_empty());
    let mut fresh = Interpreter::new(flow);
    assert!(fresh.handle(caller.now, Event::Digit('1')).is_empty());
    assert_eq!(fresh.deadline(), None);
}
