//! What a call's two sides have agreed on, from its first offer through every change that the peer asks for.

use crate::sdp::{self, Capabilities, Exchange};
use crate::sip::{ChangeId, Rejection};
use crate::units::rtp::StreamParameters;
use crate::units::webrtc::IceCredentials;
use bytes::Bytes;

/// A change of the session that the peer asks for, by re-INVITE or UPDATE.
#[derive(Debug)]
pub struct Change {
    /// Given back with its answer.
    pub id: ChangeId,
    /// `None` asks for our offer.
    pub offer: Option<Bytes>,
}

/// The session descriptions of a call.
#[derive(Debug)]
pub(super) struct Negotiation {
    exchange: Exchange,
    /// As they were before the last change, which may still come to nothing.
    before: Exchange,
}

impl Negotiation {
    /// No offer yet.
    pub(super) fn new(capabilities: Capabilities) -> Self {
        let exchange = Exchange::new(capabilities);
        Self { before: exchange.clone(), exchange }
    }

    /// What is agreed; `None` while our first offer waits for its answer.
    pub(super) fn agreed(&self) -> Option<StreamParameters> {
        self.exchange.agreed().copied()
    }

    /// Gives credentials for a change in which the peer looks for another path.
    pub(super) fn set_fresh_credentials(&mut self, fresh: IceCredentials) {
        self.exchange.set_fresh_credentials(fresh);
    }

    /// Our description for the peer's `offer`, or our offer where there is none.
    pub(super) fn describe(&mut self, offer: Option<&Bytes>) -> Result<Vec<u8>, Rejection> {
        self.before = self.exchange.clone();
        match offer {
            Some(offer) => self.exchange.answer(offer).map(|(answer, _)| answer).map_err(|why| refusal(&why)),
            None => Ok(self.exchange.offer()),
        }
    }

    /// Takes the answer to our offer, which came in an ACK.
    pub(super) fn accept(&mut self, answer: Option<&Bytes>) -> Result<(), sdp::Refusal> {
        self.exchange.accept(answer.map(|answer| &**answer).unwrap_or_default()).map(drop)
    }

    /// Takes the answer to a refresh of ours, which offered what we had described.
    pub(super) fn accept_refresh(&mut self, answer: &Bytes) -> Result<(), sdp::Refusal> {
        self.exchange.accept_repeated(answer).map(drop)
    }

    /// The last change came to nothing: all is as it was.
    pub(super) fn take_back(&mut self) {
        self.exchange = self.before.clone();
    }
}

/// The status for an offer that cannot be answered; a Warning says why (RFC 3261 §20.43).
fn refusal(refusal: &sdp::Refusal) -> Rejection {
    tracing::info!(%refusal, "the offer cannot be answered");
    match refusal {
        sdp::Refusal::Malformed(_) => Rejection::new(400),
        sdp::Refusal::NotAcceptable(why) => Rejection {
            headers: vec![("Warning".to_owned(), format!("{} klikon \"{why}\"", why.warn_code()))],
            ..Rejection::new(488)
        },
    }
}
