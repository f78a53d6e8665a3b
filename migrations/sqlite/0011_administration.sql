-- The trail of administration: who changed what, when and why, written in the transaction of the change. Names, e-mail
-- addresses and PINs never stand in it.

CREATE TABLE administration (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms           INTEGER NOT NULL,
    actor           TEXT    NOT NULL CHECK (length(trim(actor)) > 0),
    reason          TEXT    CHECK (length(trim(reason)) > 0),
    kind            TEXT    NOT NULL CHECK (kind <> ''),
    contract        TEXT    CHECK (contract GLOB '+355*'),   -- of the group that it is about
    record_id       INTEGER,                                -- of the row that it made or ended, in the table of its kind
    subject         TEXT    NOT NULL CHECK (subject <> ''), -- a number, a package, a month, an activation
    value_before    TEXT,
    value_after     TEXT,
    CHECK (reason IS NOT NULL OR kind NOT IN ('activation-reversed', 'personal-data-erased'))
) STRICT;

CREATE INDEX administration_contract ON administration (contract, id) WHERE contract IS NOT NULL;
CREATE INDEX administration_at ON administration (at_ms);

-- Each version of the terms and of a package, and each leadership, has one who and why.
CREATE UNIQUE INDEX administration_begun ON administration (kind, record_id)
    WHERE kind IN ('terms-added', 'package-added', 'leader-granted');

CREATE TRIGGER administration_never_deleted BEFORE DELETE ON administration
BEGIN SELECT RAISE(ABORT, 'a row of administration is never deleted'); END;
CREATE TRIGGER administration_never_updated BEFORE UPDATE ON administration
BEGIN SELECT RAISE(ABORT, 'a row of administration is never updated'); END;
CREATE TRIGGER administration_never_replaced BEFORE INSERT ON administration
WHEN EXISTS (SELECT 1 FROM administration WHERE id = NEW.id
             OR (kind = NEW.kind AND record_id = NEW.record_id
                 AND kind IN ('terms-added', 'package-added', 'leader-granted')))
BEGIN SELECT RAISE(ABORT, 'the change is in the trail already'); END;
