-- The Lideri Fiks of a contract, as a person: to whom statements go (DOMAIN §1). It can be changed and erased; nothing in the
-- ledger depends on it. And what else names people can be emptied, once, and never filled again.

CREATE TABLE contacts (
    contract        TEXT    PRIMARY KEY NOT NULL CHECK (contract GLOB '+355*'),
    name            TEXT    CHECK (length(trim(name)) > 0),
    email           TEXT    CHECK (email LIKE '_%@_%'),
    CHECK (name IS NOT NULL OR email IS NOT NULL)
) STRICT;

-- A leadership can be ended, once; who granted it can be erased.
DROP TRIGGER leaders_only_end;
CREATE TRIGGER leaders_only_end BEFORE UPDATE ON leaders
WHEN NEW.id IS NOT OLD.id OR NEW.group_id IS NOT OLD.group_id OR NEW.member_id IS NOT OLD.member_id
  OR NEW.since_ms IS NOT OLD.since_ms OR NEW.channel IS NOT OLD.channel
  OR NEW.declaration IS NOT OLD.declaration
  OR (NEW.granted_by IS NOT OLD.granted_by AND (NEW.granted_by <> '(erased)' OR NEW.until_ms IS NOT OLD.until_ms))
  OR (OLD.until_ms IS NOT NULL AND (NEW.until_ms IS NOT OLD.until_ms OR NEW.granted_by IS OLD.granted_by))
BEGIN SELECT RAISE(ABORT, 'a leadership can only be ended, once, or who granted it erased'); END;

-- What a call said of its caller in words of its own can be erased; the rest of its record stays.
DROP TRIGGER calls_never_updated;
CREATE TRIGGER calls_never_updated BEFORE UPDATE ON calls
WHEN NEW.stated IS NOT NULL OR OLD.stated IS NULL
  OR NEW.id IS NOT OLD.id OR NEW.sip_call_id IS NOT OLD.sip_call_id OR NEW.caller IS NOT OLD.caller
  OR NEW.called IS NOT OLD.called OR NEW.received_at_ms IS NOT OLD.received_at_ms
  OR NEW.answered_at_ms IS NOT OLD.answered_at_ms OR NEW.ended_at_ms IS NOT OLD.ended_at_ms
  OR NEW.end_cause IS NOT OLD.end_cause OR NEW.outcome IS NOT OLD.outcome OR NEW.nodes IS NOT OLD.nodes
  OR NEW.free_of_charge IS NOT OLD.free_of_charge OR NEW.peer IS NOT OLD.peer
  OR NEW.user_name IS NOT OLD.user_name OR NEW.charging_id IS NOT OLD.charging_id
  OR NEW.routing_number IS NOT OLD.routing_number OR NEW.reason IS NOT OLD.reason OR NEW.media IS NOT OLD.media
BEGIN SELECT RAISE(ABORT, 'call records are never updated, but for what the caller stated, which can be erased'); END;

-- A contract's groups, closed ones too; what was taken back in a month.
CREATE INDEX groups_contract ON groups (contract);
CREATE INDEX reversals_month ON reversals (month);
