-- Months and their bills (DOMAIN §3.4). A month has a row from its first booking on; closing it numbers its run of
-- bills and keeps the hashes of the run's files. What books in a month locks its row in share, who closes it locks it
-- alone: nothing is booked in a month that is being closed.

CREATE TABLE months (
    month           TEXT    PRIMARY KEY CHECK (month ~ '^[0-9]{4}-[01][0-9]$'),
    sequence        BIGINT  CHECK (sequence > 0),                     -- NULL: open
    closed_at_ms    BIGINT,
    closed_by       TEXT    CHECK (closed_by <> ''),
    csv_sha256      TEXT    CHECK (length(csv_sha256) = 64),
    json_sha256     TEXT    CHECK (length(json_sha256) = 64),
    CHECK ((sequence IS NULL) = (closed_at_ms IS NULL)),
    CHECK ((sequence IS NULL) = (closed_by IS NULL)),
    CHECK ((sequence IS NULL) = (csv_sha256 IS NULL)),
    CHECK ((sequence IS NULL) = (json_sha256 IS NULL))
);

CREATE UNIQUE INDEX months_sequence ON months (sequence) WHERE sequence IS NOT NULL;

-- What the billing system answered, line by line. Another answer to a line is another row; the latest counts.
CREATE TABLE bill_acknowledgements (
    id              BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    month           TEXT    NOT NULL REFERENCES months (month),
    contract        TEXT    NOT NULL,
    reason          TEXT    CHECK (reason <> ''),                     -- NULL: accepted
    read_at_ms      BIGINT  NOT NULL
);

CREATE INDEX bill_acknowledgements_line ON bill_acknowledgements (month, contract);

CREATE INDEX activations_month ON activations (month);

CREATE TRIGGER months_never_deleted BEFORE DELETE ON months FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER bill_acknowledgements_never_deleted BEFORE DELETE ON bill_acknowledgements
    FOR EACH ROW EXECUTE FUNCTION never_deleted();
CREATE TRIGGER bill_acknowledgements_never_updated BEFORE UPDATE ON bill_acknowledgements
    FOR EACH ROW EXECUTE FUNCTION never_updated();

CREATE FUNCTION months_only_close() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.month <> OLD.month OR OLD.sequence IS NOT NULL OR NEW.sequence IS NULL THEN
        RAISE EXCEPTION 'a month can only be closed, once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.sequence <> (SELECT COALESCE(MAX(sequence), 0) + 1 FROM months) THEN
        RAISE EXCEPTION 'runs of bills are numbered without gaps' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM activations v LEFT JOIN settlements s ON s.activation_id = v.id
               WHERE v.month = NEW.month AND s.activation_id IS NULL) THEN
        RAISE EXCEPTION 'the month has unresolved holds' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER months_only_close BEFORE UPDATE ON months FOR EACH ROW EXECUTE FUNCTION months_only_close();

CREATE FUNCTION months_begin_open() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sequence IS NOT NULL THEN
        RAISE EXCEPTION 'a month is open at first' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER months_begin_open BEFORE INSERT ON months FOR EACH ROW EXECUTE FUNCTION months_begin_open();

CREATE FUNCTION activations_in_open_months() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM months WHERE month = NEW.month AND sequence IS NULL) THEN
        RAISE EXCEPTION 'the month is closed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER activations_in_open_months BEFORE INSERT ON activations
    FOR EACH ROW EXECUTE FUNCTION activations_in_open_months();
