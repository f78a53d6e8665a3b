//! Admission before work: who may send a message, and whether a new call may begin, decided before a message is looked
//! into. Time is an argument.
//!
//! - [`rate`]: token buckets.
//! - [`sources`]: addresses that are nobody's peer: their rate, their bans, what may be sent to them.
//! - [`scanner`]: programs that look for servers to break into.
//! - [`loss`]: what neighbours that ask are told of our load (RFC 7339).
//!
//! New calls share one rate. Of it, each neighbour has an equal part that no other can use up; what neighbours leave of
//! their parts, all may use. Strangers together count as one neighbour. Requests within calls are never counted here.
//!
//! The hooks are in [`crate::sip::endpoint`]: `admission`.

mod loss;
mod rate;
mod scanner;
mod settings;
mod sources;

#[cfg(test)]
mod tests;

pub use scanner::SCANNERS;
pub use settings::{Guard, PeerShare, Settings, Strangers};
pub use sources::AMPLIFICATION_MAX;

use super::counters::Counter;
use super::identifier::HashKey;
use super::message::Message;
use super::transport::{Flow, Transport};
use loss::LossControl;
use rate::{Level, Rate};
use sources::{Offence, Rules, Screened, Sources};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A minute, in which offences are borne.
const MINUTE: Duration = Duration::from_secs(60);
/// How often loss is looked at where nobody is told of it.
const UNTOLD_WINDOW: Duration = Duration::from_secs(1);
/// Connections whose peer is remembered by its certificate; one more is known by its address alone.
const MAX_CERTIFIED_CONNECTIONS: usize = 10_000;

/// Who sent a message: a peer of the settings, by its place there, or any other, which is the last place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::sip) struct Neighbour(pub(in crate::sip) usize);

/// Something that honest programs do not do for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sip) enum Offender {
    /// What it sends is no SIP.
    Babbles,
    /// It sends more than it may.
    Floods,
    /// It says that it is a scanner.
    Scans,
}

/// What one neighbour used of its share.
#[derive(Debug)]
struct Share {
    max_calls: Option<usize>,
    /// What the settings allow it.
    rate: Option<Rate>,
    level: Level,
    /// Its part of everybody's rate.
    part: Level,
    loss: LossControl,
}

/// The limiter.
#[derive(Debug)]
pub(in crate::sip) struct Overload {
    settings: Settings,
    /// Everybody's new calls.
    calls: Option<Rate>,
    level: Level,
    /// Each neighbour's part of that rate.
    part: Option<Rate>,
    /// One for each peer, and one for all others.
    shares: Vec<Share>,
    sources: Option<Sources>,
    /// Peers at the other end of connections, known by their certificates.
    certified: HashMap<Flow, Neighbour, HashKey>,
    /// How many more calls the call layer has room for.
    room: usize,
    first: Option<Instant>,
    now: Option<Instant>,
}

impl Overload {
    pub(in crate::sip) fn new(settings: Settings, hash_key: HashKey) -> Self {
        let neighbours = u32::try_from(settings.peers.len() + 1).unwrap_or(u32::MAX);
        let burst = settings.call_burst.max(1);
        let window = settings.loss_validity.unwrap_or(UNTOLD_WINDOW);
        let share = |max_calls, max_calls_per_s: Option<u32>| Share {
            max_calls,
            rate: max_calls_per_s.map(|a_second| Rate::per_second(a_second, a_second)),
            level: Level::default(),
            part: Level::default(),
            loss: LossControl::new(window),
        };
        let peers = settings.peers.iter().map(|peer| share(peer.max_calls, peer.max_calls_per_s));
        let shares = peers.chain([share(settings.strangers_max_calls, None)]).collect();
        let sources = settings.guard.map(|guard| {
            let rules = Rules {
                messages: guard.max_messages_per_s.map(|rate| Rate::per_second(rate, guard.message_burst)),
                patience: Rate::over(MINUTE, guard.offences_per_minute, guard.offences_per_minute),
                ban: guard.ban,
                ban_max: guard.ban_max,
            };
            Sources::new(rules, guard.max_sources, hash_key)
        });
        Self {
            calls: settings.max_calls_per_s.map(|a_second| Rate::per_second(a_second, burst)),
            level: Level::default(),
            part: settings.max_calls_per_s.map(|a_second| {
                Rate::over(Duration::from_secs(1) * neighbours, a_second, burst / neighbours)
            }),
            shares,
            sources,
            certified: HashMap::with_hasher(hash_key),
            room: usize::MAX,
            first: None,
            now: None,
            settings,
        }
    }

    /// A message of `octets` came by `flow`. Who sent it, or why it is not to be read.
    pub(in crate::sip) fn screen(
        &mut self,
        now: Instant,
        flow: Flow,
        octets: usize,
    ) -> Result<Neighbour, Counter> {
        self.tick(now);
        let neighbour = self.neighbour(flow);
        if let Some(share) = self.shares.get_mut(neighbour.0) {
            share.loss.tick(now);
        }
        if !self.is_stranger(neighbour) {
            return Ok(neighbour);
        }
        match self.sources.as_mut().map(|sources| sources.screen(now, flow.remote.ip(), octets)) {
            None | Some(Screened::Pass) => Ok(neighbour),
            Some(Screened::Banned) => Err(Counter::DroppedBanned),
            Some(Screened::TooMany) => Err(Counter::DroppedSourceRate),
        }
    }

    /// Time has come to `now`.
    pub(in crate::sip) fn tick(&mut self, now: Instant) {
        self.first.get_or_insert(now);
        self.now = Some(now);
    }

    /// A connection stands, whose peer proved these names by its certificate.
    pub(in crate::sip) fn connected(&mut self, flow: Flow, names: &[String]) {
        let address = flow.remote.ip();
        let mut peers = self.settings.peers.iter();
        let Some(peer) = peers.position(|peer| peer.connects_from(address, names)) else { return };
        if self.neighbour_at(address) != Neighbour(peer) && self.certified.len() < MAX_CERTIFIED_CONNECTIONS {
            self.certified.insert(flow, Neighbour(peer));
        }
    }

    /// The connection is gone; the next one from there is another.
    pub(in crate::sip) fn disconnected(&mut self, flow: Flow) {
        self.certified.remove(&flow);
    }

    /// Who is at the other end: by the certificate of the connection, or else by the address.
    pub(in crate::sip) fn neighbour(&self, flow: Flow) -> Neighbour {
        let certified = self.certified.get(&flow).copied();
        certified.unwrap_or_else(|| self.neighbour_at(flow.remote.ip()))
    }

    fn neighbour_at(&self, address: IpAddr) -> Neighbour {
        let peer = self.settings.peers.iter().position(|peer| peer.holds(address));
        Neighbour(peer.unwrap_or(self.settings.peers.len()))
    }

    /// Whether it is nobody's address, and guarded against.
    pub(in crate::sip) fn is_stranger(&self, neighbour: Neighbour) -> bool {
        self.sources.is_some() && neighbour.0 >= self.settings.peers.len()
    }

    /// Whether both are addresses of one peer of the settings, of one family, and the first is one host's.
    pub(in crate::sip) fn is_same_peer(&self, address: IpAddr, other: IpAddr) -> bool {
        let peer = self.settings.peers.get(self.neighbour_at(other).0);
        let is_host = !address.is_unspecified() && !address.is_multicast();
        is_host && address.is_ipv4() == other.is_ipv4() && peer.is_some_and(|peer| peer.holds(address))
    }

    /// Whether it is a peer that ends TLS before us, so that `sips` URIs come from it without.
    pub(in crate::sip) fn ends_tls_for_us(&self, neighbour: Neighbour) -> bool {
        self.settings.peers.get(neighbour.0).is_some_and(|peer| peer.sips_without_tls)
    }

    /// Whether a request says that a scanner made it.
    pub(in crate::sip) fn is_scan(&self, neighbour: Neighbour, request: &Message<'_>) -> bool {
        // A peer may pass on what a scanner sent to it; that is for it to mend.
        self.is_stranger(neighbour) && scanner::is_named_in(request, &self.settings.scanners)
    }

    /// A sender did what it should not. What is to be counted of it. A peer is never banned: over UDP anybody can send
    /// in its name.
    pub(in crate::sip) fn offence(
        &mut self,
        now: Instant,
        flow: Flow,
        neighbour: Neighbour,
        offender: Offender,
    ) -> Option<Counter> {
        if !self.is_stranger(neighbour) {
            return Some(Counter::PeerOffences);
        }
        let grave = offender == Offender::Scans;
        match self.sources.as_mut()?.offence(now, flow.remote.ip(), grave) {
            Offence::Borne => None,
            Offence::Banned => Some(Counter::SourcesBanned),
            Offence::NoRoom => Some(Counter::BansOverLimit),
        }
    }

    /// How a call from `neighbour` is met before anything else is asked.
    pub(in crate::sip) fn welcome(&self, neighbour: Neighbour) -> Strangers {
        if self.is_stranger(neighbour) { self.settings.strangers } else { Strangers::Answer }
    }

    /// Whether other requests outside calls are left unanswered.
    pub(in crate::sip) fn is_silent_to(&self, neighbour: Neighbour) -> bool {
        self.settings.silent_to_strangers && self.is_stranger(neighbour)
    }

    /// Why a new call of a neighbour that has `calls` under way, of which `unacknowledged` never got their ACK, is
    /// refused; `None` lets it begin. Takes nothing: only a
    /// call that begins does.
    pub(in crate::sip) fn refusal(
        &self,
        now: Instant,
        neighbour: Neighbour,
        calls: usize,
        unacknowledged: usize,
    ) -> Option<Counter> {
        let share = self.shares.get(neighbour.0)?;
        if self.room == 0 {
            return Some(Counter::RefusedCallLimit);
        }
        if share.max_calls.is_some_and(|max_calls| calls >= max_calls) {
            return Some(Counter::RefusedPeerCalls);
        }
        if self.settings.max_unacknowledged.is_some_and(|most| unacknowledged >= most) {
            return Some(Counter::RefusedUnacknowledged);
        }
        if share.rate.is_some_and(|rate| !rate.has(share.level, now)) {
            return Some(Counter::RefusedPeerRate);
        }
        let of_all = self.calls.is_none_or(|rate| rate.has(self.level, now));
        let of_its_part = self.part.is_none_or(|rate| rate.has(share.part, now));
        (!of_all && !of_its_part).then_some(Counter::RefusedCallRate)
    }

    /// A new call was refused for what [`Overload::refusal`] says, or for want of room.
    pub(in crate::sip) fn refused(&mut self, now: Instant, neighbour: Neighbour) {
        if let Some(share) = self.shares.get_mut(neighbour.0) {
            share.loss.offered(now, true);
        }
    }

    /// A new call has begun.
    pub(in crate::sip) fn admitted(&mut self, now: Instant, neighbour: Neighbour) {
        self.room = self.room.saturating_sub(usize::from(self.room != usize::MAX));
        if let Some(rate) = self.calls {
            rate.take(&mut self.level, now);
        }
        let Some(share) = self.shares.get_mut(neighbour.0) else { return };
        share.loss.offered(now, false);
        if let Some(rate) = share.rate {
            rate.take(&mut share.level, now);
        }
        if let Some(rate) = self.part.filter(|rate| rate.has(share.part, now)) {
            rate.take(&mut share.part, now);
        }
    }

    /// The call layer has room for so many more calls.
    pub(in crate::sip) fn set_room(&mut self, calls: usize) {
        self.room = calls;
    }

    /// How many more seconds than the least one who is refused is to wait; `number` is any number of the request's own,
    /// so that its retransmissions are told the same.
    pub(in crate::sip) fn retry_after_more_s(&self, number: u64) -> u32 {
        u32::try_from(number % (u64::from(self.settings.retry_after_spread_s) + 1)).unwrap_or(0)
    }

    /// A request of a dialog came from where the dialog's responses went, or a response to a request of ours: who sends
    /// at that address also receives there.
    pub(in crate::sip) fn proved(&mut self, now: Instant, flow: Flow) {
        if !self.is_stranger(self.neighbour(flow)) || flow.transport.is_reliable() {
            return;
        }
        if let Some(sources) = &mut self.sources {
            sources.prove(now, flow.remote.ip());
        }
    }

    /// Whether a message may be sent. Over UDP, an address that has proved nothing gets no more than
    /// [`AMPLIFICATION_MAX`] octets for each that came from it. Requests of our own are only held back where a forged
    /// call can have caused them: BYE.
    pub(in crate::sip) fn may_send(&mut self, flow: Flow, octets: &[u8]) -> bool {
        let Some(now) = self.now.filter(|_| self.sources.is_some() && flow.transport == Transport::Udp)
        else {
            return true;
        };
        let caused = octets.starts_with(b"SIP/2.0 ") || octets.starts_with(b"BYE ");
        let address = flow.remote.ip();
        if !caused || !self.is_stranger(self.neighbour(flow)) {
            return true;
        }
        self.sources.as_mut().is_none_or(|sources| sources.may_send(now, address, octets.len()))
    }

    /// Whether nothing is read that comes by `flow`.
    pub(in crate::sip) fn is_banned(&self, now: Instant, flow: Flow) -> bool {
        let stranger = self.is_stranger(self.neighbour(flow));
        stranger && self.sources.as_ref().is_some_and(|sources| sources.is_banned(now, flow.remote.ip()))
    }

    /// What is told to one who asked for feedback in his Via; `None` where none is given.
    pub(in crate::sip) fn feedback(&self, flow: Flow) -> Option<String> {
        let validity = self.settings.loss_validity?;
        let share = self.shares.get(self.neighbour(flow).0)?;
        let since_made = self.now.zip(self.first).map_or(Duration::ZERO, |(now, first)| now - first);
        Some(loss::parameters(share.loss.percent(), validity, self.settings.made_at + since_made))
    }
}
