-- The ledger: activations, accounts, transfers, settlements and reversals. Only ever inserted into. Amounts are whole
-- qindarka. What each constraint makes impossible stands in docs/ledger.md.

-- A group's month: its limit, what of it is held or spent, and the end of the chain of its rows' hashes. It says nothing
-- but what the rows say: a trigger of theirs brings it up to date, and refuses whatever would not fit.
CREATE TABLE limit_months (
    group_id            BIGINT  NOT NULL REFERENCES groups (id),
    month               TEXT    NOT NULL CHECK (month ~ '^[0-9]{4}-[01][0-9]$'),  -- in Tirane
    granted_qindarka    BIGINT  NOT NULL CHECK (granted_qindarka > 0),
    used_qindarka       BIGINT  NOT NULL CHECK (used_qindarka BETWEEN 0 AND granted_qindarka),
    chain_length        BIGINT  NOT NULL CHECK (chain_length >= 0),
    chain_head          TEXT    NOT NULL CHECK (length(chain_head) = 64),
    PRIMARY KEY (group_id, month)
);

-- Months that take no activation any more, each with the number of its run of bills and the hashes of the run's files.
CREATE TABLE closed_months (
    month           TEXT    PRIMARY KEY CHECK (month ~ '^[0-9]{4}-[01][0-9]$'),
    sequence        BIGINT  NOT NULL UNIQUE CHECK (sequence > 0),
    closed_by       TEXT    NOT NULL CHECK (closed_by <> ''),
    closed_at_ms    BIGINT  NOT NULL,
    csv_sha256      TEXT    NOT NULL CHECK (length(csv_sha256) = 64),
    json_sha256     TEXT    NOT NULL CHECK (length(json_sha256) = 64)
);

CREATE TABLE activations (
    id                  TEXT    PRIMARY KEY,         -- UUID made before the first try
    call_id             TEXT    NOT NULL,
    group_id            BIGINT  NOT NULL REFERENCES groups (id),
    leader_member_id    BIGINT  NOT NULL REFERENCES members (id),
    caller_msisdn       TEXT    NOT NULL,
    member_id           BIGINT  NOT NULL REFERENCES members (id),
    member_msisdn       TEXT    NOT NULL,
    package_id          BIGINT  NOT NULL REFERENCES packages (id),
    terms_id            BIGINT  NOT NULL REFERENCES terms (id),
    list_qindarka       BIGINT  NOT NULL CHECK (list_qindarka > 0),
    discount_qindarka   BIGINT  NOT NULL CHECK (discount_qindarka >= 0),
    net_qindarka        BIGINT  NOT NULL CHECK (net_qindarka > 0),
    month               TEXT    NOT NULL,                     -- in Tirane, of the hold
    held_at_ms          BIGINT  NOT NULL,
    position            BIGINT  NOT NULL CHECK (position > 0),
    hash                TEXT    NOT NULL CHECK (length(hash) = 64),
    CHECK (net_qindarka = list_qindarka - discount_qindarka)
);

CREATE UNIQUE INDEX activations_chain ON activations (group_id, month, position);
CREATE INDEX activations_member ON activations (member_msisdn, held_at_ms);
CREATE INDEX activations_call ON activations (call_id);

CREATE TABLE accounts (
    id          BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        TEXT    NOT NULL CHECK (kind IN
                    ('limit', 'limit_granted', 'limit_spent', 'receivable', 'discount_given', 'package_revenue')),
    group_id    BIGINT  REFERENCES groups (id),
    month       TEXT    CHECK (month ~ '^[0-9]{4}-[01][0-9]$'),
    CHECK ((kind IN ('limit', 'receivable')) = (group_id IS NOT NULL)),
    CHECK ((kind = 'limit') = (month IS NOT NULL))
);

CREATE UNIQUE INDEX accounts_one ON accounts (kind, COALESCE(group_id, 0), COALESCE(month, ''));

CREATE TABLE settlements (
    activation_id   TEXT    PRIMARY KEY REFERENCES activations (id),
    result          TEXT    NOT NULL CHECK (result IN ('post', 'void')),
    reason          TEXT,                                     -- of a void
    settled_at_ms   BIGINT  NOT NULL,
    group_id        BIGINT  NOT NULL,
    month           TEXT    NOT NULL,
    position        BIGINT  NOT NULL CHECK (position > 0),
    hash            TEXT    NOT NULL CHECK (length(hash) = 64),
    CHECK ((result = 'void') = (reason IS NOT NULL))
);

CREATE UNIQUE INDEX settlements_chain ON settlements (group_id, month, position);

-- A posted activation taken back: in its own month, or, where that is closed, in a later one.
CREATE TABLE reversals (
    activation_id   TEXT    PRIMARY KEY REFERENCES activations (id),
    reason          TEXT    NOT NULL CHECK (reason <> ''),
    actor           TEXT    NOT NULL CHECK (actor <> ''),
    reversed_at_ms  BIGINT  NOT NULL,
    group_id        BIGINT  NOT NULL,
    month           TEXT    NOT NULL,
    position        BIGINT  NOT NULL CHECK (position > 0),
    hash            TEXT    NOT NULL CHECK (length(hash) = 64)
);

CREATE UNIQUE INDEX reversals_chain ON reversals (group_id, month, position);

CREATE TABLE transfers (
    id                  BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind                TEXT    NOT NULL CHECK (kind IN ('grant', 'pending', 'post', 'void', 'reversal')),
    debit_account_id    BIGINT  NOT NULL REFERENCES accounts (id),
    credit_account_id   BIGINT  NOT NULL REFERENCES accounts (id),
    amount_qindarka     BIGINT  NOT NULL CHECK (amount_qindarka > 0),
    activation_id       TEXT    REFERENCES activations (id),
    pending_id          BIGINT  REFERENCES transfers (id),    -- what it resolves, or whose posting it reverses
    booked_at_ms        BIGINT  NOT NULL,
    group_id            BIGINT  NOT NULL,
    month               TEXT    NOT NULL,
    position            BIGINT  NOT NULL CHECK (position > 0),
    hash                TEXT    NOT NULL CHECK (length(hash) = 64),
    CHECK (debit_account_id <> credit_account_id),
    CHECK ((kind = 'grant') = (activation_id IS NULL)),
    CHECK ((kind IN ('post', 'void', 'reversal')) = (pending_id IS NOT NULL))
);

-- A pending transfer is resolved at most once, and reversed at most once; a month's limit is granted at most once; an
-- activation holds each account at most once.
CREATE UNIQUE INDEX transfers_resolved_once ON transfers (pending_id) WHERE kind IN ('post', 'void');
CREATE UNIQUE INDEX transfers_reversed_once ON transfers (pending_id) WHERE kind = 'reversal';
CREATE UNIQUE INDEX transfers_granted_once ON transfers (credit_account_id) WHERE kind = 'grant';
CREATE UNIQUE INDEX transfers_held_once ON transfers (activation_id, debit_account_id) WHERE kind = 'pending';
CREATE UNIQUE INDEX transfers_chain ON transfers (group_id, month, position);
CREATE INDEX transfers_activation ON transfers (activation_id);

INSERT INTO accounts (kind) VALUES ('limit_granted'), ('limit_spent'), ('discount_given'), ('package_revenue');

-- Nothing is updated or deleted.

CREATE TRIGGER activations_never_deleted BEFORE DELETE ON activations
    FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER activations_never_updated BEFORE UPDATE ON activations
    FOR EACH ROW EXECUTE FUNCTION never_updated();
CREATE TRIGGER accounts_never_deleted BEFORE DELETE ON accounts
    FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER accounts_never_updated BEFORE UPDATE ON accounts
    FOR EACH ROW EXECUTE FUNCTION never_updated();
CREATE TRIGGER settlements_never_deleted BEFORE DELETE ON settlements
    FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER settlements_never_updated BEFORE UPDATE ON settlements
    FOR EACH ROW EXECUTE FUNCTION never_updated();
CREATE TRIGGER reversals_never_deleted BEFORE DELETE ON reversals
    FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER reversals_never_updated BEFORE UPDATE ON reversals
    FOR EACH ROW EXECUTE FUNCTION never_updated();
CREATE TRIGGER transfers_never_deleted BEFORE DELETE ON transfers
    FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER transfers_never_updated BEFORE UPDATE ON transfers
    FOR EACH ROW EXECUTE FUNCTION never_updated();
CREATE TRIGGER closed_months_never_deleted BEFORE DELETE ON closed_months
    FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER closed_months_never_updated BEFORE UPDATE ON closed_months
    FOR EACH ROW EXECUTE FUNCTION never_updated();
CREATE TRIGGER limit_months_never_deleted BEFORE DELETE ON limit_months
    FOR EACH ROW EXECUTE FUNCTION never_deleted();

-- A group's month: it begins empty, with the limit of the terms in force on its first day (the first terms, where none
-- were yet); it goes on row by row; and what is used is the sum of its rows.
CREATE FUNCTION limit_months_begin() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.used_qindarka <> 0 OR NEW.chain_length <> 0 THEN
        RAISE EXCEPTION 'a group''s month begins empty'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.granted_qindarka IS DISTINCT FROM COALESCE(
           (SELECT limit_qindarka FROM terms WHERE effective_on <= NEW.month || '-01'
            ORDER BY effective_on DESC LIMIT 1),
           (SELECT limit_qindarka FROM terms ORDER BY effective_on LIMIT 1)) THEN
        RAISE EXCEPTION 'the limit is not that of the terms'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER limit_months_begin BEFORE INSERT ON limit_months FOR EACH ROW EXECUTE FUNCTION limit_months_begin();

CREATE FUNCTION limit_months_follow() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.group_id <> OLD.group_id OR NEW.month <> OLD.month OR NEW.granted_qindarka <> OLD.granted_qindarka
       OR NEW.chain_length <> OLD.chain_length + 1 THEN
        RAISE EXCEPTION 'a group''s month says what its rows say'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM transfers WHERE group_id = NEW.group_id AND month = NEW.month
               AND position = NEW.chain_length AND hash = NEW.chain_head)
       AND NOT EXISTS (SELECT 1 FROM activations WHERE group_id = NEW.group_id AND month = NEW.month
               AND position = NEW.chain_length AND hash = NEW.chain_head)
       AND NOT EXISTS (SELECT 1 FROM settlements WHERE group_id = NEW.group_id AND month = NEW.month
               AND position = NEW.chain_length AND hash = NEW.chain_head)
       AND NOT EXISTS (SELECT 1 FROM reversals WHERE group_id = NEW.group_id AND month = NEW.month
               AND position = NEW.chain_length AND hash = NEW.chain_head) THEN
        RAISE EXCEPTION 'a group''s month says what its rows say'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.used_qindarka <> OLD.used_qindarka AND NEW.used_qindarka IS DISTINCT FROM (
           SELECT SUM(CASE WHEN t.kind = 'pending' AND t.debit_account_id = a.id THEN t.amount_qindarka
                           WHEN t.kind = 'void' AND t.debit_account_id = a.id THEN -t.amount_qindarka
                           WHEN t.kind = 'reversal' AND t.credit_account_id = a.id THEN -t.amount_qindarka
                           ELSE 0 END)
           FROM accounts a JOIN transfers t ON t.group_id = a.group_id AND t.month = a.month
           WHERE a.kind = 'limit' AND COALESCE(a.group_id, 0) = NEW.group_id
             AND COALESCE(a.month, '') = NEW.month) THEN
        RAISE EXCEPTION 'a group''s month says what its rows say'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER limit_months_follow BEFORE UPDATE ON limit_months FOR EACH ROW EXECUTE FUNCTION limit_months_follow();

-- Each row follows the last of its group's month. The update is conditional, so that of two rows for one place, which no
-- lock of a program has kept apart, one is refused.
CREATE FUNCTION chained() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE limit_months SET chain_length = NEW.position, chain_head = NEW.hash
        WHERE group_id = NEW.group_id AND month = NEW.month AND chain_length = NEW.position - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the row does not follow the last of its month'
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER activations_chained AFTER INSERT ON activations FOR EACH ROW EXECUTE FUNCTION chained();
CREATE TRIGGER settlements_chained AFTER INSERT ON settlements FOR EACH ROW EXECUTE FUNCTION chained();
CREATE TRIGGER reversals_chained AFTER INSERT ON reversals FOR EACH ROW EXECUTE FUNCTION chained();

CREATE FUNCTION transfers_chained() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    used BIGINT := 0;
BEGIN
    IF NEW.kind IN ('pending', 'void')
       AND (SELECT kind FROM accounts WHERE id = NEW.debit_account_id) = 'limit' THEN
        used := NEW.amount_qindarka;
    END IF;
    IF NEW.kind = 'reversal' AND (SELECT kind FROM accounts WHERE id = NEW.credit_account_id) = 'limit' THEN
        used := NEW.amount_qindarka;
    END IF;
    IF NEW.kind <> 'pending' THEN
        used := -used;
    END IF;
    UPDATE limit_months
        SET chain_length = NEW.position, chain_head = NEW.hash, used_qindarka = used_qindarka + used
        WHERE group_id = NEW.group_id AND month = NEW.month AND chain_length = NEW.position - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the row does not follow the last of its month'
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transfers_chained AFTER INSERT ON transfers FOR EACH ROW EXECUTE FUNCTION transfers_chained();

CREATE FUNCTION closed_months_numbered() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sequence <> (SELECT COALESCE(MAX(sequence), 0) + 1 FROM closed_months) THEN
        RAISE EXCEPTION 'runs of bills are numbered without gaps'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER closed_months_numbered BEFORE INSERT ON closed_months
    FOR EACH ROW EXECUTE FUNCTION closed_months_numbered();

CREATE FUNCTION closed_months_resolved() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM activations v LEFT JOIN settlements s ON s.activation_id = v.id
               WHERE v.month = NEW.month AND s.activation_id IS NULL) THEN
        RAISE EXCEPTION 'the month has unresolved activations'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER closed_months_resolved BEFORE INSERT ON closed_months
    FOR EACH ROW EXECUTE FUNCTION closed_months_resolved();

CREATE FUNCTION activations_open_month() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM closed_months WHERE month = NEW.month) THEN
        RAISE EXCEPTION 'the month is closed'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER activations_open_month BEFORE INSERT ON activations FOR EACH ROW EXECUTE FUNCTION activations_open_month();

CREATE FUNCTION settlements_once() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM settlements WHERE activation_id = NEW.activation_id) THEN
        RAISE EXCEPTION 'the activation is settled'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM activations WHERE id = NEW.activation_id AND group_id = NEW.group_id
                   AND month = NEW.month) THEN
        RAISE EXCEPTION 'a settlement stands in the month of its activation'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER settlements_once BEFORE INSERT ON settlements FOR EACH ROW EXECUTE FUNCTION settlements_once();

-- What was posted is taken back once; in its own month, unless that is closed, and then in a later one that is not.
CREATE FUNCTION reversals_once() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM reversals WHERE activation_id = NEW.activation_id) THEN
        RAISE EXCEPTION 'the activation is reversed'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (SELECT result FROM settlements WHERE activation_id = NEW.activation_id) IS DISTINCT FROM 'post' THEN
        RAISE EXCEPTION 'only what is posted is reversed'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM activations v WHERE v.id = NEW.activation_id AND v.group_id = NEW.group_id
                   AND (v.month = NEW.month OR (v.month < NEW.month AND EXISTS
                        (SELECT 1 FROM closed_months c WHERE c.month = v.month)))) THEN
        RAISE EXCEPTION 'a reversal stands in the month of its activation, or in a later one if that is closed'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM closed_months WHERE month = NEW.month) THEN
        RAISE EXCEPTION 'the month is closed'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reversals_once BEFORE INSERT ON reversals FOR EACH ROW EXECUTE FUNCTION reversals_once();

-- A grant: once a month and group, what its month grants.
CREATE FUNCTION transfers_grant() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT kind FROM accounts WHERE id = NEW.debit_account_id) IS DISTINCT FROM 'limit_granted'
       OR NOT EXISTS (SELECT 1 FROM accounts WHERE id = NEW.credit_account_id AND kind = 'limit'
                      AND group_id = NEW.group_id AND month = NEW.month) THEN
        RAISE EXCEPTION 'a grant credits a limit account from limits granted'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM transfers WHERE kind = 'grant' AND credit_account_id = NEW.credit_account_id) THEN
        RAISE EXCEPTION 'the limit of the month is granted already'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.amount_qindarka IS DISTINCT FROM (SELECT granted_qindarka FROM limit_months
                                             WHERE group_id = NEW.group_id AND month = NEW.month) THEN
        RAISE EXCEPTION 'the grant is not the limit of the terms'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transfers_grant BEFORE INSERT ON transfers
    FOR EACH ROW WHEN (NEW.kind = 'grant') EXECUTE FUNCTION transfers_grant();

-- A hold: between the accounts and for the amounts that its activation makes, in its month, before it is settled, and
-- never more than the month has left. Behind this stands the CHECK of limit_months.
CREATE FUNCTION transfers_hold() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM activations v, accounts d, accounts c
        WHERE v.id = NEW.activation_id AND d.id = NEW.debit_account_id AND c.id = NEW.credit_account_id
          AND v.group_id = NEW.group_id AND v.month = NEW.month
          AND ((d.kind = 'limit' AND c.kind = 'limit_spent' AND d.group_id = v.group_id
                AND d.month = v.month AND NEW.amount_qindarka = v.net_qindarka)
            OR (d.kind = 'receivable' AND c.kind = 'package_revenue' AND d.group_id = v.group_id
                AND NEW.amount_qindarka = v.net_qindarka)
            OR (d.kind = 'discount_given' AND c.kind = 'package_revenue'
                AND NEW.amount_qindarka = v.discount_qindarka))) THEN
        RAISE EXCEPTION 'the transfer does not follow from its activation'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM transfers WHERE kind = 'pending' AND activation_id = NEW.activation_id
               AND debit_account_id = NEW.debit_account_id) THEN
        RAISE EXCEPTION 'the activation holds this account already'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM settlements WHERE activation_id = NEW.activation_id) THEN
        RAISE EXCEPTION 'the activation is settled'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (SELECT kind FROM accounts WHERE id = NEW.debit_account_id) = 'limit'
       AND NEW.amount_qindarka > (SELECT granted_qindarka - used_qindarka FROM limit_months
                                  WHERE group_id = NEW.group_id AND month = NEW.month) THEN
        RAISE EXCEPTION 'beyond the limit of the month'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transfers_hold BEFORE INSERT ON transfers
    FOR EACH ROW WHEN (NEW.kind = 'pending') EXECUTE FUNCTION transfers_hold();

-- A resolution: of a pending transfer, the same but for its kind, once, and as the settlement says.
CREATE FUNCTION transfers_resolution() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM transfers WHERE pending_id = NEW.pending_id AND kind IN ('post', 'void')) THEN
        RAISE EXCEPTION 'the pending transfer is resolved already'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM transfers WHERE id = NEW.pending_id AND kind = 'pending'
          AND debit_account_id = NEW.debit_account_id AND credit_account_id = NEW.credit_account_id
          AND amount_qindarka = NEW.amount_qindarka AND activation_id = NEW.activation_id
          AND group_id = NEW.group_id AND month = NEW.month) THEN
        RAISE EXCEPTION 'a resolution repeats its pending transfer'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (SELECT result FROM settlements WHERE activation_id = NEW.activation_id) IS DISTINCT FROM NEW.kind THEN
        RAISE EXCEPTION 'a resolution follows the settlement of its activation'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transfers_resolution BEFORE INSERT ON transfers
    FOR EACH ROW WHEN (NEW.kind IN ('post', 'void')) EXECUTE FUNCTION transfers_resolution();

-- A reversal: of a posted transfer, once, with its accounts the other way round, where the reversal of its activation
-- stands; and the limit gets its room back only in its own month.
CREATE FUNCTION transfers_reversal() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM transfers WHERE pending_id = NEW.pending_id AND kind = 'reversal') THEN
        RAISE EXCEPTION 'the transfer is reversed already'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM transfers WHERE id = NEW.pending_id AND kind = 'pending'
          AND debit_account_id = NEW.credit_account_id AND credit_account_id = NEW.debit_account_id
          AND amount_qindarka = NEW.amount_qindarka AND activation_id = NEW.activation_id
          AND (month = NEW.month
               OR (SELECT kind FROM accounts WHERE id = NEW.credit_account_id) IS DISTINCT FROM 'limit')) THEN
        RAISE EXCEPTION 'a reversal is the posted transfer the other way round'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM reversals WHERE activation_id = NEW.activation_id
                   AND group_id = NEW.group_id AND month = NEW.month) THEN
        RAISE EXCEPTION 'a reversed transfer follows the reversal of its activation'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transfers_reversal BEFORE INSERT ON transfers
    FOR EACH ROW WHEN (NEW.kind = 'reversal') EXECUTE FUNCTION transfers_reversal();
