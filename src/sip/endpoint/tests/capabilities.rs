//! What is said of our capabilities is compared with what the ladder really takes.

use super::super::capabilities::{ALLOW, EXTENSIONS, METHODS, SUPPORTED};
use super::*;
use crate::sip::message::Method;

/// Every method that has a name here.
const KNOWN: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "INFO",
    "PRACK",
    "UPDATE",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "MESSAGE",
    "PUBLISH",
];

fn list(value: &str) -> Vec<&str> {
    value.split(", ").filter(|element| !element.is_empty()).collect()
}

#[test]
fn what_is_said_is_what_stands_in_the_table() {
    assert_eq!(list(ALLOW), METHODS.iter().map(Method::to_string).collect::<Vec<_>>());
    assert_eq!(list(SUPPORTED), EXTENSIONS);
}

/// A method is refused with 405 exactly where Allow leaves it out, in a dialog and outside.
#[test]
fn allow_names_the_methods_that_are_taken() {
    for method in KNOWN {
        let mut bench = Bench::new();
        let (_, ok) = bench.established();
        for message in [request(method, "", "").replace("call-1", "call-2"), within(&ok, method, 7, "")] {
            let sent = bench.receive(message);
            let refused = first_lines(&sent).contains(&"SIP/2.0 405 Method Not Allowed");
            assert_eq!(refused, !list(ALLOW).contains(&method), "{method}: {sent:?}");
        }
    }
}

/// An extension may be required exactly where Supported names it.
#[test]
fn supported_names_the_extensions_that_may_be_required() {
    for tag in ["100rel", "timer", "replaces", "path", "outbound", "norefersub", "precondition", "TIMER"] {
        let extra = format!("Require: {tag}\r\nContent-Type: application/sdp\r\n");
        let sent = Bench::new().receive(request("INVITE", &extra, SDP));
        let refused = first_lines(&sent) == ["SIP/2.0 420 Bad Extension"];
        let named = list(SUPPORTED).iter().any(|named| named.eq_ignore_ascii_case(tag));
        assert_eq!(refused, !named, "{tag}: {sent:?}");
    }
}

/// One table: OPTIONS outside and within a dialog, the INVITE's 200 and a 405 tell the same.
#[test]
fn every_answer_tells_the_same() {
    let mut bench = Bench::new();
    let options = bench.receive(request("OPTIONS", "", "").replace("call-1", "call-2")).remove(0);
    let (_, ok) = bench.established();
    let within_dialog = bench.receive(within(&ok, "OPTIONS", 2, "")).remove(0);
    let not_allowed = bench.receive(request("PUBLISH", "", "").replace("call-1", "call-3")).remove(0);
    for (name, value) in [("Allow", ALLOW), ("Supported", SUPPORTED)] {
        for answer in [&options, &within_dialog, &ok] {
            assert_eq!(field(answer, name), Some(value), "{name}: {answer}");
        }
    }
    assert_eq!(field(&not_allowed, "Allow"), Some(ALLOW));
    for name in ["Accept", "Accept-Encoding", "Accept-Language"] {
        assert_eq!(field(&options, name), field(&within_dialog, name), "{name}");
    }
}
