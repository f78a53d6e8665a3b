use super::*;
use proptest::prelude::*;

const INVITE: &[u8] = include_bytes!("../../sip-tests/messages/invite.sip");

fn masked(text: &str) -> String {
    String::from_utf8(mask(text.as_bytes())).unwrap()
}

/// A request with `line` among its fields.
fn with(line: &str) -> String {
    format!(
        "INVITE sip:130@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.100:5060;branch=z9hG4bK0672123456;received=192.168.100.200\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:130@192.0.2.1>\r\nCall-ID: 355672123456-0672123456@192.168.100.200\r\n\
         CSeq: 123456789 INVITE\r\n{line}\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn numbers_are_hidden_where_they_name_somebody() {
    for (whole, hidden) in [
        ("P-Asserted-Identity: <tel:+355672123456>", "P-Asserted-Identity: <tel:+35567...3456>"),
        ("P-Asserted-Identity: tel:+355-67.212(34)56", "P-Asserted-Identity: tel:+355-67....(34)56"),
        (
            "P-Asserted-Identity: \"Agron 067 212 3456\" <sip:0672123456@192.168.100.200:5060;user=phone>",
            "P-Asserted-Identity: \"Agron 067 ... 3456\" <sip:067...3456@192.168.100.200:5060;user=phone>",
        ),
        (
            "Contact: <sip:355672123456;rn=+35569999999@[2001:db8::1]:5060>",
            "Contact: <sip:35567...3456;rn=+3556...9999@[2001:db8::1]:5060>",
        ),
        ("Contact: <sip:192.168.100.200:5060>", "Contact: <sip:192.168.100.200:5060>"),
        ("Contact: <sip:%30%36%372123456@x>", "Contact: <sip:%30%36%37...3456@x>"),
        (
            "Diversion: <sip:u0672123456@x>;reason=unconditional",
            "Diversion: <sip:u067...3456@x>;reason=unconditional",
        ),
        (
            "History-Info: <sip:0672123456@x?Reason=SIP>;index=1, <tel:0683123456>;index=1.1",
            "History-Info: <sip:067...3456@x?Reason=SIP>;index=1, <tel:068...3456>;index=1.1",
        ),
        (
            "Remote-Party-ID: \"a\" <sip:0672123456@10.10.10.10>;party=calling",
            "Remote-Party-ID: \"a\" <sip:067...3456@10.10.10.10>;party=calling",
        ),
        ("X-Caller: 0672123456", "X-Caller: 067...3456"),
        ("X-Id: a0672123456", "X-Id: a0672123456"),
        ("Subject: thirr 042250928 tani", "Subject: thirr 04...0928 tani"),
        (
            "Authorization: Digest username=\"0672123456\", uri=\"sip:0672123456@x\", nonce=\"a12345678\"",
            "Authorization: Digest username=\"067...3456\", uri=\"sip:067...3456@x\", nonce=\"a12345678\"",
        ),
        (
            "Identity: eyJhbGci.eyJkZXN0Ijp7InRuIjpb.sig0672123456;info=<https://c.example/a.pem>",
            "Identity: eyJhbGci.xxxxxxxxxxxxxxxxxxxx.sig0672123456;info=<https://c.example/a.pem>",
        ),
        ("f: <sip:0672123456@x>;tag=355672123456", "f: <sip:067...3456@x>;tag=355672123456"),
    ] {
        assert_eq!(masked(&with(whole)), with(hidden));
    }
}

#[test]
fn the_request_line_and_a_description_s_names_are_hidden_and_the_rest_is_left() {
    let body = "v=0\r\no=355672123456 2890844526 2890844527 IN IP4 192.168.100.200\r\ns=0672123456\r\np=+355 67 2123456\r\n\
                c=IN IP4 192.168.100.200\r\nt=2873397496 2873404696\r\nm=audio 40000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n";
    let text = |uri: &str, body: &str| {
        format!(
            "BYE {uri} SIP/2.0\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let hidden = body
        .replace("o=355672123456", "o=35567...3456")
        .replace("s=0672123456", "s=067...3456")
        .replace("p=+355 67 2123456", "p=+355 67 ...3456");
    assert_eq!(masked(&text("tel:0672123456", body)), text("tel:067...3456", &hidden));
    assert_eq!(masked("SIP/2.0 404 No 0672123456 here\r\n\r\n"), "SIP/2.0 404 No 067...3456 here\r\n\r\n");
    assert_eq!(masked("no SIP 0672123456"), "no SIP 067...3456", "what does not parse is text");
}

#[test]
fn a_message_without_numbers_stays_as_it_is() {
    let text = with("Warning: 399 klikon \"nothing\"");
    assert_eq!(masked(&text), text);
}

#[test]
fn a_number_that_begins_like_an_address_is_hidden() {
    let text = "INVITE sip:130@a SIP/2.0\r\nFrom: \"0.0.0.30(00(00\" <sip:a@a>;tag=1\r\n\r\n";
    assert!(!masked(text).contains("30(00(00"), "{}", masked(text));
}

/// A telephone number as it may be written, and its digits.
fn number() -> impl Strategy<Value = String> {
    let separator = prop_oneof![4 => Just(""), 1 => Just("-"), 1 => Just("."), 1 => Just("(")];
    let digit = (0..10u8, separator, prop::bool::weighted(0.1));
    (any::<bool>(), prop::collection::vec(digit, 6..=15)).prop_map(|(plus, digits)| {
        let mut text = String::from(if plus { "+" } else { "" });
        for (index, (digit, separator, escaped)) in digits.iter().enumerate() {
            if index > 0 {
                text.push_str(separator);
            }
            text.push_str(&if *escaped { format!("%3{digit}") } else { digit.to_string() });
        }
        text
    })
}

/// The longest run of digits, with escapes resolved and separators passed over.
fn longest_run(value: &[u8]) -> usize {
    let plain = crate::sip::message::unescape(value);
    let (mut longest, mut run) = (0, 0);
    for octet in plain.iter().filter(|octet| !matches!(octet, b'-' | b'(' | b')')) {
        run = if octet.is_ascii_digit() { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// What must not change: how messages of a call and a transaction find each other.
fn names(message: &Message<'_>) -> Vec<Option<Vec<u8>>> {
    let tag = |address: Result<crate::sip::message::NameAddr<'_>, _>| {
        address.ok().and_then(|a| a.tag().map(<[u8]>::to_vec))
    };
    vec![
        message.call_id().ok().map(<[u8]>::to_vec),
        message.top_via().ok().map(|via| via.raw.to_vec()),
        message.cseq().ok().map(|cseq| cseq.number.to_be_bytes().to_vec()),
        tag(message.from()),
        tag(message.to()),
    ]
}

proptest! {
    #[test]
    fn no_number_is_left_in_any_address_and_the_message_still_reads(
        numbers in prop::collection::vec(number(), 8),
        tag in "[0-9]{6,12}",
        scheme in prop_oneof![Just("sip"), Just("sips"), Just("SIP")],
    ) {
        let plain = |text: &str| text.replace('%', "");
        let text = format!(
            "INVITE {scheme}:{}@192.168.100.200 SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.100.200;branch=z9hG4bK{tag}\r\nMax-Forwards: 70\r\n\
             From: \"{}\" <{scheme}:{}@192.168.100.200:50600>;tag={tag}\r\nTo: <tel:{}>\r\nCall-ID: {tag}@192.168.100.200\r\n\
             CSeq: 123456 INVITE\r\nContact: <{scheme}:{}@192.168.100.200:50600;transport=udp>\r\n\
             P-Asserted-Identity: <tel:{}>\r\nP-Preferred-Identity: {scheme}:{}@x\r\n\
             Diversion: <tel:{}>;reason=deflection\r\nContent-Length: 0\r\n\r\n",
            numbers[0], plain(&numbers[1]), numbers[2], plain(&numbers[3]), numbers[4], plain(&numbers[5]), numbers[6], plain(&numbers[7]),
        );
        let masked = mask(text.as_bytes());
        prop_assert_eq!(masked.len(), text.len());
        let (before, after) = (Message::parse(text.as_bytes()).unwrap(), Message::parse(&masked).unwrap());
        prop_assert_eq!(before.check(), after.check());
        prop_assert_eq!(names(&before), names(&after));
        prop_assert!(after.request_uri().is_ok() && after.contacts().all(|c| c.is_ok()));
        let uri = after.request_uri().unwrap();
        prop_assert!(longest_run(&uri.user().unwrap()) < NUMBER_DIGITS_MIN);
        for address in [after.from(), after.to()].into_iter().chain(after.asserted_identities()) {
            let address = address.unwrap();
            prop_assert!(longest_run(&address.uri.user().unwrap()) < NUMBER_DIGITS_MIN, "{}", String::from_utf8_lossy(&masked));
            prop_assert!(longest_run(address.display) < NUMBER_DIGITS_MIN);
        }
        for name in [HeaderName::Contact, HeaderName::PPreferredIdentity, HeaderName::Diversion] {
            let user = after.values(name).next().unwrap().split(|o| *o == b'@').next().unwrap();
            prop_assert!(longest_run(user) < NUMBER_DIGITS_MIN, "{}", String::from_utf8_lossy(&masked));
        }
    }

    #[test]
    fn whatever_the_octets_the_length_stays(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(mask(&octets).len(), octets.len());
    }

    #[test]
    fn a_message_that_was_cut_or_changed_is_masked_without_harm(at in 0..INVITE.len(), octet: u8, end in 0..INVITE.len()) {
        let mut changed = INVITE.to_vec();
        changed[at] = octet;
        changed.truncate(end.max(at));
        prop_assert_eq!(mask(&changed).len(), changed.len());
    }
}

#[test]
fn the_work_grows_with_the_length_alone() {
    // Were it with its square, these would take minutes.
    for pattern in ["a", "sip:", "sip:a@", ";tag=", "1", "1.", "@", "tel:1"] {
        let text = pattern.repeat(400_000);
        assert_eq!(mask(text.as_bytes()).len(), text.len());
    }
}
