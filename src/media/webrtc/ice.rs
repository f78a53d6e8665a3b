//! Our side of ICE: the lite agent, which has one candidate, makes no checks, and answers those of the peer (RFC 8445 §2.5).

use super::stun::{Answer, ReadError, Request, Role, TRANSACTION_OCTETS};
use crate::units::webrtc::IceCredentials;
use arrayvec::ArrayVec;
use std::net::SocketAddr;

/// Places of the peer that are kept: those whose checks were right, the newest at the end.
const MAX_VALID: usize = 8;
/// Right checks that are remembered, so that who overhears one cannot have it come from his own place: over a minute's worth.
const MAX_SEEN: usize = 32;

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The path works.
    Answered(Answer),
    /// Refused with this status.
    Refused(u16, Answer),
    /// Refused as well, without a word: the answer would be longer than what came, and nobody has shown that he wants it.
    RefusedSilently,
    /// No check at all.
    Dropped(ReadError),
    /// A right check that had come from another place before: somebody repeats what he overheard.
    Replayed,
}

/// The lite agent of one call.
#[derive(Debug)]
pub struct LiteAgent {
    credentials: IceCredentials,
    valid: ArrayVec<SocketAddr, MAX_VALID>,
    nominated: Option<SocketAddr>,
    seen: ArrayVec<([u8; TRANSACTION_OCTETS], SocketAddr), MAX_SEEN>,
}

impl LiteAgent {
    /// Waits for checks that are made with `credentials`.
    pub fn new(credentials: IceCredentials) -> Self {
        Self { credentials, valid: ArrayVec::new(), nominated: None, seen: ArrayVec::new() }
    }

    /// Takes other credentials. The path that is nominated serves until another is (RFC 8445 §2.4).
    pub fn restart(&mut self, credentials: IceCredentials) {
        self.credentials = credentials;
    }

    /// Where media goes: the peer's place on the path that it nominated last.
    pub fn nominated(&self) -> Option<SocketAddr> {
        self.nominated
    }

    /// Whether a right check has come from there.
    pub fn is_valid(&self, source: SocketAddr) -> bool {
        self.valid.contains(&source)
    }

    /// Takes a STUN message.
    pub fn handle(&mut self, source: SocketAddr, octets: &[u8]) -> Outcome {
        let request = match Request::read(octets) {
            Ok(request) => request,
            Err(error) => return Outcome::Dropped(error),
        };
        if let Err(status) = self.authenticate(&request) {
            let answer = request.refusal(status, None);
            let fits = answer.octets().len() <= octets.len();
            return if fits { Outcome::Refused(status, answer) } else { Outcome::RefusedSilently };
        }
        if self.is_replayed(source, &request) {
            return Outcome::Replayed;
        }
        let password = self.credentials.password();
        if !request.unknown.is_empty() {
            return Outcome::Refused(420, request.refusal(420, Some(password)));
        }
        // We never nominate: a peer that waits for us to do so is to take the role itself (RFC 8445 §7.3.1.1).
        if request.role == Some(Role::Controlled) {
            return Outcome::Refused(487, request.refusal(487, Some(password)));
        }
        let answer = request.success(source, password);
        self.note(source, request.use_candidate);
        Outcome::Answered(answer)
    }

    /// RFC 8489 §9.1.3, RFC 8445 §7.3: the user name begins with our fragment, and the integrity is by our password.
    fn authenticate(&self, request: &Request<'_>) -> Result<(), u16> {
        let username = request.username.filter(|_| request.has_integrity()).ok_or(400_u16)?;
        let fragment = username.split(|octet| *octet == b':').next().unwrap_or_default();
        let is_for_us = fragment.len() < username.len()
            && fragment == self.credentials.fragment().as_bytes()
            && request.is_by(self.credentials.password());
        if is_for_us { Ok(()) } else { Err(401) }
    }

    fn is_replayed(&mut self, source: SocketAddr, request: &Request<'_>) -> bool {
        let transaction = request.transaction();
        if let Some((_, first)) = self.seen.iter().find(|(seen, _)| *seen == transaction) {
            return *first != source;
        }
        if self.seen.is_full() {
            self.seen.remove(0);
        }
        self.seen.push((transaction, source));
        false
    }

    fn note(&mut self, source: SocketAddr, nominates: bool) {
        if !self.valid.contains(&source) {
            if self.valid.is_full() {
                self.valid.remove(0);
            }
            self.valid.push(source);
        }
        if nominates {
            self.nominated = Some(source);
        }
    }
}
