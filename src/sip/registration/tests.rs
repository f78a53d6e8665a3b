//! Registrations in virtual time: each REGISTER passes through an endpoint, so that what a registrar would read is what
//! the tests read.

use super::*;
use crate::sip::auth::{Credentials, Ha1};
use crate::sip::message::Message;
use crate::sip::{Counter, Endpoint, EndpointConfig, Event, Flow, Transport};
use crate::units::clock::Clock;
use rand::SeedableRng;

const PASSWORD: &str = "o so secret";

fn settings() -> RegistrationSettings {
    RegistrationSettings {
        registrar: "sip:pbx.example".to_owned(),
        address_of_record: "sip:klikon@pbx.example".to_owned(),
        contact_user: "130".to_owned(),
        auth_user: "klikon-auth".to_owned(),
        password: Some(Secret::new(PASSWORD)),
        realm: None,
        expires_s: 3600,
        outbound_proxy: None,
    }
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().expect("an address"),
        remote: "192.0.2.9:5060".parse().expect("an address"),
    }
}

/// A registration, and the endpoint that its requests go through.
struct Bench {
    registration: Registration,
    endpoint: Endpoint,
    now: Instant,
    random: StdRng,
}

impl Bench {
    fn new(settings: RegistrationSettings) -> Self {
        let (now, mut random) = (Clock::system().instant(), StdRng::seed_from_u64(5));
        let registration = Registration::new(settings, now, &mut random);
        Self { registration, endpoint: Endpoint::new(EndpointConfig::new([9; 32])), now, random }
    }

    /// Sends what a step has to send, and gives the request as it stands on the wire.
    fn sent(&mut self, step: Step) -> String {
        let params = step.send.expect("a REGISTER");
        self.endpoint.register(self.now, flow(), &params).expect("sent");
        let transmit = self.endpoint.poll_transmit().expect("sent");
        let message = Message::parse(&transmit.bytes).expect("reads");
        assert_eq!(message.check(), Ok(()));
        let text = String::from_utf8(transmit.bytes.to_vec()).expect("text");
        rsip::SipMessage::try_from(text.as_str()).expect("rsip reads it");
        text
    }

    /// The REGISTER that is due.
    fn due(&mut self) -> String {
        let at = self.registration.poll_timeout().expect("something is due");
        self.now = self.now.max(at);
        let step = self.registration.handle_timeout(self.now, &mut self.random);
        self.sent(step)
    }

    /// The registrar's answer to `request`, through the endpoint and into the registration.
    fn answer(&mut self, request: &str, status: u16, fields: &str) -> Step {
        let copied = |name: &str| field(request, name).expect("there");
        let response = format!(
            "SIP/2.0 {status} Whatever\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=r\r\nCall-ID: {}\r\nCSeq: {}\r\n{fields}\
             Content-Length: 0\r\n\r\n",
            copied("Via"),
            copied("From"),
            copied("To"),
            copied("Call-ID"),
            copied("CSeq"),
        );
        self.endpoint.handle_datagram(self.now, flow(), response.as_bytes());
        match self.endpoint.poll_event() {
            Some(Event::RegisterEnded { outcome, .. }) => {
                self.registration.handle_outcome(self.now, &outcome, &mut self.random)
            }
            other => panic!("no outcome: {other:?}\n{response}"),
        }
    }

    fn registered(&mut self) -> String {
        let request = self.due();
        let step = self.answer(&request, 200, "Contact: <sip:130@192.0.2.1:5060>;expires=3600\r\n");
        assert!(self.registration.is_registered(), "{step:?}");
        request
    }

    fn wait(&self) -> Duration {
        self.registration.poll_timeout().expect("something is due") - self.now
    }
}

fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn challenge(nonce: &str, more: &str) -> String {
    format!("WWW-Authenticate: Digest realm=\"pbx\", nonce=\"{nonce}\", qop=\"auth\"{more}\r\n")
}

/// Verifies an answer as a registrar would, and gives its nonce and count.
fn verified(request: &str, name: &str) -> (String, String) {
    let value = field(request, name).expect("an answer");
    let credentials = Credentials::parse(value.as_bytes()).expect("reads");
    let ha1 = Ha1::new(credentials.algorithm(), b"klikon-auth", &credentials.realm, PASSWORD.as_bytes());
    assert!(credentials.is_answer_of(&ha1, b"REGISTER"), "{value}");
    let uri = request.split(' ').nth(1).expect("a Request-URI");
    assert_eq!(credentials.uri, uri.as_bytes());
    let count = credentials.protection.map(|p| String::from_utf8_lossy(p.count.as_bytes()).into_owned());
    (String::from_utf8_lossy(&credentials.nonce).into_owned(), count.unwrap_or_default())
}

fn cseq(request: &str) -> u32 {
    field(request, "CSeq").and_then(|value| value.split(' ').next()?.parse().ok()).expect("a number")
}

#[test]
fn the_first_register_says_who_and_where() {
    let mut bench = Bench::new(settings());
    let request = bench.due();
    assert!(request.starts_with("REGISTER sip:pbx.example SIP/2.0\r\n"), "{request}");
    assert_eq!(field(&request, "To"), Some("<sip:klikon@pbx.example>"));
    assert!(field(&request, "From").is_some_and(|from| from.starts_with("<sip:klikon@pbx.example>;tag=")));
    assert_eq!(field(&request, "Contact"), Some("<sip:130@192.0.2.1:5060>;expires=3600"));
    assert_eq!(field(&request, "Expires"), Some("3600"));
    assert_eq!(field(&request, "Supported"), Some("path"));
    assert_eq!(field(&request, "Authorization"), None);
    assert_eq!(field(&request, "Route"), None);
    assert_eq!(bench.endpoint.counters().get(Counter::RegistersSent), 1);
    assert_eq!(bench.registration.poll_timeout(), None, "it waits for the outcome");
}

#[test]
fn the_life_of_the_binding_is_what_the_registrar_says_of_our_contact() {
    for (fields, expires_s, refresh_s) in [
        ("Contact: <sip:x@192.0.2.77>;expires=7, <sip:130@192.0.2.1:5060>;expires=120\r\n", 120, 60),
        ("Contact: <sip:130@192.0.2.1:5060;x=y>;expires=90\r\nExpires: 1800\r\n", 90, 45),
        ("Contact: <sip:130@10.0.0.1:5060>\r\nExpires: 1800\r\n", 1800, 1200),
        ("Contact: <sip:130@192.0.2.1:5060>;expires=1\r\n", 10, 5),
        ("", 3600, 3000),
    ] {
        let mut bench = Bench::new(settings());
        let request = bench.due();
        let step = bench.answer(&request, 200, fields);
        assert_eq!(step.news, [News::Registered { expires_s }], "{fields}");
        assert_eq!(bench.wait(), Duration::from_secs(refresh_s), "{fields}");
    }
}

#[test]
fn refreshes_have_one_call_id_and_rising_cseqs() {
    let mut bench = Bench::new(settings());
    let first = bench.registered();
    let second = bench.due();
    assert_eq!(field(&first, "Call-ID"), field(&second, "Call-ID"));
    assert_eq!((cseq(&first), cseq(&second)), (1, 2));
    let step = bench.answer(&second, 200, "Expires: 600\r\n");
    assert_eq!(step.news, [News::Refreshed]);
    assert_eq!(bench.wait(), Duration::from_secs(300));
}

#[test]
fn the_strongest_challenge_is_answered_and_its_nonce_used_again() {
    let offered = |nonce: &str| {
        challenge(&format!("{nonce}-md5"), "")
            + &challenge(&format!("{nonce}-sha"), ", algorithm=SHA-256")
            + &challenge(&format!("{nonce}-512"), ", algorithm=SHA-512-256")
            + &challenge("unknown", ", algorithm=SHA3-256")
            + "WWW-Authenticate: Basic realm=\"pbx\"\r\n"
    };
    let mut bench = Bench::new(settings());
    let request = bench.due();
    let step = bench.answer(&request, 401, &offered("a"));
    assert!(step.news.is_empty());
    let answered = bench.sent(step);
    assert_eq!(verified(&answered, "Authorization"), ("a-512".to_owned(), "00000001".to_owned()));
    assert_eq!((cseq(&request), cseq(&answered)), (1, 2));
    bench.answer(&answered, 200, "");
    for count in 2..20 {
        let refresh = bench.due();
        assert_eq!(verified(&refresh, "Authorization"), ("a-512".to_owned(), format!("{count:08x}")));
        assert_eq!(bench.answer(&refresh, 200, "").news, [News::Refreshed]);
    }
}

#[test]
fn every_algorithm_and_the_oldest_form_are_answered() {
    for more in [
        "",
        ", algorithm=MD5",
        ", algorithm=MD5-sess",
        ", algorithm=SHA-256",
        ", algorithm=SHA-256-sess, opaque=\"x\"",
        ", algorithm=SHA-512-256",
    ] {
        let mut bench = Bench::new(settings());
        let request = bench.due();
        let step = bench.answer(&request, 401, &challenge("n", more));
        let answered = bench.sent(step);
        assert_eq!(verified(&answered, "Authorization").0, "n", "{more}");
    }
    let mut bench = Bench::new(settings());
    let request = bench.due();
    let step = bench.answer(&request, 401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n");
    let answered = bench.sent(step);
    assert_eq!(verified(&answered, "Authorization"), ("n".to_owned(), String::new()));
}

#[test]
fn a_proxy_and_the_registrar_are_both_answered() {
    let mut bench = Bench::new(settings());
    let request = bench.due();
    let step = bench.answer(
        &request,
        407,
        "Proxy-Authenticate: Digest realm=\"proxy\", nonce=\"p\", qop=\"auth-int,auth\"\r\n",
    );
    let by_proxy = bench.sent(step);
    assert_eq!(verified(&by_proxy, "Proxy-Authorization").0, "p");
    let step = bench.answer(&by_proxy, 401, &challenge("r", ""));
    let both = bench.sent(step);
    assert_eq!(verified(&both, "Proxy-Authorization"), ("p".to_owned(), "00000002".to_owned()));
    assert_eq!(verified(&both, "Authorization"), ("r".to_owned(), "00000001".to_owned()));
    assert_eq!(bench.answer(&both, 200, "").news.len(), 1);
}

#[test]
fn a_stale_nonce_is_replaced_once_without_counting_as_a_failure() {
    let mut bench = Bench::new(settings());
    let request = bench.due();
    let step = bench.answer(&request, 401, &challenge("one", ""));
    let answered = bench.sent(step);
    let step = bench.answer(&answered, 401, &challenge("two", ", stale=true"));
    assert!(step.news.is_empty());
    let again = bench.sent(step);
    assert_eq!(verified(&again, "Authorization"), ("two".to_owned(), "00000001".to_owned()));
    // A registrar that never has enough is not asked for ever.
    let step = bench.answer(&again, 401, &challenge("three", ", stale=true"));
    assert!(step.send.is_none());
    assert!(matches!(&*step.news, [News::Failed { why: RegisterFailure::WrongCredentials, .. }]));
}

#[test]
fn a_nonce_of_an_earlier_round_may_be_refused_without_being_called_stale() {
    let mut bench = Bench::new(settings());
    let request = bench.due();
    let step = bench.answer(&request, 401, &challenge("one", ""));
    let answered = bench.sent(step);
    bench.answer(&answered, 200, "");
    let refresh = bench.due();
    assert_eq!(verified(&refresh, "Authorization").0, "one");
    let step = bench.answer(&refresh, 401, &challenge("two", ""));
    let again = bench.sent(step);
    assert_eq!(verified(&again, "Authorization").0, "two");
    assert_eq!(bench.answer(&again, 200, "").news, [News::Refreshed]);
}

#[test]
fn a_wrong_password_is_not_hammered() {
    let mut bench = Bench::new(settings());
    let start = bench.now;
    let mut requests = 0;
    while bench.now < start + Duration::from_secs(24 * 3600) {
        let request = bench.due();
        let step = bench.answer(&request, 401, &challenge("x", ""));
        let answered = bench.sent(step);
        let step = bench.answer(&answered, 401, &challenge("y", ""));
        assert!(step.send.is_none(), "asked again at once");
        assert!(matches!(&*step.news, [News::Failed { why: RegisterFailure::WrongCredentials, .. }]));
        requests += 1;
        bench.now = bench.registration.poll_timeout().expect("it is tried again");
    }
    assert!((24..60).contains(&requests), "{requests} tries in a day");
}

#[test]
fn what_cannot_be_answered_is_not_answered() {
    let fields = challenge("x", "");
    for (settings, fields) in [
        (RegistrationSettings { password: None, ..settings() }, &*fields),
        (RegistrationSettings { realm: Some("other".to_owned()), ..settings() }, &*fields),
        (settings(), "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"\r\n"),
        (settings(), "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD6\r\n"),
        (settings(), ""),
    ] {
        let mut bench = Bench::new(settings);
        let request = bench.due();
        let step = bench.answer(&request, 401, fields);
        assert!(step.send.is_none(), "{fields}");
        assert!(matches!(&*step.news, [News::Failed { why: RegisterFailure::UnanswerableChallenge, .. }]));
    }
}

#[test]
fn an_interval_that_is_too_brief_is_lengthened_once() {
    let mut bench = Bench::new(RegistrationSettings { expires_s: 60, ..settings() });
    let request = bench.due();
    let step = bench.answer(&request, 423, "Min-Expires: 300\r\n");
    let longer = bench.sent(step);
    assert_eq!(field(&longer, "Contact"), Some("<sip:130@192.0.2.1:5060>;expires=300"));
    let step = bench.answer(&longer, 423, "Min-Expires: 600\r\n");
    assert!(step.send.is_none());
    assert!(matches!(&*step.news, [News::Failed { why: RegisterFailure::NoEnd(423), .. }]));
    for nonsense in ["", "Min-Expires: 60\r\n", "Min-Expires: 4294967295\r\n", "Min-Expires: x\r\n"] {
        let mut bench = Bench::new(RegistrationSettings { expires_s: 60, ..settings() });
        let request = bench.due();
        assert!(bench.answer(&request, 423, nonsense).send.is_none(), "{nonsense}");
    }
}

#[test]
fn retry_after_of_a_503_is_kept() {
    let mut bench = Bench::new(settings());
    let request = bench.due();
    let step = bench.answer(&request, 503, "Retry-After: 120 (busy)\r\n");
    let [News::Failed { why: RegisterFailure::Refused(503), again_after }] = &*step.news else {
        panic!("{step:?}")
    };
    assert!((120..=132).contains(&again_after.as_secs()), "{again_after:?}");
    assert_eq!(bench.wait(), *again_after);
}

#[test]
fn failures_in_a_row_are_tried_again_ever_more_seldom_and_a_success_ends_that() {
    let mut bench = Bench::new(settings());
    for bound_s in [30, 60, 120, 240, 480, 960, 1800, 1800] {
        bench.due();
        let outcome = RegisterOutcome::TimedOut;
        let step = bench.registration.handle_outcome(bench.now, &outcome, &mut bench.random);
        assert!(matches!(&*step.news, [News::Failed { why: RegisterFailure::TimedOut, .. }]));
        let bound = Duration::from_secs(bound_s);
        assert!((bound / 2..=bound).contains(&bench.wait()), "{:?} of {bound:?}", bench.wait());
    }
    bench.registered();
    bench.due();
    let step = bench.registration.handle_outcome(bench.now, &RegisterOutcome::NotFound, &mut bench.random);
    assert!(matches!(&*step.news, [News::Failed { why: RegisterFailure::NotFound, .. }]));
    assert!(bench.wait() <= Duration::from_secs(30));
}

#[test]
fn a_redirection_is_followed_and_not_for_ever() {
    let mut bench = Bench::new(RegistrationSettings {
        outbound_proxy: Some("sip:proxy.example".to_owned()),
        ..settings()
    });
    let request = bench.due();
    assert_eq!(field(&request, "Route"), Some("<sip:proxy.example;lr>"));
    assert_eq!(bench.registration.destination(), "sip:proxy.example");
    let step = bench.answer(&request, 302, "Contact: <tel:+355>, <sip:klikon@two.example:5070>\r\n");
    let redirected = bench.sent(step);
    assert!(redirected.starts_with("REGISTER sip:two.example:5070 SIP/2.0\r\n"), "{redirected}");
    assert_eq!(field(&redirected, "Route"), None);
    assert_eq!(bench.registration.destination(), "sip:two.example:5070");
    let step = bench.answer(&redirected, 302, "Contact: <sip:three.example>\r\n");
    let redirected = bench.sent(step);
    let step = bench.answer(&redirected, 302, "Contact: <sip:two.example:5070>\r\n");
    assert!(matches!(&*step.news, [News::Failed { why: RegisterFailure::NoEnd(302), .. }]));
    // The next round begins where it was told to.
    assert!(bench.due().starts_with("REGISTER sip:pbx.example SIP/2.0\r\n"));
}

#[test]
fn routes_of_the_service_and_the_path_are_kept_while_bound() {
    let mut bench = Bench::new(settings());
    let request = bench.due();
    let fields = "Service-Route: <sip:p1.example;lr>, <sip:p2.example;lr>\r\nPath: <sip:edge.example;lr>\r\nExpires: 60\r\n";
    bench.answer(&request, 200, fields);
    assert_eq!(bench.registration.service_route(), ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]);
    assert_eq!(bench.registration.path(), ["<sip:edge.example;lr>"]);
    let refresh = bench.due();
    bench.answer(&refresh, 200, "Service-Route: <sip:p1.example;lr>, nonsense\r\nExpires: 60\r\n");
    assert!(bench.registration.service_route().is_empty(), "half a route leads elsewhere");
}

#[test]
fn a_binding_that_cannot_be_refreshed_lapses_once() {
    let mut bench = Bench::new(settings());
    let request = bench.due();
    bench.answer(&request, 200, "Expires: 60\r\n");
    let mut lapsed = 0;
    for _ in 0..10 {
        bench.now = bench.registration.poll_timeout().expect("something is due");
        let step = bench.registration.handle_timeout(bench.now, &mut bench.random);
        lapsed += step.news.iter().filter(|news| **news == News::Lapsed).count();
        if step.send.is_some() {
            bench.registration.handle_outcome(bench.now, &RegisterOutcome::Unreachable, &mut bench.random);
        }
    }
    assert_eq!(lapsed, 1);
    assert!(!bench.registration.is_registered());
    let request = bench.due();
    assert_eq!(bench.answer(&request, 200, "").news, [News::Registered { expires_s: 3600 }]);
}

#[test]
fn a_stop_takes_the_binding_away() {
    let mut bench = Bench::new(settings());
    let request = bench.due();
    let step = bench.answer(&request, 401, &challenge("n", ""));
    let answered = bench.sent(step);
    bench.answer(&answered, 200, "");
    let step = bench.registration.unregister(&mut bench.random);
    let gone = bench.sent(step);
    assert_eq!(field(&gone, "Contact"), Some("<sip:130@192.0.2.1:5060>;expires=0"));
    assert_eq!(verified(&gone, "Authorization"), ("n".to_owned(), "00000002".to_owned()));
    assert_eq!(cseq(&gone), 3);
    let step = bench.answer(&gone, 200, "");
    assert_eq!(step.news, [News::Unregistered]);
    assert!(bench.registration.is_over() && bench.registration.poll_timeout().is_none());
    assert!(bench.registration.handle_timeout(bench.now, &mut bench.random).send.is_none());
}

#[test]
fn a_stop_without_a_binding_sends_nothing_and_one_that_fails_is_over() {
    let mut bench = Bench::new(settings());
    assert!(bench.registration.unregister(&mut bench.random).send.is_none());
    assert!(bench.registration.is_over());
    let mut bench = Bench::new(settings());
    bench.registered();
    let step = bench.registration.unregister(&mut bench.random);
    bench.sent(step);
    bench.registration.handle_outcome(bench.now, &RegisterOutcome::TimedOut, &mut bench.random);
    assert!(bench.registration.is_over() && !bench.registration.is_registered());
}

#[test]
fn no_password_stands_in_any_debug_output() {
    let mut bench = Bench::new(settings());
    let request = bench.due();
    let step = bench.answer(&request, 401, &challenge("n", ""));
    let shown = format!("{:?} {:?} {step:?}", bench.registration, settings());
    assert!(!shown.contains(PASSWORD) && !shown.contains("response="), "{shown}");
}

#[test]
fn a_seed_replays_a_registration() {
    let run = || {
        let mut bench = Bench::new(settings());
        let request = bench.due();
        let step = bench.answer(&request, 401, &challenge("n", ""));
        bench.sent(step)
    };
    assert_eq!(run(), run());
}

/// RFC 7616 §3.5: the nonce of Authentication-Info is used for the next request, and saves it a challenge.
#[test]
fn the_next_nonce_that_a_registrar_names_is_used() {
    let mut bench = Bench::new(settings());
    let request = bench.due();
    let step = bench.answer(&request, 401, &challenge("one", ""));
    let request = bench.sent(step);
    assert_eq!(verified(&request, "Authorization"), ("one".to_owned(), "00000001".to_owned()));
    let bound = "Contact: <sip:130@192.0.2.1:5060>;expires=3600\r\n";
    let named = "Authentication-Info: qop=auth, rspauth=\"00\", NextNonce=\"two\"\r\n";
    bench.answer(&request, 200, &format!("{bound}{named}"));
    let mut request = bench.due();
    assert_eq!(verified(&request, "Authorization"), ("two".to_owned(), "00000001".to_owned()));
    // None, an empty one and one that cannot be read leave the nonce that holds.
    for (count, none) in
        (2..).zip(["", "Authentication-Info: nextnonce=\"\"\r\n", "Authentication-Info: nextnonce\r\n"])
    {
        bench.answer(&request, 200, &format!("{bound}{none}"));
        request = bench.due();
        assert_eq!(verified(&request, "Authorization"), ("two".to_owned(), format!("{count:08x}")), "{none}");
    }
}

/// RFC 5626 §4.4: calls come by the connection that the registration opened.
#[test]
fn a_lost_connection_renews_the_registration_at_once_but_not_without_end() {
    let mut bench = Bench::new(settings());
    bench.registration.connection_lost(bench.now);
    bench.registered();
    let refresh = bench.wait();
    bench.now += Duration::from_secs(60);
    bench.registration.connection_lost(bench.now);
    assert_eq!(bench.wait(), Duration::ZERO);
    let request = bench.due();
    // While it is out there is nothing to renew.
    bench.registration.connection_lost(bench.now);
    bench.answer(&request, 200, "Contact: <sip:130@192.0.2.1:5060>;expires=3600\r\n");
    assert_eq!(bench.wait(), refresh);
    bench.registration.connection_lost(bench.now);
    assert_eq!(bench.wait(), RENEWAL_MIN, "a server that closes each connection");
    let step = bench.registration.unregister(&mut bench.random);
    bench.sent(step);
    bench.registration.connection_lost(bench.now);
    assert_eq!(bench.registration.poll_timeout(), None, "no more of it is wanted");
}
