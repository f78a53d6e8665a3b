-- The ledger: activations, accounts, transfers and settlements. Only ever inserted into. Amounts are whole qindarka.

CREATE TABLE activations (
    id                  TEXT    PRIMARY KEY,                  -- UUID made before the first try
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
    month               TEXT    NOT NULL CHECK (month ~ '^[0-9]{4}-[01][0-9]$'),  -- in Tirane, of the hold
    held_at_ms          BIGINT  NOT NULL,
    CHECK (net_qindarka = list_qindarka - discount_qindarka)
);

CREATE INDEX activations_group_month ON activations (group_id, month);
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
    CHECK ((result = 'void') = (reason IS NOT NULL))
);

CREATE TABLE transfers (
    id                  BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind                TEXT    NOT NULL CHECK (kind IN ('grant', 'pending', 'post', 'void')),
    debit_account_id    BIGINT  NOT NULL REFERENCES accounts (id),
    credit_account_id   BIGINT  NOT NULL REFERENCES accounts (id),
    amount_qindarka     BIGINT  NOT NULL CHECK (amount_qindarka > 0),
    activation_id       TEXT    REFERENCES activations (id),
    pending_id          BIGINT  REFERENCES transfers (id),
    booked_at_ms        BIGINT  NOT NULL,
    CHECK (debit_account_id <> credit_account_id),
    CHECK ((kind = 'grant') = (activation_id IS NULL)),
    CHECK ((kind IN ('post', 'void')) = (pending_id IS NOT NULL))
);

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
       CAST(COALESCE((SELECT SUM(amount_qindarka) FROM transfers
                      WHERE credit_account_id = a.id AND kind = 'grant'), 0)
          - COALESCE((SELECT SUM(CASE kind WHEN 'pending' THEN amount_qindarka WHEN 'void' THEN -amount_qindarka
                                      ELSE 0 END)
                      FROM transfers WHERE debit_account_id = a.id), 0) AS BIGINT) AS left_qindarka
FROM accounts a WHERE a.kind = 'limit';

INSERT INTO accounts (kind) VALUES ('limit_granted'), ('limit_spent'), ('discount_given'), ('package_revenue');

CREATE TRIGGER activations_never_deleted BEFORE DELETE ON activations FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER activations_never_updated BEFORE UPDATE ON activations FOR EACH ROW EXECUTE FUNCTION never_updated();
CREATE TRIGGER accounts_never_deleted BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER accounts_never_updated BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION never_updated();
CREATE TRIGGER settlements_never_deleted BEFORE DELETE ON settlements FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER settlements_never_updated BEFORE UPDATE ON settlements FOR EACH ROW EXECUTE FUNCTION never_updated();
CREATE TRIGGER transfers_never_deleted BEFORE DELETE ON transfers FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER transfers_never_updated BEFORE UPDATE ON transfers FOR EACH ROW EXECUTE FUNCTION never_updated();

CREATE FUNCTION settlements_once() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM settlements WHERE activation_id = NEW.activation_id) THEN
        RAISE EXCEPTION 'the activation is settled' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER settlements_once BEFORE INSERT ON settlements FOR EACH ROW EXECUTE FUNCTION settlements_once();

-- A grant: once a month and group, and exactly the limit of the terms in force on the month's first day (the first
-- terms, where none were yet).
CREATE FUNCTION transfers_grant() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind <> 'grant' THEN
        RETURN NEW;
    END IF;
    IF (SELECT kind FROM accounts WHERE id = NEW.debit_account_id) IS DISTINCT FROM 'limit_granted'
       OR (SELECT kind FROM accounts WHERE id = NEW.credit_account_id) IS DISTINCT FROM 'limit' THEN
        RAISE EXCEPTION 'a grant credits a limit account from limits granted'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM transfers WHERE kind = 'grant' AND credit_account_id = NEW.credit_account_id) THEN
        RAISE EXCEPTION 'the limit of the month is granted already' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.amount_qindarka IS DISTINCT FROM COALESCE(
           (SELECT limit_qindarka FROM terms
            WHERE effective_on <= (SELECT month || '-01' FROM accounts WHERE id = NEW.credit_account_id)
            ORDER BY effective_on DESC LIMIT 1),
           (SELECT limit_qindarka FROM terms ORDER BY effective_on LIMIT 1)) THEN
        RAISE EXCEPTION 'the grant is not the limit of the terms' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transfers_grant BEFORE INSERT ON transfers FOR EACH ROW EXECUTE FUNCTION transfers_grant();

-- A hold: between the accounts and for the amounts that its activation makes, before it is settled, and never more
-- than the month has left.
CREATE FUNCTION transfers_hold() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind <> 'pending' THEN
        RETURN NEW;
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM activations v, accounts d, accounts c
        WHERE v.id = NEW.activation_id AND d.id = NEW.debit_account_id AND c.id = NEW.credit_account_id
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
        RAISE EXCEPTION 'the activation holds this account already' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM settlements WHERE activation_id = NEW.activation_id) THEN
        RAISE EXCEPTION 'the activation is settled' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.amount_qindarka > (SELECT left_qindarka FROM limit_left WHERE account_id = NEW.debit_account_id) THEN
        RAISE EXCEPTION 'beyond the limit of the month' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transfers_hold BEFORE INSERT ON transfers FOR EACH ROW EXECUTE FUNCTION transfers_hold();

-- A resolution: of a pending transfer, the same but for its kind, once, and as the settlement says.
CREATE FUNCTION transfers_resolution() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind NOT IN ('post', 'void') THEN
        RETURN NEW;
    END IF;
    IF EXISTS (SELECT 1 FROM transfers WHERE pending_id = NEW.pending_id) THEN
        RAISE EXCEPTION 'the pending transfer is resolved already' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM transfers WHERE id = NEW.pending_id AND kind = 'pending'
          AND debit_account_id = NEW.debit_account_id AND credit_account_id = NEW.credit_account_id
          AND amount_qindarka = NEW.amount_qindarka AND activation_id = NEW.activation_id) THEN
        RAISE EXCEPTION 'a resolution repeats its pending transfer' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (SELECT result FROM settlements WHERE activation_id = NEW.activation_id) IS DISTINCT FROM NEW.kind THEN
        RAISE EXCEPTION 'a resolution follows the settlement of its activation'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transfers_resolution BEFORE INSERT ON transfers FOR EACH ROW EXECUTE FUNCTION transfers_resolution();
