//! Challenges by the endpoint: whom, when, and that they cost nothing.

use super::*;
use crate::sip::auth::{Account, Algorithm, Authentication, Challenge, Ha1, Policy, User};
use std::sync::Arc;

/// Challenges everybody but one address.
#[derive(Debug)]
struct AllBut(&'static str);

impl Policy for AllBut {
    fn challenges(&self, flow: &Flow) -> bool {
        flow.remote.ip().to_string() != self.0
    }
}

const ACCOUNT: Account<'_> = Account { username: b"lider", password: b"sekret" };

fn bench(exempt: &'static str, within_calls: bool) -> Bench {
    let mut bench = Bench::new();
    let secrets = [Algorithm::Md5, Algorithm::Sha256]
        .map(|algorithm| Ha1::new(algorithm, ACCOUNT.username, b"klikon", ACCOUNT.password));
    bench.endpoint.set_authentication(Authentication {
        realm: "klikon".to_owned(),
        algorithms: vec![Algorithm::Md5, Algorithm::Sha256],
        nonce_life: Duration::from_secs(60),
        allow_unprotected: false,
        userhash: false,
        within_calls,
        max_wrong_tries: 3,
        lock_out: Duration::from_secs(60),
        users: vec![User { name: "lider".to_owned(), secrets: secrets.to_vec() }],
        policy: Arc::new(AllBut(exempt)),
    });
    bench
}

fn challenge_in(response: &str) -> Challenge {
    Challenge::parse(field(response, "WWW-Authenticate").expect("a challenge").as_bytes()).expect("readable")
}

/// `request` with credentials, as another transaction.
fn with_credentials(request: &str, challenge: &Challenge, account: &Account<'_>, count: u32) -> String {
    let method = request.split(' ').next().expect("a method");
    let answer =
        challenge.answer(account, method.as_bytes(), b"sip:130@192.0.2.1", b"c", count).expect("an answer");
    let line = String::from_utf8(answer.to_value()).expect("text");
    let branch = format!("branch=z9hG4bK-again-{count}-");
    request.replacen("branch=z9hG4bK-", &branch, 1).replacen(
        "Content-Length",
        &format!("Authorization: {line}\r\nContent-Length"),
        1,
    )
}

#[test]
fn an_invite_is_challenged_without_memory_and_taken_with_credentials() {
    let mut bench = bench("", false);
    let invite = invite(Some(SDP));
    let first = bench.receive(&invite);
    assert_eq!(first_lines(&first), ["SIP/2.0 401 Unauthorized"]);
    assert_eq!(occurrences(&first[0], HeaderName::WwwAuthenticate), 2);
    assert_eq!(challenge_in(&first[0]).algorithm(), Algorithm::Sha256, "the strongest comes first");
    assert_eq!(bench.receive(&invite), first, "its retransmission is answered the same");
    assert!(bench.receive(request("ACK", "", "").replace("ACK-1", "INVITE-1")).is_empty());
    assert!(bench.events().is_empty());
    assert_nothing_left(&bench.endpoint);
    let again = with_credentials(&invite, &challenge_in(&first[0]), &ACCOUNT, 1);
    assert_eq!(first_lines(&bench.receive(&again)), ["SIP/2.0 100 Trying"]);
    match &*bench.events() {
        [Event::Invite(invite)] => assert_eq!(invite.authenticated.as_deref(), Some("lider")),
        other => panic!("{other:?}"),
    }
    assert_eq!(first_lines(&bench.receive(&again)), ["SIP/2.0 100 Trying"], "a retransmission is no replay");
    assert_eq!((bench.count(Counter::RefusedUnauthenticated), bench.count(Counter::Authenticated)), (2, 1));
}

#[test]
fn wrong_stale_and_replayed_credentials_are_challenged_again_and_told_apart() {
    let mut bench = bench("", false);
    let options = request("OPTIONS", "", "");
    let challenge = challenge_in(&bench.receive(&options)[0]);
    assert!(!challenge.stale);
    let right = with_credentials(&options, &challenge, &ACCOUNT, 1);
    assert_eq!(first_lines(&bench.receive(&right)), ["SIP/2.0 200 OK"]);
    let replayed = bench.receive(with_credentials(&options, &challenge, &ACCOUNT, 1));
    assert_eq!(first_lines(&replayed), ["SIP/2.0 401 Unauthorized"]);
    assert!(challenge_in(&replayed[0]).stale);
    bench.now += Duration::from_secs(61);
    let stale = bench.receive(with_credentials(&options, &challenge, &ACCOUNT, 2));
    assert!(challenge_in(&stale[0]).stale);
    let fresh = challenge_in(&stale[0]);
    let mut refused = vec![];
    for (count, account) in
        [(1, Account { password: b"wrong", ..ACCOUNT }), (1, Account { username: b"nobody", ..ACCOUNT })]
    {
        let sent = bench.receive(with_credentials(&options, &fresh, &account, count));
        assert!(!challenge_in(&sent[0]).stale);
        refused.push(sent);
    }
    assert_eq!(refused[0], refused[1], "an unknown user is answered as a wrong password");
    for _ in 0..2 {
        bench.receive(with_credentials(&options, &fresh, &Account { password: b"wrong", ..ACCOUNT }, 1));
    }
    let locked = bench.receive(with_credentials(&options, &fresh, &ACCOUNT, 1));
    assert_eq!(first_lines(&locked), ["SIP/2.0 403 Forbidden"]);
    let counted = [
        (Counter::RefusedUnauthenticated, 1),
        (Counter::RefusedReplay, 1),
        (Counter::RefusedStaleNonce, 1),
        (Counter::RefusedCredentials, 4),
        (Counter::RefusedLockedOut, 1),
        (Counter::Authenticated, 1),
    ];
    for (counter, count) in counted {
        assert_eq!(bench.count(counter), count, "{counter:?}");
    }
    assert_nothing_left(&bench.endpoint);
}

#[test]
fn whom_the_policy_leaves_out_is_not_challenged() {
    let mut bench = bench("192.0.2.9", false);
    assert_eq!(first_lines(&bench.receive(request("OPTIONS", "", ""))), ["SIP/2.0 200 OK"]);
    assert_eq!(first_lines(&bench.receive(invite(Some(SDP)))), ["SIP/2.0 100 Trying"]);
    match &*bench.events() {
        [Event::Invite(invite)] => assert_eq!(invite.authenticated, None),
        other => panic!("{other:?}"),
    }
}

#[test]
fn cancel_and_ack_are_never_challenged_and_requests_within_calls_by_setting() {
    for within_calls in [false, true] {
        let mut bench = bench("", within_calls);
        let plain = invite(Some(SDP));
        let challenge = challenge_in(&bench.receive(&plain)[0]);
        let call = with_credentials(&plain, &challenge, &ACCOUNT, 1);
        let (_, ok) = bench.answered(&call);
        assert!(bench.receive(within(&ok, "ACK", 1, "")).is_empty());
        assert!(matches!(&*bench.events(), [Event::Confirmed { .. }]));
        let bye = within(&ok, "BYE", 2, "");
        let answer = bench.receive(&bye);
        if within_calls {
            assert_eq!(first_lines(&answer), ["SIP/2.0 401 Unauthorized"]);
            assert!(bench.events().is_empty(), "the call goes on");
            let again = with_credentials(&bye, &challenge, &ACCOUNT, 2);
            assert_eq!(first_lines(&bench.receive(&again)), ["SIP/2.0 200 OK"]);
        } else {
            assert_eq!(first_lines(&answer), ["SIP/2.0 200 OK"]);
        }
        assert!(matches!(&*bench.events(), [Event::Ended { .. }]));
        bench.drain();

        let challenge = challenge_in(&bench.receive(&plain)[0]);
        let call = with_credentials(&plain, &challenge, &ACCOUNT, 3);
        assert_eq!(first_lines(&bench.receive(&call)), ["SIP/2.0 100 Trying"]);
        let cancel = request("CANCEL", "", "").replace("z9hG4bK-CANCEL-1", "z9hG4bK-again-3-INVITE-1");
        assert_eq!(first_lines(&bench.receive(cancel)), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
    }
}
