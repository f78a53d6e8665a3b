//! What is said over the trace socket: one JSON object a line, a request and then its replies.
//!
//! ```text
//! → {"ask":"list"}
//! ← {"is":"call","call_id":"…","began":"…",…}      one a call, the oldest first
//! ← {"is":"end"}
//! → {"ask":"call","call":"0192…"}                   our id, the Call-ID, the beginning of either, or `last`
//! ← {"is":"call",…}, {"is":"message",…} …, {"is":"end"}
//! → {"ask":"follow","caller":"0672123456"}          everything from now on, or the calls of one caller
//! → {"ask":"record","call":"0192…","begin":true}   record a call that is under way; false: no longer
//! ← {"is":"done","what":"…"}
//! ← {"is":"following"}, {"is":"message",…} …, {"is":"lost","messages":3} when the reader is too slow
//! ```

use serde::{Deserialize, Serialize};

/// The most octets of a request, its line end included.
pub const MAX_REQUEST_OCTETS: usize = 4096;

/// What is asked for; one request a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The calls that are kept.
    List {},
    /// One call with its messages.
    Call {
        /// Our id of it, its Call-ID, the beginning of either, or `last`.
        call: String,
    },
    /// Each message as it passes.
    Follow {
        /// Only the calls of this telephone number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caller: Option<String>,
    },
    /// A call that is under way is to be recorded, or no longer.
    Record {
        /// Our id of it, the beginning of it, or `last`.
        call: String,
        /// True to begin, false to end.
        begin: bool,
    },
}

/// A call that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLine {
    /// Its Call-ID.
    pub call_id: String,
    /// Our id; empty where the service made none.
    pub id: String,
    /// When its first message passed, UTC, RFC 3339.
    pub began: String,
    /// From its first message to its last, ms.
    pub lasted_ms: u64,
    /// The method of its first request.
    pub method: String,
    /// Who called, numbers hidden where the settings say so.
    pub caller: String,
    /// The user part of the Request-URI.
    pub called: String,
    /// The flow that answered; empty until then.
    pub flow: String,
    /// The final status of its first request; 0 while there is none.
    pub status: u16,
    /// What ended it, in the service's words; empty where it was not told.
    pub end: String,
    /// Messages kept.
    pub messages: usize,
    /// Messages left out, by the limits of a call.
    pub left_out: u64,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageLine {
    /// When it passed, UTC, RFC 3339 with microseconds.
    pub at: String,
    /// Whether the service received it; else it sent it.
    pub received: bool,
    /// `UDP`, `TCP`, …
    pub transport: String,
    /// Our address.
    pub local: String,
    /// The peer's address.
    pub remote: String,
    /// Its octets, each as the character of that number (Latin-1), so that none is lost.
    pub octets: String,
}

/// A line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Reply {
    /// A call.
    Call(CallLine),
    /// A message of the call before it, or one that just passed.
    Message(MessageLine),
    /// From now on messages are shown as they pass.
    Following,
    /// So many messages passed that were not shown, because the reader was too slow.
    Lost {
        /// How many.
        messages: u64,
    },
    /// What was asked for is done.
    Done {
        /// What came of it.
        what: String,
    },
    /// Nothing more comes.
    End,
    /// The request cannot be answered.
    Refused {
        /// Why, and what would mend it.
        why: String,
    },
}

/// Octets as characters, each as the one of its number.
pub fn characters(octets: &[u8]) -> String {
    octets.iter().copied().map(char::from).collect()
}

/// The octets that [`characters`] was given; `None` when there is another character in it.
pub fn octets(characters: &str) -> Option<Vec<u8>> {
    characters.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_survives_the_line() {
        let all: Vec<u8> = (0..=255).collect();
        let line = serde_json::to_string(&characters(&all)).unwrap();
        assert_eq!(octets(&serde_json::from_str::<String>(&line).unwrap()), Some(all));
        assert_eq!(octets("•"), None);
    }

    #[test]
    fn requests_read_as_they_are_written() {
        for (line, request) in [
            (r#"{"ask":"list"}"#, Request::List {}),
            (r#"{"ask":"call","call":"last"}"#, Request::Call { call: "last".to_owned() }),
            (r#"{"ask":"follow"}"#, Request::Follow { caller: None }),
            (r#"{"ask":"follow","caller":"067"}"#, Request::Follow { caller: Some("067".to_owned()) }),
        ] {
            assert_eq!(serde_json::from_str::<Request>(line).unwrap(), request);
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
        }
        for bad in [r#"{"ask":"shut-down"}"#, r#"{"ask":"list","x":1}"#, "{}", ""] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }
}
