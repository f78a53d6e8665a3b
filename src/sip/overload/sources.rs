//! What is remembered of addresses that are nobody's peer: how much they send, whether they are banned, and whether they
//! have proved that they are where they say.
//!
//! Over UDP a source can be forged, so that every entry may be an attacker's invention. Hence the shape: a table of fixed
//! size in sets of [`WAYS`], which set a source belongs to is a secret hash, and a new source takes the place of the one
//! in its set that was silent longest. A ban keeps its place until it ends; at most half of a set can be bans, so that
//! forged ones cannot shut everybody else out either.

use super::rate::{Level, Rate};
use crate::sip::identifier::HashKey;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Entries a set.
pub(super) const WAYS: usize = 8;
/// Bans a set.
const BANS_A_SET: usize = WAYS / 2;
/// How long an address counts as proved after it showed that it had received something of ours.
const PROVED_FOR: Duration = Duration::from_secs(600);
/// Octets that may be sent to an address that has proved nothing, for each octet that came from it: the bound that
/// RFC 9000 §8.1 has for the same danger.
pub const AMPLIFICATION_MAX: u64 = 3;
/// Doublings of a ban, after which the longest ban has long been reached.
const DOUBLINGS_MAX: u32 = 16;

/// How sources are treated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Messages of one source; `None` does not limit them.
    pub(super) messages: Option<Rate>,
    /// Offences that are borne before a ban.
    pub(super) patience: Rate,
    /// The first ban; each further one is twice as long.
    pub(super) ban: Duration,
    /// The longest ban.
    pub(super) ban_max: Duration,
}

/// An address, or the network of one subscriber: an IPv6 /64 (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source(u128);

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // As an IPv4-mapped address, which no IPv6 source on the wire has.
            IpAddr::V4(address) => Self(u128::from(address.to_ipv6_mapped())),
            IpAddr::V6(address) => Self(u128::from(address) >> 64 << 64),
        }
    }
}

/// What is remembered of one source.
#[derive(Debug, Clone)]
struct Entry {
    source: Source,
    seen: Instant,
    messages: Level,
    offences: Level,
    /// Bans it had.
    bans: u32,
    banned_until: Option<Instant>,
    proved_until: Option<Instant>,
    received_octets: u64,
    sent_octets: u64,
}

impl Entry {
    fn new(source: Source, now: Instant) -> Self {
        Self {
            source,
            seen: now,
            messages: Level::default(),
            offences: Level::default(),
            bans: 0,
            banned_until: None,
            proved_until: None,
            received_octets: 0,
            sent_octets: 0,
        }
    }

    fn is_banned(&self, now: Instant) -> bool {
        self.banned_until.is_some_and(|until| now < until)
    }
}

/// What is to be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Screened {
    /// It may be read.
    Pass,
    /// Its source is banned.
    Banned,
    /// Its source sends too much.
    TooMany,
}

/// What became of an offence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offence {
    /// Borne.
    Borne,
    /// The source is banned now.
    Banned,
    /// It would be, but the table holds as many bans as it may.
    NoRoom,
}

/// The table.
#[derive(Debug)]
pub(super) struct Sources {
    rules: Rules,
    hash_key: HashKey,
    sets: usize,
    /// Empty until the first source that is nobody's peer.
    entries: Vec<Option<Entry>>,
}

impl Sources {
    /// A table for `max_sources` or a few more.
    pub(super) fn new(rules: Rules, max_sources: usize, hash_key: HashKey) -> Self {
        Self { rules, hash_key, sets: max_sources.div_ceil(WAYS).max(1), entries: Vec::new() }
    }

    /// A message of `octets` came.
    pub(super) fn screen(&mut self, now: Instant, address: IpAddr, octets: usize) -> Screened {
        let rules = self.rules;
        let entry = self.entry(now, address);
        entry.seen = now;
        if entry.is_banned(now) {
            return Screened::Banned;
        }
        entry.received_octets = entry.received_octets.saturating_add(octets as u64);
        match rules.messages {
            Some(rate) if !rate.try_take(&mut entry.messages, now) => Screened::TooMany,
            _ => Screened::Pass,
        }
    }

    /// The source did what nobody does by mistake for long. `grave` offences are not borne even once.
    pub(super) fn offence(&mut self, now: Instant, address: IpAddr, grave: bool) -> Offence {
        let rules = self.rules;
        let entry = self.entry(now, address);
        if entry.is_banned(now) || (rules.patience.try_take(&mut entry.offences, now) && !grave) {
            return Offence::Borne;
        }
        let set = self.set_of(Source::of(address));
        let bans = self.entries.get(set).into_iter().flatten().flatten();
        if bans.filter(|entry| entry.is_banned(now)).count() >= BANS_A_SET {
            return Offence::NoRoom;
        }
        let entry = self.entry(now, address);
        let doubled = rules.ban.saturating_mul(1 << entry.bans.min(DOUBLINGS_MAX));
        entry.bans = entry.bans.saturating_add(1);
        entry.offences = Level::default();
        entry.banned_until = Some(now + doubled.min(rules.ban_max));
        Offence::Banned
    }

    /// The source showed something that only one who receives at its address can know.
    pub(super) fn prove(&mut self, now: Instant, address: IpAddr) {
        self.entry(now, address).proved_until = Some(now + PROVED_FOR);
    }

    /// Whether `octets` may be sent to an address; counts them if so.
    pub(super) fn may_send(&mut self, now: Instant, address: IpAddr, octets: usize) -> bool {
        let source = Source::of(address);
        let set = self.set_of(source);
        let entries = self.entries.get_mut(set).into_iter().flatten().flatten();
        // Nothing is known of it any more: nothing is owed to it.
        let Some(entry) = entries.into_iter().find(|entry| entry.source == source) else { return false };
        let sent_octets = entry.sent_octets.saturating_add(octets as u64);
        let proved = entry.proved_until.is_some_and(|until| now < until);
        let may = proved || sent_octets <= entry.received_octets.saturating_mul(AMPLIFICATION_MAX);
        if may {
            entry.sent_octets = sent_octets;
        }
        may
    }

    /// Whether an address is banned.
    pub(super) fn is_banned(&self, now: Instant, address: IpAddr) -> bool {
        let source = Source::of(address);
        let entries = self.entries.get(self.set_of(source)).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.source == source && entry.is_banned(now))
    }

    /// Entries held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.iter().flatten().count()
    }

    fn set_of(&self, source: Source) -> std::ops::Range<usize> {
        let hash = self.hash_key.hash_one(source.0);
        let set = usize::try_from(hash % self.sets as u64).unwrap_or(0);
        set * WAYS..(set + 1) * WAYS
    }

    /// The source's entry; a new one in the place that can best be spared.
    fn entry(&mut self, now: Instant, address: IpAddr) -> &mut Entry {
        if self.entries.is_empty() {
            self.entries.resize(self.sets * WAYS, None);
        }
        let source = Source::of(address);
        let set = self.set_of(source);
        let place = {
            let entries = &self.entries[set.clone()];
            let known = entries.iter().position(|entry| entry.as_ref().is_some_and(|e| e.source == source));
            known.or_else(|| entries.iter().position(Option::is_none)).unwrap_or_else(|| spare(entries, now))
        };
        let slot = &mut self.entries[set.start + place];
        if slot.as_ref().is_some_and(|entry| entry.source != source) {
            *slot = None;
        }
        slot.get_or_insert_with(|| Entry::new(source, now))
    }
}

/// The place of the entry that was silent longest and is not banned.
fn spare(entries: &[Option<Entry>], now: Instant) -> usize {
    let silent = entries.iter().enumerate().filter_map(|(place, entry)| {
        let entry = entry.as_ref().filter(|entry| !entry.is_banned(now))?;
        Some((entry.seen, place))
    });
    // There is always one, as half of a set at most is banned.
    silent.min().map_or(0, |(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::identifier::Identifiers;
    use crate::units::clock::Clock;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const BAN: Duration = Duration::from_secs(60);

    fn sources(max_sources: usize) -> Sources {
        let rules = Rules {
            messages: Some(Rate::per_second(10, 20)),
            patience: Rate::over(Duration::from_secs(60), 5, 5),
            ban: BAN,
            ban_max: BAN * 10,
        };
        Sources::new(rules, max_sources, Identifiers::new([5; 32]).hash_key())
    }

    fn v4(number: u32) -> IpAddr {
        Ipv4Addr::from(0x0a00_0000 + number).into()
    }

    fn ban(sources: &mut Sources, now: Instant, address: IpAddr) {
        assert_eq!(sources.offence(now, address, true), Offence::Banned);
        assert_eq!(sources.screen(now, address, 1), Screened::Banned);
    }

    #[test]
    fn one_who_sends_too_much_is_held_to_the_rate_and_nobody_else_is() {
        let (mut sources, now) = (sources(64), Clock::system().instant());
        let passed = (0..100).filter(|_| sources.screen(now, v4(1), 500) == Screened::Pass).count();
        assert_eq!(passed, 20);
        assert_eq!(sources.screen(now, v4(2), 500), Screened::Pass);
    }

    #[test]
    fn a_subscriber_s_ipv6_network_is_one_source() {
        let (mut sources, now) = (sources(64), Clock::system().instant());
        let address =
            |network: u16, host: u16| Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host).into();
        for host in 0..20 {
            assert_eq!(sources.screen(now, address(1, host), 1), Screened::Pass);
        }
        assert_eq!(sources.screen(now, address(1, 99), 1), Screened::TooMany);
        assert_eq!(sources.screen(now, address(2, 1), 1), Screened::Pass);
        let mapped = Ipv4Addr::new(192, 0, 2, 1);
        ban(&mut sources, now, mapped.into());
        assert!(sources.is_banned(now, mapped.to_ipv6_mapped().into()));
        assert_eq!(sources.len(), 3);
    }

    #[test]
    fn offences_are_borne_for_a_while_and_bans_grow_and_end() {
        let (mut sources, mut now) = (sources(64), Clock::system().instant());
        for _ in 0..5 {
            assert_eq!(sources.offence(now, v4(1), false), Offence::Borne);
        }
        let mut lengths = vec![];
        for _ in 0..6 {
            while sources.offence(now, v4(1), false) != Offence::Banned {}
            let began = now;
            while sources.screen(now, v4(1), 1) == Screened::Banned {
                now += BAN / 4;
            }
            lengths.push((now - began).as_secs() / BAN.as_secs());
        }
        assert_eq!(lengths, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn a_flood_of_forged_sources_flushes_no_ban_and_takes_no_more_memory() {
        let (mut sources, now) = (sources(1024), Clock::system().instant());
        let banned: Vec<IpAddr> = (0..64).map(v4).collect();
        banned.iter().for_each(|address| ban(&mut sources, now, *address));
        for number in 1_000..200_000 {
            sources.screen(now, v4(number), 1);
            // They try to be banned in the others' place, too.
            sources.offence(now, v4(number), true);
        }
        assert!(banned.iter().all(|address| sources.is_banned(now, *address)));
        assert_eq!(sources.len(), 1024);
        // Whoever comes new still finds a place, and his own rate.
        assert_eq!(sources.screen(now, v4(500_000), 1), Screened::Pass);
        let left = (0..40).filter(|_| sources.screen(now, v4(500_000), 1) == Screened::Pass).count();
        assert_eq!(left, 19);
        assert_eq!(sources.offence(now, v4(500_000), true), Offence::NoRoom);
    }

    #[test]
    fn no_more_is_sent_than_was_earned_until_the_address_is_proved() {
        let (mut sources, now) = (sources(64), Clock::system().instant());
        assert!(!sources.may_send(now, v4(1), 1), "never heard of");
        sources.screen(now, v4(1), 100);
        assert!(sources.may_send(now, v4(1), 200) && sources.may_send(now, v4(1), 100));
        assert!(!sources.may_send(now, v4(1), 1));
        sources.prove(now, v4(1));
        assert!(sources.may_send(now, v4(1), 10_000));
        assert!(!sources.may_send(now + PROVED_FOR, v4(1), 1), "a proof does not hold for ever");
    }
}
