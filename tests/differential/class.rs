//! The classes of differences, each with its reason.

use crate::view::{Raw, Typed};
use klikon::sip::message::{Defect, Malformed};

/// How two readers differ over one message.
#[derive(Debug)]
pub enum Difference {
    OnlyTheirsReads {
        refusal: Malformed,
    },
    OnlyOursReads {
        refusal: String,
    },
    /// First line, names and values of the fields, or body.
    Raw {
        defect: Option<Defect>,
        ours: Raw,
        theirs: Raw,
    },
    /// A field that both type; `value` is all its values as on the wire, unfolded.
    Typed {
        field: &'static str,
        value: String,
        ours: Typed,
        theirs: Typed,
    },
}

/// A class of differences.
pub struct Class {
    pub name: &'static str,
    pub reason: &'static str,
    holds: fn(&Difference) -> bool,
}

/// The class of a difference, as an index of [`CLASSES`].
pub fn of(difference: &Difference) -> Option<usize> {
    CLASSES.iter().position(|class| (class.holds)(difference))
}

const ADDRESSES: [&str; 4] = ["from", "to", "contact", "route"];

/// Only ours refuses a field.
fn ours_refuses<'a>(difference: &'a Difference, fields: &[&str]) -> Option<&'a str> {
    match difference {
        Difference::Typed { field, value, ours: Some(Err(())), theirs: Some(Ok(_)) }
            if fields.contains(field) =>
        {
            Some(value)
        }
        _ => None,
    }
}

/// Only theirs refuses a field.
fn theirs_refuses<'a>(difference: &'a Difference, fields: &[&str]) -> Option<&'a str> {
    match difference {
        Difference::Typed { field, value, ours: Some(Ok(_)), theirs: Some(Err(())) }
            if fields.contains(field) =>
        {
            Some(value)
        }
        _ => None,
    }
}

pub const CLASSES: [Class; 13] = [
    Class {
        name: "a version that is none",
        reason: "theirs takes any third word of a request line for a version and leaves 505 to its user; without SIP/ and digits we see no SIP and answer nothing",
        holds: |it| matches!(it, Difference::OnlyTheirsReads { refusal: Malformed::NotSip }),
    },
    Class {
        name: "a status line of another version",
        reason: "a response of another version than SIP/2.0 is dropped here at once; theirs keeps it for its user",
        holds: |it| matches!(it, Difference::OnlyTheirsReads { refusal: Malformed::StatusLine }),
    },
    Class {
        name: "Content-Length twice, with one value",
        reason: "RFC 3261 §7.3.1 forbids the repetition; it misleads nobody where both agree, so we read it",
        holds: |it| matches!(it, Difference::OnlyOursReads { refusal } if refusal.contains("ContentLengthRepeated")),
    },
    Class {
        name: "line ends or NULs before the first line",
        reason: "RFC 3261 §7.5 has them passed over on streams; we pass over them in datagrams too, and over NULs that keep a binding alive",
        holds: |it| {
            matches!(it, Difference::OnlyOursReads { refusal } if refusal.contains("Empty") || refusal.contains("BareNewline") || refusal.contains("LeadingFold")
                || refusal.contains("StartLine(Method)"))
        },
    },
    Class {
        name: "octets in a URI that ought to be escaped",
        reason: "above 127, # and the like, a % without its digits in a URI of another scheme: we let them pass as they are and echo them; a user part that holds them is no number of ours",
        holds: |it| match it {
            Difference::OnlyOursReads { refusal } => refusal.contains("IllegalCharacter"),
            other => theirs_refuses(other, &ADDRESSES)
                .is_some_and(|value| has_high_octet(value) || value.contains(['#', '{', '}', '|', '^', '%'])),
        },
    },
    Class {
        name: "a parameter of a Request-URI twice",
        reason: "RFC 3261 §19.1.1 forbids the repetition; none of them changes what is called here",
        holds: |it| matches!(it, Difference::OnlyOursReads { refusal } if refusal.contains("DuplicateParameterName")),
    },
    Class {
        name: "a folded first line",
        reason: "theirs reads a reason phrase on across a fold; to us the second line is a field without a name, and the message is refused",
        holds: |it| matches!(it, Difference::Raw { defect: Some(_), ours, theirs } if ours.start != theirs.start),
    },
    Class {
        name: "white space in a Call-ID",
        reason: "a Call-ID is one word (RFC 3261 §25.1); theirs takes the value as it is",
        holds: |it| ours_refuses(it, &["call-id"]).is_some(),
    },
    Class {
        name: "a host, port or transport of Via that is none",
        reason: "we answer to a Via, so that its sent-by must be a host and a port; theirs does not look into host names",
        holds: |it| ours_refuses(it, &["via"]).is_some(),
    },
    Class {
        name: "a URI with a host or parameter that is none",
        reason: "we check host names, schemes and parameters when a field is read, theirs when they are asked for",
        holds: |it| ours_refuses(it, &ADDRESSES).is_some(),
    },
    Class {
        name: "parameters whose octets are no token",
        reason: "we pass over what we have no use for and echo it octet by octet; theirs types every parameter",
        holds: |it| {
            theirs_refuses(it, &["via", "from", "to", "contact", "route", "content-type"])
                .is_some_and(has_odd_parameter)
        },
    },
    Class {
        name: "white space around the colon of sent-by",
        reason: "the grammar has COLON there, which may stand between white space; theirs wants none",
        holds: |it| {
            theirs_refuses(it, &["via"])
                .is_some_and(|value| [": ", " :", ":\\t", "\\t:"].iter().any(|colon| value.contains(colon)))
        },
    },
    Class {
        name: "a fold in a display name",
        reason: "theirs makes a space of it; we give the name as it came, for the call layer to escape",
        holds: |it| match it {
            Difference::Typed { field, ours: Some(Ok(ours)), theirs: Some(Ok(_)), .. } => {
                ADDRESSES.contains(field) && ours.contains("\\\\r")
            }
            _ => false,
        },
    },
];

/// Whether an octet above 127 stands in a value, which is text with escapes.
fn has_high_octet(value: &str) -> bool {
    value
        .split("\\x")
        .skip(1)
        .any(|rest| rest.starts_with(|digit: char| matches!(digit, '8'..='9' | 'a'..='f')))
}

/// Whether something after the first semicolon is neither a token nor quoted nor a host.
fn has_odd_parameter(value: &str) -> bool {
    let token = |octet: char| octet.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(octet);
    value.split([';', ',']).skip(1).any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let odd_value = |octet: char| !(token(octet) || "[]:".contains(octet));
        let (name, value) = (name.trim(), value.trim());
        name.is_empty()
            || !name.chars().all(token)
            || (!value.starts_with("\\\"") && value.contains(odd_value))
    })
}
