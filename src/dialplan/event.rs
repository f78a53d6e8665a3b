//! What goes into the interpreter and what comes out: plain data. Whoever drives it performs the effects in the
//! order given.

use super::value::{SayAs, Value};

/// Numbers one `Play` of a call, so that the end of an earlier prompt is not taken for the end of a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlayId(pub u32);

/// Numbers one query or booking of a call, so that a late result is not taken for that of a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A `Play` came to its end, or was stopped by a key (`interrupted`).
    PlayDone {
        /// Which.
        id: PlayId,
        /// Stopped by a key at its first packet, before the last segment ended.
        interrupted: bool,
    },
    /// A key went down. Optional: where the digit's beginning is not known, `Digit` alone does.
    DigitBegan,
    /// A key was pressed and released: `0`–`9`, `*`, `#`, `A`–`D`.
    Digit(char),
    /// A query or booking was answered.
    Result {
        /// Which.
        id: RequestId,
        /// One of the outcomes that the vocabulary lists for it.
        outcome: String,
        /// The values of that outcome.
        values: Vec<(String, Value)>,
    },
    /// The time given by `deadline()` has come. Harmless when it has not.
    Timeout,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Speak; replaces whatever is playing.
    Play {
        /// Given back in `PlayDone`.
        id: PlayId,
        /// In order.
        segments: Vec<Segment>,
        /// The first packet of a digit stops it.
        bargein: bool,
    },
    /// Stop that prompt, if it is still playing.
    StopPlay(PlayId),
    /// Look something up; answered by `Result`.
    Query {
        /// Given back in `Result`.
        id: RequestId,
        /// As the vocabulary has it.
        name: String,
        /// Every argument of the vocabulary.
        arguments: Vec<(String, Value)>,
    },
    /// Book; answered by `Result`. At most one for each confirmation.
    Book {
        /// Given back in `Result`.
        id: RequestId,
        /// As the vocabulary has it.
        name: String,
        /// Every argument of the vocabulary.
        arguments: Vec<(String, Value)>,
    },
    /// End the call. Always the last effect.
    Hangup,
    /// A node was entered; for logs and the record of the call.
    EnteredNode(String),
}

/// A piece of what is spoken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A recorded prompt, by its id.
    Prompt(String),
    /// A value, put together from recorded units.
    Say {
        /// What.
        value: Value,
        /// How.
        format: SayAs,
    },
    /// A pause.
    Silence {
        /// Length in milliseconds, 20 to 5,000.
        ms: u16,
    },
}
