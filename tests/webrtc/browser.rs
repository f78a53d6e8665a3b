//! The browser's side: checks as RFC 8445 has them, written apart from the service's own reader, and DTLS by the library as
//! client.

use dimpl::crypto::rust_crypto;
use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};
use hmac::{Hmac, KeyInit, Mac};
use klikon::media::srtp::{MasterKey, Profile, SrtpReceiver, SrtpSender};
use klikon::units::webrtc::{Fingerprint, HashFunction, IceCredentials};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use sha1::Sha1;
use std::sync::Arc;
use std::time::Instant;

pub const USE_CANDIDATE: (u16, &[u8]) = (0x0025, &[]);
pub const CONTROLLING: (u16, &[u8]) = (0x802a, &[0; 8]);
pub const CONTROLLED: (u16, &[u8]) = (0x8029, &[0; 8]);

/// A Binding request of its own transaction.
pub fn request(transaction: u8, username: Option<&str>, more: &[(u16, &[u8])]) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    message.extend([transaction; 12]);
    if let Some(username) = username {
        attribute(&mut message, 0x0006, username.as_bytes());
    }
    attribute(&mut message, 0x0024, &1_845_501_695_u32.to_be_bytes());
    for (kind, value) in more {
        attribute(&mut message, *kind, value);
    }
    message
}

/// With MESSAGE-INTEGRITY and FINGERPRINT.
pub fn sealed(mut message: Vec<u8>, password: &str) -> Vec<u8> {
    set_length(&mut message, 24);
    let mut mac = Hmac::<Sha1>::new_from_slice(password.as_bytes()).unwrap();
    mac.update(&message);
    attribute(&mut message, 0x0008, &mac.finalize().into_bytes());
    with_fingerprint(message)
}

pub fn with_fingerprint(mut message: Vec<u8>) -> Vec<u8> {
    set_length(&mut message, 8);
    let mut sum = !0_u32;
    for octet in &message {
        sum ^= u32::from(*octet);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    attribute(&mut message, 0x8028, &(!sum ^ 0x5354_554e).to_be_bytes());
    message
}

fn set_length(message: &mut [u8], more: usize) {
    let length = (message.len() - 20 + more) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
    set_length(message, 0);
}

/// The right check of a controlling agent.
pub fn check(transaction: u8, service: &IceCredentials, nominates: bool) -> Vec<u8> {
    let more = [CONTROLLING, USE_CANDIDATE];
    let username = format!("{}:Xy3k", service.fragment());
    sealed(request(transaction, Some(&username), &more[..1 + usize::from(nominates)]), service.password())
}

/// The value of the first attribute of a kind.
pub fn value_of(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = message.get(20..)?;
    while let [k0, k1, l0, l1, behind @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        if u16::from_be_bytes([*k0, *k1]) == wanted {
            return behind.get(..length);
        }
        rest = behind.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// The status of an error answer.
pub fn status_of(message: &[u8]) -> Option<u16> {
    value_of(message, 0x0009).map(|value| u16::from(value[2]) * 100 + u16::from(value[3]))
}

/// Whether an answer is by somebody who has the password.
pub fn is_by(message: &[u8], password: &str) -> bool {
    let end = message.len() - 8;
    let mut covered = message[..end - 24].to_vec();
    set_length(&mut covered, 24);
    let mut mac = Hmac::<Sha1>::new_from_slice(password.as_bytes()).unwrap();
    mac.update(&covered);
    mac.verify_slice(&message[end - 20..end]).is_ok()
}

/// What the client's side of a handshake came to.
pub struct ClientKeys {
    pub sender: SrtpSender,
    pub receiver: SrtpReceiver,
}

/// The client's end of DTLS.
pub struct Client {
    dtls: Dtls,
    pub fingerprint: Fingerprint,
    /// Of the certificate that the service must show, where that is known.
    expected: Option<Fingerprint>,
    pub keys: Option<ClientKeys>,
}

pub enum Version {
    Dtls12,
    Dtls13,
    Either,
}

impl Client {
    pub fn new(version: &Version, expected: Option<Fingerprint>, now: Instant) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let config = Config::builder().with_crypto_provider(rust_crypto::default_provider()).build().unwrap();
        let config = Arc::new(config);
        let certificate =
            DtlsCertificate { certificate: cert.der().to_vec(), private_key: signing_key.serialize_der() };
        let mut dtls = match version {
            Version::Dtls12 => Dtls::new_12(config, certificate, now),
            Version::Dtls13 => Dtls::new_13(config, certificate, now),
            Version::Either => Dtls::new_auto(config, certificate, now),
        };
        dtls.set_active(true);
        dtls.handle_timeout(now).unwrap();
        let fingerprint = Fingerprint::of(HashFunction::Sha256, cert.der());
        Self { dtls, fingerprint, expected, keys: None }
    }

    pub fn handle(&mut self, datagram: &[u8]) {
        self.dtls.handle_packet(datagram).unwrap();
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.dtls.handle_timeout(now).unwrap();
    }

    /// What it wants to send now.
    pub fn datagrams(&mut self) -> Vec<Vec<u8>> {
        let mut buffer = [0; 2_048];
        let mut datagrams = Vec::new();
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(datagram) => datagrams.push(datagram.to_vec()),
                Output::Timeout(_) => return datagrams,
                Output::PeerCert(certificate) => {
                    assert!(self.expected.is_none_or(|expected| expected.is_of(certificate)));
                }
                Output::KeyingMaterial(material, profile) => {
                    self.keys = Some(client_keys(profile, &material))
                }
                _ => {}
            }
        }
    }
}

/// RFC 5764 §4.2: client's key, server's key, client's salt, server's salt.
fn client_keys(profile: SrtpProfile, material: &[u8]) -> ClientKeys {
    let (ours, key, salt) = match profile {
        SrtpProfile::AEAD_AES_256_GCM => (Profile::AeadAes256Gcm, 32, 12),
        SrtpProfile::AEAD_AES_128_GCM => (Profile::AeadAes128Gcm, 16, 12),
        _ => (Profile::AesCm128HmacSha1_80, 16, 14),
    };
    let master = |key_at: usize, salt_at: usize| {
        let octets = [&material[key_at..key_at + key], &material[salt_at..salt_at + salt]].concat();
        MasterKey::new(ours, &octets).unwrap()
    };
    let (client, server) = (master(0, 2 * key), master(key, 2 * key + salt));
    ClientKeys { sender: SrtpSender::new(&client), receiver: SrtpReceiver::new(&server) }
}
