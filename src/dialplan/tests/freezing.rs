//! A dialogue that is frozen while its caller is on hold, in virtual time.

use super::klik_on::at_menu;
use super::timing::{COLLECT, MENU, asking, in_ms, number};
use super::*;

/// Longer than any time of a flow.
const LONG_MS: u64 = 3_600_000;

impl Caller {
    /// On hold for that long; nothing may happen meanwhile.
    fn hold(&mut self, ms: u64) -> &mut Self {
        self.interpreter.freeze(self.now);
        self.look();
        self.wait(ms);
        assert_eq!(in_ms(self), None);
        assert_eq!(self.look(), "");
        self.interpreter.thaw(self.now);
        self
    }
}

#[test]
fn the_time_to_the_first_key_goes_on_with_what_was_left() {
    let mut caller = asking(COLLECT);
    caller.hear().wait(2_500).hold(LONG_MS);
    assert_eq!(in_ms(&caller), Some(4_500));
    // Hold after hold.
    caller.wait(500).hold(LONG_MS).wait(1_000).hold(0);
    assert_eq!(in_ms(&caller), Some(3_000));
    caller.wait(2_999);
    assert_eq!(caller.look(), "");
    caller.wait(1);
    assert_eq!(caller.look(), "play 3 no-choice ask-member-number");
}

#[test]
fn the_time_between_digits_goes_on_and_what_was_keyed_is_kept() {
    let mut caller = asking(COLLECT);
    caller.press("12");
    let left = in_ms(&caller).expect("a deadline");
    caller.hold(LONG_MS);
    assert_eq!(in_ms(&caller), Some(left));
    caller.type_on("3#");
    assert_eq!((caller.node(), number(&caller).as_str()), ("then", "123"));
}

#[test]
fn a_prompt_that_is_held_is_not_taken_for_one_whose_end_was_lost() {
    let mut caller = asking(MENU);
    assert_eq!(in_ms(&caller), Some(180_000));
    caller.wait(1_000).hold(LONG_MS);
    assert_eq!(in_ms(&caller), Some(179_000));
    caller.hear();
    assert_eq!(in_ms(&caller), Some(5_000));
}

#[test]
fn a_prompt_that_is_heard_to_its_end_while_frozen_leaves_the_caller_his_whole_time() {
    let mut caller = asking(COLLECT);
    caller.interpreter.freeze(caller.now);
    caller.wait(20_000).hear();
    assert_eq!(in_ms(&caller), None);
    caller.wait(LONG_MS);
    assert_eq!(caller.look(), "");
    caller.interpreter.thaw(caller.now);
    assert_eq!(in_ms(&caller), Some(7_000));
}

#[test]
fn a_key_that_went_down_before_the_hold_counts_when_its_end_comes() {
    let mut caller = asking(COLLECT);
    caller.event(Event::DigitBegan);
    caller.look();
    caller.interpreter.freeze(caller.now);
    caller.wait(300).event(Event::Digit('1')).wait(LONG_MS);
    assert_eq!(caller.look(), "");
    caller.interpreter.thaw(caller.now);
    assert_eq!(in_ms(&caller), Some(4_000), "the whole time for the next one");
    caller.type_on("23#");
    assert_eq!(number(&caller), "123");
}

/// DOMAIN §5: the answer that leads to the price may come while the caller is on hold. What he keys as he comes back is
/// as early as it would have been.
#[test]
fn the_guard_of_the_confirmation_counts_what_could_be_heard() {
    let mut caller = at_menu(&klik_on());
    caller.press("2");
    assert_eq!(caller.node(), "check-recent");
    caller.interpreter.freeze(caller.now);
    caller.answer("not-recent", &[]);
    assert_eq!(caller.node(), "confirm");
    caller.wait(LONG_MS);
    caller.interpreter.thaw(caller.now);
    caller.now += Duration::from_millis(100);
    caller.event(Event::DigitBegan);
    caller.now += Duration::from_millis(100);
    caller.event(Event::Digit('1'));
    assert_eq!((caller.node(), caller.booked.len()), ("confirm", 0));
    caller.now += Duration::from_millis(600);
    caller.type_on("1");
    assert_eq!(caller.booked.len(), 1);
}

#[test]
fn a_query_is_answered_while_frozen_and_its_patience_stands() {
    let mut caller = Caller::dial(&klik_on());
    caller.hear();
    assert_eq!(caller.node(), "rights");
    let left = in_ms(&caller).expect("a deadline");
    caller.hold(LONG_MS);
    assert_eq!(in_ms(&caller), Some(left));
    caller.interpreter.freeze(caller.now);
    caller.answer("leader", &[("month", Value::Number(11)), ("left", lek(6500))]);
    assert_ne!(caller.node(), "rights");
    assert!(caller.interpreter.is_frozen());
}
