-- The leader's PIN, of which only the hash is kept, with the tries at it. It belongs to a leadership: another leader,
-- and the same one granted anew, has none until one is set.

CREATE TABLE leader_pins (
    leader_id       INTEGER PRIMARY KEY NOT NULL REFERENCES leaders (id),
    hash            TEXT    NOT NULL CHECK (hash GLOB '$argon2id$*'),
    set_at_ms       INTEGER NOT NULL,
    wrong           INTEGER NOT NULL DEFAULT 0 CHECK (wrong >= 0),     -- since the last right one, or the last lock
    locks           INTEGER NOT NULL DEFAULT 0 CHECK (locks >= 0),     -- since the last right one
    locked_until_ms INTEGER
) STRICT;
