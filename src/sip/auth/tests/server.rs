//! What the challenging side takes, in virtual time.

use crate::sip::auth::digest::work;
use crate::sip::auth::server::{Attempt, Authenticator, MAX_TRIERS, Verdict, Why};
use crate::sip::auth::{
    Account, Algorithm, Authentication, Challenge, Credentials, Ha1, NonceCount, Policy, Protection, User,
};
use crate::sip::transport::Flow;
use crate::units::clock::Clock;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const REALM: &str = "klikon";
const USER: Account<'_> = Account { username: b"lider", password: b"sekret" };
const LIFE: Duration = Duration::from_secs(60);
const TRIES: u32 = 3;

#[derive(Debug)]
struct Everybody;

impl Policy for Everybody {
    fn challenges(&self, _: &Flow) -> bool {
        true
    }
}

fn settings() -> Authentication {
    let secret = |algorithm| Ha1::new(algorithm, USER.username, REALM.as_bytes(), USER.password);
    Authentication {
        realm: REALM.to_owned(),
        algorithms: vec![Algorithm::Md5, Algorithm::Sha512Slash256, Algorithm::Sha256],
        nonce_life: LIFE,
        allow_unprotected: false,
        userhash: false,
        within_calls: false,
        max_wrong_tries: TRIES,
        lock_out: Duration::from_secs(300),
        users: vec![
            User { name: "lider".into(), secrets: vec![secret(Algorithm::Md5), secret(Algorithm::Sha256)] },
            User { name: "old".into(), secrets: vec![] },
        ],
        policy: Arc::new(Everybody),
    }
}

struct Bench {
    authenticator: Authenticator,
    now: Instant,
    source: IpAddr,
    request_hash: u64,
}

impl Bench {
    fn new(settings: Authentication) -> Self {
        Self {
            authenticator: Authenticator::new(settings, [9; 32]),
            now: Clock::system().instant(),
            source: [192, 0, 2, 9].into(),
            request_hash: 1,
        }
    }

    fn attempt(&self) -> Attempt<'static> {
        Attempt { method: b"INVITE", source: self.source, request_hash: self.request_hash }
    }

    /// A new challenge, for another request each time.
    fn challenge(&mut self, algorithm: Algorithm) -> Challenge {
        self.request_hash += 1;
        let attempt = self.attempt();
        let values = self.authenticator.challenges(self.now, &attempt, Why::NoCredentials);
        let challenges: Vec<_> =
            values.iter().map(|value| Challenge::parse(value.as_bytes()).unwrap()).collect();
        challenges.into_iter().find(|challenge| challenge.algorithm == Some(algorithm)).unwrap()
    }

    fn judge(&mut self, credentials: &Credentials) -> Verdict {
        let value = credentials.to_value();
        let attempt = self.attempt();
        self.authenticator.judge(self.now, &attempt, std::iter::once(value.as_slice()))
    }

    fn answer(&mut self, account: &Account<'_>) -> Verdict {
        let challenge = self.challenge(Algorithm::Sha256);
        self.judge(&answer(&challenge, account, 1))
    }
}

fn answer(challenge: &Challenge, account: &Account<'_>, count: u32) -> Credentials {
    challenge.answer(account, b"INVITE", b"sip:130@x", b"cnonce", count).unwrap()
}

fn authentic() -> Verdict {
    Verdict::Authentic("lider".into())
}

#[test]
fn the_strongest_algorithm_is_offered_first() {
    let mut bench = Bench::new(settings());
    let attempt = bench.attempt();
    let values = bench.authenticator.challenges(bench.now, &attempt, Why::Stale);
    let challenges: Vec<_> = values.iter().map(|value| Challenge::parse(value.as_bytes()).unwrap()).collect();
    let offered: Vec<_> = challenges.iter().filter_map(|challenge| challenge.algorithm).collect();
    assert_eq!(offered, [Algorithm::Sha512Slash256, Algorithm::Sha256, Algorithm::Md5]);
    assert!(challenges.iter().all(|challenge| challenge.stale && challenge.protected));
    assert!(challenges.iter().all(|challenge| challenge.nonce == challenges[0].nonce));
    // A retransmission is challenged with the same nonce, another request with another.
    assert_eq!(bench.authenticator.challenges(bench.now, &attempt, Why::Stale), values);
    let other = Attempt { request_hash: 77, ..attempt };
    assert_ne!(bench.authenticator.challenges(bench.now, &other, Why::Stale), values);
}

#[test]
fn a_right_answer_is_authentic_with_each_algorithm_that_the_user_has() {
    let mut bench = Bench::new(settings());
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let challenge = bench.challenge(algorithm);
        assert_eq!(bench.judge(&answer(&challenge, &USER, 1)), authentic());
    }
    let challenge = bench.challenge(Algorithm::Sha512Slash256);
    assert_eq!(bench.judge(&answer(&challenge, &USER, 1)), Verdict::Challenged(Why::Wrong));
    // Not offered, so not taken, though it would be right.
    let session = Challenge { algorithm: Some(Algorithm::Sha256Sess), ..challenge };
    assert_eq!(bench.judge(&answer(&session, &USER, 1)), Verdict::Challenged(Why::NoCredentials));
}

#[test]
fn the_count_must_rise() {
    let mut bench = Bench::new(settings());
    let challenge = bench.challenge(Algorithm::Sha256);
    let replayed = Verdict::Challenged(Why::Replayed);
    for (count, verdict) in [
        (0, replayed.clone()),
        (1, authentic()),
        (1, replayed.clone()),
        (9, authentic()),
        (0x10, authentic()),
        (0xf, replayed.clone()),
        (u32::MAX, authentic()),
        (u32::MAX, replayed),
    ] {
        assert_eq!(bench.judge(&answer(&challenge, &USER, count)), verdict, "{count}");
    }
    // The count is part of what is hashed: it cannot be raised by whoever has heard an answer.
    let heard = answer(&bench.challenge(Algorithm::Sha256), &USER, 1);
    let raised = Protection { count: NonceCount::new(2), cnonce: b"cnonce".to_vec() };
    let raised = Credentials { protection: Some(raised), ..heard };
    assert_eq!(bench.judge(&raised), Verdict::Challenged(Why::Wrong));
}

#[test]
fn a_nonce_ages_and_belongs_to_one_address_and_one_run() {
    let mut bench = Bench::new(settings());
    let challenge = bench.challenge(Algorithm::Sha256);
    bench.now += LIFE;
    assert_eq!(bench.judge(&answer(&challenge, &USER, 1)), authentic());
    bench.now += Duration::from_secs(1);
    let stale = Verdict::Challenged(Why::Stale);
    assert_eq!(bench.judge(&answer(&challenge, &USER, 2)), stale);
    let challenge = bench.challenge(Algorithm::Sha256);
    let right = answer(&challenge, &USER, 1);
    bench.source = [192, 0, 2, 10].into();
    assert_eq!(bench.judge(&right), stale, "heard elsewhere");
    bench.source = "::ffff:192.0.2.9".parse().unwrap();
    assert_eq!(bench.judge(&right), authentic(), "the same address on a socket of both families");
    bench.authenticator = Authenticator::new(settings(), [8; 32]);
    assert_eq!(bench.judge(&answer(&challenge, &USER, 2)), stale, "of an earlier run");
    for nonce in [&b""[..], b"00000000", &[b'0'; 56], &[0xff; 56], &[b'+'; 56]] {
        let made_up = Challenge { nonce: nonce.to_vec(), ..challenge.clone() };
        assert_eq!(bench.judge(&answer(&made_up, &USER, 1)), stale);
    }
}

#[test]
fn an_unknown_user_costs_and_gets_what_a_wrong_password_does() {
    let mut bench = Bench::new(Authentication { max_wrong_tries: u32::MAX, ..settings() });
    let mut answers = Vec::new();
    let wrong = Account { username: b"lider", password: b"wrong" };
    let unknown = Account { username: b"nobody", password: b"sekret" };
    let without_secret = Account { username: b"old", password: b"sekret" };
    let empty = Account { username: b"", password: &[9; 32] };
    for account in [wrong, unknown, without_secret, empty] {
        for algorithm in [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512Slash256] {
            let challenge = bench.challenge(algorithm);
            let credentials = answer(&challenge, &account, 1);
            let before = work::hashes();
            let verdict = bench.judge(&credentials);
            answers.push((verdict, work::hashes() - before));
        }
    }
    assert!(answers.iter().all(|answer| *answer == (Verdict::Challenged(Why::Wrong), 2)), "{answers:?}");
    let before = work::hashes();
    let credentials = answer(&bench.challenge(Algorithm::Sha256), &USER, 1);
    let made = work::hashes() - before;
    assert_eq!((bench.judge(&credentials), work::hashes() - before - made), (authentic(), 2));
}

#[test]
fn wrong_tries_lock_out_one_user_from_one_address_for_a_while() {
    let mut bench = Bench::new(settings());
    let wrong = Account { password: b"guess", ..USER };
    for _ in 0..TRIES - 1 {
        assert_eq!(bench.answer(&wrong), Verdict::Challenged(Why::Wrong));
    }
    assert_eq!(bench.answer(&USER), authentic(), "a right answer forgives");
    for _ in 0..TRIES {
        assert_eq!(bench.answer(&wrong), Verdict::Challenged(Why::Wrong));
    }
    assert_eq!(bench.answer(&wrong), Verdict::LockedOut);
    assert_eq!(bench.answer(&USER), Verdict::LockedOut, "or the lock-out would tell a right guess");
    let unknown = Account { username: b"nobody", password: b"x" };
    for _ in 0..TRIES {
        assert_eq!(bench.answer(&unknown), Verdict::Challenged(Why::Wrong));
    }
    assert_eq!(bench.answer(&unknown), Verdict::LockedOut, "unknown users alike");
    bench.source = [192, 0, 2, 10].into();
    assert_eq!(bench.answer(&USER), authentic(), "from elsewhere he is not");
    bench.source = [192, 0, 2, 9].into();
    bench.now += Duration::from_secs(300);
    assert_eq!(bench.answer(&USER), authentic());
}

/// Whoever sends with a forged address never sees a nonce sealed for it, so he locks nobody out.
#[test]
fn a_wrong_try_counts_only_with_a_nonce_of_its_own_address() {
    let mut bench = Bench::new(settings());
    let wrong = Account { password: b"guess", ..USER };
    let challenge = bench.challenge(Algorithm::Sha256);
    bench.source = [192, 0, 2, 10].into();
    for count in 1..=10 {
        assert_eq!(bench.judge(&answer(&challenge, &wrong, count)), Verdict::Challenged(Why::Stale));
    }
    assert_eq!(bench.authenticator.held(), (0, 0));
    assert_eq!(bench.answer(&USER), authentic());
}

#[test]
fn memory_is_bounded_and_what_is_forgotten_is_refused() {
    let mut bench = Bench::new(settings());
    bench.authenticator = Authenticator::new(settings(), [9; 32]).with_max_nonces(4);
    let first = bench.challenge(Algorithm::Sha256);
    assert_eq!(bench.judge(&answer(&first, &USER, 1)), authentic());
    for _ in 0..8 {
        bench.now += Duration::from_secs(1);
        assert_eq!(bench.answer(&USER), authentic());
    }
    assert_eq!(bench.authenticator.held().0, 4);
    assert_eq!(bench.judge(&answer(&first, &USER, 1)), Verdict::Challenged(Why::Replayed));
    assert_eq!(bench.judge(&answer(&first, &USER, 2)), Verdict::Challenged(Why::Replayed));
    // Time frees the table.
    bench.now += LIFE + Duration::from_secs(1);
    assert_eq!(bench.answer(&USER), authentic());
    assert_eq!(bench.authenticator.held().0, 1);

    let challenge = bench.challenge(Algorithm::Sha256);
    for number in 0..MAX_TRIERS + 10 {
        let name = format!("nobody-{number}");
        let account = Account { username: name.as_bytes(), password: b"x" };
        assert_eq!(bench.judge(&answer(&challenge, &account, 1)), Verdict::Challenged(Why::Wrong));
    }
    assert_eq!(bench.authenticator.held().1, MAX_TRIERS);
}

#[test]
fn peers_of_rfc_2069_are_taken_by_setting_and_a_nonce_serves_them_once() {
    let mut bench = Bench::new(settings());
    let old = |bench: &mut Bench, algorithm| {
        let challenge = Challenge { protected: false, ..bench.challenge(algorithm) };
        answer(&challenge, &USER, 1)
    };
    let credentials = old(&mut bench, Algorithm::Md5);
    assert_eq!(bench.judge(&credentials), Verdict::Challenged(Why::NoCredentials));
    bench = Bench::new(Authentication { allow_unprotected: true, ..settings() });
    let credentials = old(&mut bench, Algorithm::Md5);
    assert_eq!(bench.judge(&credentials), authentic());
    assert_eq!(bench.judge(&credentials), Verdict::Challenged(Why::Replayed));
    let credentials = old(&mut bench, Algorithm::Sha256);
    assert_eq!(bench.judge(&credentials), Verdict::Challenged(Why::NoCredentials), "MD5 only");
}

#[test]
fn credentials_for_others_are_passed_over() {
    let mut bench = Bench::new(settings());
    let challenge = bench.challenge(Algorithm::Md5);
    let ours = answer(&challenge, &USER, 1).to_value();
    let other = answer(&Challenge { realm: b"other".to_vec(), ..challenge }, &USER, 1).to_value();
    let attempt = bench.attempt();
    let mut judge = |values: &[&[u8]]| bench.authenticator.judge(bench.now, &attempt, values.iter().copied());
    assert_eq!(judge(&[]), Verdict::Challenged(Why::NoCredentials));
    assert_eq!(judge(&[b"Digest nonsense", b"Basic YTpi", &other]), Verdict::Challenged(Why::NoCredentials));
    assert_eq!(judge(&[b"Basic YTpi", &other, &ours]), authentic());
    let many: Vec<&[u8]> = std::iter::repeat_n(&other[..], 100).chain([&ours[..]]).collect();
    assert_eq!(judge(&many), Verdict::Challenged(Why::NoCredentials), "only the first few are looked at");
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?} {:?}", Authenticator::new(settings(), [9; 32]), settings());
    assert!(!shown.contains("sekret") && !shown.contains("9, 9"), "{shown}");
    let secret = Ha1::new(Algorithm::Md5, USER.username, REALM.as_bytes(), USER.password);
    assert!(!shown.contains(&format!("{secret:?}digest")));
}

/// RFC 7616 §3.4.4.
#[test]
fn a_hashed_user_name_is_that_of_its_user_and_shares_his_tries() {
    let mut bench = Bench::new(Authentication { userhash: true, ..settings() });
    let hashed = |answer: Credentials, algorithm: Algorithm, name: &[u8]| {
        let username = algorithm.hash(&[name, REALM.as_bytes()]).as_bytes().to_vec();
        Credentials { username, is_hashed: true, ..answer }
    };
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let challenge = bench.challenge(algorithm);
        assert!(challenge.userhash, "it is offered");
        let mut credentials = hashed(answer(&challenge, &USER, 1), algorithm, USER.username);
        assert_eq!(Credentials::parse(&credentials.to_value()), Ok(credentials.clone()));
        assert_eq!(bench.judge(&credentials), authentic());
        // A name that stands there as it is is none that was hashed, and a hash is no name.
        credentials.is_hashed = false;
        assert_eq!(bench.judge(&credentials), Verdict::Challenged(Why::Wrong));
        let plain = Credentials { is_hashed: true, ..answer(&challenge, &USER, 2) };
        assert_eq!(bench.judge(&plain), Verdict::Challenged(Why::Wrong));
        let nobody = hashed(answer(&challenge, &USER, 2), algorithm, b"nobody");
        assert_eq!(bench.judge(&nobody), Verdict::Challenged(Why::Wrong));
    }
    let mut bench = Bench::new(settings());
    assert!(!bench.challenge(Algorithm::Sha256).userhash, "only where the settings say so");
    let wrong = Account { password: b"guess", ..USER };
    for count in 0..TRIES {
        let challenge = bench.challenge(Algorithm::Sha256);
        let answer = answer(&challenge, &wrong, 1);
        let answer = if count == 0 { answer } else { hashed(answer, Algorithm::Sha256, USER.username) };
        assert_eq!(bench.judge(&answer), Verdict::Challenged(Why::Wrong));
    }
    assert_eq!(bench.answer(&USER), Verdict::LockedOut);
}
