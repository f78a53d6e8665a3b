//! The challenges a registration was given, and its answers (RFC 3261 §22.2, §22.3, RFC 7616, RFC 8760).

use super::{RegisterAnswer, RegisterFailure, RegistrationSettings, hex};
use crate::sip::auth::{Account, Algorithm, Challenge};
use crate::sip::message::HeaderName;
use crate::units::Secret;
use rand::rngs::StdRng;

/// A challenge that is being answered.
#[derive(Debug, Clone)]
struct Held {
    challenge: Challenge,
    /// How many requests were sent with its nonce.
    count: u32,
    /// Whether it was given since the round began: then a further challenge means that the answer was wrong.
    fresh: bool,
}

/// Who answers, and what was asked: one challenge of the registrar, one of a proxy.
#[derive(Debug)]
pub(super) struct Wallet {
    user: String,
    password: Option<Secret>,
    realm: Option<String>,
    registrar: Option<Held>,
    proxy: Option<Held>,
    /// A stale nonce is replaced once a round without counting as a wrong answer.
    was_stale: bool,
}

impl Wallet {
    pub(super) fn new(settings: &RegistrationSettings) -> Self {
        Self {
            user: settings.auth_user.clone(),
            password: settings.password.clone(),
            realm: settings.realm.clone(),
            registrar: None,
            proxy: None,
            was_stale: false,
        }
    }

    /// A new round: the nonces of the last one are tried again.
    pub(super) fn begin_round(&mut self) {
        self.was_stale = false;
        for held in [&mut self.registrar, &mut self.proxy].into_iter().flatten() {
            held.fresh = false;
        }
    }

    /// The answers were right. The next one uses the nonce that the registrar names for it, whose count begins anew
    /// (RFC 7616 §3.5).
    pub(super) fn accepted(&mut self, answer: &RegisterAnswer) {
        self.begin_round();
        if let (Some(held), Some(nonce)) = (&mut self.registrar, &answer.next_nonce) {
            held.challenge.nonce.clone_from(nonce);
            held.count = 0;
        }
    }

    /// Takes in the challenges of a 401 or 407: the strongest that can be answered (RFC 8760 §2.4).
    pub(super) fn challenged(&mut self, answer: &RegisterAnswer) -> Result<(), RegisterFailure> {
        let (values, held) = match answer.status {
            401 => (&answer.challenges, &mut self.registrar),
            _ => (&answer.proxy_challenges, &mut self.proxy),
        };
        let realm = self.realm.as_deref().map(str::as_bytes);
        let mut strongest: Option<Challenge> = None;
        for challenge in values.iter().filter_map(|value| Challenge::parse(value).ok()) {
            let is_ours = realm.is_none_or(|realm| realm == challenge.realm);
            if is_ours && strongest.as_ref().is_none_or(|best| strength(&challenge) > strength(best)) {
                strongest = Some(challenge);
            }
        }
        let Some(challenge) = strongest.filter(|_| self.password.is_some()) else {
            *held = None;
            return Err(RegisterFailure::UnanswerableChallenge);
        };
        if held.as_ref().is_some_and(|held| held.fresh) {
            if !challenge.stale || self.was_stale {
                *held = None;
                return Err(RegisterFailure::WrongCredentials);
            }
            self.was_stale = true;
        }
        *held = Some(Held { challenge, count: 0, fresh: true });
        Ok(())
    }

    /// The fields that answer what was asked, for a REGISTER to `uri`.
    pub(super) fn answers(&mut self, uri: &str, random: &mut StdRng) -> Vec<(HeaderName, String)> {
        let Some(password) = &self.password else { return Vec::new() };
        let account = Account { username: self.user.as_bytes(), password: password.expose().as_bytes() };
        let held = [
            (HeaderName::Authorization, &mut self.registrar),
            (HeaderName::ProxyAuthorization, &mut self.proxy),
        ];
        let mut fields = Vec::new();
        for (name, held) in held {
            let Some(held) = held else { continue };
            held.count = held.count.saturating_add(1);
            let cnonce = hex(random);
            let answer =
                held.challenge.answer(&account, b"REGISTER", uri.as_bytes(), cnonce.as_bytes(), held.count);
            if let Some(value) = answer.and_then(|answer| String::from_utf8(answer.to_value()).ok()) {
                fields.push((name, value));
            }
        }
        fields
    }
}

/// Stronger is greater: by the hash, and with protection before without.
fn strength(challenge: &Challenge) -> (Algorithm, bool) {
    (challenge.algorithm().base(), challenge.protected)
}
