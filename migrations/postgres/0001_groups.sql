-- Groups, members and leaders (DOMAIN §1). Instants are milliseconds since 1970-01-01 UTC. Nothing is deleted;
-- what ends is dated.

CREATE TABLE groups (
    id              BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contract        TEXT    NOT NULL CHECK (contract LIKE '+355%'),   -- the fixed line, E.164
    opened_at_ms    BIGINT  NOT NULL,
    closed_at_ms    BIGINT  CHECK (closed_at_ms >= opened_at_ms)      -- NULL: active
);

-- A contract has one active group at most; closed ones stay for their bills.
CREATE UNIQUE INDEX groups_active_contract ON groups (contract) WHERE closed_at_ms IS NULL;

CREATE TABLE members (
    id              BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_id        BIGINT  NOT NULL REFERENCES groups (id),
    msisdn          TEXT    NOT NULL CHECK (msisdn ~ '^\+3556[0-9]{8}$'),
    joined_at_ms    BIGINT  NOT NULL,
    left_at_ms      BIGINT  CHECK (left_at_ms >= joined_at_ms)        -- NULL: a member now
);

-- A number is in one group at a time.
CREATE UNIQUE INDEX members_current_msisdn ON members (msisdn) WHERE left_at_ms IS NULL;
CREATE INDEX members_group ON members (group_id);

CREATE TABLE leaders (
    id              BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_id        BIGINT  NOT NULL REFERENCES groups (id),
    member_id       BIGINT  NOT NULL REFERENCES members (id),
    since_ms        BIGINT  NOT NULL,
    until_ms        BIGINT  CHECK (until_ms >= since_ms),             -- NULL: the leader now
    granted_by      TEXT    NOT NULL CHECK (granted_by <> ''),        -- the Lider Fiks, as the declaration names him
    channel         TEXT    NOT NULL CHECK (channel IN ('shop', 'online')),
    declaration     TEXT    CHECK (declaration <> ''),                -- number of the signed declaration
    CHECK ((channel = 'shop') = (declaration IS NOT NULL))
);

-- Exactly one Lider Mobile at a time.
CREATE UNIQUE INDEX leaders_current ON leaders (group_id) WHERE until_ms IS NULL;
CREATE INDEX leaders_member ON leaders (member_id);

CREATE FUNCTION never_deleted() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row of % is never deleted', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE FUNCTION never_updated() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row of % is never updated', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER groups_never_deleted BEFORE DELETE ON groups FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER members_never_deleted BEFORE DELETE ON members FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER leaders_never_deleted BEFORE DELETE ON leaders FOR EACH ROW EXECUTE FUNCTION never_deleted();

CREATE FUNCTION groups_only_close() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.contract <> OLD.contract OR NEW.opened_at_ms <> OLD.opened_at_ms
       OR OLD.closed_at_ms IS NOT NULL THEN
        RAISE EXCEPTION 'a group can only be closed, once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER groups_only_close BEFORE UPDATE ON groups FOR EACH ROW EXECUTE FUNCTION groups_only_close();

-- Who stops being a member stops being the leader first.
CREATE FUNCTION members_only_leave() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.group_id <> OLD.group_id OR NEW.msisdn <> OLD.msisdn
       OR NEW.joined_at_ms <> OLD.joined_at_ms OR OLD.left_at_ms IS NOT NULL THEN
        RAISE EXCEPTION 'a membership can only be ended, once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.left_at_ms IS NOT NULL
       AND EXISTS (SELECT 1 FROM leaders WHERE member_id = NEW.id AND until_ms IS NULL) THEN
        RAISE EXCEPTION 'the leader''s right ends before the membership'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER members_only_leave BEFORE UPDATE ON members FOR EACH ROW EXECUTE FUNCTION members_only_leave();

CREATE FUNCTION leaders_only_end() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.group_id <> OLD.group_id OR NEW.member_id <> OLD.member_id
       OR NEW.since_ms <> OLD.since_ms OR NEW.granted_by <> OLD.granted_by OR NEW.channel <> OLD.channel
       OR NEW.declaration IS DISTINCT FROM OLD.declaration OR OLD.until_ms IS NOT NULL THEN
        RAISE EXCEPTION 'a leadership can only be ended, once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER leaders_only_end BEFORE UPDATE ON leaders FOR EACH ROW EXECUTE FUNCTION leaders_only_end();

CREATE FUNCTION leaders_begin() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.until_ms IS NULL
       AND EXISTS (SELECT 1 FROM leaders WHERE group_id = NEW.group_id AND until_ms IS NULL) THEN
        RAISE EXCEPTION 'the group has a leader already' USING ERRCODE = 'unique_violation';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM members
                   WHERE id = NEW.member_id AND group_id = NEW.group_id AND left_at_ms IS NULL) THEN
        RAISE EXCEPTION 'the leader is a current member of the group'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER leaders_begin BEFORE INSERT ON leaders FOR EACH ROW EXECUTE FUNCTION leaders_begin();

CREATE FUNCTION members_begin() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.left_at_ms IS NULL
       AND EXISTS (SELECT 1 FROM members WHERE msisdn = NEW.msisdn AND left_at_ms IS NULL) THEN
        RAISE EXCEPTION 'the number is a member already' USING ERRCODE = 'unique_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER members_begin BEFORE INSERT ON members FOR EACH ROW EXECUTE FUNCTION members_begin();
