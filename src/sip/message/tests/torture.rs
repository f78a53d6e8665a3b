//! The 49 messages of RFC 4475 and the 12 of RFC 5118, each read as the `expectations.tsv` beside it says.

use crate::sip::message::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sip-tests").join(name)
}

/// The datagram of one message.
pub(super) fn octets(name: &str) -> Vec<u8> {
    octets_in("torture", name)
}

fn octets_in(of: &str, name: &str) -> Vec<u8> {
    std::fs::read(folder(of).join(format!("{name}.dat"))).unwrap()
}

/// The lines of the expectation file: message, section, what it reads as.
fn expectations(of: &str) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(folder(of).join("expectations.tsv")).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.map(|line| {
        let mut columns = line.split('\t').map(str::to_owned);
        (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap())
    })
    .collect()
}

/// The names of the messages, as RFC 4475 gives them.
pub(super) fn names() -> Vec<String> {
    expectations("torture").into_iter().map(|(name, ..)| name).collect()
}

fn reads_as(datagram: &[u8]) -> String {
    match Message::parse(datagram) {
        Err(_) => "dropped".to_owned(),
        Ok(message) => match (message.check(), message.method()) {
            (Ok(()), _) => "sound".to_owned(),
            (Err(_), None) => "dropped".to_owned(),
            (Err(defect), Some(_)) => defect.status().to_string(),
        },
    }
}

#[test]
fn every_message_reads_as_listed() {
    for (of, count) in [("torture", 49), ("torture-ipv6", 12)] {
        let listed = expectations(of);
        let files: BTreeSet<String> = std::fs::read_dir(folder(of))
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().into_string().unwrap().strip_suffix(".dat").map(str::to_owned)
            })
            .collect();
        assert_eq!(files, listed.iter().map(|(name, ..)| name.clone()).collect::<BTreeSet<_>>());
        assert_eq!(listed.len(), count);
        let wrong: Vec<String> = listed
            .iter()
            .map(|(name, section, expected)| (name, section, expected, reads_as(&octets_in(of, name))))
            .filter(|(_, _, expected, found)| *expected != found)
            .map(|(name, section, expected, found)| format!("{name} ({section}): {found}, not {expected}"))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// RFC 5118 §4.1–§4.5, §4.9, §4.10: what the references name.
#[test]
fn ipv6_references_are_read_as_rfc_5118_asks() {
    let target = |name: &str| {
        let octets = octets_in("torture-ipv6", name);
        let message = Message::parse(&octets).unwrap();
        let Ok(Uri::Sip(uri)) = message.request_uri() else { panic!("{name}") };
        let Host::Address(address) = uri.host else { panic!("{name}: {:?}", uri.host) };
        (address.to_string(), uri.port)
    };
    assert_eq!(target("ipv6-good"), ("2001:db8::10".to_owned(), None));
    assert_eq!(target("port-ambiguous"), ("2001:db8::10:5070".to_owned(), None));
    assert_eq!(target("port-unambiguous"), ("2001:db8::10".to_owned(), Some(5070)));
    assert_eq!(target("ipv6-bug-abnf-3-colons"), target("ipv6-correct-abnf-2-colons"));
    let via = |name: &str| {
        let octets = octets_in("torture-ipv6", name);
        let message = Message::parse(&octets).unwrap();
        message
            .vias()
            .map(|via| via.map(|via| (via.host, via.received())))
            .map(|via| format!("{via:?}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(via("via-received-param-with-delim"), via("via-received-param-no-delim"));
    assert!(via("via-received-param-no-delim")[0].contains("2001:db8::9:255"));
    assert_eq!(via("mult-ip-in-header").len(), 3);
    assert!(via("ipv4-mapped-ipv6")[0].contains("::ffff:192.0.2.10"));
}

/// The third colon is taken only where the grammar of RFC 3261 puts it (RFC 5118 §4.10).
#[test]
fn three_colons_stand_before_an_ipv4_address_only() {
    for (text, address) in [
        ("sip:a@[2001:db8:::192.0.2.1]", Some("2001:db8::c000:201")),
        ("sip:a@[:::192.0.2.1]", Some("::c000:201")),
        ("sip:a@[2001:db8:::1]", None),
        ("sip:a@[2001:db8::::192.0.2.1]", None),
        ("sip:a@[2001:db8:::1:192.0.2.1]", None),
        ("sip:a@[1::2:::192.0.2.1]", None),
    ] {
        let read = Uri::parse(text.as_bytes()).map(|uri| match uri {
            Uri::Sip(SipUri { host: Host::Address(address), .. }) => address.to_string(),
            other => panic!("{other:?}"),
        });
        assert_eq!(read.as_deref(), address, "{text}");
    }
}

/// Every refusal can be sent: the answer parses, holds the Via that came, and says why.
#[test]
fn every_refusal_can_be_answered() {
    for (name, ..) in expectations("torture") {
        let octets = octets(&name);
        let Ok(message) = Message::parse(&octets) else { continue };
        let (Err(defect), Some(_)) = (message.check(), message.method()) else { continue };
        let source = "192.0.2.77:5099".parse().unwrap();
        let answer = Writer::response(&message, source, defect.status(), &defect.phrase(), Some(b"t1"));
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}")).finish();
        let answer = Message::parse(&answer).unwrap();
        assert_eq!(answer.status(), Some(defect.status()), "{name}");
        for field in [HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
            let same = message.values(field).take(1).eq(answer.values(field));
            assert!(same, "{name}: {field} not echoed");
        }
    }
}

/// The defect named is the one that RFC 4475 describes, not a chance finding.
#[test]
fn defects_are_named() {
    use Defect::*;
    let expected = [
        ("badinv01", Syntax(HeaderName::Via)),
        ("clerr", BodyTruncated),
        ("ncl", Syntax(HeaderName::ContentLength)),
        ("scalar02", Syntax(HeaderName::CSeq)),
        ("scalarlg", Syntax(HeaderName::CSeq)),
        ("quotbal", Syntax(HeaderName::To)),
        ("ltgtruri", RequestUri),
        ("lwsruri", RequestUri),
        ("lwsstart", RequestLine),
        ("trws", RequestLine),
        ("escruri", RequestUri),
        ("baddate", Syntax(HeaderName::Date)),
        ("regbadct", Syntax(HeaderName::Contact)),
        ("badaspec", Syntax(HeaderName::To)),
        ("baddn", Syntax(HeaderName::From)),
        ("badvers", Version),
        ("mismatch01", CSeqMethod),
        ("mismatch02", CSeqMethod),
        ("insuf", Missing(HeaderName::From)),
        ("unkscm", UriScheme),
        ("novelsc", UriScheme),
        ("multi01", Repeated(HeaderName::From)),
        ("mcl01", ContentLengths),
    ];
    for (name, defect) in expected {
        assert_eq!(Message::parse(&octets(name)).unwrap().check(), Err(defect), "{name}");
    }
    assert_eq!(Message::parse(&octets("bigcode")).unwrap_err(), Malformed::StatusLine);
}

#[test]
fn wsinv_is_read_whole() {
    let octets = octets("wsinv");
    let message = Message::parse(&octets).unwrap();
    assert_eq!(message.method(), Some(Method::Invite));
    assert_eq!(message.cseq(), Ok(CSeq { number: 9, method: Method::Invite }));
    assert_eq!(message.max_forwards(), Ok(Some(68)));
    assert_eq!(message.to().unwrap().tag(), Some(&b"1918181833n"[..]));
    let from = message.from().unwrap();
    assert_eq!(from.tag(), Some(&b"98asjd8"[..]));
    assert_eq!(&*from.display_name(), b"J Rosenberg \\\"");
    assert_eq!(message.content_length(), Ok(Some(150)));
    assert_eq!(message.body().len(), 150);
    let vias: Vec<Via> = message.vias().map(Result::unwrap).collect();
    assert_eq!(vias.len(), 3);
    assert_eq!(vias[0].branch_kind(), Branch::Legacy);
    assert_eq!(vias[1].transport, ViaTransport::Tcp);
    assert_eq!(vias[1].host, Host::Name(b"spindle.example.com"));
    assert_eq!(vias[1].branch_kind(), Branch::Unique(b"z9hG4bK9ikj8"));
    assert_eq!(vias[2].host, Host::Address([192, 168, 255, 111].into()));
    assert_eq!(vias[2].branch(), Some(&b"z9hG4bK30239"[..]));
    let contacts: Vec<Contact> = message.contacts().map(Result::unwrap).collect();
    let [Contact::Address(contact)] = contacts[..] else { panic!("{contacts:?}") };
    assert_eq!(&*contact.display_name(), b"Quoted string \"\"");
    assert_eq!(contact.parameters.value("newparam"), Some(&b"newvalue"[..]));
    assert!(contact.parameters.has("SecondParam"));
    assert_eq!(contact.parameters.value("q"), Some(&b"0.33"[..]));
    let route = message.routes().next().unwrap().unwrap();
    let Uri::Sip(route) = route.uri else { panic!("{route:?}") };
    assert!(route.parameters.has("lr"));
    assert_eq!(route.parameters.value("unknownwith"), Some(&b"value"[..]));
    assert_eq!(message.values(HeaderName::Subject).collect::<Vec<_>>(), [b""]);
    let unusual = message.fields().find(|field| field.spelled == b"UnknownHeaderWithUnusualValue").unwrap();
    assert_eq!(unusual.value, b";;,,;;,;");
}

#[test]
fn intmeth_keeps_every_octet() {
    let octets = octets("intmeth");
    let message = Message::parse(&octets).unwrap();
    assert_eq!(message.method(), Some(Method::Other(b"!interesting-Method0123456789_*+`.%indeed'~")));
    let Ok(Uri::Sip(uri)) = message.request_uri() else { panic!() };
    assert_eq!(uri.user, Some(&b"1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"[..]));
    assert_eq!(uri.password, Some(&b"&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"[..]));
    assert_eq!(message.top_via().unwrap().branch(), Some(&b"z9hG4bK-.!%66*_+`'~"[..]));
    assert_eq!(&*message.to().unwrap().display_name(), b"BEL:\x07 NUL:\0 DEL:\x7f");
    let from = message.from().unwrap();
    assert_eq!(from.display, b"token1~` token2'+_ token3*%!.-");
    assert_eq!(from.tag(), Some(&b"_token~1'+`*%!-."[..]));
    assert_eq!(from.parameters.value("fromParam''~+*_!.-%"), Some("\"работающий\"".as_bytes()));
    assert_eq!(message.call_id(), Ok(&b"intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"[..]));
    assert_eq!(message.cseq().unwrap().number, 139_122_385);
}

#[test]
fn escapes_are_resolved_only_where_they_mean_something() {
    let esc01 = octets("esc01");
    let message = Message::parse(&esc01).unwrap();
    let Ok(Uri::Sip(uri)) = message.request_uri() else { panic!() };
    assert_eq!(uri.user, Some(&b"sips%3Auser%40example.com"[..]));
    assert_eq!(uri.host, Host::Name(b"example.net"));
    assert_eq!(message.to().unwrap().uri.user().as_deref(), Some(&b"user"[..]));
    assert_eq!(message.from().unwrap().uri.user().as_deref(), Some(&b"I have spaces"[..]));

    let esc02 = octets("esc02");
    let message = Message::parse(&esc02).unwrap();
    assert_eq!(message.method(), Some(Method::Other(b"RE%47IST%45R")));
    assert_eq!(message.contacts().count(), 2, "C%6Fntact is another field");

    let escnull = octets("escnull");
    let message = Message::parse(&escnull).unwrap();
    let users: Vec<Vec<u8>> = message
        .contacts()
        .map(|contact| match contact.unwrap() {
            Contact::Address(address) => address.uri.user().unwrap().into_owned(),
            Contact::Any => panic!(),
        })
        .collect();
    assert_eq!(users, [b"\0".to_vec(), b"\0\0".to_vec()]);
}

#[test]
fn the_other_valid_messages_are_read_whole() {
    let message = octets("lwsdisp");
    assert_eq!(Message::parse(&message).unwrap().from().unwrap().display, b"caller");

    let message = octets("longreq");
    let message = Message::parse(&message).unwrap();
    assert_eq!(message.vias().filter(Result::is_ok).count(), 34);
    assert_eq!(message.body().len(), 150);

    let message = octets("dblreq");
    let message = Message::parse(&message).unwrap();
    assert_eq!(message.method(), Some(Method::Register));
    assert_eq!(message.body(), b"");

    let message = octets("semiuri");
    let message = Message::parse(&message).unwrap();
    let Ok(Uri::Sip(uri)) = message.request_uri() else { panic!() };
    assert_eq!(uri.user, Some(&b"user;par=u%40example.net"[..]));
    assert_eq!(uri.parameters, Parameters::NONE);
    assert_eq!(message.accept().unwrap().filter(Result::is_ok).count(), 6);

    let message = octets("transports");
    let message = Message::parse(&message).unwrap();
    let transports: Vec<ViaTransport> = message.vias().map(|via| via.unwrap().transport).collect();
    use ViaTransport::{Other, Sctp, Tcp, Tls, Udp};
    assert_eq!(transports, [Udp, Sctp, Tls, Other(b"UNKNOWN"), Tcp]);

    let message = octets("mpart01");
    let message = Message::parse(&message).unwrap();
    assert_eq!(message.body().len(), 553);
    assert_eq!(
        message.content_type().unwrap().unwrap().parameters.value("boundary"),
        Some(&b"7a9cbec02ceef655"[..])
    );

    let message = octets("unreason");
    let expected = "= 2**3 * 5**2 но сто девяносто девять - простое".as_bytes();
    assert_eq!(
        Message::parse(&message).unwrap().start(),
        StartLine::Response { status: 200, reason: expected }
    );

    let message = octets("noreason");
    assert_eq!(Message::parse(&message).unwrap().start(), StartLine::Response { status: 100, reason: b"" });
}

#[test]
fn what_the_endpoint_decides_on_is_readable() {
    let message = octets("badbranch");
    assert_eq!(Message::parse(&message).unwrap().top_via().unwrap().branch_kind(), Branch::Legacy);

    let message = octets("bext01");
    let message = Message::parse(&message).unwrap();
    let tags: Vec<&[u8]> = message.require().map(Result::unwrap).collect();
    assert_eq!(tags, [&b"nothingSupportsThis"[..], b"nothingSupportsThisEither"]);
    assert_eq!(message.proxy_require().count(), 2);

    let message = octets("invut");
    let message = Message::parse(&message).unwrap();
    assert!(!message.content_type().unwrap().unwrap().is("application", "sdp"));

    let message = octets("sdp01");
    let message = Message::parse(&message).unwrap();
    assert!(!message.accept().unwrap().any(|range| range.unwrap().covers("application", "sdp")));

    let message = octets("zeromf");
    assert_eq!(Message::parse(&message).unwrap().max_forwards(), Ok(Some(0)));

    let message = octets("unksm2");
    let message = Message::parse(&message).unwrap();
    assert!(matches!(message.to().unwrap().uri, Uri::Other(OtherUri { scheme: b"isbn", .. })));
    assert!(matches!(message.from().unwrap().uri, Uri::Other(OtherUri { scheme: b"http", .. })));

    let (outside, inside) = (octets("cparam01"), octets("cparam02"));
    let (outside, inside) = (Message::parse(&outside).unwrap(), Message::parse(&inside).unwrap());
    let unknown = |message: &Message<'_>| match message.contacts().next() {
        Some(Ok(Contact::Address(NameAddr { uri: Uri::Sip(uri), parameters, .. }))) => {
            (uri.parameters.has("unknownparam"), parameters.has("unknownparam"))
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(unknown(&outside), (false, true));
    assert_eq!(unknown(&inside), (true, false));

    let message = octets("regescrt");
    let message = Message::parse(&message).unwrap();
    let Some(Ok(Contact::Address(NameAddr { uri: Uri::Sip(uri), .. }))) = message.contacts().next() else {
        panic!()
    };
    assert_eq!(uri.headers, Some(&b"Route=%3Csip:sip.example.com%3E"[..]));

    let message = octets("inv2543");
    let message = Message::parse(&message).unwrap();
    assert_eq!(message.from().unwrap().tag(), None);
    assert_eq!(message.content_length(), Ok(None));
    assert!(message.body().starts_with(b"v=0\r\n") && message.body().ends_with(b"RTP/AVP 0\r\n"));
}
