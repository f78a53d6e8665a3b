//! `klikon calls`: the records of calls, for whoever has to say what became of one.

use super::admin::parse;
use super::admin::table::{Table, local_time, local_time_option};
use crate::config::Settings;
use crate::recording::{self, Found};
use crate::store::{Activation, ActivationOrder, CallRecord, Store, StreamQuality};
use crate::units::Msisdn;
use anyhow::{Context, bail};
use clap::Args;
use std::fmt::Write as _;
use std::io::Write;

/// Calls that may share a Call-ID or a charging id; more are not shown.
const SAME_NAME_MAX: u32 = 50;

/// The records of calls in the database of the settings, which stay when the service's own memory (`klikon trace`) is
/// gone. Numbers are whole.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  klikon calls                              # the last 20
  klikon calls --caller 0691234567 --last 5
  klikon calls 0192f3a1-5e7c-7a50-9d6e-2f1c3b4a5d6e   # everything about one
  klikon calls a84b4c76e66710@pc33 --json   # by Call-ID; the charging id of another network does as well")]
pub struct Arguments {
    /// One call: its id, its Call-ID, or the charging id (icid) of its P-Charging-Vector; without it calls are listed.
    #[arg(value_name = "CALL|CALL-ID|ICID")]
    call: Option<String>,

    /// Only calls of this number.
    #[arg(long, value_name = "NUMBER", value_parser = parse::msisdn, conflicts_with = "call")]
    caller: Option<Msisdn>,

    /// How many, newest first.
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "call")]
    last: u32,

    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Runs `klikon calls …` on the database and prints to `out`. A call that is not there is an error.
pub async fn run(
    arguments: &Arguments,
    settings: &Settings,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let store = Store::open(&settings.database).await?;
    let Some(name) = &arguments.call else {
        let caller = arguments.caller.map(|number| number.e164());
        let calls = store.calls(caller.as_deref(), arguments.last).await?;
        return match arguments.json {
            true => print_json(out, &calls),
            false => write!(out, "{}", list(&calls)).context("cannot print"),
        };
    };
    let calls = store.calls_named(name, SAME_NAME_MAX).await?;
    if calls.is_empty() {
        bail!(
            "no call has the id, the Call-ID or the charging id {name:?}; `klikon calls` lists the last ones"
        );
    }
    let mut found = Vec::new();
    for call in calls {
        let activations = store.activations_of_call(call.id).await?;
        let mut not_booked = store.attempts_of_call(call.id).await?;
        not_booked.retain(|tried| !activations.iter().any(|activation| activation.id == tried.id));
        let recordings = recording::find(&settings.recording.folder, call.id);
        found.push(Whole { call, activations, not_booked, recordings });
    }
    if arguments.json {
        let calls = found
            .iter()
            .map(|Whole { call, activations, not_booked, recordings }| {
                let mut value = serde_json::to_value(call)?;
                value["activations"] = serde_json::to_value(activations)?;
                let ids: Vec<String> = not_booked.iter().map(|tried| tried.id.to_string()).collect();
                value["not_booked"] = serde_json::to_value(ids)?;
                let files = recordings.iter().map(|found| found.path.display().to_string());
                value["recordings"] = files.collect::<Vec<_>>().into();
                Ok(value)
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        return print_json(out, &calls);
    }
    let texts: Vec<_> = found.iter().map(whole).collect();
    write!(out, "{}", texts.join("\n")).context("cannot print")
}

fn print_json(out: &mut (dyn Write + Send), value: &impl serde::Serialize) -> anyhow::Result<()> {
    writeln!(out, "{:#}", serde_json::to_value(value)?).context("cannot print")
}

/// One line a call.
fn list(calls: &[CallRecord]) -> Table {
    let mut table =
        Table::new(&["received", "seconds", "caller", "called", "peer", "end", "outcome", "call"], &[1]);
    for call in calls {
        table.row([
            local_time(call.received_at),
            seconds(call),
            call.caller.clone().unwrap_or_else(|| "-".to_owned()),
            printable(&call.called),
            call.origin.peer.clone().unwrap_or_else(|| "-".to_owned()),
            call.end.label().to_owned(),
            printable(&call.outcome),
            call.id.to_string(),
        ]);
    }
    table
}

/// How long it was answered; a dash if it was not.
fn seconds(call: &CallRecord) -> String {
    match call.answered_at {
        None => "-".to_owned(),
        Some(answered) => {
            // Clocks are set back now and then.
            let ms = (call.ended_at.as_millisecond() - answered.as_millisecond()).max(0);
            format!("{}.{}", ms / 1000, ms % 1000 / 100)
        }
    }
}

/// What a stranger wrote, without what a terminal would act on.
pub(super) fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// One direction of the media: what is known of it.
fn stream(encoding: &str, quality: &StreamQuality) -> String {
    let StreamQuality { packets, lost, jitter_ms, mean_opinion_score } = quality;
    let parts = [
        Some(format!("{packets} packets of {encoding}")),
        lost.map(|lost| format!("{lost} lost")),
        jitter_ms.map(|ms| format!("jitter {ms} ms")),
        mean_opinion_score.map(|score| format!("score {score}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Everything about one call.
struct Whole {
    call: CallRecord,
    activations: Vec<Activation>,
    not_booked: Vec<ActivationOrder>,
    recordings: Vec<Found>,
}

fn whole(Whole { call, activations, not_booked, recordings }: &Whole) -> String {
    let mut text = String::new();
    let mut say = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<16} {}", printable(value));
    };
    say("call", &call.id.to_string());
    say("Call-ID", &call.sip_call_id);
    say("caller", call.caller.as_deref().unwrap_or("- (withheld, or not to be believed)"));
    say("called", &call.called);
    say("received", &local_time(call.received_at));
    say("answered", &local_time_option(call.answered_at));
    say("ended", &format!("{}, {}", local_time(call.ended_at), call.end.label()));
    let origin = &call.origin;
    for (name, value) in [
        ("Reason", &call.reason),
        ("peer", &origin.peer),
        ("user", &origin.user),
        ("charging id", &origin.charging_id),
        ("routing number", &origin.routing_number),
    ] {
        if let Some(value) = value {
            say(name, value);
        }
    }
    say("outcome", &call.outcome);
    say("nodes", &call.nodes.join(" "));
    if let Some(media) = &call.media {
        say("heard", &stream(&media.encoding, &media.heard));
        say("sent", &stream(&media.encoding, &media.far));
        if let Some(ms) = media.round_trip_ms {
            say("round trip", &format!("{ms} ms"));
        }
    }
    for field in &origin.stated {
        say("stated", &format!("{}: {}", field.name, field.value));
    }
    for activation in activations {
        say(
            "activation",
            &format!(
                "{} {} for {}, {} on the bill, {}",
                activation.id,
                activation.name,
                activation.member.national(),
                activation.net,
                activation.state.label(),
            ),
        );
    }
    for tried in not_booked {
        say("not booked", &format!("{} for {}, {}", tried.id, tried.member.national(), tried.quoted_net));
    }
    for found in recordings {
        say("recording", &format!("{} ({} octets)", found.path.display(), found.octets));
    }
    text
}

#[cfg(test)]
mod tests;
