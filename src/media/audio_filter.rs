//! A filter that the kernel runs on a call's socket, so that audio that nobody listens to does not wake the worker.

use socket2::SockFilter;

/// Of so many packets of audio in a row (a power of two) ...
const PERIOD: u32 = 128;
/// ... the filter lets this many pass, next to each other: two in sequence show a new source (RFC 3550 §A.1).
const PASSED: u32 = 2;

/// How many packets of audio stand for each that passes the filter.
pub const SAMPLED: u64 = (PERIOD / PASSED) as u64;

/// Octets before the RTP packet where a filter of a UDP socket begins to read.
const UDP_HEADER_OCTETS: u32 = 8;
/// Octets of the shortest RTP packet.
const RTP_HEADER_OCTETS: u32 = 12;

// The instructions of the classic packet filter (linux/bpf_common.h).
const LOAD_LENGTH: u16 = 0x80;
const LOAD_16_BITS: u16 = 0x28;
const AND: u16 = 0x54;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_NOT_LESS: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Whether the filter lets audio with this sequence number pass.
pub const fn is_sampled(sequence: u16) -> bool {
    sequence as u32 % PERIOD < PASSED
}

/// How many of the sequence numbers from 1 to `ahead` after `sequence` it lets pass.
pub fn sampled_within(sequence: u16, ahead: u16) -> u64 {
    // Those below a number that has not wrapped.
    let below = |number: u32| u64::from(number / PERIOD * PASSED + (number % PERIOD).min(PASSED));
    let first = u32::from(sequence) + 1;
    below(first + u32::from(ahead)) - below(first)
}

/// Drops audio of `payload_type` but for one packet in [`SAMPLED`]. What starts a talkspurt passes, and all that is not
/// plainly such audio: keys, comfort noise, RTCP, and what the session counts as malformed.
pub fn audio_filter(payload_type: u8) -> [SockFilter; 10] {
    let audio = 0x8000 | u32::from(payload_type & 0x7f);
    [
        SockFilter::new(LOAD_LENGTH, 0, 0, 0),
        SockFilter::new(JUMP_IF_NOT_LESS, 0, 6, UDP_HEADER_OCTETS + RTP_HEADER_OCTETS),
        // Version, marker and payload type.
        SockFilter::new(LOAD_16_BITS, 0, 0, UDP_HEADER_OCTETS),
        SockFilter::new(AND, 0, 0, 0xc0ff),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, audio),
        // Sequence number.
        SockFilter::new(LOAD_16_BITS, 0, 0, UDP_HEADER_OCTETS + 2),
        SockFilter::new(AND, 0, 0, PERIOD - 1),
        SockFilter::new(JUMP_IF_NOT_LESS, 1, 0, PASSED),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Packet;
    use proptest::prelude::*;
    use socket2::SockRef;
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

    fn packet(payload_type: u8, marker: bool, sequence: u16) -> Vec<u8> {
        let packet = Packet { payload_type, marker, sequence, timestamp: 0, ssrc: 1, payload: &[0xd5; 160] };
        let mut octets = [0; 172];
        assert_eq!(packet.write(&mut octets), 172);
        octets.to_vec()
    }

    /// What of `sent` the kernel lets pass; the last one is to pass.
    fn passed(socket: &UdpSocket, sent: &[Vec<u8>]) -> Vec<Vec<u8>> {
        SockRef::from(socket).attach_filter(&audio_filter(8)).expect("the kernel takes it");
        let service = socket.local_addr().expect("an address");
        let caller = UdpSocket::bind((service.ip(), 0)).expect("a socket");
        let mut passed = Vec::new();
        let mut octets = [0; 2_048];
        for packet in sent {
            caller.send_to(packet, service).expect("sent");
            // On loopback what was sent has come, or was dropped.
            while let Ok((length, _)) = socket.recv_from(&mut octets) {
                passed.push(octets[..length].to_vec());
            }
        }
        passed
    }

    #[test]
    fn the_kernel_drops_plain_audio_only() {
        let sockets = [UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)), UdpSocket::bind((Ipv6Addr::LOCALHOST, 0))];
        for socket in sockets.map(|socket| socket.expect("a socket")) {
            socket.set_nonblocking(true).expect("not to wait");
            let audio: Vec<_> =
                (0..=u16::MAX).step_by(3).map(|sequence| packet(8, false, sequence)).collect();
            let sampled: Vec<_> = (0..=u16::MAX)
                .step_by(3)
                .filter(|sequence| is_sampled(*sequence))
                .map(|sequence| packet(8, false, sequence))
                .collect();
            assert_eq!(passed(&socket, &audio), sampled);
            let mut wrong_version = packet(8, false, 5);
            wrong_version[0] = 0x40;
            let others = [
                packet(8, true, 5),
                packet(0, false, 5),
                packet(101, false, 5),
                packet(13, false, 5),
                vec![0x80, 200, 0, 1],
                // A check, and a handshake, as long as audio.
                [&[0, 1, 0, 152][..], &[7; 168]].concat(),
                [&[22, 254, 253, 0][..], &[7; 168]].concat(),
                vec![],
                packet(8, false, 5)[..11].to_vec(),
                wrong_version,
            ];
            assert_eq!(passed(&socket, &others), others);
            SockRef::from(&socket).detach_filter().expect("it is there");
        }
    }

    proptest! {
        #[test]
        fn what_passes_is_counted(sequence in any::<u16>(), ahead in 0..4_000_u16) {
            let passing = (1..=ahead).filter(|step| is_sampled(sequence.wrapping_add(*step))).count();
            prop_assert_eq!(sampled_within(sequence, ahead), passing as u64);
        }
    }
}
