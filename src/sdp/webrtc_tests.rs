//! What browsers offer, and what they are answered.

use super::*;
use crate::units::rtp::{Direction, Encoding};
use crate::units::srtp::Keying;
use crate::units::webrtc::{Fingerprint, HashFunction, ICE_RANDOM_OCTETS, IceCredentials};

const PRINT: &str =
    "5A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9:0A:1B:2C:3D:4E:5F:60:71:82:93:A4:B5:C6:D7:E8:F9";

fn credentials(seed: u8) -> IceCredentials {
    IceCredentials::new(&[seed; ICE_RANDOM_OCTETS])
}

fn ours() -> Capabilities {
    let fingerprint = Fingerprint::of(HashFunction::Sha256, b"ours");
    let security =
        Security { dtls: Some(Endpoint { ice: credentials(1), fingerprint }), ..Security::default() };
    Capabilities::new("192.0.2.130".parse().expect("an address"), 40_000, 7)
        .with(Codecs::new(vec![Encoding::G722, Encoding::Pcma, Encoding::Pcmu]))
        .secured(security)
}

/// As Chromium writes it, with video beside.
fn chromium() -> String {
    format!(
        "v=0\no=- 4611731400430051336 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0 1\na=extmap-allow-mixed\n\
         a=msid-semantic: WMS\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\nc=IN IP4 0.0.0.0\na=rtcp:9 IN IP4 0.0.0.0\n\
         a=ice-ufrag:Xy3k\na=ice-pwd:8Lr2PZVx3mRtGdP0a1bqQW7k\na=ice-options:trickle\n\
         a=fingerprint:sha-256 {PRINT}\na=setup:actpass\na=mid:0\n\
         a=candidate:1 1 udp 2113937151 5b2fa4c3-87ad-4d0b-8e22-d6d6dc3a9a0d.local 53020 typ host generation 0\n\
         a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\na=sendrecv\na=rtcp-mux\na=rtcp-rsize\n\
         a=rtpmap:111 opus/48000/2\na=rtcp-fb:111 transport-cc\na=fmtp:111 minptime=10;useinbandfec=1\n\
         a=rtpmap:63 red/48000/2\na=fmtp:63 111/111\na=rtpmap:9 G722/8000\na=rtpmap:0 PCMU/8000\n\
         a=rtpmap:8 PCMA/8000\na=rtpmap:13 CN/8000\na=rtpmap:110 telephone-event/48000\n\
         a=rtpmap:126 telephone-event/8000\na=ssrc:1 cname:a\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\nc=IN IP4 0.0.0.0\na=mid:1\na=ice-ufrag:Xy3k\n\
         a=ice-pwd:8Lr2PZVx3mRtGdP0a1bqQW7k\na=fingerprint:sha-256 {PRINT}\na=setup:actpass\n\
         a=rtcp-mux\na=rtpmap:96 VP8/90000\n"
    )
}

fn answered(exchange: &mut Exchange, offer: &str) -> Result<String, Refusal> {
    let (answer, _) = exchange.answer(offer.replace('\n', "\r\n").as_bytes())?;
    Ok(String::from_utf8(answer).expect("UTF-8"))
}

fn first_answer(offer: &str) -> Result<String, Refusal> {
    answered(&mut Exchange::new(ours()), offer)
}

#[test]
fn a_browser_is_answered_as_it_needs() {
    let mut exchange = Exchange::new(ours());
    let answer = answered(&mut exchange, &chromium()).expect("agreed");
    let own = credentials(1);
    let expected = format!(
        "s=-\r\nc=IN IP4 192.0.2.130\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE 0\r\n\
         m=audio 40000 UDP/TLS/RTP/SAVPF 9 126\r\na=mid:0\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\n\
         a=candidate:1 1 UDP 2130706431 192.0.2.130 40000 typ host\r\na=end-of-candidates\r\n\
         a=fingerprint:{}\r\na=setup:passive\r\n\
         a=rtpmap:9 G722/8000\r\na=rtpmap:126 telephone-event/8000\r\na=fmtp:126 0-15\r\n\
         a=rtcp-mux\r\na=ptime:20\r\na=sendrecv\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\n",
        own.fragment(),
        own.password(),
        Fingerprint::of(HashFunction::Sha256, b"ours"),
    );
    assert!(answer.ends_with(&expected), "{answer}");
    let agreed = exchange.agreed().expect("agreed");
    let handshake = agreed.security.and_then(Keying::handshake).expect("a handshake");
    assert_eq!(handshake.ice, own);
    assert_eq!(handshake.fingerprint, Fingerprint::parse(&format!("sha-256 {PRINT}")).expect("one"));
    // 0.0.0.0 is no hold: the browser knows no address yet.
    assert_eq!((agreed.direction, agreed.remote), (Direction::SendRecv, agreed.remote_rtcp));
}

#[test]
fn what_the_session_says_holds_for_its_lines() {
    let print = format!("a=fingerprint:sha-256 {PRINT}\n");
    let at_the_top = chromium().replace(&print, "").replace("t=0 0\n", &format!("t=0 0\n{print}"));
    assert!(first_answer(&at_the_top).is_ok(), "as Firefox writes it");
    let stronger = format!("a=fingerprint:sha-512 {PRINT}:{PRINT}\n");
    let two = chromium().replace("a=setup", &format!("{stronger}a=fingerprint:sha-1 4A:AD\na=setup"));
    let mut exchange = Exchange::new(ours());
    answered(&mut exchange, &two).expect("agreed");
    let handshake = exchange.agreed().and_then(|agreed| agreed.security?.handshake()).expect("a handshake");
    assert_eq!(handshake.fingerprint.function(), HashFunction::Sha512);
}

#[test]
fn what_could_never_come_to_media_is_refused() {
    let refused = |offer: String| match first_answer(&offer) {
        Err(Refusal::NotAcceptable(why)) => why,
        other => panic!("{other:?}\n{offer}"),
    };
    let without = |what: &str| refused(chromium().replace(what, ""));
    let print = format!("a=fingerprint:sha-256 {PRINT}\n");
    for missing in ["a=ice-ufrag:Xy3k\n", "a=ice-pwd:8Lr2PZVx3mRtGdP0a1bqQW7k\n", "a=rtcp-mux\n", &print] {
        assert_eq!(without(missing), Incompatibility::Transport, "{missing}");
    }
    for (from, to) in [
        ("a=setup:actpass", "a=setup:passive"),
        ("a=setup:actpass", "a=setup:holdconn"),
        ("a=ice-ufrag:Xy3k", "a=ice-ufrag:Xy3"),
        ("a=ice-pwd:8Lr2PZVx3mRtGdP0a1bqQW7k", "a=ice-pwd:8Lr2PZVx3mRtGdP0a1bqQ"),
        (print.as_str(), "a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB\n"),
        ("a=extmap-allow-mixed", "a=ice-lite"),
    ] {
        assert_eq!(refused(chromium().replace(from, to)), Incompatibility::Transport, "{to}");
    }
    let plain = ours().secured(Security::default());
    let refusal = answered(&mut Exchange::new(plain), &chromium()).expect_err("no TLS");
    assert_eq!(refusal, Refusal::NotAcceptable(Incompatibility::Transport));
    assert!(refusal.to_string().contains("UDP/TLS/RTP/SAVPF"));
}

#[test]
fn a_change_keeps_the_path_unless_the_browser_looks_for_another() {
    let mut exchange = Exchange::new(ours());
    let handshake = |exchange: &Exchange| exchange.agreed().and_then(|agreed| agreed.security?.handshake());
    answered(&mut exchange, &chromium()).expect("agreed");
    let first = handshake(&exchange).expect("a handshake");
    exchange.set_fresh_credentials(credentials(2));
    let held = chromium().replace("a=sendrecv", "a=sendonly").replace("audio 9", "audio 53020");
    let answer = answered(&mut exchange, &held).expect("agreed");
    assert!(answer.contains("a=recvonly\r\n") && answer.contains(first.ice.password()), "{answer}");
    assert_eq!(handshake(&exchange), Some(first), "the same path, the same handshake");

    // A refresh of ours says the last answer again; the browser would begin a handshake, if there were none.
    let line = format!(
        "v=0\no=- 1 3 IN IP4 127.0.0.1\ns=-\nt=0 0\nm=audio 9 UDP/TLS/RTP/SAVPF 9 126\nc=IN IP4 0.0.0.0\na=mid:0\n\
         a=ice-ufrag:Xy3k\na=ice-pwd:8Lr2PZVx3mRtGdP0a1bqQW7k\na=fingerprint:sha-256 {PRINT}\na=setup:active\n\
         a=rtcp-mux\na=rtpmap:126 telephone-event/8000\nm=video 0 UDP/TLS/RTP/SAVPF 96\n"
    );
    let refreshed = exchange.accept_repeated(line.replace('\n', "\r\n").as_bytes()).expect("agreed");
    assert_eq!(refreshed.security.and_then(Keying::handshake), Some(first));
    let downgraded = line.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP").replace("0.0.0.0", "198.51.100.7");
    assert!(exchange.accept_repeated(downgraded.replace('\n', "\r\n").as_bytes()).is_err());
    let offer = String::from_utf8(exchange.offer()).expect("UTF-8");
    assert!(
        offer.contains("m=audio 40000 UDP/TLS/RTP/SAVPF ") && offer.contains(first.ice.password()),
        "{offer}"
    );
    assert!(offer.contains("a=setup:passive") && !offer.contains("a=crypto"), "{offer}");

    let restarted = chromium().replace("Xy3k", "Qq8m");
    let answer = answered(&mut exchange, &restarted).expect("agreed");
    assert!(answer.contains(credentials(2).password()), "{answer}");
    let second = handshake(&exchange).expect("a handshake");
    assert_eq!((second.ice, second.fingerprint), (credentials(2), first.fingerprint));
}
