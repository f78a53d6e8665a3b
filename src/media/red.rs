//! Redundant audio and events (RFC 2198): one payload that holds several, the oldest first and the primary one last.

use arrayvec::ArrayVec;

/// Blocks that are read in one payload, the primary one among them; a payload with more is malformed.
pub const MAX_BLOCKS: usize = 8;
/// The furthest that a redundant block can lie before its packet's timestamp, in units of the clock: 14 bits.
pub const MAX_OFFSET: u32 = 0x3fff;
/// Octets of a redundant block at most: 10 bits.
pub const MAX_BLOCK_OCTETS: usize = 0x3ff;

/// Octets of the header of a redundant block, and of the primary one.
const HEADER_OCTETS: usize = 4;
const LAST_HEADER_OCTETS: usize = 1;
/// Another header follows this one.
const FOLLOWED: u8 = 0x80;

/// One of the payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// What it would be sent as alone, 0–127.
    pub payload_type: u8,
    /// How far its timestamp lies before the packet's, 0–[`MAX_OFFSET`]; 0 for the primary one.
    pub offset: u16,
    /// Its octets.
    pub payload: &'a [u8],
}

/// Takes a payload apart; the primary block is the last. `None` where it does not hold what its headers say, or more than
/// [`MAX_BLOCKS`].
pub fn read(payload: &[u8]) -> Option<ArrayVec<Block<'_>, MAX_BLOCKS>> {
    let mut headers: ArrayVec<(u8, u16, usize), MAX_BLOCKS> = ArrayVec::new();
    let mut rest = payload;
    let primary = loop {
        match *rest {
            [first, middle, low_and_high, length, ref after @ ..] if first & FOLLOWED != 0 => {
                let offset = u16::from(middle) << 6 | u16::from(low_and_high >> 2);
                let octets = usize::from(low_and_high & 3) << 8 | usize::from(length);
                headers.try_push((first & !FOLLOWED, offset, octets)).ok()?;
                rest = after;
            }
            [first, ref after @ ..] if first & FOLLOWED == 0 => {
                rest = after;
                break first;
            }
            _ => return None,
        }
    };
    let mut blocks = ArrayVec::new();
    for (payload_type, offset, octets) in headers {
        let (payload, after) = rest.split_at_checked(octets)?;
        blocks.try_push(Block { payload_type, offset, payload }).ok()?;
        rest = after;
    }
    blocks.try_push(Block { payload_type: primary, offset: 0, payload: rest }).ok()?;
    Some(blocks)
}

/// Writes blocks, the primary one last; how many octets that took. `None` where there is no block, the buffer is too small, or
/// one is too long or too old for its header.
pub fn write(blocks: &[Block<'_>], buffer: &mut [u8]) -> Option<usize> {
    let (primary, redundant) = blocks.split_last()?;
    let mut at = 0;
    let mut put = |octets: &[u8]| {
        buffer.get_mut(at..at + octets.len())?.copy_from_slice(octets);
        at += octets.len();
        Some(())
    };
    for block in redundant {
        let (offset, octets) = (block.offset, block.payload.len());
        if u32::from(offset) > MAX_OFFSET || octets > MAX_BLOCK_OCTETS {
            return None;
        }
        let header: [u8; HEADER_OCTETS] = [
            FOLLOWED | block.payload_type & !FOLLOWED,
            (offset >> 6) as u8,
            (offset << 2) as u8 | (octets >> 8) as u8,
            octets as u8,
        ];
        put(&header)?;
    }
    let last: [u8; LAST_HEADER_OCTETS] = [primary.payload_type & !FOLLOWED];
    put(&last)?;
    for block in blocks {
        put(block.payload)?;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of RFC 2198 §4 with other payloads: a redundant block of DVI (5) beside a primary one of PCMU (0).
    #[test]
    fn a_payload_by_hand() {
        let payload = [0x85, 0x0a, 0x00, 0x03, 0x00, 1, 2, 3, 4, 5];
        let redundant = Block { payload_type: 5, offset: 640, payload: &[1, 2, 3] };
        let primary = Block { payload_type: 0, offset: 0, payload: &[4, 5] };
        let expected = [redundant, primary];
        assert_eq!(read(&payload).as_deref(), Some(&expected[..]));
        let mut buffer = [0; 10];
        assert_eq!(write(&expected, &mut buffer), Some(10));
        assert_eq!(buffer, payload);
        assert_eq!(write(&expected, &mut buffer[..9]), None);
    }

    #[test]
    fn the_bounds_of_the_header() {
        // 14 bits of offset and 10 of length, all set.
        let mut payload = vec![0xff, 0xff, 0xff, 0xff, 0x65];
        payload.extend([7; MAX_BLOCK_OCTETS]);
        payload.extend([1, 2, 3, 4]);
        let blocks = read(&payload).expect("whole");
        assert_eq!((blocks[0].payload_type, blocks[0].offset), (127, 0x3fff));
        assert_eq!((blocks[0].payload.len(), blocks[1].payload), (MAX_BLOCK_OCTETS, &[1, 2, 3, 4][..]));
        assert_eq!(read(&payload[..5 + MAX_BLOCK_OCTETS - 1]), None, "an octet is missing");
        let too_old = Block { payload_type: 101, offset: 0x4000, payload: &[] };
        let too_long = Block { payload_type: 101, offset: 0, payload: &[0; MAX_BLOCK_OCTETS + 1] };
        for block in [too_old, too_long] {
            assert_eq!(write(&[block, block], &mut [0; 4_096]), None);
        }
        assert_eq!(write(&[], &mut [0; 16]), None);
    }

    #[test]
    fn what_is_no_such_payload() {
        for payload in [&[][..], &[0x80], &[0xe5, 0, 0], &[0xe5, 0, 0, 0], &[0xe5, 0, 0, 4, 0x65, 1, 2, 3]] {
            assert_eq!(read(payload), None, "{payload:02x?}");
        }
        assert_eq!(
            read(&[0x65]).as_deref(),
            Some(&[Block { payload_type: 101, offset: 0, payload: &[] }][..])
        );
        let many = |count: usize| [vec![[0xe5, 0, 0, 0]; count].concat(), vec![0x65]].concat();
        assert_eq!(read(&many(MAX_BLOCKS - 1)).map(|blocks| blocks.len()), Some(MAX_BLOCKS));
        assert_eq!(read(&many(MAX_BLOCKS)), None, "one too many");
    }

    proptest! {
        #[test]
        fn no_octets_panic_and_what_is_read_is_what_was_written(payload in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(blocks) = read(&payload) {
                let mut buffer = [0; 60];
                prop_assert_eq!(write(&blocks, &mut buffer), Some(payload.len()));
                prop_assert_eq!(&buffer[..payload.len()], &payload[..]);
            }
        }
    }
}
