//! As much of Ogg (RFC 3533) and of its mapping for Opus (RFC 7845) as a decoder wants.

/// Samples of a packet of 20 ms, at the 48 kHz that Opus counts in.
const PACKET_SAMPLES: u64 = 960;

/// A file of these packets.
pub fn file(packets: &[&[u8]]) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x01".to_vec();
    // No samples to skip, 16 kHz before encoding, no gain, one channel as it is.
    head.extend([0, 0, 0x80, 0x3e, 0, 0, 0, 0, 0]);
    let mut file = page(0, 0, 2, &head);
    file.extend(page(1, 0, 0, b"OpusTags\0\0\0\0\0\0\0\0"));
    for (number, packet) in (1..).zip(packets) {
        let last = if number == packets.len() as u64 { 4 } else { 0 };
        file.extend(page(number as u32 + 1, number * PACKET_SAMPLES, last, packet));
    }
    file
}

/// One page with one packet of less than 255 octets.
fn page(number: u32, samples: u64, flags: u8, packet: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend(samples.to_le_bytes());
    page.extend(1_u32.to_le_bytes());
    page.extend(number.to_le_bytes());
    page.extend([0; 4]);
    page.extend([1, u8::try_from(packet.len()).unwrap()]);
    page.extend(packet);
    let checksum = page.iter().fold(0_u32, |sum, &octet| {
        (0..8).fold(sum ^ u32::from(octet) << 24, |sum, _| {
            sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    });
    page[22..26].copy_from_slice(&checksum.to_le_bytes());
    page
}
