//! Keys in descriptions: what is taken, what is passed over, and that nothing agreed becomes less protected.

use super::*;
use crate::units::rtp::StreamParameters;
use crate::units::srtp::{Keying, OWN_KEYS_OCTETS, OwnKeys, Profile};
use proptest::prelude::*;

/// What the example of RFC 4568 §10.1 names.
const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

fn ours(plain: bool) -> Capabilities {
    let keys = OwnKeys::new(&std::array::from_fn::<u8, OWN_KEYS_OCTETS, _>(|n| n as u8));
    Capabilities::new("192.0.2.130".parse().expect("an address"), 40_000, 7).secured(Security {
        plain,
        keys: Some(keys),
        dtls: None,
    })
}

fn offer_of(media: &str) -> Vec<u8> {
    let session = "v=0\no=- 1 1 IN IP4 198.51.100.7\ns=-\nc=IN IP4 198.51.100.7\nt=0 0\n";
    (session.to_owned() + media).replace('\n', "\r\n").into_bytes()
}

fn secure(crypto: &str) -> Vec<u8> {
    offer_of(&format!("m=audio 5004 RTP/SAVP 8 101\na=rtpmap:101 telephone-event/8000\n{crypto}"))
}

fn agree(offer: &[u8], capabilities: &Capabilities) -> Result<(String, StreamParameters), Refusal> {
    let (answer, agreed) = negotiate(&Offer::parse(offer)?, capabilities)?;
    Ok((String::from_utf8(answer).expect("UTF-8"), agreed))
}

#[test]
fn the_first_line_that_we_can_act_on_is_taken_under_its_tag() {
    let offer = secure(&format!(
        "a=crypto:1 F8_128_HMAC_SHA1_80 inline:{KEY}\n\
         a=crypto:7 AES_CM_128_HMAC_SHA1_32 inline:{KEY}|2^48\n\
         a=crypto:8 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\n"
    ));
    let (answer, agreed) = agree(&offer, &ours(true)).expect("agreed");
    let keys = agreed.security.and_then(Keying::described).expect("keys");
    assert_eq!((keys.tag, keys.receive.profile()), (7, Profile::AesCm128HmacSha1_32));
    assert_eq!(keys.receive.key_and_salt().len(), 30);
    assert!(answer.contains("m=audio 40000 RTP/SAVP 8 101\r\n"), "{answer}");
    let crypto: Vec<&str> = answer.lines().filter(|line| line.starts_with("a=crypto:")).collect();
    assert!(
        matches!(crypto[..], [line] if line.starts_with("a=crypto:7 AES_CM_128_HMAC_SHA1_32 inline:")),
        "{answer}"
    );
    let read = Answer::parse(answer.as_bytes()).expect("it can be read").media[0].crypto[0];
    assert_eq!(read.key, keys.send, "the key that we say is the one that we use");
}

#[test]
fn lines_that_would_need_more_than_we_have_are_passed_over() {
    let crypto = |tail: &str| Crypto::parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{tail}"));
    for taken in ["", "|2^20", "|2^48", "|1048576", " WSH=64", " -EXTRA", "|2^31 WSH=128"] {
        assert!(crypto(taken).is_some(), "{taken}");
    }
    for passed_over in [
        "|1:4",
        "|2^20|1:4",
        "|2^19",
        "|100",
        "|2^99",
        "|3^40",
        ";inline:x",
        " KDR=1",
        " UNENCRYPTED_SRTP",
        " UNAUTHENTICATED_SRTP",
        " FEC_ORDER=FEC_SRTP",
        "A",
        "|",
    ] {
        assert!(crypto(passed_over).is_none(), "{passed_over}");
    }
    for nonsense in [
        "",
        "1",
        "x AES_CM_128_HMAC_SHA1_80 inline:x",
        "1 AES_CM_128_HMAC_SHA1_80 uri:x",
        "1234567890 AES_CM_128_HMAC_SHA1_80 inline:x",
    ] {
        assert!(Crypto::parse(nonsense).is_none(), "{nonsense}");
    }
    let padded = "1 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==";
    assert!(Crypto::parse(padded).is_some() && Crypto::parse(padded.trim_end_matches('=')).is_some());
}

#[test]
fn protection_is_taken_only_where_it_may_be_and_refused_where_it_must_not_be_missing() {
    let srtp = secure(&format!("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\n"));
    let plain = offer_of("m=audio 5004 RTP/AVP 8\n");
    let without_keys =
        |plain| Capabilities { security: Security { plain, keys: None, dtls: None }, ..ours(true) };
    let refused = Err(Refusal::NotAcceptable(Incompatibility::Transport));
    let outcome = |offer: &[u8], capabilities: &Capabilities| {
        agree(offer, capabilities).map(|(_, agreed)| agreed.security.is_some())
    };
    assert_eq!(outcome(&srtp, &ours(true)), Ok(true));
    assert_eq!(outcome(&plain, &ours(true)), Ok(false));
    assert_eq!(outcome(&srtp, &ours(false)), Ok(true));
    assert_eq!(outcome(&plain, &ours(false)), refused);
    assert_eq!(outcome(&srtp, &without_keys(true)), refused, "keys would be read by others");
    assert_eq!(outcome(&plain, &without_keys(false)), refused);
    assert_eq!(outcome(&secure(""), &ours(true)), refused, "SRTP without a key");
    assert_eq!(Incompatibility::Transport.warn_code(), 302);
}

#[test]
fn of_two_lines_the_protected_one_is_taken() {
    let offer = offer_of(&format!(
        "m=audio 5004 RTP/AVP 8\nm=audio 5006 RTP/SAVP 8\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\n"
    ));
    let (answer, agreed) = agree(&offer, &ours(true)).expect("agreed");
    assert_eq!(agreed.remote.port(), 5_006);
    assert!(answer.contains("m=audio 0 RTP/AVP 8\r\nm=audio 40000 RTP/SAVP 8\r\n"), "{answer}");
}

#[test]
fn our_offer_names_every_profile_and_takes_the_answer_to_one_of_them() {
    let offered = String::from_utf8(offer(&ours(false))).expect("UTF-8");
    let names: Vec<_> = offered
        .lines()
        .filter_map(|line| line.strip_prefix("a=crypto:"))
        .map(|line| line.split(" inline").next().unwrap_or_default())
        .collect();
    assert_eq!(names, ["1 AEAD_AES_128_GCM", "2 AES_CM_128_HMAC_SHA1_80", "3 AES_CM_128_HMAC_SHA1_32"]);
    assert!(!String::from_utf8(offer(&ours(true))).expect("UTF-8").contains("SAVP"), "RTP is enough");
    let accept = |crypto: &str| {
        accept_answer(&ours(false), &secure(crypto)).map(|agreed| agreed.security.and_then(Keying::described))
    };
    let keys =
        accept(&format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\n")).expect("agreed").expect("keys");
    assert_eq!((keys.tag, keys.send.profile()), (2, Profile::AesCm128HmacSha1_80));
    for wrong in ["1 AES_CM_128_HMAC_SHA1_80", "3 AES_CM_128_HMAC_SHA1_80", "9 AES_CM_128_HMAC_SHA1_32"] {
        let refused = accept(&format!("a=crypto:{wrong} inline:{KEY}\n"));
        assert_eq!(refused, Err(Refusal::NotAcceptable(Incompatibility::Transport)), "{wrong}");
    }
    assert!(accept_answer(&ours(false), &offer_of("m=audio 5004 RTP/AVP 8\n")).is_err(), "less protected");
}

#[test]
fn what_is_protected_stays_so_in_our_later_offers_under_the_same_key() {
    let mut exchange = Exchange::new(ours(true));
    let crypto = format!("a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:{KEY}\n");
    let (_, agreed) = exchange.answer(&secure(&crypto)).expect("agreed");
    let again = exchange.answer(&secure(&crypto)).expect("agreed").1;
    assert_eq!(agreed.security, again.security, "the keys stay");
    let offered = Offer::parse(&exchange.offer()).expect("it can be read");
    assert!(offered.media[0].is_secure());
    let own = agreed.security.and_then(Keying::described).expect("keys").send;
    assert!(offered.media[0].crypto.iter().any(|crypto| crypto.key == own), "{:?}", offered.media[0].crypto);
    assert!(exchange.accept(&offer_of("m=audio 5004 RTP/AVP 8\n")).is_err());
    // A refresh repeats what we described; its answer has the tag of that.
    let mut exchange = Exchange::new(ours(true));
    let agreed = exchange.answer(&secure(&crypto)).expect("agreed").1;
    let refreshed = exchange.accept_repeated(&secure(&crypto)).expect("agreed");
    assert_eq!(refreshed.security, agreed.security);
}

proptest! {
    #[test]
    fn no_line_panics(value in "[ -~]{0,80}", tail in "[ -~]{0,20}") {
        let _ = Crypto::parse(&value);
        let _ = Crypto::parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{tail}"));
    }
}
