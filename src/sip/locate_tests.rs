use super::*;
use crate::sip::message::Uri;
use rand::SeedableRng;
use std::collections::HashMap;

const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// A small DNS: lines like `NAPTR example.com 10 50 s SIP+D2U _sip._udp.example.com`, `SRV NAME PRIORITY WEIGHT PORT
/// TARGET` and `A NAME ADDRESS`.
fn zone(text: &str) -> HashMap<Question, Records> {
    let mut zone = HashMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| cells[at].parse().expect("a number");
        match cells[0] {
            "NAPTR" => {
                let record = Naptr {
                    order: number(2),
                    preference: number(3),
                    flags: cells[4].to_owned(),
                    services: cells[5].to_owned(),
                    replacement: cells[6].to_owned(),
                };
                match zone.entry(Question::Naptr(cells[1].to_owned())).or_insert(Records::Naptr(vec![])) {
                    Records::Naptr(records) => records.push(record),
                    other => panic!("{other:?}"),
                }
            }
            "SRV" => {
                let record = Srv {
                    priority: number(2),
                    weight: number(3),
                    port: number(4),
                    target: cells[5].to_owned(),
                };
                match zone.entry(Question::Srv(cells[1].to_owned())).or_insert(Records::Srv(vec![])) {
                    Records::Srv(records) => records.push(record),
                    other => panic!("{other:?}"),
                }
            }
            _ => {
                let address = cells[2].parse().expect("an address");
                let name = Question::Addresses(cells[1].to_owned());
                match zone.entry(name).or_insert(Records::Addresses(vec![])) {
                    Records::Addresses(records) => records.push(address),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    zone
}

/// The targets of a URI in that zone, as `UDP 192.0.2.1:5060`, and how many questions were asked.
fn located(uri: &str, usable: &[Transport], zone: &HashMap<Question, Records>) -> (Vec<String>, usize) {
    let Some(Uri::Sip(uri)) = Uri::parse(uri.as_bytes()) else { panic!("{uri}") };
    let mut random = StdRng::seed_from_u64(1);
    let mut locator = Locator::new(&uri, usable).expect("usable");
    let mut asked = 0;
    while let Some(question) = locator.question() {
        asked += 1;
        let none = match question {
            Question::Naptr(_) => Records::Naptr(vec![]),
            Question::Srv(_) => Records::Srv(vec![]),
            Question::Addresses(_) => Records::Addresses(vec![]),
        };
        locator.answer(zone.get(&question).cloned().unwrap_or(none), &mut random);
    }
    let targets = locator.targets().unwrap_or_default();
    (targets.iter().map(|t| format!("{} {}", t.transport.via_name(), t.address)).collect(), asked)
}

fn targets(uri: &str, text: &str) -> Vec<String> {
    located(uri, &ALL, &zone(text)).0
}

#[test]
fn an_address_is_not_looked_up() {
    for (uri, target) in [
        ("sip:192.0.2.1", "UDP 192.0.2.1:5060"),
        ("sip:a@192.0.2.1:5070", "UDP 192.0.2.1:5070"),
        ("sip:192.0.2.1;transport=tcp", "TCP 192.0.2.1:5060"),
        ("sips:192.0.2.1", "TLS 192.0.2.1:5061"),
        ("sip:192.0.2.1;transport=tls", "TLS 192.0.2.1:5061"),
        ("sips:192.0.2.1:5065;transport=tcp", "TLS 192.0.2.1:5065"),
        ("sip:[2001:db8::1]:5070", "UDP [2001:db8::1]:5070"),
        ("sip:example.com;maddr=192.0.2.7", "UDP 192.0.2.7:5060"),
    ] {
        assert_eq!(located(uri, &ALL, &HashMap::new()), (vec![target.to_owned()], 0), "{uri}");
    }
}

#[test]
fn naptr_chooses_the_transport_srv_the_servers_and_a_the_addresses() {
    // The example of RFC 3263 §4.1, with a regular expression and a service of others in between.
    let text = "
        NAPTR example.com 90 50 s SIP+D2U _sip._udp.example.com
        NAPTR example.com 50 50 s SIPS+D2T _sips._tcp.example.com
        NAPTR example.com 40 10 u E2U+sip _x.example.com
        NAPTR example.com 90 20 s SIP+D2T _sip._tcp.example.com
        SRV _sips._tcp.example.com 0 1 5061 secure.example.com
        SRV _sip._tcp.example.com 0 1 5060 server1.example.com
        SRV _sip._tcp.example.com 1 1 5060 server2.example.com
        SRV _sip._udp.example.com 0 1 5090 server2.example.com
        A server1.example.com 192.0.2.1
        A server2.example.com 192.0.2.2
        A secure.example.com 192.0.2.3";
    assert_eq!(
        targets("sip:example.com", text),
        ["TLS 192.0.2.3:5061", "TCP 192.0.2.1:5060", "TCP 192.0.2.2:5060", "UDP 192.0.2.2:5090"]
    );
    assert_eq!(targets("sips:example.com", text), ["TLS 192.0.2.3:5061"]);
    // What is not listened on is passed over.
    let udp = located("sip:example.com", &[Transport::Udp], &zone(text)).0;
    assert_eq!(udp, ["UDP 192.0.2.2:5090"]);
    // A transport in the URI leaves NAPTR out, a port SRV as well.
    assert_eq!(targets("sip:example.com;transport=tcp", text), ["TCP 192.0.2.1:5060", "TCP 192.0.2.2:5060"]);
    assert_eq!(targets("sip:server1.example.com:5099", text), ["UDP 192.0.2.1:5099"]);
    assert_eq!(targets("sip:server1.example.com:5099;transport=tcp", text), ["TCP 192.0.2.1:5099"]);
}

#[test]
fn without_naptr_each_transport_s_srv_is_asked_and_without_srv_the_host() {
    let srv = "
        SRV _sip._udp.example.com 0 0 5070 a.example.com
        SRV _sips._tcp.example.com 0 0 5071 a.example.com
        A a.example.com 192.0.2.1
        A a.example.com 2001:db8::1";
    assert_eq!(
        targets("sip:example.com", srv),
        ["UDP 192.0.2.1:5070", "UDP [2001:db8::1]:5070", "TLS 192.0.2.1:5071", "TLS [2001:db8::1]:5071"]
    );
    let host = "A example.com 192.0.2.9";
    assert_eq!(targets("sip:example.com.", host), ["UDP 192.0.2.9:5060"]);
    assert_eq!(targets("sips:example.com", host), ["TLS 192.0.2.9:5061"]);
    assert_eq!(targets("sip:example.com;transport=tcp", host), ["TCP 192.0.2.9:5060"]);
    let tcp_only = located("sip:example.com", &[Transport::Tcp], &zone(host)).0;
    assert_eq!(tcp_only, ["TCP 192.0.2.9:5060"]);
}

#[test]
fn a_service_that_is_decidedly_not_there_is_not_guessed_at() {
    let text = "
        SRV _sip._udp.example.com 0 0 5060 .
        A example.com 192.0.2.9";
    let zone = zone(text);
    assert!(located("sip:example.com", &[Transport::Udp], &zone).0.is_empty());
    assert!(targets("sip:nowhere.example", "").is_empty());
}

#[test]
fn transports_that_cannot_be_had_are_refused() {
    let refused = |text: &str, usable: &[Transport]| {
        let Some(Uri::Sip(uri)) = Uri::parse(text.as_bytes()) else { panic!("{text}") };
        Locator::new(&uri, usable).expect_err("refused")
    };
    assert_eq!(refused("sips:example.com", &[Transport::Udp, Transport::Tcp]), LocateError::NoTransport);
    assert_eq!(refused("sip:example.com;transport=tcp", &[Transport::Udp]), LocateError::NoTransport);
    assert_eq!(refused("sip:example.com;transport=sctp", &ALL), LocateError::NoTransport);
    assert_eq!(refused("sips:example.com;transport=udp", &ALL), LocateError::NoTransport);
}

#[test]
fn priorities_come_in_order_and_weights_by_share() {
    let record =
        |priority, weight, target: &str| Srv { priority, weight, port: 1, target: target.to_owned() };
    let records = [record(2, 9, "last"), record(1, 30, "much"), record(1, 10, "less"), record(1, 0, "none")];
    let mut random = StdRng::seed_from_u64(7);
    let mut first: HashMap<String, u32> = HashMap::new();
    for _ in 0..10_000 {
        let order = ordered(records.to_vec(), &mut random);
        assert_eq!(order.len(), 4);
        assert_eq!(order[3].target, "last");
        *first.entry(order[0].target.clone()).or_default() += 1;
    }
    // 30 of 41, 10 of 41 and 1 of 41.
    assert!((7_000..7_650).contains(&first["much"]), "{first:?}");
    assert!((2_100..2_800).contains(&first["less"]), "{first:?}");
    assert!((150..400).contains(&first["none"]), "{first:?}");
    let again = |seed| ordered(records.to_vec(), &mut StdRng::seed_from_u64(seed));
    assert_eq!(again(3), again(3));
}

#[test]
fn what_the_dns_says_is_bounded() {
    let mut text = String::new();
    for host in 0..100 {
        text += &format!("SRV _sip._udp.example.com {host} 0 5060 h{host}.example.com\n");
        for address in 0..100 {
            text += &format!("A h{host}.example.com 192.0.{host}.{address}\n");
        }
    }
    let (found, asked) = located("sip:example.com", &[Transport::Udp], &zone(&text));
    assert_eq!(found.len(), MAX_TARGETS);
    assert!(asked <= MAX_QUESTIONS, "{asked}");
    // Hosts without addresses do not keep it busy for ever either.
    let empty: String = (0..100)
        .map(|host| format!("SRV _sip._udp.example.com {host} 0 5060 h{host}.example.com\n"))
        .collect();
    let (found, asked) = located("sip:example.com", &[Transport::Udp], &zone(&empty));
    assert!(found.is_empty() && asked <= MAX_QUESTIONS, "{asked}");
}

#[test]
fn only_a_server_that_does_not_answer_or_cannot_serve_is_left() {
    assert!(fails_over(503) && fails_over(408));
    assert!(!fails_over(200) && !fails_over(401) && !fails_over(486) && !fails_over(500));
}
