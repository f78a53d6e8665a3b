//! How a stream is protected, and with which keys: the words that session description (RFC 4568) and the media engine
//! (RFC 3711, RFC 7714) share.

use super::webrtc::Handshake;
use std::fmt;
use thiserror::Error;

/// How packets are protected. The names are those of SDES (RFC 4568 §6.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// AES-128 in counter mode, a tag of 80 bits (RFC 3711).
    AesCm128HmacSha1_80,
    /// The same with a tag of 32 bits on RTP; RTCP keeps 80 (RFC 4568 §6.2.2).
    AesCm128HmacSha1_32,
    /// AES-128-GCM, a tag of 128 bits (RFC 7714).
    AeadAes128Gcm,
    /// AES-256-GCM, a tag of 128 bits (RFC 7714). Only where the keys come by DTLS.
    AeadAes256Gcm,
}

impl Profile {
    /// Those that keys are named for in session descriptions, the strongest first.
    pub const DESCRIBED: [Self; 3] =
        [Self::AeadAes128Gcm, Self::AesCm128HmacSha1_80, Self::AesCm128HmacSha1_32];

    /// Its name in `a=crypto`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// The described profile of a name, which RFC 4568 §9.2 compares with regard to case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::DESCRIBED.into_iter().find(|profile| profile.name() == name)
    }

    /// Octets of a master key with its master salt, as they stand behind `inline:`.
    pub const fn key_and_salt_octets(self) -> usize {
        self.key_octets() + self.salt_octets()
    }

    /// Octets of the master key.
    pub const fn key_octets(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 | Self::AeadAes128Gcm => KEY_OCTETS,
            Self::AeadAes256Gcm => KEY_OCTETS_MAX,
        }
    }

    /// Octets of the master salt.
    pub const fn salt_octets(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }
}

/// Octets of a master key for AES-128.
pub(crate) const KEY_OCTETS: usize = 16;
/// Octets of the longest master key, which is for AES-256.
pub(crate) const KEY_OCTETS_MAX: usize = 32;
/// Octets of the longest salt.
pub(crate) const SALT_OCTETS_MAX: usize = 14;

/// A master key with its salt. `Debug` shows the profile only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MasterKey {
    pub(crate) profile: Profile,
    /// A shorter one stands to the left, zeros behind it.
    pub(crate) key: [u8; KEY_OCTETS_MAX],
    /// A shorter one stands to the left, zeros behind it, as RFC 7714 §11 feeds it to the key derivation.
    pub(crate) salt: [u8; SALT_OCTETS_MAX],
}

/// The octets are no master key of the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a master key with its salt has {expected} octets for {}, not {found}", profile.name())]
pub struct KeyError {
    profile: Profile,
    expected: usize,
    found: usize,
}

impl MasterKey {
    /// From the key and the salt behind it, [`Profile::key_and_salt_octets`] in all.
    ///
    /// # Errors
    /// [`KeyError`] when there are more or fewer.
    pub fn new(profile: Profile, key_and_salt: &[u8]) -> Result<Self, KeyError> {
        let expected = profile.key_and_salt_octets();
        let wrong = KeyError { profile, expected, found: key_and_salt.len() };
        let parts = key_and_salt.split_at_checked(profile.key_octets());
        let (key, salt) = parts.filter(|_| key_and_salt.len() == expected).ok_or(wrong)?;
        let (mut whole_key, mut whole_salt) = ([0; KEY_OCTETS_MAX], [0; SALT_OCTETS_MAX]);
        whole_key.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        whole_salt.iter_mut().zip(salt).for_each(|(to, from)| *to = *from);
        Ok(Self { profile, key: whole_key, salt: whole_salt })
    }

    /// How packets are protected with it.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// The key with its salt behind it, for the session description.
    pub fn key_and_salt(&self) -> Vec<u8> {
        [self.key(), &self.salt[..self.profile.salt_octets()]].concat()
    }

    /// The key without its salt.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key[..self.profile.key_octets()]
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("profile", &self.profile).finish_non_exhaustive()
    }
}

/// The keys of one stream, one for each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamKeys {
    /// The number that the offer gave to the profile that was taken (RFC 4568 §4.1); 0 for keys by DTLS.
    pub tag: u32,
    /// Ours.
    pub send: MasterKey,
    /// The peer's.
    pub receive: MasterKey,
}

/// How both sides of a protected stream come to its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keying {
    /// The session description says them (SDES, RFC 4568).
    Described(StreamKeys),
    /// They come of a handshake in the stream's own path (DTLS-SRTP, RFC 5764).
    Handshake(Handshake),
}

impl Keying {
    /// The keys, where the session description says them.
    pub const fn described(self) -> Option<StreamKeys> {
        match self {
            Self::Described(keys) => Some(keys),
            Self::Handshake(_) => None,
        }
    }

    /// What the handshake is to be, where there is one.
    pub const fn handshake(self) -> Option<Handshake> {
        match self {
            Self::Described(_) => None,
            Self::Handshake(handshake) => Some(handshake),
        }
    }
}

/// Random octets that the keys of one call's side are made from.
pub const OWN_KEYS_OCTETS: usize = Profile::DESCRIBED.len() * (KEY_OCTETS + SALT_OCTETS_MAX);

/// The keys that one side of a call names to the other, one for each profile, so that none ever serves two ciphers. `Debug`
/// shows none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnKeys([MasterKey; Profile::DESCRIBED.len()]);

impl OwnKeys {
    /// From random octets that serve nothing else.
    pub fn new(random: &[u8; OWN_KEYS_OCTETS]) -> Self {
        let (mut chunks, mut profiles) =
            (random.chunks(KEY_OCTETS + SALT_OCTETS_MAX), Profile::DESCRIBED.into_iter());
        Self(std::array::from_fn(|_| {
            let profile = profiles.next().unwrap_or(Profile::AesCm128HmacSha1_80);
            let octets = chunks.next().unwrap_or_default();
            let (mut key, mut salt) = ([0; KEY_OCTETS_MAX], [0; SALT_OCTETS_MAX]);
            key.iter_mut().zip(octets.iter().take(KEY_OCTETS)).for_each(|(to, from)| *to = *from);
            let salt_octets = octets.iter().skip(KEY_OCTETS).take(profile.salt_octets());
            salt.iter_mut().zip(salt_octets).for_each(|(to, from)| *to = *from);
            MasterKey { profile, key, salt }
        }))
    }

    /// The one for `profile`.
    pub fn of(&self, profile: Profile) -> MasterKey {
        let [first, second, third] = self.0;
        [second, third].into_iter().find(|key| key.profile == profile).unwrap_or(first)
    }
}
