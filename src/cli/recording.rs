//! `klikon recording`: what callers heard and pressed: listed, shown, made a WAV file; and begun or ended by hand.

use super::admin::table::{Table, local_time};
use super::calls::printable;
use super::trace;
use crate::capture::protocol::{Reply, Request};
use crate::config::Settings;
use crate::recording::{self, Ending, Found, Key, Read, ReadError, What, Why};
use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The recordings in the folder `recording.folder` of the settings, read with the key `recording.key_file`; and, by the
/// socket `trace.socket`, recordings of calls that are under way.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  klikon recording list
  klikon recording show 0192f3a1-5e7c-7a50-9d6e-2f1c3b4a5d6e   # what was said and keyed, and when
  klikon recording export last --wav dispute.wav
  klikon recording start 0192f3a1-5e     # a call that is under way; `klikon trace` lists them
  klikon recording stop last")]
pub struct Arguments {
    #[command(subcommand)]
    what: Wanted,
}

#[derive(Debug, Subcommand)]
enum Wanted {
    /// One line a recording, the oldest first.
    List {
        #[command(flatten)]
        reading: Reading,
    },
    /// What was said, keyed and decided in a call, with the times.
    Show {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        reading: Reading,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Write a recording as a WAV file, with marks for what happened.
    Export {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        reading: Reading,
        /// The file; without it the call's id and `.wav`.
        #[arg(long, value_name = "FILE")]
        wav: Option<PathBuf>,
        /// Write what is good of a recording that has no end, or is damaged.
        #[arg(long)]
        unfinished: bool,
    },
    /// Record a call that is under way.
    Start {
        #[command(flatten)]
        live: Live,
    },
    /// Record a call no longer.
    Stop {
        #[command(flatten)]
        live: Live,
    },
}

#[derive(Debug, Args)]
struct Which {
    /// The call's id, how it begins, or `last`.
    #[arg(value_name = "CALL")]
    call: String,

    /// Which of the call's recordings.
    #[arg(long, value_name = "N", default_value_t = 1)]
    part: u32,
}

#[derive(Debug, Args)]
struct Reading {
    /// The key, instead of that of the settings.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Live {
    /// The call's id, how it begins, or `last`.
    #[arg(value_name = "CALL")]
    call: String,

    /// The service's socket, instead of that of the settings.
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
}

/// Runs `klikon recording …`.
pub fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<()> {
    let folder = settings.recording.folder.as_path();
    let mut out = io::stdout().lock();
    match &arguments.what {
        Wanted::List { reading } => {
            let key = reading.key(settings)?;
            write!(out, "{}", list(folder, key.as_ref())).context("cannot print")
        }
        Wanted::Show { which, reading, json } => {
            let (found, read) = which.read(folder, reading.key(settings)?.as_ref())?;
            match json {
                true => writeln!(out, "{:#}", as_json(&found, &read)?),
                false => write!(out, "{}", shown(&found, &read)),
            }
            .context("cannot print")
        }
        Wanted::Export { which, reading, wav, unfinished } => {
            let (found, read) = which.read(folder, reading.key(settings)?.as_ref())?;
            let path = wav.clone().unwrap_or_else(|| PathBuf::from(format!("{}.wav", found.call)));
            export(&read, &path, *unfinished)?;
            writeln!(out, "{}: {}", path.display(), length(&read)).context("cannot print")
        }
        Wanted::Start { live } => live.ask(settings, true, &mut out),
        Wanted::Stop { live } => live.ask(settings, false, &mut out),
    }
}

impl Reading {
    fn key(&self, settings: &Settings) -> anyhow::Result<Option<Key>> {
        let file = self.key_file.as_ref().or(settings.recording.key_file.as_ref());
        Ok(file.map(|file| Key::read(file)).transpose()?)
    }
}

impl Live {
    fn ask(&self, settings: &Settings, begin: bool, out: &mut dyn Write) -> anyhow::Result<()> {
        let socket = self.socket.as_deref().unwrap_or(&settings.trace.socket);
        let request = Request::Record { call: self.call.clone(), begin };
        match trace::ask(socket, &request)?.next() {
            Some(Ok(Reply::Done { what })) => writeln!(out, "{}", printable(&what)).context("cannot print"),
            Some(Err(error)) => Err(error),
            _ => bail!("the service answers in another way: is it another version?"),
        }
    }
}

impl Which {
    /// The one recording that is named.
    fn find(&self, folder: &Path) -> anyhow::Result<Found> {
        let found = match self.call.parse() {
            Ok(call) => recording::find(folder, call),
            Err(_) => {
                let mut all = recording::list(folder);
                if self.call == "last" {
                    let last = all.last().map(|found| found.call);
                    all.retain(|found| Some(found.call) == last);
                } else {
                    all.retain(|found| found.call.to_string().starts_with(&self.call));
                }
                all
            }
        };
        let of_part: Vec<Found> = found.into_iter().filter(|found| found.part == self.part).collect();
        match of_part.as_slice() {
            [one] => Ok(one.clone()),
            [] => bail!(
                "there is no such recording in {}; `klikon recording list` lists them",
                folder.display()
            ),
            more => bail!("the recordings of {} calls begin so; write more of it", more.len()),
        }
    }

    fn read(&self, folder: &Path, key: Option<&Key>) -> anyhow::Result<(Found, Read)> {
        let found = self.find(folder)?;
        let read = Read::open(&found.path, key).with_context(|| found.path.display().to_string())?;
        Ok((found, read))
    }
}

/// One line a recording; what cannot be read says why.
fn list(folder: &Path, key: Option<&Key>) -> Table {
    let mut table = Table::new(&["began", "caller", "called", "octets", "call", "part", "why"], &[3, 5]);
    for found in recording::list(folder) {
        let (octets, call, part) = (found.octets.to_string(), found.call.to_string(), found.part.to_string());
        let row = match Read::head(&found.path, key) {
            Ok(head) => [
                local_time(head.began),
                printable(&head.caller),
                printable(&head.called),
                octets,
                call,
                part,
                why(head.why).to_owned(),
            ],
            Err(error) => {
                let nothing = || "-".to_owned();
                [nothing(), nothing(), nothing(), octets, call, part, brief(&error)]
            }
        };
        table.row(row);
    }
    table
}

fn why(why: Why) -> &'static str {
    match why {
        Why::Setting => "by setting",
        Why::OnDemand => "on demand",
    }
}

fn brief(error: &ReadError) -> String {
    let text = error.to_string();
    text.split_once(';').map_or(text.clone(), |(first, _)| first.to_owned())
}

/// Minutes, seconds and milliseconds.
fn time(ms: u64) -> String {
    format!("{:02}:{:02}.{:03}", ms / 60_000, ms / 1_000 % 60, ms % 1_000)
}

fn length(read: &Read) -> String {
    let channels = read.head.channels.count();
    format!("{}, {channels} channels of {} Hz", time(read.duration_ms()), read.head.rate_hz)
}

fn ending(read: &Read) -> String {
    match (&read.ending, &read.tail) {
        (Ending::Broken(error), _) => format!("NOT WHOLE: {error}"),
        (Ending::Whole, Some(tail)) => {
            let by = serde_json::to_value(tail.by).unwrap_or_default();
            let late =
                if tail.late > 0 { format!(", {} packets too late", tail.late) } else { String::new() };
            format!("whole; ended {} by {}{late}", local_time(tail.ended), by.as_str().unwrap_or_default())
        }
        (Ending::Whole, None) => "NOT WHOLE: it says nothing of its end".to_owned(),
    }
}

fn shown(found: &Found, read: &Read) -> String {
    let head = &read.head;
    let sealed = if read.encrypted { "encrypted" } else { "not encrypted" };
    let mut text = String::new();
    for (name, value) in [
        ("call", head.call.to_string()),
        ("caller", head.caller.clone()),
        ("called", format!("{}, flow {}", head.called, head.flow)),
        ("began", local_time(head.began)),
        ("length", length(read)),
        ("state", ending(read)),
        ("recorded", why(head.why).to_owned()),
        ("file", format!("{}, {sealed}", found.path.display())),
    ] {
        text += &format!("{name:<10} {}\n", printable(&value));
    }
    text.push('\n');
    for cue in &read.cues {
        text += &format!("{}  {}\n", time(cue.at_ms), printable(&cue.what.to_string()));
    }
    text
}

fn as_json(found: &Found, read: &Read) -> anyhow::Result<serde_json::Value> {
    let mut value = serde_json::to_value(&read.head)?;
    value["file"] = found.path.display().to_string().into();
    value["encrypted"] = read.encrypted.into();
    value["duration_ms"] = read.duration_ms().into();
    value["whole"] = matches!(read.ending, Ending::Whole).into();
    value["end"] = serde_json::to_value(&read.tail)?;
    value["cues"] = serde_json::to_value(&read.cues)?;
    let keys = read.cues.iter().filter_map(|cue| match &cue.what {
        What::Key { key, .. } => Some(*key),
        _ => None,
    });
    value["keys"] = keys.collect::<String>().into();
    Ok(value)
}

fn export(read: &Read, path: &Path, unfinished: bool) -> anyhow::Result<()> {
    if let Ending::Broken(error) = &read.ending {
        ensure!(
            unfinished,
            "{error}; give --unfinished to write the {} before that",
            time(read.duration_ms())
        );
        eprintln!("klikon: {error}");
    }
    // It is as secret as the recording; and nothing is written over.
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot make {}", path.display()))?;
    read.write_wav(&mut file).with_context(|| format!("cannot write {}", path.display()))
}
