//! Any text to the reader of flows; a flow that it accepts is run, with keys and silence.
#![no_main]

use klikon::dialplan::{Event, Flow, Interpreter, Vocabulary};
use klikon::units::clock::Clock;
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};

/// What the flows of `dialplans/` may name.
static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let manifest = include_str!("../../prompts/sq/manifest.toml");
    let ids = manifest.lines().filter_map(|line| line.strip_prefix("id = \"")?.strip_suffix('"'));
    Vocabulary::klik_on(ids.map(str::to_owned))
});

/// Steps of a run: a flow may loop until the caller hangs up.
const STEPS: usize = 64;

fuzz_target!(|text: &str| {
    let flow = match Flow::parse(text, "fuzz.toml", &VOCABULARY) {
        Ok(flow) => flow,
        Err(errors) => return assert!(!errors.is_empty(), "a refusal says why"),
    };
    let mut now = Clock::system().instant();
    let mut interpreter = Interpreter::new(Arc::new(flow));
    interpreter.start(now);
    let keys = text.chars().filter(|key| matches!(key, '0'..='9' | '*' | '#')).cycle();
    for (step, key) in keys.take(STEPS).enumerate() {
        if interpreter.is_over() {
            return;
        }
        let deadline = interpreter.deadline().expect("a call that is not over has a deadline");
        if step % 3 == 0 {
            interpreter.handle(now, Event::Digit(key));
        } else {
            now = now.max(deadline);
            interpreter.handle(now, Event::Timeout);
        }
    }
});
