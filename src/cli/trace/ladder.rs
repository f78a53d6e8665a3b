//! The ladder: a column for each peer, one for the service, an arrow a message.

use super::clock;
use super::describe::{Described, Kind, describe};
use super::text::{escaped, shortened};
use crate::capture::protocol::{MessageLine, octets};
use jiff::Timestamp;
use std::collections::HashSet;
use std::fmt::Write;

/// How it is to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Characters of a line at most.
    pub(super) columns: usize,
    /// Whether colours may be used.
    pub(super) colours: bool,
}

impl Look {
    fn painted(self, text: &str, code: &str) -> String {
        if self.colours && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.painted(text, "2")
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.painted(text, "1")
    }

    pub(super) fn warning(self, text: &str) -> String {
        self.painted(text, "33")
    }

    fn by_kind(self, text: &str, kind: Kind) -> String {
        let code = match kind {
            Kind::Request => "36",
            Kind::Provisional => "2",
            Kind::Success => "32",
            Kind::Redirection => "33",
            Kind::Failure => "31",
            Kind::Unreadable => "35",
        };
        self.painted(text, code)
    }
}

/// Where the first peer's line stands.
const FIRST_LINE: usize = 20;
/// Between two lines, at least and at most.
const SPAN_MIN: usize = 22;
const SPAN_MAX: usize = 32;
/// What the notes are to have.
const NOTES_MIN: usize = 44;
/// Peers with a line of their own at most; further ones share the last.
const PEERS_MAX: usize = 4;

/// The columns of one call.
#[derive(Debug)]
pub(super) struct Ladder {
    look: Look,
    /// Transport and address of each peer that has a line.
    peers: Vec<(String, String)>,
    local: String,
    /// Characters between two lines.
    span: usize,
}

impl Ladder {
    /// The columns that these messages need.
    pub(super) fn of(messages: &[MessageLine], look: &Look) -> Self {
        let mut peers: Vec<(String, String)> = Vec::new();
        for message in messages {
            let peer = (message.transport.clone(), message.remote.clone());
            if !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        let room = look.columns.saturating_sub(FIRST_LINE + NOTES_MIN) / SPAN_MIN;
        peers.truncate(room.clamp(1, PEERS_MAX));
        let local = messages.first().map(|message| message.local.clone()).unwrap_or_default();
        Self::with(peers, local, look)
    }

    /// One column for whoever speaks to the service.
    pub(super) fn live(look: &Look) -> Self {
        Self::with(vec![(String::new(), String::new())], String::new(), look)
    }

    fn with(peers: Vec<(String, String)>, local: String, look: &Look) -> Self {
        let room = look.columns.saturating_sub(FIRST_LINE + NOTES_MIN) / peers.len().max(1);
        Self { look: *look, peers, local, span: room.clamp(SPAN_MIN, SPAN_MAX) }
    }

    /// All of it.
    pub(super) fn drawn(&self, messages: &[MessageLine]) -> String {
        let mut drawn = self.heads();
        let began = messages.first().and_then(|message| message.at.parse::<Timestamp>().ok());
        let mut seen = HashSet::new();
        for message in messages {
            let offset = match (began, message.at.parse::<Timestamp>()) {
                (Some(began), Ok(at)) => format!("{:+.3} s", at.duration_since(began).as_secs_f64()),
                _ => String::new(),
            };
            let again = !seen.insert((message.received, message.octets.as_str()));
            let peer = (message.transport.clone(), message.remote.clone());
            let known = self.peers.iter().position(|known| *known == peer);
            let mut notes = Vec::new();
            if known.is_none() {
                notes.push(escaped(&message.remote));
            }
            if again {
                notes.push("again".to_owned());
            }
            let column = known.unwrap_or(self.peers.len().saturating_sub(1));
            let _ = writeln!(drawn, "{}", self.row(&offset, message, column, &notes));
        }
        drawn
    }

    /// A message that just passed.
    pub(super) fn live_row(&self, message: &MessageLine) -> String {
        let call_id = describe(&octets(&message.octets).unwrap_or_default()).call_id;
        let notes = [escaped(&message.remote), shortened(&call_id, 12)];
        self.row(&clock(&message.at, 3), message, 0, &notes)
    }

    /// Two lines: transports and `klikon`, and the addresses.
    fn heads(&self) -> String {
        let mut names: Vec<(&str, &str)> =
            self.peers.iter().map(|(transport, address)| (transport.as_str(), address.as_str())).collect();
        names.push(("klikon", &self.local));
        let line = |pick: &dyn Fn(&(&str, &str)) -> String| {
            let mut line = String::new();
            for (index, name) in names.iter().enumerate() {
                let text = shortened(&pick(name), self.span.saturating_sub(2));
                let width = text.chars().count();
                let at = FIRST_LINE + index * (self.span + 1);
                let start = at.saturating_sub(width / 2);
                let gap = start.saturating_sub(line.chars().count());
                line.extend(std::iter::repeat_n(' ', gap));
                line.push_str(&text);
            }
            line
        };
        let (first, second) = (line(&|name| escaped(name.0)), line(&|name| escaped(name.1)));
        format!("{}\n{}\n", self.look.bold(&first), self.look.dim(&second))
    }

    fn row(&self, time: &str, message: &MessageLine, column: usize, more: &[String]) -> String {
        let described = describe(&octets(&message.octets).unwrap_or_default());
        let mut row = self.look.dim(&format!("{time:>12}"));
        row.extend(std::iter::repeat_n(' ', FIRST_LINE - 12));
        for _ in 0..column {
            row.push_str(&self.look.dim("│"));
            row.extend(std::iter::repeat_n(' ', self.span));
        }
        row.push_str(&self.look.dim("│"));
        let length = (self.peers.len() - column) * (self.span + 1) - 1;
        row.push_str(&self.arrow(&described, message.received, length));
        row.push_str(&self.look.dim("│"));
        let used = FIRST_LINE + self.peers.len() * (self.span + 1) + 3;
        let room = self.look.columns.saturating_sub(used);
        let mut notes: Vec<&str> = more.iter().map(String::as_str).collect();
        notes.push(&described.notes);
        let notes = shortened(&notes.join("  "), room);
        if notes.is_empty() { row } else { format!("{row}  {notes}") }
    }

    /// `──── INVITE ───▶`, with the label in the middle.
    fn arrow(&self, described: &Described, received: bool, length: usize) -> String {
        let label = format!(" {} ", shortened(&described.label, length.saturating_sub(6)));
        let line = length.saturating_sub(label.chars().count() + 1);
        let (left, right) = (line / 2, line - line / 2);
        let shaft = |count: usize| "─".repeat(count);
        let label = self.look.by_kind(&label, described.kind);
        if received {
            format!("{}{label}{}▶", shaft(left), shaft(right))
        } else {
            format!("◀{}{label}{}", shaft(left), shaft(right))
        }
    }
}
