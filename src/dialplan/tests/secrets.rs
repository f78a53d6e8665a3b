//! Where a key may be one of a PIN, and what a flow may do with it.

use super::*;

#[test]
fn keys_may_be_a_pin_s_up_to_the_last_field_that_takes_one_and_never_after() {
    let flow = klik_on();
    let before = flow.nodes_before_secrets(&[]);
    assert_eq!(before.iter().copied().collect::<Vec<_>>(), ["ask-pin", "check-pin", "rights", "welcome"]);
    assert!(before.contains(flow.start()));
    // Of a caller who is asked for none, the field stands alone: nothing leads to it.
    let alone = flow.nodes_before_secrets(&[PIN_REQUIRED]);
    assert_eq!(alone.iter().copied().collect::<Vec<_>>(), ["ask-pin", "check-pin"]);
    assert!(parse(LINE_TEST, "line-test.toml").nodes_before_secrets(&[]).is_empty());
}

/// A way back to the field, however long, makes every node of it one in which its keys can be typed ahead.
#[test]
fn a_way_back_to_the_field_counts_from_its_first_node() {
    let refused = "not-leader = \"not-leader\"\nnot-member = \"member-left-group\"";
    let text = KLIK_ON.replacen(refused, &refused.replacen("\"not-leader\"", "\"rights\"", 1), 1);
    let flow = parse(&text, "t.toml");
    let before = flow.nodes_before_secrets(&[]);
    for node in ["welcome", "left", "ask-member-number", "choose-package", "confirm", "activate", "activated"]
    {
        assert!(before.contains(node), "{node}");
    }
    assert!(!before.contains("goodbye") && !before.contains("not-leader"));
}

#[test]
fn a_secret_is_neither_spoken_nor_compared_nor_given_away() {
    let errors = |from: &str, to: &str| {
        assert!(KLIK_ON.contains(from), "{from}");
        let errors = Flow::parse(&KLIK_ON.replacen(from, to, 1), "t.toml", &vocabulary());
        let errors = errors.expect_err("the flow is refused");
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let spoken = errors(
        "prompt = [\"pin-wrong\", { silence = \"150ms\" }, \"ask-pin\"]",
        "prompt = [\"pin-wrong\", { say = \"pin\", as = \"digits\" }]",
    );
    assert!(spoken.contains("`pin` is a secret: it is neither spoken nor compared"), "{spoken}");
    let given = errors("arguments = { number = \"number\" }", "arguments = { number = \"pin\" }");
    assert!(given.contains("`pin` is a secret, and `number` of `member` is none"), "{given}");
}
