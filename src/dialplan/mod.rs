//! The call-flow language: what a caller hears and what his keys do, written in a TOML file in VoiceXML's terms
//! (W3C VoiceXML 2.1: prompt, bargein, field, menu, choice, timeout, interdigittimeout, termchar, noinput,
//! nomatch, reprompt) and run by an interpreter that knows neither SIP nor tables. It is handed events and the
//! time, and yields effects as data; queries and bookings are performed by whoever drives it.
//!
//! [`Flow::parse`] reads and checks a file and reports every error at once, each with its line and its mend.
//! [`Interpreter`] walks the flow for one call (the dialogue's rules: DOMAIN §5).

mod check;
mod error;
mod event;
mod flow;
mod interpreter;
mod parse;
mod secret;
mod value;
mod vocabulary;

pub use error::FlowError;
pub use event::{Effect, Event, PlayId, RequestId, Segment};
pub use flow::{Flow, GlobalKeys, MAX_PAGE_CHOICES, NodeIndex};
pub use interpreter::{Interpreter, MAX_TRANSITIONS, MAX_TYPE_AHEAD};
pub use value::{Field, Kind, Record, SayAs, Value};
pub use vocabulary::{Operation, Outcome, PIN_REQUIRED, Vocabulary};

#[cfg(test)]
mod tests;
