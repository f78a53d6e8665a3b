//! The side that challenges: nonces without memory, replays, wrong tries (RFC 3261 §22.1, RFC 7616 §3.3, §5, RFC 8760 §2.3).
//!
//! A nonce holds when it was made, a hash of the request it was made for and a seal, which also covers the address it was
//! made for: a challenge takes no memory, and what was answered elsewhere is of no use here. Memory is taken only by a
//! right answer (the highest count of its nonce) and by a wrong one (the tries of its sender), both within limits.

use super::digest::{Algorithm, Ha1};
use super::{Challenge, Credentials};
use crate::sip::transport::Flow;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// Nonces whose highest count is kept. Beyond it the oldest is forgotten, and with it every nonce as old.
pub const MAX_NONCES: usize = 65_536;
/// Senders whose wrong tries are kept. Beyond it the oldest is forgotten.
pub const MAX_TRIERS: usize = 4_096;
/// Fields with credentials that are looked at for ours.
const MAX_CREDENTIALS: usize = 4;
/// Octets of the seal of a nonce.
const SEAL_OCTETS: usize = 16;
/// Characters of a nonce: seconds, the request's hash and the seal, in hexadecimal.
const NONCE_DIGITS: usize = 8 + 16 + 2 * SEAL_OCTETS;

/// Says whom to challenge.
pub trait Policy: fmt::Debug + Send + Sync {
    /// Whether requests that came by `flow` must prove who sends them.
    fn challenges(&self, flow: &Flow) -> bool;
}

/// Somebody who can prove who he is.
#[derive(Debug, Clone)]
pub struct User {
    /// The name in his credentials.
    pub name: String,
    /// His secret, for each algorithm that he may use.
    pub secrets: Vec<Ha1>,
}

/// How it is challenged.
#[derive(Debug, Clone)]
pub struct Authentication {
    /// The realm of every challenge.
    pub realm: String,
    /// Offered in every challenge, one each.
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce may be used.
    pub nonce_life: Duration,
    /// Whether MD5 without `qop` is taken, as peers of RFC 2069 send it; a nonce serves such a peer once.
    pub allow_unprotected: bool,
    /// Whether challenges say that user names may be hashed (RFC 7616 §3.4.4). Those that are hashed are taken in any case.
    pub userhash: bool,
    /// Whether requests within calls are challenged too, ACK and CANCEL apart.
    pub within_calls: bool,
    /// Wrong tries of a user name from one address before more are refused.
    pub max_wrong_tries: u32,
    /// For how long they are refused then, counted from the first wrong try.
    pub lock_out: Duration,
    /// Who may prove who he is.
    pub users: Vec<User>,
    /// Whom to challenge.
    pub policy: Arc<dyn Policy>,
}

/// What a request's credentials are worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sip) enum Verdict {
    /// The user sent it, now.
    Authentic(Arc<str>),
    /// Answer 401.
    Challenged(Why),
    /// Answer 403: too many wrong tries.
    LockedOut,
}

/// Why a request is challenged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sip) enum Why {
    /// It has no credentials for this realm that can be read.
    NoCredentials,
    /// The user is not known, or the response is not his.
    Wrong,
    /// The nonce is too old, another address's, or not of this run of the service.
    Stale,
    /// The count is not above the last one of its nonce.
    Replayed,
}

impl Why {
    /// Whether the client may try again without asking for a password.
    pub(in crate::sip) const fn is_stale(self) -> bool {
        matches!(self, Self::Stale | Self::Replayed)
    }
}

/// A request, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(in crate::sip) struct Attempt<'a> {
    /// The method as it stands.
    pub(in crate::sip) method: &'a [u8],
    /// Where it came from.
    pub(in crate::sip) source: IpAddr,
    /// What is the same in each retransmission, hashed under a secret.
    pub(in crate::sip) request_hash: u64,
}

/// A nonce that was made here, by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct NonceId {
    made_s: u32,
    request_hash: u64,
}

/// An address and a user name, the name hashed: it may be long.
type Trier = (IpAddr, [u8; SEAL_OCTETS]);

#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    since: Instant,
}

/// Challenges, and judges the answers.
pub(in crate::sip) struct Authenticator {
    settings: Authentication,
    users: BTreeMap<Vec<u8>, (Arc<str>, Vec<Ha1>)>,
    /// The names of users by their hashes with our realm, hexadecimal.
    hashed: BTreeMap<Vec<u8>, Vec<u8>>,
    key: [u8; 32],
    /// What unknown users are verified against, so that they cause the same work.
    decoys: Vec<Ha1>,
    /// Ages are counted from the first request.
    epoch: Option<Instant>,
    counts: BTreeMap<NonceId, u32>,
    /// Nonces made up to then whose count is not kept are taken for used.
    forgotten_s: Option<u32>,
    tries: BTreeMap<Trier, Tries>,
    max_nonces: usize,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authenticator")
            .field("users", &self.users.len())
            .field("nonces", &self.counts.len())
            .field("triers", &self.tries.len())
            .finish_non_exhaustive()
    }
}

impl Authenticator {
    /// Nothing is remembered yet. `key` is secret and random.
    pub(in crate::sip) fn new(mut settings: Authentication, key: [u8; 32]) -> Self {
        // RFC 8760 §2.3: the one preferred most comes first.
        settings.algorithms.sort_unstable_by(|one, other| other.cmp(one));
        settings.algorithms.dedup();
        let hashed = hashed(&settings);
        let users = settings
            .users
            .drain(..)
            .map(|user| (user.name.clone().into_bytes(), (Arc::from(user.name), user.secrets)))
            .collect();
        let decoys = [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512Slash256]
            .map(|algorithm| Ha1::new(algorithm, b"", settings.realm.as_bytes(), &key))
            .to_vec();
        Self {
            settings,
            users,
            hashed,
            key,
            decoys,
            epoch: None,
            counts: BTreeMap::new(),
            forgotten_s: None,
            tries: BTreeMap::new(),
            max_nonces: MAX_NONCES,
        }
    }

    /// Whether requests by `flow` must prove who sends them.
    pub(in crate::sip) fn applies(&self, flow: &Flow, within_call: bool) -> bool {
        (!within_call || self.settings.within_calls) && self.settings.policy.challenges(flow)
    }

    /// One challenge for each algorithm, the strongest first.
    pub(in crate::sip) fn challenges(
        &mut self,
        now: Instant,
        attempt: &Attempt<'_>,
        why: Why,
    ) -> Vec<String> {
        let id = NonceId { made_s: self.second(now), request_hash: attempt.request_hash };
        let nonce = self.nonce(id, attempt.source);
        let opaque = hex(&self.seal(&[b"opaque"])[..8]);
        let value = |algorithm| {
            let challenge = Challenge {
                realm: self.settings.realm.as_bytes().to_vec(),
                nonce: nonce.clone().into_bytes(),
                opaque: Some(opaque.clone().into_bytes()),
                algorithm: Some(algorithm),
                protected: true,
                stale: why.is_stale(),
                userhash: self.settings.userhash,
            };
            String::from_utf8_lossy(&challenge.to_value()).into_owned()
        };
        self.settings.algorithms.iter().copied().map(value).collect()
    }

    /// Judges the credentials of a request, given as the values of its Authorization fields. Whatever is wrong with user
    /// or password costs the same work and is answered the same.
    pub(in crate::sip) fn judge<'a>(
        &mut self,
        now: Instant,
        attempt: &Attempt<'_>,
        authorization: impl Iterator<Item = &'a [u8]>,
    ) -> Verdict {
        let Some(credentials) = self.ours(authorization) else {
            return Verdict::Challenged(Why::NoCredentials);
        };
        // Before anything is said of the password: an answer to a nonce that is not fresh tells nothing, so it cannot
        // be used to guess.
        let Some(id) = self.fresh(now, &credentials.nonce, attempt.source) else {
            return Verdict::Challenged(Why::Stale);
        };
        let trier = (attempt.source.to_canonical(), self.seal(&[b"user", &credentials.username]));
        if self.is_locked_out(now, &trier) {
            return Verdict::LockedOut;
        }
        let Some(user) = self.verified(&credentials, attempt.method) else {
            self.count_wrong_try(now, trier);
            return Verdict::Challenged(Why::Wrong);
        };
        self.tries.remove(&trier);
        let count = credentials.protection.as_ref().map(|protection| protection.count.value());
        if self.advance(id, count) { Verdict::Authentic(user) } else { Verdict::Challenged(Why::Replayed) }
    }

    /// The credentials for our realm, if their algorithm and protection are among those taken.
    fn ours<'a>(&self, authorization: impl Iterator<Item = &'a [u8]>) -> Option<Credentials> {
        let credentials = authorization
            .take(MAX_CREDENTIALS)
            .filter_map(|value| Credentials::parse(value).ok())
            .find(|credentials| credentials.realm == self.settings.realm.as_bytes())?;
        let credentials = self.with_plain_name(credentials);
        let algorithm = credentials.algorithm();
        let unprotected_md5 = self.settings.allow_unprotected && algorithm == Algorithm::Md5;
        let taken = self.settings.algorithms.contains(&algorithm)
            && (credentials.protection.is_some() || unprotected_md5);
        taken.then_some(credentials)
    }

    /// With the user's name in the place of its hash, so that his wrong tries count together. One that is nobody's stays.
    fn with_plain_name(&self, credentials: Credentials) -> Credentials {
        let digits = || credentials.username.to_ascii_lowercase();
        match credentials.is_hashed.then(|| self.hashed.get(&digits())).flatten() {
            Some(name) => Credentials { username: name.clone(), is_hashed: false, ..credentials },
            None => credentials,
        }
    }

    /// The user whose secret gives the response. An unknown user, or one without a secret for the algorithm, is verified
    /// against a decoy.
    fn verified(&self, credentials: &Credentials, method: &[u8]) -> Option<Arc<str>> {
        let base = credentials.algorithm().base();
        let of = |secrets: &[Ha1]| secrets.iter().copied().find(|secret| secret.algorithm() == base);
        let user = self.users.get(&credentials.username).filter(|_| !credentials.is_hashed);
        let secret = user.and_then(|(_, secrets)| of(secrets));
        let right = credentials.is_answer_of(&secret.or_else(|| of(&self.decoys))?, method);
        match (right, user, secret) {
            (true, Some((name, _)), Some(_)) => Some(Arc::clone(name)),
            _ => None,
        }
    }

    fn second(&mut self, now: Instant) -> u32 {
        let epoch = *self.epoch.get_or_insert(now);
        u32::try_from(now.saturating_duration_since(epoch).as_secs()).unwrap_or(u32::MAX)
    }

    fn nonce(&self, id: NonceId, source: IpAddr) -> String {
        let head = format!("{:08x}{:016x}", id.made_s, id.request_hash);
        let seal = hex(&self.seal_of(head.as_bytes(), source));
        head + &seal
    }

    /// What a nonce is made of, if it was made here, for `source`, and is neither too old nor forgotten.
    fn fresh(&mut self, now: Instant, nonce: &[u8], source: IpAddr) -> Option<NonceId> {
        if nonce.len() != NONCE_DIGITS {
            return None;
        }
        let (head, seal) = nonce.split_at_checked(NONCE_DIGITS - 2 * SEAL_OCTETS)?;
        let expected = hex(&self.seal_of(head, source));
        if !bool::from(expected.as_bytes().ct_eq(seal)) {
            return None;
        }
        let (made, hash) = std::str::from_utf8(head).ok()?.split_at_checked(8)?;
        let made_s = u32::from_str_radix(made, 16).ok()?;
        let id = NonceId { made_s, request_hash: u64::from_str_radix(hash, 16).ok()? };
        let age_s = u64::from(self.second(now).checked_sub(made_s)?);
        (age_s <= self.settings.nonce_life.as_secs()).then_some(id)
    }

    fn seal_of(&self, head: &[u8], source: IpAddr) -> [u8; SEAL_OCTETS] {
        match source.to_canonical() {
            IpAddr::V4(address) => self.seal(&[b"nonce", head, &address.octets()]),
            IpAddr::V6(address) => self.seal(&[b"nonce", head, &address.octets()]),
        }
    }

    fn seal(&self, parts: &[&[u8]]) -> [u8; SEAL_OCTETS] {
        let mut seal = [0; SEAL_OCTETS];
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return seal };
        for part in parts {
            mac.update(part);
        }
        for (to, from) in seal.iter_mut().zip(mac.finalize().into_bytes()) {
            *to = from;
        }
        seal
    }

    /// Whether `count` is above the last one of the nonce, which it becomes; the first is above 0. Without protection there is no count: the
    /// nonce is used up.
    fn advance(&mut self, id: NonceId, count: Option<u32>) -> bool {
        let count = count.unwrap_or(u32::MAX);
        if count == 0 {
            return false;
        }
        match self.counts.get_mut(&id) {
            Some(last) if count > *last => *last = count,
            Some(_) => return false,
            None if self.forgotten_s.is_some_and(|forgotten_s| id.made_s <= forgotten_s) => return false,
            None => {
                self.forget_old(id);
                self.counts.insert(id, count);
            }
        }
        true
    }

    /// Makes room. What is too old is refused by its age; what is not yet is refused because it was forgotten.
    fn forget_old(&mut self, newest: NonceId) {
        let life_s = u32::try_from(self.settings.nonce_life.as_secs()).unwrap_or(u32::MAX);
        while let Some(oldest) = self.counts.first_entry() {
            let made_s = oldest.key().made_s;
            let expired = made_s.saturating_add(life_s) < newest.made_s;
            if !expired && self.counts.len() < self.max_nonces {
                break;
            }
            self.counts.pop_first();
            if !expired {
                self.forgotten_s = self.forgotten_s.max(Some(made_s));
            }
        }
    }

    fn is_locked_out(&mut self, now: Instant, trier: &Trier) -> bool {
        let Some(tries) = self.tries.get(trier) else { return false };
        if now.saturating_duration_since(tries.since) >= self.settings.lock_out {
            self.tries.remove(trier);
            return false;
        }
        tries.count >= self.settings.max_wrong_tries
    }

    fn count_wrong_try(&mut self, now: Instant, trier: Trier) {
        if self.tries.len() >= MAX_TRIERS && !self.tries.contains_key(&trier) {
            let lock_out = self.settings.lock_out;
            self.tries.retain(|_, tries| now.saturating_duration_since(tries.since) < lock_out);
            if self.tries.len() >= MAX_TRIERS {
                let oldest = self.tries.iter().min_by_key(|(_, tries)| tries.since);
                if let Some(oldest) = oldest.map(|(trier, _)| *trier) {
                    self.tries.remove(&oldest);
                }
            }
        }
        self.tries.entry(trier).or_insert(Tries { count: 0, since: now }).count += 1;
    }
}

/// The names of all users by their hashes (RFC 7616 §3.4.4), in each algorithm that is offered.
fn hashed(settings: &Authentication) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut hashed = BTreeMap::new();
    for algorithm in &settings.algorithms {
        for user in &settings.users {
            let digest = algorithm.hash(&[user.name.as_bytes(), settings.realm.as_bytes()]);
            hashed.insert(digest.as_bytes().to_vec(), user.name.clone().into_bytes());
        }
    }
    hashed
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(2 * octets.len()), |mut text, octet| {
        // Writing to a String cannot fail.
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{octet:02x}"));
        text
    })
}

#[cfg(test)]
impl Authenticator {
    /// With another limit than [`MAX_NONCES`].
    pub(super) fn with_max_nonces(self, max_nonces: usize) -> Self {
        Self { max_nonces, ..self }
    }

    /// Nonces and triers held.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.counts.len(), self.tries.len())
    }
}
