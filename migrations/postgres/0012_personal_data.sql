-- The Lideri Fiks of a contract, as a person: to whom statements go (DOMAIN §1). It can be changed and erased; nothing in the
-- ledger depends on it. And what else names people can be emptied, once, and never filled again.

CREATE TABLE contacts (
    contract        TEXT    PRIMARY KEY CHECK (contract LIKE '+355%'),
    name            TEXT    CHECK (length(trim(name)) > 0),
    email           TEXT    CHECK (email LIKE '_%@_%'),
    CHECK (name IS NOT NULL OR email IS NOT NULL)
);

-- A leadership can be ended, once; who granted it can be erased.
CREATE OR REPLACE FUNCTION leaders_only_end() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.group_id <> OLD.group_id OR NEW.member_id <> OLD.member_id
       OR NEW.since_ms <> OLD.since_ms OR NEW.channel <> OLD.channel
       OR NEW.declaration IS DISTINCT FROM OLD.declaration
       OR (NEW.granted_by <> OLD.granted_by
           AND (NEW.granted_by <> '(erased)' OR NEW.until_ms IS DISTINCT FROM OLD.until_ms))
       OR (OLD.until_ms IS NOT NULL
           AND (NEW.until_ms IS DISTINCT FROM OLD.until_ms OR NEW.granted_by = OLD.granted_by)) THEN
        RAISE EXCEPTION 'a leadership can only be ended, once, or who granted it erased'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

-- What a call said of its caller in words of its own can be erased; the rest of its record stays.
CREATE FUNCTION calls_only_erased() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.stated IS NOT NULL OR OLD.stated IS NULL
       OR NEW.id <> OLD.id OR NEW.sip_call_id <> OLD.sip_call_id OR NEW.caller IS DISTINCT FROM OLD.caller
       OR NEW.called <> OLD.called OR NEW.received_at_ms <> OLD.received_at_ms
       OR NEW.answered_at_ms IS DISTINCT FROM OLD.answered_at_ms OR NEW.ended_at_ms <> OLD.ended_at_ms
       OR NEW.end_cause <> OLD.end_cause OR NEW.outcome <> OLD.outcome OR NEW.nodes <> OLD.nodes
       OR NEW.free_of_charge <> OLD.free_of_charge OR NEW.peer IS DISTINCT FROM OLD.peer
       OR NEW.user_name IS DISTINCT FROM OLD.user_name OR NEW.charging_id IS DISTINCT FROM OLD.charging_id
       OR NEW.routing_number IS DISTINCT FROM OLD.routing_number OR NEW.reason IS DISTINCT FROM OLD.reason
       OR NEW.media IS DISTINCT FROM OLD.media THEN
        RAISE EXCEPTION 'call records are never updated, but for what the caller stated, which can be erased'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER calls_never_updated ON calls;
CREATE TRIGGER calls_never_updated BEFORE UPDATE ON calls FOR EACH ROW EXECUTE FUNCTION calls_only_erased();

-- A contract's groups, closed ones too; what was taken back in a month.
CREATE INDEX groups_contract ON groups (contract);
CREATE INDEX reversals_month ON reversals (month);
