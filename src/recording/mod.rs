//! What a caller heard and pressed, kept for disputes: off by default, encrypted at rest.
//!
//! The media workers copy packets into a bounded queue ([`crate::media::Fork`]); one thread, the [`Recorder`], decodes them,
//! lays them out in time and writes them. No call waits for it: what it cannot take is silence in the recording, and counted.
//!
//! Keys of a PIN are never recorded in any form: the caller's side is not even copied before the flow has left
//! every node from which a field for a secret can be reached (`Flow::nodes_before_secrets`), and a second longer.
//!
//! `docs/recording.md` describes files and limits.

mod container;
mod content;
mod folder;
mod key;
mod placing;
mod rate;
mod read;
mod recorder;
mod settings;
mod tape;
mod track;
mod wav;
mod writing;

pub use container::ReadError;
pub use content::{Cue, EndedBy, Head, Tail, What, Why};
pub use folder::{Found, find, list};
pub use key::{Key, KeyError};
pub use read::{Ending, Read};
pub use recorder::{Counts, Recorder, Recording, Refusal, StartError, Subject};
pub use settings::{Calls, Channels, Settings};
pub use tape::OPENS_AFTER;

#[cfg(test)]
mod tests;
