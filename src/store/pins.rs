//! The leaders' PINs and the tries at them.

use super::administration::{Change, ChangeKind};
use super::columns::Columns;
use super::groups::active_group;
use super::{Store, Write};
use crate::klikon::{PinHash, PinPolicy, PinTries, PinTry};
use crate::store::{AdminError, PinAttempt, StoreError};
use crate::units::{FixedNumber, LeadershipId, Msisdn};
use jiff::Timestamp;

impl Store {
    /// Sets the PIN of a group's current leader, and forgets the tries at the one before.
    ///
    /// # Errors
    /// [`AdminError`]: no such group, or it has no leader.
    pub async fn set_pin(
        &self,
        contract: &FixedNumber,
        hash: &PinHash,
        at: Timestamp,
    ) -> Result<(), AdminError> {
        self.change(|mut db| async move { Ok((set_pin(&mut db, contract, hash, at).await?, db)) }).await
    }

    /// Takes the lock from the PIN of a group's current leader.
    ///
    /// # Errors
    /// [`AdminError`]: no such group, or its leader has no PIN.
    pub async fn unlock_pin(&self, contract: &FixedNumber, at: Timestamp) -> Result<(), AdminError> {
        let change = Change::new(ChangeKind::PinUnlocked, contract.to_string()).of(contract);
        self.change_pin(
            contract,
            "UPDATE leader_pins SET wrong = 0, locks = 0, locked_until_ms = NULL
             WHERE leader_id = (SELECT id FROM leaders WHERE group_id = $1 AND until_ms IS NULL)",
            change,
            at,
        )
        .await
    }

    /// Takes the PIN of a group's current leader away.
    ///
    /// # Errors
    /// [`AdminError`]: no such group, or its leader has no PIN.
    pub async fn clear_pin(&self, contract: &FixedNumber, at: Timestamp) -> Result<(), AdminError> {
        let change = Change::new(ChangeKind::PinCleared, contract.to_string()).of(contract);
        let change = change.before("a PIN").after("no PIN");
        self.change_pin(
            contract,
            "DELETE FROM leader_pins
             WHERE leader_id = (SELECT id FROM leaders WHERE group_id = $1 AND until_ms IS NULL)",
            change,
            at,
        )
        .await
    }

    async fn change_pin(
        &self,
        contract: &FixedNumber,
        statement: &'static str,
        change: Change<'_>,
        at: Timestamp,
    ) -> Result<(), AdminError> {
        self.change(|mut db| {
            let change = change.clone();
            async move {
                let group = active_group(&mut db, contract).await?;
                let changed = sqlx::query(statement).bind(group.id.0).execute(&mut *db).await?;
                if changed.rows_affected() == 0 {
                    return Err(AdminError::NoPin(contract.clone()));
                }
                db.record_change(change, at).await?;
                Ok(((), db))
            }
        })
        .await
    }

    /// Begins a try at the PIN of the leader with this number: the try is counted as wrong, and that is on disk, before
    /// anybody can see whether it is right. So any number of calls at one time have [`PinPolicy::tries`] between them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin_pin_attempt(
        &self,
        caller: Msisdn,
        now: Timestamp,
        policy: &PinPolicy,
    ) -> Result<PinAttempt, StoreError> {
        self.change(|mut db| async move { Ok((begin_pin_attempt(&mut db, caller, now, policy).await?, db)) })
            .await
    }

    /// The try was right: wrong ones before it are forgotten, unless another PIN was set meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn pin_was_right(&self, leadership: LeadershipId, hash: &PinHash) -> Result<(), StoreError> {
        self.change(|mut db| async move {
            sqlx::query(
                "UPDATE leader_pins SET wrong = 0, locks = 0, locked_until_ms = NULL
                 WHERE leader_id = $1 AND hash = $2",
            )
            .bind(leadership.0)
            .bind(hash.as_str())
            .execute(&mut *db)
            .await?;
            Ok(((), db))
        })
        .await
    }
}

async fn set_pin(
    db: &mut Write,
    contract: &FixedNumber,
    hash: &PinHash,
    at: Timestamp,
) -> Result<(), AdminError> {
    let group = active_group(db, contract).await?;
    let had_one = sqlx::query(
        "SELECT 1 AS one FROM leader_pins
         WHERE leader_id = (SELECT id FROM leaders WHERE group_id = $1 AND until_ms IS NULL)",
    )
    .bind(group.id.0)
    .fetch_optional(&mut **db)
    .await?
    .is_some();
    let set = sqlx::query(
        "INSERT INTO leader_pins (leader_id, hash, set_at_ms)
         SELECT id, $1, $2 FROM leaders WHERE group_id = $3 AND until_ms IS NULL
         ON CONFLICT (leader_id) DO UPDATE
         SET hash = excluded.hash, set_at_ms = excluded.set_at_ms, wrong = 0, locks = 0, locked_until_ms = NULL",
    )
    .bind(hash.as_str())
    .bind(at.as_millisecond())
    .bind(group.id.0)
    .execute(&mut **db)
    .await?;
    if set.rows_affected() == 0 {
        return Err(AdminError::NoLeaderForPin(contract.clone()));
    }
    // That there is one, never which.
    let change = Change::new(ChangeKind::PinSet, contract.to_string()).of(contract);
    let change = change.before(if had_one { "a PIN" } else { "no PIN" }).after("another PIN");
    Ok(db.record_change(change, at).await?)
}

async fn begin_pin_attempt(
    db: &mut Write,
    caller: Msisdn,
    now: Timestamp,
    policy: &PinPolicy,
) -> Result<PinAttempt, StoreError> {
    let row = sqlx::query(
        "SELECT p.* FROM members m
         JOIN leaders l ON l.member_id = m.id AND l.until_ms IS NULL
         JOIN leader_pins p ON p.leader_id = l.id
         WHERE m.msisdn = $1 AND m.left_at_ms IS NULL",
    )
    .bind(caller.e164())
    .fetch_optional(&mut **db)
    .await?;
    let Some(row) = row else { return Ok(PinAttempt::NoPin) };
    let count = |column: &str| row.integer(column).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    let tries = PinTries {
        wrong: count("wrong")?,
        locks: count("locks")?,
        locked_until: row.instant_option("locked_until_ms")?,
    };
    let PinTry::Counted(counted) = tries.another(now, policy) else { return Ok(PinAttempt::Locked) };
    let leadership = LeadershipId(row.integer("leader_id")?);
    sqlx::query("UPDATE leader_pins SET wrong = $1, locks = $2, locked_until_ms = $3 WHERE leader_id = $4")
        .bind(i64::from(counted.wrong))
        .bind(i64::from(counted.locks))
        .bind(counted.locked_until.map(Timestamp::as_millisecond))
        .bind(leadership.0)
        .execute(&mut **db)
        .await?;
    let hash = PinHash::kept(row.text("hash")?);
    Ok(PinAttempt::Begun { leadership, hash, locks_if_wrong: counted.locked_until.is_some() })
}
