//! Descriptions as real equipment writes them, RFC 3264's cases, and properties.

use super::*;
use crate::units::rtp::{Direction, Encoding, StreamParameters, TelephoneEvent};
use proptest::prelude::*;

fn ours() -> Capabilities {
    Capabilities::new("192.0.2.130".parse().expect("an address"), 40_000, 7)
}

fn lines(text: &str) -> Vec<u8> {
    text.trim().lines().map(|line| format!("{}\r\n", line.trim())).collect::<String>().into_bytes()
}

fn agree_with(text: &str, capabilities: &Capabilities) -> Result<(String, StreamParameters), Refusal> {
    let offer = Offer::parse(&lines(text))?;
    let (answer, agreed) = negotiate(&offer, capabilities)?;
    let answer = String::from_utf8(answer).expect("UTF-8");
    let read = sdp_types::Session::parse(answer.as_bytes()).expect("our answer can be read");
    assert_eq!(read.medias.len(), offer.media.len(), "every media line is answered");
    Ok((answer, agreed))
}

fn agree(text: &str) -> (String, StreamParameters) {
    agree_with(text, &ours()).expect("agreed")
}

fn refusal(text: &str) -> Refusal {
    agree_with(text, &ours()).expect_err("refused")
}

/// One audio line with the given tail.
fn audio(tail: &str) -> String {
    format!("v=0\no=- 1 1 IN IP4 198.51.100.7\ns=-\nc=IN IP4 198.51.100.7\nt=0 0\n{tail}")
}

fn event(payload_type: u8) -> Option<TelephoneEvent> {
    Some(TelephoneEvent { payload_type, receive_payload_type: payload_type, clock_rate_hz: 8_000 })
}

fn media_line(answer: &str) -> &str {
    answer.lines().find(|line| line.starts_with("m=")).unwrap_or_default()
}

#[test]
fn asterisk() {
    let (answer, agreed) = agree(
        "v=0
         o=- 1843920417 1843920417 IN IP4 198.51.100.20
         s=Asterisk
         c=IN IP4 198.51.100.20
         t=0 0
         m=audio 11876 RTP/AVP 0 8 101
         a=rtpmap:0 PCMU/8000
         a=rtpmap:8 PCMA/8000
         a=rtpmap:101 telephone-event/8000
         a=fmtp:101 0-16
         a=ptime:20
         a=maxptime:140
         a=sendrecv",
    );
    let expected = StreamParameters {
        remote: "198.51.100.20:11876".parse().expect("an address"),
        remote_rtcp: "198.51.100.20:11877".parse().expect("an address"),
        encoding: Encoding::Pcmu,
        amr: None,
        payload_type: 0,
        receive_payload_type: 0,
        telephone_event: event(101),
        redundancy: None,
        ptime_ms: 20,
        direction: Direction::SendRecv,
        security: None,
    };
    assert_eq!(agreed, expected);
    let written = "v=0\r\no=- 7 7 IN IP4 192.0.2.130\r\ns=-\r\nc=IN IP4 192.0.2.130\r\nt=0 0\r\n\
        m=audio 40000 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(answer, written);
}

#[test]
fn freeswitch_with_wideband_first() {
    let (answer, agreed) = agree(
        "v=0
         o=FreeSWITCH 1700000000 1700000001 IN IP4 198.51.100.21
         s=FreeSWITCH
         c=IN IP4 198.51.100.21
         t=0 0
         m=audio 27310 RTP/AVP 102 9 0 8 103 101
         a=rtpmap:102 opus/48000/2
         a=fmtp:102 useinbandfec=1; maxaveragebitrate=30000; maxplaybackrate=48000
         a=rtpmap:9 G722/8000
         a=rtpmap:0 PCMU/8000
         a=rtpmap:8 PCMA/8000
         a=rtpmap:103 telephone-event/48000
         a=fmtp:103 0-16
         a=rtpmap:101 telephone-event/8000
         a=fmtp:101 0-16
         a=ptime:20",
    );
    assert_eq!(media_line(&answer), "m=audio 40000 RTP/AVP 0 101");
    assert_eq!(agreed.telephone_event, event(101), "the one whose clock is the codec's");
}

#[test]
fn baresip_with_attributes_of_its_own() {
    let (_, agreed) = agree(
        "v=0
         o=- 3820017310 1264321187 IN IP4 198.51.100.22
         s=-
         c=IN IP4 198.51.100.22
         t=0 0
         a=tool:baresip 3.9.0
         m=audio 31492 RTP/AVP 8 0 96
         a=rtpmap:8 PCMA/8000
         a=rtpmap:0 PCMU/8000
         a=rtpmap:96 telephone-event/8000
         a=fmtp:96 0-15
         a=rtcp:31493
         a=sendrecv
         a=label:1
         a=rtcp-rsize
         a=ssrc:2193874455 cname:sip:130@198.51.100.22
         a=ptime:20
         a=minptime:20",
    );
    assert_eq!((agreed.encoding, agreed.telephone_event), (Encoding::Pcma, event(96)));
}

#[test]
fn sipp_with_its_user_name_and_no_rtpmap() {
    let (answer, agreed) = agree(
        "v=0
         o=user1 53655765 2353687637 IN IP4 127.0.0.1
         s=-
         c=IN IP4 127.0.0.1
         t=0 0
         m=audio 6000 RTP/AVP 8",
    );
    assert_eq!((agreed.payload_type, agreed.telephone_event), (8, None));
    assert!(!answer.contains("telephone-event"), "nothing that was not offered");
}

#[test]
fn linphone_with_video_and_feedback() {
    let (answer, agreed) = agree(
        "v=0
         o=leader 2466 1353 IN IP4 198.51.100.23
         s=Talk
         c=IN IP4 198.51.100.23
         t=0 0
         a=ice-pwd:2fa2b1e5b0e1b0c0e2ad62c3
         a=ice-ufrag:28a4c1d0
         a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics
         m=audio 7078 RTP/AVP 96 97 98 0 8 18 101 99 100
         a=rtpmap:96 opus/48000/2
         a=fmtp:96 useinbandfec=1
         a=rtpmap:97 speex/16000
         a=rtpmap:98 speex/8000
         a=fmtp:18 annexb=yes
         a=rtpmap:101 telephone-event/48000
         a=rtpmap:99 telephone-event/16000
         a=rtpmap:100 telephone-event/8000
         a=candidate:1 1 UDP 2130706303 198.51.100.23 7078 typ host
         a=rtcp-fb:* trr-int 5000
         m=video 9078 RTP/AVP 96 97
         a=rtpmap:96 VP8/90000
         a=rtpmap:97 H264/90000
         a=fmtp:97 profile-level-id=42801F",
    );
    assert_eq!((agreed.encoding, agreed.telephone_event), (Encoding::Pcmu, event(100)));
    assert!(answer.ends_with("m=video 0 RTP/AVP 96 97\r\n"));
    assert!(!answer.contains("candidate") && !answer.contains("ice-"));
}

#[test]
fn an_ims_core_with_amr_first_and_quality_of_service_lines() {
    let here = Capabilities::new("2001:db8::130".parse().expect("an address"), 40_000, 7);
    let (answer, agreed) = agree_with(
        "v=0
         o=- 99910342 99910342 IN IP6 2001:db8:10::5
         s=SBC call
         c=IN IP6 2001:db8:10::5
         b=AS:49
         b=RS:612
         b=RR:1837
         t=0 0
         m=audio 50232 RTP/AVP 104 102 108 8 105 100
         b=AS:49
         a=rtpmap:104 AMR-WB/16000/1
         a=fmtp:104 mode-change-capability=2;max-red=0
         a=rtpmap:102 AMR/8000/1
         a=fmtp:102 mode-set=0,2,5,7;octet-align=0;max-red=0
         a=rtpmap:108 AMR/8000/1
         a=rtpmap:8 PCMA/8000/1
         a=rtpmap:105 telephone-event/16000
         a=fmtp:105 0-15
         a=rtpmap:100 telephone-event/8000
         a=fmtp:100 0-15
         a=curr:qos local none
         a=curr:qos remote none
         a=des:qos optional local sendrecv
         a=des:qos optional remote sendrecv
         a=sendrecv
         a=ptime:20
         a=maxptime:240",
        &here,
    )
    .expect("agreed");
    assert_eq!(agreed.remote.to_string(), "[2001:db8:10::5]:50232");
    assert_eq!((agreed.encoding, agreed.payload_type), (Encoding::Pcma, 8));
    assert!(answer.contains("c=IN IP6 2001:db8::130\r\n"));
}

#[test]
fn a_browser_is_refused_for_its_transport() {
    let refused = refusal(
        "v=0
         o=- 4611731400430051336 2 IN IP4 127.0.0.1
         s=-
         t=0 0
         a=group:BUNDLE 0
         a=extmap-allow-mixed
         a=msid-semantic: WMS
         m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
         c=IN IP4 0.0.0.0
         a=rtcp:9 IN IP4 0.0.0.0
         a=ice-ufrag:EsAw
         a=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y
         a=ice-options:trickle
         a=fingerprint:sha-256 19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:A2
         a=setup:actpass
         a=mid:0
         a=sendrecv
         a=rtcp-mux
         a=rtpmap:111 opus/48000/2
         a=rtpmap:0 PCMU/8000
         a=rtpmap:8 PCMA/8000
         a=rtpmap:126 telephone-event/8000",
    );
    assert_eq!(refused, Refusal::NotAcceptable(Incompatibility::Transport));
    assert_eq!(refused.status(), 488);
}

#[test]
fn the_order_is_the_offers_or_ours() {
    let offer = audio("m=audio 5004 RTP/AVP 0 8");
    assert_eq!(agree(&offer).1.encoding, Encoding::Pcmu);
    let ours_first = ours().with(Codecs { preference: Preference::Ours, ..Codecs::default() });
    assert_eq!(agree_with(&offer, &ours_first).expect("agreed").1.encoding, Encoding::Pcma);
    let only_mu = ours().with(Codecs::new(vec![Encoding::Pcmu]));
    assert_eq!(agree_with(&audio("m=audio 5004 RTP/AVP 8 0"), &only_mu).expect("agreed").1.payload_type, 0);
    let none = agree_with(&audio("m=audio 5004 RTP/AVP 8"), &only_mu);
    assert_eq!(none.expect_err("refused"), Refusal::NotAcceptable(Incompatibility::Format));
}

#[test]
fn dynamic_payload_types_are_echoed() {
    let (answer, agreed) = agree(&audio(
        "m=audio 5004 RTP/AVP 110 111\na=rtpmap:110 pcma/8000\na=rtpmap:111 Telephone-Event/8000",
    ));
    assert_eq!((agreed.encoding, agreed.payload_type), (Encoding::Pcma, 110));
    assert_eq!(agreed.telephone_event, event(111));
    assert_eq!(media_line(&answer), "m=audio 40000 RTP/AVP 110 111");
    assert!(answer.contains("a=rtpmap:110 PCMA/8000\r\n"));
}

#[test]
fn a_mapping_outweighs_the_static_table() {
    let refused = refusal(&audio("m=audio 5004 RTP/AVP 8\na=rtpmap:8 PCMA/16000"));
    assert_eq!(refused, Refusal::NotAcceptable(Incompatibility::Format));
    let stereo = refusal(&audio("m=audio 5004 RTP/AVP 97\na=rtpmap:97 PCMA/8000/2"));
    assert_eq!(stereo, Refusal::NotAcceptable(Incompatibility::Format));
}

#[test]
fn events_of_another_clock_are_better_than_none() {
    let (answer, agreed) = agree(&audio("m=audio 5004 RTP/AVP 8 110\na=rtpmap:110 telephone-event/48000"));
    let event = agreed.telephone_event.expect("taken");
    assert_eq!((event.payload_type, event.clock_rate_hz), (110, 48_000));
    assert!(answer.contains("a=rtpmap:110 telephone-event/48000\r\n"));
}

#[test]
fn directions_are_answered_from_the_other_side() {
    for (offered, ours, answered) in [
        ("", Direction::SendRecv, "a=sendrecv"),
        ("a=sendonly", Direction::RecvOnly, "a=recvonly"),
        ("a=recvonly", Direction::SendOnly, "a=sendonly"),
        ("a=inactive", Direction::Inactive, "a=inactive"),
    ] {
        let (answer, agreed) = agree(&audio(&format!("m=audio 5004 RTP/AVP 8\n{offered}")));
        assert_eq!(agreed.direction, ours);
        assert!(answer.contains(answered), "{offered}");
    }
    let session_level = "v=0\ns=-\nc=IN IP4 198.51.100.7\nt=0 0\na=sendonly\nm=audio 5004 RTP/AVP 8";
    assert_eq!(agree(session_level).1.direction, Direction::RecvOnly);
    let both = format!("{session_level}\na=sendrecv");
    assert_eq!(agree(&both).1.direction, Direction::SendRecv, "the line's own counts");
}

#[test]
fn the_old_way_to_hold_takes_nothing() {
    let held = "v=0\no=- 1 2 IN IP4 198.51.100.7\ns=-\nc=IN IP4 0.0.0.0\nt=0 0\nm=audio 5004 RTP/AVP 8";
    let (answer, agreed) = agree(held);
    assert_eq!(agreed.direction, Direction::RecvOnly);
    assert!(answer.contains("a=recvonly"));
    let (_, agreed) = agree(&format!("{held}\na=recvonly"));
    assert_eq!(agreed.direction, Direction::Inactive);
}

#[test]
fn packet_lengths() {
    for (attributes, expected) in [
        ("", 20),
        ("a=ptime:30", 30),
        ("a=ptime:60", 60),
        ("a=ptime:10", 10),
        ("a=ptime:40.0", 40),
        ("a=ptime:25", 20),
        ("a=ptime:0", 20),
        ("a=ptime:x", 20),
        ("a=ptime:200", 20),
        ("a=maxptime:10", 10),
        ("a=ptime:60\na=maxptime:40", 40),
        ("a=maxptime:5", 10),
    ] {
        let (answer, agreed) = agree(&audio(&format!("m=audio 5004 RTP/AVP 8\n{attributes}")));
        assert_eq!(agreed.ptime_ms, expected, "{attributes}");
        assert!(answer.contains(&format!("a=ptime:{expected}\r\n")));
    }
}

#[test]
fn every_line_is_answered_and_only_the_first_audio_is_taken() {
    let (answer, agreed) = agree(&audio(
        "m=image 4000 udptl t38
         m=audio 0 RTP/AVP 8
         m=audio 5006 RTP/SAVP 8
         m=audio 5008 RTP/AVP 8
         m=audio 5010 RTP/AVP 8
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    ));
    let answered: Vec<_> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    let expected = [
        "m=image 0 udptl t38",
        "m=audio 0 RTP/AVP 8",
        "m=audio 0 RTP/SAVP 8",
        "m=audio 40000 RTP/AVP 8",
        "m=audio 0 RTP/AVP 8",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
    ];
    assert_eq!(answered, expected);
    assert_eq!(agreed.remote.port(), 5_008);
}

#[test]
fn what_does_not_suit_is_refused_with_its_reason() {
    for (tail, why, code) in [
        ("", Incompatibility::MediaType, 304),
        ("m=video 5004 RTP/AVP 31", Incompatibility::MediaType, 304),
        ("m=audio 0 RTP/AVP 8", Incompatibility::MediaType, 304),
        ("m=audio 5004 RTP/SAVP 8", Incompatibility::Transport, 302),
        ("m=audio 5004 RTP/AVPF 8", Incompatibility::Transport, 302),
        ("m=audio 5004 RTP/AVP 18 9", Incompatibility::Format, 305),
        ("m=audio 5004 RTP/AVP 101\na=rtpmap:101 telephone-event/8000", Incompatibility::Format, 305),
        ("m=audio 5004 RTP/AVP 8\nc=IN IP6 2001:db8::1", Incompatibility::NetworkAddress, 301),
        ("m=audio 5004 RTP/AVP 8\nc=IN IP4 224.2.36.42/127", Incompatibility::NetworkAddress, 301),
        ("m=audio 5004 RTP/AVP 8\nc=IN IP4 pbx.example.com", Incompatibility::NetworkAddress, 301),
    ] {
        let refused = refusal(&audio(tail));
        assert_eq!((refused.status(), refused), (488, Refusal::NotAcceptable(why)), "{tail}");
        assert_eq!(why.warn_code(), code);
    }
    let no_address = refusal("v=0\ns=-\nt=0 0\nm=audio 5004 RTP/AVP 8");
    assert_eq!(no_address, Refusal::NotAcceptable(Incompatibility::NetworkAddress));
}

#[test]
fn mistakes_that_cost_no_call() {
    let base = b"v=0\no=\xc9lise IDENT-77 v1 IN IP4 198.51.100.7\ns=Soci\xe9t\xe9\ni=\xff\nu=\xfe\ne=a\ne=b\n\
        c=IN IP4 198.51.100.7 \nb=nonsense\nt=3034423619 3042462419\nr=bad\nz=bad\nk=prompt\ny=?\n\
        a=\xff\xff\nm=audio 5004 RTP/AVP 8 8 300 x 101\na=rtpmap\na=rtpmap:\na=rtpmap:101\na=rtpmap:101 telephone-event/8000\n\n\n";
    for end in ["\n", "\r\n", "\r"] {
        let text: Vec<u8> =
            base.split(|&octet| octet == b'\n').flat_map(|line| [line, end.as_bytes()].concat()).collect();
        let offer = Offer::parse(&text).expect("read");
        assert_eq!(offer.origin, "\u{fffd}lise IDENT-77 v1 IN IP4 198.51.100.7");
        let (answer, agreed) = negotiate(&offer, &ours()).expect("agreed");
        assert_eq!((agreed.payload_type, agreed.telephone_event), (8, event(101)));
        let answer = String::from_utf8(answer).expect("UTF-8");
        assert!(answer.contains("t=3034423619 3042462419\r\n"), "the answer repeats the time");
    }
}

#[test]
fn what_is_no_description_is_malformed() {
    let of = |octets: &[u8]| Offer::parse(octets).expect_err("malformed");
    assert!(matches!(of(b""), Malformed::Syntax(_)));
    assert!(matches!(of(b"v=1\r\n"), Malformed::Syntax(_)));
    assert!(matches!(of(b"s=-\r\nv=0\r\n"), Malformed::Syntax(_)));
    assert_eq!(of(b"v=0\r\nhello\r\n"), Malformed::NotALine(2));
    assert!(matches!(of(b"v=0\r\nm=audio 70000 RTP/AVP 8\r\n"), Malformed::Syntax(_)));
    assert!(matches!(of(b"v=0\r\nm=audio 5004\r\n"), Malformed::Syntax(_)));
    assert!(matches!(of(b"v=0\r\nc=IN IP4\r\n"), Malformed::Syntax(_)));
    assert!(matches!(of(b"v=0\r\na=\0\r\n"), Malformed::Syntax(_)));
    assert_eq!(Refusal::from(of(b"")).status(), 400);
}

#[test]
fn every_limit_holds() {
    let of = |octets: String| Offer::parse(octets.as_bytes()).map(|_| ()).expect_err("malformed");
    let line = "a=x\r\n";
    assert_eq!(of(format!("v=0\r\n{}", line.repeat(MAX_LINES))), Malformed::TooManyLines);
    assert_eq!(of(format!("v=0\r\na={}\r\n", "x".repeat(MAX_LINE_OCTETS))), Malformed::LineTooLong(2));
    let long = format!("v=0\r\n{}", format!("a={}\r\n", "x".repeat(1_000)).repeat(17));
    assert_eq!(of(long.clone()), Malformed::TooLong(long.len()));
    let media = "m=audio 1 RTP/AVP 8\r\n".repeat(MAX_MEDIA + 1);
    assert_eq!(of(format!("v=0\r\n{media}")), Malformed::TooManyMedia);
    let formats = " 8".repeat(MAX_FORMATS + 1);
    assert_eq!(of(format!("v=0\r\nm=audio 1 RTP/AVP{formats}\r\n")), Malformed::TooManyFormats(1));
}

#[test]
fn our_offer_and_its_answer() {
    let caller = Capabilities::new("198.51.100.9".parse().expect("an address"), 31_000, 11);
    let offered = offer(&caller);
    let read = Offer::parse(&offered).expect("our offer can be read");
    assert_eq!(read.media[0].format_list, "8 0 101");
    let (answer, callee) = negotiate(&read, &ours()).expect("agreed");
    let agreed = accept_answer(&caller, &answer).expect("agreed");
    assert_eq!(agreed.remote.to_string(), "192.0.2.130:40000");
    assert_eq!(callee.remote.to_string(), "198.51.100.9:31000");
    let theirs = StreamParameters { remote: callee.remote, remote_rtcp: callee.remote_rtcp, ..agreed };
    assert_eq!(theirs, callee, "both sides agreed on the same");
    assert_eq!((agreed.remote_rtcp, callee.remote_rtcp), (agreed.remote, callee.remote), "they share ports");
}

#[test]
fn rtcp_shares_the_port_only_where_both_want_it() {
    for (attributes, port, shares) in [
        ("a=rtcp-mux", 5_004, true),
        ("a=rtcp:5099 IN IP4 198.51.100.7\na=rtcp-mux", 5_004, true),
        ("a=rtcp:5099 IN IP4 198.51.100.7", 5_099, false),
        ("a=rtcp:5099", 5_099, false),
        ("a=rtcp:0", 5_005, false),
        ("a=rtcp:many", 5_005, false),
        ("a=ptime:20", 5_005, false),
    ] {
        let (answer, agreed) = agree(&audio(&format!("m=audio 5004 RTP/AVP 8\n{attributes}")));
        assert_eq!(agreed.remote_rtcp.to_string(), format!("198.51.100.7:{port}"), "{attributes}");
        assert_eq!(answer.contains("a=rtcp-mux\r\n"), shares, "{answer}");
    }
    let (_, agreed) = agree(&audio("m=audio 65535 RTP/AVP 8"));
    assert_eq!(agreed.remote_rtcp.port(), 0, "there is no port above");
}

#[test]
fn an_answer_may_renumber_events_and_must_take_our_line() {
    let answer = |tail: &str| accept_answer(&ours(), &lines(&audio(tail)));
    let renumbered =
        answer("m=audio 5004 RTP/AVP 0 96\na=rtpmap:96 telephone-event/8000\na=recvonly").expect("agreed");
    assert_eq!(
        renumbered.telephone_event,
        Some(TelephoneEvent { payload_type: 96, receive_payload_type: 101, clock_rate_hz: 8_000 })
    );
    assert_eq!(renumbered.direction, Direction::SendOnly);
    for (tail, why) in [
        ("m=audio 0 RTP/AVP 8", Incompatibility::MediaType),
        ("", Incompatibility::MediaType),
        ("m=audio 5004 RTP/AVP 9", Incompatibility::Format),
        ("m=audio 5004 RTP/SAVP 8", Incompatibility::Transport),
    ] {
        assert_eq!(answer(tail), Err(Refusal::NotAcceptable(why)));
    }
    assert!(matches!(accept_answer(&ours(), b"?"), Err(Refusal::Malformed(_))));
}

/// The `o=` version of a description of ours.
fn version(description: &[u8]) -> u64 {
    let text = std::str::from_utf8(description).expect("UTF-8");
    let origin = text.lines().find_map(|line| line.strip_prefix("o=- ")).expect("an origin");
    let mut words = origin.split(' ');
    assert_eq!(words.next(), Some("7"), "one session id for the whole call");
    words.next().and_then(|version| version.parse().ok()).expect("a version")
}

#[test]
fn a_call_keeps_its_session_id_and_counts_its_changes() {
    let mut exchange = Exchange::new(ours());
    let first = lines(&audio("m=audio 5004 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000"));
    let (answer, agreed) = exchange.answer(&first).expect("agreed");
    assert_eq!((version(&answer), exchange.agreed()), (7, Some(&agreed)));
    // The same again, under whatever version of theirs: nothing of ours changes.
    assert_eq!(exchange.answer(&first).expect("agreed"), (answer.clone(), agreed));
    let renumbered = String::from_utf8_lossy(&first).replace("o=- 1 1", "o=- 1 2");
    assert_eq!(exchange.answer(renumbered.as_bytes()).expect("agreed"), (answer.clone(), agreed));
    // Hold, and again on hold, and back.
    let held = [&first[..], b"a=sendonly\r\n"].concat();
    let (hold, on_hold) = exchange.answer(&held).expect("agreed");
    assert_eq!((version(&hold), on_hold.direction), (8, Direction::RecvOnly));
    assert!(String::from_utf8_lossy(&hold).ends_with("a=recvonly\r\n"));
    assert_eq!(exchange.answer(&held).expect("agreed").0, hold);
    let (back, resumed) = exchange.answer(&first).expect("agreed");
    assert_eq!((version(&back), resumed), (9, agreed));
    // What is refused changes nothing, and is no step of the count.
    let refused = lines(&audio("m=audio 5004 RTP/AVP 18"));
    assert_eq!(exchange.answer(&refused), Err(Incompatibility::Format.into()));
    assert_eq!(exchange.answer(&first).expect("agreed"), (back, agreed));
}

#[test]
fn every_way_to_hold_is_answered_from_the_other_side() {
    let active = audio("m=audio 5004 RTP/AVP 8");
    for (offer, direction, written) in [
        (format!("{active}\na=sendonly"), Direction::RecvOnly, "a=recvonly\r\n"),
        (format!("{active}\na=recvonly"), Direction::SendOnly, "a=sendonly\r\n"),
        (format!("{active}\na=inactive"), Direction::Inactive, "a=inactive\r\n"),
        (active.replace("c=IN IP4 198.51.100.7", "c=IN IP4 0.0.0.0"), Direction::RecvOnly, "a=recvonly\r\n"),
    ] {
        let mut exchange = Exchange::new(ours());
        let (_, before) = exchange.answer(&lines(&active)).expect("agreed");
        let (answer, agreed) = exchange.answer(&lines(&offer)).expect("agreed");
        assert_eq!((agreed.direction, version(&answer)), (direction, 8), "{offer}");
        assert!(String::from_utf8_lossy(&answer).ends_with(written), "{offer}");
        let (_, after) = exchange.answer(&lines(&active)).expect("agreed");
        assert_eq!(after, before);
    }
}

#[test]
fn an_audio_line_may_be_taken_away_in_mid_call_and_brought_back() {
    let (active, gone) = (audio("m=audio 5004 RTP/AVP 8"), audio("m=audio 0 RTP/AVP 8"));
    let mut exchange = Exchange::new(ours());
    assert_eq!(exchange.answer(&lines(&gone)), Err(Incompatibility::MediaType.into()), "no call begins so");
    let (_, before) = exchange.answer(&lines(&active)).expect("agreed");
    let (answer, agreed) = exchange.answer(&lines(&gone)).expect("agreed");
    assert!(String::from_utf8_lossy(&answer).ends_with("t=0 0\r\nm=audio 0 RTP/AVP 8\r\n"));
    assert_eq!(agreed, StreamParameters { direction: Direction::Inactive, ..before });
    assert_eq!(exchange.answer(&lines(&active)).expect("agreed").1, before);
    // Another medium in its place is not taken: the call goes on as it was.
    let fax = audio("m=audio 0 RTP/AVP 8\nm=image 5006 udptl t38");
    assert_eq!(exchange.answer(&lines(&fax)), Err(Incompatibility::MediaType.into()));
    assert_eq!(
        exchange.answer(&lines(&audio("m=video 0 RTP/AVP 31"))),
        Err(Incompatibility::MediaType.into())
    );
    assert_eq!(exchange.agreed(), Some(&before));
}

#[test]
fn an_offer_of_ours_in_mid_call_keeps_the_lines() {
    let two = audio("m=video 5006 RTP/AVP 31\nm=audio 5004 RTP/AVP 8 97\na=rtpmap:97 telephone-event/8000");
    let mut exchange = Exchange::new(ours());
    exchange.answer(&lines(&two)).expect("agreed");
    let offer = exchange.offer();
    assert_eq!(version(&offer), 8);
    let text = String::from_utf8(offer.clone()).expect("UTF-8");
    let media: Vec<_> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(media, ["m=video 0 RTP/AVP 31", "m=audio 40000 RTP/AVP 8 0 101"]);
    let answer = audio("m=video 0 RTP/AVP 31\nm=audio 5008 RTP/AVP 0 96\na=rtpmap:96 telephone-event/8000");
    let agreed = exchange.accept(&lines(&answer)).expect("agreed");
    assert_eq!((agreed.encoding, agreed.remote.port()), (Encoding::Pcmu, 5_008));
    assert_eq!(agreed.telephone_event.map(|e| (e.payload_type, e.receive_payload_type)), Some((96, 101)));
    // The same offer again: nothing new is said.
    assert_eq!(exchange.offer(), offer);
    let only_video = audio("m=video 5006 RTP/AVP 31");
    assert_eq!(exchange.accept(&lines(&only_video)), Err(Incompatibility::MediaType.into()));
    assert_eq!(exchange.agreed(), Some(&agreed));
}

proptest! {
    #[test]
    fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(offer) = Offer::parse(&octets) {
            let _ = negotiate(&offer, &ours());
        }
        let _ = accept_answer(&ours(), &octets);
    }

    #[test]
    fn no_lines_panic_and_every_answer_can_be_read(
        lines in proptest::collection::vec(
            prop_oneof![
                "[vosct]=[ -~]{0,20}",
                "c=IN IP[46] [0-9a-f.:]{0,12}(/[0-9]{1,3})?",
                "m=(audio|video|x) [0-9]{0,6}(/[0-9])? (RTP/AVP|RTP/SAVP|udp)( [0-9]{1,3}){0,5}",
                "a=(rtpmap|fmtp|ptime|maxptime|rtcp|sendonly|inactive):?[ -~]{0,20}",
                "a=rtpmap:[0-9]{1,3} (PCMA|PCMU|G722|AMR|AMR-WB|opus|telephone-event)/(8000|16000|48000|[0-9]{0,6})(/[0-9])?",
                "a=fmtp:[0-9]{1,3} ((mode-set|octet-align|crc|interleaving|maxaveragebitrate)=[0-9,]{0,9};? ?){0,3}",
                "\\PC{0,20}",
            ],
            0..20,
        ),
    ) {
        let text = format!("v=0\r\nc=IN IP4 198.51.100.7\r\n{}\r\n", lines.join("\r\n"));
        if let Ok(offer) = Offer::parse(text.as_bytes())
            && let Ok((answer, agreed)) = negotiate(&offer, &ours().with(Codecs::new(Encoding::ALL.to_vec())))
        {
            let read = Answer::parse(&answer).expect("our answer can be read");
            prop_assert_eq!(read.media.len(), offer.media.len());
            prop_assert_eq!(read.media.iter().filter(|line| line.port != 0).count(), 1);
            prop_assert!(agreed.payload_type < 128 && (10..=60).contains(&agreed.ptime_ms));
        }
    }
}
