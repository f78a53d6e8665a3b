//! Against the vectors of the RFCs and what libsrtp makes; replay, loss, reordering and forgery.

use super::cipher::{Cipher, Gcm};
use super::*;
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit};
use proptest::prelude::*;

const ALL: [Profile; 4] = [
    Profile::AeadAes256Gcm,
    Profile::AeadAes128Gcm,
    Profile::AesCm128HmacSha1_80,
    Profile::AesCm128HmacSha1_32,
];

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn master(profile: Profile) -> MasterKey {
    let octets: Vec<u8> = (0..profile.key_and_salt_octets()).map(|i| (7 * i + 3) as u8).collect();
    MasterKey::new(profile, &octets).unwrap()
}

fn rtp(sequence: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let timestamp = 160_u32.wrapping_mul(sequence.into());
    [&[0x80, 8][..], &sequence.to_be_bytes(), &timestamp.to_be_bytes(), &ssrc.to_be_bytes(), payload].concat()
}

fn receiver_report(ssrc: u32) -> Vec<u8> {
    [&[0x81, 201, 0, 7][..], &ssrc.to_be_bytes(), &(0..24).collect::<Vec<u8>>()].concat()
}

fn protected(sender: &mut SrtpSender, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + MAX_TRAILER_OCTETS, 0);
    let octets = sender.protect(&mut buffer, packet.len()).unwrap();
    buffer.truncate(octets);
    buffer
}

fn opened(receiver: &mut SrtpReceiver, packet: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut packet = packet.to_vec();
    let octets = receiver.open(&mut packet)?;
    packet.truncate(octets);
    Ok(packet)
}

fn opened_rtcp(receiver: &mut SrtpReceiver, packet: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut packet = packet.to_vec();
    let octets = receiver.open_rtcp(&mut packet)?;
    packet.truncate(octets);
    Ok(packet)
}

/// `rtp` or `rtcp`, and the octets.
type Sealed = (&'static str, Vec<u8>);

/// What libsrtp protected: the profile with its key, then packets.
fn vectors() -> Vec<(MasterKey, Vec<Sealed>)> {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/srtp.txt"));
    let mut all: Vec<(MasterKey, Vec<_>)> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (word, hex) = line.split_once(' ').unwrap();
        match Profile::from_name(word) {
            Some(profile) => all.push((MasterKey::new(profile, &octets(hex)).unwrap(), Vec::new())),
            None => all.last_mut().unwrap().1.push((word, octets(hex))),
        }
    }
    all
}

#[test]
fn packets_are_those_of_libsrtp_over_the_rollover_too() {
    let ssrc = 0xcafe_babe;
    let with_extension =
        [&octets("9288 0002 00000640 cafebabe 00000001 00000002 bede0001 10ff0000")[..], b"payload"].concat();
    let plain: Vec<Vec<u8>> = [65_534, 65_535, 0, 1]
        .map(|number: u16| {
            rtp(number, ssrc, &(0..20).map(|i| number.wrapping_add(i) as u8).collect::<Vec<_>>())
        })
        .into_iter()
        .chain([with_extension])
        .collect();
    let all = vectors();
    assert_eq!(all.len(), 3);
    for (master, packets) in all {
        assert_eq!(master, super::tests::master(master.profile()), "as the file says");
        let (mut sender, mut receiver) = (SrtpSender::new(&master), SrtpReceiver::new(&master));
        let mut reports = 0;
        for (number, (kind, theirs)) in packets.iter().enumerate() {
            if *kind == "rtp" {
                assert_eq!(
                    &protected(&mut sender, &plain[number]),
                    theirs,
                    "{:?} {number}",
                    master.profile()
                );
                assert_eq!(opened(&mut receiver, theirs).as_ref(), Ok(&plain[number]));
                assert_eq!(opened(&mut receiver, theirs), Err(Refusal::Replay));
            } else {
                let report = receiver_report(ssrc);
                let mut buffer = report.clone();
                buffer.resize(report.len() + MAX_TRAILER_OCTETS, 0);
                let octets = sender.protect_rtcp(&mut buffer, report.len()).unwrap();
                assert_eq!(&buffer[..octets], theirs, "{:?} {number}", master.profile());
                assert_eq!(opened_rtcp(&mut receiver, theirs).as_ref(), Ok(&report));
                assert_eq!(opened_rtcp(&mut receiver, theirs), Err(Refusal::Replay));
                reports += 1;
            }
        }
        assert_eq!((packets.len(), reports), (7, 2));
    }
}

/// RFC 7714 §16.1.1 and §16.2.1, whose keys are session keys.
#[test]
fn the_vectors_of_rfc_7714() {
    let key: [u8; 32] = std::array::from_fn(|i| i as u8);
    let salt: [u8; 14] = octets("5175 6964 2070 726f 2071 756f 0000").try_into().unwrap();
    let plain = octets(
        "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070
         61727465 73207472 6573",
    );
    let short = || Gcm::Aes128(Box::new(Aes128Gcm::new_from_slice(&key[..16]).unwrap()));
    let long = || Gcm::Aes256(Box::new(Aes256Gcm::new_from_slice(&key).unwrap()));
    let by_aes_128 = octets(
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a
         51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
    );
    let by_aes_256 = octets(
        "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02
         76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
    );
    let master = master(Profile::AeadAes128Gcm);
    for (gcm, sealed) in [(&short as &dyn Fn() -> Gcm, by_aes_128), (&long as &dyn Fn() -> Gcm, by_aes_256)] {
        let mut sender = SrtpSender::new(&master).with_rtp(Cipher::gcm(gcm(), &salt));
        assert_eq!(protected(&mut sender, &plain), sealed);
        let mut receiver = SrtpReceiver::new(&master).with_rtp(Cipher::gcm(gcm(), &salt));
        assert_eq!(opened(&mut receiver, &sealed), Ok(plain.clone()));
    }
}

#[test]
fn what_is_changed_forged_short_or_plain_is_refused_and_changes_nothing() {
    for profile in ALL {
        let master = master(profile);
        let (mut sender, mut receiver) = (SrtpSender::new(&master), SrtpReceiver::new(&master));
        let packet = protected(&mut sender, &rtp(1, 7, b"one"));
        for octet in 0..packet.len() {
            let mut changed = packet.clone();
            changed[octet] ^= 0x40;
            let refused = opened(&mut receiver, &changed).unwrap_err();
            // A changed first octet may say that the header is longer than the packet.
            assert!(matches!(refused, Refusal::Tag | Refusal::Size), "{profile:?} {octet} {refused}");
        }
        for length in 0..packet.len() {
            assert!(opened(&mut receiver, &packet[..length]).is_err(), "{profile:?} {length}");
        }
        assert_eq!(opened(&mut receiver, &packet), Ok(rtp(1, 7, b"one")));
        let other = MasterKey::new(profile, &vec![9; profile.key_and_salt_octets()]).unwrap();
        let forged = protected(&mut SrtpSender::new(&other), &rtp(2, 7, b"two"));
        assert_eq!(opened(&mut receiver, &forged), Err(Refusal::Tag));

        let mut buffer = receiver_report(7);
        buffer.resize(buffer.len() + MAX_TRAILER_OCTETS, 0);
        let octets = sender.protect_rtcp(&mut buffer, 32).unwrap();
        buffer.truncate(octets);
        for octet in 0..buffer.len() {
            let mut changed = buffer.clone();
            changed[octet] ^= 0x80;
            let refused = opened_rtcp(&mut receiver, &changed).unwrap_err();
            assert!(matches!(refused, Refusal::Tag | Refusal::Plain), "{profile:?} {octet} {refused}");
        }
        for length in 0..buffer.len() {
            assert!(opened_rtcp(&mut receiver, &buffer[..length]).is_err(), "{profile:?} {length}");
        }
        assert_eq!(opened_rtcp(&mut receiver, &buffer), Ok(receiver_report(7)));
    }
}

#[test]
fn without_room_for_the_tag_nothing_may_be_sent() {
    let mut sender = SrtpSender::new(&master(Profile::AeadAes128Gcm));
    let mut packet = rtp(1, 7, b"one");
    let octets = packet.len();
    packet.resize(octets + 15, 0);
    assert_eq!(sender.protect(&mut packet, octets), None);
    assert_eq!(sender.protect(&mut packet, 4), None, "no RTP packet");
    assert_eq!(sender.protect(&mut packet, 400), None);
    assert_eq!(sender.protect_rtcp(&mut packet, octets), None);
}

#[test]
fn a_key_has_the_length_of_its_profile_and_is_not_shown() {
    for profile in ALL {
        let described = Profile::DESCRIBED.contains(&profile).then_some(profile);
        assert_eq!(Profile::from_name(profile.name()), described);
        let octets: Vec<u8> = (100..).take(profile.key_and_salt_octets()).collect();
        let key = MasterKey::new(profile, &octets).unwrap();
        assert_eq!(key.key_and_salt(), octets);
        assert!(MasterKey::new(profile, &octets[1..]).is_err());
        let error = MasterKey::new(profile, &[octets, vec![1]].concat()).unwrap_err().to_string();
        assert!(error.contains(profile.name()), "{error}");
        let shown = format!("{key:?} {:?} {:?}", SrtpSender::new(&key), SrtpReceiver::new(&key));
        assert!(!shown.contains("100") && !shown.contains("101"), "{shown}");
    }
    assert_eq!(Profile::from_name("aes_cm_128_hmac_sha1_80"), None);
}

#[test]
fn more_sources_than_are_kept_forget_the_one_that_was_silent_longest() {
    let master = master(Profile::AesCm128HmacSha1_80);
    let mut receiver = SrtpReceiver::new(&master);
    let packets: Vec<_> = (0..=MAX_SOURCES as u32)
        .map(|ssrc| protected(&mut SrtpSender::new(&master), &rtp(1, ssrc, b"x")))
        .collect();
    for packet in &packets {
        opened(&mut receiver, packet).unwrap();
    }
    assert_eq!(opened(&mut receiver, &packets[1]), Err(Refusal::Replay));
    assert!(opened(&mut receiver, &packets[0]).is_ok(), "it is forgotten");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Lost, late and repeated packets: each is taken once, or refused with the right reason.
    #[test]
    fn each_packet_is_taken_at_most_once(
        first in any::<u16>(),
        steps in prop::collection::vec((0_u32..200, 0_u32..200), 1..60),
    ) {
        let master = master(Profile::AesCm128HmacSha1_80);
        let mut sender = SrtpSender::new(&master);
        let total = steps.iter().map(|(ahead, _)| *ahead as usize + 1).sum::<usize>();
        let packets: Vec<_> = (0..total)
            .map(|n| protected(&mut sender, &rtp(first.wrapping_add(n as u16), 7, b"x")))
            .collect();
        let mut receiver = SrtpReceiver::new(&master);
        let (mut newest, mut taken) = (None::<usize>, std::collections::HashSet::new());
        let mut at = 0;
        for (ahead, back) in steps {
            at += ahead as usize;
            let chosen = at.saturating_sub(back as usize);
            at += 1;
            let outcome = opened(&mut receiver, &packets[chosen]);
            let behind = newest.map_or(0, |newest| newest.saturating_sub(chosen)) as u64;
            // Before the first packet that came, a number below zero can be meant.
            let expected_late = behind >= super::replay::WINDOW;
            if taken.contains(&chosen) && !expected_late {
                prop_assert_eq!(outcome, Err(Refusal::Replay));
            } else if expected_late {
                prop_assert!(matches!(outcome, Err(Refusal::Late | Refusal::Tag)), "{:?}", outcome);
            } else if newest.is_none() && chosen + usize::from(first) > 0xffff {
                // The first packet that comes must be from before the rollover (RFC 3711 §3.3.1).
                prop_assert_eq!(outcome, Err(Refusal::Tag));
            } else if outcome.is_ok() {
                taken.insert(chosen);
                newest = Some(newest.unwrap_or(0).max(chosen));
            } else {
                // Only a number before the beginning of the source's numbers.
                prop_assert!(usize::from(first) + chosen < super::replay::WINDOW as usize + 0x10000, "{:?}", outcome);
            }
        }
    }

    #[test]
    fn no_octets_panic(mut packet in prop::collection::vec(any::<u8>(), 0..300), rtcp in any::<bool>()) {
        for profile in ALL {
            let mut receiver = SrtpReceiver::new(&master(profile));
            let mut sender = SrtpSender::new(&master(profile));
            let refused = if rtcp { receiver.open_rtcp(&mut packet) } else { receiver.open(&mut packet) };
            prop_assert!(refused.is_err());
            let length = packet.len();
            let _ = sender.protect(&mut packet, length.saturating_sub(30));
            let _ = sender.protect_rtcp(&mut packet, length.saturating_sub(30));
        }
    }
}
