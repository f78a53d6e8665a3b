//! A browser's media: the path by ICE (RFC 8445), of which we are the lite agent, and the keys by DTLS over it (RFC 5764,
//! RFC 8827), of which we are the server.
//!
//! All three protocols come to one socket and are told apart by their first octet (RFC 7983). Checks are answered at once.
//! Handshakes cost far more: their datagrams wait for the call's turn to send, so that they are spread as
//! packets are. Nothing is sent to a place that no check with our password came from, but refusals that are no longer than
//! what they refuse.

mod dtls;
mod ice;
pub mod stun;

use crate::units::srtp::StreamKeys;
use crate::units::webrtc::{Fingerprint, Handshake};
use arrayvec::ArrayVec;
pub use dtls::{Association, DATAGRAM_OCTETS, Failure, HANDSHAKE_LIMIT, Handshakes, HandshakesError, Step};
pub use ice::{LiteAgent, Outcome};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use stun::Answer;

/// Datagrams of a handshake that wait for the call's turn; a flight of the peer has no more than about five.
const MAX_WAITING: usize = 8;

/// What a datagram is by its first octet (RFC 7983 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// STUN.
    Check,
    /// DTLS.
    Handshake,
    /// RTP or RTCP.
    Media,
    /// ZRTP, TURN channels, QUIC, or nothing.
    Other,
}

impl Kind {
    /// That of a datagram.
    pub fn of(octets: &[u8]) -> Self {
        match octets.first() {
            Some(0..=3) => Self::Check,
            Some(20..=63) => Self::Handshake,
            Some(128..=191) => Self::Media,
            _ => Self::Other,
        }
    }
}

/// What came and what became of it, beside the media itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WebRtcStatistics {
    /// Checks that were answered.
    pub checks_answered: u64,
    /// Checks that were refused: without our password, or with what is not known here.
    pub checks_refused: u64,
    /// Datagrams that began like a check and were none.
    pub checks_malformed: u64,
    /// Datagrams of DTLS that came from elsewhere, too many at once, or while too many handshakes were under way.
    pub handshakes_deferred: u64,
    /// Handshakes that led to keys.
    pub handshakes_completed: u64,
    /// Handshakes that did not.
    pub handshakes_failed: u64,
    /// Of them, by a certificate that was not that of the session description.
    pub fingerprints_wrong: u64,
}

/// How far the handshake is.
#[derive(Debug)]
enum State {
    /// The peer has not begun.
    Waiting,
    UnderWay(Association),
    /// Kept for a peer that did not get our last message, as long as nothing is wrong with it.
    Done(Option<Association>),
    Failed,
}

/// What the session is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The stream has keys.
    Keys(StreamKeys),
    /// It will never have any.
    Failed(Failure),
}

/// One call's path and handshake.
#[derive(Debug)]
pub struct WebRtc {
    handshakes: Arc<Handshakes>,
    agent: LiteAgent,
    fingerprint: Fingerprint,
    state: State,
    /// When the keys are to be there.
    limit: Instant,
    waiting: ArrayVec<Vec<u8>, MAX_WAITING>,
    answer: Option<(SocketAddr, Answer)>,
    news: Option<News>,
    statistics: WebRtcStatistics,
}

impl WebRtc {
    /// Waits for the peer from `now` on.
    pub fn new(handshakes: Arc<Handshakes>, agreed: &Handshake, now: Instant) -> Self {
        Self {
            handshakes,
            agent: LiteAgent::new(agreed.ice),
            fingerprint: agreed.fingerprint,
            state: State::Waiting,
            limit: now + HANDSHAKE_LIMIT,
            waiting: ArrayVec::new(),
            answer: None,
            news: None,
            statistics: WebRtcStatistics::default(),
        }
    }

    /// Goes on as agreed anew. Another certificate is another handshake (RFC 8842 §4); true then.
    pub fn change(&mut self, agreed: &Handshake, now: Instant) -> bool {
        self.agent.restart(agreed.ice);
        let another = self.fingerprint != agreed.fingerprint;
        if another {
            self.fingerprint = agreed.fingerprint;
            self.state = State::Waiting;
            self.limit = now + HANDSHAKE_LIMIT;
            self.waiting.clear();
        }
        another
    }

    /// Where media goes, once it is protected.
    pub fn destination(&self) -> Option<SocketAddr> {
        self.agent.nominated().filter(|_| matches!(self.state, State::Done(_)))
    }

    /// Whether media may come from there: a check with our password has.
    pub fn is_peer(&self, source: SocketAddr) -> bool {
        self.agent.is_valid(source)
    }

    /// What was counted so far.
    pub fn statistics(&self) -> WebRtcStatistics {
        self.statistics
    }

    /// Takes a STUN message; [`WebRtc::poll_answer`] has what is to be said to it.
    pub fn handle_check(&mut self, source: SocketAddr, octets: &[u8]) {
        let counted = &mut self.statistics;
        self.answer = match self.agent.handle(source, octets) {
            Outcome::Answered(answer) => {
                counted.checks_answered += 1;
                Some((source, answer))
            }
            Outcome::Refused(_, answer) => {
                counted.checks_refused += 1;
                Some((source, answer))
            }
            Outcome::RefusedSilently | Outcome::Replayed => {
                counted.checks_refused += 1;
                None
            }
            Outcome::Dropped(_) => {
                counted.checks_malformed += 1;
                None
            }
        };
    }

    /// The answer to the last check, and where it goes.
    pub fn poll_answer(&mut self) -> Option<(SocketAddr, Answer)> {
        self.answer.take()
    }

    /// Keeps a datagram of DTLS for the call's turn. It must come on the nominated path, since what it leads to is longer than itself.
    pub fn keep(&mut self, source: SocketAddr, octets: &[u8]) {
        let is_expected = self.agent.nominated() == Some(source) && !matches!(self.state, State::Failed);
        if !is_expected || self.waiting.try_push(octets.to_vec()).is_err() {
            self.statistics.handshakes_deferred += 1;
        }
    }

    /// The next datagram of the handshake, in so many octets of the buffer, and where it goes; call it until there is none.
    pub fn poll_handshake(
        &mut self,
        now: Instant,
        buffer: &mut [u8; DATAGRAM_OCTETS],
    ) -> Option<(SocketAddr, usize)> {
        let done = matches!(self.state, State::Done(_));
        if now >= self.limit && !done && !matches!(self.state, State::Failed) {
            self.fail(Failure::Timeout);
        }
        let stepped = self.step(now, buffer);
        match stepped {
            Ok(octets) => self.agent.nominated().zip(octets),
            Err(failure) => {
                self.fail(failure);
                None
            }
        }
    }

    /// What happened since the last time.
    pub fn poll_news(&mut self) -> Option<News> {
        self.news.take()
    }

    fn step(&mut self, now: Instant, buffer: &mut [u8; DATAGRAM_OCTETS]) -> Result<Option<usize>, Failure> {
        if matches!(self.state, State::Waiting) && !self.waiting.is_empty() {
            match self.handshakes.begin(now) {
                Some(association) => self.state = State::UnderWay(association),
                None => {
                    self.statistics.handshakes_deferred += self.waiting.len() as u64;
                    self.waiting.clear();
                }
            }
        }
        let association = match &mut self.state {
            State::UnderWay(association) => association,
            State::Done(Some(association)) if !self.waiting.is_empty() => association,
            State::Waiting | State::Done(_) | State::Failed => return Ok(None),
        };
        association.handle_timeout(now)?;
        loop {
            match association.poll(&self.fingerprint, buffer)? {
                Step::Send(octets) => return Ok(Some(octets)),
                Step::Wait if self.waiting.is_empty() => return Ok(None),
                Step::Wait => association.handle(now, &self.waiting.remove(0))?,
                Step::Keys(keys) => {
                    self.statistics.handshakes_completed += 1;
                    self.news = Some(News::Keys(keys));
                    break;
                }
            }
        }
        if let State::UnderWay(association) = std::mem::replace(&mut self.state, State::Failed) {
            self.state = State::Done(Some(association));
        }
        self.step(now, buffer)
    }

    fn fail(&mut self, failure: Failure) {
        self.waiting.clear();
        if let State::Done(association) = &mut self.state {
            // What the peer says after the handshake takes no keys away.
            *association = None;
            return;
        }
        self.state = State::Failed;
        self.statistics.handshakes_failed += 1;
        self.statistics.fingerprints_wrong += u64::from(failure == Failure::Fingerprint);
        self.news = Some(News::Failed(failure));
    }
}
