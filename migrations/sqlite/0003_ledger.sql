-- The ledger: activations, accounts, transfers and settlements. Only ever inserted into. Amounts are whole qindarka.
-- A row that REPLACE would take away is protected by the same words as DELETE: triggers refuse what exists.

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
    month               TEXT    NOT NULL CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]'),  -- in Tirane, of the hold
    held_at_ms          INTEGER NOT NULL,
    CHECK (net_qindarka = list_qindarka - discount_qindarka)
) STRICT;

CREATE INDEX activations_group_month ON activations (group_id, month);
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
    CHECK ((result = 'void') = (reason IS NOT NULL))
) STRICT;

CREATE TABLE transfers (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind                TEXT    NOT NULL CHECK (kind IN ('grant', 'pending', 'post', 'void')),
    debit_account_id    INTEGER NOT NULL REFERENCES accounts (id),
    credit_account_id   INTEGER NOT NULL REFERENCES accounts (id),
    amount_qindarka     INTEGER NOT NULL CHECK (amount_qindarka > 0),
    activation_id       TEXT    REFERENCES activations (id),
    pending_id          INTEGER REFERENCES transfers (id),
    booked_at_ms        INTEGER NOT NULL,
    CHECK (debit_account_id <> credit_account_id),
    CHECK ((kind = 'grant') = (activation_id IS NULL)),
    CHECK ((kind IN ('post', 'void')) = (pending_id IS NOT NULL))
) STRICT;

-- A pending transfer is resolved at most once; a month's limit is granted at most once; an activation holds each
-- account at most once.
CREATE UNIQUE INDEX transfers_resolved_once ON transfers (pending_id) WHERE pending_id IS NOT NULL;
CREATE UNIQUE INDEX transfers_granted_once ON transfers (credit_account_id) WHERE kind = 'grant';
CREATE UNIQUE INDEX transfers_held_once ON transfers (activation_id, debit_account_id) WHERE kind = 'pending';
CREATE INDEX transfers_debit ON transfers (debit_account_id);
CREATE INDEX transfers_credit ON transfers (credit_account_id);

-- What each limit account has left: granted, less all that is held or posted. The one definition of it.
CREATE VIEW limit_left AS
SELECT a.id AS account_id, a.group_id, a.month,
       COALESCE((SELECT SUM(amount_qindarka) FROM transfers WHERE credit_account_id = a.id AND kind = 'grant'), 0)
     - COALESCE((SELECT SUM(CASE kind WHEN 'pending' THEN amount_qindarka WHEN 'void' THEN -amount_qindarka ELSE 0 END)
                 FROM transfers WHERE debit_account_id = a.id), 0) AS left_qindarka
FROM accounts a WHERE a.kind = 'limit';

INSERT INTO accounts (kind) VALUES ('limit_granted'), ('limit_spent'), ('discount_given'), ('package_revenue');

CREATE TRIGGER activations_never_deleted BEFORE DELETE ON activations
BEGIN SELECT RAISE(ABORT, 'the ledger is never deleted from'); END;
CREATE TRIGGER activations_never_updated BEFORE UPDATE ON activations
BEGIN SELECT RAISE(ABORT, 'the ledger is never updated'); END;
CREATE TRIGGER activations_never_replaced BEFORE INSERT ON activations
WHEN EXISTS (SELECT 1 FROM activations WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the activation exists'); END;

CREATE TRIGGER accounts_never_deleted BEFORE DELETE ON accounts
BEGIN SELECT RAISE(ABORT, 'the ledger is never deleted from'); END;
CREATE TRIGGER accounts_never_updated BEFORE UPDATE ON accounts
BEGIN SELECT RAISE(ABORT, 'the ledger is never updated'); END;
CREATE TRIGGER accounts_never_replaced BEFORE INSERT ON accounts
WHEN EXISTS (SELECT 1 FROM accounts WHERE id = NEW.id
             OR (kind = NEW.kind AND group_id IS NEW.group_id AND month IS NEW.month))
BEGIN SELECT RAISE(ABORT, 'the account exists'); END;

CREATE TRIGGER settlements_never_deleted BEFORE DELETE ON settlements
BEGIN SELECT RAISE(ABORT, 'the ledger is never deleted from'); END;
CREATE TRIGGER settlements_never_updated BEFORE UPDATE ON settlements
BEGIN SELECT RAISE(ABORT, 'the ledger is never updated'); END;
CREATE TRIGGER settlements_once BEFORE INSERT ON settlements
WHEN EXISTS (SELECT 1 FROM settlements WHERE activation_id = NEW.activation_id)
BEGIN SELECT RAISE(ABORT, 'the activation is settled'); END;

CREATE TRIGGER transfers_never_deleted BEFORE DELETE ON transfers
BEGIN SELECT RAISE(ABORT, 'the ledger is never deleted from'); END;
CREATE TRIGGER transfers_never_updated BEFORE UPDATE ON transfers
BEGIN SELECT RAISE(ABORT, 'the ledger is never updated'); END;
CREATE TRIGGER transfers_never_replaced BEFORE INSERT ON transfers
WHEN EXISTS (SELECT 1 FROM transfers WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the transfer exists'); END;

-- A grant: once a month and group, and exactly the limit of the terms in force on the month's first day (the first
-- terms, where none were yet).
CREATE TRIGGER transfers_grant BEFORE INSERT ON transfers
WHEN NEW.kind = 'grant'
BEGIN
    SELECT RAISE(ABORT, 'a grant credits a limit account from limits granted')
        WHERE (SELECT kind FROM accounts WHERE id = NEW.debit_account_id) IS NOT 'limit_granted'
           OR (SELECT kind FROM accounts WHERE id = NEW.credit_account_id) IS NOT 'limit';
    SELECT RAISE(ABORT, 'the limit of the month is granted already')
        WHERE EXISTS (SELECT 1 FROM transfers WHERE kind = 'grant' AND credit_account_id = NEW.credit_account_id);
    SELECT RAISE(ABORT, 'the grant is not the limit of the terms')
        WHERE NEW.amount_qindarka IS NOT COALESCE(
            (SELECT limit_qindarka FROM terms
             WHERE effective_on <= (SELECT month || '-01' FROM accounts WHERE id = NEW.credit_account_id)
             ORDER BY effective_on DESC LIMIT 1),
            (SELECT limit_qindarka FROM terms ORDER BY effective_on LIMIT 1));
END;

-- A hold: between the accounts and for the amounts that its activation makes, before it is settled, and never more
-- than the month has left. SQLite has one writer at a time, so the sum cannot change under the check.
CREATE TRIGGER transfers_hold BEFORE INSERT ON transfers
WHEN NEW.kind = 'pending'
BEGIN
    SELECT RAISE(ABORT, 'the transfer does not follow from its activation')
        WHERE NOT EXISTS (
            SELECT 1 FROM activations v, accounts d, accounts c
            WHERE v.id = NEW.activation_id AND d.id = NEW.debit_account_id AND c.id = NEW.credit_account_id
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
        WHERE NEW.amount_qindarka >
              (SELECT left_qindarka FROM limit_left WHERE account_id = NEW.debit_account_id);
END;

-- A resolution: of a pending transfer, the same but for its kind, once, and as the settlement says.
CREATE TRIGGER transfers_resolution BEFORE INSERT ON transfers
WHEN NEW.kind IN ('post', 'void')
BEGIN
    SELECT RAISE(ABORT, 'the pending transfer is resolved already')
        WHERE EXISTS (SELECT 1 FROM transfers WHERE pending_id = NEW.pending_id);
    SELECT RAISE(ABORT, 'a resolution repeats its pending transfer')
        WHERE NOT EXISTS (
            SELECT 1 FROM transfers WHERE id = NEW.pending_id AND kind = 'pending'
              AND debit_account_id = NEW.debit_account_id AND credit_account_id = NEW.credit_account_id
              AND amount_qindarka = NEW.amount_qindarka AND activation_id = NEW.activation_id);
    SELECT RAISE(ABORT, 'a resolution follows the settlement of its activation')
        WHERE (SELECT result FROM settlements WHERE activation_id = NEW.activation_id) IS NOT NEW.kind;
END;
