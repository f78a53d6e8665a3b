//! A caller in virtual time, and what he meets.

mod errors;
mod freezing;
mod klik_on;
mod properties;
mod secrets;
mod timing;

use super::*;
use crate::units::{Money, Msisdn};
use std::sync::Arc;
use std::time::{Duration, Instant};

const KLIK_ON: &str = include_str!("../../../dialplans/klik-on.toml");
const LINE_TEST: &str = include_str!("../../../dialplans/line-test.toml");

/// The ids of the committed prompts.
fn vocabulary() -> Vocabulary {
    let manifest: toml::Table = include_str!("../../../prompts/sq/manifest.toml").parse().unwrap();
    let prompts = manifest["prompt"].as_array().unwrap();
    Vocabulary::klik_on(prompts.iter().map(|prompt| prompt["id"].as_str().unwrap().to_owned()))
}

fn parse(text: &str, file: &str) -> Arc<Flow> {
    match Flow::parse(text, file, &vocabulary()) {
        Ok(flow) => Arc::new(flow),
        Err(errors) => {
            panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }
    }
}

fn klik_on() -> Arc<Flow> {
    parse(KLIK_ON, "dialplans/klik-on.toml")
}

/// One call: performs nothing, only notes what it is told, and lets time pass on demand.
struct Caller {
    interpreter: Interpreter,
    now: Instant,
    /// All effects since the last look.
    seen: Vec<Effect>,
    playing: Option<PlayId>,
    asked: Option<RequestId>,
    nodes: Vec<String>,
    /// Every recorded prompt heard in the call.
    heard: Vec<String>,
    booked: Vec<Vec<(String, Value)>>,
}

impl Caller {
    fn dial(flow: &Arc<Flow>) -> Self {
        let mut caller = Self {
            interpreter: Interpreter::new(Arc::clone(flow)),
            now: crate::units::clock::Clock::system().instant(),
            seen: Vec::new(),
            playing: None,
            asked: None,
            nodes: Vec::new(),
            heard: Vec::new(),
            booked: Vec::new(),
        };
        let effects = caller.interpreter.start(caller.now);
        caller.note(effects);
        caller
    }

    fn note(&mut self, effects: Vec<Effect>) {
        for effect in &effects {
            match effect {
                Effect::Play { id, segments, .. } => {
                    self.playing = Some(*id);
                    self.heard.extend(segments.iter().filter_map(|segment| match segment {
                        Segment::Prompt(id) => Some(id.clone()),
                        _ => None,
                    }));
                }
                Effect::StopPlay(id) if self.playing == Some(*id) => self.playing = None,
                Effect::StopPlay(_) => {}
                Effect::Query { id, .. } => self.asked = Some(*id),
                Effect::Book { id, arguments, .. } => {
                    self.asked = Some(*id);
                    self.booked.push(arguments.clone());
                }
                Effect::Hangup => self.playing = None,
                Effect::EnteredNode(name) => self.nodes.push(name.clone()),
            }
        }
        self.seen.extend(effects);
    }

    fn event(&mut self, event: Event) -> &mut Self {
        let effects = self.interpreter.handle(self.now, event);
        self.note(effects);
        self
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        self.now += Duration::from_millis(ms);
        self.event(Event::Timeout)
    }

    /// What plays comes to its end.
    fn hear(&mut self) -> &mut Self {
        let id = self.playing.take().unwrap_or_else(|| panic!("nothing plays in {}", self.node()));
        self.event(Event::PlayDone { id, interrupted: false })
    }

    /// Presses keys for 100 ms each, 100 ms apart, a second after what was last.
    fn press(&mut self, keys: &str) -> &mut Self {
        self.now += Duration::from_millis(1000);
        self.type_on(keys)
    }

    /// The same at once.
    fn type_on(&mut self, keys: &str) -> &mut Self {
        for key in keys.chars() {
            self.event(Event::DigitBegan);
            self.now += Duration::from_millis(100);
            self.event(Event::Digit(key));
            self.now += Duration::from_millis(100);
        }
        self
    }

    fn answer(&mut self, outcome: &str, values: &[(&str, Value)]) -> &mut Self {
        let id = self.asked.take().unwrap_or_else(|| panic!("nothing is asked in {}", self.node()));
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        self.event(Event::Result { id, outcome: outcome.to_owned(), values })
    }

    fn node(&self) -> &str {
        self.interpreter.current_node()
    }

    /// The effects since the last look, one a line.
    fn look(&mut self) -> String {
        self.seen.drain(..).map(|effect| describe(&effect)).collect::<Vec<_>>().join("\n")
    }
}

fn describe(effect: &Effect) -> String {
    let arguments = |arguments: &[(String, Value)]| {
        arguments.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
    };
    match effect {
        Effect::Play { id, segments, bargein } => {
            let said: Vec<String> = segments
                .iter()
                .map(|segment| match segment {
                    Segment::Prompt(id) => id.clone(),
                    Segment::Say { value, format } => {
                        let name = SayAs::NAMES.iter().find(|(_, f)| f == format).unwrap().0;
                        format!("{name}({value})")
                    }
                    Segment::Silence { ms } => format!("{ms}ms"),
                })
                .collect();
            format!("play {} {}{}", id.0, said.join(" "), if *bargein { "" } else { " (no barge-in)" })
        }
        Effect::StopPlay(id) => format!("stop {}", id.0),
        Effect::Query { name, arguments: list, .. } => format!("query {name}({})", arguments(list)),
        Effect::Book { name, arguments: list, .. } => format!("book {name}({})", arguments(list)),
        Effect::Hangup => "hang up".to_owned(),
        Effect::EnteredNode(name) => format!("> {name}"),
    }
}

fn lek(lek: i32) -> Value {
    Value::Money(Money::from_lek(lek))
}

fn member() -> Value {
    Value::Msisdn(Msisdn::parse("0672123456").unwrap())
}

fn package(id: i64, name: i64, fits: bool) -> Record {
    let net = lek(i32::try_from(name).unwrap() - 200);
    let fields = [
        ("package", Value::Number(id)),
        ("name", Value::Number(name)),
        ("net", net),
        ("fits", Value::Truth(fits)),
    ];
    Record(fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect())
}

/// DOMAIN §2.1.
fn catalogue() -> Value {
    let fits = |name| name <= 1300;
    let names = [700, 1100, 1300, 1900];
    Value::List((1..).zip(names).map(|(id, name)| package(id, name, fits(name))).collect())
}
