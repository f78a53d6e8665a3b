//! The typed readers, over what the field sends.

use super::INVITE;
use crate::sip::message::*;
use std::net::IpAddr;

/// A request whose header is `fields` (with their CRLFs) besides nothing else.
fn request(fields: &str) -> Vec<u8> {
    format!("OPTIONS sip:130@192.0.2.10 SIP/2.0\r\n{fields}\r\n").into_bytes()
}

/// A sound request with `fields` added.
fn sound_with(fields: &str) -> Vec<u8> {
    request(&format!(
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:130@b>\r\n\
         Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n{fields}"
    ))
}

fn check(datagram: &[u8]) -> Result<(), Defect> {
    Message::parse(datagram).unwrap().check()
}

fn via(value: &str) -> Option<Via<'_>> {
    Via::parse(value.as_bytes())
}

#[test]
fn an_invite_is_read() {
    let message = Message::parse(INVITE).unwrap();
    assert_eq!(message.check(), Ok(()));
    assert_eq!(message.method(), Some(Method::Invite));
    let Ok(Uri::Sip(uri)) = message.request_uri() else { panic!() };
    assert_eq!((uri.user, uri.port), (Some(&b"130"[..]), Some(5060)));
    assert_eq!(uri.host, Host::Address([192, 0, 2, 10].into()));
    let via = message.top_via().unwrap();
    assert_eq!((via.transport, via.port, via.rport()), (ViaTransport::Udp, Some(5060), Some(Rport::Asked)));
    assert_eq!(message.from().unwrap().tag(), Some(&b"8a1f27"[..]));
    assert_eq!(message.from().unwrap().display_name().as_ref(), b"Arta");
    assert_eq!(message.to().unwrap().tag(), None);
    assert_eq!(message.asserted_identities().filter(Result::is_ok).count(), 2);
    assert_eq!(message.record_routes().filter(Result::is_ok).count(), 1);
    assert_eq!(message.supported().map(Result::unwrap).collect::<Vec<_>>(), [&b"100rel"[..], b"timer"]);
    assert!(message.allow().any(|method| method == Ok(Method::Prack)));
    assert!(message.content_type().unwrap().unwrap().is("application", "SDP"));
    assert_eq!(message.body().len(), 174);
    assert_eq!(message.user_agent(), Some(&b"Border/7.2"[..]));
}

#[test]
fn keep_alives_and_noise_are_told_apart() {
    for keep_alive in [&b""[..], b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b"\n"] {
        assert_eq!(Message::parse(keep_alive).unwrap_err(), Malformed::KeepAlive);
    }
    for noise in [
        &b"hello"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\0\x12",
        b"INVITE sip:130@b\r\n\r\n",
        b" SIP/2.0\r\n\r\n",
    ] {
        assert_eq!(Message::parse(noise).unwrap_err(), Malformed::NotSip, "{noise:?}");
    }
    for status in
        ["SIP/2.0 99 Low", "SIP/2.0 700 High", "SIP/2.0 0200 OK", "SIP/3.0 200 OK", "SIP/2.0 -20 OK"]
    {
        let line = format!("{status}\r\n\r\n");
        assert_eq!(Message::parse(line.as_bytes()).unwrap_err(), Malformed::StatusLine, "{status}");
    }
    assert_eq!(Message::parse(&[b'a'; MAX_MESSAGE_OCTETS + 1]).unwrap_err(), Malformed::TooLong);
    let led = [b"\r\n\r\n", INVITE].concat();
    assert_eq!(Message::parse(&led).unwrap().check(), Ok(()));
}

/// A line that does not end with CRLF is refused, and the refusal can be sent.
#[test]
fn bare_line_ends_are_refused() {
    let lf_only: Vec<u8> = INVITE.iter().copied().filter(|octet| *octet != b'\r').collect();
    let message = Message::parse(&lf_only).unwrap();
    assert_eq!(message.check(), Err(Defect::LineEnd));
    assert_eq!(message.call_id(), Ok(&b"4f3a9c2e-77b1@192.0.2.1"[..]));
    for smuggled in [
        "Subject: a\nContact: <sip:evil@b>\r\n",
        "Subject: a\r\n b\n c\r\n",
        "Subject: a\rContact: <sip:evil@b>\r\n",
    ] {
        assert_eq!(check(&sound_with(smuggled)), Err(Defect::LineEnd), "{smuggled:?}");
    }
    assert_eq!(check(&sound_with("Subject: a\r\n Contact: <sip:evil@b>\r\n")), Ok(()));
}

#[test]
fn header_shape_is_checked() {
    assert_eq!(check(&sound_with("")), Ok(()));
    for line in ["no colon here\r\n", ": no name\r\n", "a b: c\r\n", "Sub(ject: x\r\n", "Subject\r\n : x\r\n"]
    {
        assert_eq!(check(&sound_with(line)), Err(Defect::FieldLine), "{line:?}");
    }
    let mut unended = sound_with("");
    unended.truncate(unended.len() - 2);
    assert_eq!(check(&unended), Err(Defect::Unended));
    let tab =
        sound_with("").iter().map(|octet| if *octet == b' ' { b'\t' } else { *octet }).collect::<Vec<_>>();
    let second = tab.iter().position(|octet| *octet == b'\t').unwrap();
    let first_restored = [&tab[..second], b" ", &tab[second + 1..]].concat();
    assert_eq!(check(&first_restored), Err(Defect::RequestLine));
    let folded_first = request(" folded: onto nothing\r\n");
    assert_eq!(check(&folded_first), Err(Defect::FieldLine));
}

#[test]
fn limits_are_refused_with_513() {
    let exactly = "Q: 1\r\n".repeat(MAX_HEADER_FIELDS - 5);
    assert_eq!(check(&sound_with(&exactly)), Ok(()));
    assert_eq!(check(&sound_with(&(exactly + "Q: 1\r\n"))), Err(Defect::HeaderTooLarge));
    let long = |octets: usize| sound_with(&format!("Q: {}\r\n", "y".repeat(octets - 3)));
    assert_eq!(check(&long(MAX_FIELD_OCTETS)), Ok(()));
    assert_eq!(check(&long(MAX_FIELD_OCTETS + 1)), Err(Defect::HeaderTooLarge));
    assert_eq!(Defect::HeaderTooLarge.status(), 513);
    let uri = format!("OPTIONS sip:{}@b SIP/2.0\r\n\r\n", "1".repeat(MAX_FIELD_OCTETS));
    assert_eq!(check(uri.as_bytes()), Err(Defect::HeaderTooLarge));
}

/// The largest message still fits the index's offsets.
#[test]
fn offsets_hold_at_the_largest_size() {
    let mut datagram = sound_with(&format!("Q: {}\r\n", "y".repeat(8_000)).repeat(8));
    datagram.truncate(datagram.len() - 2);
    datagram.extend_from_slice(b"Subject: last\r\n\r\n");
    datagram.resize(MAX_MESSAGE_OCTETS, b'b');
    let message = Message::parse(&datagram).unwrap();
    assert_eq!(message.check(), Ok(()));
    assert_eq!(message.values(HeaderName::Subject).collect::<Vec<_>>(), [b"last"]);
    assert!(message.body().iter().all(|octet| *octet == b'b'));
}

#[test]
fn content_length_rules_for_datagrams() {
    let with_body = |fields: &str, body: &str| [sound_with(fields), body.as_bytes().to_vec()].concat();
    let datagram = with_body("l: 3\r\n", "abcdef");
    assert_eq!(Message::parse(&datagram).unwrap().body(), b"abc");
    assert_eq!(check(&datagram), Ok(()));
    let datagram = with_body("", "abcdef");
    assert_eq!(Message::parse(&datagram).unwrap().body(), b"abcdef");
    assert_eq!(check(&with_body("l: 7\r\n", "abcdef")), Err(Defect::BodyTruncated));
    assert_eq!(check(&with_body("l: 3\r\nContent-Length: 003\r\n", "abc")), Ok(()));
    assert_eq!(check(&with_body("l: 3\r\nContent-Length: 2\r\n", "abc")), Err(Defect::ContentLengths));
    for bad in ["-3", "+3", "3 3", "3,3", "0x3", "", "4294967296"] {
        let expected = Err(Defect::Syntax(HeaderName::ContentLength));
        assert_eq!(check(&with_body(&format!("l: {bad}\r\n"), "abc")), expected, "{bad}");
    }
}

#[test]
fn mandatory_fields() {
    use HeaderName::{CSeq, CallId, From, To, Via};
    let fields = [
        (Via, "v: SIP/2.0/UDP 192.0.2.1\r\n"),
        (From, "f: <sip:a@b>\r\n"),
        (To, "t: <sip:130@b>\r\n"),
        (CallId, "i: 1\r\n"),
        (CSeq, "CSeq: 1 OPTIONS\r\n"),
    ];
    for (missing, _) in fields {
        let present: String =
            fields.iter().filter(|(name, _)| *name != missing).map(|(_, line)| *line).collect();
        assert_eq!(check(&request(&present)), Err(Defect::Missing(missing)));
    }
    for (repeated, line) in fields.iter().filter(|(name, _)| *name != Via) {
        assert_eq!(check(&sound_with(line)), Err(Defect::Repeated(*repeated)));
    }
}

#[test]
fn cseq_and_numbers() {
    let cseq = |value: &str| {
        let datagram = request(&format!("CSeq: {value}\r\n"));
        Message::parse(&datagram).unwrap().cseq().map(|cseq| cseq.number)
    };
    assert_eq!(cseq("2147483647 OPTIONS"), Ok(2_147_483_647));
    assert_eq!(cseq("0\tACK"), Ok(0));
    for bad in
        ["2147483648 OPTIONS", "1", "1OPTIONS", "OPTIONS", "-1 OPTIONS", "1 OPT IONS", "1 ", "99999999999 A"]
    {
        assert_eq!(cseq(bad), Err(Defect::Syntax(HeaderName::CSeq)), "{bad}");
    }
    for (line, name) in [
        ("Max-Forwards: 256\r\n", HeaderName::MaxForwards),
        ("Max-Forwards: 7 0\r\n", HeaderName::MaxForwards),
        ("Expires: 4294967296\r\n", HeaderName::Expires),
        ("Expires: soon\r\n", HeaderName::Expires),
        ("Retry-After: 9999999999\r\n", HeaderName::RetryAfter),
        ("Retry-After: 5 (unclosed\r\n", HeaderName::RetryAfter),
        ("Content-Type: application\r\n", HeaderName::ContentType),
        ("Content-Disposition: ;handling=optional\r\n", HeaderName::ContentDisposition),
        ("Require: 100 rel\r\n", HeaderName::Require),
        ("Supported: \"timer\"\r\n", HeaderName::Supported),
        ("Route: sip:a@b;lr\r\n", HeaderName::Route),
        ("Record-Route: <sip:a@b;lr>, <>\r\n", HeaderName::RecordRoute),
        ("Contact: <sip:a@b>,\r\n", HeaderName::Contact),
        ("Contact: <sip:a@b\r\n", HeaderName::Contact),
        ("Via: SIP/2.0/UDP\r\n", HeaderName::Via),
    ] {
        assert_eq!(check(&sound_with(line)), Err(Defect::Syntax(name)), "{line:?}");
    }
}

#[test]
fn retry_after_with_comment_and_duration() {
    let datagram = sound_with("Retry-After: 18000 (in a (long) meeting; \\) really) ;duration=3600\r\n");
    let retry = Message::parse(&datagram).unwrap().retry_after().unwrap().unwrap();
    assert_eq!((retry.seconds, retry.parameters.value("duration")), (18_000, Some(&b"3600"[..])));
}

#[test]
fn dates() {
    let date = |value: &str| {
        let datagram = request(&format!("Date: {value}\r\n"));
        Message::parse(&datagram).unwrap().date()
    };
    assert_eq!(date("Sat, 13 Nov 2010 23:29:00 GMT"), Ok(Some("2010-11-13T23:29:00Z".parse().unwrap())));
    for bad in [
        "Sun, 13 Nov 2010 23:29:00 GMT",
        "Sat, 31 Feb 2010 23:29:00 GMT",
        "Sat, 13 Nov 2010 24:29:00 GMT",
        "13 Nov 2010",
        "",
    ] {
        assert_eq!(date(bad), Err(Defect::Syntax(HeaderName::Date)), "{bad}");
    }
}

#[test]
fn vias() {
    let plain = via("SIP/2.0/UDP host.example.com").unwrap();
    assert_eq!((plain.host, plain.port, plain.branch()), (Host::Name(b"host.example.com"), None, None));
    let v6: IpAddr = "2001:db8::9:1".parse().unwrap();
    for text in [
        "SIP/2.0/UDP [2001:db8::9:1]:5061;received=2001:db8::9:255;branch=z9hG4bKas3-111",
        "SIP / 2.0 / UDP  [2001:db8::9:1] : 5061 ;received=[2001:db8::9:255]; branch = z9hG4bKas3-111",
    ] {
        let via = via(text).unwrap();
        assert_eq!((via.host, via.port), (Host::Address(v6), Some(5061)), "{text}");
        assert_eq!(via.received(), Some("2001:db8::9:255".parse().unwrap()));
        assert_eq!(via.branch_kind(), Branch::Unique(b"z9hG4bKas3-111"));
    }
    assert_eq!(via("SIP/2.0/UDP a;rport=5070").unwrap().rport(), Some(Rport::Seen(5070)));
    assert_eq!(via("SIP/2.0/UDP a;rport=x").unwrap().rport(), None);
    assert_eq!(via("SIP/2.0/UDP a;branch=Z9HG4BKx").unwrap().branch_kind(), Branch::Unique(b"Z9HG4BKx"));
    for bad in [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ;branch=1",
        "SIP/2.0 host",
        "SIP/2.0/UDP a b",
        "SIP/2.0/UDP a;",
        "SIP/2.0/UDP a:99999",
        "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP 1.2.3.400",
        "SIP/2.0/UDP a;branch=",
        "SIP/2.0/UDP[::1]",
        "SIP/2.0/UDP 2001:db8::1",
    ] {
        assert_eq!(via(bad), None, "{bad}");
    }
}

#[test]
fn addresses() {
    let read = |value: &'static str| NameAddr::parse(value.as_bytes());
    let comma = read("\"Bell, Alexander \\\"Al\\\" <x>\" <sip:a@b;p=1>;tag=2").unwrap();
    assert_eq!(&*comma.display_name(), b"Bell, Alexander \"Al\" <x>");
    assert_eq!(comma.tag(), Some(&b"2"[..]));
    let bare = read("sip:a@b;tag=2").unwrap();
    assert_eq!((bare.uri.raw(), bare.tag()), (&b"sip:a@b"[..], Some(&b"2"[..])));
    let angle_in_parameter = read("sip:a@b;note=\"<x>\";tag=2").unwrap();
    assert_eq!(angle_in_parameter.tag(), Some(&b"2"[..]));
    let tel = read("<tel:+355672123456>").unwrap();
    assert_eq!(tel.uri.user().as_deref(), Some(&b"+355672123456"[..]));
    let latin = NameAddr::parse(b"Andr\xe9 Hox\xeb <sip:a@b>").unwrap();
    assert_eq!(latin.display, b"Andr\xe9 Hox\xeb");
    assert_eq!(NameAddr::parse(b"\"\xeb \xff\" <sip:a@b>").unwrap().display_name().as_ref(), b"\xeb \xff");
    for bad in [
        "",
        "<>",
        "<sip:a@b",
        "sip:a@b>",
        "\"open <sip:a@b>",
        "\"closed\" sip:a@b",
        "< sip:a@b>",
        "a, b <sip:a@b>",
        "<sip:a@b> trailing",
        "<sip:a@b>;",
        "sip:a@b?x=y",
        "nothing",
        "<sip:a@b>;tag=\"open",
        "sip:a@b,sip:c@d",
    ] {
        assert_eq!(read(bad), None, "{bad}");
    }
}

#[test]
fn uris() {
    let read = |uri: &'static str| Uri::parse(uri.as_bytes());
    let Some(Uri::Sip(full)) =
        read("sips:al%69ce:pass@[2001:db8::1]:5061;transport=tcp;lr?Subject=x&Priority=y")
    else {
        panic!()
    };
    assert!(full.secure && full.parameters.has("LR"));
    assert_eq!(
        (full.user, full.password, full.port),
        (Some(&b"al%69ce"[..]), Some(&b"pass"[..]), Some(5061))
    );
    assert_eq!(&*unescape(full.user.unwrap()), b"alice");
    assert_eq!(full.headers, Some(&b"Subject=x&Priority=y"[..]));
    let Some(Uri::Tel(tel)) = read("tel:130;phone-context=+355") else { panic!() };
    assert_eq!((tel.number, tel.parameters.value("phone-context")), (&b"130"[..], Some(&b"+355"[..])));
    assert!(matches!(read("TEL:+355-67-212-3456"), Some(Uri::Tel(_))));
    assert!(matches!(read("sip:*130#@b"), Some(Uri::Sip(_))));
    assert!(matches!(read("urn:service:sos"), Some(Uri::Other(OtherUri { scheme: b"urn", .. }))));
    for bad in [
        "",
        "sip",
        "sip:",
        "sip:@b",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@c",
        "sip:a@b;",
        "sip:a@b;=x",
        "sip:a@b;x=",
        "sip:a%4@b",
        "sip:a%zz@b",
        "sip:a@b:port",
        "sip:a@b:65536",
        "sip:a@[::1",
        "sip:a@1.2.3",
        "sip:a@b?",
        "sip:<a>@b",
        "tel:",
        "tel:+",
        "tel:+35x",
        "tel:+1;",
        "1sip:a@b",
        ":a",
        "urn:",
        "urn:a b",
    ] {
        assert_eq!(read(bad), None, "{bad}");
    }
    assert_eq!(&*unescape(b"a%4"), b"a%4");
    assert_eq!(&*unescape(b"%zz%41%"), b"%zzA%");
}

/// RFC 3325 §9.1 allows one or two; senders repeat, join and fold them, and use names and no brackets.
#[test]
fn asserted_identities() {
    let read = |fields: &str| -> Result<Vec<Vec<u8>>, Defect> {
        let datagram = sound_with(fields);
        let message = Message::parse(&datagram).unwrap();
        message
            .asserted_identities()
            .map(|value| value.map(|address| address.uri.user().unwrap().into_owned()))
            .collect()
    };
    let number = b"+355672123456".to_vec();
    assert_eq!(read("P-Asserted-Identity: <tel:+355672123456>\r\n"), Ok(vec![number.clone()]));
    assert_eq!(read("p-asserted-identity: tel:+355672123456\r\n"), Ok(vec![number.clone()]));
    for both in [
        "P-Asserted-Identity: \"A, B\" <sip:+355672123456@ims.al>, <tel:+355672123456>\r\n",
        "P-Asserted-Identity: <sip:+355672123456@ims.al>\r\nP-ASSERTED-IDENTITY: tel:+355672123456\r\n",
        "P-Asserted-Identity: <sip:+355672123456@ims.al>,\r\n\t<tel:+355672123456>\r\n",
        "P-Asserted-Identity:\r\n  <sip:%2B355672123456@ims.al;user=phone> ,\r\n <tel:+355672123456>\r\n",
    ] {
        assert_eq!(read(both), Ok(vec![number.clone(), number.clone()]), "{both:?}");
    }
    assert_eq!(read(""), Ok(vec![]));
    let bad = Err(Defect::Syntax(HeaderName::PAssertedIdentity));
    assert_eq!(read("P-Asserted-Identity: <tel:+355672123456>,\r\n"), bad);
    assert_eq!(read("P-Asserted-Identity: Anonymous\r\n"), bad);
}

/// A caller identity that cannot be read makes the caller unknown, not the call malformed.
#[test]
fn a_bad_identity_or_privacy_is_not_a_bad_request() {
    assert_eq!(check(&sound_with("P-Asserted-Identity: nonsense\r\nPrivacy: \"\r\n")), Ok(()));
}

#[test]
fn privacy() {
    let read = |fields: &str| -> Result<Vec<Vec<u8>>, Defect> {
        let datagram = sound_with(fields);
        let message = Message::parse(&datagram).unwrap();
        message.privacy().map(|value| value.map(<[u8]>::to_vec)).collect()
    };
    let expected = vec![b"id".to_vec(), b"critical".to_vec()];
    for fields in
        ["Privacy: id;critical\r\n", "Privacy: id , critical\r\n", "privacy: id\r\nPrivacy:\r\n critical\r\n"]
    {
        assert_eq!(read(fields), Ok(expected.clone()), "{fields:?}");
    }
    assert_eq!(read("Privacy: \"id\"\r\n"), Err(Defect::Syntax(HeaderName::Privacy)));
}

#[test]
fn lists_of_tokens_pass_over_empty_elements() {
    let datagram = sound_with("Allow: INVITE,, ACK,\r\nSupported:\r\nAccept:\r\n");
    let message = Message::parse(&datagram).unwrap();
    assert_eq!(message.check(), Ok(()));
    assert_eq!(message.allow().map(Result::unwrap).collect::<Vec<_>>(), [Method::Invite, Method::Ack]);
    assert_eq!(message.supported().count(), 0);
    assert_eq!(message.accept().unwrap().count(), 0, "an empty Accept accepts nothing");
    assert!(Message::parse(INVITE).unwrap().accept().is_none());
}

#[test]
fn accept_ranges() {
    let datagram = sound_with("Accept: text/*;q=0.5,\r\n application/SDP;level=1, */*\r\n");
    let message = Message::parse(&datagram).unwrap();
    let ranges: Vec<MediaRange> = message.accept().unwrap().map(Result::unwrap).collect();
    assert_eq!(
        ranges.iter().map(|range| range.covers("application", "sdp")).collect::<Vec<_>>(),
        [false, true, true]
    );
    assert_eq!(ranges[0].parameters.value("q"), Some(&b"0.5"[..]));
}

#[test]
fn methods_are_case_sensitive() {
    let datagram = request("").iter().map(u8::to_ascii_lowercase).collect::<Vec<_>>();
    assert_eq!(Message::parse(&datagram).unwrap().method(), Some(Method::Other(b"options")));
    let telephone = b"INVITE tel:+355672123456 SIP/2.0\r\n\r\n";
    assert!(matches!(Message::parse(telephone).unwrap().request_uri(), Ok(Uri::Tel(_))));
}
