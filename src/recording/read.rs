//! Reading a recording: what it says, and its sound as a WAV file.

use super::container::{ReadError, Reader};
use super::content::{Cue, Entry, Head, Tail, What};
use super::key::Key;
use super::wav::{self, Mark};
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

/// How a file ends.
#[derive(Debug)]
pub enum Ending {
    /// As it was written to its end.
    Whole,
    /// Before its end, or not as it was written; what was read before that is good.
    Broken(ReadError),
}

/// A recording that was read.
#[derive(Debug)]
pub struct Read {
    /// Which call.
    pub head: Head,
    /// What happened, by time.
    pub cues: Vec<Cue>,
    /// How it ended, where it did.
    pub tail: Option<Tail>,
    /// Whether all of it is there.
    pub ending: Ending,
    /// Whether the file is encrypted.
    pub encrypted: bool,
    /// The samples, those of the channels in turn.
    pub samples: Vec<i16>,
}

impl Read {
    /// Reads only which call it is.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn head(path: &Path, key: Option<&Key>) -> Result<Head, ReadError> {
        let content = Reader::open(BufReader::new(File::open(path)?), key)?.next()?.unwrap_or_default();
        let mut heads = Entry::read_all(&content).into_iter().filter_map(|entry| match entry {
            Entry::Head(head) => Some(head),
            _ => None,
        });
        heads.next().ok_or(ReadError::NoRecording)
    }

    /// Reads a file, as far as it is good.
    ///
    /// # Errors
    /// [`ReadError`], where not even its head can be read.
    pub fn open(path: &Path, key: Option<&Key>) -> Result<Self, ReadError> {
        let mut reader = Reader::open(BufReader::new(File::open(path)?), key)?;
        let encrypted = reader.is_encrypted();
        let (mut head, mut tail, mut cues, mut samples) = (None, None, Vec::new(), Vec::new());
        let ending = loop {
            let content = match reader.next() {
                Ok(Some(content)) => content,
                Ok(None) => break Ending::Whole,
                Err(error) if head.is_none() => return Err(error),
                Err(error) => break Ending::Broken(error),
            };
            for entry in Entry::read_all(&content) {
                match entry {
                    Entry::Head(read) => head = head.or(Some(read)),
                    Entry::Audio(more) => samples.extend(more),
                    Entry::Cue(cue) => cues.push(cue),
                    Entry::Tail(read) => tail = Some(read),
                }
            }
            if head.is_none() {
                return Err(ReadError::NoRecording);
            }
        };
        let Some(head) = head else { return Err(ReadError::NoRecording) };
        cues.sort_by_key(|cue| cue.at_ms);
        Ok(Read { head, cues, tail, ending, encrypted, samples })
    }

    /// Its length, ms.
    pub fn duration_ms(&self) -> u64 {
        let a_second = u64::from(self.head.rate_hz) * u64::from(self.head.channels.count());
        self.samples.len() as u64 * 1_000 / a_second.max(1)
    }

    /// Writes it as a WAV file, with the cues as marks.
    ///
    /// # Errors
    /// As `out` has them.
    pub fn write_wav(&self, out: &mut dyn Write) -> io::Result<()> {
        let mark = |cue: &Cue| {
            let sample = cue.at_ms.saturating_mul(self.head.rate_hz.into()) / 1_000;
            Mark { sample: u32::try_from(sample).unwrap_or(u32::MAX), label: cue.what.to_string() }
        };
        let marks: Vec<Mark> = self.cues.iter().map(mark).collect();
        wav::write(out, self.head.rate_hz, self.head.channels.count(), &self.samples, &marks)
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            What::Node { node } => write!(f, "node {node}"),
            What::Said { text } => write!(f, "said: {text}"),
            What::BargeIn => f.write_str("the prompt is stopped by a key"),
            What::Key { key, lasted_ms } => write!(f, "key {key}, {lasted_ms} ms"),
            What::Outcome { name, outcome, activation } => {
                write!(f, "{name}: {outcome}")?;
                activation.iter().try_for_each(|id| write!(f, ", activation {id}"))
            }
            What::Session { direction, encoding } => write!(f, "the session is {direction}, {encoding}"),
            What::CallerWithheld => f.write_str("the caller is not recorded: a PIN may be keyed"),
            What::CallerHeard => f.write_str("the caller is recorded"),
            What::Lost { packets } => write!(f, "{packets} packets were lost on their way to the recorder"),
        }
    }
}
