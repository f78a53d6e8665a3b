//! `klikon flow`: check a call flow, and walk through it without a telephone.

use crate::call::saying;
use crate::dialplan::{
    Effect, Event, Flow, Interpreter, Kind, Operation, PlayId, Record, RequestId, Segment, Value, Vocabulary,
};
use crate::speech::{self, Prompts};
use crate::units::clock::Clock;
use crate::units::{Money, Msisdn};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Events after which a simulated call is held to go on for ever.
const MAX_EVENTS: usize = 500;

/// How long the simulated caller listens before a key, so that none is taken for late type-ahead.
const LISTENS: Duration = Duration::from_secs(1);

/// Check a call flow, and walk through it without a telephone.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  klikon flow check dialplans/klik-on.toml\n  \
    klikon flow simulate dialplans/klik-on.toml --keys \"0672123456# 2 1 2\"\n  \
    klikon flow simulate dialplans/klik-on.toml --outcome leader-rights=not-leader")]
pub struct FlowArguments {
    #[command(subcommand)]
    command: FlowCommand,
}

#[derive(Debug, Subcommand)]
enum FlowCommand {
    /// Say everything that is wrong with a flow, each with its line and its mend; fails when anything is.
    Check {
        /// The flow.
        file: PathBuf,
        /// The folder of the prompts that it may name.
        #[arg(long, value_name = "FOLDER", default_value = "prompts/sq")]
        prompts: PathBuf,
    },
    /// Print what a caller would hear who presses these keys; nothing is looked up and nothing is booked.
    Simulate {
        /// The flow.
        file: PathBuf,
        /// Groups of keys separated by spaces; each is pressed when the flow next asks.
        #[arg(long, default_value = "")]
        keys: String,
        /// How a query or booking ends, instead of its first outcome; may be given again.
        #[arg(long, value_name = "NAME=OUTCOME")]
        outcome: Vec<String>,
        /// The folder of the prompts.
        #[arg(long, value_name = "FOLDER", default_value = "prompts/sq")]
        prompts: PathBuf,
    },
}

/// Runs the command.
pub fn run(arguments: FlowArguments) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match arguments.command {
        FlowCommand::Check { file, prompts } => {
            let prompts = speech::load(&prompts)?;
            let flow = read(&file, &vocabulary(&prompts))?;
            let nodes = flow.node_names().count();
            writeln!(out, "{}: {nodes} nodes, nothing is wrong", file.display())?;
            Ok(())
        }
        FlowCommand::Simulate { file, keys, outcome, prompts } => {
            let prompts = speech::load(&prompts)?;
            let vocabulary = vocabulary(&prompts);
            let flow = read(&file, &vocabulary)?;
            let outcomes = outcomes(&outcome, &vocabulary)?;
            let groups = keys.split_whitespace().map(str::to_owned).rev().collect();
            let now = Clock::system().instant();
            Simulation { prompts, vocabulary, outcomes, groups, now, pending: None }
                .run(Interpreter::new(Arc::new(flow)), &mut out)
        }
    }
}

fn vocabulary(prompts: &Prompts) -> Vocabulary {
    Vocabulary::klik_on(prompts.ids().map(str::to_owned))
}

fn read(file: &Path, vocabulary: &Vocabulary) -> anyhow::Result<Flow> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Flow::parse(&text, &file.display().to_string(), vocabulary).map_err(|errors| {
        let count = errors.len();
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}\n{}: {count} error(s)", lines.join("\n"), file.display())
    })
}

fn outcomes(given: &[String], vocabulary: &Vocabulary) -> anyhow::Result<Vec<(String, String)>> {
    let mut outcomes = Vec::new();
    for text in given {
        let Some((name, outcome)) = text.split_once('=') else {
            bail!("`{text}` is not NAME=OUTCOME; write it like `leader-rights=not-leader`");
        };
        let operation =
            operation(vocabulary, name).with_context(|| format!("`{name}` is no query or booking"))?;
        if operation.outcome(outcome).is_none() {
            let known: Vec<_> = operation.outcomes.iter().map(|outcome| outcome.name.as_str()).collect();
            bail!("`{name}` has no outcome `{outcome}`; its outcomes: {}", known.join(", "));
        }
        outcomes.push((name.to_owned(), outcome.to_owned()));
    }
    Ok(outcomes)
}

fn operation<'v>(vocabulary: &'v Vocabulary, name: &str) -> Option<&'v Operation> {
    vocabulary.queries.iter().chain(&vocabulary.bookings).find(|operation| operation.name == name)
}

struct Simulation {
    prompts: Prompts,
    vocabulary: Vocabulary,
    outcomes: Vec<(String, String)>,
    /// The last group first.
    groups: Vec<String>,
    now: Instant,
    pending: Option<Pending>,
}

/// What the interpreter waits for, besides keys.
enum Pending {
    Play(PlayId),
    Request(RequestId, String, Vec<(String, Value)>),
}

impl Simulation {
    fn run(mut self, mut interpreter: Interpreter, out: &mut impl Write) -> anyhow::Result<()> {
        let effects = interpreter.start(self.now);
        self.perform(effects, out)?;
        for _ in 0..MAX_EVENTS {
            if interpreter.is_over() {
                return Ok(());
            }
            for event in self.next_events(&interpreter, out)? {
                let effects = interpreter.handle(self.now, event);
                self.perform(effects, out)?;
            }
        }
        bail!("the call is not over after {MAX_EVENTS} events")
    }

    /// What happens next: an answer, the next keys, the end of the prompt, or the end of a timer.
    fn next_events(&mut self, interpreter: &Interpreter, out: &mut impl Write) -> anyhow::Result<Vec<Event>> {
        if let Some(Pending::Request(..)) = self.pending
            && let Some(Pending::Request(id, name, arguments)) = self.pending.take()
        {
            return Ok(vec![self.answer(id, &name, &arguments, out)?]);
        }
        if interpreter.awaits_keys()
            && let Some(keys) = self.groups.pop()
        {
            writeln!(out, "        keys {keys}")?;
            self.now += LISTENS;
            return Ok(keys.chars().map(Event::Digit).collect());
        }
        if let Some(Pending::Play(id)) = self.pending.take() {
            self.now += LISTENS;
            return Ok(vec![Event::PlayDone { id, interrupted: false }]);
        }
        if let Some(deadline) = interpreter.deadline() {
            self.now = self.now.max(deadline);
        }
        writeln!(out, "        no key")?;
        Ok(vec![Event::Timeout])
    }

    fn perform(&mut self, effects: Vec<Effect>, out: &mut impl Write) -> anyhow::Result<()> {
        for effect in effects {
            match effect {
                Effect::EnteredNode(name) => writeln!(out, "[{name}]")?,
                Effect::Play { id, segments, .. } => {
                    writeln!(out, "        {}", self.text(&segments)?)?;
                    self.pending = Some(Pending::Play(id));
                }
                Effect::StopPlay(_) => self.pending = None,
                Effect::Query { id, name, arguments } | Effect::Book { id, name, arguments } => {
                    self.pending = Some(Pending::Request(id, name, arguments));
                }
                Effect::Hangup => writeln!(out, "        (hangs up)")?,
            }
        }
        Ok(())
    }

    fn text(&self, segments: &[Segment]) -> anyhow::Result<String> {
        Ok(self.prompts.text(&saying::units(segments)?))
    }

    fn answer(
        &self,
        id: RequestId,
        name: &str,
        arguments: &[(String, Value)],
        out: &mut impl Write,
    ) -> anyhow::Result<Event> {
        let operation = operation(&self.vocabulary, name).context("the flow names what does not exist")?;
        let chosen =
            self.outcomes.iter().find(|(given, _)| given == name).map(|(_, outcome)| outcome.as_str());
        let outcome = match chosen {
            Some(chosen) => operation.outcome(chosen),
            None => operation.outcomes.first(),
        };
        let outcome = outcome.context("the operation has no outcome")?;
        writeln!(out, "        {name} → {}", outcome.name)?;
        let values = outcome.values.iter().map(|f| (f.name.clone(), sample(&f.name, &f.kind, arguments)));
        Ok(Event::Result { id, outcome: outcome.name.clone(), values: values.collect() })
    }
}

/// A value for a result: the number that was keyed where one is given back, else an example of DOMAIN.
fn sample(name: &str, kind: &Kind, arguments: &[(String, Value)]) -> Value {
    match kind {
        Kind::Text => Value::Text("1".to_owned()),
        Kind::Number => Value::Number(if name == "month" { 11 } else { 1100 }),
        Kind::Money => Value::Money(Money::from_lek(6500)),
        Kind::Truth => Value::Truth(true),
        Kind::Msisdn => arguments
            .iter()
            .find_map(|(_, value)| match value {
                Value::Text(keyed) => Msisdn::parse(keyed).ok().map(Value::Msisdn),
                _ => None,
            })
            .unwrap_or_else(|| Value::Text("no mobile number was keyed".to_owned())),
        Kind::List(_) => Value::List((1..).zip([700, 1100, 1300, 1900]).map(package).collect()),
    }
}

/// DOMAIN §2.1, §3.1.
fn package((id, name): (i64, i32)) -> Record {
    Record(vec![
        ("package".to_owned(), Value::Number(id)),
        ("name".to_owned(), Value::Number(i64::from(name))),
        ("net".to_owned(), Value::Money(Money::from_lek(name - 200))),
        ("fits".to_owned(), Value::Truth(name <= 1300)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    fn simulate(keys: &str, outcome: &[&str]) -> String {
        let prompts = speech::load(&root("prompts/sq")).unwrap();
        let vocabulary = vocabulary(&prompts);
        let flow = read(&root("dialplans/klik-on.toml"), &vocabulary).unwrap();
        let given: Vec<String> = outcome.iter().map(|text| (*text).to_owned()).collect();
        let simulation = Simulation {
            outcomes: outcomes(&given, &vocabulary).unwrap(),
            prompts,
            vocabulary,
            groups: keys.split_whitespace().map(str::to_owned).rev().collect(),
            now: Clock::system().instant(),
            pending: None,
        };
        let mut out = Vec::new();
        simulation.run(Interpreter::new(Arc::new(flow)), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_simulated_call_reads_as_it_is_heard() {
        let call = simulate("0672123456# 2 1 2", &["recent=not-recent"]);
        for line in [
            "Për muajin nëntor, ju kanë mbetur gjashtë mijë e pesëqind lekë.",
            "Numri është zero gjashtë shtatë, dy një dy, tre katër pesë gjashtë",
            "Zgjidhni paketën. Për Super shtatëqind, pesëqind lekë, shtypni një. Për Super një mijë e njëqind, \
             nëntëqind lekë, shtypni dy.",
            "        activate → activated",
            "Paketa u aktivizua. Vlera do të përfshihet në faturën e radhës. Ju kanë mbetur",
            "        (hangs up)",
        ] {
            assert!(call.contains(line), "{line}\n---\n{call}");
        }
        let refused = simulate("", &["leader-rights=not-leader"]);
        assert!(refused.contains("Ky shërbim është vetëm për Liderin Mobile"), "{refused}");
        let silent = simulate("", &[]);
        assert!(
            silent.ends_with("Nuk morëm asnjë përgjigje. Faleminderit. Mirupafshim.\n        (hangs up)\n"),
            "{silent}"
        );
    }

    #[test]
    fn outcomes_that_do_not_exist_are_refused() {
        let vocabulary = Vocabulary::klik_on([]);
        let refused = |text: &str| outcomes(&[text.to_owned()], &vocabulary).unwrap_err().to_string();
        assert_eq!(refused("x"), "`x` is not NAME=OUTCOME; write it like `leader-rights=not-leader`");
        assert_eq!(refused("x=y"), "`x` is no query or booking");
        assert_eq!(refused("remaining=y"), "`remaining` has no outcome `y`; its outcomes: ok, unavailable");
    }
}
