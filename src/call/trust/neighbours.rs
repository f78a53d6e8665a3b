//! Everything that decides whom to believe: peers, users, and the certificates of the connections that are open.

use super::{Caller, Claims, Peer, Source, User, identify, peer_of};
use crate::sip::auth::Policy;
use crate::sip::{Flow, IncomingInvite};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections whose certificate names are kept; one more is a connection without a certificate.
pub const MAX_CERTIFIED_CONNECTIONS: usize = 10_000;

/// The neighbours in the network. Shared by the SIP side, which challenges by it, and the calls.
#[derive(Debug, Default)]
pub struct Neighbours {
    peers: Vec<Peer>,
    users: Vec<User>,
    /// The names in the verified certificate of whoever is at the other end.
    certificates: Mutex<HashMap<Flow, Arc<[String]>>>,
}

/// Whom an INVITE is believed to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// Who is calling.
    pub caller: Caller,
    /// The peer that sent it, by name.
    pub peer: Option<String>,
    /// Whether a leader who calls from there must key his PIN.
    pub asks_pin: bool,
}

impl Neighbours {
    /// The peers, of which the first that matches counts, and the users of those that must authenticate.
    pub fn new(peers: Vec<Peer>, users: Vec<User>) -> Self {
        Self { peers, users, certificates: Mutex::default() }
    }

    /// A connection stands, whose peer proved these names by its certificate.
    pub fn connected(&self, flow: Flow, names: &[String]) {
        let mut certificates = self.certificates();
        if !names.is_empty() && certificates.len() < MAX_CERTIFIED_CONNECTIONS {
            certificates.insert(flow, names.into());
        }
    }

    /// The connection is gone; the next one from there is another.
    pub fn disconnected(&self, flow: &Flow) {
        self.certificates().remove(flow);
    }

    /// Whether the address is in a range of some peer.
    pub fn hold(&self, address: IpAddr) -> bool {
        self.peers.iter().any(|peer| peer.holds(address))
    }

    /// Who is calling, and by whom we know.
    pub fn identify(&self, invite: &IncomingInvite) -> Identified {
        let user = invite.authenticated.as_deref();
        let digest_user = user.and_then(|name| self.users.iter().find(|user| user.name == name));
        self.with_source(&invite.flow, digest_user, |source| {
            let peer = peer_of(&self.peers, source);
            Identified {
                caller: identify(&self.peers, source, Claims::of(invite)),
                peer: peer.map(|peer| peer.name.clone()),
                asks_pin: peer.is_some_and(|peer| peer.pin),
            }
        })
    }

    fn with_source<T>(&self, flow: &Flow, user: Option<&User>, then: impl FnOnce(&Source<'_>) -> T) -> T {
        let names = self.certificates().get(flow).map(Arc::clone);
        then(&Source {
            address: flow.remote.ip(),
            transport: flow.transport,
            certificate_names: names.as_deref().unwrap_or_default(),
            digest_user: user,
        })
    }

    fn certificates(&self) -> MutexGuard<'_, HashMap<Flow, Arc<[String]>>> {
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Policy for Neighbours {
    fn challenges(&self, flow: &Flow) -> bool {
        self.with_source(flow, None, |source| peer_of(&self.peers, source).is_some_and(|peer| peer.digest))
    }
}

#[cfg(test)]
mod tests {
    use super::super::spoofs;
    use super::*;
    use crate::sip::Transport;

    #[test]
    fn the_pin_is_asked_for_by_the_peer_that_matches() {
        let invite = spoofs::invite("");
        let peer = |name: &str, pin| Peer {
            name: name.to_owned(),
            addresses: vec![invite.flow.remote.ip().into()],
            pin,
            ..Peer::loopback()
        };
        let asks = |peers| Neighbours::new(peers, vec![]).identify(&invite).asks_pin;
        assert!(asks(vec![peer("weak", true), peer("strong", false)]));
        assert!(!asks(vec![peer("strong", false), peer("weak", true)]));
        assert!(!asks(vec![]));
    }

    fn flow(port: u16) -> Flow {
        let remote = ([192, 0, 2, 9], port).into();
        Flow { transport: Transport::Tls, local: ([192, 0, 2, 1], 5061).into(), remote }
    }

    #[test]
    fn a_certificate_belongs_to_its_connection_and_goes_with_it() {
        let digest = Peer { digest: true, ..Peer::loopback() };
        let by_name = |digest| Peer {
            addresses: vec![],
            certificates: vec!["pbx.example".into()],
            digest,
            ..Peer::loopback()
        };
        let neighbours = Neighbours::new(vec![digest, by_name(true)], vec![]);
        assert!(!neighbours.challenges(&flow(1)));
        neighbours.connected(flow(1), &["other.example".into(), "PBX.example".into()]);
        assert!(neighbours.challenges(&flow(1)) && !neighbours.challenges(&flow(2)));
        neighbours.disconnected(&flow(1));
        assert!(!neighbours.challenges(&flow(1)));
    }

    #[test]
    fn connections_beyond_the_limit_have_no_certificate() {
        let neighbours = Neighbours::default();
        for number in 0..=MAX_CERTIFIED_CONNECTIONS {
            neighbours.connected(flow(u16::try_from(number).unwrap()), &["pbx.example".into()]);
        }
        assert_eq!(neighbours.certificates().len(), MAX_CERTIFIED_CONNECTIONS);
    }
}
