-- Bills (DOMAIN §3.4): a row a month in which something was booked. What books in a month locks it in share, who closes the
-- month locks it alone: nothing is booked in a month that is being closed. SQLite has one writer, and locks
-- no row.

CREATE TABLE months (
    month           TEXT    PRIMARY KEY NOT NULL CHECK (month GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]')
) STRICT;

-- What the billing system answered, line by line. Another answer to a line is another row; the latest counts.
CREATE TABLE bill_acknowledgements (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    month           TEXT    NOT NULL REFERENCES closed_months (month),
    contract        TEXT    NOT NULL,
    reason          TEXT    CHECK (reason <> ''),                     -- NULL: accepted
    read_at_ms      INTEGER NOT NULL
) STRICT;

CREATE INDEX bill_acknowledgements_line ON bill_acknowledgements (month, contract);

CREATE INDEX activations_month ON activations (month);

CREATE TRIGGER months_never_deleted BEFORE DELETE ON months
BEGIN SELECT RAISE(ABORT, 'a row of months is never deleted'); END;
CREATE TRIGGER months_never_updated BEFORE UPDATE ON months
BEGIN SELECT RAISE(ABORT, 'a row of months is never updated'); END;
CREATE TRIGGER bill_acknowledgements_never_deleted BEFORE DELETE ON bill_acknowledgements
BEGIN SELECT RAISE(ABORT, 'a row of bill_acknowledgements is never deleted'); END;
CREATE TRIGGER bill_acknowledgements_never_updated BEFORE UPDATE ON bill_acknowledgements
BEGIN SELECT RAISE(ABORT, 'a row of bill_acknowledgements is never updated'); END;
CREATE TRIGGER bill_acknowledgements_never_replaced BEFORE INSERT ON bill_acknowledgements
WHEN EXISTS (SELECT 1 FROM bill_acknowledgements WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'the acknowledgement exists'); END;
