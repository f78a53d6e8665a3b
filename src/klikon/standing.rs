//! Who a caller is to the service (DOMAIN §4.2).

use crate::units::{GroupId, MemberId};
use serde::Serialize;

/// The facts about a number that is a member of some group at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: GroupId,
    /// The membership of the number.
    pub member: MemberId,
    /// Whether the group is active, not closed.
    pub group_active: bool,
    /// The membership of the group's current Lider Mobile, if it has one.
    pub leader: Option<MemberId>,
}

/// Who a caller is to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Standing {
    /// The current Lider Mobile of an active group: the only one who may activate.
    Leader {
        /// His group.
        group: GroupId,
        /// His own membership.
        member: MemberId,
    },
    /// A member of an active group, not its leader.
    NotLeader {
        /// His group.
        group: GroupId,
    },
    /// In no group.
    NotMember,
    /// A member of a closed group.
    GroupClosed {
        /// The closed group.
        group: GroupId,
    },
}

/// Judges the facts (DOMAIN §4.2). A closed group has no rights to give, whoever calls.
pub fn standing(membership: Option<&Membership>) -> Standing {
    match membership {
        None => Standing::NotMember,
        Some(m) if !m.group_active => Standing::GroupClosed { group: m.group },
        Some(m) if m.leader == Some(m.member) => Standing::Leader { group: m.group, member: m.member },
        Some(m) => Standing::NotLeader { group: m.group },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_current_leader_of_an_active_group_leads() {
        let leader = Membership {
            group: GroupId(1),
            member: MemberId(2),
            group_active: true,
            leader: Some(MemberId(2)),
        };
        assert_eq!(standing(Some(&leader)), Standing::Leader { group: GroupId(1), member: MemberId(2) });
        let member = Membership { member: MemberId(3), ..leader };
        assert_eq!(standing(Some(&member)), Standing::NotLeader { group: GroupId(1) });
        let leaderless = Membership { leader: None, ..leader };
        assert_eq!(standing(Some(&leaderless)), Standing::NotLeader { group: GroupId(1) });
        let closed = Membership { group_active: false, ..leader };
        assert_eq!(standing(Some(&closed)), Standing::GroupClosed { group: GroupId(1) });
        assert_eq!(standing(None), Standing::NotMember);
    }
}
