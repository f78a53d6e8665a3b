//! Identifiers that this element makes up: tags and branches (RFC 3261 §19.3, §8.1.1.7), and the hash by which tables
//! are kept and stateless answers get their tags. All of it comes from the seed the endpoint is given.

use super::message::MAGIC_COOKIE;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fmt;
use std::hash::{BuildHasher, DefaultHasher, Hasher};

/// Characters of a tag, and of a branch after its cookie: 128 bits in hexadecimal.
const HEX_DIGITS: usize = 32;

/// A tag of ours: 128 random bits, written as 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(u128);

impl Tag {
    /// Reads a tag; `None` when it cannot be one of ours.
    pub fn parse(text: &[u8]) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// A branch of ours: the magic cookie and 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BranchId(u128);

impl BranchId {
    /// Reads a branch; `None` when it cannot be one of ours.
    pub fn parse(text: &[u8]) -> Option<Self> {
        parse_hex(text.strip_prefix(MAGIC_COOKIE)?).map(Self)
    }
}

impl fmt::Display for BranchId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "z9hG4bK{:032x}", self.0)
    }
}

fn parse_hex(text: &[u8]) -> Option<u128> {
    let plain = |octet: &u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(octet);
    if text.len() != HEX_DIGITS || !text.iter().all(plain) {
        return None;
    }
    u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// The source of random identifiers: a generator that its seed determines wholly.
#[derive(Debug)]
pub struct Identifiers {
    random: StdRng,
}

impl Identifiers {
    /// A generator from 256 bits of seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { random: StdRng::from_seed(seed) }
    }

    fn next_u128(&mut self) -> u128 {
        u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64())
    }

    /// A new tag.
    pub fn tag(&mut self) -> Tag {
        Tag(self.next_u128())
    }

    /// A new branch.
    pub fn branch(&mut self) -> BranchId {
        BranchId(self.next_u128())
    }

    /// A new Call-ID: 128 random bits without a host, which would tell nothing (RFC 3261 §8.1.1.4).
    pub fn call_id(&mut self) -> String {
        format!("{:032x}", self.next_u128())
    }

    /// The RSeq of a first reliable provisional response: uniformly from 1 to 2³¹ − 1 (RFC 3262 §3).
    pub fn first_rseq(&mut self) -> u32 {
        u32::try_from(self.random.next_u64() % ((1 << 31) - 1)).map_or(1, |number| number + 1)
    }

    /// Whole seconds from 0 to `most`, for a Retry-After that spreads the peers (RFC 3261 §14.2).
    pub fn seconds_up_to(&mut self, most: u32) -> u32 {
        u32::try_from(self.random.next_u64() % (u64::from(most) + 1)).unwrap_or(most)
    }

    /// A secret of 256 bits.
    pub fn secret(&mut self) -> [u8; 32] {
        let mut secret = [0; 32];
        self.random.fill_bytes(&mut secret);
        secret
    }

    /// A hash that outsiders cannot predict, made from the generator.
    pub fn hash_key(&mut self) -> HashKey {
        HashKey(self.random.next_u64(), self.random.next_u64())
    }
}

/// Builds hashers with a secret key, so that nobody can fill one bucket of a table with chosen Call-IDs, and a seed still
/// determines everything.
#[derive(Debug, Clone, Copy)]
pub struct HashKey(u64, u64);

impl BuildHasher for HashKey {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher.write_u64(self.1);
        hasher
    }
}

impl HashKey {
    /// A number that outsiders cannot predict, the same for the same octets.
    pub fn number_of(&self, octets: &[u8]) -> u64 {
        let mut hasher = self.build_hasher();
        hasher.write(octets);
        hasher.finish()
    }

    /// The tag of a stateless answer: the same for every retransmission of a request (RFC 3261 §8.2.7).
    pub fn tag_of(&self, request_key: &[u8]) -> Tag {
        let half = |number: u8| {
            let mut hasher = self.build_hasher();
            hasher.write_u8(number);
            hasher.write(request_key);
            u128::from(hasher.finish())
        };
        Tag(half(0) << 64 | half(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_branches_come_back_as_they_went_out() {
        let mut identifiers = Identifiers::new([7; 32]);
        let tag = identifiers.tag();
        assert_eq!(Tag::parse(tag.to_string().as_bytes()), Some(tag));
        let branch = identifiers.branch();
        assert_eq!(BranchId::parse(branch.to_string().as_bytes()), Some(branch));
        assert_ne!(identifiers.tag(), identifiers.tag());
        for foreign in ["", "1", "+0000000000000000000000000000001", "0123456789ABCDEF0123456789ABCDEF"] {
            assert_eq!(Tag::parse(foreign.as_bytes()), None);
            assert_eq!(BranchId::parse(format!("z9hG4bK{foreign}").as_bytes()), None);
        }
    }

    #[test]
    fn the_seed_determines_everything() {
        let draw = |seed| {
            let mut identifiers = Identifiers::new([seed; 32]);
            let key = identifiers.hash_key();
            (identifiers.call_id(), identifiers.tag(), key.tag_of(b"x"), key.tag_of(b"y"))
        };
        assert_eq!(draw(1), draw(1));
        let (one, two) = (draw(1), draw(2));
        assert!(one.0 != two.0 && one.1 != two.1 && one.2 != two.2 && one.2 != one.3);
    }
}
