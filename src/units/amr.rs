//! What AMR and AMR-WB can be agreed to be (RFC 4867 §8): the codec modes, and how their frames are packed.

use super::rtp::Encoding;

/// A set of codec modes: 0–7 of AMR, 0–8 of AMR-WB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModeSet(u16);

impl ModeSet {
    /// Every mode of an encoding; empty for one that has no modes.
    pub const fn all(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Amr => Self(0x0ff),
            Encoding::AmrWb => Self(0x1ff),
            _ => Self(0),
        }
    }

    /// These modes; `None` when there is none or one that the encoding does not have.
    pub fn new(encoding: Encoding, modes: impl IntoIterator<Item = u8>) -> Option<Self> {
        let mut set = Self(0);
        for mode in modes {
            if !Self::all(encoding).contains(mode) {
                return None;
            }
            set.0 |= 1 << mode;
        }
        Some(set).filter(|set| set.0 != 0)
    }

    /// Whether a mode is in it.
    pub const fn contains(self, mode: u8) -> bool {
        mode < 16 && self.0 & 1 << mode != 0
    }

    /// Whether all of another's modes are in it.
    pub const fn includes(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// The modes, lowest first.
    pub fn modes(self) -> impl DoubleEndedIterator<Item = u8> {
        (0..16).filter(move |&mode| self.contains(mode))
    }

    /// The highest mode that is not above `mode`; the lowest of all where each is.
    pub fn at_most(self, mode: u8) -> Option<u8> {
        self.modes().rfind(|&own| own <= mode).or_else(|| self.modes().next())
    }

    /// One step from `from` towards `to` within the set.
    pub fn neighbour(self, from: u8, to: u8) -> u8 {
        let step = if to > from {
            self.modes().find(|&mode| mode > from)
        } else {
            self.modes().rfind(|&mode| mode < from)
        };
        step.filter(|_| to != from).unwrap_or(from)
    }
}

/// How AMR or AMR-WB was agreed on (RFC 4867 §8.1, §8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmrParameters {
    /// `octet-align=1`: every field begins at an octet; else the payload is packed without gaps.
    pub octet_aligned: bool,
    /// The modes that both sides may send.
    pub modes: ModeSet,
    /// Whether `modes` were named, so that both descriptions say them.
    pub named: bool,
    /// `mode-change-period`: we may change the mode at every frame (1) or every second one (2).
    pub change_period: u8,
    /// `mode-change-neighbor=1`: we change only to the next mode of the set.
    pub change_neighbor: bool,
}

impl AmrParameters {
    /// All modes, bandwidth-efficient, changes as one likes: what no parameter means.
    pub const fn unrestricted(encoding: Encoding) -> Self {
        let modes = ModeSet::all(encoding);
        Self { octet_aligned: false, modes, named: false, change_period: 1, change_neighbor: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(modes: &[u8]) -> ModeSet {
        ModeSet::new(Encoding::Amr, modes.iter().copied()).expect("modes of AMR")
    }

    #[test]
    fn modes_are_those_of_their_encoding() {
        assert_eq!(ModeSet::new(Encoding::Amr, 0..8), Some(ModeSet::all(Encoding::Amr)));
        assert_eq!(ModeSet::new(Encoding::Amr, [8]), None);
        assert_eq!(ModeSet::new(Encoding::AmrWb, [8]).map(|set| set.modes().collect()), Some(vec![8]));
        assert_eq!(ModeSet::new(Encoding::AmrWb, [255]), None);
        assert_eq!(ModeSet::new(Encoding::Amr, []), None);
        assert_eq!(ModeSet::new(Encoding::Pcma, [0]), None);
    }

    #[test]
    fn a_request_is_met_from_below_and_neighbours_are_of_the_set() {
        let few = set(&[0, 2, 4, 7]);
        assert_eq!([0, 1, 3, 6, 7].map(|mode| few.at_most(mode)), [0, 0, 2, 4, 7].map(Some));
        assert_eq!(set(&[4, 7]).at_most(1), Some(4));
        assert_eq!(
            [(0, 7), (2, 7), (7, 0), (4, 4), (0, 0)].map(|(from, to)| few.neighbour(from, to)),
            [2, 4, 4, 4, 0]
        );
        assert!(few.includes(set(&[0, 7])) && !few.includes(set(&[0, 1])));
    }
}
