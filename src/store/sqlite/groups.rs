//! Groups, members and leaders with their history (DOMAIN §1). Nothing is deleted; what ends is dated.

use super::columns::Columns;
use super::standing::member;
use super::{Store, Write, catalogue, commit};
use crate::klikon;
use crate::store::{AdminError, GrantChannel, Group, Leadership, Member, StoreError};
use crate::units::{FixedNumber, GroupId, MemberId, Msisdn};
use jiff::Timestamp;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

impl Store {
    /// All groups, the closed ones too.
    pub async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        let rows = sqlx::query("SELECT * FROM groups ORDER BY id").fetch_all(&self.readers).await?;
        rows.iter().map(group_of).collect()
    }

    /// The active group of a contract.
    pub async fn group(&self, contract: &FixedNumber) -> Result<Option<Group>, StoreError> {
        find_group(&mut *self.read().await?, contract).await
    }

    /// The memberships of a group, past ones too, oldest first.
    pub async fn members(&self, group: GroupId) -> Result<Vec<Member>, StoreError> {
        let rows = sqlx::query("SELECT * FROM members WHERE group_id = ? ORDER BY id")
            .bind(group.0)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(member_of).collect()
    }

    /// The history of a group's leaders, oldest first.
    pub async fn leaders(&self, group: GroupId) -> Result<Vec<Leadership>, StoreError> {
        let rows = sqlx::query(
            "SELECT l.*, m.msisdn FROM leaders l JOIN members m ON m.id = l.member_id
             WHERE l.group_id = ? ORDER BY l.id",
        )
        .bind(group.0)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(leadership_of).collect()
    }

    /// Opens the group of a contract.
    pub async fn create_group(&self, contract: &FixedNumber, at: Timestamp) -> Result<Group, AdminError> {
        let mut write = self.write().await?;
        let group = create_group(&mut write, contract, at).await?;
        commit(write).await?;
        Ok(group)
    }

    /// Closes the active group of a contract. What is held is still settled and billed.
    pub async fn close_group(&self, contract: &FixedNumber, at: Timestamp) -> Result<Group, AdminError> {
        let mut write = self.write().await?;
        let group = active_group(&mut write, contract).await?;
        if at.as_millisecond() < group.opened_at.as_millisecond() {
            return Err(AdminError::ClockBehind);
        }
        end_leadership(&mut write, group.id, at).await?;
        sqlx::query("UPDATE groups SET closed_at_ms = ? WHERE id = ?")
            .bind(at.as_millisecond())
            .bind(group.id.0)
            .execute(&mut *write)
            .await?;
        commit(write).await?;
        Ok(Group { closed_at: Some(at), ..group })
    }

    /// Adds a number to the active group of a contract. A number that stayed behind in a closed group leaves it.
    pub async fn add_member(
        &self,
        contract: &FixedNumber,
        number: Msisdn,
        at: Timestamp,
    ) -> Result<MemberId, AdminError> {
        let mut write = self.write().await?;
        let id = add_member(&mut write, contract, number, at).await?;
        commit(write).await?;
        Ok(id)
    }

    /// Ends a membership, and the right of the Lider Mobile with it.
    pub async fn remove_member(
        &self,
        contract: &FixedNumber,
        number: Msisdn,
        at: Timestamp,
    ) -> Result<(), AdminError> {
        let mut write = self.write().await?;
        let group = active_group(&mut write, contract).await?;
        let found = member(&mut write, group.id, number).await?;
        let found = found.ok_or_else(|| AdminError::not_member(number, contract))?;
        if current_leader(&mut write, group.id).await? == Some(found.id) {
            end_leadership(&mut write, group.id, at).await?;
        }
        end_membership(&mut write, &found, at).await?;
        Ok(commit(write).await?)
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
        let mut write = self.write().await?;
        grant_leader(&mut write, contract, number, granted_by, channel, at).await?;
        Ok(commit(write).await?)
    }

    /// Takes the right of the Lider Mobile back.
    pub async fn revoke_leader(&self, contract: &FixedNumber, at: Timestamp) -> Result<(), AdminError> {
        let mut write = self.write().await?;
        let group = active_group(&mut write, contract).await?;
        if !end_leadership(&mut write, group.id, at).await? {
            return Err(AdminError::NoLeader(contract.clone()));
        }
        Ok(commit(write).await?)
    }
}

pub(super) async fn create_group(
    db: &mut Write,
    contract: &FixedNumber,
    at: Timestamp,
) -> Result<Group, AdminError> {
    if find_group(db, contract).await?.is_some() {
        return Err(AdminError::GroupExists(contract.clone()));
    }
    let row = sqlx::query("INSERT INTO groups (contract, opened_at_ms) VALUES (?, ?) RETURNING *")
        .bind(contract.e164())
        .bind(at.as_millisecond())
        .fetch_one(&mut **db)
        .await?;
    let group = group_of(&row)?;
    sqlx::query("INSERT INTO accounts (kind, group_id) VALUES ('receivable', ?)")
        .bind(group.id.0)
        .execute(&mut **db)
        .await?;
    Ok(group)
}

pub(super) async fn add_member(
    db: &mut Write,
    contract: &FixedNumber,
    number: Msisdn,
    at: Timestamp,
) -> Result<MemberId, AdminError> {
    let group = active_group(db, contract).await?;
    let elsewhere = sqlx::query(
        "SELECT m.*, g.contract, g.closed_at_ms FROM members m JOIN groups g ON g.id = m.group_id
         WHERE m.msisdn = ? AND m.left_at_ms IS NULL",
    )
    .bind(number.e164())
    .fetch_optional(&mut **db)
    .await?;
    if let Some(row) = elsewhere {
        if row.integer_option("closed_at_ms")?.is_none() {
            let contract = row.contract("contract")?;
            return Err(AdminError::AlreadyMember { number: number.national(), contract });
        }
        end_membership(db, &member_of(&row)?, at).await?;
    }
    let (_, terms) = catalogue::terms_on(db, klikon::day_of(at)).await?;
    let members = sqlx::query("SELECT COUNT(*) AS n FROM members WHERE group_id = ? AND left_at_ms IS NULL")
        .bind(group.id.0)
        .fetch_one(&mut **db)
        .await?
        .integer("n")?;
    if members >= i64::from(terms.members_max) {
        return Err(AdminError::GroupFull { contract: contract.clone(), members_max: terms.members_max });
    }
    let row =
        sqlx::query("INSERT INTO members (group_id, msisdn, joined_at_ms) VALUES (?, ?, ?) RETURNING id")
            .bind(group.id.0)
            .bind(number.e164())
            .bind(at.as_millisecond())
            .fetch_one(&mut **db)
            .await?;
    Ok(MemberId(row.integer("id")?))
}

pub(super) async fn grant_leader(
    db: &mut Write,
    contract: &FixedNumber,
    number: Msisdn,
    granted_by: &str,
    channel: &GrantChannel,
    at: Timestamp,
) -> Result<(), AdminError> {
    let group = active_group(db, contract).await?;
    let found = member(db, group.id, number).await?;
    let found = found.ok_or_else(|| AdminError::not_member(number, contract))?;
    if current_leader(db, group.id).await? == Some(found.id) {
        return Err(AdminError::LeaderAlready { number: number.national(), contract: contract.clone() });
    }
    end_leadership(db, group.id, at).await?;
    let (channel, declaration) = match channel {
        GrantChannel::Shop { declaration } => ("shop", Some(declaration.as_str())),
        GrantChannel::Online => ("online", None),
    };
    sqlx::query(
        "INSERT INTO leaders (group_id, member_id, since_ms, granted_by, channel, declaration)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(group.id.0)
    .bind(found.id.0)
    .bind(at.as_millisecond())
    .bind(granted_by)
    .bind(channel)
    .bind(declaration)
    .execute(&mut **db)
    .await?;
    Ok(())
}

/// The active group of a contract, or the error that names the mend.
pub(super) async fn active_group(
    db: &mut SqliteConnection,
    contract: &FixedNumber,
) -> Result<Group, AdminError> {
    find_group(db, contract).await?.ok_or_else(|| AdminError::NoGroup(contract.clone()))
}

pub(super) async fn find_group(
    db: &mut SqliteConnection,
    contract: &FixedNumber,
) -> Result<Option<Group>, StoreError> {
    let row = sqlx::query("SELECT * FROM groups WHERE contract = ? AND closed_at_ms IS NULL")
        .bind(contract.e164())
        .fetch_optional(db)
        .await?;
    row.map(|row| group_of(&row)).transpose()
}

async fn current_leader(db: &mut Write, group: GroupId) -> Result<Option<MemberId>, StoreError> {
    let row = sqlx::query("SELECT member_id FROM leaders WHERE group_id = ? AND until_ms IS NULL")
        .bind(group.0)
        .fetch_optional(&mut **db)
        .await?;
    row.map(|row| row.integer("member_id").map(MemberId)).transpose()
}

/// Ends the current leadership, if there is one; says whether there was.
async fn end_leadership(db: &mut Write, group: GroupId, at: Timestamp) -> Result<bool, AdminError> {
    let ended = sqlx::query(
        "UPDATE leaders SET until_ms = ? WHERE group_id = ? AND until_ms IS NULL AND since_ms <= ?",
    )
    .bind(at.as_millisecond())
    .bind(group.0)
    .bind(at.as_millisecond())
    .execute(&mut **db)
    .await?
    .rows_affected()
        > 0;
    if !ended && current_leader(db, group).await?.is_some() {
        return Err(AdminError::ClockBehind);
    }
    Ok(ended)
}

async fn end_membership(db: &mut Write, member: &Member, at: Timestamp) -> Result<(), AdminError> {
    if at.as_millisecond() < member.joined_at.as_millisecond() {
        return Err(AdminError::ClockBehind);
    }
    sqlx::query("UPDATE members SET left_at_ms = ? WHERE id = ?")
        .bind(at.as_millisecond())
        .bind(member.id.0)
        .execute(&mut **db)
        .await?;
    Ok(())
}

fn group_of(row: &SqliteRow) -> Result<Group, StoreError> {
    Ok(Group {
        id: GroupId(row.integer("id")?),
        contract: row.contract("contract")?,
        opened_at: row.instant("opened_at_ms")?,
        closed_at: row.instant_option("closed_at_ms")?,
    })
}

pub(super) fn member_of(row: &SqliteRow) -> Result<Member, StoreError> {
    Ok(Member {
        id: MemberId(row.integer("id")?),
        group: GroupId(row.integer("group_id")?),
        msisdn: row.msisdn("msisdn")?,
        joined_at: row.instant("joined_at_ms")?,
        left_at: row.instant_option("left_at_ms")?,
    })
}

fn leadership_of(row: &SqliteRow) -> Result<Leadership, StoreError> {
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
    })
}
