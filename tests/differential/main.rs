//! Two readers of SIP over 100,000 damaged messages: ours and `sipx-sip`. What both see agrees, or the difference falls
//! into a class that has a name and a reason. Messages that neither takes are no difference.
//!
//! `KLIKON_SEED=7` mutates otherwise; `--nocapture` shows the table of classes with their counts.

mod class;
mod mutation;
mod view;

use class::{CLASSES, Difference};
use klikon::sip::message::Message;
use mutation::Mutator;
use view::Typed;

/// Messages that are read.
const MESSAGES: usize = 100_000;

/// Messages of which both readers must have made the same whole, lest the agreement mean little.
const SOUND_LEAST: usize = 20_000;

/// What the readers made of one message.
enum Outcome {
    NeitherReads,
    Differ(Difference),
    Agree,
}

fn compare(octets: &[u8]) -> Outcome {
    let ours = Message::parse(octets);
    let theirs = view::read_theirs(octets);
    match (ours, theirs) {
        (Err(_), Err(_)) => Outcome::NeitherReads,
        (Err(refusal), Ok(_)) => Outcome::Differ(Difference::OnlyTheirsReads { refusal }),
        (Ok(ours), Err(refusal)) => match ours.check() {
            Ok(()) => Outcome::Differ(Difference::OnlyOursReads { refusal: format!("{refusal:?}") }),
            // Read so that the sender can be told what is wrong.
            Err(_) => Outcome::NeitherReads,
        },
        (Ok(ours), Ok(theirs)) => compare_read(&ours, &theirs).map_or(Outcome::Agree, Outcome::Differ),
    }
}

/// The first difference between what two readers see in a message that both read.
fn compare_read(ours: &Message<'_>, theirs: &sipx_sip::Message) -> Option<Difference> {
    let (raw_ours, raw_theirs) = (view::raw_ours(ours), view::raw_theirs(theirs));
    if raw_ours != raw_theirs {
        let defect = ours.check().err();
        return Some(Difference::Raw { defect, ours: raw_ours, theirs: raw_theirs });
    }
    let typed = view::typed_ours(ours).into_iter().zip(view::typed_theirs(theirs));
    let mut differences =
        typed.filter(|((_, ours), (_, theirs))| ours != theirs).map(|((field, ours), (_, theirs))| {
            let values =
                raw_ours.fields.iter().filter(|(name, _)| name == field).map(|(_, value)| value.as_str());
            Difference::Typed { field, value: values.collect::<Vec<_>>().join(", "), ours, theirs }
        });
    // One without a name rather than the first.
    let first = differences.next()?;
    match class::of(&first) {
        None => Some(first),
        Some(_) => Some(differences.find(|other| class::of(other).is_none()).unwrap_or(first)),
    }
}

#[test]
fn readers_agree_or_the_difference_has_a_name() {
    let seed = std::env::var("KLIKON_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let mut mutator = Mutator::new(seed);
    let mut counts = [0usize; CLASSES.len()];
    let (mut neither, mut agreed) = (0, 0);
    let mut unexplained = vec![];
    for _ in 0..MESSAGES {
        let octets = mutator.message();
        match compare(&octets) {
            Outcome::NeitherReads => neither += 1,
            Outcome::Agree => agreed += 1,
            Outcome::Differ(difference) => match class::of(&difference) {
                Some(index) => counts[index] += 1,
                None => unexplained.push(format!("{difference:?}\n  {}", octets.escape_ascii())),
            },
        }
    }
    println!("{MESSAGES} messages, seed {seed}: {agreed} read alike, {neither} by neither");
    for (class, count) in CLASSES.iter().zip(counts) {
        println!("{count:>7}  {}: {}", class.name, class.reason);
    }
    let shown = unexplained.iter().take(12).cloned().collect::<Vec<_>>().join("\n");
    assert!(unexplained.is_empty(), "{} differences without a name:\n{shown}", unexplained.len());
    assert!(agreed >= SOUND_LEAST, "only {agreed} read alike");
    // Other seeds may miss a rare one.
    for (class, count) in CLASSES.iter().zip(counts) {
        assert!(count > 0 || seed != 1, "no message fell into «{}»: the class is out of date", class.name);
    }
}

/// A reader that sees another value is found out.
#[test]
fn a_difference_is_found() {
    let octets = &mutation::bases()[0];
    let ours = Message::parse(octets).expect("reads");
    let other = String::from_utf8_lossy(octets).replace("wsinv.ndaksdj", "wsinv.another");
    let theirs = view::read_theirs(other.as_bytes());
    if let Ok(theirs) = theirs {
        assert!(other.as_bytes() == &octets[..] || compare_read(&ours, &theirs).is_some());
    }
    let typed: Typed = Some(Ok("1 INVITE".to_owned()));
    let difference =
        Difference::Typed { field: "cseq", value: "1 INVITE".to_owned(), ours: typed, theirs: None };
    assert_eq!(class::of(&difference), None);
}
