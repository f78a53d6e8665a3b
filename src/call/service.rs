//! What all calls share: flows, prompts, media engine, store, settings.

use super::observer::Observer;
use super::settings::{Settings, Srtp};
use super::trust::Neighbours;
use crate::dialplan::Flow;
use crate::media::{ClipIndex, Engine};
use crate::recording::Recorder;
use crate::sdp::{Codecs, RedundancyPolicy};
use crate::sip::Rejection;
use crate::speech::Prompts;
use crate::store::{Activation, CallRecord, Store, StoreError};
use crate::units::clock::Clock;
use crate::units::srtp::{OWN_KEYS_OCTETS, OwnKeys};
use crate::units::webrtc::{ICE_RANDOM_OCTETS, IceCredentials};
use crate::units::{ActivationId, CallId};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;

/// Tries at a call record whose database does not answer.
const RECORD_TRIES: u32 = 3;
/// The pause before the second try; then it doubles.
const RECORD_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// What all calls share.
#[derive(Debug)]
pub struct Service {
    /// Limits and waits.
    pub settings: Settings,
    /// Retry-After of a 503, s.
    pub retry_after_s: u32,
    /// Whose caller identity is believed.
    pub neighbours: Arc<Neighbours>,
    /// Called number → flow.
    pub numbers: BTreeMap<String, Arc<Flow>>,
    /// The texts of the clips.
    pub prompts: Prompts,
    /// The media workers, with the clips ready to be sent.
    pub media: Engine,
    /// What calls can be held in: the library holds each clip in it.
    pub codecs: Codecs,
    /// What is made of redundant payloads that a peer offers.
    pub redundancy: RedundancyPolicy,
    /// Whether media is encrypted.
    pub srtp: Srtp,
    /// Address for RTP that SDP says, when it is not the one the INVITE arrived at.
    pub media_advertised: Option<IpAddr>,
    /// Who keeps what callers heard and pressed.
    pub recorder: Recorder,
    /// The clip that says so, where one does.
    pub announcement: Option<ClipIndex>,
    /// The billing ledger.
    pub store: Store,
    /// News of settled activations.
    pub settlements: broadcast::Sender<Activation>,
    /// Time.
    pub clock: Clock,
    /// Ids.
    pub ids: Ids,
    /// Who watches calls.
    pub observer: Observer,
}

impl Service {
    /// The flow that answers a called number. The user part of a SIP URI may carry a telephone number's own
    /// parameters (RFC 3261 §19.1.6): `130;phone-context=+355` is 130.
    pub fn flow_for(&self, called: &str) -> Option<Arc<Flow>> {
        let number = called.split(';').next().unwrap_or_default();
        self.numbers.get(number).map(Arc::clone)
    }

    /// Writes a call's record. What was written before stays. One that the database does not take stands in the log,
    /// its number masked, so that it can be entered by hand.
    pub(super) async fn record(&self, record: &CallRecord) {
        let mut pause = RECORD_AGAIN_AFTER;
        for attempt in 1..=RECORD_TRIES {
            let Err(error) = self.store.record_call(record).await else { return };
            report_unwritten(record, attempt, &error);
            if attempt < RECORD_TRIES {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
    }

    /// 503 with Retry-After: no room for another call.
    pub fn full(&self) -> Rejection {
        let retry_after = ("Retry-After".to_owned(), self.retry_after_s.to_string());
        Rejection { headers: vec![retry_after], ..Rejection::new(503) }
    }
}

fn report_unwritten(record: &CallRecord, attempt: u32, error: &StoreError) {
    let error = error as &dyn std::error::Error;
    if attempt < RECORD_TRIES {
        return tracing::warn!(
            error,
            attempt,
            "the call record could not be written; it will be tried again"
        );
    }
    tracing::error!(
        error,
        call.id = %record.id,
        sip_call_id = record.sip_call_id,
        received_at = %record.received_at,
        answered_at = record.answered_at.map(tracing::field::display),
        ended_at = %record.ended_at,
        end = record.end.label(),
        outcome = record.outcome,
        "the call record is lost"
    );
}

/// Makes ids from a seeded generator.
#[derive(Debug)]
pub struct Ids(Mutex<StdRng>);

impl Ids {
    /// From 32 random octets.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(Mutex::new(StdRng::from_seed(seed)))
    }

    /// A call's id.
    pub fn call(&self, now: Timestamp) -> CallId {
        CallId::new(now, self.octets())
    }

    /// An activation's id, made before the first try.
    pub fn activation(&self, now: Timestamp) -> ActivationId {
        ActivationId::new(now, self.octets())
    }

    /// The id in the `o=` line of a session description.
    pub fn sdp_session(&self) -> u64 {
        // 63 bits: some peers read it as a signed number.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random::<u64>() >> 1
    }

    /// Keys of our side of a call, for the session description.
    pub fn own_keys(&self) -> OwnKeys {
        let mut octets = [0; OWN_KEYS_OCTETS];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut octets);
        OwnKeys::new(&octets)
    }

    /// User name fragment and password of our side of a call's path.
    pub fn ice(&self) -> IceCredentials {
        let mut octets = [0; ICE_RANDOM_OCTETS];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut octets);
        IceCredentials::new(&octets)
    }

    fn octets(&self) -> [u8; 10] {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }
}
