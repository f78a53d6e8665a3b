//! How a browser's media comes to its keys: the words that session description (RFC 8122, RFC 8839) and the media engine
//! (RFC 5764, RFC 8445) share.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::fmt;

/// Octets of a user name fragment of ours: 48 random bits, where RFC 8445 §5.3 wants 24 at least.
const FRAGMENT_OCTETS: usize = 8;
/// Octets of a password of ours: 144 random bits, where RFC 8445 §5.3 wants 128 at least.
const PASSWORD_OCTETS: usize = 24;
/// Random octets that credentials are made from.
pub const ICE_RANDOM_OCTETS: usize = (FRAGMENT_OCTETS + PASSWORD_OCTETS) / 4 * 3;
/// Octets of the longest fingerprint.
const FINGERPRINT_OCTETS_MAX: usize = 64;

/// The user name fragment and password of our side of a call (RFC 8445 §5.3). `Debug` does not show the password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IceCredentials {
    fragment: [u8; FRAGMENT_OCTETS],
    password: [u8; PASSWORD_OCTETS],
}

impl IceCredentials {
    /// From random octets that serve nothing else.
    pub fn new(random: &[u8; ICE_RANDOM_OCTETS]) -> Self {
        // The characters of Base64 are those that ICE allows (RFC 8839 §5.4).
        let text = STANDARD.encode(random);
        let (mut fragment, mut password) = ([b'0'; FRAGMENT_OCTETS], [b'0'; PASSWORD_OCTETS]);
        fragment.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        password.iter_mut().zip(text.bytes().skip(FRAGMENT_OCTETS)).for_each(|(to, from)| *to = from);
        Self { fragment, password }
    }

    /// What `a=ice-ufrag` says.
    pub fn fragment(&self) -> &str {
        std::str::from_utf8(&self.fragment).unwrap_or_default()
    }

    /// What `a=ice-pwd` says.
    pub fn password(&self) -> &str {
        std::str::from_utf8(&self.password).unwrap_or_default()
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials").field("fragment", &self.fragment()).finish_non_exhaustive()
    }
}

/// The hash functions of fingerprints that are taken; the older ones of RFC 8122 §5 are broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashFunction {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashFunction {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name in `a=fingerprint` (RFC 8122 §5).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    const fn octets(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => FINGERPRINT_OCTETS_MAX,
        }
    }
}

/// The hash of a certificate, by which the session description names the one that its side shows (RFC 8122 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    function: HashFunction,
    /// A shorter one stands to the left, zeros behind it.
    octets: [u8; FINGERPRINT_OCTETS_MAX],
}

impl Fingerprint {
    /// That of a certificate (DER).
    pub fn of(function: HashFunction, certificate: &[u8]) -> Self {
        let mut octets = [0; FINGERPRINT_OCTETS_MAX];
        let mut fill = |hash: &[u8]| octets.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
        match function {
            HashFunction::Sha256 => fill(&Sha256::digest(certificate)),
            HashFunction::Sha384 => fill(&Sha384::digest(certificate)),
            HashFunction::Sha512 => fill(&Sha512::digest(certificate)),
        }
        Self { function, octets }
    }

    /// Reads `sha-256 3A:96:…`. `None` for other hash functions, and where it is not as long as its function says.
    pub fn parse(value: &str) -> Option<Self> {
        let (name, hex) = value.trim().split_once(' ')?;
        let function =
            HashFunction::ALL.into_iter().find(|function| function.name().eq_ignore_ascii_case(name))?;
        let mut octets = [0; FINGERPRINT_OCTETS_MAX];
        let mut pairs = hex.trim().split(':');
        for (octet, pair) in octets.iter_mut().zip(pairs.by_ref().take(function.octets())) {
            let is_hex = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            *octet = u8::from_str_radix(pair, 16).ok().filter(|_| is_hex)?;
        }
        let whole = hex.trim().len() == 3 * function.octets() - 1 && pairs.next().is_none();
        whole.then_some(Self { function, octets })
    }

    /// Its hash function.
    pub const fn function(&self) -> HashFunction {
        self.function
    }

    /// Whether it is that of a certificate (DER).
    pub fn is_of(&self, certificate: &[u8]) -> bool {
        *self == Self::of(self.function, certificate)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.function.name())?;
        for (index, octet) in self.octets.iter().take(self.function.octets()).enumerate() {
            write!(f, "{}{octet:02X}", if index == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

/// What is agreed about a stream whose keys come by DTLS over a path that ICE finds. We are always the lite agent of ICE and
/// the passive side of DTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// Ours: the peer's checks are made with them.
    pub ice: IceCredentials,
    /// Of the peer's certificate.
    pub fingerprint: Fingerprint,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        for function in HashFunction::ALL {
            let fingerprint = Fingerprint::of(function, b"a certificate");
            let text = fingerprint.to_string();
            assert_eq!(Fingerprint::parse(&text), Some(fingerprint));
            assert_eq!(Fingerprint::parse(&text.to_lowercase()), Some(fingerprint));
            assert!(fingerprint.is_of(b"a certificate") && !fingerprint.is_of(b"another"));
            for wrong in [
                text.replace(':', ""),
                text[..text.len() - 3].to_owned(),
                text.clone() + ":00",
                text.replacen(':', "::", 1),
                text.replacen("sha-", "md", 1),
                text.replace(' ', " +"),
            ] {
                assert_eq!(Fingerprint::parse(&wrong), None, "{wrong}");
            }
        }
        assert_eq!(
            Fingerprint::parse("sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB"),
            None
        );
    }

    #[test]
    fn credentials_are_of_the_characters_of_ice_and_do_not_show_the_password() {
        let credentials = IceCredentials::new(&std::array::from_fn(|n| (n * 37) as u8));
        assert_eq!((credentials.fragment().len(), credentials.password().len()), (8, 24));
        let is_ice = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'+' || octet == b'/';
        assert!((credentials.fragment().to_owned() + credentials.password()).bytes().all(is_ice));
        assert!(!format!("{credentials:?}").contains(credentials.password()));
    }
}
