//! A well-behaved caller of many calls: another endpoint, as a PBX or SBC would be one.

use crate::chance::Chance;
use klikon::sip::endpoint::{OptionsId, OptionsParams};
use klikon::sip::{Endpoint, EndpointConfig, Event, Flow, Held, InviteParams, SessionId, Transport};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
                   m=audio 4000 RTP/AVP 8\r\n";

/// What an exchange will do.
#[derive(Debug, Clone, Copy)]
pub enum Deed {
    Call {
        late_offer: bool,
    },
    Cancel(SessionId),
    HangUp(SessionId),
    /// Asks whether the service lives: OPTIONS.
    Ask,
}

pub struct Exchange {
    pub endpoint: Endpoint,
    pub flow: Flow,
    /// What was told of each call.
    told: BTreeMap<SessionId, Vec<&'static str>>,
    /// OPTIONS that wait for their outcome.
    asked: BTreeSet<OptionsId>,
}

impl Exchange {
    pub fn new(chance: &mut Chance, address: SocketAddr, service: SocketAddr) -> Self {
        let flow = Flow { transport: Transport::Udp, local: address, remote: service };
        let endpoint = Endpoint::new(EndpointConfig::new(chance.key()));
        Self { endpoint, flow, told: BTreeMap::new(), asked: BTreeSet::new() }
    }

    /// Does something; yields what comes of it later, after so many milliseconds.
    pub fn act(&mut self, chance: &mut Chance, now: Instant, deed: Deed) -> Vec<(u64, Deed)> {
        match deed {
            Deed::Call { late_offer } => {
                let params = InviteParams {
                    request_uri: "sip:130@192.0.2.1".to_owned(),
                    from: format!("sip:+355691234567@{}", self.flow.local.ip()),
                    to: "sip:130@192.0.2.1".to_owned(),
                    sdp: (!late_offer).then(|| SDP.into()),
                    ..InviteParams::default()
                };
                let id = self.endpoint.invite(now, self.flow, &params).expect("room for a call");
                assert!(self.told.insert(id, vec![]).is_none(), "a session's name was used twice");
                match chance.one_in(5) {
                    true => vec![(chance.below(6_000), Deed::Cancel(id))],
                    false => vec![],
                }
            }
            Deed::Ask => {
                let params = OptionsParams {
                    request_uri: "sip:192.0.2.1".to_owned(),
                    from: format!("sip:{}", self.flow.local.ip()),
                    extra_headers: vec![],
                };
                let id = self.endpoint.options(now, self.flow, &params).expect("room for a request");
                assert!(self.asked.insert(id), "the name of an OPTIONS was used twice");
                vec![]
            }
            // Both may come too late: then the session is gone, which its event told.
            Deed::Cancel(id) => {
                let _ = self.endpoint.cancel(now, id);
                vec![]
            }
            Deed::HangUp(id) => {
                let _ = self.endpoint.bye(now, id, None);
                vec![]
            }
        }
    }

    /// Takes notice of what happened; yields what comes of it later.
    pub fn listen(&mut self, chance: &mut Chance) -> Vec<(u64, Deed)> {
        let mut deeds = vec![];
        while let Some(event) = self.endpoint.poll_event() {
            let (session, told) = match event {
                Event::Progress { .. } | Event::ReasonGiven { .. } => continue,
                Event::OptionsAnswered { request, status } => {
                    assert!(matches!(status, 200 | 408 | 503), "OPTIONS was answered {status}");
                    assert!(self.asked.remove(&request), "an OPTIONS has two outcomes");
                    continue;
                }
                Event::Answered { session, needs_answer, .. } => {
                    if needs_answer {
                        self.endpoint.acknowledge(session, SDP.into()).expect("waits for the answer");
                    }
                    deeds.push((chance.below(90_000), Deed::HangUp(session)));
                    (session, "answered")
                }
                Event::Rejected { session, .. } => (session, "rejected"),
                Event::Ended { session, .. } => (session, "ended"),
                other => panic!("an exchange was told {other:?}"),
            };
            self.told.get_mut(&session).expect("a call of this exchange").push(told);
        }
        deeds
    }

    /// Every call had one outcome, and nothing is left.
    pub fn assert_finished(&self) -> impl Iterator<Item = String> + '_ {
        for (id, told) in &self.told {
            let sound = matches!(&told[..], ["rejected"] | ["answered", "ended"] | ["ended"]);
            assert!(sound, "the caller was told {told:?} of {id:?}");
        }
        assert!(self.asked.is_empty(), "an OPTIONS without an outcome");
        assert_eq!(self.endpoint.held(), Held::default(), "an exchange has something left");
        self.told.values().map(|told| told.join(" "))
    }
}
