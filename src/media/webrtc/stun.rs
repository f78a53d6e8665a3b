//! STUN messages (RFC 8489), as far as connectivity checks (RFC 8445 §7) need them.

use arrayvec::ArrayVec;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::net::{IpAddr, SocketAddr};
use thiserror::Error;

/// Longest answer that is written, octets: an error with its unknown attributes, or a success over IPv6.
pub const MAX_ANSWER_OCTETS: usize = 128;
/// Most attributes that are read; a message with more is no check.
const MAX_ATTRIBUTES: usize = 32;
/// Unknown attributes that an answer names.
const MAX_UNKNOWN: usize = 8;

const HEADER_OCTETS: usize = 20;
/// Octets of a transaction id.
pub const TRANSACTION_OCTETS: usize = 12;
const MAGIC_COOKIE: u32 = 0x2112_a442;
/// What the checksum of FINGERPRINT is mixed with (RFC 8489 §14.7).
const FINGERPRINT_MASK: u32 = 0x5354_554e;
/// Octets of HMAC-SHA1.
const INTEGRITY_OCTETS: usize = 20;

// Methods and classes in one (RFC 8489 §5).
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

// RFC 8489 §18.3, RFC 8445 §16.1.
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;
/// From here on an attribute that is not known may be passed over.
const COMPREHENSION_OPTIONAL: u16 = 0x8000;

/// Why octets are no STUN message that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Shorter than a header, or not as long as header and attributes say, or with too many of them.
    #[error("wrong size")]
    Size,
    /// Not the first bits or the cookie of STUN.
    #[error("not STUN")]
    Cookie,
    /// Its FINGERPRINT is missing, wrong, or not at the end: every message of ICE has one (RFC 8445 §7.1).
    #[error("no right FINGERPRINT")]
    Fingerprint,
    /// An indication, an answer, or another method: nothing is to be said to it.
    #[error("no Binding request")]
    NoRequest,
}

/// Which agent the sender takes itself for (RFC 8445 §7.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It nominates.
    Controlling,
    /// It waits for our nomination.
    Controlled,
}

/// A Binding request, of which nothing is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    octets: &'a [u8],
    /// Where MESSAGE-INTEGRITY begins.
    integrity: Option<usize>,
    /// USERNAME.
    pub username: Option<&'a [u8]>,
    /// PRIORITY; of no use to an agent that has one candidate.
    pub priority: Option<u32>,
    /// The path is nominated (USE-CANDIDATE).
    pub use_candidate: bool,
    /// ICE-CONTROLLING or ICE-CONTROLLED.
    pub role: Option<Role>,
    /// Attributes that may not be passed over and are not known.
    pub unknown: ArrayVec<u16, MAX_UNKNOWN>,
}

impl<'a> Request<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`ReadError`] for all that is to be dropped.
    pub fn read(octets: &'a [u8]) -> Result<Self, ReadError> {
        let (kind, length) = (half(octets, 0)?, half(octets, 2)?);
        if kind >> 14 != 0 || word(octets, 4)? != MAGIC_COOKIE {
            return Err(ReadError::Cookie);
        }
        if octets.len() != HEADER_OCTETS + usize::from(length) || length % 4 != 0 {
            return Err(ReadError::Size);
        }
        check_fingerprint(octets)?;
        if kind != BINDING_REQUEST {
            return Err(ReadError::NoRequest);
        }
        let mut request = Self {
            octets,
            integrity: None,
            username: None,
            priority: None,
            use_candidate: false,
            role: None,
            unknown: ArrayVec::new(),
        };
        let mut offset = HEADER_OCTETS;
        for _ in 0..MAX_ATTRIBUTES {
            if offset == octets.len() {
                return Ok(request);
            }
            let (kind, length) = (half(octets, offset)?, usize::from(half(octets, offset + 2)?));
            let value = octets.get(offset + 4..offset + 4 + length).ok_or(ReadError::Size)?;
            request.take(kind, offset, value)?;
            offset += 4 + length.next_multiple_of(4);
        }
        Err(ReadError::Size)
    }

    fn take(&mut self, kind: u16, offset: usize, value: &'a [u8]) -> Result<(), ReadError> {
        // What stands behind the integrity is not covered by it (RFC 8489 §14.5).
        if self.integrity.is_some() {
            return Ok(());
        }
        match kind {
            USERNAME => self.username = self.username.or(Some(value)),
            MESSAGE_INTEGRITY if value.len() == INTEGRITY_OCTETS => self.integrity = Some(offset),
            PRIORITY => self.priority = Some(word(value, 0)?),
            USE_CANDIDATE => self.use_candidate = true,
            ICE_CONTROLLED => self.role = Some(Role::Controlled),
            ICE_CONTROLLING => self.role = Some(Role::Controlling),
            MESSAGE_INTEGRITY => return Err(ReadError::Size),
            MESSAGE_INTEGRITY_SHA256 | COMPREHENSION_OPTIONAL.. => {}
            unknown => {
                // More than an answer has room for are as unknown as the first.
                let _ = self.unknown.try_push(unknown);
            }
        }
        Ok(())
    }

    /// What tells it from other requests.
    pub fn transaction(&self) -> [u8; TRANSACTION_OCTETS] {
        let mut transaction = [0; TRANSACTION_OCTETS];
        transaction.iter_mut().zip(self.octets.iter().skip(8)).for_each(|(to, from)| *to = *from);
        transaction
    }

    /// Whether it has a MESSAGE-INTEGRITY, right or not.
    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether its MESSAGE-INTEGRITY is that of `password` (RFC 8489 §14.5).
    pub fn is_by(&self, password: &str) -> bool {
        let Some((offset, covered)) = self.integrity.and_then(|at| Some((at, self.octets.get(..at)?))) else {
            return false;
        };
        let tag = self.octets.get(offset + 4..offset + 4 + INTEGRITY_OCTETS).unwrap_or_default();
        let mut mac = mac_of(password);
        update_with_length(&mut mac, covered, offset + 4 + INTEGRITY_OCTETS);
        mac.verify_slice(tag).is_ok()
    }

    /// The answer that the path works, and what the sender's address is seen from here.
    pub fn success(&self, source: SocketAddr, password: &str) -> Answer {
        let mut answer = Answer::to(self, BINDING_SUCCESS);
        let transaction = self.transaction();
        let mut value = ArrayVec::<u8, 20>::new();
        let cookie = MAGIC_COOKIE.to_be_bytes();
        let mask = cookie.iter().chain(&transaction);
        let port = source.port() ^ (MAGIC_COOKIE >> 16) as u16;
        let masked = |ip: &[u8]| ip.iter().zip(mask).map(|(octet, mask)| octet ^ mask).collect();
        let (family, address): (u8, ArrayVec<u8, 16>) = match source.ip().to_canonical() {
            IpAddr::V4(ip) => (1, masked(&ip.octets())),
            IpAddr::V6(ip) => (2, masked(&ip.octets())),
        };
        value.extend([0, family]);
        value.extend(port.to_be_bytes());
        value.extend(address);
        answer.attribute(XOR_MAPPED_ADDRESS, &value);
        answer.seal(Some(password));
        answer
    }

    /// The answer that refuses it with `status`. Only one with a password was made for somebody who has it as well.
    pub fn refusal(&self, status: u16, password: Option<&str>) -> Answer {
        let mut answer = Answer::to(self, BINDING_ERROR);
        answer.attribute(ERROR_CODE, &[0, 0, (status / 100) as u8, (status % 100) as u8]);
        if status == 420 {
            let named = self.unknown.iter().flat_map(|kind| kind.to_be_bytes());
            answer.attribute(UNKNOWN_ATTRIBUTES, &named.collect::<ArrayVec<u8, { 2 * MAX_UNKNOWN }>>());
        }
        answer.seal(password);
        answer
    }
}

/// An answer that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer(ArrayVec<u8, MAX_ANSWER_OCTETS>);

impl Answer {
    fn to(request: &Request<'_>, kind: u16) -> Self {
        let mut octets = ArrayVec::new();
        octets.extend(kind.to_be_bytes());
        octets.extend([0, 0]);
        octets.extend(request.octets.iter().skip(4).take(4 + TRANSACTION_OCTETS).copied());
        Self(octets)
    }

    /// Its octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// The limits above leave room for every attribute that is ever written.
    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let padding = value.len().next_multiple_of(4) - value.len();
        if self.0.remaining_capacity() < 4 + value.len() + padding {
            return;
        }
        self.0.extend(kind.to_be_bytes());
        self.0.extend((value.len() as u16).to_be_bytes());
        self.0.extend(value.iter().copied());
        self.0.extend(std::iter::repeat_n(0, padding));
        self.set_length(self.0.len());
    }

    fn set_length(&mut self, whole: usize) {
        let length = (whole - HEADER_OCTETS) as u16;
        self.0.iter_mut().skip(2).zip(length.to_be_bytes()).for_each(|(to, from)| *to = from);
    }

    fn seal(&mut self, password: Option<&str>) {
        if let Some(password) = password {
            let mut mac = mac_of(password);
            update_with_length(&mut mac, &self.0, self.0.len() + 4 + INTEGRITY_OCTETS);
            let tag: [u8; INTEGRITY_OCTETS] = mac.finalize().into_bytes().into();
            self.attribute(MESSAGE_INTEGRITY, &tag);
        }
        // Its own eight octets count in the length that it covers.
        self.set_length(self.0.len() + 8);
        let checksum = crc_32(&self.0) ^ FINGERPRINT_MASK;
        self.attribute(FINGERPRINT, &checksum.to_be_bytes());
    }
}

fn half(octets: &[u8], offset: usize) -> Result<u16, ReadError> {
    let pair = octets.get(offset..offset + 2).and_then(|pair| pair.try_into().ok());
    pair.map(u16::from_be_bytes).ok_or(ReadError::Size)
}

fn word(octets: &[u8], offset: usize) -> Result<u32, ReadError> {
    let four = octets.get(offset..offset + 4).and_then(|four| four.try_into().ok());
    four.map(u32::from_be_bytes).ok_or(ReadError::Size)
}

fn check_fingerprint(octets: &[u8]) -> Result<(), ReadError> {
    let at = octets.len().checked_sub(8).filter(|at| *at >= HEADER_OCTETS).ok_or(ReadError::Fingerprint)?;
    let is_there = half(octets, at)? == FINGERPRINT && half(octets, at + 2)? == 4;
    let covered = octets.get(..at).unwrap_or_default();
    if is_there && word(octets, at + 4)? == crc_32(covered) ^ FINGERPRINT_MASK {
        Ok(())
    } else {
        Err(ReadError::Fingerprint)
    }
}

/// The key of short-term credentials is the password itself (RFC 8489 §9.1.1): ours is of characters that stay as they are.
fn mac_of(password: &str) -> Hmac<Sha1> {
    // HMAC takes a key of any length.
    Hmac::<Sha1>::new_from_slice(password.as_bytes())
        .unwrap_or_else(|_| Hmac::<Sha1>::new(&Default::default()))
}

/// The message so far, its length as if it ended with the attribute whose end is `end`.
fn update_with_length(mac: &mut Hmac<Sha1>, message: &[u8], end: usize) {
    let length = (end - HEADER_OCTETS) as u16;
    mac.update(message.get(..2).unwrap_or_default());
    mac.update(&length.to_be_bytes());
    mac.update(message.get(4..).unwrap_or_default());
}

/// The checksum of ITU-T V.42.
fn crc_32(octets: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut octet = 0;
        while octet < 256 {
            let mut value = octet as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[octet] = value;
            octet += 1;
        }
        table
    };
    !octets.iter().fold(!0, |sum, octet| TABLE[((sum ^ u32::from(*octet)) & 0xff) as usize] ^ (sum >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    fn octets(hex: &str) -> Vec<u8> {
        hex.split_ascii_whitespace().map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect()
    }

    /// RFC 5769 §2.1.
    fn request() -> Vec<u8> {
        octets(
            "00 01 00 58 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae \
             80 22 00 10 53 54 55 4e 20 74 65 73 74 20 63 6c 69 65 6e 74 \
             00 24 00 04 6e 00 01 ff 80 29 00 08 93 2f f9 b1 51 26 3b 36 \
             00 06 00 09 65 76 74 6a 3a 68 36 76 59 20 20 20 \
             00 08 00 14 9a ea a7 0c bf d8 cb 56 78 1e f2 b5 b2 d3 f2 49 c1 b5 71 a2 \
             80 28 00 04 e5 7a 3b cf",
        )
    }

    #[test]
    fn the_request_of_rfc_5769_is_read() {
        let whole = request();
        let request = Request::read(&whole).expect("a check");
        assert_eq!(request.username, Some(&b"evtj:h6vY"[..]));
        assert_eq!((request.priority, request.role), (Some(0x6e00_01ff), Some(Role::Controlled)));
        assert!(!request.use_candidate && request.unknown.is_empty());
        assert!(request.is_by(PASSWORD) && !request.is_by("VOkJxbRl1RmTxUk/WvJxBT") && !request.is_by(""));
    }

    /// RFC 5769 §2.2 and §2.3, of which ours differ by the SOFTWARE that we do not say.
    #[test]
    fn answers_are_those_of_rfc_5769() {
        let theirs = [
            (
                "192.0.2.1:32853",
                "01 01 00 3c 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae \
                 80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20 \
                 00 20 00 08 00 01 a1 47 e1 12 a6 43 \
                 00 08 00 14 2b 91 f5 99 fd 9e 90 c3 8c 74 89 f9 2a f9 ba 53 f0 6b e7 d7 \
                 80 28 00 04 c0 7d 4c 96",
            ),
            (
                "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
                "01 01 00 48 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae \
                 80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20 \
                 00 20 00 14 00 02 a1 47 01 13 a9 fa a5 d3 f1 79 bc 25 f4 b5 be d2 b9 d9 \
                 00 08 00 14 a3 82 95 4e 4b e6 7b f1 17 84 c9 7c 82 92 c2 75 bf e3 ed 41 \
                 80 28 00 04 c8 fb 0b 4c",
            ),
        ];
        let whole = request();
        let request = Request::read(&whole).expect("a check");
        for (source, theirs) in theirs {
            let theirs = octets(theirs);
            check_fingerprint(&theirs).expect("theirs is right");
            let integrity = theirs.len() - 8 - 24;
            let mut mac = mac_of(PASSWORD);
            update_with_length(&mut mac, &theirs[..integrity], integrity + 24);
            mac.verify_slice(&theirs[integrity + 4..integrity + 24]).expect("theirs is right");

            let answer = request.success(source.parse().expect("an address"), PASSWORD);
            let ours = answer.octets();
            check_fingerprint(ours).expect("ours is right");
            let mapped = 36..integrity;
            assert_eq!(
                ours[20..20 + mapped.len()],
                theirs[mapped],
                "the address, mixed with cookie and transaction"
            );
            assert_eq!(ours[4..20], theirs[4..20]);
            assert_eq!(usize::from(half(ours, 2).expect("a length")) + 20, ours.len());
            let integrity = ours.len() - 8 - 24;
            let mut mac = mac_of(PASSWORD);
            update_with_length(&mut mac, &ours[..integrity], integrity + 24);
            mac.verify_slice(&ours[integrity + 4..integrity + 24]).expect("ours is right");
        }
        let mapped = "[::ffff:192.0.2.1]:32853".parse().expect("an address");
        let plain = "192.0.2.1:32853".parse().expect("an address");
        assert_eq!(request.success(mapped, PASSWORD), request.success(plain, PASSWORD));
    }

    #[test]
    fn what_is_cut_short_or_changed_is_no_check_of_that_password() {
        let whole = request();
        for length in 0..whole.len() {
            assert!(Request::read(&whole[..length]).is_err(), "{length}");
        }
        for octet in 0..whole.len() {
            let mut changed = whole.clone();
            changed[octet] ^= 0x10;
            assert!(Request::read(&changed).is_err(), "{octet}: the checksum tells");
            let at = changed.len() - 8;
            let checksum = (crc_32(&changed[..at]) ^ FINGERPRINT_MASK).to_be_bytes();
            changed[at + 4..].copy_from_slice(&checksum);
            // Of what is padding of a covered attribute every octet counts as well.
            let believed = Request::read(&changed).is_ok_and(|request| request.is_by(PASSWORD));
            assert!(!believed || octet >= at + 4, "{octet}: the integrity tells");
        }
    }

    #[test]
    fn what_stands_behind_the_integrity_is_not_believed() {
        let mut whole = request();
        let nominates = [&USE_CANDIDATE.to_be_bytes()[..], &[0, 0]].concat();
        whole.splice(whole.len() - 8..whole.len() - 8, nominates);
        whole[3] += 4;
        let at = whole.len() - 8;
        let checksum = (crc_32(&whole[..at]) ^ FINGERPRINT_MASK).to_be_bytes();
        whole[at + 4..].copy_from_slice(&checksum);
        let request = Request::read(&whole).expect("a check");
        assert!(request.is_by(PASSWORD) && !request.use_candidate);
    }

    proptest! {
        #[test]
        fn octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..200), tail in any::<bool>()) {
            let mut octets = octets;
            if tail && octets.len() >= 28 {
                let length = octets.len() / 4 * 4;
                octets.truncate(length);
                octets[..2].copy_from_slice(&BINDING_REQUEST.to_be_bytes());
                octets[2..4].copy_from_slice(&((length - HEADER_OCTETS) as u16).to_be_bytes());
                octets[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
                octets[length - 8..length - 4].copy_from_slice(&[0x80, 0x28, 0, 4]);
                let checksum = (crc_32(&octets[..length - 8]) ^ FINGERPRINT_MASK).to_be_bytes();
                octets[length - 4..].copy_from_slice(&checksum);
            }
            if let Ok(request) = Request::read(&octets) {
                let _ = request.is_by("password");
                for answer in [request.refusal(420, Some("password")), request.refusal(401, None)] {
                    prop_assert!(check_fingerprint(answer.octets()).is_ok());
                }
            }
        }
    }
}
