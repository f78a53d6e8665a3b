//! Groups, members and leaders with their history (DOMAIN §1). Nothing is deleted; what ends is dated.

use super::administration::{Change, ChangeKind, entered_of};
use super::columns::Columns;
use super::standing::member;
use super::{Store, Write, catalogue};
use crate::klikon;
use crate::store::{AdminError, GrantChannel, Group, Leadership, Member, StoreError};
use crate::units::{FixedNumber, GroupId, MemberId, Msisdn};
use jiff::Timestamp;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

impl Store {
    /// All groups, the closed ones too.
    pub async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        let rows = sqlx::query("SELECT * FROM groups ORDER BY id").fetch_all(&self.readers).await?;
        rows.iter().map(group_of).collect()
    }

    /// The active group of a contract.
    pub async fn group(&self, contract: &FixedNumber) -> Result<Option<Group>, StoreError> {
        find_group(&mut *self.reader().await?, contract).await
    }

    /// The memberships of a group, past ones too, oldest first.
    pub async fn members(&self, group: GroupId) -> Result<Vec<Member>, StoreError> {
        let rows = sqlx::query("SELECT * FROM members WHERE group_id = $1 ORDER BY id")
            .bind(group.0)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(member_of).collect()
    }

    /// The history of a group's leaders, oldest first.
    pub async fn leaders(&self, group: GroupId) -> Result<Vec<Leadership>, StoreError> {
        let rows = sqlx::query(
            "SELECT l.*, m.msisdn, a.actor AS entered_by, a.at_ms AS entered_at_ms, a.reason AS entered_reason
             FROM leaders l JOIN members m ON m.id = l.member_id
             LEFT JOIN administration a ON a.kind = 'leader-granted' AND a.record_id = l.id
             WHERE l.group_id = $1 ORDER BY l.id",
        )
        .bind(group.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(leadership_of).collect()
    }

    /// Opens the group of a contract.
    pub async fn create_group(&self, contract: &FixedNumber, at: Timestamp) -> Result<Group, AdminError> {
        self.change(|mut db| async move { Ok((create_group(&mut db, contract, at).await?, db)) }).await
    }

    /// Closes the active group of a contract. What is held is still settled and billed.
    pub async fn close_group(&self, contract: &FixedNumber, at: Timestamp) -> Result<Group, AdminError> {
        self.change(|mut db| async move { Ok((close_group(&mut db, contract, at).await?, db)) }).await
    }

    /// Adds a number to the active group of a contract. A number that stayed behind in a closed group leaves it.
    pub async fn add_member(
        &self,
        contract: &FixedNumber,
        number: Msisdn,
        at: Timestamp,
    ) -> Result<MemberId, AdminError> {
        self.change(|mut db| async move { Ok((add_member(&mut db, contract, number, at).await?, db)) }).await
    }

    /// Ends a membership, and the right of the Lider Mobile with it.
    pub async fn remove_member(
        &self,
        contract: &FixedNumber,
        number: Msisdn,
        at: Timestamp,
    ) -> Result<(), AdminError> {
        self.change(|mut db| async move { Ok((remove_member(&mut db, contract, number, at).await?, db)) })
            .await
    }

    /// Grants the right of the Lider Mobile; the one who had it loses it at the same instant.
    pub async fn grant_leader(
        &self,
        contract: &FixedNumber,
        number: Msisdn,
        granted_by: &str,
        channel: &GrantChannel,
        at: Timestamp,
    ) -> Result<(), AdminError> {
        self.change(|mut db| async move {
            Ok((grant_leader(&mut db, contract, number, granted_by, channel, at).await?, db))
        })
        .await
    }

    /// Takes the right of the Lider Mobile back.
    pub async fn revoke_leader(&self, contract: &FixedNumber, at: Timestamp) -> Result<(), AdminError> {
        self.change(|mut db| async move {
            let group = locked_group(&mut db, contract).await?;
            match end_leadership(&mut db, group.id, at).await? {
                None => Err(AdminError::NoLeader(contract.clone())),
                Some(leader) => {
                    note_revoked(&mut db, contract, leader, at).await?;
                    Ok(((), db))
                }
            }
        })
        .await
    }
}

async fn close_group(db: &mut Write, contract: &FixedNumber, at: Timestamp) -> Result<Group, AdminError> {
    let group = locked_group(db, contract).await?;
    if at.as_millisecond() < group.opened_at.as_millisecond() {
        return Err(AdminError::ClockBehind);
    }
    if let Some(leader) = end_leadership(db, group.id, at).await? {
        note_revoked(db, contract, leader, at).await?;
    }
    sqlx::query("UPDATE groups SET closed_at_ms = $1 WHERE id = $2")
        .bind(at.as_millisecond())
        .bind(group.id.0)
        .execute(&mut **db)
        .await?;
    let change = Change::new(ChangeKind::GroupClosed, contract.to_string()).of(contract).record(group.id.0);
    db.record_change(change.before("active").after("closed"), at).await?;
    Ok(Group { closed_at: Some(at), ..group })
}

async fn remove_member(
    db: &mut Write,
    contract: &FixedNumber,
    number: Msisdn,
    at: Timestamp,
) -> Result<(), AdminError> {
    let group = locked_group(db, contract).await?;
    let found = member(db, group.id, number).await?;
    let found = found.ok_or_else(|| AdminError::not_member(number, contract))?;
    if current_leader(db, group.id).await? == Some(found.id) {
        end_leadership(db, group.id, at).await?;
        note_revoked(db, contract, number, at).await?;
    }
    end_membership(db, contract, &found, at).await
}

pub(super) async fn create_group(
    db: &mut Write,
    contract: &FixedNumber,
    at: Timestamp,
) -> Result<Group, AdminError> {
    if find_group(db, contract).await?.is_some() {
        return Err(AdminError::GroupExists(contract.clone()));
    }
    let row = sqlx::query("INSERT INTO groups (contract, opened_at_ms) VALUES ($1, $2) RETURNING *")
        .bind(contract.e164())
        .bind(at.as_millisecond())
        .fetch_one(&mut **db)
        .await?;
    let group = group_of(&row)?;
    sqlx::query("INSERT INTO accounts (kind, group_id) VALUES ('receivable', $1)")
        .bind(group.id.0)
        .execute(&mut **db)
        .await?;
    let change = Change::new(ChangeKind::GroupOpened, contract.to_string()).of(contract).record(group.id.0);
    db.record_change(change.after("active"), at).await?;
    Ok(group)
}

pub(super) async fn add_member(
    db: &mut Write,
    contract: &FixedNumber,
    number: Msisdn,
    at: Timestamp,
) -> Result<MemberId, AdminError> {
    let group = locked_group(db, contract).await?;
    let elsewhere = sqlx::query(
        "SELECT m.*, g.contract, g.closed_at_ms FROM members m JOIN groups g ON g.id = m.group_id
         WHERE m.msisdn = $1 AND m.left_at_ms IS NULL",
    )
    .bind(number.e164())
    .fetch_optional(&mut **db)
    .await?;
    if let Some(row) = elsewhere {
        if row.integer_option("closed_at_ms")?.is_none() {
            let contract = row.contract("contract")?;
            return Err(AdminError::AlreadyMember { number: number.national(), contract });
        }
        end_membership(db, &row.contract("contract")?, &member_of(&row)?, at).await?;
    }
    let (_, terms) = catalogue::terms_on(db, klikon::day_of(at)).await?;
    let members = sqlx::query("SELECT COUNT(*) AS n FROM members WHERE group_id = $1 AND left_at_ms IS NULL")
        .bind(group.id.0)
        .fetch_one(&mut **db)
        .await?
        .integer("n")?;
    if members >= i64::from(terms.members_max) {
        return Err(AdminError::GroupFull { contract: contract.clone(), members_max: terms.members_max });
    }
    let row =
        sqlx::query("INSERT INTO members (group_id, msisdn, joined_at_ms) VALUES ($1, $2, $3) RETURNING id")
            .bind(group.id.0)
            .bind(number.e164())
            .bind(at.as_millisecond())
            .fetch_one(&mut **db)
            .await?;
    let id = row.integer("id")?;
    let change = Change::new(ChangeKind::MemberJoined, number.national()).of(contract).record(id);
    db.record_change(change.after("member"), at).await?;
    Ok(MemberId(id))
}

pub(super) async fn grant_leader(
    db: &mut Write,
    contract: &FixedNumber,
    number: Msisdn,
    granted_by: &str,
    channel: &GrantChannel,
    at: Timestamp,
) -> Result<(), AdminError> {
    let group = locked_group(db, contract).await?;
    let found = member(db, group.id, number).await?;
    let found = found.ok_or_else(|| AdminError::not_member(number, contract))?;
    if current_leader(db, group.id).await? == Some(found.id) {
        return Err(AdminError::LeaderAlready { number: number.national(), contract: contract.clone() });
    }
    let before = end_leadership(db, group.id, at).await?;
    let how = match channel {
        GrantChannel::Shop { declaration } => format!("leader, shop, declaration {declaration}"),
        GrantChannel::Online => "leader, online".to_owned(),
    };
    let (channel, declaration) = match channel {
        GrantChannel::Shop { declaration } => ("shop", Some(declaration.as_str())),
        GrantChannel::Online => ("online", None),
    };
    let row = sqlx::query(
        "INSERT INTO leaders (group_id, member_id, since_ms, granted_by, channel, declaration)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
    )
    .bind(group.id.0)
    .bind(found.id.0)
    .bind(at.as_millisecond())
    .bind(granted_by)
    .bind(channel)
    .bind(declaration)
    .fetch_one(&mut **db)
    .await?;
    let mut change = Change::new(ChangeKind::LeaderGranted, number.national()).of(contract);
    change.before = before.map(|leader| format!("leader: {}", leader.national()));
    Ok(db.record_change(change.record(row.integer("id")?).after(how), at).await?)
}

async fn note_revoked(
    db: &mut Write,
    contract: &FixedNumber,
    leader: Msisdn,
    at: Timestamp,
) -> Result<(), StoreError> {
    let change = Change::new(ChangeKind::LeaderRevoked, leader.national()).of(contract);
    db.record_change(change.before("leader"), at).await
}

/// The active group of a contract, or the error that names the mend.
pub(super) async fn active_group(
    db: &mut AnyConnection,
    contract: &FixedNumber,
) -> Result<Group, AdminError> {
    find_group(db, contract).await?.ok_or_else(|| AdminError::NoGroup(contract.clone()))
}

/// The active group of a contract, which nobody books for or changes meanwhile.
async fn locked_group(db: &mut Write, contract: &FixedNumber) -> Result<Group, AdminError> {
    let group = active_group(db, contract).await?;
    db.lock_group(group.id).await?;
    Ok(group)
}

pub(super) async fn find_group(
    db: &mut AnyConnection,
    contract: &FixedNumber,
) -> Result<Option<Group>, StoreError> {
    let row = sqlx::query("SELECT * FROM groups WHERE contract = $1 AND closed_at_ms IS NULL")
        .bind(contract.e164())
        .fetch_optional(db)
        .await?;
    row.map(|row| group_of(&row)).transpose()
}

/// That a contract has a group, or had one.
pub(super) async fn find_any_group(db: &mut AnyConnection, contract: &FixedNumber) -> Result<(), AdminError> {
    let row = sqlx::query("SELECT 1 AS one FROM groups WHERE contract = $1 LIMIT 1")
        .bind(contract.e164())
        .fetch_optional(db)
        .await?;
    row.map(drop).ok_or_else(|| AdminError::NoSuchContract(contract.clone()))
}

/// The contract of a group, active or closed.
pub(super) async fn contract_of(db: &mut AnyConnection, group: GroupId) -> Result<FixedNumber, StoreError> {
    let row = sqlx::query("SELECT contract FROM groups WHERE id = $1").bind(group.0).fetch_one(db).await?;
    row.contract("contract")
}

async fn current_leader(db: &mut Write, group: GroupId) -> Result<Option<MemberId>, StoreError> {
    let row = sqlx::query("SELECT member_id FROM leaders WHERE group_id = $1 AND until_ms IS NULL")
        .bind(group.0)
        .fetch_optional(&mut **db)
        .await?;
    row.map(|row| row.integer("member_id").map(MemberId)).transpose()
}

/// Ends the current leadership, if there is one; yields whose it was.
async fn end_leadership(db: &mut Write, group: GroupId, at: Timestamp) -> Result<Option<Msisdn>, AdminError> {
    let row = sqlx::query(
        "SELECT l.id, l.since_ms, m.msisdn FROM leaders l JOIN members m ON m.id = l.member_id
         WHERE l.group_id = $1 AND l.until_ms IS NULL",
    )
    .bind(group.0)
    .fetch_optional(&mut **db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if at.as_millisecond() < row.integer("since_ms")? {
        return Err(AdminError::ClockBehind);
    }
    sqlx::query("UPDATE leaders SET until_ms = $1 WHERE id = $2")
        .bind(at.as_millisecond())
        .bind(row.integer("id")?)
        .execute(&mut **db)
        .await?;
    Ok(Some(row.msisdn("msisdn")?))
}

async fn end_membership(
    db: &mut Write,
    contract: &FixedNumber,
    member: &Member,
    at: Timestamp,
) -> Result<(), AdminError> {
    if at.as_millisecond() < member.joined_at.as_millisecond() {
        return Err(AdminError::ClockBehind);
    }
    sqlx::query("UPDATE members SET left_at_ms = $1 WHERE id = $2")
        .bind(at.as_millisecond())
        .bind(member.id.0)
        .execute(&mut **db)
        .await?;
    let change = Change::new(ChangeKind::MemberLeft, member.msisdn.national()).of(contract);
    Ok(db.record_change(change.record(member.id.0).before("member"), at).await?)
}

fn group_of(row: &AnyRow) -> Result<Group, StoreError> {
    Ok(Group {
        id: GroupId(row.integer("id")?),
        contract: row.contract("contract")?,
        opened_at: row.instant("opened_at_ms")?,
        closed_at: row.instant_option("closed_at_ms")?,
    })
}

pub(super) fn member_of(row: &AnyRow) -> Result<Member, StoreError> {
    Ok(Member {
        id: MemberId(row.integer("id")?),
        group: GroupId(row.integer("group_id")?),
        msisdn: row.msisdn("msisdn")?,
        joined_at: row.instant("joined_at_ms")?,
        left_at: row.instant_option("left_at_ms")?,
    })
}

fn leadership_of(row: &AnyRow) -> Result<Leadership, StoreError> {
    let channel = match (row.text("channel")?.as_str(), row.text_option("declaration")?) {
        ("shop", Some(declaration)) => GrantChannel::Shop { declaration },
        ("online", None) => GrantChannel::Online,
        (other, _) => return Err(super::columns::corrupt("channel", other)),
    };
    Ok(Leadership {
        group: GroupId(row.integer("group_id")?),
        member: MemberId(row.integer("member_id")?),
        msisdn: row.msisdn("msisdn")?,
        since: row.instant("since_ms")?,
        until: row.instant_option("until_ms")?,
        granted_by: row.text("granted_by")?,
        channel,
        entered: entered_of(row)?,
    })
}
