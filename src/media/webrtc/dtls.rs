//! DTLS (RFC 6347, RFC 9147) by the crate `dimpl`, and what SRTP gets of it (RFC 5764).

use crate::units::srtp::{MasterKey, Profile, StreamKeys};
use crate::units::webrtc::{Fingerprint, HashFunction};
use dimpl::crypto::rust_crypto;
use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Room that an association writes a datagram or the peer's certificate into.
pub const DATAGRAM_OCTETS: usize = 2_048;
/// Handshakes under way at the same time; a further one begins when its peer repeats its first message.
const MAX_HANDSHAKES: usize = 64;
/// How long a handshake may take.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// The first repetition of a flight that nobody answers; each further one after twice the time.
const FIRST_REPETITION: Duration = Duration::from_millis(400);

/// Why there are no handshakes.
#[derive(Debug, Error)]
pub enum HandshakesError {
    /// No certificate could be made.
    #[error("cannot make a certificate for DTLS")]
    Certificate(#[from] rcgen::Error),
    /// The library refuses its settings.
    #[error("cannot set up DTLS")]
    Settings(#[from] dimpl::Error),
}

/// What all handshakes of an engine share: the certificate, made anew at each start, and how many there may be.
pub struct Handshakes {
    config: Arc<Config>,
    certificate: DtlsCertificate,
    fingerprint: Fingerprint,
    under_way: AtomicUsize,
}

impl Handshakes {
    /// Makes the certificate: ECDSA over P-256, signed by itself (RFC 8827 §6.5).
    ///
    /// # Errors
    /// [`HandshakesError`].
    pub fn new() -> Result<Self, HandshakesError> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::default();
        // Nobody looks at the name: it is the fingerprint that counts.
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "WebRTC");
        let certificate = parameters.self_signed(&key)?.der().to_vec();
        let fingerprint = Fingerprint::of(HashFunction::Sha256, &certificate);
        let config = Config::builder()
            .with_crypto_provider(rust_crypto::default_provider())
            // A check with our password came from the place before anything goes there: that is cookie enough.
            .use_server_cookie(false)
            .require_client_certificate(true)
            .flight_start_rto(FIRST_REPETITION)
            .handshake_timeout(HANDSHAKE_LIMIT)
            .build()?;
        let certificate = DtlsCertificate { certificate, private_key: key.serialize_der() };
        Ok(Self { config: Arc::new(config), certificate, fingerprint, under_way: AtomicUsize::new(0) })
    }

    /// What our session descriptions say of the certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// An association that waits for its peer to begin; `None` while as many as are allowed are under way.
    pub fn begin(self: &Arc<Self>, now: Instant) -> Option<Association> {
        let more = |under_way| (under_way < MAX_HANDSHAKES).then_some(under_way + 1);
        self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let slot = Slot(Arc::clone(self));
        let dtls = Dtls::new_auto(Arc::clone(&self.config), self.certificate.clone(), now);
        Some(Association { dtls, slot: Some(slot), is_trusted: false })
    }
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshakes")
            .field("fingerprint", &self.fingerprint)
            .field("under_way", &self.under_way)
            .finish_non_exhaustive()
    }
}

/// One of the handshakes that may be under way.
struct Slot(Arc<Handshakes>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a handshake leads to no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Failure {
    /// The peer's certificate is not the one of its session description.
    #[error("the certificate is not the one of the session description")]
    Fingerprint,
    /// The handshake was done without agreeing on a way to protect RTP.
    #[error("no protection of RTP was agreed on")]
    Profile,
    /// The library gave it up: a message that it cannot take, or nothing for too long.
    #[error("the handshake failed")]
    Handshake,
    /// No path, or no handshake, within [`HANDSHAKE_LIMIT`].
    #[error("no path was nominated or no handshake was done in time")]
    Timeout,
}

/// What an association wants done.
#[derive(Debug)]
pub enum Step {
    /// The datagram in so many octets of the buffer is to be sent.
    Send(usize),
    /// The keys of the stream.
    Keys(StreamKeys),
    /// Nothing, for now.
    Wait,
}

/// One call's DTLS association, of which we are the server.
pub struct Association {
    dtls: Dtls,
    /// Until the handshake is done.
    slot: Option<Slot>,
    /// The certificate that the peer has shown is the right one.
    is_trusted: bool,
}

impl Association {
    /// Takes a datagram of the peer's.
    pub fn handle(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Failure> {
        guarded(|| self.dtls.handle_timeout(now).and_then(|()| self.dtls.handle_packet(datagram)))
    }

    /// Repeats what is to be repeated by now.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        guarded(|| self.dtls.handle_timeout(now))
    }

    /// The next step. No key comes before the certificate was seen to be that of `expected`.
    pub fn poll(
        &mut self,
        expected: &Fingerprint,
        buffer: &mut [u8; DATAGRAM_OCTETS],
    ) -> Result<Step, Failure> {
        loop {
            let parts = (&mut self.dtls, &mut buffer[..]);
            let output = catch_unwind(AssertUnwindSafe(move || {
                let (dtls, room) = parts;
                dtls.poll_output(room)
            }));
            match output.map_err(|_| Failure::Handshake)? {
                Output::Packet(datagram) => return Ok(Step::Send(datagram.len())),
                Output::Timeout(_) => return Ok(Step::Wait),
                Output::PeerCert(certificate) if expected.is_of(certificate) => self.is_trusted = true,
                Output::PeerCert(_) => return Err(Failure::Fingerprint),
                Output::KeyingMaterial(material, profile) => {
                    self.slot = None;
                    let keys = stream_keys(profile, &material).filter(|_| self.is_trusted);
                    return keys.map(Step::Keys).ok_or(Failure::Profile);
                }
                // The buffer has room for whatever fits a datagram; a larger certificate is none that we take.
                Output::BufferTooSmall { .. } => return Err(Failure::Handshake),
                // The keys follow, or did not get agreed on, which the time limit finds. What a peer sends beside
                // media is not for us, and that it closes is for BYE to say.
                _ => {}
            }
        }
    }
}

impl fmt::Debug for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Association").field("dtls", &self.dtls).finish_non_exhaustive()
    }
}

/// A mistake in the library must cost no more than the call that it is made in, and never the thread of all.
fn guarded(act: impl FnOnce() -> Result<(), dimpl::Error>) -> Result<(), Failure> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::info!(%error, "a DTLS handshake failed");
            Err(Failure::Handshake)
        }
        Err(_) => Err(Failure::Handshake),
    }
}

/// The keys of the server's side (RFC 5764 §4.2): the material has both keys, then both salts, the client's first.
pub fn stream_keys(profile: SrtpProfile, material: &[u8]) -> Option<StreamKeys> {
    let profile = match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Profile::AesCm128HmacSha1_80,
        SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
        SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
        _ => return None,
    };
    let (keys, salts) = material.split_at_checked(2 * profile.key_octets())?;
    let (client_key, server_key) = keys.split_at(profile.key_octets());
    let (client_salt, server_salt) = salts.split_at_checked(profile.salt_octets())?;
    let master = |key: &[u8], salt: &[u8]| MasterKey::new(profile, &[key, salt].concat()).ok();
    Some(StreamKeys {
        tag: 0,
        send: master(server_key, server_salt)?,
        receive: master(client_key, client_salt)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_sends_by_the_second_key_and_the_second_salt() {
        let material: Vec<u8> = (0..88).collect();
        let halves = |profile, octets: usize| {
            let keys = stream_keys(profile, &material[..octets]).expect("keys");
            (keys.receive.key_and_salt(), keys.send.key_and_salt())
        };
        let range =
            |key: std::ops::Range<u8>, salt: std::ops::Range<u8>| key.chain(salt).collect::<Vec<u8>>();
        assert_eq!(halves(SrtpProfile::AES128_CM_SHA1_80, 60), (range(0..16, 32..46), range(16..32, 46..60)));
        assert_eq!(halves(SrtpProfile::AEAD_AES_128_GCM, 56), (range(0..16, 32..44), range(16..32, 44..56)));
        assert_eq!(halves(SrtpProfile::AEAD_AES_256_GCM, 88), (range(0..32, 64..76), range(32..64, 76..88)));
        for octets in [0, 59, 61] {
            assert!(stream_keys(SrtpProfile::AES128_CM_SHA1_80, &material[..octets]).is_none(), "{octets}");
        }
    }

    #[test]
    fn no_more_handshakes_begin_than_are_allowed() {
        let handshakes = Arc::new(Handshakes::new().expect("a certificate"));
        let now = crate::units::clock::Clock::system().instant();
        let mut begun: Vec<_> = std::iter::from_fn(|| handshakes.begin(now)).take(1_000).collect();
        assert_eq!(begun.len(), MAX_HANDSHAKES);
        begun.pop();
        assert!(handshakes.begin(now).is_some(), "one that is over makes room");
    }
}
