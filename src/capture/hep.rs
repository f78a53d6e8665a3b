//! HEP version 3 (the Homer Encapsulation Protocol, as EEP in the Homer project's specification): one captured message as
//! one packet of chunks. Sans-IO.
//!
//! A packet is `HEP3`, its length in octets (16 bits, all included) and chunks; a chunk is a vendor id, a type, its
//! length (16 bits each, the six octets of these included) and its value, all in network order. Over TCP packets follow
//! each other: the length frames them.

use crate::sip::{Flow, Transport};
use jiff::Timestamp;
use std::net::{IpAddr, SocketAddr};

/// The most octets of a packet: its length has 16 bits.
pub const MAX_PACKET_OCTETS: usize = 65_535;

/// Begins every packet.
const MAGIC: &[u8] = b"HEP3";
/// Where the packet's length stands.
const LENGTH_AT: usize = MAGIC.len();
/// What a chunk takes beside its value.
const CHUNK_HEAD_OCTETS: usize = 6;
/// The vendor of the generic chunks.
const GENERIC: u16 = 0;

/// The protocol families, as `AF_INET` and `AF_INET6` of Linux.
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// The numbers of IANA's protocol registry.
const TCP: u8 = 6;
const UDP: u8 = 17;
/// The protocol that is captured.
const SIP: u8 = 1;

/// The generic chunks that are written.
#[derive(Debug, Clone, Copy)]
#[repr(u16)]
enum Chunk {
    IpFamily = 0x0001,
    IpProtocol = 0x0002,
    Ipv4Source = 0x0003,
    Ipv4Destination = 0x0004,
    Ipv6Source = 0x0005,
    Ipv6Destination = 0x0006,
    SourcePort = 0x0007,
    DestinationPort = 0x0008,
    TimestampS = 0x0009,
    TimestampUs = 0x000a,
    ProtocolType = 0x000b,
    AgentId = 0x000c,
    AuthKey = 0x000e,
    Payload = 0x000f,
    CorrelationId = 0x0011,
}

/// One captured message.
#[derive(Debug, Clone, Copy)]
pub struct Captured<'a> {
    /// By which transport it went.
    pub transport: Transport,
    /// Who sent it.
    pub source: SocketAddr,
    /// Who received it.
    pub destination: SocketAddr,
    /// When it passed, UTC.
    pub at: Timestamp,
    /// Its octets.
    pub payload: &'a [u8],
    /// What joins the messages of a call: the Call-ID.
    pub correlation_id: Option<&'a [u8]>,
}

impl<'a> Captured<'a> {
    /// A message that passed one of our sockets.
    pub fn new(
        flow: Flow,
        received: bool,
        at: Timestamp,
        payload: &'a [u8],
        call_id: Option<&'a [u8]>,
    ) -> Self {
        let (source, destination) =
            if received { (flow.remote, flow.local) } else { (flow.local, flow.remote) };
        Self { transport: flow.transport, source, destination, at, payload, correlation_id: call_id }
    }
}

/// Why a message is no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a packet of {0} octets, more than {MAX_PACKET_OCTETS}")]
pub struct TooLong(pub usize);

/// Writes a packet to the end of `packets`.
///
/// # Errors
/// When it would be longer than its length can say; then nothing is written.
pub fn write(
    packets: &mut Vec<u8>,
    message: &Captured<'_>,
    agent_id: u32,
    auth_key: &[u8],
) -> Result<(), TooLong> {
    let start = packets.len();
    packets.extend_from_slice(MAGIC);
    packets.extend_from_slice(&[0, 0]);
    write_addresses(packets, message);
    let second = u32::try_from(message.at.as_second()).unwrap_or(0);
    let microsecond = u32::try_from(message.at.subsec_nanosecond() / 1000).unwrap_or(0);
    chunk(packets, Chunk::TimestampS, &second.to_be_bytes());
    chunk(packets, Chunk::TimestampUs, &microsecond.to_be_bytes());
    chunk(packets, Chunk::ProtocolType, &[SIP]);
    chunk(packets, Chunk::AgentId, &agent_id.to_be_bytes());
    if !auth_key.is_empty() {
        chunk(packets, Chunk::AuthKey, auth_key);
    }
    if let Some(id) = message.correlation_id {
        chunk(packets, Chunk::CorrelationId, id);
    }
    chunk(packets, Chunk::Payload, message.payload);
    let octets = packets.len() - start;
    let Ok(length) = u16::try_from(octets) else {
        packets.truncate(start);
        return Err(TooLong(octets));
    };
    if let Some(place) = packets.get_mut(start + LENGTH_AT..start + LENGTH_AT + 2) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

fn write_addresses(packets: &mut Vec<u8>, message: &Captured<'_>) {
    let protocol = if message.transport == Transport::Udp { UDP } else { TCP };
    match (message.source.ip(), message.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            chunk(packets, Chunk::IpFamily, &[IPV4]);
            chunk(packets, Chunk::IpProtocol, &[protocol]);
            chunk(packets, Chunk::Ipv4Source, &source.octets());
            chunk(packets, Chunk::Ipv4Destination, &destination.octets());
        }
        // A flow has one family; were it mixed, both can be said in the larger one.
        (source, destination) => {
            chunk(packets, Chunk::IpFamily, &[IPV6]);
            chunk(packets, Chunk::IpProtocol, &[protocol]);
            chunk(packets, Chunk::Ipv6Source, &in_ipv6(source));
            chunk(packets, Chunk::Ipv6Destination, &in_ipv6(destination));
        }
    }
    chunk(packets, Chunk::SourcePort, &message.source.port().to_be_bytes());
    chunk(packets, Chunk::DestinationPort, &message.destination.port().to_be_bytes());
}

fn in_ipv6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn chunk(packets: &mut Vec<u8>, kind: Chunk, value: &[u8]) {
    // A value too long for its length makes the packet too long as well, which is then not sent.
    let length = u16::try_from(CHUNK_HEAD_OCTETS + value.len()).unwrap_or(u16::MAX);
    packets.extend_from_slice(&GENERIC.to_be_bytes());
    packets.extend_from_slice(&(kind as u16).to_be_bytes());
    packets.extend_from_slice(&length.to_be_bytes());
    packets.extend_from_slice(value);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    pub(in crate::capture) type Chunks = BTreeMap<u16, Vec<u8>>;

    /// Reads one packet by the specification alone: type → value, and what follows the packet.
    pub(in crate::capture) fn read(octets: &[u8]) -> Option<(Chunks, &[u8])> {
        let word = |at: usize| Some(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?]));
        let length = usize::from(word(4)?);
        if octets.get(..4)? != b"HEP3" || octets.len() < length {
            return None;
        }
        let (mut chunks, mut at) = (BTreeMap::new(), 6);
        while at < length {
            let (vendor, kind, size) = (word(at)?, word(at + 2)?, usize::from(word(at + 4)?));
            assert!(vendor == 0 && size >= 6 && at + size <= length, "a chunk that does not fit");
            assert!(chunks.insert(kind, octets[at + 6..at + size].to_vec()).is_none(), "a chunk twice");
            at += size;
        }
        Some((chunks, &octets[length..]))
    }

    fn captured<'a>(source: &str, destination: &str, payload: &'a [u8]) -> Captured<'a> {
        Captured {
            transport: Transport::Udp,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            at: "2026-11-25T05:00:00.123456Z".parse().unwrap(),
            payload,
            correlation_id: Some(b"a@b"),
        }
    }

    #[test]
    fn every_chunk_says_what_the_specification_asks() {
        let mut packets = Vec::new();
        let message = captured("192.0.2.9:5062", "192.0.2.1:5060", b"BYE sip:a SIP/2.0\r\n\r\n");
        write(&mut packets, &message, 130, b"secret").unwrap();
        let second =
            Captured { correlation_id: None, ..captured("[2001:db8::9]:1", "[2001:db8::1]:2", b"x") };
        write(&mut packets, &Captured { transport: Transport::Tls, ..second }, 7, b"").unwrap();
        let (chunks, rest) = read(&packets).unwrap();
        let expected: Chunks = [
            (1, vec![2]),
            (2, vec![17]),
            (3, vec![192, 0, 2, 9]),
            (4, vec![192, 0, 2, 1]),
            (7, 5062_u16.to_be_bytes().to_vec()),
            (8, 5060_u16.to_be_bytes().to_vec()),
            (9, 1_795_582_800_u32.to_be_bytes().to_vec()),
            (10, 123_456_u32.to_be_bytes().to_vec()),
            (11, vec![1]),
            (12, vec![0, 0, 0, 130]),
            (14, b"secret".to_vec()),
            (15, b"BYE sip:a SIP/2.0\r\n\r\n".to_vec()),
            (17, b"a@b".to_vec()),
        ]
        .into();
        assert_eq!(chunks, expected);
        let (chunks, rest) = read(rest).unwrap();
        assert!(rest.is_empty());
        assert_eq!((&chunks[&1], &chunks[&2]), (&vec![10], &vec![6]), "IPv6, and TCP under TLS");
        let address: std::net::Ipv6Addr = "2001:db8::9".parse().unwrap();
        assert_eq!(chunks[&5], address.octets());
        assert!(!chunks.contains_key(&3) && !chunks.contains_key(&14) && !chunks.contains_key(&17));
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let mut packets = b"before".to_vec();
        let whole = vec![b'a'; MAX_PACKET_OCTETS];
        let error = write(&mut packets, &captured("192.0.2.9:1", "192.0.2.1:2", &whole), 1, b"").unwrap_err();
        assert!(error.0 > MAX_PACKET_OCTETS);
        assert_eq!(packets, b"before");
    }
}
