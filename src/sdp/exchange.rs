//! One call's descriptions through all its offers and answers (RFC 3264 §8).
//!
//! A call keeps one `o=` session id; its version goes up by one each time what we describe changes, and only then.
//! The media lines of a call never become fewer nor change their order, so an offer of ours repeats those that were
//! agreed before. Cloned before a change and put back when the change comes to nothing.

use super::description::{Answer, Description, MediaDescription, Offer};
use super::negotiation::{self, Capabilities, Incompatibility, Refusal};
use super::writer;
use crate::units::rtp::{Direction, StreamParameters};
use crate::units::srtp::Keying;
use crate::units::webrtc::{Handshake, IceCredentials};

/// The descriptions of one call, from our side.
#[derive(Debug, Clone)]
pub struct Exchange {
    capabilities: Capabilities,
    /// What we described last; empty before the first time.
    described: Vec<u8>,
    /// The media lines, in order, as the peer last described them.
    lines: Vec<MediaDescription>,
    /// Which of them is ours.
    audio: usize,
    agreed: Option<StreamParameters>,
    /// For when the peer looks for another path.
    fresh: Option<IceCredentials>,
}

impl Exchange {
    /// Nothing was offered yet. `capabilities` say the version that comes first.
    pub fn new(capabilities: Capabilities) -> Self {
        Self { capabilities, described: Vec::new(), lines: Vec::new(), audio: 0, agreed: None, fresh: None }
    }

    /// What was agreed last; `None` before the first answer.
    pub fn agreed(&self) -> Option<&StreamParameters> {
        self.agreed.as_ref()
    }

    /// Gives credentials that serve nothing else, for an offer that begins ICE anew (RFC 8839 §4.4.1.1.1).
    pub fn set_fresh_credentials(&mut self, fresh: IceCredentials) {
        self.fresh = Some(fresh);
    }

    /// Answers an offer of the peer: the answer's octets and what is agreed now.
    ///
    /// In mid-call the peer may take its audio away with port 0 on every line (RFC 3264 §8.2): that is agreed to, and
    /// nothing flows in either direction until another offer brings it back.
    ///
    /// # Errors
    /// [`Refusal`]; then everything is as it was before.
    pub fn answer(&mut self, offer: &[u8]) -> Result<(Vec<u8>, StreamParameters), Refusal> {
        let offer = Offer::parse(offer)?;
        let (audio, mut agreed) = match (negotiation::choose_line(&offer, &self.capabilities), self.agreed) {
            (Ok((index, agreed)), _) => (Some(index), agreed),
            (Err(_), Some(before)) if takes_audio_away(&offer) => {
                (None, StreamParameters { direction: Direction::Inactive, ..before })
            }
            (Err(why), _) => return Err(why.into()),
        };
        if let Some(line) = audio.and_then(|audio| offer.media.get(audio)) {
            self.restart_ice(line, &mut agreed);
        }
        let answer = self.describe(|capabilities| writer::answer(&offer, audio, &agreed, capabilities));
        self.audio = audio.unwrap_or(self.audio);
        self.lines = offer.media;
        self.agreed = Some(agreed);
        Ok((answer, agreed))
    }

    /// Takes other credentials where the peer has (RFC 8839 §4.4.2).
    fn restart_ice(&mut self, line: &MediaDescription, agreed: &mut StreamParameters) {
        let Some(Keying::Handshake(handshake)) = &mut agreed.security else { return };
        let before = self.agreed.and(self.lines.get(self.audio));
        let restarts = before.is_some_and(|before| before.association.ice != line.association.ice);
        if let (true, Some(fresh), Some(ours)) = (restarts, self.fresh, &mut self.capabilities.security.dtls)
        {
            ours.ice = fresh;
            *handshake = Handshake { ice: fresh, ..*handshake };
            self.fresh = None;
        }
    }

    /// Offers all we can do: for an INVITE without an offer, at the beginning or in mid-call (RFC 3261 §14.2). That the
    /// peer has put us on hold is no reason to offer less (RFC 6337 §5.3).
    pub fn offer(&mut self) -> Vec<u8> {
        let (lines, audio) = (std::mem::take(&mut self.lines), self.audio);
        // What is protected stays so.
        let security = self.agreed.and_then(|agreed| agreed.security);
        let offer = self.describe(|capabilities| writer::offer_again(capabilities, &lines, audio, security));
        self.lines = lines;
        offer
    }

    /// Takes the answer to the last [`Exchange::offer`].
    ///
    /// # Errors
    /// [`Refusal`]; then what was agreed is as it was before, but our offer stands without an answer, and the call is to
    /// be ended (RFC 3261 §13.2.2.4).
    pub fn accept(&mut self, answer: &[u8]) -> Result<StreamParameters, Refusal> {
        let answer = Answer::parse(answer)?;
        let line = answer.media.get(self.audio).ok_or(Incompatibility::MediaType)?;
        let offer = Description::parse(&self.described)?;
        let agreed = negotiation::suits_answer(line, offer.media.get(self.audio), &self.capabilities)?;
        self.lines = answer.media;
        self.agreed = Some(agreed);
        Ok(agreed)
    }

    /// Takes the answer to an offer that repeated our last description octet for octet, as a refresh does: the payload types
    /// that we receive are those of that description, whoever chose them.
    ///
    /// # Errors
    /// [`Refusal`]; then everything is as it was before.
    pub fn accept_repeated(&mut self, answer: &[u8]) -> Result<StreamParameters, Refusal> {
        let before = self.agreed;
        let mut agreed = self.accept(answer)?;
        if let Some(before) = before.filter(|before| before.encoding == agreed.encoding) {
            agreed.receive_payload_type = before.receive_payload_type;
        }
        let event_before = before.and_then(|before| before.telephone_event);
        if let (Some(event), Some(before)) = (agreed.telephone_event.as_mut(), event_before) {
            event.receive_payload_type = before.receive_payload_type;
        }
        let redundancy_before = before.and_then(|before| before.redundancy);
        if let (Some(redundancy), Some(before)) = (agreed.redundancy.as_mut(), redundancy_before) {
            redundancy.receive_payload_type = before.receive_payload_type;
        }
        self.agreed = Some(agreed);
        Ok(agreed)
    }

    /// Writes a description under the present version, or under the next where it says anything new.
    fn describe(&mut self, write: impl Fn(&Capabilities) -> Vec<u8>) -> Vec<u8> {
        let mut description = write(&self.capabilities);
        if !self.described.is_empty() && description != self.described {
            self.capabilities.session_version = self.capabilities.session_version.wrapping_add(1);
            description = write(&self.capabilities);
        }
        self.described.clone_from(&description);
        description
    }
}

/// Whether an offer has an audio line, and no line that is not turned off.
fn takes_audio_away(offer: &Offer) -> bool {
    let is_audio = |line: &MediaDescription| line.media.eq_ignore_ascii_case("audio");
    offer.media.iter().any(is_audio) && offer.media.iter().all(|line| line.port == 0)
}
