-- The leader's PIN, of which only the hash is kept, with the tries at it. It belongs to a leadership: another leader,
-- and the same one granted anew, has none until one is set.

CREATE TABLE leader_pins (
    leader_id       BIGINT  PRIMARY KEY REFERENCES leaders (id),
    hash            TEXT    NOT NULL CHECK (hash LIKE '$argon2id$%'),
    set_at_ms       BIGINT  NOT NULL,
    wrong           BIGINT  NOT NULL DEFAULT 0 CHECK (wrong >= 0),     -- since the last right one, or the last lock
    locks           BIGINT  NOT NULL DEFAULT 0 CHECK (locks >= 0),     -- since the last right one
    locked_until_ms BIGINT
);
