-- Months and their bills (DOMAIN §3.4). A month has a row from its first booking on; closing it numbers its run of
-- bills and keeps the hashes of the run's files. Nothing is booked in a closed month.

CREATE TABLE months (
    month           TEXT    PRIMARY KEY NOT NULL CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]'),
    sequence        INTEGER CHECK (sequence > 0),                     -- NULL: open
    closed_at_ms    INTEGER,
    closed_by       TEXT    CHECK (closed_by <> ''),
    csv_sha256      TEXT    CHECK (length(csv_sha256) = 64),
    json_sha256     TEXT    CHECK (length(json_sha256) = 64),
    CHECK ((sequence IS NULL) = (closed_at_ms IS NULL)),
    CHECK ((sequence IS NULL) = (closed_by IS NULL)),
    CHECK ((sequence IS NULL) = (csv_sha256 IS NULL)),
    CHECK ((sequence IS NULL) = (json_sha256 IS NULL))
) STRICT;

CREATE UNIQUE INDEX months_sequence ON months (sequence) WHERE sequence IS NOT NULL;

-- What the billing system answered, line by line. Another answer to a line is another row; the latest counts.
CREATE TABLE bill_acknowledgements (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    month           TEXT    NOT NULL REFERENCES months (month),
    contract        TEXT    NOT NULL,
    reason          TEXT    CHECK (reason <> ''),                     -- NULL: accepted
    read_at_ms      INTEGER NOT NULL
) STRICT;

CREATE INDEX bill_acknowledgements_line ON bill_acknowledgements (month, contract);

CREATE INDEX activations_month ON activations (month);

CREATE TRIGGER months_never_deleted BEFORE DELETE ON months
BEGIN SELECT RAISE(ABORT, 'a row of months is never deleted'); END;
CREATE TRIGGER months_never_replaced BEFORE INSERT ON months
WHEN EXISTS (SELECT 1 FROM months WHERE month = NEW.month)
BEGIN SELECT RAISE(ABORT, 'the month exists'); END;
CREATE TRIGGER bill_acknowledgements_never_deleted BEFORE DELETE ON bill_acknowledgements
BEGIN SELECT RAISE(ABORT, 'a row of bill_acknowledgements is never deleted'); END;
CREATE TRIGGER bill_acknowledgements_never_updated BEFORE UPDATE ON bill_acknowledgements
BEGIN SELECT RAISE(ABORT, 'a row of bill_acknowledgements is never updated'); END;
CREATE TRIGGER bill_acknowledgements_never_replaced BEFORE INSERT ON bill_acknowledgements
WHEN EXISTS (SELECT 1 FROM bill_acknowledgements WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the acknowledgement exists'); END;

CREATE TRIGGER months_only_close BEFORE UPDATE ON months
BEGIN
    SELECT RAISE(ABORT, 'a month can only be closed, once')
        WHERE NEW.month <> OLD.month OR OLD.sequence IS NOT NULL OR NEW.sequence IS NULL;
    SELECT RAISE(ABORT, 'runs of bills are numbered without gaps')
        WHERE NEW.sequence <> (SELECT COALESCE(MAX(sequence), 0) + 1 FROM months);
    SELECT RAISE(ABORT, 'the month has unresolved holds')
        WHERE EXISTS (SELECT 1 FROM activations v LEFT JOIN settlements s ON s.activation_id = v.id
                      WHERE v.month = NEW.month AND s.activation_id IS NULL);
END;

CREATE TRIGGER months_begin_open BEFORE INSERT ON months
WHEN NEW.sequence IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a month is open at first'); END;

CREATE TRIGGER activations_in_open_months BEFORE INSERT ON activations
WHEN NOT EXISTS (SELECT 1 FROM months WHERE month = NEW.month AND sequence IS NULL)
BEGIN SELECT RAISE(ABORT, 'the month is closed'); END;
