//! RFC 7616 §3.9, RFC 2617 §3.5; what those leave out was computed with Python's `hashlib`.

use crate::sip::auth::{
    Account, Algorithm, AuthDefect, Challenge, Credentials, Ha1, HexDigest, MAX_PARAMETERS, NonceCount,
};
use proptest::prelude::*;

const MUFASA: Account<'_> = Account { username: b"Mufasa", password: b"Circle of Life" };

/// RFC 7616 §3.9.1, once with each algorithm.
fn example_7616(algorithm: &str, response: &str) -> (String, String) {
    let common = "realm=\"http-auth@example.org\",
        nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\",
        opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
    let common = common.replace('\n', "\r\n");
    (
        format!("Digest {common}, qop=\"auth, auth-int\", algorithm={algorithm}"),
        format!(
            "Digest username=\"Mufasa\", {common}, uri=\"/dir/index.html\", algorithm={algorithm}, nc=00000001, \
             cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, response=\"{response}\""
        ),
    )
}

#[test]
fn the_examples_of_rfc_7616_come_out_both_ways() {
    for (algorithm, response) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let (challenge, credentials) = example_7616(algorithm, response);
        let challenge = Challenge::parse(challenge.as_bytes()).unwrap();
        let credentials = Credentials::parse(credentials.as_bytes()).unwrap();
        let cnonce = b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let answer = challenge.answer(&MUFASA, b"GET", b"/dir/index.html", cnonce, 1).unwrap();
        assert_eq!(answer.response.to_string(), response);
        assert_eq!(answer, credentials);
        let ha1 = Ha1::new(credentials.algorithm(), b"Mufasa", b"http-auth@example.org", b"Circle of Life");
        assert!(credentials.is_answer_of(&ha1, b"GET"));
        assert!(!credentials.is_answer_of(&ha1, b"POST"));
    }
}

#[test]
fn the_example_of_rfc_2617_comes_out() {
    let credentials = Credentials::parse(
        b"Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
          nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, nc=00000001, \
          cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\", \
          opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
    )
    .unwrap();
    assert_eq!(credentials.algorithm, None);
    let ha1 = Ha1::new(Algorithm::Md5, b"Mufasa", b"testrealm@host.com", b"Circle Of Life");
    assert!(credentials.is_answer_of(&ha1, b"GET"));
    // The same without protection (RFC 2069).
    let old = Credentials { protection: None, ..credentials };
    assert!(!old.is_answer_of(&ha1, b"GET"));
    let response = HexDigest::parse(Algorithm::Md5, b"670FD8C2DF070C60B045671B8B24FF02").unwrap();
    assert!(Credentials { response, ..old }.is_answer_of(&ha1, b"GET"));
}

/// RFC 7616 §3.9.2 prints 4888…54ec here, which is SHA-512 cut short; what FIPS 180-4 calls SHA-512/256 gives another
/// value (the RFC's erratum), and so does every implementation in use.
#[test]
fn sha_512_256_is_that_of_fips_180_4() {
    let hash = Algorithm::Sha512Slash256.hash(&["Jäsøn Doe".as_bytes(), b"api@example.org"]);
    assert_eq!(hash.to_string(), "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b");
}

#[test]
fn session_algorithms_take_the_nonces_into_a1() {
    let nonce = b"dcd98b7102dd2f0e8b11d0f600bfb0c093".to_vec();
    for (algorithm, response) in [
        (Algorithm::Md5Sess, "ae1d5977eee92acb99d5a524b9c8b6b6"),
        (Algorithm::Sha256Sess, "9d94e0f2befe2235a88a7b18255161f194873eec45c6fe57a43adc8695d05c9c"),
        (Algorithm::Sha512Slash256Sess, "427288fdebe8be64a88dafd25840de5b053656faa0ad37e80c36bc36853d9238"),
    ] {
        let challenge = Challenge {
            realm: b"testrealm@host.com".to_vec(),
            nonce: nonce.clone(),
            opaque: None,
            algorithm: Some(algorithm),
            protected: true,
            stale: false,
            userhash: false,
        };
        let account = Account { username: b"Mufasa", password: b"Circle Of Life" };
        let answer = challenge.answer(&account, b"INVITE", b"sip:130@x", b"0a4f113b", 10).unwrap();
        assert_eq!(answer.response.to_string(), response);
        assert_eq!(Credentials::parse(&answer.to_value()), Ok(answer));
        let unprotected = Challenge { protected: false, ..challenge };
        assert_eq!(unprotected.answer(&account, b"INVITE", b"sip:130@x", b"0a4f113b", 10), None);
    }
}

#[test]
fn the_count_is_eight_hexadecimal_digits() {
    for (text, value) in [("00000001", 1), ("0000000a", 10), ("00000010", 16), ("FFFFFFFF", u32::MAX)] {
        let count = NonceCount::parse(text.as_bytes()).unwrap();
        assert_eq!((count.value(), count.as_bytes()), (value, text.as_bytes()));
    }
    assert_eq!(NonceCount::new(0xabc).as_bytes(), b"00000abc");
    for wrong in ["", "1", "0000001", "000000001", "0000000g", "+0000001", " 0000001", "0x000001"] {
        assert_eq!(NonceCount::parse(wrong.as_bytes()), None, "{wrong}");
    }
}

#[test]
fn quoted_values_lose_and_get_their_escapes() {
    let value = br#"Digest realm="a \"b\" \\ c", nonce="n, =x" , stale=TRUE, opaque="", , x-new=1,algorithm="SHA-256""#;
    let challenge = Challenge::parse(value).unwrap();
    assert_eq!(challenge.realm, br#"a "b" \ c"#);
    assert_eq!(challenge.nonce, b"n, =x");
    assert_eq!(challenge.opaque.as_deref(), Some(&b""[..]));
    assert!(challenge.stale && !challenge.protected);
    assert_eq!(Challenge::parse(&challenge.to_value()), Ok(challenge));
    // A fold within a quoted string is a space; no other line end gets in, and none gets out.
    assert_eq!(Challenge::parse(b"Digest realm=\"a\r\n b\",nonce=\"1\"").unwrap().realm, b"a b");
    let hostile = Challenge { realm: b"a\r\nX: y".to_vec(), ..Challenge::parse(value).unwrap() };
    assert!(!hostile.to_value().iter().any(u8::is_ascii_control));
}

#[test]
fn what_cannot_be_used_says_why() {
    for (value, defect) in [
        ("Basic YTpi", AuthDefect::Scheme),
        ("Digest", AuthDefect::Scheme),
        ("Digestrealm=\"x\"", AuthDefect::Scheme),
        ("Digest realm=\"x", AuthDefect::Syntax),
        ("Digest realm=\"x\" nonce=\"y\"", AuthDefect::Syntax),
        ("Digest realm", AuthDefect::Syntax),
        ("Digest =\"x\"", AuthDefect::Syntax),
        ("Digest realm=", AuthDefect::Syntax),
        ("Digest realm=\"a\nb\",nonce=\"1\"", AuthDefect::Syntax),
        ("Digest realm=\"x\"", AuthDefect::Missing("nonce")),
        ("Digest nonce=\"x\"", AuthDefect::Missing("realm")),
        ("Digest realm=\"x\",nonce=\"y\",nonce=\"z\"", AuthDefect::Repeated("nonce")),
        ("Digest realm=\"x\",nonce=\"y\",algorithm=SHA-1", AuthDefect::Algorithm),
        ("Digest realm=\"x\",nonce=\"y\",qop=\"auth-int\"", AuthDefect::Protection),
        ("Digest realm=\"x\",nonce=\"y\",algorithm=MD5-sess", AuthDefect::Missing("qop")),
    ] {
        assert_eq!(Challenge::parse(value.as_bytes()), Err(defect), "{value}");
    }
    let credentials = "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"sip:x\"";
    let response = "response=\"8ca523f5e9506fed4657c9700eebdbec\"";
    for (rest, defect) in [
        (String::new(), AuthDefect::Missing("response")),
        ("response=\"8ca5\"".to_owned(), AuthDefect::Value("response")),
        (format!("{response},algorithm=SHA-256"), AuthDefect::Value("response")),
        (format!("{response},algorithm=MD5-sess"), AuthDefect::Missing("qop")),
        (format!("{response},qop=auth,cnonce=\"c\""), AuthDefect::Missing("nc")),
        (format!("{response},qop=auth,nc=00000001"), AuthDefect::Missing("cnonce")),
        (format!("{response},nc=00000001,cnonce=\"c\""), AuthDefect::Missing("qop")),
        (format!("{response},qop=auth-int,nc=00000001,cnonce=\"c\""), AuthDefect::Protection),
        (format!("{response},qop=auth,nc=1,cnonce=\"c\""), AuthDefect::Value("nc")),
        (format!("{response},{response}"), AuthDefect::Repeated("response")),
    ] {
        let value = format!("{credentials},{rest}");
        assert_eq!(Credentials::parse(value.as_bytes()), Err(defect), "{value}");
    }
    let many = format!("Digest realm=\"x\",nonce=\"y\"{}", ",a=b".repeat(MAX_PARAMETERS));
    assert_eq!(Challenge::parse(many.as_bytes()), Err(AuthDefect::Syntax));
}

#[test]
fn secrets_are_not_shown() {
    let ha1 = Ha1::new(Algorithm::Md5, b"Mufasa", b"r", b"Circle of Life");
    let (_, credentials) = example_7616("MD5", "8ca523f5e9506fed4657c9700eebdbec");
    let credentials = Credentials::parse(credentials.as_bytes()).unwrap();
    let shown = format!("{ha1:?} {MUFASA:?} {credentials:?}");
    for secret in ["Mufasa", "Circle", "8ca523f5", "digest:"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

proptest! {
    #[test]
    fn any_name_and_password_that_answers_is_verified_and_no_other(
        username in "[ -~]{1,20}", password in "\\PC{0,20}", realm in "[ -~]{1,20}", other in "\\PC{0,20}",
        algorithm in prop::sample::select(Algorithm::ALL.to_vec()), count in any::<u32>(),
    ) {
        let challenge = Challenge {
            realm: realm.clone().into_bytes(),
            nonce: b"n".to_vec(),
            opaque: Some(b"o".to_vec()),
            algorithm: Some(algorithm),
            protected: true,
            stale: false,
            userhash: false,
        };
        let account = Account { username: username.as_bytes(), password: password.as_bytes() };
        let answer = challenge.answer(&account, b"INVITE", b"sip:130@x", b"c", count).unwrap();
        let read = Credentials::parse(&answer.to_value()).unwrap();
        prop_assert_eq!(&read, &answer);
        let ha1 = |password: &str| Ha1::new(algorithm, username.as_bytes(), realm.as_bytes(), password.as_bytes());
        prop_assert!(read.is_answer_of(&ha1(&password), b"INVITE"));
        prop_assert_eq!(read.is_answer_of(&ha1(&other), b"INVITE"), other == password);
    }

    #[test]
    fn no_octets_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let value = [b"Digest ", octets.as_slice()].concat();
        let _ = (Challenge::parse(&value), Credentials::parse(&value));
    }
}
