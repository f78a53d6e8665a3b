//! The arithmetic of RFC 7616 §3.4: hashes, A1, A2 and the response.

use super::credentials::Protection;
use md5::Md5;
use sha2::digest::Digest;
use sha2::{Sha256, Sha512_256};
use std::fmt;
use subtle::ConstantTimeEq;

/// Hexadecimal digits of the longest digest.
const MAX_HEX_DIGITS: usize = 64;

/// A digest algorithm (RFC 7616 §3.2, RFC 8760 §2.1). Stronger ones are greater, apart from `-sess`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// `MD5`, the one of RFC 2617 and where none is named.
    Md5,
    /// `MD5-sess`.
    Md5Sess,
    /// `SHA-256`.
    Sha256,
    /// `SHA-256-sess`.
    Sha256Sess,
    /// `SHA-512-256`: SHA-512/256 of FIPS 180-4, which is not SHA-512 cut short.
    Sha512Slash256,
    /// `SHA-512-256-sess`.
    Sha512Slash256Sess,
}

impl Algorithm {
    /// Every algorithm, the weakest first.
    pub const ALL: [Self; 6] = [
        Self::Md5,
        Self::Md5Sess,
        Self::Sha256,
        Self::Sha256Sess,
        Self::Sha512Slash256,
        Self::Sha512Slash256Sess,
    ];

    /// Its name as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
            Self::Sha512Slash256 => "SHA-512-256",
            Self::Sha512Slash256Sess => "SHA-512-256-sess",
        }
    }

    /// The algorithm that `name` names, in any case.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Whether A1 holds the nonces (`-sess`).
    pub const fn is_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess | Self::Sha512Slash256Sess)
    }

    /// The algorithm without `-sess`: that of the stored [`Ha1`].
    pub const fn base(self) -> Self {
        match self {
            Self::Md5 | Self::Md5Sess => Self::Md5,
            Self::Sha256 | Self::Sha256Sess => Self::Sha256,
            Self::Sha512Slash256 | Self::Sha512Slash256Sess => Self::Sha512Slash256,
        }
    }

    /// Hexadecimal digits of its digests.
    pub const fn hex_digits(self) -> usize {
        match self.base() {
            Self::Md5 => 32,
            _ => MAX_HEX_DIGITS,
        }
    }

    /// `H(part ":" part …)` in lower-case hexadecimal.
    pub(super) fn hash(self, parts: &[&[u8]]) -> HexDigest {
        #[cfg(test)]
        work::count();
        match self.base() {
            Self::Md5 => joined::<Md5>(parts),
            Self::Sha256 => joined::<Sha256>(parts),
            _ => joined::<Sha512_256>(parts),
        }
    }
}

fn joined<D: Digest>(parts: &[&[u8]]) -> HexDigest {
    let mut hasher = D::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    HexDigest::of(hasher.finalize().as_slice())
}

/// A digest in lower-case hexadecimal, 32 or 64 digits. Compared in constant time.
#[derive(Clone, Copy)]
pub struct HexDigest {
    digits: [u8; MAX_HEX_DIGITS],
    len: usize,
}

impl HexDigest {
    fn of(octets: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = Self { digits: [0; MAX_HEX_DIGITS], len: 0 };
        for (pair, octet) in hex.digits.chunks_exact_mut(2).zip(octets) {
            pair.copy_from_slice(&[DIGITS[usize::from(octet >> 4)], DIGITS[usize::from(octet & 15)]]);
            hex.len += 2;
        }
        hex
    }

    /// Reads a digest of `algorithm`; digits in either case. `None` when it cannot be one.
    pub fn parse(algorithm: Algorithm, text: &[u8]) -> Option<Self> {
        Self::read(text).filter(|digest| digest.len == algorithm.hex_digits())
    }

    /// Reads 32 or 64 digits.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        if !matches!(text.len(), 32 | MAX_HEX_DIGITS) || !text.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut hex = Self { digits: [0; MAX_HEX_DIGITS], len: text.len() };
        for (digit, octet) in hex.digits.iter_mut().zip(text) {
            *digit = octet.to_ascii_lowercase();
        }
        Some(hex)
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }
}

impl PartialEq for HexDigest {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.digits.ct_eq(&other.digits)) && self.len == other.len
    }
}

impl Eq for HexDigest {}

impl fmt::Display for HexDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|digit| fmt::Write::write_char(formatter, char::from(*digit)))
    }
}

impl fmt::Debug for HexDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// `H(username ":" realm ":" password)`: as good as the password in its realm, so its `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ha1 {
    algorithm: Algorithm,
    digest: HexDigest,
}

impl Ha1 {
    /// Computes it (RFC 7616 §3.4.2).
    pub fn new(algorithm: Algorithm, username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        let algorithm = algorithm.base();
        Self { algorithm, digest: algorithm.hash(&[username, realm, password]) }
    }

    /// One that was computed before.
    pub fn stored(algorithm: Algorithm, digest: HexDigest) -> Self {
        Self { algorithm: algorithm.base(), digest }
    }

    /// The algorithm, without `-sess`.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The response to a nonce (RFC 7616 §3.4.1), with `algorithm` either that of this value or its `-sess` form.
    /// Without protection it is that of RFC 2069, which old MD5 peers send; `-sess` needs protection, whose client nonce
    /// is part of A1, and yields `None` without.
    pub fn response(&self, algorithm: Algorithm, request: &Answered<'_>) -> Option<HexDigest> {
        let a1 = match (algorithm.is_session(), request.protection) {
            (false, _) => self.digest,
            (true, Some(protection)) => {
                algorithm.hash(&[self.digest.as_bytes(), request.nonce, &protection.cnonce])
            }
            (true, None) => return None,
        };
        let a2 = algorithm.hash(&[request.method, request.uri]);
        Some(match request.protection {
            Some(Protection { count, cnonce }) => {
                let count = count.as_bytes();
                algorithm.hash(&[a1.as_bytes(), request.nonce, count, cnonce, b"auth", a2.as_bytes()])
            }
            None => algorithm.hash(&[a1.as_bytes(), request.nonce, a2.as_bytes()]),
        })
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ha1").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// What a response is computed over, beside the secret.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The challenge's nonce.
    pub nonce: &'a [u8],
    /// The request's method.
    pub method: &'a [u8],
    /// `digest-uri`: as it stands in the credentials.
    pub uri: &'a [u8],
    /// Count and client nonce; `None` for a peer of RFC 2069.
    pub protection: Option<&'a Protection>,
}

/// Counts hash computations, so that a test can compare the work that two requests cause.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    thread_local! {
        static HASHES: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        HASHES.with(|hashes| hashes.set(hashes.get() + 1));
    }

    /// Hash computations of this thread so far.
    pub(in crate::sip) fn hashes() -> u64 {
        HASHES.with(Cell::get)
    }
}
