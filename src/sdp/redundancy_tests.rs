//! Redundant payloads (RFC 2198) in session descriptions: offered, answered, passed over.

use super::*;
use crate::units::rtp::{Encoding, Redundancy, StreamParameters};

fn ours(redundancy: RedundancyPolicy) -> Capabilities {
    let capabilities = Capabilities::new("192.0.2.130".parse().expect("an address"), 40_000, 7);
    let encodings = [Encoding::G711.as_slice(), &[Encoding::AmrWb]].concat();
    Capabilities { redundancy, ..capabilities.with(Codecs::new(encodings)) }
}

fn offer(lines: &str) -> Vec<u8> {
    let lines = lines.lines().map(|line| format!("{}\r\n", line.trim())).collect::<String>();
    format!("v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n{lines}")
        .into_bytes()
}

/// The answer's media line and what it says of `red`, and what is agreed.
fn answered(lines: &str, policy: RedundancyPolicy) -> (String, Vec<String>, StreamParameters) {
    let offer = Offer::parse(&offer(lines)).expect("a description");
    let (answer, agreed) = negotiate(&offer, &ours(policy)).expect("agreed");
    let answer = String::from_utf8(answer).expect("UTF-8");
    let number = agreed.redundancy.map_or(255, |redundancy| redundancy.receive_payload_type).to_string();
    let of_red = |line: &&str| line.contains("red/") || line.starts_with(&format!("a=fmtp:{number} "));
    let media = answer.lines().find(|line| line.starts_with("m=")).unwrap_or_default();
    (media.to_owned(), answer.lines().filter(of_red).map(str::to_owned).collect(), agreed)
}

const FOR_KEYS: &str = "m=audio 5004 RTP/AVP 121 8 101
    a=rtpmap:121 red/8000/1
    a=fmtp:121 101/101/101
    a=rtpmap:101 telephone-event/8000";

#[test]
fn red_of_events_is_answered_behind_them_for_the_plain_payloads_are_usual() {
    let (media, red, agreed) = answered(FOR_KEYS, RedundancyPolicy::Answered);
    assert_eq!(media, "m=audio 40000 RTP/AVP 8 101 121");
    assert_eq!(red, ["a=rtpmap:121 red/8000", "a=fmtp:121 101/101/101"]);
    assert_eq!(agreed.redundancy, Some(Redundancy::new(121)));
}

#[test]
fn where_the_settings_refuse_it_it_is_passed_over() {
    let (media, red, agreed) = answered(FOR_KEYS, RedundancyPolicy::Refused);
    assert_eq!((media.as_str(), red.len(), agreed.redundancy), ("m=audio 40000 RTP/AVP 8 101", 0, None));
}

#[test]
fn only_red_that_can_hold_keys_is_taken() {
    let events = "a=rtpmap:101 telephone-event/8000";
    for (list, red, expected) in [
        ("8 121 101", "a=rtpmap:121 red/8000\na=fmtp:121 8/8", None),
        ("8 121 101", "a=rtpmap:121 RED/8000\na=fmtp:121 8/101", Some(121)),
        ("8 101 121", "a=rtpmap:121 red/8000", Some(121)),
        ("8 101 121", "a=rtpmap:121 red/48000/2\na=fmtp:121 101/101", None),
        (
            "8 101 120 121",
            "a=rtpmap:120 red/8000\na=fmtp:120 0/0\na=rtpmap:121 red/8000\na=fmtp:121 101/101",
            Some(121),
        ),
        ("8 101", "a=rtpmap:121 red/8000\na=fmtp:121 101/101", None),
    ] {
        let lines = format!("m=audio 5004 RTP/AVP {list}\n{red}\n{events}");
        let (media, said, agreed) = answered(&lines, RedundancyPolicy::Answered);
        assert_eq!(agreed.redundancy.map(|redundancy| redundancy.payload_type), expected, "{lines}");
        assert_eq!((media.ends_with(" 121"), said.len()), (expected.is_some(), expected.map_or(0, |_| 2)));
    }
}

#[test]
fn where_keys_are_tones_red_holds_audio() {
    let lines = "m=audio 5004 RTP/AVP 8 121\na=rtpmap:121 red/8000\na=fmtp:121 8/8";
    let (media, red, agreed) = answered(lines, RedundancyPolicy::Answered);
    assert_eq!(media, "m=audio 40000 RTP/AVP 8 121");
    assert_eq!(red, ["a=rtpmap:121 red/8000", "a=fmtp:121 8/8/8"]);
    assert_eq!((agreed.telephone_event, agreed.redundancy), (None, Some(Redundancy::new(121))));
    let events_only = "m=audio 5004 RTP/AVP 8 121\na=rtpmap:121 red/8000\na=fmtp:121 101/101";
    assert_eq!(answered(events_only, RedundancyPolicy::Answered).2.redundancy, None);
}

#[test]
fn red_is_offered_only_where_that_is_wanted_once_for_each_clock_of_keys() {
    let offered = |policy| String::from_utf8(super::offer(&ours(policy))).expect("UTF-8");
    for policy in [RedundancyPolicy::Refused, RedundancyPolicy::Answered] {
        assert!(!offered(policy).contains("red/"));
    }
    let offered = offered(RedundancyPolicy::Offered);
    assert!(offered.contains("m=audio 40000 RTP/AVP 8 0 98 99 101 102 121 122\r\n"), "{offered}");
    for line in [
        "a=rtpmap:121 red/8000",
        "a=fmtp:121 101/101/101",
        "a=rtpmap:122 red/16000",
        "a=fmtp:122 102/102/102",
    ] {
        assert!(offered.contains(&format!("{line}\r\n")), "{offered}");
    }
}

#[test]
fn an_answer_that_takes_red_may_number_it_anew_and_one_without_it_is_an_answer_too() {
    let capabilities = ours(RedundancyPolicy::Offered);
    let with = offer(
        "m=audio 5004 RTP/AVP 8 97 98
         a=rtpmap:97 telephone-event/8000
         a=rtpmap:98 red/8000
         a=fmtp:98 97/97",
    );
    let agreed = accept_answer(&capabilities, &with).expect("agreed");
    assert_eq!(agreed.redundancy, Some(Redundancy { payload_type: 98, receive_payload_type: 121 }));
    let without = offer("m=audio 5004 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000");
    assert_eq!(accept_answer(&capabilities, &without).expect("agreed").redundancy, None);
    let mut exchange = Exchange::new(capabilities);
    exchange.offer();
    assert_eq!(exchange.accept(&with).expect("agreed").redundancy, agreed.redundancy);
}

#[test]
fn a_refresh_keeps_the_number_that_we_receive() {
    let mut exchange = Exchange::new(ours(RedundancyPolicy::Answered));
    let theirs = offer(&FOR_KEYS.replace("121", "119"));
    let (_, agreed) = exchange.answer(&theirs).expect("agreed");
    assert_eq!(exchange.accept_repeated(&theirs).expect("agreed").redundancy, agreed.redundancy);
}
