//! Which index a sequence number stands for, and which indexes have been seen (RFC 3711 §3.3.1, §3.3.2).

/// How far behind the newest packet one may come, packets.
pub(super) const WINDOW: u64 = 128;

/// Why an index is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Old {
    /// It came before.
    Seen,
    /// It is further back than is remembered, or before the beginning.
    TooOld,
}

/// The indexes of one source that were taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ReplayWindow {
    newest: u64,
    /// Bit `n` is set where `newest - n` was taken.
    taken: u128,
}

impl ReplayWindow {
    /// The index that an RTP sequence number most likely stands for: the one nearest to the newest. For a source of which
    /// nothing was taken yet, the number itself, its rollover counter being 0.
    pub(super) fn index_of(&self, sequence: u16) -> Result<u64, Old> {
        if self.taken == 0 {
            return Ok(sequence.into());
        }
        let (newest, rollovers) = ((self.newest & 0xffff) as i64, (self.newest >> 16) as i64);
        let ahead = i64::from(sequence) - newest;
        let rollovers = match ahead {
            ..-0x8000 => rollovers + 1,
            0x8001.. => rollovers - 1,
            _ => rollovers,
        };
        u64::try_from((rollovers << 16) + i64::from(sequence)).map_err(|_| Old::TooOld)
    }

    /// Whether a packet of this index may still be taken.
    pub(super) fn check(&self, index: u64) -> Result<(), Old> {
        match self.newest.checked_sub(index) {
            _ if self.taken == 0 => Ok(()),
            None => Ok(()),
            Some(behind) if behind >= WINDOW => Err(Old::TooOld),
            Some(behind) if self.taken & (1 << behind) != 0 => Err(Old::Seen),
            Some(_) => Ok(()),
        }
    }

    /// A packet of this index has proved right.
    pub(super) fn take(&mut self, index: u64) {
        if self.taken == 0 {
            (self.newest, self.taken) = (index, 1);
        } else if let Some(behind) = self.newest.checked_sub(index) {
            self.taken |= 1_u128.checked_shl(u32::try_from(behind).unwrap_or(u32::MAX)).unwrap_or(0);
        } else {
            let ahead = u32::try_from(index - self.newest).unwrap_or(u32::MAX);
            self.taken = self.taken.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = index;
        }
    }
}
