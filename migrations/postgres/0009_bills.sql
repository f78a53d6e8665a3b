-- Bills (DOMAIN §3.4): a row a month in which something was booked. What books in a month locks it in share, who closes the
-- month locks it alone: nothing is booked in a month that is being closed. (FOR UPDATE and FOR
-- SHARE need the right to update, which the trigger takes away again.)

CREATE TABLE months (
    month           TEXT    PRIMARY KEY CHECK (month ~ '^[0-9]{4}-[01][0-9]$')
);

-- What the billing system answered, line by line. Another answer to a line is another row; the latest counts.
CREATE TABLE bill_acknowledgements (
    id              BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    month           TEXT    NOT NULL REFERENCES closed_months (month),
    contract        TEXT    NOT NULL,
    reason          TEXT    CHECK (reason <> ''),                     -- NULL: accepted
    read_at_ms      BIGINT  NOT NULL
);

CREATE INDEX bill_acknowledgements_line ON bill_acknowledgements (month, contract);

CREATE INDEX activations_month ON activations (month);

CREATE TRIGGER months_never_deleted BEFORE DELETE ON months FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER months_never_updated BEFORE UPDATE ON months FOR EACH ROW EXECUTE FUNCTION never_updated();
CREATE TRIGGER bill_acknowledgements_never_deleted BEFORE DELETE ON bill_acknowledgements
    FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER bill_acknowledgements_never_updated BEFORE UPDATE ON bill_acknowledgements
    FOR EACH ROW EXECUTE FUNCTION never_updated();
