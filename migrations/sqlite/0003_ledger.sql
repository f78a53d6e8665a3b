-- The ledger: activations, accounts, transfers, settlements and reversals. Only ever inserted into. Amounts are whole
-- qindarka. A row that REPLACE would take away is protected by the same words as DELETE: triggers refuse what exists.
-- What each constraint makes impossible stands in docs/ledger.md.

-- A group's month: its limit, what of it is held or spent, and the end of the chain of its rows' hashes. It says nothing
-- but what the rows say: a trigger of theirs brings it up to date, and refuses whatever would not fit.
CREATE TABLE limit_months (
    group_id            INTEGER NOT NULL REFERENCES groups (id),
    month               TEXT    NOT NULL CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]'),  -- in Tirane
    granted_qindarka    INTEGER NOT NULL CHECK (granted_qindarka > 0),
    used_qindarka       INTEGER NOT NULL CHECK (used_qindarka BETWEEN 0 AND granted_qindarka),
    chain_length        INTEGER NOT NULL CHECK (chain_length >= 0),
    chain_head          TEXT    NOT NULL CHECK (length(chain_head) = 64),
    PRIMARY KEY (group_id, month)
) STRICT;

-- Months that take no activation any more, each with the number of its run of bills and the hashes of the run's files.
CREATE TABLE closed_months (
    month           TEXT    PRIMARY KEY NOT NULL CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]'),
    sequence        INTEGER NOT NULL UNIQUE CHECK (sequence > 0),
    closed_by       TEXT    NOT NULL CHECK (closed_by <> ''),
    closed_at_ms    INTEGER NOT NULL,
    csv_sha256      TEXT    NOT NULL CHECK (length(csv_sha256) = 64),
    json_sha256     TEXT    NOT NULL CHECK (length(json_sha256) = 64)
) STRICT;

CREATE TABLE activations (
    id                  TEXT    PRIMARY KEY NOT NULL,         -- UUID made before the first try
    call_id             TEXT    NOT NULL,
    group_id            INTEGER NOT NULL REFERENCES groups (id),
    leader_member_id    INTEGER NOT NULL REFERENCES members (id),
    caller_msisdn       TEXT    NOT NULL,
    member_id           INTEGER NOT NULL REFERENCES members (id),
    member_msisdn       TEXT    NOT NULL,
    package_id          INTEGER NOT NULL REFERENCES packages (id),
    terms_id            INTEGER NOT NULL REFERENCES terms (id),
    list_qindarka       INTEGER NOT NULL CHECK (list_qindarka > 0),
    discount_qindarka   INTEGER NOT NULL CHECK (discount_qindarka >= 0),
    net_qindarka        INTEGER NOT NULL CHECK (net_qindarka > 0),
    month               TEXT    NOT NULL,                     -- in Tirane, of the hold
    held_at_ms          INTEGER NOT NULL,
    position            INTEGER NOT NULL CHECK (position > 0),
    hash                TEXT    NOT NULL CHECK (length(hash) = 64),
    CHECK (net_qindarka = list_qindarka - discount_qindarka)
) STRICT;

CREATE UNIQUE INDEX activations_chain ON activations (group_id, month, position);
CREATE INDEX activations_member ON activations (member_msisdn, held_at_ms);
CREATE INDEX activations_call ON activations (call_id);

CREATE TABLE accounts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT    NOT NULL CHECK (kind IN
                    ('limit', 'limit_granted', 'limit_spent', 'receivable', 'discount_given', 'package_revenue')),
    group_id    INTEGER REFERENCES groups (id),
    month       TEXT    CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]'),
    CHECK ((kind IN ('limit', 'receivable')) = (group_id IS NOT NULL)),
    CHECK ((kind = 'limit') = (month IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX accounts_one ON accounts (kind, COALESCE(group_id, 0), COALESCE(month, ''));

CREATE TABLE settlements (
    activation_id   TEXT    PRIMARY KEY NOT NULL REFERENCES activations (id),
    result          TEXT    NOT NULL CHECK (result IN ('post', 'void')),
    reason          TEXT,                                     -- of a void
    settled_at_ms   INTEGER NOT NULL,
    group_id        INTEGER NOT NULL,
    month           TEXT    NOT NULL,
    position        INTEGER NOT NULL CHECK (position > 0),
    hash            TEXT    NOT NULL CHECK (length(hash) = 64),
    CHECK ((result = 'void') = (reason IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX settlements_chain ON settlements (group_id, month, position);

-- A posted activation taken back: in its own month, or, where that is closed, in a later one.
CREATE TABLE reversals (
    activation_id   TEXT    PRIMARY KEY NOT NULL REFERENCES activations (id),
    reason          TEXT    NOT NULL CHECK (reason <> ''),
    actor           TEXT    NOT NULL CHECK (actor <> ''),
    reversed_at_ms  INTEGER NOT NULL,
    group_id        INTEGER NOT NULL,
    month           TEXT    NOT NULL,
    position        INTEGER NOT NULL CHECK (position > 0),
    hash            TEXT    NOT NULL CHECK (length(hash) = 64)
) STRICT;

CREATE UNIQUE INDEX reversals_chain ON reversals (group_id, month, position);

CREATE TABLE transfers (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind                TEXT    NOT NULL CHECK (kind IN ('grant', 'pending', 'post', 'void', 'reversal')),
    debit_account_id    INTEGER NOT NULL REFERENCES accounts (id),
    credit_account_id   INTEGER NOT NULL REFERENCES accounts (id),
    amount_qindarka     INTEGER NOT NULL CHECK (amount_qindarka > 0),
    activation_id       TEXT    REFERENCES activations (id),
    pending_id          INTEGER REFERENCES transfers (id),    -- what it resolves, or whose posting it reverses
    booked_at_ms        INTEGER NOT NULL,
    group_id            INTEGER NOT NULL,
    month               TEXT    NOT NULL,
    position            INTEGER NOT NULL CHECK (position > 0),
    hash                TEXT    NOT NULL CHECK (length(hash) = 64),
    CHECK (debit_account_id <> credit_account_id),
    CHECK ((kind = 'grant') = (activation_id IS NULL)),
    CHECK ((kind IN ('post', 'void', 'reversal')) = (pending_id IS NOT NULL))
) STRICT;

-- A pending transfer is resolved at most once, and reversed at most once; a month's limit is granted at most once; an
-- activation holds each account at most once.
CREATE UNIQUE INDEX transfers_resolved_once ON transfers (pending_id) WHERE kind IN ('post', 'void');
CREATE UNIQUE INDEX transfers_reversed_once ON transfers (pending_id) WHERE kind = 'reversal';
CREATE UNIQUE INDEX transfers_granted_once ON transfers (credit_account_id) WHERE kind = 'grant';
CREATE UNIQUE INDEX transfers_held_once ON transfers (activation_id, debit_account_id) WHERE kind = 'pending';
CREATE UNIQUE INDEX transfers_chain ON transfers (group_id, month, position);
CREATE INDEX transfers_activation ON transfers (activation_id);

INSERT INTO accounts (kind) VALUES ('limit_granted'), ('limit_spent'), ('discount_given'), ('package_revenue');

-- Nothing is updated, deleted or replaced.

CREATE TRIGGER activations_never_deleted BEFORE DELETE ON activations
BEGIN SELECT RAISE(ABORT, 'the ledger is never deleted from'); END;
CREATE TRIGGER activations_never_updated BEFORE UPDATE ON activations
BEGIN SELECT RAISE(ABORT, 'the ledger is never updated'); END;
CREATE TRIGGER activations_never_replaced BEFORE INSERT ON activations
WHEN EXISTS (SELECT 1 FROM activations WHERE id = NEW.id
             OR (group_id = NEW.group_id AND month = NEW.month AND position = NEW.position))
BEGIN SELECT RAISE(ABORT, 'the activation exists'); END;

CREATE TRIGGER accounts_never_deleted BEFORE DELETE ON accounts
BEGIN SELECT RAISE(ABORT, 'the ledger is never deleted from'); END;
CREATE TRIGGER accounts_never_updated BEFORE UPDATE ON accounts
BEGIN SELECT RAISE(ABORT, 'the ledger is never updated'); END;
CREATE TRIGGER accounts_never_replaced BEFORE INSERT ON accounts
WHEN EXISTS (SELECT 1 FROM accounts WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM accounts WHERE kind = NEW.kind AND COALESCE(group_id, 0) = COALESCE(NEW.group_id, 0)
             AND COALESCE(month, '') = COALESCE(NEW.month, ''))
BEGIN SELECT RAISE(ABORT, 'the account exists'); END;

CREATE TRIGGER settlements_never_deleted BEFORE DELETE ON settlements
BEGIN SELECT RAISE(ABORT, 'the ledger is never deleted from'); END;
CREATE TRIGGER settlements_never_updated BEFORE UPDATE ON settlements
BEGIN SELECT RAISE(ABORT, 'the ledger is never updated'); END;

CREATE TRIGGER reversals_never_deleted BEFORE DELETE ON reversals
BEGIN SELECT RAISE(ABORT, 'the ledger is never deleted from'); END;
CREATE TRIGGER reversals_never_updated BEFORE UPDATE ON reversals
BEGIN SELECT RAISE(ABORT, 'the ledger is never updated'); END;

CREATE TRIGGER transfers_never_deleted BEFORE DELETE ON transfers
BEGIN SELECT RAISE(ABORT, 'the ledger is never deleted from'); END;
CREATE TRIGGER transfers_never_updated BEFORE UPDATE ON transfers
BEGIN SELECT RAISE(ABORT, 'the ledger is never updated'); END;
CREATE TRIGGER transfers_never_replaced BEFORE INSERT ON transfers
WHEN EXISTS (SELECT 1 FROM transfers WHERE id = NEW.id)
  OR EXISTS (SELECT 1 FROM transfers WHERE group_id = NEW.group_id AND month = NEW.month AND position = NEW.position)
BEGIN SELECT RAISE(ABORT, 'the transfer exists'); END;

CREATE TRIGGER closed_months_never_deleted BEFORE DELETE ON closed_months
BEGIN SELECT RAISE(ABORT, 'a closed month is never opened: never deleted'); END;
CREATE TRIGGER closed_months_never_updated BEFORE UPDATE ON closed_months
BEGIN SELECT RAISE(ABORT, 'a closed month is never updated'); END;
CREATE TRIGGER closed_months_never_replaced BEFORE INSERT ON closed_months
WHEN EXISTS (SELECT 1 FROM closed_months WHERE month = NEW.month)
BEGIN SELECT RAISE(ABORT, 'the month is closed already'); END;
CREATE TRIGGER closed_months_numbered BEFORE INSERT ON closed_months
WHEN NEW.sequence <> (SELECT COALESCE(MAX(sequence), 0) + 1 FROM closed_months)
BEGIN SELECT RAISE(ABORT, 'runs of bills are numbered without gaps'); END;
CREATE TRIGGER closed_months_resolved BEFORE INSERT ON closed_months
WHEN EXISTS (SELECT 1 FROM activations v LEFT JOIN settlements s ON s.activation_id = v.id
             WHERE v.month = NEW.month AND s.activation_id IS NULL)
BEGIN SELECT RAISE(ABORT, 'the month has unresolved activations'); END;

-- A group's month: it begins empty, with the limit of the terms in force on its first day (the first terms, where none
-- were yet); it goes on row by row; and what is used is the sum of its rows.
CREATE TRIGGER limit_months_never_deleted BEFORE DELETE ON limit_months
BEGIN SELECT RAISE(ABORT, 'a group''s month is never deleted'); END;

CREATE TRIGGER limit_months_begin BEFORE INSERT ON limit_months
BEGIN
    SELECT RAISE(ABORT, 'the group''s month exists')
        WHERE EXISTS (SELECT 1 FROM limit_months WHERE group_id = NEW.group_id AND month = NEW.month);
    SELECT RAISE(ABORT, 'a group''s month begins empty') WHERE NEW.used_qindarka <> 0 OR NEW.chain_length <> 0;
    SELECT RAISE(ABORT, 'the limit is not that of the terms')
        WHERE NEW.granted_qindarka IS NOT COALESCE(
            (SELECT limit_qindarka FROM terms WHERE effective_on <= NEW.month || '-01'
             ORDER BY effective_on DESC LIMIT 1),
            (SELECT limit_qindarka FROM terms ORDER BY effective_on LIMIT 1));
END;

CREATE TRIGGER limit_months_follow BEFORE UPDATE ON limit_months
BEGIN
    SELECT RAISE(ABORT, 'a group''s month says what its rows say')
        WHERE NEW.group_id IS NOT OLD.group_id OR NEW.month IS NOT OLD.month
           OR NEW.granted_qindarka IS NOT OLD.granted_qindarka OR NEW.chain_length IS NOT OLD.chain_length + 1;
    SELECT RAISE(ABORT, 'a group''s month says what its rows say')
        WHERE NOT EXISTS (SELECT 1 FROM transfers WHERE group_id = NEW.group_id AND month = NEW.month
                          AND position = NEW.chain_length AND hash = NEW.chain_head)
          AND NOT EXISTS (SELECT 1 FROM activations WHERE group_id = NEW.group_id AND month = NEW.month
                          AND position = NEW.chain_length AND hash = NEW.chain_head)
          AND NOT EXISTS (SELECT 1 FROM settlements WHERE group_id = NEW.group_id AND month = NEW.month
                          AND position = NEW.chain_length AND hash = NEW.chain_head)
          AND NOT EXISTS (SELECT 1 FROM reversals WHERE group_id = NEW.group_id AND month = NEW.month
                          AND position = NEW.chain_length AND hash = NEW.chain_head);
    SELECT RAISE(ABORT, 'a group''s month says what its rows say')
        WHERE NEW.used_qindarka IS NOT OLD.used_qindarka AND NEW.used_qindarka IS NOT (
            SELECT SUM(CASE WHEN t.kind = 'pending' AND t.debit_account_id = a.id THEN t.amount_qindarka
                            WHEN t.kind = 'void' AND t.debit_account_id = a.id THEN -t.amount_qindarka
                            WHEN t.kind = 'reversal' AND t.credit_account_id = a.id THEN -t.amount_qindarka
                            ELSE 0 END)
            FROM accounts a JOIN transfers t ON t.group_id = a.group_id AND t.month = a.month
            WHERE a.kind = 'limit' AND COALESCE(a.group_id, 0) = NEW.group_id AND COALESCE(a.month, '') = NEW.month);
END;

-- Each row follows the last of its group's month.
CREATE TRIGGER activations_chained AFTER INSERT ON activations
BEGIN
    SELECT RAISE(ABORT, 'the row does not follow the last of its month')
        WHERE NOT EXISTS (SELECT 1 FROM limit_months WHERE group_id = NEW.group_id AND month = NEW.month
                          AND chain_length = NEW.position - 1);
    UPDATE limit_months SET chain_length = NEW.position, chain_head = NEW.hash
        WHERE group_id = NEW.group_id AND month = NEW.month;
END;

CREATE TRIGGER settlements_chained AFTER INSERT ON settlements
BEGIN
    SELECT RAISE(ABORT, 'the row does not follow the last of its month')
        WHERE NOT EXISTS (SELECT 1 FROM limit_months WHERE group_id = NEW.group_id AND month = NEW.month
                          AND chain_length = NEW.position - 1);
    UPDATE limit_months SET chain_length = NEW.position, chain_head = NEW.hash
        WHERE group_id = NEW.group_id AND month = NEW.month;
END;

CREATE TRIGGER reversals_chained AFTER INSERT ON reversals
BEGIN
    SELECT RAISE(ABORT, 'the row does not follow the last of its month')
        WHERE NOT EXISTS (SELECT 1 FROM limit_months WHERE group_id = NEW.group_id AND month = NEW.month
                          AND chain_length = NEW.position - 1);
    UPDATE limit_months SET chain_length = NEW.position, chain_head = NEW.hash
        WHERE group_id = NEW.group_id AND month = NEW.month;
END;

CREATE TRIGGER transfers_chained AFTER INSERT ON transfers
BEGIN
    SELECT RAISE(ABORT, 'the row does not follow the last of its month')
        WHERE NOT EXISTS (SELECT 1 FROM limit_months WHERE group_id = NEW.group_id AND month = NEW.month
                          AND chain_length = NEW.position - 1);
    UPDATE limit_months
        SET chain_length = NEW.position, chain_head = NEW.hash,
            used_qindarka = used_qindarka + CASE
                WHEN NEW.kind = 'pending' AND (SELECT kind FROM accounts WHERE id = NEW.debit_account_id) = 'limit'
                    THEN NEW.amount_qindarka
                WHEN NEW.kind = 'void' AND (SELECT kind FROM accounts WHERE id = NEW.debit_account_id) = 'limit'
                    THEN -NEW.amount_qindarka
                WHEN NEW.kind = 'reversal' AND (SELECT kind FROM accounts WHERE id = NEW.credit_account_id) = 'limit'
                    THEN -NEW.amount_qindarka
                ELSE 0 END
        WHERE group_id = NEW.group_id AND month = NEW.month;
END;

CREATE TRIGGER activations_open_month BEFORE INSERT ON activations
WHEN EXISTS (SELECT 1 FROM closed_months WHERE month = NEW.month)
BEGIN SELECT RAISE(ABORT, 'the month is closed'); END;

CREATE TRIGGER settlements_once BEFORE INSERT ON settlements
BEGIN
    SELECT RAISE(ABORT, 'the activation is settled')
        WHERE EXISTS (SELECT 1 FROM settlements WHERE activation_id = NEW.activation_id);
    SELECT RAISE(ABORT, 'a settlement stands in the month of its activation')
        WHERE NOT EXISTS (SELECT 1 FROM activations WHERE id = NEW.activation_id AND group_id = NEW.group_id
                          AND month = NEW.month);
END;

-- What was posted is taken back once; in its own month, unless that is closed, and then in a later one that is not.
CREATE TRIGGER reversals_once BEFORE INSERT ON reversals
BEGIN
    SELECT RAISE(ABORT, 'the activation is reversed')
        WHERE EXISTS (SELECT 1 FROM reversals WHERE activation_id = NEW.activation_id);
    SELECT RAISE(ABORT, 'only what is posted is reversed')
        WHERE (SELECT result FROM settlements WHERE activation_id = NEW.activation_id) IS NOT 'post';
    SELECT RAISE(ABORT, 'a reversal stands in the month of its activation, or in a later one if that is closed')
        WHERE NOT EXISTS (SELECT 1 FROM activations v WHERE v.id = NEW.activation_id AND v.group_id = NEW.group_id
                          AND (v.month = NEW.month OR (v.month < NEW.month AND EXISTS
                               (SELECT 1 FROM closed_months WHERE month = v.month))));
    SELECT RAISE(ABORT, 'the month is closed') WHERE EXISTS (SELECT 1 FROM closed_months WHERE month = NEW.month);
END;

-- A grant: once a month and group, what its month grants.
CREATE TRIGGER transfers_grant BEFORE INSERT ON transfers
WHEN NEW.kind = 'grant'
BEGIN
    SELECT RAISE(ABORT, 'a grant credits a limit account from limits granted')
        WHERE (SELECT kind FROM accounts WHERE id = NEW.debit_account_id) IS NOT 'limit_granted'
           OR NOT EXISTS (SELECT 1 FROM accounts WHERE id = NEW.credit_account_id AND kind = 'limit'
                          AND group_id = NEW.group_id AND month = NEW.month);
    SELECT RAISE(ABORT, 'the limit of the month is granted already')
        WHERE EXISTS (SELECT 1 FROM transfers WHERE kind = 'grant' AND credit_account_id = NEW.credit_account_id);
    SELECT RAISE(ABORT, 'the grant is not the limit of the terms')
        WHERE NEW.amount_qindarka IS NOT (SELECT granted_qindarka FROM limit_months
                                          WHERE group_id = NEW.group_id AND month = NEW.month);
END;

-- A hold: between the accounts and for the amounts that its activation makes, in its month, before it is settled, and
-- never more than the month has left. SQLite has one writer at a time, so nothing can change under the check.
CREATE TRIGGER transfers_hold BEFORE INSERT ON transfers
WHEN NEW.kind = 'pending'
BEGIN
    SELECT RAISE(ABORT, 'the transfer does not follow from its activation')
        WHERE NOT EXISTS (
            SELECT 1 FROM activations v, accounts d, accounts c
            WHERE v.id = NEW.activation_id AND d.id = NEW.debit_account_id AND c.id = NEW.credit_account_id
              AND v.group_id = NEW.group_id AND v.month = NEW.month
              AND ((d.kind = 'limit' AND c.kind = 'limit_spent' AND d.group_id = v.group_id
                    AND d.month = v.month AND NEW.amount_qindarka = v.net_qindarka)
                OR (d.kind = 'receivable' AND c.kind = 'package_revenue' AND d.group_id = v.group_id
                    AND NEW.amount_qindarka = v.net_qindarka)
                OR (d.kind = 'discount_given' AND c.kind = 'package_revenue'
                    AND NEW.amount_qindarka = v.discount_qindarka)));
    SELECT RAISE(ABORT, 'the activation holds this account already')
        WHERE EXISTS (SELECT 1 FROM transfers WHERE kind = 'pending' AND activation_id = NEW.activation_id
                      AND debit_account_id = NEW.debit_account_id);
    SELECT RAISE(ABORT, 'the activation is settled')
        WHERE EXISTS (SELECT 1 FROM settlements WHERE activation_id = NEW.activation_id);
    SELECT RAISE(ABORT, 'beyond the limit of the month')
        WHERE (SELECT kind FROM accounts WHERE id = NEW.debit_account_id) = 'limit'
          AND NEW.amount_qindarka > (SELECT granted_qindarka - used_qindarka FROM limit_months
                                     WHERE group_id = NEW.group_id AND month = NEW.month);
END;

-- A resolution: of a pending transfer, the same but for its kind, once, and as the settlement says.
CREATE TRIGGER transfers_resolution BEFORE INSERT ON transfers
WHEN NEW.kind IN ('post', 'void')
BEGIN
    SELECT RAISE(ABORT, 'the pending transfer is resolved already')
        WHERE EXISTS (SELECT 1 FROM transfers WHERE pending_id = NEW.pending_id AND kind IN ('post', 'void'));
    SELECT RAISE(ABORT, 'a resolution repeats its pending transfer')
        WHERE NOT EXISTS (
            SELECT 1 FROM transfers WHERE id = NEW.pending_id AND kind = 'pending'
              AND debit_account_id = NEW.debit_account_id AND credit_account_id = NEW.credit_account_id
              AND amount_qindarka = NEW.amount_qindarka AND activation_id = NEW.activation_id
              AND group_id = NEW.group_id AND month = NEW.month);
    SELECT RAISE(ABORT, 'a resolution follows the settlement of its activation')
        WHERE (SELECT result FROM settlements WHERE activation_id = NEW.activation_id) IS NOT NEW.kind;
END;

-- A reversal: of a posted transfer, once, with its accounts the other way round, where the reversal of its activation
-- stands; and the limit gets its room back only in its own month.
CREATE TRIGGER transfers_reversal BEFORE INSERT ON transfers
WHEN NEW.kind = 'reversal'
BEGIN
    SELECT RAISE(ABORT, 'the transfer is reversed already')
        WHERE EXISTS (SELECT 1 FROM transfers WHERE pending_id = NEW.pending_id AND kind = 'reversal');
    SELECT RAISE(ABORT, 'a reversal is the posted transfer the other way round')
        WHERE NOT EXISTS (
            SELECT 1 FROM transfers WHERE id = NEW.pending_id AND kind = 'pending'
              AND debit_account_id = NEW.credit_account_id AND credit_account_id = NEW.debit_account_id
              AND amount_qindarka = NEW.amount_qindarka AND activation_id = NEW.activation_id
              AND (month = NEW.month
                   OR (SELECT kind FROM accounts WHERE id = NEW.credit_account_id) IS NOT 'limit'));
    SELECT RAISE(ABORT, 'a reversed transfer follows the reversal of its activation')
        WHERE NOT EXISTS (SELECT 1 FROM reversals WHERE activation_id = NEW.activation_id
                          AND group_id = NEW.group_id AND month = NEW.month);
END;
