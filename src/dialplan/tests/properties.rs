//! Whatever happens, in any order: no panic, no endless walk, no booking without its own confirmation.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Happening {
    Down,
    Key(char),
    PlayDone { back: u32, interrupted: bool },
    Answer { back: u32, outcome: usize },
    Pass { ms: u64 },
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        1 => Just(Happening::Down),
        4 => prop::sample::select("0123456789*#1122AD".chars().collect::<Vec<_>>()).prop_map(Happening::Key),
        1 => Just(Happening::Key('1')),
        4 => (0..2_u32, any::<bool>()).prop_map(|(back, i)| Happening::PlayDone { back, interrupted: i }),
        6 => (0..2_u32, 0..64_usize).prop_map(|(back, outcome)| Happening::Answer { back, outcome }),
        2 => (0..9_000_u64).prop_map(|ms| Happening::Pass { ms }),
    ]
}

/// What makes progress likely, among the noise.
fn script() -> impl Strategy<Value = Vec<Happening>> {
    let number = "0672123456#".chars().map(Happening::Key).collect::<Vec<_>>();
    let done = Happening::PlayDone { back: 0, interrupted: false };
    let step = prop_oneof![
        6 => happening().prop_map(|one| vec![one]),
        1 => Just(number),
        2 => Just(vec![Happening::Answer { back: 0, outcome: 0 }]),
        2 => Just(vec![done.clone(), Happening::Answer { back: 0, outcome: 0 }]),
        2 => Just(vec![done, Happening::Pass { ms: 600 }, Happening::Key('1')]),
    ];
    prop::collection::vec(step, 0..60).prop_map(|steps| steps.concat())
}

fn value(kind: &Kind) -> Value {
    match kind {
        Kind::Text => Value::Text("1".to_owned()),
        Kind::Number => Value::Number(11),
        Kind::Money => lek(6500),
        Kind::Msisdn => member(),
        Kind::Truth => Value::Truth(true),
        Kind::List(_) => catalogue(),
    }
}

/// Drives a call and watches it.
struct Watch {
    caller: Caller,
    vocabulary: Vocabulary,
    /// The operation that each request names.
    requests: Vec<(bool, String)>,
    plays: u32,
    confirm_began: Option<Instant>,
    confirmations: usize,
    bookings: usize,
}

impl Watch {
    fn absorb(&mut self, key: Option<char>, at_confirm: bool) -> Result<(), TestCaseError> {
        let effects: Vec<Effect> = self.caller.seen.drain(..).collect();
        prop_assert!(effects.len() < 4 * MAX_TRANSITIONS as usize);
        let mut over = false;
        for effect in effects {
            prop_assert!(!over, "nothing follows a hang-up");
            match effect {
                Effect::Play { id, .. } => {
                    prop_assert_eq!(id.0, self.plays + 1);
                    self.plays = id.0;
                    if self.caller.node() == "confirm" {
                        self.confirm_began = Some(self.caller.now);
                    }
                }
                Effect::Query { id, name, .. } => {
                    self.requests.push((false, name));
                    prop_assert_eq!(id.0 as usize, self.requests.len());
                }
                Effect::Book { id, name, arguments } => {
                    self.requests.push((true, name));
                    prop_assert_eq!(id.0 as usize, self.requests.len());
                    prop_assert_eq!(arguments.len(), 3);
                    prop_assert!(at_confirm, "booked outside the confirmation");
                    prop_assert_eq!(key, Some('1'));
                    let began = self.confirm_began.expect("the confirmation was never spoken");
                    prop_assert!(self.caller.now >= began + Duration::from_millis(500));
                    self.confirmations += 1;
                    self.bookings += 1;
                    self.confirm_began = None;
                }
                Effect::Hangup => over = true,
                Effect::StopPlay(id) => prop_assert!(id.0 <= self.plays),
                Effect::EnteredNode(_) => {}
            }
        }
        prop_assert!(self.bookings <= self.confirmations);
        let waits = self.caller.interpreter.deadline().is_some();
        prop_assert_eq!(waits, !self.caller.interpreter.is_over(), "a call waits for something or is over");
        Ok(())
    }

    fn step(&mut self, happening: &Happening) -> Result<(), TestCaseError> {
        let at_confirm = self.caller.node() == "confirm";
        let mut key = None;
        match happening {
            Happening::Down => {
                self.caller.event(Event::DigitBegan);
            }
            Happening::Key(pressed) => {
                key = Some(*pressed);
                self.caller.event(Event::Digit(*pressed));
            }
            Happening::PlayDone { back, interrupted } => {
                let id = PlayId(self.plays.saturating_sub(*back));
                self.caller.event(Event::PlayDone { id, interrupted: *interrupted });
            }
            Happening::Answer { back, outcome } => {
                let id = (self.requests.len() as u32).saturating_sub(*back);
                let Some((booking, name)) = (id as usize).checked_sub(1).and_then(|i| self.requests.get(i))
                else {
                    return Ok(());
                };
                let list = if *booking { &self.vocabulary.bookings } else { &self.vocabulary.queries };
                let operation = list.iter().find(|operation| operation.name == *name).unwrap();
                let outcome = &operation.outcomes[outcome % operation.outcomes.len()];
                let values = outcome.values.iter().map(|f| (f.name.clone(), value(&f.kind))).collect();
                let outcome = outcome.name.clone();
                self.caller.event(Event::Result { id: RequestId(id), outcome, values });
            }
            Happening::Pass { ms } => {
                self.caller.wait(*ms);
            }
        }
        self.absorb(key, at_confirm)
    }
}

fn watch() -> Watch {
    thread_local!(static FLOW: Arc<Flow> = klik_on());
    thread_local!(static WORDS: Vocabulary = vocabulary());
    Watch {
        caller: FLOW.with(Caller::dial),
        vocabulary: WORDS.with(Vocabulary::clone),
        requests: Vec::new(),
        plays: 0,
        confirm_began: None,
        confirmations: 0,
        bookings: 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_happens_panics_loops_or_books_unconfirmed(script in script()) {
        let mut watch = watch();
        watch.absorb(None, false)?;
        for happening in &script {
            watch.step(happening)?;
        }
    }

    #[test]
    fn once_no_secret_can_be_asked_for_none_ever_is(script in script()) {
        let mut watch = watch();
        watch.absorb(None, false)?;
        for happening in &script {
            watch.step(happening)?;
        }
        thread_local!(static FLOW: Arc<Flow> = klik_on());
        let flow = FLOW.with(Arc::clone);
        let before = flow.nodes_before_secrets(&[]);
        let within = watch.caller.nodes.iter().map(|node| before.contains(node.as_str()));
        let beyond = within.skip_while(|within| *within);
        prop_assert!(beyond.clone().all(|within| !within), "{:?}", watch.caller.nodes);
    }

    #[test]
    fn silence_ends_every_call(script in script()) {
        let mut watch = watch();
        watch.absorb(None, false)?;
        for happening in &script {
            watch.step(happening)?;
        }
        for _ in 0..100 {
            let Some(deadline) = watch.caller.interpreter.deadline() else { break };
            watch.caller.now = watch.caller.now.max(deadline);
            watch.caller.event(Event::Timeout);
            watch.absorb(None, false)?;
        }
        prop_assert!(watch.caller.interpreter.is_over(), "still in {}", watch.caller.node());
    }

    #[test]
    fn no_text_panics_the_reader(text in ".{0,200}") {
        let _ = Flow::parse(&text, "f.toml", &Vocabulary::default());
    }

    #[test]
    fn no_damage_to_a_flow_panics_the_reader(at in 0..KLIK_ON.len(), cut in 0..80_usize, put in ".{0,6}") {
        let from = (0..=at).rev().find(|i| KLIK_ON.is_char_boundary(*i)).unwrap_or(0);
        let to = (from + cut..=KLIK_ON.len()).find(|i| KLIK_ON.is_char_boundary(*i)).unwrap_or(KLIK_ON.len());
        let text = format!("{}{put}{}", &KLIK_ON[..from], &KLIK_ON[to..]);
        match Flow::parse(&text, "f.toml", &vocabulary()) {
            Ok(_) => {}
            Err(errors) => {
                let lines = text.lines().count().max(1);
                for error in errors {
                    prop_assert!((1..=lines + 1).contains(&error.line), "{error}");
                    prop_assert!(!error.mend.is_empty());
                }
            }
        }
    }
}

/// The watch itself is not blind: the scripts do reach the confirmation and book.
#[test]
fn the_watched_way_books() {
    let mut watch = watch();
    let done = Happening::PlayDone { back: 0, interrupted: false };
    let yes = Happening::Answer { back: 0, outcome: 0 };
    let mut script = vec![done.clone(), yes.clone(), done];
    script.extend("0672123456#".chars().map(Happening::Key));
    script.extend([yes.clone(), Happening::PlayDone { back: 0, interrupted: false }, yes.clone()]);
    script.extend([Happening::Key('1'), Happening::Answer { back: 0, outcome: 1 }]);
    script.extend([Happening::Key('1'), Happening::Pass { ms: 600 }, Happening::Key('1'), yes]);
    watch.absorb(None, false).unwrap();
    for happening in &script {
        watch.step(happening).unwrap();
    }
    assert_eq!((watch.bookings, watch.caller.node()), (1, "activated"));
}
