//! `klikon trace`: shows the SIP of calls, from the memory of the service that runs, or as it passes.

mod describe;
mod ladder;
mod text;

use crate::capture::protocol::{CallLine, MessageLine, Reply, Request, octets};
use crate::config::Settings;
use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use ladder::{Ladder, Look};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use text::{escaped, shortened};

/// Show the SIP messages of a call as a ladder.
///
/// It asks the service that runs here, by the socket `trace.socket` of the settings, for the calls it keeps in memory.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  klikon trace                      # the calls that are kept\n  klikon trace last                 # the ladder of the last one\n  klikon trace 0192f3a1-5e --full   # whole messages\n  klikon trace --live --caller 0691234567"
)]
pub struct Arguments {
    /// The call: its id or its Call-ID, the beginning of either, or `last`; without it the calls are listed.
    #[arg(value_name = "CALL|CALL-ID")]
    call: Option<String>,

    /// Show messages as they pass, until Ctrl-C.
    #[arg(long, conflicts_with = "call")]
    live: bool,

    /// With --live: only the calls of this number.
    #[arg(long, value_name = "NUMBER", requires = "live")]
    caller: Option<String>,

    /// Print whole messages.
    #[arg(long)]
    full: bool,

    /// The service's socket, instead of that of the settings.
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
}

/// Columns where standard output is no terminal.
const USUAL_COLUMNS: usize = 120;
/// Characters of an id that name a call: its time in milliseconds.
const SHORT_ID_CHARACTERS: usize = 13;

/// Asks, and prints what is answered.
pub fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<()> {
    let socket = arguments.socket.as_deref().unwrap_or(&settings.trace.socket);
    let request = match (&arguments.call, arguments.live) {
        (_, true) => Request::Follow { caller: arguments.caller.clone() },
        (Some(call), _) => Request::Call { call: call.clone() },
        (None, _) => Request::List {},
    };
    let replies = ask(socket, &request)?;
    let mut out = io::stdout().lock();
    let printed = match (&arguments.call, arguments.live) {
        (_, true) => follow(replies, &look(), arguments.full, &mut out),
        (Some(_), _) => call(replies, &look(), arguments.full, &mut out),
        (None, _) => list(replies, &look(), &mut out),
    };
    match printed {
        // Whoever read has seen enough.
        Err(error)
            if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        printed => printed,
    }
}

/// As wide as the terminal; in colours where there is one and `NO_COLOR` (no-color.org) does not forbid it.
fn look() -> Look {
    let terminal = io::stdout().is_terminal();
    let columns = terminal_size::terminal_size().filter(|_| terminal).map(|(width, _)| usize::from(width.0));
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Look { columns: columns.unwrap_or(USUAL_COLUMNS), colours: terminal && !no_color }
}

/// Sends the request; gives the replies as they come.
pub(super) fn ask(
    socket: &Path,
    request: &Request,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Reply>> + use<>> {
    if socket.as_os_str().is_empty() {
        bail!("`trace.socket` of the settings is empty: the service opens no socket; name a file there");
    }
    let mut stream =
        UnixStream::connect(socket).map_err(|error| anyhow::anyhow!("{}", no_service(socket, &error)))?;
    let line = serde_json::to_string(request)?;
    writeln!(stream, "{line}").context("the service takes no request")?;
    Ok(BufReader::new(stream).lines().map(|line| {
        let line = line.context("the service broke off")?;
        let reply = serde_json::from_str(&line)
            .context("the service answers in another way: is it another version?")?;
        match reply {
            Reply::Refused { why } => bail!("{}", escaped(&why)),
            reply => Ok(reply),
        }
    }))
}

fn no_service(socket: &Path, error: &io::Error) -> String {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "no service answers at {socket}; start `klikon serve`, or name the settings it runs with by --config, or its socket by --socket"
        ),
        io::ErrorKind::ConnectionRefused => {
            format!("the service that made {socket} has ended; start `klikon serve`")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{socket} is for the service's user alone; run as that user, or with sudo")
        }
        _ => format!("cannot connect to {socket}: {error}"),
    }
}

/// The calls that are kept, one a line.
fn list(
    replies: impl Iterator<Item = anyhow::Result<Reply>>,
    look: &Look,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut rows = vec![
        ["began (UTC)", "call", "caller", "called", "what came of it", "lasted", "messages"]
            .map(str::to_owned),
    ];
    for reply in replies {
        match reply? {
            Reply::Call(call) => rows.push(row(&call)),
            _ => break,
        }
    }
    if rows.len() == 1 {
        writeln!(out, "no call yet")?;
        return Ok(());
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let line = shortened(cells.join("  ").trim_end(), look.columns);
        writeln!(out, "{}", if index == 0 { look.dim(&line) } else { line })?;
    }
    writeln!(out, "\n{}", look.dim("`klikon trace CALL` shows one, `klikon trace last` the last"))?;
    Ok(())
}

fn row(call: &CallLine) -> [String; 7] {
    let id = if call.id.is_empty() { &call.call_id } else { &call.id };
    [
        clock(&call.began, 3),
        shortened(&escaped(id), SHORT_ID_CHARACTERS),
        shortened(&escaped(&call.caller), 24),
        shortened(&escaped(&call.called), 16),
        outcome(call),
        format!("{:.1} s", lasted_s(call)),
        call.messages.to_string(),
    ]
}

fn lasted_s(call: &CallLine) -> f64 {
    std::time::Duration::from_millis(call.lasted_ms).as_secs_f64()
}

/// Like `INVITE 200 klik-on, caller-hung-up`.
fn outcome(call: &CallLine) -> String {
    let status = if call.status == 0 { "not answered yet".to_owned() } else { call.status.to_string() };
    let flow = if call.flow.is_empty() { String::new() } else { format!(" {}", call.flow) };
    let end = if call.end.is_empty() { String::new() } else { format!(", {}", call.end) };
    escaped(&format!("{} {status}{flow}{end}", call.method))
}

/// The time of day of an RFC 3339 time, with so many digits of a second.
fn clock(at: &str, digits: usize) -> String {
    match at.parse::<Timestamp>() {
        Ok(at) => at.strftime(&format!("%H:%M:%S%.{digits}f")).to_string(),
        Err(_) => escaped(at),
    }
}

/// One call as a ladder, or its whole messages.
fn call(
    replies: impl Iterator<Item = anyhow::Result<Reply>>,
    look: &Look,
    full: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let (mut head, mut messages) = (CallLine::default(), Vec::new());
    for reply in replies {
        match reply? {
            Reply::Call(call) => head = call,
            Reply::Message(message) => messages.push(message),
            _ => break,
        }
    }
    let date = head.began.get(..10).unwrap_or_default();
    let who = format!("{} → {}", escaped(&head.caller), escaped(&head.called));
    writeln!(
        out,
        "{}  {}  {}",
        look.bold(&who),
        outcome(&head),
        look.dim(&format!("{:.1} s", lasted_s(&head)))
    )?;
    if !head.id.is_empty() {
        writeln!(out, "{} {}", look.dim("call   "), escaped(&head.id))?;
    }
    writeln!(out, "{} {}", look.dim("Call-ID"), escaped(&head.call_id))?;
    writeln!(out, "{} {} {} UTC\n", look.dim("began  "), escaped(date), clock(&head.began, 6))?;
    if full {
        for message in &messages {
            whole(message, look, out)?;
        }
    } else {
        write!(out, "{}", Ladder::of(&messages, look).drawn(&messages))?;
    }
    if head.left_out > 0 {
        writeln!(out, "\n{} more messages passed than are kept of a call", head.left_out)?;
    }
    Ok(())
}

/// Messages as they pass.
fn follow(
    replies: impl Iterator<Item = anyhow::Result<Reply>>,
    look: &Look,
    full: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let ladder = Ladder::live(look);
    for reply in replies {
        match reply? {
            Reply::Following => writeln!(out, "{}", look.dim("what passes from now on; Ctrl-C ends"))?,
            Reply::Message(message) if full => whole(&message, look, out)?,
            Reply::Message(message) => writeln!(out, "{}", ladder.live_row(&message))?,
            Reply::Lost { messages } => writeln!(
                out,
                "{}",
                look.warning(&format!("{messages} messages passed too fast to be shown"))
            )?,
            _ => break,
        }
        out.flush()?;
    }
    writeln!(out, "the service has ended")?;
    Ok(())
}

/// A whole message below a line that says its way. What could steer a terminal is escaped.
fn whole(message: &MessageLine, look: &Look, out: &mut dyn Write) -> io::Result<()> {
    let (local, remote) = (escaped(&message.local), escaped(&message.remote));
    let way = if message.received {
        format!("{remote} ──▶ {local}")
    } else {
        format!("{local} ──▶ {remote}")
    };
    writeln!(
        out,
        "{} {} {}",
        look.dim(&clock(&message.at, 6)),
        look.bold(&way),
        look.dim(&escaped(&message.transport))
    )?;
    let octets = octets(&message.octets).unwrap_or_default();
    for line in octets.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        writeln!(out, "{}", text::line(line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
