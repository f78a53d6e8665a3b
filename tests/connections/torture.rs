//! The messages of RFC 4475 over TCP: each to a connection of its own, and the service serves on after each.
//!
//! As over UDP, but for what a stream makes of them: a message whose length cannot be known or is not what is there ends
//! its connection.

use super::service::*;
use klikon::net::StreamSettings;
use klikon::sip::{FramingLimits, Transport};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const TCP: Transport = Transport::Tcp;

/// The first status that comes back, or none; and whether the connection is closed then.
const EXPECTED: [(&str, Option<u16>, bool); 49] = [
    ("wsinv", Some(481), false),
    ("intmeth", Some(501), false),
    ("esc01", Some(100), false),
    ("escnull", Some(405), false),
    ("esc02", Some(501), false),
    ("lwsdisp", Some(200), false),
    ("longreq", Some(100), false),
    // On a stream what follows is a message too; its body is not what it says.
    ("dblreq", Some(405), true),
    ("semiuri", Some(200), false),
    ("transports", Some(200), false),
    ("mpart01", Some(405), false),
    ("unreason", None, false),
    ("noreason", None, false),
    ("badinv01", Some(400), false),
    // Its Content-Length is larger than what is there.
    ("clerr", Some(408), true),
    ("ncl", Some(400), true),
    ("scalar02", Some(400), false),
    ("scalarlg", None, false),
    ("quotbal", Some(400), false),
    ("ltgtruri", Some(400), false),
    ("lwsruri", Some(400), false),
    ("lwsstart", Some(400), false),
    ("trws", Some(400), false),
    ("escruri", Some(400), false),
    ("baddate", Some(400), false),
    ("regbadct", Some(400), false),
    ("badaspec", Some(400), false),
    ("baddn", Some(400), false),
    ("badvers", Some(505), false),
    ("mismatch01", Some(400), false),
    ("mismatch02", Some(400), false),
    ("bigcode", None, true),
    ("badbranch", Some(200), false),
    ("insuf", Some(400), false),
    ("unkscm", Some(416), false),
    ("novelsc", Some(416), false),
    ("unksm2", Some(405), false),
    ("bext01", Some(420), false),
    ("invut", Some(415), false),
    ("regaut01", Some(405), false),
    ("multi01", Some(400), false),
    ("mcl01", Some(400), true),
    ("bcast", None, false),
    ("zeromf", Some(200), false),
    ("cparam01", Some(405), false),
    ("cparam02", Some(405), false),
    ("regescrt", Some(405), false),
    ("sdp01", Some(406), false),
    // Without Content-Length, which a datagram need not have.
    ("inv2543", Some(400), true),
];

fn octets(name: &str) -> Vec<u8> {
    let path = format!("{}/sip-tests/torture/{name}.dat", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The status line of the answer that is not to our OPTIONS, and whether that was answered: read as octets, since answers
/// echo what is not text.
async fn outcome(service: &Service, name: &str, branch: u32) -> (Option<u16>, bool) {
    let mut peer = service.connect().await;
    peer.stream.write_all(&octets(name)).await.unwrap();
    if name != "clerr" {
        // What it leaves over would be its body.
        let _ = peer.stream.write_all(options(TCP, branch).as_bytes()).await;
    }
    let mut held = Vec::new();
    let ours = format!("z9hG4bK{branch};").into_bytes();
    let mut buffer = [0; 4096];
    let is_served = loop {
        if held.windows(ours.len()).any(|part| part == ours) {
            break true;
        }
        match in_time(tokio::io::AsyncReadExt::read(&mut peer.stream, &mut buffer)).await {
            Ok(length @ 1..) => held.extend_from_slice(&buffer[..length]),
            Ok(0) | Err(_) => break false,
        }
    };
    let first =
        held.strip_prefix(b"SIP/2.0 ").and_then(|rest| std::str::from_utf8(&rest[..3]).ok()?.parse().ok());
    let answers = held.windows(8).filter(|part| part == b"SIP/2.0 ").count();
    // The only answer is that to our OPTIONS.
    let is_ours = is_served && answers == 1;
    (first.filter(|_| !is_ours), !is_served)
}

#[tokio::test]
async fn each_message_is_answered_over_tcp_as_over_udp() {
    let service = Service::tcp(StreamSettings {
        framing: FramingLimits { message_time: Duration::from_millis(500), ..FramingLimits::default() },
        ..StreamSettings::default()
    });
    let mut other = service.connect().await;
    let mut wrong = Vec::new();
    for (number, (name, status, closed)) in (1..).zip(EXPECTED) {
        let found = outcome(&service, name, 1_000 + number).await;
        if found != (status, closed) {
            wrong.push((name, (status, closed), found));
        }
        other.is_served(TCP, number).await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
