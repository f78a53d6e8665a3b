//! Every way through `dialplans/klik-on.toml` (DOMAIN §5).

use super::*;
use std::collections::BTreeSet;

fn at_number(flow: &Arc<Flow>) -> Caller {
    let mut caller = Caller::dial(flow);
    caller.hear().answer("leader", &[("month", Value::Number(11)), ("left", lek(6500))]).hear();
    assert_eq!(caller.node(), "ask-member-number");
    caller
}

pub(super) fn at_menu(flow: &Arc<Flow>) -> Caller {
    let mut caller = at_number(flow);
    caller.hear().press("0672123456#").answer("member", &[("member", member())]).hear();
    caller.answer("some", &[("packages", catalogue())]);
    assert_eq!(caller.node(), "choose-package");
    caller
}

fn at_confirmation(flow: &Arc<Flow>) -> Caller {
    let mut caller = at_menu(flow);
    caller.press("2").answer("not-recent", &[]);
    assert_eq!(caller.node(), "confirm");
    caller
}

fn at_booking(flow: &Arc<Flow>) -> Caller {
    let mut caller = at_confirmation(flow);
    caller.press("1");
    assert_eq!(caller.node(), "activate");
    caller
}

fn at_pin(flow: &Arc<Flow>) -> Caller {
    let mut caller = Caller::dial(flow);
    caller.hear().answer("pin-required", &[]);
    assert_eq!(caller.node(), "ask-pin");
    caller
}

/// The right PIN leads back to the question who calls; the third wrong one to goodbye, locked or not.
#[test]
fn a_caller_whose_number_is_not_enough_keys_his_pin() {
    let flow = klik_on();
    let mut caller = at_pin(&flow);
    caller.press("4729#").answer("right", &[]);
    assert_eq!(caller.node(), "rights");
    caller.answer("leader", &[("month", Value::Number(11)), ("left", lek(6500))]).hear();
    assert_eq!(caller.node(), "ask-member-number");
    let mut caller = at_pin(&flow);
    for _ in 0..2 {
        caller.press("0000#").answer("wrong", &[]);
        assert_eq!(caller.node(), "ask-pin");
    }
    caller.press("0000#").answer("wrong", &[]);
    assert_eq!(caller.node(), "goodbye-no-match");
}

#[test]
fn the_whole_call() {
    let mut caller = Caller::dial(&klik_on());
    caller.hear().answer("leader", &[("month", Value::Number(11)), ("left", lek(6500))]).hear().hear();
    caller.press("0672123456#").answer("member", &[("member", member())]).hear();
    caller.answer("some", &[("packages", catalogue())]).press("2").answer("not-recent", &[]);
    caller.press("1").answer("activated", &[("left", lek(5600))]).hear().press("2").hear();
    let expected = "\
> welcome
play 1 welcome 200ms
> rights
query leader-rights()
> left
play 2 for-the-month month(11) 80ms left-is money(6500) 300ms
> ask-member-number
play 3 ask-member-number
> find-member
query member(number=0672123456)
> read-back-number
play 4 number-is telephone(+35567•••3456) 300ms
> find-packages
query packages()
> choose-package
play 5 choose-package 250ms \
for-super number(700) 120ms money(500) 80ms press number(1) 350ms \
for-super number(1100) 120ms money(900) 80ms press number(2) 350ms \
for-super number(1300) 120ms money(1100) 80ms press number(3) 350ms \
super number(1900) exceeds-limit 350ms
stop 5
> check-recent
query recent(member=+35567•••3456, package=2)
> confirm
play 6 activate-super number(1100) 100ms for-number telephone(+35567•••3456) 120ms at-the-price money(900) 300ms confirm-keys
stop 6
> activate
book activate(member=+35567•••3456, package=2, net=900)
> activated
play 7 activated 200ms left-now money(5600) 300ms
> another
play 8 another-keys
stop 8
> goodbye
play 9 goodbye (no barge-in)
hang up";
    assert_eq!(caller.look(), expected);
    assert!(caller.interpreter.is_over());
    assert_eq!(caller.interpreter.deadline(), None);
}

#[test]
fn who_has_no_right_hears_why_and_goodbye() {
    for (outcome, node, prompt) in [
        ("not-leader", "not-leader", "not-leader"),
        ("not-member", "not-in-a-group", "not-in-a-group"),
        ("group-closed", "group-closed", "group-closed"),
        ("anonymous", "caller-anonymous", "caller-anonymous"),
        ("untrusted", "caller-untrusted", "caller-untrusted"),
        ("unavailable", "unavailable", "service-unavailable"),
    ] {
        let mut caller = Caller::dial(&klik_on());
        caller.hear().answer(outcome, &[]);
        assert_eq!(caller.node(), node);
        caller.hear().hear();
        assert!(caller.heard.contains(&prompt.to_owned()), "{outcome}");
        assert_eq!(caller.heard.contains(&"how-to-become-leader".to_owned()), outcome != "unavailable");
        assert_eq!(caller.heard.last().map(String::as_str), Some("goodbye"));
        assert!(caller.interpreter.is_over());
        assert!(caller.booked.is_empty());
    }
}

#[test]
fn a_wrong_number_is_asked_for_again_and_the_third_ends_the_call() {
    let mut caller = at_number(&klik_on());
    caller.hear().press("0661123456#").answer("invalid-number", &[]);
    assert_eq!(caller.node(), "ask-member-number");
    assert_eq!(caller.heard[caller.heard.len() - 2..], ["number-invalid", "ask-member-number-again"]);
    caller.press("0692123456#").answer("not-member", &[]);
    assert_eq!(caller.heard[caller.heard.len() - 2..], ["number-not-member", "ask-member-number-again"]);
    caller.press("123#");
    assert_eq!(caller.node(), "goodbye-no-match");
    caller.hear();
    assert!(caller.interpreter.is_over());
}

#[test]
fn a_member_found_starts_the_counting_afresh() {
    let mut caller = at_number(&klik_on());
    for _ in 0..3 {
        caller.press("0661123456#").answer("invalid-number", &[]);
        caller.press("0672123456#").answer("member", &[("member", member())]).hear();
        caller.answer("some", &[("packages", catalogue())]).press("*");
        assert_eq!(caller.node(), "ask-member-number");
    }
}

#[test]
fn every_outcome_of_the_packages_and_of_the_last_24_hours() {
    for (outcome, node) in
        [("none-fits", "no-package-fits"), ("none", "no-packages"), ("unavailable", "unavailable")]
    {
        let mut caller = at_number(&klik_on());
        caller.press("0672123456#").answer("member", &[("member", member())]).hear();
        caller.answer(outcome, &[("packages", catalogue())]);
        assert_eq!(caller.node(), node);
        caller.hear().hear();
        assert!(caller.interpreter.is_over());
    }
    let mut caller = at_menu(&klik_on());
    caller.press("1").answer("recent", &[]);
    assert_eq!(caller.node(), "recent-warning");
    caller.hear();
    assert_eq!(caller.node(), "confirm");
    let mut caller = at_menu(&klik_on());
    caller.press("1").answer("unavailable", &[]);
    assert_eq!(caller.node(), "unavailable");
    let mut caller = at_number(&klik_on());
    caller.press("0672123456#").answer("unavailable", &[]);
    assert_eq!(caller.node(), "unavailable");
}

#[test]
fn a_key_pressed_at_the_warning_does_not_confirm() {
    let mut caller = at_menu(&klik_on());
    caller.press("1").answer("recent", &[]).press("1");
    assert_eq!(caller.node(), "confirm");
    assert!(caller.booked.is_empty());
    caller.press("1");
    assert_eq!(caller.booked.len(), 1);
}

#[test]
fn every_outcome_of_the_booking() {
    for (outcome, node, next) in [
        ("activated", "activated", "another"),
        ("accepted", "accepted", "another"),
        ("beyond-limit", "beyond-limit", "another"),
        ("not-leader", "not-leader", "goodbye"),
        ("not-member", "member-left-group", "another"),
        ("group-closed", "group-closed", "goodbye"),
        ("not-offered", "not-offered", "find-packages"),
        ("price-changed", "price-changed", "find-packages"),
        ("rejected", "rejected", "another"),
        ("unknown", "in-progress", "goodbye"),
        ("unavailable", "unavailable", "goodbye"),
    ] {
        let mut caller = at_booking(&klik_on());
        caller.answer(outcome, &[("left", lek(5600))]);
        assert_eq!(caller.node(), node, "{outcome}");
        caller.hear();
        assert_eq!(caller.node(), next, "{outcome}");
        assert_eq!(caller.booked.len(), 1);
    }
}

#[test]
fn the_confirmation_can_be_changed_left_and_missed() {
    let mut caller = at_confirmation(&klik_on());
    caller.press("2");
    assert_eq!(caller.node(), "ask-member-number");
    let mut caller = at_confirmation(&klik_on());
    caller.press("*");
    assert_eq!(caller.node(), "find-packages");
    let mut caller = at_confirmation(&klik_on());
    caller.press("9");
    assert_eq!(caller.node(), "goodbye");
    let mut caller = at_confirmation(&klik_on());
    caller.look();
    caller.press("0");
    assert_eq!(caller.look(), "stop 6\nplay 7 help-confirm");
    caller.press("5");
    assert_eq!(caller.look(), "stop 7\nplay 8 invalid-choice 150ms confirm-keys");
    caller.press("#");
    assert_eq!(caller.look(), "stop 8\nplay 9 help-confirm");
    caller.press("D");
    assert_eq!(caller.node(), "goodbye-no-match");
    let mut caller = at_confirmation(&klik_on());
    caller.look();
    caller.hear().wait(5000);
    assert_eq!(caller.look(), "play 7 no-choice 150ms confirm-keys");
    caller.hear().wait(5000);
    assert_eq!(caller.look(), "play 8 help-confirm");
    caller.hear().wait(5000).hear();
    assert_eq!(caller.look(), "> goodbye-no-input\nplay 9 no-input-end 200ms goodbye (no barge-in)\nhang up");
    assert!(caller.booked.is_empty());
}

#[test]
fn another_package_begins_with_what_is_left_now() {
    let mut caller = at_booking(&klik_on());
    caller.answer("accepted", &[("left", lek(5600))]).hear().press("1");
    caller.look();
    caller.answer("ok", &[("left", lek(4500))]);
    assert_eq!(caller.look(), "> left\nplay 9 for-the-month month(11) 80ms left-is money(4500) 300ms");
    let mut caller = at_booking(&klik_on());
    caller.answer("accepted", &[("left", lek(5600))]).hear().press("1").answer("unavailable", &[]);
    assert_eq!(caller.node(), "unavailable");
    let mut caller = at_booking(&klik_on());
    caller.answer("activated", &[("left", lek(5600))]).hear();
    for _ in 0..3 {
        caller.hear().wait(5000);
    }
    assert_eq!(caller.node(), "goodbye");
}

#[test]
fn more_than_four_packages_come_in_pages() {
    let names = [700, 800, 900, 1000, 1100, 1300, 1900];
    let list = (1..).zip(names).map(|(id, name)| package(id, name, name != 900)).collect();
    let mut caller = at_number(&klik_on());
    caller.press("0672123456#").answer("member", &[("member", member())]).hear();
    caller.look();
    caller.answer("some", &[("packages", Value::List(list))]);
    let offered = |look: &str| {
        let say = |word: &str| word.trim_start_matches("number(").trim_end_matches(')').to_owned();
        look.split(' ').filter(|word| word.starts_with("number(")).map(say).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(offered(&caller.look()), "700 1 800 2 1000 3 1100 4 5");
    caller.press("5");
    let second = caller.look();
    assert_eq!(offered(&second), "1300 1 1900 2 900");
    assert!(second.contains("super number(900) exceeds-limit"), "{second}");
    assert!(!second.contains("choose-package"), "{second}");
    // There is no third page, and `*` leads to the first.
    caller.press("3");
    assert!(caller.look().contains("invalid-choice"));
    caller.press("*");
    assert_eq!(offered(&caller.look()), "700 1 800 2 1000 3 1100 4 5");
    caller.press("52").answer("not-recent", &[]);
    assert_eq!(caller.interpreter.variable("chosen.name"), Some(&Value::Number(1900)));
}

#[test]
fn a_package_beyond_the_limit_has_no_key() {
    let mut caller = at_menu(&klik_on());
    caller.look();
    caller.press("4");
    assert_eq!(caller.node(), "choose-package");
    assert!(caller.look().contains("invalid-choice"));
}

/// Walks with every answer to every question; together the walks hear every prompt of the file.
#[test]
fn every_node_and_every_prompt_is_heard_on_some_way() {
    let flow = klik_on();
    let mut nodes = BTreeSet::new();
    let mut heard = BTreeSet::new();
    let mut note = |mut caller: Caller| {
        while caller.playing.is_some()
            && !matches!(caller.node(), "ask-pin" | "ask-member-number" | "confirm" | "another")
        {
            if caller.node() == "choose-package" {
                break;
            }
            caller.hear();
        }
        nodes.extend(caller.nodes);
        heard.extend(caller.heard);
    };
    for outcome in ["not-leader", "not-member", "group-closed", "anonymous", "untrusted", "unavailable"] {
        let mut caller = Caller::dial(&flow);
        caller.hear().answer(outcome, &[]);
        note(caller);
    }
    for outcome in ["right", "wrong", "locked", "unset"] {
        let mut caller = at_pin(&flow);
        caller.press("0#").press("4729#").answer(outcome, &[]);
        note(caller);
    }
    for outcome in ["invalid-number", "not-member"] {
        let mut caller = at_number(&flow);
        caller.press("0672123456#").answer(outcome, &[]);
        note(caller);
    }
    for keys in ["1#", "1#1#", "0#", "1#1#1#"] {
        let mut caller = at_number(&flow);
        caller.press(keys);
        note(caller);
    }
    for misses in 1..=3 {
        let mut caller = at_number(&flow);
        for _ in 0..misses {
            caller.hear().wait(7000);
        }
        note(caller);
        let mut caller = at_menu(&flow);
        for _ in 0..misses {
            caller.hear().wait(5000);
        }
        note(caller);
    }
    for outcome in ["none-fits", "none"] {
        let mut caller = at_number(&flow);
        caller.press("0672123456#").answer("member", &[("member", member())]).hear();
        caller.answer(outcome, &[("packages", catalogue())]);
        note(caller);
    }
    let mut caller = at_menu(&flow);
    caller.press("5").press("0").press("1").answer("recent", &[]).hear().press("0");
    note(caller);
    let mut caller = at_number(&flow);
    let many = (1..=6).map(|id| package(id, 600 + 100 * id, true)).collect();
    caller.press("0672123456#").answer("member", &[("member", member())]).hear();
    caller.answer("some", &[("packages", Value::List(many))]);
    note(caller);
    for outcome in [
        "activated",
        "accepted",
        "beyond-limit",
        "not-member",
        "not-offered",
        "price-changed",
        "rejected",
        "unknown",
    ] {
        let mut caller = at_booking(&flow);
        caller.wait(2000).hear().answer(outcome, &[("left", lek(100))]);
        note(caller);
    }
    let mut caller = at_booking(&flow);
    caller.answer("activated", &[("left", lek(100))]).hear().press("1");
    note(caller);
    // Nothing that the vocabulary promises fails by itself; a list without a choice does.
    let mut caller = at_number(&flow);
    caller.press("0672123456#").answer("member", &[("member", member())]).hear();
    caller.answer("some", &[("packages", Value::List(Vec::new()))]);
    note(caller);

    let unvisited: Vec<_> = flow.node_names().filter(|name| !nodes.contains(*name)).collect();
    assert!(unvisited.is_empty(), "{unvisited:?}");
    let manifest = vocabulary().prompts;
    // Spoken values are put together from these, not named by the flow.
    let is_unit = |id: &str| {
        id.starts_with("num-")
            || id.starts_with("month-")
            || ["e", "lek", "leke", "qindarke", "qindarka"].contains(&id)
    };
    let unheard: Vec<_> = manifest
        .iter()
        .filter(|id| !heard.contains(*id) && !is_unit(id) && id.as_str() != "line-test")
        .collect();
    assert!(unheard.is_empty(), "{unheard:?}");
}

#[test]
fn the_line_test_plays_until_the_caller_hangs_up_and_no_key_moves_it() {
    let mut caller = Caller::dial(&parse(LINE_TEST, "dialplans/line-test.toml"));
    for _ in 0..500 {
        caller.hear().type_on("159#*0");
        assert_eq!(caller.node(), "loop");
        assert!(caller.playing.is_some());
    }
    assert!(!caller.look().contains("stop"));
}
