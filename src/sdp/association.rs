//! What a description says of the path and the handshake of a stream: ICE (RFC 8839), DTLS (RFC 8122, RFC 8842) and
//! bundles (RFC 8843).

use crate::units::webrtc::{Fingerprint, IceCredentials};
use sdp_types::Attribute;

/// Most `a=fingerprint` lines that are read of one place.
const MAX_FINGERPRINTS: usize = 16;
/// Longest `a=mid` that is repeated, octets.
const MAX_MID_OCTETS: usize = 64;
/// The lengths that a user name fragment and a password may have (RFC 8839 §5.4).
const FRAGMENT_LENGTHS: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD_LENGTHS: std::ops::RangeInclusive<usize> = 22..=256;
/// The priority of a host candidate with the highest preference, of RTP (RFC 8445 §5.1.2.1).
pub const HOST_PRIORITY: u32 = (126 << 24) | (65_535 << 8) | 255;

/// Our end of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// What the peer's checks are to be made with.
    pub ice: IceCredentials,
    /// Of our certificate.
    pub fingerprint: Fingerprint,
}

/// Who begins the handshake (RFC 4145 §4, RFC 8842 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Setup {
    /// The side that says it; also where nothing is said (RFC 4145 §4).
    #[default]
    Active,
    /// The other side.
    Passive,
    /// Either.
    ActPass,
    /// Nobody for now, or nothing that is known.
    Hold,
}

/// What one media line says of them, or the session where the line says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Association {
    /// User name fragment and password of ICE, where both are there and neither is too short or too long.
    pub ice: Option<(String, String)>,
    /// Who begins the handshake.
    pub setup: Setup,
    /// The strongest fingerprint whose hash function we have.
    pub fingerprint: Option<Fingerprint>,
    /// The line's name (`a=mid`, RFC 5888).
    pub mid: Option<String>,
    /// Whether the session bundles the line with others (RFC 8843).
    pub bundled: bool,
    /// Whether candidates may still come after the description (RFC 8840 §4.1).
    pub trickle: bool,
}

impl Association {
    /// The names in `a=group:BUNDLE`.
    pub(super) fn bundles(session: &[Attribute]) -> Vec<&str> {
        let groups = values(session, "group").filter_map(|group| group.split_once(' '));
        groups
            .filter(|(semantics, _)| semantics.eq_ignore_ascii_case("BUNDLE"))
            .flat_map(|(_, mids)| mids.split_ascii_whitespace())
            .collect()
    }

    /// Whether the side makes no checks.
    pub(super) fn is_lite(session: &[Attribute]) -> bool {
        session.iter().any(|attribute| attribute.attribute.eq_ignore_ascii_case("ice-lite"))
    }

    pub(super) fn read(line: &[Attribute], session: &[Attribute], bundles: &[&str]) -> Self {
        let value = |name| values(line, name).next().or_else(|| values(session, name).next());
        let ice = value("ice-ufrag").map(str::trim).zip(value("ice-pwd").map(str::trim));
        let fits = |(fragment, password): &(&str, &str)| {
            FRAGMENT_LENGTHS.contains(&fragment.len()) && PASSWORD_LENGTHS.contains(&password.len())
        };
        let setup = value("setup").map(|setup| match setup.trim().to_ascii_lowercase().as_str() {
            "active" => Setup::Active,
            "passive" => Setup::Passive,
            "actpass" => Setup::ActPass,
            _ => Setup::Hold,
        });
        let mid = values(line, "mid").next().map(str::trim).filter(|mid| mid.len() <= MAX_MID_OCTETS);
        let trickles = |options: &str| options.split_ascii_whitespace().any(|option| option == "trickle");
        Self {
            ice: ice.filter(fits).map(|(fragment, password)| (fragment.to_owned(), password.to_owned())),
            setup: setup.unwrap_or_default(),
            fingerprint: strongest(line).or_else(|| strongest(session)),
            mid: mid.map(str::to_owned),
            bundled: mid.is_some_and(|mid| bundles.contains(&mid)),
            trickle: [line, session].iter().flat_map(|place| values(place, "ice-options")).any(trickles),
        }
    }
}

/// RFC 8122 §5.1: of several, the one that is trusted most.
fn strongest(place: &[Attribute]) -> Option<Fingerprint> {
    values(place, "fingerprint")
        .take(MAX_FINGERPRINTS)
        .filter_map(Fingerprint::parse)
        .max_by_key(Fingerprint::function)
}

fn values<'a>(place: &'a [Attribute], name: &'a str) -> impl Iterator<Item = &'a str> {
    place
        .iter()
        .filter(move |attribute| attribute.attribute.eq_ignore_ascii_case(name))
        .filter_map(|attribute| attribute.value.as_deref())
}
