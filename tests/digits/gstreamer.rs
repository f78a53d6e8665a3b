//! What GStreamer makes redundant (its `rtpredenc`), read with most of it lost.

use crate::caller::{AUDIO_PAYLOAD_TYPE, REDUNDANT_PAYLOAD_TYPE};
use klikon::media::tone::ToneSender;
use klikon::media::{
    Encoding, Identity, MAX_TRANSMIT_OCTETS, MediaEvent, PromptLibrary, Reach, Session, SessionSettings,
    StreamParameters,
};
use klikon::units::clock::Clock;
use klikon::units::rtp::Redundancy;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const KEYS: &str = "0672123456#";

/// Octets of A-law in a packet of 20 ms.
const PACKET_OCTETS: usize = 160;

/// The keys as tones in A-law, 60 ms each and 60 ms apart.
fn tones() -> Vec<u8> {
    let mut sender = ToneSender::default();
    assert!(KEYS.chars().all(|key| sender.push(key, 60, 60)));
    let mut octets = vec![0xd5; 5 * PACKET_OCTETS];
    while !sender.is_idle() {
        let mut packet = [0xd5; PACKET_OCTETS];
        sender.fill(Encoding::Pcma, &mut packet);
        octets.extend(packet);
    }
    octets.extend([0xd5; 10 * PACKET_OCTETS]);
    octets
}

/// RTP packets that hold the two before them as well, one a file.
fn made_redundant(folder: &Path, audio: &[u8]) -> Vec<Vec<u8>> {
    std::fs::write(folder.join("keys.al"), audio).unwrap();
    let pipeline = format!(
        "filesrc location=keys.al ! \
         rawaudioparse use-sink-caps=false format=alaw sample-rate=8000 num-channels=1 ! \
         rtppcmapay pt={AUDIO_PAYLOAD_TYPE} min-ptime=20000000 max-ptime=20000000 ! \
         rtpredenc pt={REDUNDANT_PAYLOAD_TYPE} distance=2 allow-no-red-blocks=false ! \
         multifilesink location=packet-%05d"
    );
    let output = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(pipeline.split_ascii_whitespace())
        .current_dir(folder)
        .output()
        .expect("GStreamer is installed; `make tools` does that");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count = audio.len() / PACKET_OCTETS;
    (0..count).map(|number| std::fs::read(folder.join(format!("packet-{number:05}"))).unwrap()).collect()
}

/// What is heard of every third packet.
fn hear(packets: &[Vec<u8>], redundancy: Option<Redundancy>) -> (String, u64) {
    let peer = ([192, 0, 2, 1], 40_000).into();
    let library = Arc::new(PromptLibrary::encode([]).expect("no clips are no mistake"));
    let identity = Identity { ssrc: 1, sequence: 1, timestamp: 1 };
    let mut session = Session::new(SessionSettings::default(), Reach::Anywhere, library, identity, None);
    let mut now = Clock::system().instant();
    session.start(
        now,
        StreamParameters { redundancy, ..StreamParameters::new(peer, Encoding::Pcma, AUDIO_PAYLOAD_TYPE) },
    );
    let mut heard = String::new();
    for packet in packets.iter().skip(2).step_by(3) {
        now += Duration::from_millis(60);
        session.handle_packet(now, peer, packet);
        let mut buffer = [0; MAX_TRANSMIT_OCTETS];
        while session.poll_transmit(now, &mut buffer).is_some() {}
        heard.extend(std::iter::from_fn(|| session.poll_event()).filter_map(|event| match event {
            MediaEvent::Digit { digit, .. } => Some(digit),
            _ => None,
        }));
    }
    (heard, session.statistics().malformed_redundancy)
}

#[test]
fn of_what_gstreamer_repeats_two_packets_in_three_may_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let packets = made_redundant(folder.path(), &tones());
    let payload_types: Vec<u8> = packets.iter().map(|packet| packet[1] & 0x7f).collect();
    let redundant = payload_types.iter().filter(|number| **number == REDUNDANT_PAYLOAD_TYPE).count();
    assert!(redundant >= packets.len() - 2, "{payload_types:?}");
    assert_eq!(hear(&packets, Some(Redundancy::new(REDUNDANT_PAYLOAD_TYPE))), (KEYS.to_owned(), 0));
    assert_eq!(hear(&packets, None).0, "", "without it nothing could be heard");
}
