//! What the service's own role may do: read everything, insert, and change only the columns that go forward. It can
//! neither change nor delete a row of the ledger, nor take a trigger away: it owns nothing.

/// Tables that rows are put into.
const INSERTED: &str = "groups, members, leaders, leader_pins, terms, packages, activations, accounts, settlements, \
                        reversals, transfers, limit_months, months, closed_months, bill_acknowledgements, outbox, calls, attempts, \
                        administration, contacts";

/// Columns that are changed, by their tables. Those of `limit_months` are checked by its trigger against the rows.
const UPDATED: [(&str, &str); 10] = [
    ("groups", "closed_at_ms"),
    ("members", "left_at_ms"),
    // Who granted it can be erased, as the trigger holds.
    ("leaders", "until_ms, granted_by"),
    ("contacts", "name, email"),
    ("calls", "stated"),
    ("leader_pins", "hash, set_at_ms, wrong, locks, locked_until_ms"),
    ("packages", "valid_until"),
    ("limit_months", "used_qindarka, chain_length, chain_head"),
    // To lock it takes the right to update, which its trigger takes away again.
    ("months", "month"),
    ("outbox", "state, text, due_at_ms, sent_at_ms"),
];

/// A name that would have to be quoted, or is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role; write a name in lower case, such as klikon_service")]
pub struct RoleError(String);

/// The statements that give a role what the service needs and nothing more. To be run by the owner of the tables, after
/// they are brought to this version.
///
/// # Errors
/// [`RoleError`]: a name that is not of lower-case letters, digits and `_`.
pub fn grants(role: &str) -> Result<String, RoleError> {
    let begins = role.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if !begins
        || role.len() > 63
        || !role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    {
        return Err(RoleError(role.to_owned()));
    }
    let mut statements = vec![
        format!("REVOKE ALL ON {INSERTED}, _sqlx_migrations FROM {role};"),
        format!("GRANT SELECT ON {INSERTED}, _sqlx_migrations TO {role};"),
        format!("GRANT INSERT ON {INSERTED} TO {role};"),
    ];
    statements
        .extend(UPDATED.map(|(table, columns)| format!("GRANT UPDATE ({columns}) ON {table} TO {role};")));
    // A PIN that is taken away is gone, as a secret should be, and so is what was erased of a person.
    statements.push(format!("GRANT DELETE ON leader_pins, contacts TO {role};"));
    Ok(statements.join("\n") + "\n")
}
