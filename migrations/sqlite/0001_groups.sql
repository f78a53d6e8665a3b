-- Groups, members and leaders (DOMAIN §1). Instants are milliseconds since 1970-01-01 UTC. Nothing is deleted;
-- what ends is dated.

CREATE TABLE groups (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    contract        TEXT    NOT NULL CHECK (contract LIKE '+355%'),   -- the fixed line, E.164
    opened_at_ms    INTEGER NOT NULL,
    closed_at_ms    INTEGER CHECK (closed_at_ms >= opened_at_ms)      -- NULL: active
) STRICT;

-- A contract has one active group at most; closed ones stay for their bills.
CREATE UNIQUE INDEX groups_active_contract ON groups (contract) WHERE closed_at_ms IS NULL;

CREATE TABLE members (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id        INTEGER NOT NULL REFERENCES groups (id),
    msisdn          TEXT    NOT NULL CHECK (msisdn GLOB '+3556????????'),
    joined_at_ms    INTEGER NOT NULL,
    left_at_ms      INTEGER CHECK (left_at_ms >= joined_at_ms)        -- NULL: a member now
) STRICT;

-- A number is in one group at a time.
CREATE UNIQUE INDEX members_current_msisdn ON members (msisdn) WHERE left_at_ms IS NULL;
CREATE INDEX members_group ON members (group_id);

CREATE TABLE leaders (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    group_id        INTEGER NOT NULL REFERENCES groups (id),
    member_id       INTEGER NOT NULL REFERENCES members (id),
    since_ms        INTEGER NOT NULL,
    until_ms        INTEGER CHECK (until_ms >= since_ms),             -- NULL: the leader now
    granted_by      TEXT    NOT NULL CHECK (granted_by <> ''),        -- the Lider Fiks, as the declaration names him
    channel         TEXT    NOT NULL CHECK (channel IN ('shop', 'online')),
    declaration     TEXT    CHECK (declaration <> ''),                -- number of the signed declaration
    CHECK ((channel = 'shop') = (declaration IS NOT NULL))
) STRICT;

-- Exactly one Lider Mobile at a time.
CREATE UNIQUE INDEX leaders_current ON leaders (group_id) WHERE until_ms IS NULL;
CREATE INDEX leaders_member ON leaders (member_id);

CREATE TRIGGER groups_never_deleted BEFORE DELETE ON groups
BEGIN SELECT RAISE(ABORT, 'a group is closed, never deleted'); END;

CREATE TRIGGER groups_only_close BEFORE UPDATE ON groups
WHEN NEW.id IS NOT OLD.id OR NEW.contract IS NOT OLD.contract OR NEW.opened_at_ms IS NOT OLD.opened_at_ms
  OR OLD.closed_at_ms IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a group can only be closed, once'); END;

CREATE TRIGGER groups_never_replaced BEFORE INSERT ON groups
WHEN EXISTS (SELECT 1 FROM groups WHERE id = NEW.id)
  OR (NEW.closed_at_ms IS NULL AND EXISTS (SELECT 1 FROM groups WHERE contract = NEW.contract AND closed_at_ms IS NULL))
BEGIN SELECT RAISE(ABORT, 'the group exists'); END;

CREATE TRIGGER members_never_deleted BEFORE DELETE ON members
BEGIN SELECT RAISE(ABORT, 'a membership is ended, never deleted'); END;

CREATE TRIGGER members_only_leave BEFORE UPDATE ON members
WHEN NEW.id IS NOT OLD.id OR NEW.group_id IS NOT OLD.group_id OR NEW.msisdn IS NOT OLD.msisdn
  OR NEW.joined_at_ms IS NOT OLD.joined_at_ms OR OLD.left_at_ms IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a membership can only be ended, once'); END;

CREATE TRIGGER members_never_replaced BEFORE INSERT ON members
WHEN EXISTS (SELECT 1 FROM members WHERE id = NEW.id)
  OR (NEW.left_at_ms IS NULL AND EXISTS (SELECT 1 FROM members WHERE msisdn = NEW.msisdn AND left_at_ms IS NULL))
BEGIN SELECT RAISE(ABORT, 'the number is a member already'); END;

CREATE TRIGGER leaders_never_deleted BEFORE DELETE ON leaders
BEGIN SELECT RAISE(ABORT, 'the history of leaders is never deleted'); END;

CREATE TRIGGER leaders_only_end BEFORE UPDATE ON leaders
WHEN NEW.id IS NOT OLD.id OR NEW.group_id IS NOT OLD.group_id OR NEW.member_id IS NOT OLD.member_id
  OR NEW.since_ms IS NOT OLD.since_ms OR NEW.granted_by IS NOT OLD.granted_by OR NEW.channel IS NOT OLD.channel
  OR NEW.declaration IS NOT OLD.declaration OR OLD.until_ms IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a leadership can only be ended, once'); END;

CREATE TRIGGER leaders_never_replaced BEFORE INSERT ON leaders
WHEN EXISTS (SELECT 1 FROM leaders WHERE id = NEW.id)
  OR (NEW.until_ms IS NULL AND EXISTS (SELECT 1 FROM leaders WHERE group_id = NEW.group_id AND until_ms IS NULL))
BEGIN SELECT RAISE(ABORT, 'the group has a leader already'); END;

CREATE TRIGGER leaders_are_members BEFORE INSERT ON leaders
WHEN NOT EXISTS (SELECT 1 FROM members
                 WHERE id = NEW.member_id AND group_id = NEW.group_id AND left_at_ms IS NULL)
BEGIN SELECT RAISE(ABORT, 'the leader is a current member of the group'); END;

-- Who stops being a member stops being the leader first.
CREATE TRIGGER members_leave_without_leading BEFORE UPDATE ON members
WHEN NEW.left_at_ms IS NOT NULL
 AND EXISTS (SELECT 1 FROM leaders WHERE member_id = NEW.id AND until_ms IS NULL)
BEGIN SELECT RAISE(ABORT, 'the leader''s right ends before the membership'); END;
