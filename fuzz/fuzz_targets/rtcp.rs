#![no_main]
//! Compound RTCP packets, and packets that claim to be protected, from anybody.

use klikon::media::rtcp::{Packet, Packets};
use klikon::media::srtp::{MasterKey, Profile, SrtpReceiver};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok(packets) = Packets::read(octets) {
        for packet in packets {
            match packet {
                Packet::Report { blocks, .. } => assert!(blocks.count() <= 31),
                Packet::Goodbye(sources) => assert!(sources.count() <= 31),
                Packet::Other(_) => {}
            }
        }
    }
    // A tag of 32 bits is guessed now and then.
    for profile in [Profile::AeadAes128Gcm, Profile::AesCm128HmacSha1_80] {
        let key = MasterKey::new(profile, &[7; 30][..profile.key_and_salt_octets()]).expect("a key");
        let mut receiver = SrtpReceiver::new(&key);
        assert!(receiver.open(&mut octets.to_vec()).is_err(), "nobody guesses a tag");
        assert!(receiver.open_rtcp(&mut octets.to_vec()).is_err(), "nor that of a report");
    }
});
