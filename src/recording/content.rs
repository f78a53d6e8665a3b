//! What stands in a recording: a head, audio, cues with their times, a tail.

use super::settings::Channels;
use crate::units::CallId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Octets of an entry beside what it holds: its kind and its length.
const ENTRY_OCTETS: usize = 5;
/// The kinds of entries; a reader passes over others.
const HEAD: u8 = b'h';
const AUDIO: u8 = b'a';
const CUE: u8 = b'c';
const TAIL: u8 = b't';

/// Why a call is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// By the settings.
    Setting,
    /// Somebody asked for it while the call went on.
    OnDemand,
}

/// Which call it is, and how it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The call.
    pub call: CallId,
    /// The recordings of a call are numbered, from 1.
    pub part: u32,
    /// When the first sample was heard, UTC.
    pub began: Timestamp,
    /// The caller: his number masked, or why there is none.
    pub caller: String,
    /// The number called.
    pub called: String,
    /// The flow that ran.
    pub flow: String,
    /// How the two sides are kept.
    pub channels: Channels,
    /// Samples a second.
    pub rate_hz: u32,
    /// Why it was recorded.
    pub why: Why,
}

/// Something that happened while the call was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cue {
    /// From the recording's beginning, ms.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// The flow entered a node.
    Node {
        /// Its name.
        node: String,
    },
    /// A prompt began.
    Said {
        /// As a reader would read it, telephone numbers hidden.
        text: String,
    },
    /// A key stopped a prompt.
    BargeIn,
    /// A key was pressed.
    Key {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        key: char,
        /// How long, ms.
        lasted_ms: u64,
    },
    /// A query was answered, or a booking decided.
    Outcome {
        /// Its name in the flow.
        name: String,
        /// Its outcome in the flow.
        outcome: String,
        /// The activation's id, where one was tried.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        activation: Option<String>,
    },
    /// The session was changed by the caller's side.
    Session {
        /// Which way media flows, seen from us.
        direction: String,
        /// The encoding.
        encoding: String,
    },
    /// From here on the caller's side is silence: a PIN may be keyed.
    CallerWithheld,
    /// From here on the caller is recorded.
    CallerHeard,
    /// So many packets found no room on their way to the recorder: they are silence.
    Lost {
        /// Packets of both sides.
        packets: u64,
    },
}

/// What ended a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    /// The call ended.
    Call,
    /// Somebody asked for it.
    Demand,
    /// It was as long as recordings may be.
    Length,
    /// The folder held as much as it may.
    Room,
    /// The service was stopped.
    Shutdown,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// When, UTC.
    pub ended: Timestamp,
    /// What ended it.
    pub by: EndedBy,
    /// Packets that found no room on their way to the recorder.
    pub lost: u64,
    /// Packets that came too late, or too many, to be laid out.
    pub late: u64,
}

/// Something of a recording.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    Head(Head),
    /// Samples, those of the channels in turn.
    Audio(Vec<i16>),
    Cue(Cue),
    Tail(Tail),
}

impl Entry {
    /// Adds it to a segment's content.
    pub fn write(&self, content: &mut Vec<u8>) {
        let json = |value: serde_json::Result<Vec<u8>>| value.unwrap_or_default();
        let (kind, octets) = match self {
            Entry::Head(head) => (HEAD, json(serde_json::to_vec(head))),
            Entry::Cue(cue) => (CUE, json(serde_json::to_vec(cue))),
            Entry::Tail(tail) => (TAIL, json(serde_json::to_vec(tail))),
            Entry::Audio(samples) => {
                (AUDIO, samples.iter().flat_map(|sample| sample.to_le_bytes()).collect())
            }
        };
        content.push(kind);
        content.extend_from_slice(&(octets.len() as u32).to_be_bytes());
        content.extend_from_slice(&octets);
    }

    /// The entries of a segment, as far as they can be understood; each segment is whole, or its seal is wrong.
    pub fn read_all(mut content: &[u8]) -> Vec<Entry> {
        let mut entries = Vec::new();
        while let Some((entry, rest)) = content.split_at_checked(ENTRY_OCTETS) {
            let length = u32::from_be_bytes([entry[1], entry[2], entry[3], entry[4]]) as usize;
            let Some((octets, rest)) = rest.split_at_checked(length) else { break };
            entries.extend(Self::read(entry[0], octets));
            content = rest;
        }
        entries
    }

    fn read(kind: u8, octets: &[u8]) -> Option<Entry> {
        match kind {
            HEAD => serde_json::from_slice(octets).ok().map(Entry::Head),
            CUE => serde_json::from_slice(octets).ok().map(Entry::Cue),
            TAIL => serde_json::from_slice(octets).ok().map(Entry::Tail),
            AUDIO => Some(Entry::Audio(
                octets.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect(),
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_and_unknown_ones_are_passed_over() {
        let cue = |what| Entry::Cue(Cue { at_ms: 31_240, what });
        let entries = [
            cue(What::Key { key: '1', lasted_ms: 80 }),
            Entry::Audio(vec![0, 1, -1, i16::MIN]),
            cue(What::Outcome {
                name: "activate".to_owned(),
                outcome: "accepted".to_owned(),
                activation: None,
            }),
            cue(What::BargeIn),
        ];
        let mut content = Vec::new();
        entries[0].write(&mut content);
        content.extend_from_slice(b"?\0\0\0\x02ab");
        entries[1..].iter().for_each(|entry| entry.write(&mut content));
        assert_eq!(Entry::read_all(&content), entries);
        assert_eq!(Entry::read_all(&content[..content.len() - 1]), entries[..3]);
    }
}
