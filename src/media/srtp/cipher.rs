//! Session keys and the two ciphers.

use super::{INDEX_OCTETS, RTCP_HEADER_OCTETS};
use crate::units::srtp::{KEY_OCTETS, KEY_OCTETS_MAX, MasterKey, Profile, SALT_OCTETS_MAX};
use aes::{Aes128Enc, Aes256Enc};
use aes_gcm::aead::{AeadInOut, inout::InOutBuf};
use aes_gcm::{Aes128Gcm, Aes256Gcm, Nonce as GcmNonce, Tag};
use ctr::cipher::{
    BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipher,
    consts::{U12, U16},
};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// Counter mode as RFC 3711 §4.1.1 has it.
type CounterMode<Block> = ctr::Ctr128BE<Block>;

/// Octets of the key of HMAC-SHA1 (RFC 3711 §8.2).
const AUTHENTICATION_KEY_OCTETS: usize = 20;
/// Octets of the tag of AES-GCM.
const GCM_TAG_OCTETS: usize = 16;
/// Octets that AES-GCM authenticates of an RTCP packet beside its payload.
const RTCP_ASSOCIATED_OCTETS: usize = RTCP_HEADER_OCTETS + INDEX_OCTETS;
/// Octets of the nonce of AES-GCM.
const GCM_NONCE_OCTETS: usize = 12;

/// Which of the two streams of a session a key is for; the number is the first label of its keys (RFC 3711 §4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Rtp = 0,
    Rtcp = 3,
}

/// The session keys of one stream in one direction.
pub(super) enum Cipher {
    CounterMode(Box<CounterModeKeys>),
    Gcm { aead: Gcm, salt: [u8; GCM_NONCE_OCTETS] },
}

/// AES-GCM with a key of either length.
pub(super) enum Gcm {
    Aes128(Box<Aes128Gcm>),
    Aes256(Box<Aes256Gcm>),
}

/// The session keys of RFC 3711.
pub(super) struct CounterModeKeys {
    encryption: Aes128Enc,
    salt: [u8; SALT_OCTETS_MAX],
    authentication: Hmac<Sha1>,
    tag_octets: usize,
}

/// The tag is not right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongTag;

impl Cipher {
    /// Derives the session keys of `stream`, at a derivation rate of 0: once (RFC 3711 §4.3.1).
    pub(super) fn derive(master: &MasterKey, stream: Stream) -> Self {
        let label = stream as u8;
        let (mut wide, mut salt) = ([0; KEY_OCTETS_MAX], [0; SALT_OCTETS_MAX]);
        derive(master, label, &mut wide);
        derive(master, label + 2, &mut salt);
        let mut key = [0; KEY_OCTETS];
        key.copy_from_slice(&wide[..KEY_OCTETS]);
        match master.profile {
            Profile::AeadAes128Gcm => Self::gcm(Gcm::Aes128(Box::new(Aes128Gcm::new(&key.into()))), &salt),
            Profile::AeadAes256Gcm => Self::gcm(Gcm::Aes256(Box::new(Aes256Gcm::new(&wide.into()))), &salt),
            Profile::AesCm128HmacSha1_80 | Profile::AesCm128HmacSha1_32 => {
                let mut authentication = [0; AUTHENTICATION_KEY_OCTETS];
                derive(master, label + 1, &mut authentication);
                let short = master.profile == Profile::AesCm128HmacSha1_32 && stream == Stream::Rtp;
                Self::counter_mode(&key, salt, &authentication, if short { 4 } else { 10 })
            }
        }
    }

    fn counter_mode(
        key: &[u8; KEY_OCTETS],
        salt: [u8; SALT_OCTETS_MAX],
        authentication: &[u8; AUTHENTICATION_KEY_OCTETS],
        tag_octets: usize,
    ) -> Self {
        // HMAC takes a key of any length; a shorter block would only be padded.
        let authentication = <Hmac<Sha1> as KeyInit>::new_from_slice(authentication)
            .unwrap_or_else(|_| <Hmac<Sha1> as KeyInit>::new(&Default::default()));
        let encryption = Aes128Enc::new(key.into());
        Self::CounterMode(Box::new(CounterModeKeys { encryption, salt, authentication, tag_octets }))
    }

    /// The salt is the first twelve octets.
    pub(super) fn gcm(aead: Gcm, salt: &[u8; SALT_OCTETS_MAX]) -> Self {
        let mut short = [0; GCM_NONCE_OCTETS];
        short.copy_from_slice(&salt[..GCM_NONCE_OCTETS]);
        Self::Gcm { aead, salt: short }
    }

    /// Octets that its tag adds.
    pub(super) const fn tag_octets(&self) -> usize {
        match self {
            Self::CounterMode(keys) => keys.tag_octets,
            Self::Gcm { .. } => GCM_TAG_OCTETS,
        }
    }

    /// Whether the tag stands before what RTCP adds, and not at the end (RFC 7714 §9.3).
    pub(super) const fn is_aead(&self) -> bool {
        matches!(self, Self::Gcm { .. })
    }

    /// Encrypts `payload` in place; the tag, in the first [`Cipher::tag_octets`] of what it gives, is made over
    /// `associated`: for counter mode all that is authenticated but the payload, in the order header, payload, `trailing`.
    pub(super) fn seal(&self, nonce: Nonce, header: &[u8], payload: &mut [u8], trailing: &[u8]) -> [u8; 16] {
        let mut tag = [0; GCM_TAG_OCTETS];
        match self {
            Self::CounterMode(keys) => {
                apply_keystream(&keys.encryption, &keys.salt, nonce, payload);
                let mut mac = keys.authentication.clone();
                [header, payload, trailing].iter().for_each(|part| mac.update(part));
                tag.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
            }
            Self::Gcm { aead, salt } => {
                let mut room = [0; RTCP_ASSOCIATED_OCTETS];
                let associated = associated(header, trailing, &mut room);
                let iv = nonce.of_gcm(salt);
                // It fails only for payloads of tens of gigabytes.
                if let Ok(made) = aead.encrypt(&iv.into(), associated, payload.into()) {
                    tag.copy_from_slice(&made);
                }
            }
        }
        tag
    }

    /// Checks the tag, then decrypts `payload` in place; where the tag is wrong nothing of it is to be used.
    pub(super) fn open(
        &self,
        nonce: Nonce,
        header: &[u8],
        payload: &mut [u8],
        trailing: &[u8],
        tag: &[u8],
    ) -> Result<(), WrongTag> {
        match self {
            Self::CounterMode(keys) => {
                let mut mac = keys.authentication.clone();
                [header, payload, trailing].iter().for_each(|part| mac.update(part));
                let made = mac.finalize().into_bytes();
                if !bool::from(made[..keys.tag_octets].ct_eq(tag)) {
                    return Err(WrongTag);
                }
                apply_keystream(&keys.encryption, &keys.salt, nonce, payload);
                Ok(())
            }
            Self::Gcm { aead, salt } => {
                let mut room = [0; RTCP_ASSOCIATED_OCTETS];
                let associated = associated(header, trailing, &mut room);
                let tag: &[u8; GCM_TAG_OCTETS] = tag.try_into().map_err(|_| WrongTag)?;
                let iv = nonce.of_gcm(salt);
                aead.decrypt(&iv.into(), associated, payload.into(), tag.into())
            }
        }
    }
}

impl Gcm {
    fn encrypt(
        &self,
        nonce: &GcmNonce<U12>,
        associated: &[u8],
        payload: InOutBuf<'_, '_, u8>,
    ) -> Result<Tag, WrongTag> {
        match self {
            Self::Aes128(aead) => aead.encrypt_inout_detached(nonce, associated, payload),
            Self::Aes256(aead) => aead.encrypt_inout_detached(nonce, associated, payload),
        }
        .map_err(|_| WrongTag)
    }

    fn decrypt(
        &self,
        nonce: &GcmNonce<U12>,
        associated: &[u8],
        payload: InOutBuf<'_, '_, u8>,
        tag: &Tag,
    ) -> Result<(), WrongTag> {
        match self {
            Self::Aes128(aead) => aead.decrypt_inout_detached(nonce, associated, payload, tag),
            Self::Aes256(aead) => aead.decrypt_inout_detached(nonce, associated, payload, tag),
        }
        .map_err(|_| WrongTag)
    }
}

/// What makes the keystream of a packet its own: its source, and its index, of 48 bits for RTP and 31 for RTCP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nonce {
    pub(super) ssrc: u32,
    pub(super) index: u64,
}

impl Nonce {
    /// RFC 3711 §4.1.1: salt · 2^16 ⊕ SSRC · 2^64 ⊕ index · 2^16.
    fn of_counter_mode(self, salt: &[u8; SALT_OCTETS_MAX]) -> [u8; 16] {
        let mut wide = [0; 16];
        wide[..SALT_OCTETS_MAX].copy_from_slice(salt);
        let value =
            u128::from_be_bytes(wide) ^ (u128::from(self.ssrc) << 64) ^ (u128::from(self.index) << 16);
        value.to_be_bytes()
    }

    /// RFC 7714 §8.1, §9.1: two octets of zero, the SSRC, the index in six octets, all ⊕ the salt.
    fn of_gcm(self, salt: &[u8; GCM_NONCE_OCTETS]) -> [u8; GCM_NONCE_OCTETS] {
        let mut iv = [0; GCM_NONCE_OCTETS];
        iv[2..6].copy_from_slice(&self.ssrc.to_be_bytes());
        iv[6..].copy_from_slice(&self.index.to_be_bytes()[2..]);
        iv.iter_mut().zip(salt).for_each(|(octet, salt)| *octet ^= salt);
        iv
    }
}

fn apply_keystream<Block>(encryption: &Block, salt: &[u8; SALT_OCTETS_MAX], nonce: Nonce, payload: &mut [u8])
where
    Block: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Clone,
{
    let core = ctr::CtrCore::inner_iv_init(encryption.clone(), (&nonce.of_counter_mode(salt)).into());
    CounterMode::<Block>::from_core(core).apply_keystream(payload);
}

/// The pseudo-random function of RFC 3711 §4.3.3, for AES-256 that of RFC 6188 §3: the keystream of the master key, where
/// the counter begins with the master salt and the label at its seventh octet.
fn derive(master: &MasterKey, label: u8, output: &mut [u8]) {
    let mut salt = master.salt;
    salt[7] ^= label;
    output.fill(0);
    let nonce = Nonce { ssrc: 0, index: 0 };
    match master.profile {
        Profile::AeadAes256Gcm => {
            apply_keystream(&Aes256Enc::new((&master.key).into()), &salt, nonce, output);
        }
        _ => {
            let mut key = [0; KEY_OCTETS];
            key.copy_from_slice(&master.key[..KEY_OCTETS]);
            apply_keystream(&Aes128Enc::new(&key.into()), &salt, nonce, output);
        }
    }
}

/// What AES-GCM authenticates beside the payload, in one piece: the header, and for RTCP the word with the index behind it
/// (RFC 7714 §9.2).
fn associated<'a>(header: &'a [u8], trailing: &[u8], room: &'a mut [u8; RTCP_ASSOCIATED_OCTETS]) -> &'a [u8] {
    if trailing.is_empty() {
        return header;
    }
    room.iter_mut().zip(header.iter().chain(trailing)).for_each(|(to, from)| *to = *from);
    room
}
