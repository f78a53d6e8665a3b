//! Offers of many codecs, as mobile cores and telephones write them, and our own.

use super::*;
use crate::units::amr::{AmrParameters, ModeSet};
use crate::units::rtp::{Encoding, StreamParameters};

/// Everything there is, whether this build can encode it or not: agreeing needs no encoder.
fn ours() -> Capabilities {
    let all =
        [Encoding::AmrWb, Encoding::Opus, Encoding::G722, Encoding::Amr, Encoding::Pcma, Encoding::Pcmu];
    Capabilities::new("192.0.2.130".parse().expect("an address"), 40_000, 7).with(Codecs::new(all.to_vec()))
}

fn lines(text: &str) -> Vec<u8> {
    let head = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n";
    let tail: String = text.trim().lines().map(|line| format!("{}\r\n", line.trim())).collect();
    format!("{head}{tail}").into_bytes()
}

fn agree_with(text: &str, capabilities: &Capabilities) -> Result<(String, StreamParameters), Refusal> {
    let offer = Offer::parse(&lines(text))?;
    let (answer, agreed) = negotiate(&offer, capabilities)?;
    Ok((String::from_utf8(answer).expect("UTF-8"), agreed))
}

fn agree(text: &str) -> (String, StreamParameters) {
    agree_with(text, &ours()).expect("agreed")
}

/// What an answer says of its audio, without the session's own lines.
fn audio_of(answer: &str) -> Vec<&str> {
    answer.lines().skip_while(|line| !line.starts_with("m=audio")).collect()
}

fn modes(encoding: Encoding, modes: &[u8]) -> ModeSet {
    ModeSet::new(encoding, modes.iter().copied()).expect("modes")
}

/// An MTSI client's offer, in the manner of 3GPP TS 26.114 §A.3: each codec bandwidth-efficient and octet-aligned.
const VOLTE: &str = "m=audio 49152 RTP/AVP 98 97 99 100 110 111
    a=tcap:1 RTP/AVPF
    a=pcfg:1 t=1
    a=rtpmap:98 AMR-WB/16000/1
    a=fmtp:98 mode-change-capability=2; max-red=220
    a=rtpmap:97 AMR-WB/16000/1
    a=fmtp:97 mode-change-capability=2; max-red=220; octet-align=1
    a=rtpmap:99 AMR/8000/1
    a=fmtp:99 mode-change-capability=2; max-red=220
    a=rtpmap:100 AMR/8000/1
    a=fmtp:100 mode-change-capability=2; max-red=220; octet-align=1
    a=rtpmap:110 telephone-event/16000
    a=fmtp:110 0-15
    a=rtpmap:111 telephone-event/8000
    a=fmtp:111 0-15
    a=ptime:20
    a=maxptime:240";

#[test]
fn a_mobile_core_gets_wideband_and_keys_of_its_clock() {
    let (answer, agreed) = agree(VOLTE);
    let expected = [
        "m=audio 40000 RTP/AVP 98 110",
        "a=rtpmap:98 AMR-WB/16000",
        "a=fmtp:98 mode-change-capability=2; max-red=0",
        "a=rtpmap:110 telephone-event/16000",
        "a=fmtp:110 0-15",
        "a=ptime:20",
        "a=sendrecv",
    ];
    assert_eq!(audio_of(&answer), expected);
    assert_eq!(agreed.amr, Some(AmrParameters::unrestricted(Encoding::AmrWb)));
    assert_eq!((agreed.payload_type, agreed.receive_payload_type, agreed.ptime_ms), (98, 98, 20));
    assert_eq!(
        agreed.telephone_event.map(|event| (event.payload_type, event.clock_rate_hz)),
        Some((110, 16_000))
    );
}

#[test]
fn without_wideband_the_narrow_one_with_its_own_clock_of_keys() {
    let narrow = ours().with(Codecs::new(vec![Encoding::Pcma, Encoding::Amr]));
    let (answer, agreed) = agree_with(VOLTE, &narrow).expect("agreed");
    assert_eq!(audio_of(&answer)[0], "m=audio 40000 RTP/AVP 99 111");
    assert_eq!(agreed.telephone_event.map(|event| event.clock_rate_hz), Some(8_000));
}

#[test]
fn a_mode_set_is_answered_as_it_is_or_passed_over() {
    // As a network names the modes of its radio: first a set, octet-aligned.
    let offer = "m=audio 5004 RTP/AVP 116 107 118 96 8 111
        a=rtpmap:116 AMR-WB/16000
        a=fmtp:116 mode-set=0,1,2; mode-change-period=2; mode-change-neighbor=1; octet-align=1
        a=rtpmap:107 AMR-WB/16000
        a=fmtp:107 mode-set=0,1,2,8
        a=rtpmap:118 AMR/8000
        a=fmtp:118 mode-set=0,2,4,7;octet-align=1
        a=rtpmap:96 AMR/8000
        a=rtpmap:111 telephone-event/8000";
    let (answer, agreed) = agree(offer);
    assert_eq!(
        audio_of(&answer)[2],
        "a=fmtp:116 mode-set=0,1,2; octet-align=1; mode-change-capability=2; max-red=0"
    );
    let restricted = AmrParameters {
        octet_aligned: true,
        modes: modes(Encoding::AmrWb, &[0, 1, 2]),
        named: true,
        change_period: 2,
        change_neighbor: true,
    };
    assert_eq!(agreed.amr, Some(restricted));
    // Keys of 8,000 Hz beside audio of 16,000 Hz: there are no others.
    assert_eq!(agreed.telephone_event.map(|event| event.clock_rate_hz), Some(8_000));
    // A service that holds few modes takes the first format whose set it holds whole.
    let few = Codecs {
        amr_wb_modes: modes(Encoding::AmrWb, &[0, 2, 8]),
        amr_modes: modes(Encoding::Amr, &[0, 2, 4, 7]),
        ..Codecs::new(vec![Encoding::AmrWb, Encoding::Amr])
    };
    let (answer, agreed) = agree_with(offer, &ours().with(few.clone())).expect("agreed");
    assert_eq!((agreed.payload_type, agreed.encoding), (118, Encoding::Amr));
    assert!(audio_of(&answer)[2].starts_with("a=fmtp:118 mode-set=0,2,4,7; octet-align=1"));
    // Without a set in the offer, the answer says which modes there are.
    let free = "m=audio 5004 RTP/AVP 96\na=rtpmap:96 AMR/8000\na=fmtp:96 octet-align=0; max-red=0";
    let (answer, agreed) = agree_with(free, &ours().with(few)).expect("agreed");
    assert!(audio_of(&answer)[2].starts_with("a=fmtp:96 mode-set=0,2,4,7; mode-change"), "{answer}");
    assert_eq!(agreed.amr.map(|amr| amr.modes), Some(modes(Encoding::Amr, &[0, 2, 4, 7])));
}

#[test]
fn formats_that_cannot_be_sent_are_passed_over() {
    for parameters in [
        "crc=1",
        "robust-sorting=1; octet-align=1",
        "interleaving=30",
        "mode-set=0,9",
        "mode-set=x",
        "mode-set=0,,2",
        "mode-set=300",
    ] {
        let offer = format!("m=audio 5004 RTP/AVP 96 8\na=rtpmap:96 AMR/8000\na=fmtp:96 {parameters}");
        assert_eq!(agree(&offer).1.payload_type, 8, "{parameters}");
    }
    for mapping in ["AMR/16000", "AMR/8000/2", "AMR-WB/8000", "opus/48000", "opus/16000/2", "G722/16000"] {
        let offer = format!("m=audio 5004 RTP/AVP 96 8\na=rtpmap:96 {mapping}");
        assert_eq!(agree(&offer).1.payload_type, 8, "{mapping}");
    }
    for parameters in ["", "mode-set=", "octet-align=0;crc=0", ";;=;", "MODE-SET=0,7", "a"] {
        let offer = format!("m=audio 5004 RTP/AVP 96 8\na=rtpmap:96 amr/8000\na=fmtp:96 {parameters}");
        assert_eq!(agree(&offer).1.payload_type, 96, "{parameters}");
    }
}

#[test]
fn a_telephone_with_opus_and_wideband() {
    let offer = "m=audio 27310 RTP/AVP 102 9 0 8 103 101
        a=rtpmap:102 opus/48000/2
        a=fmtp:102 useinbandfec=1; maxaveragebitrate=30000; maxplaybackrate=48000
        a=rtpmap:103 telephone-event/48000
        a=rtpmap:101 telephone-event/8000
        a=ptime:10
        a=maxptime:40";
    let (answer, agreed) = agree(offer);
    let expected = [
        "m=audio 40000 RTP/AVP 102 103",
        "a=rtpmap:102 opus/48000/2",
        "a=fmtp:102 maxplaybackrate=16000",
        "a=rtpmap:103 telephone-event/48000",
        "a=fmtp:103 0-15",
        "a=ptime:20",
        "a=sendrecv",
    ];
    assert_eq!(audio_of(&answer), expected);
    assert_eq!(agreed.telephone_event.map(|event| event.clock_rate_hz), Some(48_000));
    // A decoder that takes less than we have gets another codec.
    let (answer, agreed) = agree(&offer.replace("maxaveragebitrate=30000", "maxaveragebitrate=12000"));
    assert_eq!((agreed.encoding, agreed.payload_type), (Encoding::G722, 9));
    assert_eq!(audio_of(&answer)[..2], ["m=audio 40000 RTP/AVP 9 101", "a=rtpmap:9 G722/8000"]);
}

#[test]
fn packets_are_as_long_as_the_codec_allows() {
    for (format, attributes, expected) in [
        ("9", "", 20),
        ("9", "a=ptime:30", 30),
        ("9", "a=maxptime:10", 10),
        ("96", "a=ptime:10", 20),
        ("96", "a=ptime:30", 20),
        ("96", "a=ptime:40", 40),
        ("96", "a=ptime:60", 60),
        ("96", "a=ptime:60\na=maxptime:50", 40),
        ("97", "a=ptime:60", 60),
        ("97", "a=ptime:120\na=maxptime:120", 20),
    ] {
        let offer = format!(
            "m=audio 5004 RTP/AVP {format}\na=rtpmap:96 AMR-WB/16000\na=rtpmap:97 opus/48000/2\n{attributes}"
        );
        let (answer, agreed) = agree(&offer);
        assert_eq!(agreed.ptime_ms, expected, "{format} {attributes}");
        assert!(answer.contains(&format!("a=ptime:{expected}\r\n")));
    }
    // Where packets must be shorter than a codec's frame, another codec is taken.
    let short = "m=audio 5004 RTP/AVP 96 8\na=rtpmap:96 AMR-WB/16000\na=maxptime:10";
    assert_eq!((agree(short).1.payload_type, agree(short).1.ptime_ms), (8, 10));
}

#[test]
fn our_offer_names_every_codec_each_way_and_a_clock_of_keys_for_each() {
    let offered = String::from_utf8(offer(&ours())).expect("UTF-8");
    let audio = audio_of(&offered);
    assert_eq!(audio[0], "m=audio 40000 RTP/AVP 98 99 111 9 96 97 8 0 101 102 103");
    for line in [
        "a=rtpmap:98 AMR-WB/16000",
        "a=fmtp:99 octet-align=1; mode-change-capability=2; max-red=0",
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:102 telephone-event/16000",
        "a=rtpmap:103 telephone-event/48000",
    ] {
        assert!(audio.contains(&line), "{line} not in {offered}");
    }
    let read = Offer::parse(offered.as_bytes()).expect("read");
    let (answer, callee) = negotiate(&read, &ours()).expect("agreed");
    let caller = accept_answer(&ours(), &answer).expect("agreed");
    assert_eq!((caller.encoding, callee.encoding), (Encoding::AmrWb, Encoding::AmrWb));
    assert_eq!(caller.telephone_event, callee.telephone_event);
}

#[test]
fn an_answer_may_give_numbers_of_its_own() {
    let answer = |tail: &str| accept_answer(&ours(), &lines(tail)).expect("agreed");
    let wide = answer(
        "m=audio 5004 RTP/AVP 120 121
         a=rtpmap:120 AMR-WB/16000
         a=fmtp:120 octet-align=1
         a=rtpmap:121 telephone-event/16000",
    );
    assert_eq!((wide.payload_type, wide.receive_payload_type), (120, 99));
    assert_eq!(
        wide.telephone_event.map(|event| (event.payload_type, event.receive_payload_type)),
        Some((121, 102))
    );
    let opus = answer("m=audio 5004 RTP/AVP 98\na=rtpmap:98 opus/48000/2");
    assert_eq!((opus.encoding, opus.payload_type, opus.receive_payload_type), (Encoding::Opus, 98, 111));
    let plain = answer("m=audio 5004 RTP/AVP 8");
    assert_eq!((plain.payload_type, plain.receive_payload_type), (8, 8));
}

#[test]
fn a_refresh_keeps_the_numbers_of_the_description_that_holds() {
    let mut exchange = Exchange::new(ours());
    let offer =
        lines("m=audio 5004 RTP/AVP 120 121\na=rtpmap:120 opus/48000/2\na=rtpmap:121 telephone-event/48000");
    let (_, agreed) = exchange.answer(&offer).expect("agreed");
    let refreshed = exchange
        .accept_repeated(&lines(
            "m=audio 5004 RTP/AVP 96 97\na=rtpmap:96 opus/48000/2\na=rtpmap:97 telephone-event/48000",
        ))
        .expect("agreed");
    assert_eq!(
        (agreed.receive_payload_type, refreshed.payload_type, refreshed.receive_payload_type),
        (120, 96, 120)
    );
    assert_eq!(refreshed.telephone_event.map(|event| event.receive_payload_type), Some(121));
}

#[test]
fn another_codec_in_mid_call_is_answered_under_the_next_version() {
    let mut exchange = Exchange::new(ours());
    exchange.answer(&lines("m=audio 5004 RTP/AVP 8")).expect("agreed");
    let wide = lines("m=audio 5004 RTP/AVP 96\na=rtpmap:96 AMR-WB/16000\na=fmtp:96 mode-set=0,1,2");
    let (answer, agreed) = exchange.answer(&wide).expect("agreed");
    assert!(String::from_utf8_lossy(&answer).contains("o=- 7 8 IN"));
    assert_eq!(agreed.encoding, Encoding::AmrWb);
    let narrower = lines("m=audio 5004 RTP/AVP 96\na=rtpmap:96 AMR-WB/16000\na=fmtp:96 mode-set=0");
    let (answer, agreed) = exchange.answer(&narrower).expect("agreed");
    assert!(String::from_utf8_lossy(&answer).contains("o=- 7 9 IN"));
    assert_eq!(agreed.amr.map(|amr| amr.modes), Some(modes(Encoding::AmrWb, &[0])));
}
